"""Commands on registered models: look one up, append an event of it, and say in MLflow's words what refused it."""

from __future__ import annotations

import json
import uuid

from headrace.api.errors import ApiError, invalid, missing
from headrace.api.model_sources import Source
from headrace.api.registering import Digest
from headrace.api.services import Services
from headrace.ingest import events
from headrace.ingest import model_events as m
from headrace.ingest.event import Event
from headrace.ingest.topics import REGISTRY
from headrace.processors.registered_models import ModelVersion, RegisteredModel
from headrace.processors.registry import DELETED, Registry

MODEL_VERSIONS_TAG = "mlflow.modelVersions"


def model_of(registry: Registry, name: str) -> RegisteredModel:
    """A registered model by its name. Raises RESOURCE_DOES_NOT_EXIST."""
    found = registry.models.by_name.get(name)
    if found is None:
        raise missing(f"Registered Model with name={name} not found")
    return found


def version_of(model: RegisteredModel, number: int) -> ModelVersion:
    """A version by its number. Raises RESOURCE_DOES_NOT_EXIST."""
    found = model.version(number)
    if found is None:
        raise missing(f"Model Version (name={model.name}, version={number}) not found")
    return found


async def current(s: Services) -> Registry:
    """The registry with all that was in the log when this was called."""
    await s.tracking.folded(REGISTRY)
    return s.engine.registry


async def change(s: Services, model: RegisteredModel, *given: Event) -> RegisteredModel:
    """Append events of a model, one after the other, and return it after them. Raises what refuses one of them."""
    return await change_subject(s, model.registered_model_id, *given)


async def change_subject(s: Services, subject: str, *given: Event) -> RegisteredModel:
    """As `change`, of a model that may not be there yet."""
    for refusal in await s.tracking.commands([(subject, event) for event in given]):
        if refusal is not None:
            raise refused(refusal)
    found = s.engine.registry.models.of_subject(subject)
    assert found is not None
    return found


def refused(refusal: str) -> ApiError:
    """The error that a refusal of the fold is."""
    if "already exists" in refusal:
        return ApiError("RESOURCE_ALREADY_EXISTS", refusal)
    return missing(refusal) if "not found" in refusal else invalid(refusal)


async def create_model(s: Services, name: str, description: str, tags: dict[str, str]) -> RegisteredModel:
    """Create a registered model. Raises RESOURCE_ALREADY_EXISTS."""
    return await change_subject(s, uuid.uuid4().hex, m.RegisteredModelCreated(name, description, tags))


async def create_version(
    s: Services,
    model: RegisteredModel,
    source: Source,
    digest: Digest | None,
    *,
    run_link: str = "",
    description: str = "",
    tags: dict[str, str] | None = None,
) -> tuple[RegisteredModel, ModelVersion]:
    """Create a version from a source that was checked. digest: None while it is still to be taken."""
    version_id = uuid.uuid4().hex
    taken = digest or Digest()
    created = m.ModelVersionCreated(
        version_id=version_id,
        source=source.uri,
        storage_location=source.location,
        run_id=source.run_id,
        run_link=run_link,
        model_id=source.model_id,
        description=description,
        tags=tags or {},
        datasets=source.datasets,
        code=source.code,
        status=m.PENDING if digest is None else m.READY,
        status_message=taken.message,
        digest=taken.digest,
        files=taken.files,
        file_bytes=taken.file_bytes,
    )
    after = await change(s, model, created)
    version = after.versions[after.numbers[version_id]]
    await _tell_logged_model(s, after, version)
    return after, version


async def _tell_logged_model(s: Services, model: RegisteredModel, version: ModelVersion) -> None:
    """Keep the tag by which MLflow's clients find the versions that were made from a logged model."""
    logged = s.engine.registry.logged_models.get(version.model_id)
    if logged is None or logged.lifecycle == DELETED:
        return
    try:
        held = json.loads(logged.tags.get(MODEL_VERSIONS_TAG, "[]"))
    except ValueError:
        held = []
    one = {"name": model.name, "version": str(version.version)}
    if isinstance(held, list) and one not in held:
        tag = {MODEL_VERSIONS_TAG: json.dumps([*held, one])}
        await s.tracking.command(logged.model_id, events.LoggedModelTagsSet(tag))
