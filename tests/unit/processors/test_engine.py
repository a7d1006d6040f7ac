"""The engine over a real view store: outcomes, exact views, restarts, faults."""

from __future__ import annotations

import threading
from typing import Any

import pyarrow as pa
import pytest
from headrace.ingest import events as e
from headrace.ingest.envelope import Envelope
from headrace.ingest.log import Log, LogUnavailable, Offsets, Partition, Position
from headrace.ingest.memory import MemoryLog
from headrace.ingest.polling import PollingFollower
from headrace.processors.outcome import APPLIED, REFUSED, REJECTED, SKIPPED, Outcome
from headrace.processors.views import Views, ViewsUnavailable

World = Any  # the fixture of conftest.py

RUN = e.RunCreated("0", 10, name="one")


class Wrapped:
    """A log or views that something may happen to on the way in. Stands where the real one would."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


class FailingViews(Wrapped):
    """Each insert fails the first `times`; after it took effect where `late`."""

    def __init__(self, inner: Views, times: int, late: bool) -> None:
        super().__init__(inner)
        self.times, self.late = times, late
        self.failed: dict[str, int] = {}

    def insert(self, table: str, rows: pa.Table, guard: str | None = None) -> None:
        count = self.failed[table] = self.failed.get(table, 0) + 1
        if self.late and count == 1:
            self.inner.insert(table, rows)
        if count <= self.times:
            raise ViewsUnavailable("the disk is on holiday")
        self.inner.insert(table, rows)


class FullLog(Wrapped):
    """Refuses appends while it is full."""

    full = True

    def append(self, envelopes: list[Envelope]) -> list[Position]:
        if self.full:
            raise LogUnavailable("no space left")
        appended: list[Position] = self.inner.append(envelopes)
        return appended


# --- outcomes and states ----------------------------------------------------------------------------------------------


def test_a_command_is_told_its_outcome_and_the_state_holds_it(world: World) -> None:
    with world.engine() as engine:
        assert world.outcome(engine, world.append(RUN)) == Outcome(APPLIED)
        run = engine.run("r1")
    assert (run.name, run.status, run.tags) == ("one", "RUNNING", {"mlflow.runName": "one"})


def test_an_outcome_that_came_before_anyone_asked_is_told_still(world: World) -> None:
    position = world.append(RUN)
    with world.engine() as engine:
        engine.stored().result(30)
        assert world.outcome(engine, position) == Outcome(APPLIED)


def test_a_changed_param_is_refused_and_leaves_the_state_as_it_was(world: World) -> None:
    with world.engine() as engine:
        world.append(RUN)
        world.append(e.AttributesLogged({"lr": "1"}, {"a": "b"}))
        position = world.append(e.AttributesLogged({"lr": "2", "new": "3"}, {"a": "c"}, atomic=True))
        outcome = world.outcome(engine, position)
        run = engine.run("r1")
    assert outcome.kind == REFUSED
    assert "Changing param values is not allowed" in outcome.reason
    assert (run.params, run.tags["a"]) == ({"lr": "1"}, "b")


def test_an_sdk_event_with_a_changed_param_keeps_the_rest(world: World) -> None:
    world.append(e.AttributesLogged({"lr": "1"}), writer="w", sequence=1)
    world.append(e.AttributesLogged({"lr": "2", "new": "3"}, {"a": "c"}), writer="w", sequence=2)
    run = world.settle().run("r1")
    assert (run.params, run.tags) == ({"lr": "1", "new": "3"}, {"a": "c"})


def test_what_came_before_its_run_was_created_is_kept(world: World) -> None:
    world.append(e.AttributesLogged({"lr": "1"}, {"a": "early"}))
    world.append(e.RunEnded("FAILED", 30))
    world.append(e.RunCreated("7", 10, params={"lr": "9", "p": "q"}, tags={"a": "late"}))
    run = world.settle().run("r1")
    assert (run.params, run.tags, run.status, run.experiment_id) == (
        {"lr": "1", "p": "q"},
        {"a": "early"},
        "FAILED",
        "7",
    )


def test_the_views_hold_exactly_what_was_logged(world: World) -> None:
    world.append(RUN)
    world.points(("loss", 2, 0.5), ("loss", 1, float("nan")), ("acc", -3, float("inf")), writer="w", sequence=1)
    world.settle()
    assert world.view("SELECT run_id, created, name, offset FROM runs FINAL") == [("r1", True, "one", 0)]
    assert world.view("SELECT topic, offset, type, outcome FROM events") == [
        ("runs", 0, "headrace.run.created", "applied")
    ]
    points = world.view("SELECT key, step, toString(value), writer, sequence, offset, item FROM metrics ORDER BY item")
    assert points == [
        ("loss", 2, "0.5", "w", 1, 0, 0),
        ("loss", 1, "nan", "w", 1, 0, 1),
        ("acc", -3, "inf", "w", 1, 0, 2),
    ]
    summary = world.view(
        "SELECT key, last_step, last_value, value_min, value_max, points, nan_points FROM metric_summary FINAL"
        " ORDER BY key"
    )
    inf = float("inf")
    assert summary == [("acc", -3, inf, inf, inf, 1, 0), ("loss", 2, 0.5, 0.5, 0.5, 2, 1)]


# --- poison, unknown, repeated, missed --------------------------------------------------------------------------------


def test_a_poison_event_goes_to_the_dead_letters_with_its_reason_and_the_flow_goes_on(world: World) -> None:
    with world.engine() as engine:
        poison = world.raw("headrace.run.created", b'{"experiment_id": 5}')
        assert world.outcome(engine, poison).kind == REJECTED
        assert world.outcome(engine, world.append(RUN)).kind == APPLIED
        world.raw(e.METRICS_LOGGED, b"no arrow")
        world.points(("k", 1, 1.0))
        engine.stored().result(30)
    [first, second] = world.dead_letters()
    assert (first.record, first.data) == ("runs/0/0", b'{"experiment_id": 5}')
    assert "experiment_id" in first.reason
    assert (second.record, second.data) == ("metrics/0/0", b"no arrow")
    assert world.view("SELECT topic, offset, outcome FROM events WHERE outcome = 'rejected' ORDER BY topic") == [
        ("metrics", 0, "rejected"),
        ("runs", 0, "rejected"),
    ]
    assert world.view("SELECT count() FROM metrics") == [(1,)]


def test_a_poison_event_is_told_once_however_often_the_engine_starts(world: World) -> None:
    world.raw("headrace.run.created", b"poison")
    world.raw("headrace.experiment.created", b"poison")
    world.raw(e.METRICS_LOGGED, b"poison")
    for _ in range(3):
        world.settle()
    assert len(world.dead_letters()) == 3
    assert world.view("SELECT count() FROM events") == [(3,)]


def test_a_poison_event_of_a_writer_is_no_gap_and_its_repetition_no_second_letter(world: World) -> None:
    world.raw("headrace.run.created", b"poison", writer="w", sequence=1)
    world.raw("headrace.run.created", b"poison", writer="w", sequence=1)
    world.append(e.RunEnded("FINISHED", 5), writer="w", sequence=2)
    engine = world.settle()
    assert (engine.counters.missed, engine.counters.duplicates, engine.counters.rejected) == (0, 1, 1)
    assert len(world.dead_letters()) == 1
    assert engine.run("r1").status == "FINISHED"


def test_a_poison_event_while_the_log_is_full_costs_no_point_and_no_state(world: World) -> None:
    world.append(e.ExperimentCreated("one"), "x")
    world.raw("headrace.experiment.created", b"poison", "y")
    world.points(("k", 1, 1.0), writer="w", sequence=1)
    world.raw(e.METRICS_LOGGED, b"poison", writer="w", sequence=2)
    world.points(("k", 2, 2.0), writer="w", sequence=3)
    memory = world.log
    world.log = FullLog(memory)
    with world.engine() as engine:
        engine.stored().result(30)
        world.log.full = False
        end = world.log.end() | {Partition("dead_letters", 0): 0}
        memory.append([Envelope("x", "headrace.run.heartbeat", "", "r9", 0, b"{}")])
        engine.stored().result(30)
        assert world.log.wait(end, 30)
    assert world.view("SELECT step FROM metrics ORDER BY step") == [(1,), (2,)]
    assert world.view("SELECT outcome FROM events WHERE subject = 'x'") == [("applied",)]


def test_an_event_of_a_future_type_or_version_is_kept_and_skipped(world: World) -> None:
    with world.engine() as engine:
        position = world.raw("headrace.run.paused", b'{"why": "lunch"}')
        assert world.outcome(engine, position).kind == SKIPPED
        world.append(e.RunEnded("FINISHED", 5), version=2)
        world.raw("headrace.webhook.created", b"{}", "e1")
        world.raw("headrace.metrics.profiled", b"?")
        engine.stored().result(30)
    kept = world.view("SELECT topic, type, outcome, data FROM events ORDER BY topic, offset")
    assert [row[:3] for row in kept] == [
        ("metrics", "headrace.metrics.profiled", "skipped"),
        ("registry", "headrace.webhook.created", "skipped"),
        ("runs", "headrace.run.paused", "skipped"),
        ("runs", "headrace.run.ended", "skipped"),
    ]
    assert kept[2][3] == '{"why": "lunch"}'
    assert world.dead_letters() == []


def test_what_a_writer_sends_twice_counts_once_also_across_a_restart(world: World) -> None:
    def send() -> None:
        world.append(e.AttributesLogged({}, {"a": "1"}), writer="w", sequence=1)
        world.points(("k", 1, 1.0), writer="w", sequence=1)
        world.append(e.ExperimentCreated("one"), "x", writer="w", sequence=1)

    send()
    send()
    first = world.settle()
    send()
    second = world.settle()
    assert (first.counters.duplicates, first.counters.missed) == (3, 0)
    assert second.counters.missed == 0
    assert world.view("SELECT count(), sum(value) FROM metrics") == [(1, 1.0)]
    assert world.view("SELECT points FROM metric_summary FINAL") == [(1,)]
    assert world.view("SELECT topic, count() FROM events GROUP BY topic ORDER BY topic") == [
        ("registry", 1),
        ("runs", 1),
    ]


def test_what_a_writer_sent_and_never_came_is_counted(world: World) -> None:
    world.append(RUN, writer="w", sequence=1)
    world.append(e.RunEnded("FINISHED", 5), writer="w", sequence=4)
    world.points(("k", 1, 1.0), writer="w", sequence=3)
    assert world.settle().counters.missed == 2 + 2


# --- faults of the views ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
def test_views_that_fail_for_a_while_end_with_every_row_once(world: World, late: bool) -> None:
    for append in world.history():
        append()
    with world.engine(FailingViews(world.views, 2, late)) as engine:
        engine.stored().result(30)
        assert engine.fault is None
    held = world.snapshot()
    raw = {table: world.view(f"SELECT count() FROM {table}") for table in held}
    assert held == world.rebuilt()
    assert raw == {table: world.view(f"SELECT count() FROM {table}") for table in held}


def test_while_the_views_fail_the_engine_says_why_and_commands_have_their_outcome(world: World) -> None:
    with world.engine(FailingViews(world.views, 10**9, False)) as engine:
        assert world.outcome(engine, world.append(RUN)).kind == APPLIED
        faults = threading.Event()
        waiting = engine.stored()
        assert not waiting.done()
        while engine.fault is None:
            assert not faults.wait(0.01)
        assert "the disk is on holiday" in engine.fault
        waiting.cancel()


def test_a_fault_of_the_log_is_told_and_gone_with_its_cause(world: World) -> None:
    class Broken(Wrapped):
        broken = True

        def read(self, *arguments: Any) -> Any:
            if self.broken:
                raise LogUnavailable("the cable is out")
            return self.inner.read(*arguments)

        def follow(self, offsets: Offsets) -> PollingFollower:
            return PollingFollower(self, offsets)

    memory: Log = MemoryLog(world.clock)
    world.log = Broken(memory)
    world.append(RUN)
    with world.engine() as engine:
        waiting = engine.stored()
        while engine.fault is None:
            assert not waiting.done()
        world.log.broken = False
        waiting.result(30)
        assert engine.run("r1") is not None


# --- replay -----------------------------------------------------------------------------------------------------------


def test_replay_from_zero_gives_byte_equal_views(world: World) -> None:
    with world.engine() as engine:
        for run in ("r1", "r2", "r3"):
            for append in world.history(run):
                append()
            engine.stored().result(30)
    live = world.bytes()
    world.empty_views()
    world.settle()
    assert world.bytes() == live


# --- heartbeats -------------------------------------------------------------------------------------------------------


def test_a_heartbeat_revives_a_run_that_was_silenced_and_no_other(world: World) -> None:
    for run, reason in (("silent", "no heartbeat for 9 s"), ("failed", "out of memory")):
        world.append(e.RunCreated("0", 1, heartbeat_interval_s=3.0), run)
        world.append(e.RunEnded("FAILED", 5, reason), run)
        world.append(e.RunHeartbeat(), run)
    engine = world.settle()
    assert engine.run("silent").status == "RUNNING"
    assert engine.run("failed").status == "FAILED"
    assert set(engine.beating) == {"silent"}


def test_silence_does_not_overrule_the_trainers_own_end(world: World) -> None:
    world.append(e.RunCreated("0", 1, heartbeat_interval_s=3.0))
    world.append(e.RunEnded("FINISHED", 5))
    with world.engine() as engine:
        outcome = world.outcome(engine, world.append(e.RunEnded("FAILED", 6, "no heartbeat for 9 s")))
        assert (outcome.kind, engine.run("r1").status) == (REFUSED, "FINISHED")


def test_a_restarted_engine_knows_who_promised_heartbeats(world: World) -> None:
    world.append(e.RunCreated("0", 1, heartbeat_interval_s=3.0))
    world.settle()
    assert world.settle().beating == {"r1": (1_000_000, 3.0)}
