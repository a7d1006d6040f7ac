"""The stages that versions of registered models can be in: read and set."""

from __future__ import annotations

import msgspec
from fastapi import APIRouter, Request, Response
from headrace.api import registered
from headrace.api.errors import invalid
from headrace.api.services import Services, services
from headrace.api.structs import decoded, documented, schemas
from headrace.ingest import model_events as m
from headrace.processors.registered_models import Stages as Held

router = APIRouter(tags=["registered models"])
PATH = "/api/headrace/v1/registry/stages"


class SetStages(msgspec.Struct, frozen=True):
    """stages: those between None and Archived, in the order in which they are passed."""

    stages: list[str]


class Stages(msgspec.Struct, frozen=True):
    """stages: every one, from None to Archived. active: those between, of which a transition can archive the others."""

    stages: list[str]
    active: list[str]


_ASKED, _ANSWER = schemas(SetStages, Stages)
_decoder = msgspec.json.Decoder(SetStages)


@router.get(PATH, summary="The stages of versions", openapi_extra=documented(None, _ANSWER))
async def get_stages(request: Request, as_of: str = "") -> Response:
    """Every stage a version can be in, in order. `as_of`: a time or positions of the log; now if empty."""
    return _answer((await services(request).past.registry(as_of)).models.stages)


@router.put(PATH, summary="Set the stages of versions", openapi_extra=documented(_ASKED, _ANSWER))
async def set_stages(request: Request) -> Response:
    """Set the stages between None and Archived. Refused while a version is in one that would be none any more."""
    asked = decoded(_decoder, await request.body() or b"{}", "stages")
    s: Services = services(request)
    refusal = await s.tracking.command(m.STAGES_SUBJECT, m.StagesSet(asked.stages))
    if refusal is not None:
        raise invalid(refusal)
    return _answer((await registered.current(s)).models.stages)


def _answer(held: Held) -> Response:
    answer = Stages(list(held.all), list(held.between))
    return Response(msgspec.json.encode(answer), media_type="application/json")
