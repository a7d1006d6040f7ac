"""`GET …/endpoints/{name}/traffic`: what an endpoint was asked lately, once or as it goes on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from typing import Final

import msgspec
from fastapi import APIRouter, Request, Response
from headrace.api.errors import missing, unavailable
from headrace.api.feed.stream import EventStream
from headrace.api.mlflow.wire import json_response
from headrace.api.services import Services, services
from headrace.api.serving.traffic import SLOT_S, SlotInfo, Traffic
from headrace.api.structs import documented, schemas
from headrace.ingest.topics import REGISTRY

router = APIRouter(tags=["endpoints"])
EVENTS: Final = "text/event-stream"
STEP_S: Final = 1.0
"""So often a stream tells at most."""
HEARTBEAT_S: Final = 15.0
FOLLOWERS_MAX: Final = 100
"""Streams of a server at once."""


class TrafficResponse(msgspec.Struct, frozen=True):
    """slots: oldest first; one without requests is left out. slot_s: their length. now_ms: the server's clock."""

    slot_s: int
    now_ms: int
    slots: list[SlotInfo]


@router.get(
    "/api/headrace/v1/endpoints/{name}/traffic",
    summary="Requests, errors and latencies of an endpoint in the last minutes, by version",
    openapi_extra=documented(None, *schemas(TrafficResponse), media=[EVENTS]),
)
async def get_traffic(request: Request, name: str) -> Response:
    """Since this server started, the last twenty minutes at most. JSON; or, where `Accept` asks for server-sent events,
    the same at once and then those slots that change, once a second at most."""
    s = services(request)
    await s.tracking.folded(REGISTRY)
    if name not in s.engine.registry.endpoints:
        raise missing(f"No endpoint {name!r} exists")
    s.fleet.refresh()
    server = s.fleet.endpoints.get(name)
    traffic = server.traffic if server is not None else Traffic()
    if EVENTS not in request.headers.get("accept", ""):
        return json_response(_told(traffic, 0))
    if s.fleet.followers >= FOLLOWERS_MAX or s.feed.closing.is_set():
        raise unavailable(f"{FOLLOWERS_MAX} pages follow endpoints of this server, or it is stopping; try again later.")
    s.fleet.followers += 1

    def left() -> None:
        s.fleet.followers -= 1

    return EventStream(_messages(s, name, traffic), s.feed.closing, left)


def _told(traffic: Traffic, start_ms: int) -> TrafficResponse:
    return TrafficResponse(SLOT_S, time.time_ns() // 1_000_000, traffic.since(start_ms))


async def _messages(s: Services, name: str, traffic: Traffic) -> AsyncGenerator[bytes]:
    closing = s.feed.closing
    start_ms = 0
    while not closing.is_set() and name in s.engine.registry.endpoints:
        traffic.changed.clear()
        told = _told(traffic, start_ms)
        start_ms = told.slots[-1].start_ms if told.slots else 0
        yield b"data: %b\n\n" % msgspec.json.encode(told)
        if await _within(closing, STEP_S):
            return
        while not await _within(traffic.changed, HEARTBEAT_S):
            if closing.is_set() or name not in s.engine.registry.endpoints:
                return
            yield b": heartbeat\n\n"


async def _within(event: asyncio.Event, seconds: float) -> bool:
    """Whether it is set within so long."""
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return False
    return True
