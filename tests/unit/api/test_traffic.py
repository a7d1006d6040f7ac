"""What an endpoint was asked is counted by version and time, and told once or as it goes on."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from headrace.api.serving.traffic import SLOT_S, SLOTS_MAX, Traffic
from headrace.api.serving.traffic_routes import _messages

from tests.unit.api.conftest import Server

PATH = "/api/headrace/v1/endpoints"


def test_answers_are_counted_in_slots_by_version() -> None:
    traffic = Traffic()
    for at, version, status, seconds in [
        (1000.0, "a 1", 200, 0.004),
        (1001.0, "a 1", 503, 0.004),
        (1004.9, "a 2", 404, 0.2),
        (1005.0, "a 1", 200, 0.02),
    ]:
        traffic.answered(version, status, seconds, at)
    told = [(x.start_ms, x.version, x.requests, x.failed, x.refused, x.p50_ms) for x in traffic.since()]
    assert told == [
        (1_000_000, "a 1", 2, 1, 0, 5.0),
        (1_000_000, "a 2", 1, 0, 1, 250.0),
        (1_005_000, "a 1", 1, 0, 0, 25.0),
    ]
    assert [x.start_ms for x in traffic.since(1_005_000)] == [1_005_000]
    assert traffic.since()[0].mean_ms == 4.0


def test_only_the_last_slots_are_kept_and_a_clock_that_goes_back_loses_nothing() -> None:
    traffic = Traffic()
    for at in range(SLOTS_MAX + 5):
        traffic.answered("a", 200, 0.1, at * SLOT_S)
    traffic.answered("a", 200, 0.1, 0)
    told = traffic.since()
    assert (len(told), told[0].start_ms, told[-1].requests) == (SLOTS_MAX, 5 * SLOT_S * 1000, 2)


def test_the_99th_percentile_tells_of_the_slowest() -> None:
    traffic = Traffic()
    for seconds in [0.001] * 98 + [4.0] * 2:
        traffic.answered("a", 200, seconds, 0)
    [told] = traffic.since()
    assert (told.p50_ms, told.p99_ms) == (1.0, 5000.0)


def test_requests_that_found_nothing_to_serve_them_are_told_without_a_version(server: Server) -> None:
    server.call("POST", PATH, json={"name": "empty", "model": "models:/none/1"})
    assert server.call("POST", "/endpoints/empty/invocations", json={}).status_code == 503
    told = server.call("GET", f"{PATH}/empty/traffic").json()
    assert [(x["version"], x["requests"], x["failed"]) for x in told["slots"]] == [("", 1, 1)]
    assert server.call("GET", f"{PATH}/none/traffic").status_code == 404


def test_a_stream_tells_all_at_once_and_then_what_changes(server: Server) -> None:
    server.call("POST", PATH, json={"name": "told", "model": "models:/none/1"})
    traffic = Traffic()
    traffic.answered("a", 200, 0.1, 0)

    async def two() -> list[Any]:
        messages = _messages(server.services, "told", traffic)
        first = await anext(messages)
        asyncio.get_running_loop().call_soon(traffic.answered, "b", 200, 0.1, 0)
        second = await anext(messages)
        await messages.aclose()
        return [json.loads(x.removeprefix(b"data: ")) for x in (first, second)]

    first, second = server.wait(two())
    assert [x["version"] for x in first["slots"]] == ["a"]
    assert [x["version"] for x in second["slots"]] == ["a", "b"]
