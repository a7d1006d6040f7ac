"""Versions of registered models: create, get, search, describe, move between stages, delete, their tags and files."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from headrace.api import model_sources, registered, registry_search, search
from headrace.api.errors import invalid
from headrace.api.filter import parse, parse_order_by
from headrace.api.mlflow import registry_answers as answers
from headrace.api.mlflow import registry_checks as checks
from headrace.api.mlflow import validate
from headrace.api.mlflow.wire import Body, Tag, add, page_start, present, required
from headrace.api.model_sources import PROMPT_SOURCES, Source
from headrace.api.registering import Digest
from headrace.api.registry_search import IS_PROMPT_TAG, Version
from headrace.api.services import Services
from headrace.api.syntax import Order, at_moment
from headrace.ingest import model_events as m
from headrace.processors.registered_models import ModelVersion, RegisteredModel
from starlette.concurrency import run_in_threadpool

router = APIRouter(tags=["model versions"])
PAGE_MAX = 200_000
LINK_CHARS_MAX = 2_000
NEWEST_FIRST = [Order("attribute", "last_updated_timestamp", ascending=False)]


class CreateModelVersion(Body):
    """source: the URI of the model. run_id, model_id: the run or logged model its files belong to."""

    name: str = ""
    source: str = ""
    run_id: str | None = None
    tags: list[Tag] = []
    run_link: str = ""
    description: str = ""
    model_id: str | None = None


class ModelVersionName(Body):
    name: str = ""
    version: str = ""


class GetModelVersion(ModelVersionName):
    """as_of: a time or positions of the log; now if empty."""

    as_of: str = ""


class UpdateModelVersion(ModelVersionName):
    description: str = ""


class TransitionModelVersionStage(ModelVersionName):
    """archive_existing_versions: the versions in that stage are Archived in the same moment. comment: why; ours."""

    stage: str = ""
    archive_existing_versions: bool = False
    comment: str = ""


class SearchModelVersions(Body):
    """max_results: 1 to 200,000. as_of: as in GetModelVersion."""

    filter: str = ""
    max_results: int = 10_000
    order_by: list[str] = []
    page_token: str = ""
    as_of: str = ""


class SetModelVersionTag(ModelVersionName):
    key: str = ""
    value: str = ""


class DeleteModelVersionTag(ModelVersionName):
    key: str = ""


async def create(s: Services, asked: CreateModelVersion) -> dict[str, Any]:
    """Make a version of a registered model; READY once the digest of its files is taken."""
    name, uri = checks.check_name(asked.name), required(asked.source, "source")
    tags = checks.check_tags(asked.tags)
    description = checks.check_description(asked.description)
    run_link = checks.check_length(asked.run_link, "run_link", LINK_CHARS_MAX)
    model = registered.model_of(await registered.current(s), name)
    digest: Digest | None
    if tags.get(IS_PROMPT_TAG, "").lower() == "true":
        if uri not in PROMPT_SOURCES:
            raise invalid(f"Invalid prompt source: '{uri}'. Prompt sources must use an MLflow placeholder.")
        source, digest = Source(uri, uri, "", "", [], {}), Digest()
    else:
        source = await model_sources.checked(s, uri, asked.run_id or None, asked.model_id or None)
        digest = await s.registering.digest(source.location)
    after, version = await registered.create_version(
        s, model, source, digest, run_link=run_link, description=description, tags=tags
    )
    return _answer(s, after, version.version)


async def get(s: Services, asked: GetModelVersion) -> dict[str, Any]:
    """A version of a registered model."""
    model, version = await _version(s, asked, asked.as_of)
    return _answer(s, model, version.version)


async def update(s: Services, asked: UpdateModelVersion) -> dict[str, Any]:
    """Set the description of a version."""
    model, version = await _version(s, asked)
    described = m.ModelVersionDescribed(version.version_id, checks.check_description(asked.description))
    return _answer(s, await registered.change(s, model, described), version.version)


async def transition(s: Services, asked: TransitionModelVersionStage) -> dict[str, Any]:
    """Move a version to a stage."""
    stage, comment = required(asked.stage, "stage"), checks.check_comment(asked.comment)
    model, version = await _version(s, asked)
    moved = m.StageTransitioned(version.version_id, stage, asked.archive_existing_versions, comment)
    return _answer(s, await registered.change(s, model, moved), version.version)


async def delete(s: Services, asked: ModelVersionName) -> dict[str, Any]:
    """Delete a version, its aliases with it; its history stays on the log."""
    model, version = await _version(s, asked)
    await registered.change(s, model, m.ModelVersionDeleted(version.version_id))
    return {}


async def get_download_uri(s: Services, asked: GetModelVersion) -> dict[str, Any]:
    """Where the files of a version lie."""
    _, version = await _version(s, asked, asked.as_of)
    return {"artifact_uri": model_sources.location_of(await s.past.registry(asked.as_of), version)}


async def search_versions(s: Services, asked: SearchModelVersions) -> dict[str, Any]:
    """Versions of all registered models by filter, in order, a page at a time; the last updated first."""
    validate.check_page(asked.max_results, PAGE_MAX)
    expression = parse(asked.filter, "model_versions")
    if expression is not None:
        expression = at_moment(expression, s.clock.time_ms())
    orders = parse_order_by(asked.order_by, "model_versions") or NEWEST_FIRST
    start = page_start(asked.page_token)
    registry, gone, end = await s.past.registry(asked.as_of), s.engine.gone(), start + asked.max_results

    def page() -> dict[str, Any]:
        named = registry_search.named(registry.models.by_name, expression)
        every = [Version(model, version) for model in named for version in model.live_versions()]
        found = registry_search.versions(every, expression, orders)
        return present(
            model_versions=[answers.model_version(x.model, x.version, gone) for x in found[start:end]],
            next_page_token=search.encode_page_token(end) if end < len(found) else None,
        )

    return await run_in_threadpool(page)


async def set_tag(s: Services, asked: SetModelVersionTag) -> dict[str, Any]:
    """Set a tag of a version."""
    key = validate.check_key(required(asked.key, "key"), "tag", "key")
    value = checks.check_tag_value(asked.value)
    model, version = await _version(s, asked)
    await registered.change(s, model, m.ModelVersionTagsSet(version.version_id, {key: value}))
    return {}


async def delete_tag(s: Services, asked: DeleteModelVersionTag) -> dict[str, Any]:
    """Take a tag of a version away; nothing happens where it has none of that key."""
    key = validate.check_key(required(asked.key, "key"), "tag", "key")
    model, version = await _version(s, asked)
    if key in version.tags:
        await registered.change(s, model, m.ModelVersionTagsDeleted(version.version_id, [key]))
    return {}


async def _version(s: Services, asked: ModelVersionName, as_of: str = "") -> tuple[RegisteredModel, ModelVersion]:
    """The version a request names. Raises RESOURCE_DOES_NOT_EXIST, INVALID_PARAMETER_VALUE."""
    name, number = checks.check_name(asked.name), checks.check_version(asked.version)
    model = registered.model_of(await s.past.registry(as_of), name)
    return model, registered.version_of(model, number)


def _answer(s: Services, model: RegisteredModel, number: int) -> dict[str, Any]:
    """The version as it is in this state of its model, also where it was deleted in the meantime."""
    return {"model_version": answers.model_version(model, model.versions[number], s.engine.gone())}


_ALL = "/model-versions"
add(router, "POST", f"{_ALL}/create", CreateModelVersion, create, "Create a version")
add(router, "GET", f"{_ALL}/get", GetModelVersion, get, "Get a version")
add(router, "PATCH", f"{_ALL}/update", UpdateModelVersion, update, "Describe a version")
add(router, "POST", f"{_ALL}/transition-stage", TransitionModelVersionStage, transition, "Move a version to a stage")
add(router, "DELETE", f"{_ALL}/delete", ModelVersionName, delete, "Delete a version")
add(router, "GET", f"{_ALL}/get-download-uri", GetModelVersion, get_download_uri, "Get where a version's files lie")
add(router, "GET", f"{_ALL}/search", SearchModelVersions, search_versions, "Search versions")
add(router, "POST", f"{_ALL}/set-tag", SetModelVersionTag, set_tag, "Set a tag of a version")
add(router, "DELETE", f"{_ALL}/delete-tag", DeleteModelVersionTag, delete_tag, "Delete a tag of a version")
