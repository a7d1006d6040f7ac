"""What is told of endpoints: which version serves behind each route and since when, what loads, why one does not."""

from __future__ import annotations

from typing import Any

import msgspec
from headrace.api.serving.endpoint import EndpointServer, Resolve, Slot
from headrace.api.serving.resolving import Unresolved
from headrace.api.serving.served import Served
from headrace.processors.endpoints import Endpoint

READY, DEGRADED, LOADING, FAILED, ELSEWHERE, PAST = (
    "ready",
    "degraded",
    "loading",
    "failed",
    "not served here",
    "past",
)


class WorkerInfo(msgspec.Struct, frozen=True):
    """A worker process. rss_bytes: its resident memory. in_flight: requests it has not answered."""

    pid: int
    rss_bytes: int
    in_flight: int


class VersionInfo(msgspec.Struct, frozen=True):
    """A version that serves or loads. state: preparing, loading, ready, restarting or failed; since_ms: when it began.

    reason: what happened lately. load_s: what fetching and loading took. environment: where it runs. requests, errors
    (answers of 500 and more), latencies in ms (p50_ms and p99_ms to the width of a bucket): since the server started.
    """

    label: str
    model: str
    version: str
    model_id: str
    run_id: str
    digest: str
    state: str
    reason: str
    since_ms: int
    load_s: float
    environment: str
    workers: list[WorkerInfo]
    in_flight: int
    requests: int
    errors: int
    restarts: int
    mean_ms: float | None
    p50_ms: float | None
    p99_ms: float | None
    shadow: int = 0
    shadow_failed: int = 0
    shadow_dropped: int = 0


class RouteInfo(msgspec.Struct, frozen=True):
    """What is behind a `models:/` URI. names: the version that it names. state: ready, loading or failed. reason: why
    what it names does not serve.

    serving: the version that answers; loading: the one that will; previous: the one before, kept for going back.
    """

    model: str
    weight: float
    names: str
    state: str
    reason: str
    reason_since_ms: int
    serving: VersionInfo | None
    loading: VersionInfo | None
    previous: VersionInfo | None


class EndpointInfo(msgspec.Struct, frozen=True):
    """An endpoint. Times in ms since the epoch, UTC.

    state: ready; degraded (some route does not serve what it names); loading; failed; not served here; or past (asked
    as of a moment: what its routes named then). serving_before: versions of the routes before, which answer while none
    of these does.
    """

    name: str
    state: str
    routes: list[RouteInfo]
    shadow: RouteInfo | None
    options: dict[str, Any]
    creation_time_ms: int
    last_update_time_ms: int
    serving_before: list[str]
    predictions_dropped: int = 0


def info(
    state: Endpoint, server: EndpointServer | None, dropped: int, resolve: Resolve, past: bool = False
) -> EndpointInfo:
    """All of an endpoint. server: None where this process runs no workers for it, and of the past. resolve: the version
    that a URI names, at that moment; raises Unresolved."""
    absent = PAST if past else ELSEWHERE
    slots = server.slots if server is not None else {}

    def route(uri: str, weight: float) -> RouteInfo:
        slot = slots.get(uri) or Slot()
        names, why = "", slot.fault
        try:
            names = resolve(uri).label
        except Unresolved as error:
            why = why or str(error)
        return RouteInfo(
            uri,
            weight,
            names,
            _state(slot) if server is not None else absent,
            why,
            slot.fault_ms if slot.fault else 0,
            _version(slot.current),
            _version(slot.loading),
            _version(slot.previous),
        )

    routes = [route(one.model, one.weight) for one in state.routes]
    before = server.serving_before() if server is not None else []
    shadow = route(state.shadow, 0.0) if state.shadow else None
    return EndpointInfo(
        state.name,
        absent if server is None else _whole(routes, shadow, before),
        routes,
        shadow,
        {name: getattr(state.options, name) for name in state.options.__struct_fields__},
        state.creation_time_ms,
        state.last_update_time_ms,
        before,
        dropped,
    )


def _whole(routes: list[RouteInfo], shadow: RouteInfo | None, before: list[str]) -> str:
    if not before and not any(route.serving is not None for route in routes):
        return LOADING if any(route.loading is not None for route in routes) else FAILED
    every = [*routes, *([shadow] if shadow is not None else [])]
    return READY if all(route.state == READY for route in every) else DEGRADED


def _state(slot: Slot) -> str:
    if slot.fault:
        return FAILED
    if slot.current is None or not slot.current.serving:
        return LOADING
    return READY


def _version(served: Served | None) -> VersionInfo | None:
    if served is None:
        return None
    version, counted = served.version, served.stats

    def ms(seconds: float | None) -> float | None:
        return None if seconds is None else round(seconds * 1000, 3)

    requests = counted.requests
    return VersionInfo(
        version.label,
        version.model,
        version.version,
        version.model_id,
        version.run_id,
        version.digest,
        served.state,
        served.reason,
        served.since_ms,
        round(served.load_s, 3),
        served.environment,
        [WorkerInfo(one.pid, one.rss_bytes, one.in_flight) for one in served.workers],
        served.in_flight,
        requests,
        counted.errors,
        counted.restarts,
        ms(counted.seconds / requests if requests else None),
        ms(counted.quantile_s(0.5)),
        ms(counted.quantile_s(0.99)),
        counted.shadow,
        counted.shadow_failed,
        counted.shadow_dropped,
    )
