"""Whether the server works, what version it is, and how far its views are behind the log."""

from __future__ import annotations

from importlib.metadata import version

import msgspec
from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse
from headrace.api.services import services

router = APIRouter(tags=["server"])
VERSION = version("headrace")


@router.get("/health", summary="Is it up", response_class=PlainTextResponse)
async def health() -> Response:
    """200 and `OK` as long as the server answers."""
    return Response("OK", media_type="text/plain")


@router.get("/version", summary="Version", response_class=PlainTextResponse)
async def get_version() -> Response:
    """The server's version as plain text."""
    return Response(VERSION, media_type="text/plain")


@router.get("/api/headrace/v1/status", summary="Positions and faults")
async def status(request: Request) -> Response:
    """For each partition: the log's end, how far it is folded, and how far the views are; and what is wrong, if it is.

    `stored_by`: who writes the views, `this server` or `workers`.
    `fault`: why the views cannot be written now, or null. `counters`: since the server's start.
    """
    s = services(request)
    folded, viewed = s.engine.folded.offsets(), s.engine.viewed.offsets()
    answer = {
        "version": VERSION,
        "data_dir": str(s.settings.data_dir.resolve()),
        "stored_by": "this server" if s.rebuilding is not None else "workers",
        "fault": s.engine.fault,
        "partitions": [
            {
                "topic": partition.topic,
                "partition": partition.partition,
                "end": end,
                "folded": folded.get(partition, end),
                "viewed": viewed.get(partition, end),
            }
            for partition, end in (await s.ends.now()).items()
        ],
        "counters": {name: getattr(s.engine.counters, name) for name in s.engine.counters.__dataclass_fields__},
        "running_with_heartbeat": len(s.engine.beating),
    }
    return Response(msgspec.json.encode(answer), media_type="application/json")
