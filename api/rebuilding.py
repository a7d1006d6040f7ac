"""The rebuild of this server's views over REST: begun, watched, stopped."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
from fastapi import APIRouter, Request, Response
from headrace.api.errors import ApiError, invalid
from headrace.api.services import Services, services
from headrace.processors.rebuild import RebuildFailed
from headrace.processors.rebuilding import Rebuilding
from starlette.concurrency import run_in_threadpool

router = APIRouter(tags=["rebuild"])
PATH = "/api/headrace/v1/rebuild"


class Asked(msgspec.Struct):
    """exchange: whether readers get the new views at the end, or only the comparison. restart: begin from nothing."""

    exchange: bool = True
    restart: bool = False


@contextmanager
def _rebuilding(s: Services) -> Iterator[Rebuilding]:
    if s.rebuilding is None:
        raise ApiError(
            "NOT_IMPLEMENTED",
            "This server is one of several, and workers write the views: run `headrace rebuild --log … --views …`",
        )
    try:
        yield s.rebuilding
    except RebuildFailed as error:
        raise invalid(str(error)) from error


def _answer(rebuilding: Rebuilding, status: int = 200) -> Response:
    return Response(msgspec.json.encode(rebuilding.status()), status, media_type="application/json")


@router.post(PATH, summary="Rebuild the views from the log", status_code=202)
async def start(request: Request) -> Response:
    """Begin a rebuild beside the live views, or go on with one that was stopped.

    Body, all optional: `exchange`, false only to compare; `restart`, true to begin from nothing.
    """
    body = await request.body()
    try:
        asked = msgspec.json.decode(body or b"{}", type=Asked)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise invalid(f"The body is not as it should be: {error}") from None
    s = services(request)
    if s.eraser.busy:
        raise invalid("A gc is under way, whose erased rows a rebuild would bring back: wait until it has ended")
    with _rebuilding(s) as rebuilding:
        rebuilding.start(asked.exchange, asked.restart)
        return _answer(rebuilding, 202)


@router.get(PATH, summary="A rebuild's progress")
async def status(request: Request) -> Response:
    """State, records and points folded, rate; at the end the comparison of each table, by rows and checksum."""
    with _rebuilding(services(request)) as rebuilding:
        return _answer(rebuilding)


@router.delete(PATH, summary="Stop a rebuild")
async def stop(request: Request) -> Response:
    """Stop the one that runs; what it has is kept, and the next start goes on from there."""
    with _rebuilding(services(request)) as rebuilding:
        await run_in_threadpool(rebuilding.stop)
        return _answer(rebuilding)


@router.post(f"{PATH}/back", summary="Bring back the views from before", status_code=202)
async def bring_back(request: Request) -> Response:
    """Exchange back to the views from before the last rebuild; what was logged since is folded into them."""
    with _rebuilding(services(request)) as rebuilding:
        rebuilding.bring_back()
        return _answer(rebuilding, 202)


@router.delete(f"{PATH}/old", summary="Drop the views from before")
async def drop_old(request: Request) -> Response:
    """Drop the views that were kept when the last rebuild was exchanged."""
    with _rebuilding(services(request)) as rebuilding:
        dropped = await run_in_threadpool(rebuilding.drop_old)
        return Response(msgspec.json.encode({"dropped": dropped}), media_type="application/json")
