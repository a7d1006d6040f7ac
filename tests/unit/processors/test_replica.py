"""What an API process holds where workers store: its own fold decides commands, the group says how far views are."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import TimeoutError as NotYet
from contextlib import contextmanager
from typing import Any

import pytest
from headrace.ingest import events as e
from headrace.ingest.log import Partition
from headrace.ingest.topics import FOLDED, METRICS, REGISTRY, RUNS
from headrace.processors import states
from headrace.processors.outcome import APPLIED, REFUSED
from headrace.processors.replica import Replica
from headrace.processors.views import ViewsUnavailable

from tests.group_log import GroupLog
from tests.world import World


@pytest.fixture
def log(world: World) -> GroupLog:
    """A log with a group, under the world."""
    log = GroupLog(world.clock)
    world.log = log
    return log


@contextmanager
def following(world: World, log: GroupLog, views: Any = None) -> Iterator[Replica]:
    """A replica that follows, for as long as the block lasts."""
    replica = Replica(log, views or world.views)
    replica.start()
    try:
        yield replica
    finally:
        replica.stop()


def store(world: World, log: GroupLog) -> None:
    """What workers do: fold all there is into the views, and commit."""
    world.settle()
    log.commit({p: offset for p, offset in log.end().items() if p.topic in FOLDED})


def folded(world: World, replica: Replica) -> None:
    """Wait until it has folded all of runs and registry."""
    ends = {p: offset for p, offset in world.log.end().items() if p.topic in (RUNS, REGISTRY)}
    replica.folded.reached(ends).result(30)


class Broken:
    """Views of which some queries fail for a while."""

    def __init__(self, inner: Any, part: str) -> None:
        self.inner, self.part = inner, part
        self.failed = threading.Event()
        self.mended = threading.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def rows(self, sql: str, parameters: Any = None) -> Any:
        if self.part in sql and not self.mended.is_set():
            self.failed.set()
            raise ViewsUnavailable("ClickHouse is on holiday")
        return self.inner.rows(sql, parameters)


def test_a_command_is_decided_without_workers_and_without_views(world: World, log: GroupLog) -> None:
    with following(world, log) as replica:
        world.append(e.ExperimentCreated("one"), "x1")
        refused = world.append(e.ExperimentCreated("one"), "x2")
        created = world.append(e.RunCreated("1", 10, name="run"))
        assert replica.outcome(created).result(30).kind == APPLIED
        assert replica.outcome(refused).result(30).kind == REFUSED
        state = replica.run("r1")
        assert state is not None
        assert state.name == "run"
    assert world.view("SELECT count() FROM runs") == [(0,)]


def test_readers_wait_until_the_group_has_committed(world: World, log: GroupLog) -> None:
    with following(world, log) as replica:
        world.append(e.RunCreated("1", 10))
        world.points(("loss", 1, 0.5))
        waiting = replica.stored(dict(log.end()))
        with pytest.raises(NotYet):
            waiting.result(0.2)
        store(world, log)
        replica.stored({p: x for p, x in log.end().items() if p.topic in (RUNS, METRICS)}).result(30)
        assert replica.summaries(["r1"])["r1"]["loss"].last_value == 0.5


def test_readers_that_wait_are_told_whether_it_is_the_views_or_the_workers(world: World, log: GroupLog) -> None:
    views: Any = Broken(world.views, "SELECT 1")
    with following(world, log, views) as replica:
        world.append(e.RunCreated("1", 10))
        waiting = replica.stored(dict(log.end()))
        wait_until(lambda: replica.fault == "ClickHouse is on holiday")
        views.mended.set()
        wait_until(lambda: "`headrace worker` runs" in (replica.fault or ""))
        store(world, log)
        waiting.result(30)
        wait_until(lambda: replica.fault is None)


def test_a_replica_begins_where_the_views_are_and_knows_what_they_hold(world: World, log: GroupLog) -> None:
    for number in range(3):
        world.append(e.RunCreated("1", 10, name=f"stored {number}"), f"r{number}")
    store(world, log)
    world.append(e.RunUpdated(name="newer"), "r1")
    with following(world, log) as replica:
        folded(world, replica)
        assert replica.counters.events == 1
        found = replica.runs(["r0", "r1", "r2", "none"])
    assert {run_id: state.name for run_id, state in found.items()} == {
        "r0": "stored 0",
        "r1": "newer",
        "r2": "stored 2",
    }


def test_what_the_views_were_ahead_of_is_not_folded_twice_and_its_outcome_is_told_as_it_was(
    world: World, log: GroupLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that is not in memory is read from views that workers have brought further than this fold is."""
    monkeypatch.setattr(states, "RUNS_MAX", 0)
    world.append(e.RunCreated("1", 10, params={"lr": "1"}))
    store(world, log)
    with following(world, log) as replica:
        applied = world.append(e.AttributesLogged({"depth": "3"}, {}, atomic=True))
        refused = world.append(e.AttributesLogged({"lr": "2"}, {}, atomic=True))
        store(world, log)
        assert replica.outcome(applied).result(30).kind == APPLIED
        outcome = replica.outcome(refused).result(30)
        assert outcome.kind == REFUSED
        assert "Changing param values is not allowed" in outcome.reason
        state = replica.run("r1")
        assert state is not None
        assert (state.params, state.offset) == ({"lr": "1", "depth": "3"}, 2)


def test_views_that_fail_while_a_batch_is_folded_change_no_outcome(
    world: World, log: GroupLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(states, "RUNS_MAX", 1)
    for run in ("r1", "r2"):
        world.append(e.RunCreated("1", 10, params={"lr": "1"}), run)
    store(world, log)
    views: Any = Broken(world.views, "FROM events WHERE subject")
    replica = Replica(log, views)
    positions = [
        world.append(e.AttributesLogged({"lr": value}, {}, atomic=True), run)
        for run in ("new", "r1", "new")
        for value in ("1", "2")
    ]
    # r1's outcomes are in the views, and its state is read from them; those of the new run are this fold's to tell.
    world.settle()
    replica.start()
    try:
        assert views.failed.wait(30)
        assert replica.fault is not None
        views.mended.set()
        kinds = [replica.outcome(position).result(30).kind for position in positions]
    finally:
        replica.stop()
    assert kinds == [APPLIED, REFUSED] * 3


def test_a_run_is_forgotten_only_once_the_views_hold_it(
    world: World, log: GroupLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(states, "RUNS_MAX", 2)
    with following(world, log) as replica:
        for number in range(5):
            world.append(e.RunCreated("1", 10, name=f"run {number}"), f"r{number}")
        folded(world, replica)
        assert all(replica.cached_run(f"r{number}") for number in range(5))
        store(world, log)
        replica.stored({Partition(RUNS, 0): 5}).result(30)
        world.append(e.RunUpdated(name="again"), "r0")
        folded(world, replica)
        assert sum(replica.cached_run(f"r{number}") is not None for number in range(5)) == 2
        names = {run_id: state.name for run_id, state in replica.runs([f"r{n}" for n in range(5)]).items()}
    assert names == {"r0": "again", "r1": "run 1", "r2": "run 2", "r3": "run 3", "r4": "run 4"}


def wait_until(check: Callable[[], bool]) -> None:
    """Wait until check() is true."""
    deadline_s = time.monotonic() + 30
    while not check():
        assert time.monotonic() < deadline_s, "not in time"
        time.sleep(0.01)
