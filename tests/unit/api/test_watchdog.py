"""Runs whose trainer went silent are marked once, by the clock they are given."""

from __future__ import annotations

from typing import Any

from headrace.api.watchdog import Watchdog
from headrace.ingest import codec, events
from headrace.ingest.envelope import Envelope
from headrace.ingest.limits import DEFAULT_EXPERIMENT_ID

Server = Any  # the fixture of conftest.py


def log(server: Server, run_id: str, event: events.Event) -> None:
    """An event of a trainer, folded."""
    envelope = Envelope("1", codec.type_of(event), "t", run_id, 0, codec.encode_event(event))
    server.wait(server.services.appender.append([envelope]))
    folded(server)


def folded(server: Server) -> None:
    server.services.engine.stored().result(30)


def watchdog(server: Server) -> Watchdog:
    s = server.services
    return Watchdog(s.engine, s.appender, s.clock, misses=3)


def status(server: Server, run_id: str) -> str:
    state = server.services.engine.run(run_id)
    assert state is not None
    found: str = state.status
    return found


def test_a_silent_run_is_marked_once_says_why_and_is_revived_by_a_heartbeat(server: Server) -> None:
    dog = watchdog(server)
    log(server, "w1", events.RunCreated(DEFAULT_EXPERIMENT_ID, 1, heartbeat_interval_s=5.0))
    server.clock.advance(15)
    assert server.wait(dog.check()) == 0
    server.clock.advance(1)
    assert server.wait(dog.check()) == 1
    folded(server)
    assert server.wait(dog.check()) == 0
    state = server.services.engine.run("w1")
    assert state.status == "FAILED"
    assert state.status_reason.startswith("no heartbeat for 16 s")
    log(server, "w1", events.RunHeartbeat())
    assert status(server, "w1") == "RUNNING"
    assert server.wait(dog.check()) == 0
    log(server, "w1", events.RunEnded("FINISHED", 9))


def test_a_run_that_beats_that_has_ended_or_that_promised_nothing_is_left_alone(server: Server) -> None:
    dog = watchdog(server)
    log(server, "beats", events.RunCreated(DEFAULT_EXPERIMENT_ID, 1, heartbeat_interval_s=5.0))
    log(server, "ended", events.RunCreated(DEFAULT_EXPERIMENT_ID, 1, heartbeat_interval_s=5.0))
    log(server, "ended", events.RunEnded("FINISHED", 9))
    log(server, "promised nothing", events.RunCreated(DEFAULT_EXPERIMENT_ID, 1))
    for _ in range(4):
        server.clock.advance(10)
        log(server, "beats", events.RunHeartbeat())
        assert server.wait(dog.check()) == 0
    log(server, "beats", events.RunEnded("FINISHED", 9))


def test_silence_is_counted_from_the_servers_start_at_the_earliest(server: Server) -> None:
    log(server, "w2", events.RunCreated(DEFAULT_EXPERIMENT_ID, 1, heartbeat_interval_s=5.0))
    server.clock.advance(3600)
    dog = watchdog(server)
    assert server.wait(dog.check()) == 0
    server.clock.advance(16)
    assert server.wait(dog.check()) == 1
    folded(server)
    assert status(server, "w2") == "FAILED"
