"""Which version of a model was in a stage, or had an alias, at a moment: one question each."""

from __future__ import annotations

from typing import Any

import msgspec
from fastapi import APIRouter, Request, Response
from headrace.api import registered
from headrace.api.errors import invalid, missing
from headrace.api.mlflow import registry_answers as answers
from headrace.api.services import Services, services
from headrace.ingest.model_names import LATEST
from headrace.processors.registered_models import ACTIVE, RegisteredModel
from headrace.processors.registry import Registry

router = APIRouter(tags=["registered models"])
PATH = "/api/headrace/v1/models/{name}"


@router.get(f"{PATH}/stages/{{stage}}", summary="The versions of a model in a stage, now or at a moment")
async def get_stage(request: Request, name: str, stage: str, as_of: str = "") -> Response:
    """Every version that is in a stage, or was at the moment, the newest first: `model_versions`, as MLflow has them.

    name: the model's name at the moment, or the one it has now. as_of: a time or positions of the log.
    """
    s = services(request)
    registry, model = await _at(s, name, as_of)
    wanted = registry.models.stages.canonical(stage)
    if wanted is None:
        raise invalid(registry.models.stages.fault(stage))
    gone = s.engine.gone()
    found = [answers.model_version(model, one, gone) for one in model.live_versions() if one.stage == wanted]
    return _answer({"model_versions": found[::-1]})


@router.get(f"{PATH}/aliases/{{alias}}", summary="The version that an alias of a model points to, now or at a moment")
async def get_alias(request: Request, name: str, alias: str, as_of: str = "") -> Response:
    """The version that an alias points to, or pointed to at the moment: `model_version`. name, as_of: as for stages."""
    s = services(request)
    _, model = await _at(s, name, as_of)
    version = model.latest() if alias.lower() == LATEST else model.version(model.aliases.get(alias, 0))
    if version is None:
        raise missing(f"Registered model alias {alias} of {model.name} not found{f' as of {as_of}' if as_of else ''}.")
    return _answer({"model_version": answers.model_version(model, version, s.engine.gone())})


async def _at(s: Services, name: str, as_of: str) -> tuple[Registry, RegisteredModel]:
    """The registry at a moment, and the model of a name then; else the one that has the name now, as it was then.

    Raises RESOURCE_DOES_NOT_EXIST.
    """
    registry = await s.past.registry(as_of)
    found = registry.models.by_name.get(name)
    if found is None and as_of:
        holder = (await registered.current(s)).models.by_name.get(name)
        before = registry.models.by_id.get(holder.registered_model_id) if holder else None
        found = before if before is not None and before.lifecycle == ACTIVE else None
    return registry, found or registered.model_of(registry, name)


def _answer(told: dict[str, Any]) -> Response:
    return Response(msgspec.json.encode(told), media_type="application/json")
