"""A rebuild ends with the views the log gives, wherever it was stopped, and readers never see a mixture."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from headrace.ingest import events as e
from headrace.ingest.log import Offsets, Partition
from headrace.processors.engine import Engine
from headrace.processors.rebuild import EXCHANGED, Rebuild, RebuildFailed, RebuildStopped, Result
from headrace.processors.rebuilding import ByEngine, Rebuilding
from headrace.processors.standing import ByHold
from headrace.processors.views import Views

World = Any  # the fixture of conftest.py
REBUILD, OLD = "default_rebuild", "default_old"


@pytest.fixture(autouse=True)
def _nothing_beside(world: World) -> Iterator[None]:
    yield
    for database in (REBUILD, OLD):
        world.views.drop_database(database)


@pytest.fixture
def filled(world: World) -> World:
    """Three runs with events of every kind, folded."""
    for run in ("r1", "r2", "r3"):
        for append in world.history(run):
            append()
    world.settle()
    return world


def run(world: World, engine: Engine, views: Views | None = None, **options: bool) -> Result:
    return Rebuild(world.log, views or world.views).run(engine.viewed.offsets, engine.exchange, **options)


def test_what_the_log_gives_takes_the_place_of_equal_views_and_the_old_are_kept_until_told(filled: World) -> None:
    before = filled.bytes()
    with filled.engine() as engine:
        result = run(filled, engine)
    assert [(one.table, one.equal) for one in result.compared] == [
        ("events", True),
        ("metrics", True),
        ("runs", True),
        ("metric_summary", True),
    ]
    assert all(one.live.rows > 0 for one in result.compared)
    assert (result.exchanged, result.old) == (True, OLD)
    assert filled.bytes() == before
    assert OLD in filled.views.databases()
    with filled.engine() as engine, pytest.raises(RebuildFailed, match="drop-old"):
        run(filled, engine)
    assert Rebuild(filled.log, filled.views).drop_old()
    assert not Rebuild(filled.log, filled.views).drop_old()
    with filled.engine() as engine:
        assert run(filled, engine).equal


def test_a_row_that_is_wrong_missing_or_doubled_is_found_and_gone_afterwards(filled: World) -> None:
    right = filled.bytes()
    faults = {
        "metrics": "INSERT INTO metrics SELECT * FROM metrics LIMIT 1",
        "events": "INSERT INTO events SELECT * REPLACE (7 AS time_ms) FROM events LIMIT 1",
        "runs": "INSERT INTO runs SELECT * REPLACE ('wrong' AS name) FROM runs FINAL LIMIT 1",
        "metric_summary": "INSERT INTO metric_summary SELECT * REPLACE (7 AS points) FROM metric_summary FINAL LIMIT 1",
    }
    for table, fault in faults.items():
        filled.views.command(fault)
        assert filled.bytes() != right
        with filled.engine() as engine:
            result = run(filled, engine)
            assert {one.table for one in result.compared if not one.equal} == {table}
            assert filled.bytes() == right
        Rebuild(filled.log, filled.views).drop_old()


def test_only_to_compare_leaves_readers_what_they_have(filled: World) -> None:
    filled.views.command("INSERT INTO metrics SELECT * FROM metrics LIMIT 1")
    wrong = filled.bytes()
    with filled.engine() as engine:
        result = run(filled, engine, exchange=False)
    assert not result.equal
    assert not result.exchanged
    assert filled.bytes() == wrong
    assert OLD not in filled.views.databases()


def test_the_views_from_before_can_be_brought_back_and_catch_up(filled: World) -> None:
    filled.views.command("INSERT INTO runs SELECT * REPLACE ('wrong' AS name) FROM runs FINAL WHERE run_id = 'r1'")
    with filled.engine() as engine:
        run(filled, engine)
        filled.points(("late", 1, 2.0), subject="r2")
        Rebuild(filled.log, filled.views).bring_back(engine.exchange)
        engine.stored().result(30)
        assert filled.view("SELECT name FROM runs FINAL WHERE run_id = 'r1'") == [("wrong",)]
        assert filled.view("SELECT count() FROM metrics WHERE key = 'late' AND run_id = 'r2'") == [(2,)]
        filled.views.drop_database(OLD)
        with pytest.raises(RebuildFailed, match="nothing to bring back"):
            Rebuild(filled.log, filled.views).bring_back(engine.exchange)


def test_writes_go_on_meanwhile_and_nothing_is_lost_or_doubled(filled: World) -> None:
    with filled.engine() as engine:

        def busy() -> Offsets:
            for append in filled.history(f"while-{len(engine.registry.experiments)}"):
                append()
            engine.stored().result(30)
            found: Offsets = engine.viewed.offsets()
            return found

        def busier(act: Any) -> None:
            filled.points(("late", 1, 2.0), subject="r1")

            def and_again(offsets: Mapping[Partition, int]) -> None:
                filled.points(("later", 1, 2.0), subject="r1")
                act(offsets)

            engine.exchange(and_again)

        result = Rebuild(filled.log, filled.views).run(busy, busier)
        assert result.equal
        assert result.exchanged
        filled.points(("latest", 1, 2.0), subject="r1")
        engine.stored().result(30)
    assert filled.snapshot() == filled.rebuilt()


def test_commands_and_reads_work_after_an_exchange_as_before(filled: World) -> None:
    with filled.engine() as engine:
        run(filled, engine)
        assert set(engine.registry.experiments) == {"x-r1", "x-r2", "x-r3"}
        position = filled.append(e.ExperimentCreated("new-r1"), "other")
        assert "already exists" in filled.outcome(engine, position).reason
        position = filled.append(e.AttributesLogged({"lr": "9"}, atomic=True), "r1")
        assert "was already logged" in filled.outcome(engine, position).reason
        assert engine.summaries(["r1"])["r1"]["loss"].points == 5
        filled.points(("loss", 9, 1.0), subject="r1")
        engine.stored().result(30)
        assert engine.summaries(["r1"])["r1"]["loss"].points == 6


def test_one_that_was_stopped_goes_on_where_it_was(filled: World) -> None:
    with filled.engine() as engine:
        stopped = Rebuild(filled.log, filled.views)
        asked = []

        def half_then_stop() -> Offsets:
            asked.append(1)
            if len(asked) == 3:
                stopped.stop()
            if len(asked) > 1:
                return {p: offset + 10_000 for p, offset in engine.viewed.offsets().items()}
            return {p: offset // 2 for p, offset in engine.viewed.offsets().items()}

        with pytest.raises(RebuildStopped):
            stopped.run(half_then_stop, engine.exchange)
        result = run(filled, engine)
        assert result.equal
        assert result.exchanged
        whole = 3 * 7
        assert 0 < result.progress.points < whole, "half of the points were there already"
        Rebuild(filled.log, filled.views).drop_old()
        assert run(filled, engine, restart=True).progress.points >= whole - 1


class CrashingViews:
    """Dies at its n-th exchange, before it or after it took effect."""

    def __init__(self, inner: Views, at: int, late: bool) -> None:
        self.inner, self.at, self.late = inner, at, late

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def exchange(self, other: Views, table: str) -> None:
        self.at -= 1
        if self.at or self.late:
            self.inner.exchange(other, table)
        if not self.at:
            raise Crash


class Crash(Exception):
    """The process died here."""


@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("at", range(1, len(EXCHANGED) + 1))
def test_a_crash_in_the_middle_of_an_exchange_is_finished_by_the_next_rebuild(
    filled: World, at: int, late: bool
) -> None:
    right = filled.bytes()
    filled.views.command("INSERT INTO metrics SELECT * FROM metrics LIMIT 1")
    filled.views.command("INSERT INTO runs SELECT * REPLACE ('wrong' AS name) FROM runs FINAL LIMIT 1")
    crashing: Any = CrashingViews(filled.views, at, late)
    with filled.engine() as engine, pytest.raises(Crash):
        run(filled, engine, crashing)
    with filled.engine() as engine:
        assert run(filled, engine).exchanged
        assert filled.bytes() == right
        filled.points(("late", 1, 2.0), subject="r1")
        engine.stored().result(30)
    assert OLD in filled.views.databases()
    assert REBUILD not in filled.views.databases()
    assert filled.snapshot() == filled.rebuilt()


def test_dead_letters_are_not_sent_again(filled: World) -> None:
    letters = len(filled.dead_letters())
    assert letters > 0
    with filled.engine() as engine:
        assert run(filled, engine).exchanged
    assert len(filled.dead_letters()) == letters


def test_views_that_nobody_follows_are_brought_to_the_end_first(world: World) -> None:
    for append in world.history("r1"):
        append()
    rebuilding = Rebuilding(world.log, world.views, ByHold(world.log, world.views))
    rebuilding.start()
    assert rebuilding.status()["state"] in ("running", "done")
    status = ended(rebuilding)
    assert (status["state"], status["equal"], status["exchanged"]) == ("done", True, True)
    assert {one["table"] for one in status["compared"]} == {"runs", "events", "metrics", "metric_summary"}
    assert world.snapshot() == world.rebuilt()


def test_only_one_runs_at_a_time_and_its_failure_is_told(filled: World) -> None:
    begun, go_on = threading.Event(), threading.Event()

    class Waiting(ByEngine):
        def run(self, rebuild: Rebuild, exchange: bool, restart: bool) -> Result:
            begun.set()
            assert go_on.wait(30)
            return super().run(rebuild, exchange, restart)

    with filled.engine() as engine:
        rebuilding = Rebuilding(filled.log, filled.views, Waiting(engine))
        assert rebuilding.status() == {"state": "idle"}
        rebuilding.start()
        assert begun.wait(30)
        with pytest.raises(RebuildFailed, match="runs already"):
            rebuilding.start()
        with pytest.raises(RebuildFailed, match="runs already"):
            rebuilding.drop_old()
        go_on.set()
        assert ended(rebuilding)["state"] == "done"
        rebuilding.start()
        status = ended(rebuilding)
        assert status["state"] == "failed"
        assert "drop-old" in status["error"]


def ended(rebuilding: Rebuilding) -> dict[str, Any]:
    thread = rebuilding._thread
    assert thread is not None
    thread.join(60)
    return rebuilding.status()
