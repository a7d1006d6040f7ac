"""Which model version a `models:/` URI names now, by the registry; or why none can be served."""

from __future__ import annotations

from headrace.api.serving.served import Version
from headrace.ingest.model_events import READY
from headrace.ingest.model_names import LATEST
from headrace.processors.endpoints import Target, target_of
from headrace.processors.registered_models import ModelVersion, RegisteredModel
from headrace.processors.registry import DELETED, Registry

REGISTERED, ANY = "registered", "any"
POLICIES = (REGISTERED, ANY)
"""registered: only versions whose files the server took a digest of. any: these, and whatever else a URI names."""


class Unresolved(Exception):
    """A URI names nothing that can be served now; the message says why."""


def resolve(registry: Registry, uri: str, policy: str) -> Version:
    """The version that a URI names. policy: one of POLICIES. Raises Unresolved."""
    try:
        target = target_of(uri)
    except ValueError as error:
        raise Unresolved(str(error)) from None
    if target.model_id:
        return _logged(registry, target.model_id, policy)
    model = registry.models.by_name.get(target.name)
    if model is None:
        raise Unresolved(f"there is no registered model {target.name!r}")
    found = _version(registry, model, target)
    if found.status != READY:
        why = f": {found.status_message}" if found.status_message else ""
        raise Unresolved(f"version {found.version} of {model.name} is {found.status}{why}")
    if not found.digest and policy != ANY:
        raise Unresolved(
            f"version {found.version} of {model.name} has no digest, for its files are not kept by this server; it is"
            f" served where HEADRACE_ENDPOINT_MODELS={ANY}"
        )
    return Version(
        found.version_id,
        model.name,
        str(found.version),
        found.model_id,
        found.run_id,
        found.storage_location or found.source,
        found.digest,
    )


def _version(registry: Registry, model: RegisteredModel, target: Target) -> ModelVersion:
    if target.version:
        found = model.version(int(target.version))
        what = f"no version {target.version}"
    elif target.alias:
        found = model.version(model.aliases.get(target.alias, 0))
        what = f"no alias {target.alias!r}"
    elif target.stage.lower() == LATEST:
        found = model.latest()
        what = "no version"
    else:
        stage = registry.models.stages.canonical(target.stage)
        if stage is None:
            raise Unresolved(registry.models.stages.fault(target.stage))
        found = model.latest_versions().get(stage)
        what = f"no version in the stage {stage}"
    if found is None:
        raise Unresolved(f"the registered model {model.name} has {what}")
    return found


def _logged(registry: Registry, model_id: str, policy: str) -> Version:
    model = registry.logged_models.get(model_id)
    if model is None or model.lifecycle == DELETED:
        raise Unresolved(f"there is no logged model {model_id}")
    if policy != ANY:
        raise Unresolved(
            f"the logged model {model_id} is not registered, so nothing says what its files should be; register it, or"
            f" set HEADRACE_ENDPOINT_MODELS={ANY}"
        )
    if model.status != "LOGGED_MODEL_READY":
        raise Unresolved(f"the logged model {model_id} is {model.status}")
    return Version(model_id, "", "", model_id, model.source_run_id, model.artifact_uri, "")
