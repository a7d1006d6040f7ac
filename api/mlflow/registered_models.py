"""Registered models: create, get, search, rename, describe, delete, their tags and aliases."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from headrace.api import registered, registry_search, search
from headrace.api.errors import invalid, missing
from headrace.api.filter import parse, parse_order_by
from headrace.api.mlflow import registry_answers as answers
from headrace.api.mlflow import registry_checks as checks
from headrace.api.mlflow import validate
from headrace.api.mlflow.wire import Body, Tag, add, page_start, present, required
from headrace.api.services import Services
from headrace.api.syntax import at_moment
from headrace.ingest import model_events as m
from headrace.ingest.model_names import LATEST
from headrace.processors.registered_models import RegisteredModel
from starlette.concurrency import run_in_threadpool

router = APIRouter(tags=["registered models"])
PAGE_MAX = 1_000


class CreateRegisteredModel(Body):
    """name: unique among the models that are there."""

    name: str = ""
    description: str = ""
    tags: list[Tag] = []


class RegisteredModelName(Body):
    name: str = ""


class GetRegisteredModel(RegisteredModelName):
    """as_of: a time or positions of the log; now if empty."""

    as_of: str = ""


class RenameRegisteredModel(RegisteredModelName):
    new_name: str = ""


class UpdateRegisteredModel(RegisteredModelName):
    description: str = ""


class SearchRegisteredModels(Body):
    """max_results: 1 to 1,000. as_of: as in GetRegisteredModel."""

    filter: str = ""
    max_results: int = 100
    order_by: list[str] = []
    page_token: str = ""
    as_of: str = ""


class GetLatestVersions(GetRegisteredModel):
    """stages: all if empty."""

    stages: list[str] = []


class SetRegisteredModelTag(RegisteredModelName):
    key: str = ""
    value: str = ""


class DeleteRegisteredModelTag(RegisteredModelName):
    key: str = ""


class RegisteredModelAlias(RegisteredModelName):
    alias: str = ""


class GetRegisteredModelAlias(RegisteredModelAlias):
    """as_of: as in GetRegisteredModel."""

    as_of: str = ""


class SetRegisteredModelAlias(RegisteredModelAlias):
    version: str = ""


async def create(s: Services, asked: CreateRegisteredModel) -> dict[str, Any]:
    """Create a registered model with a name nobody uses."""
    name, tags = checks.check_name(asked.name), checks.check_tags(asked.tags)
    return _answer(s, await registered.create_model(s, name, checks.check_description(asked.description), tags))


async def get(s: Services, asked: GetRegisteredModel) -> dict[str, Any]:
    """A registered model by its name, with the highest version of each stage."""
    return _answer(s, registered.model_of(await s.past.registry(asked.as_of), checks.check_name(asked.name)))


async def update(s: Services, asked: UpdateRegisteredModel) -> dict[str, Any]:
    """Set the description of a registered model."""
    model = await _model(s, asked.name)
    described = m.RegisteredModelDescribed(checks.check_description(asked.description))
    return _answer(s, await registered.change(s, model, described))


async def rename(s: Services, asked: RenameRegisteredModel) -> dict[str, Any]:
    """Rename a registered model, its versions with it."""
    name = checks.check_name(asked.new_name, "new_name")
    model = await _model(s, asked.name)
    return _answer(s, await registered.change(s, model, m.RegisteredModelRenamed(name)))


async def delete(s: Services, asked: RegisteredModelName) -> dict[str, Any]:
    """Delete a registered model and its versions; their history stays on the log."""
    await registered.change(s, await _model(s, asked.name), m.RegisteredModelDeleted())
    return {}


async def search_models(s: Services, asked: SearchRegisteredModels) -> dict[str, Any]:
    """Registered models by filter, in order, a page at a time."""
    validate.check_page(asked.max_results, PAGE_MAX)
    expression = parse(asked.filter, "registered_models")
    if expression is not None:
        expression = at_moment(expression, s.clock.time_ms())
    orders = parse_order_by(asked.order_by, "registered_models")
    start = page_start(asked.page_token)
    registry, gone, end = await s.past.registry(asked.as_of), s.engine.gone(), start + asked.max_results

    def page() -> dict[str, Any]:
        found = registry_search.models(registry_search.named(registry.models.by_name, expression), expression, orders)
        return present(
            registered_models=[answers.registered_model(model, gone) for model in found[start:end]],
            next_page_token=search.encode_page_token(end) if end < len(found) else None,
        )

    return await run_in_threadpool(page)


async def get_latest_versions(s: Services, asked: GetLatestVersions) -> dict[str, Any]:
    """The highest version in each stage."""
    registry = await s.past.registry(asked.as_of)
    model = registered.model_of(registry, checks.check_name(asked.name))
    stages = registry.models.stages
    wanted = set(stages.all)
    if asked.stages:
        unknown = next((stage for stage in asked.stages if stages.canonical(stage) is None), None)
        if unknown is not None:
            raise invalid(stages.fault(unknown))
        wanted = {stages.canonical(stage) or "" for stage in asked.stages}
    gone = s.engine.gone()
    found = [version for stage, version in model.latest_versions().items() if stage in wanted]
    return present(model_versions=[answers.model_version(model, version, gone) for version in found])


async def set_tag(s: Services, asked: SetRegisteredModelTag) -> dict[str, Any]:
    """Set a tag of a registered model."""
    key = validate.check_key(required(asked.key, "key"), "tag", "key")
    value = checks.check_tag_value(asked.value)
    await registered.change(s, await _model(s, asked.name), m.RegisteredModelTagsSet({key: value}))
    return {}


async def delete_tag(s: Services, asked: DeleteRegisteredModelTag) -> dict[str, Any]:
    """Take a tag of a registered model away; nothing happens where it has none of that key."""
    key = validate.check_key(required(asked.key, "key"), "tag", "key")
    model = await _model(s, asked.name)
    if key in model.tags:
        await registered.change(s, model, m.RegisteredModelTagsDeleted([key]))
    return {}


async def set_alias(s: Services, asked: SetRegisteredModelAlias) -> dict[str, Any]:
    """Let an alias point to a version, whatever it pointed to before."""
    alias, number = checks.check_alias(required(asked.alias, "alias")), checks.check_version(asked.version)
    model = await _model(s, asked.name)
    await registered.change(s, model, m.AliasSet(alias, registered.version_of(model, number).version_id))
    return {}


async def delete_alias(s: Services, asked: RegisteredModelAlias) -> dict[str, Any]:
    """Take an alias away; nothing happens where there is none of that name."""
    alias = checks.check_alias(required(asked.alias, "alias"), reserved=False)
    model = await _model(s, asked.name)
    if alias in model.aliases:
        await registered.change(s, model, m.AliasDeleted(alias))
    return {}


async def get_alias(s: Services, asked: GetRegisteredModelAlias) -> dict[str, Any]:
    """The version an alias points to; `latest` is the highest."""
    alias = checks.check_alias(required(asked.alias, "alias"), reserved=False)
    model = registered.model_of(await s.past.registry(asked.as_of), checks.check_name(asked.name))
    if alias.lower() == LATEST:
        version = model.latest()
        if version is None:
            raise missing(f"Latest version not found for model {model.name}.")
    elif alias not in model.aliases:
        raise invalid(f"Registered model alias {alias} not found.")
    else:
        version = registered.version_of(model, model.aliases[alias])
    return {"model_version": answers.model_version(model, version, s.engine.gone())}


async def _model(s: Services, name: str) -> RegisteredModel:
    return registered.model_of(await registered.current(s), checks.check_name(name))


def _answer(s: Services, model: RegisteredModel) -> dict[str, Any]:
    return {"registered_model": answers.registered_model(model, s.engine.gone())}


_ALL = "/registered-models"
add(router, "POST", f"{_ALL}/create", CreateRegisteredModel, create, "Create a registered model")
add(router, "GET", f"{_ALL}/get", GetRegisteredModel, get, "Get a registered model")
add(router, "PATCH", f"{_ALL}/update", UpdateRegisteredModel, update, "Describe a registered model")
add(router, "POST", f"{_ALL}/rename", RenameRegisteredModel, rename, "Rename a registered model")
add(router, "DELETE", f"{_ALL}/delete", RegisteredModelName, delete, "Delete a registered model")
add(router, "GET", f"{_ALL}/search", SearchRegisteredModels, search_models, "Search registered models")
add(router, "POST", f"{_ALL}/get-latest-versions", GetLatestVersions, get_latest_versions, "Get latest versions")
add(router, "GET", f"{_ALL}/get-latest-versions", GetLatestVersions, get_latest_versions, "Get latest versions")
add(router, "POST", f"{_ALL}/set-tag", SetRegisteredModelTag, set_tag, "Set a tag of a registered model")
add(router, "DELETE", f"{_ALL}/delete-tag", DeleteRegisteredModelTag, delete_tag, "Delete a tag of a registered model")
add(router, "POST", f"{_ALL}/alias", SetRegisteredModelAlias, set_alias, "Set an alias")
add(router, "DELETE", f"{_ALL}/alias", RegisteredModelAlias, delete_alias, "Delete an alias")
add(router, "GET", f"{_ALL}/alias", GetRegisteredModelAlias, get_alias, "Get the version of an alias")
