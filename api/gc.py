"""The route of `headrace gc`: erases for good what has been in the bin long enough, a bounded part of it a call."""

from __future__ import annotations

from typing import Annotated

import msgspec
from fastapi import APIRouter, Request, Response
from headrace.api.erasing_answers import Erased, Wanted, older_than_ms
from headrace.api.errors import invalid
from headrace.api.services import services
from headrace.api.structs import decoded, documented, schemas
from starlette.concurrency import run_in_threadpool

router = APIRouter(tags=["life cycle"])
PATH = "/api/headrace/v1/gc"
OLDER_THAN = "30d"
IDS_MAX = 1_000

Ids = Annotated[list[str], msgspec.Meta(max_length=IDS_MAX)]


class GcRequest(msgspec.Struct, frozen=True):
    """older_than: how long something must have been in the bin. run_ids, experiment_ids: only these, at once, which
    have to be in the bin. dry_run: only say what would be erased."""

    older_than: str = OLDER_THAN
    run_ids: Ids = []
    experiment_ids: Ids = []
    dry_run: bool = False


_ASKED, _ANSWER = schemas(GcRequest, Erased)
_decoder = msgspec.json.Decoder(GcRequest)


@router.post(PATH, summary="Erase for good what is in the bin", openapi_extra=documented(_ASKED, _ANSWER))
async def collect(request: Request) -> Response:
    """Erase artifacts, payloads of the log and rows of the views; tombstones are left.

    At most 100 runs a call: ask again while `more` is true. `left` says what was not erased, and why.
    """
    s = services(request)
    asked = decoded(_decoder, await request.body() or b"{}", "gc")
    wanted = Wanted(older_than_ms(asked.older_than), asked.run_ids, asked.experiment_ids)
    if s.rebuilding is not None:
        if s.rebuilding.status()["state"] == "running":
            raise invalid("A rebuild of the views is under way, which would bring rows back: wait, or stop it first")
        kept = [] if asked.dry_run else await run_in_threadpool(s.rebuilding.kept_beside)
        if kept:
            raise invalid(
                f"Views of a rebuild are kept in {' and '.join(kept)}, with what is to be erased: finish the rebuild"
                " (`headrace rebuild`), and drop the views from before (`headrace rebuild --drop-old`)"
            )
    answer = await s.eraser.erase(wanted, asked.dry_run)
    return Response(msgspec.json.encode(answer), media_type="application/json")
