"""Erased runs and experiments: what the views and the log hold afterwards, wherever the sweep was broken off."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from headrace.ingest import codec
from headrace.ingest import events as e
from headrace.ingest.envelope import Envelope
from headrace.ingest.erasing import ERASED_TYPES
from headrace.ingest.log import Partition
from headrace.processors.erasing import KEPT, Sweeper, registry_offsets
from headrace.processors.registry import Registry
from headrace.processors.runs import ERASED

World = Any  # the fixture of conftest.py
STEPS = 8


class Crash(Exception):
    """The process died here, as far as the sweep can tell."""


class Crashing:
    """A log and views in one, which end the sweep at its n-th change."""

    remote = False

    def __init__(self, world: World, at: int) -> None:
        self.log, self.views, self.at = world.log, world.views, at
        self.count = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.log if hasattr(self.log, name) else self.views, name)

    def held(self, *given: Any) -> Any:
        return self.log.held(*given)

    def erase(self, partition: Partition, offsets: Sequence[int]) -> None:
        self._step(lambda: self.log.erase(partition, offsets))

    def settle(self, timeout_s: float) -> None:
        self._step(lambda: self.log.settle(timeout_s))

    def delete(self, table: str, condition: str, parameters: dict[str, Any]) -> None:
        self._step(lambda: self.views.delete(table, condition, parameters))

    def _step(self, act: Any) -> None:
        self.count += 1
        if self.count == self.at:
            raise Crash
        act()


def begin(world: World, run: str) -> None:
    """Put a run in the bin, and begin to erase it."""
    world.append(e.RunDeleted(), run)
    world.append(e.RunErasing("1", ""), run)
    world.settle()


def sweep(sweeper: Sweeper, runs: list[str]) -> None:
    """What gc does of its own between the two events of a run."""
    sweeper.runs_in_log(runs)
    sweeper.runs_in_views(runs)


def fill(world: World, *runs: str) -> None:
    """History of every kind, of several runs."""
    for run in runs:
        for append in world.history(run):
            append()


def types(world: World, run: str) -> set[str]:
    """The types of a run's records in the log."""
    return {
        record.envelope.type
        for topic in ("runs", "metrics", "dead_letters")
        for record in world.log.read(Partition(topic, 0), 0, 10**6, 2**40)
        if record.envelope.subject == run
    }


@pytest.mark.parametrize("run", ["r1", "r2", "r3"])
def test_after_a_sweep_a_restart_repeats_nothing_and_a_rebuild_gives_the_same(world: World, run: str) -> None:
    fill(world, "r1", "r2", "r3")
    world.settle()
    others = [row for row in world.snapshot()["metrics"] if repr(run) not in row]
    begin(world, run)
    sweep(Sweeper(world.log, world.views), [run])
    world.settle()
    assert world.snapshot()["metrics"] == others
    world.append(e.RunErased(), run)
    engine = world.settle()
    assert engine.run(run).lifecycle == ERASED
    assert engine.summaries([run]) == {run: {}} or engine.summaries([run]) == {}
    fill(world, "r4")
    world.settle()
    held = world.bytes()
    world.rebuilt()
    assert world.bytes() == held
    assert types(world, run) <= {*KEPT, *ERASED_TYPES}


@pytest.mark.parametrize("at", range(1, STEPS + 1))
def test_a_sweep_broken_off_anywhere_and_done_again_ends_the_same(world: World, at: int) -> None:
    fill(world, "r1", "r2")
    begin(world, "r2")
    crashing: Any = Crashing(world, at)
    with pytest.raises(Crash):
        sweep(Sweeper(crashing, crashing), ["r2"])
    fill(world, "r3")  # a restart, and others go on
    world.settle()
    sweep(Sweeper(world.log, world.views), ["r2"])
    world.append(e.RunErased(), "r2")
    world.settle()
    held = world.bytes()
    world.rebuilt()
    assert world.bytes() == held
    assert types(world, "r2") <= {*KEPT, *ERASED_TYPES}


def test_a_sweep_has_as_many_steps_as_are_tried(world: World) -> None:
    fill(world, "r1", "r2")
    begin(world, "r2")
    counting: Any = Crashing(world, 0)
    sweep(Sweeper(counting, counting), ["r2"])
    assert counting.count == STEPS


def test_points_in_memory_are_forgotten_while_an_engine_runs(world: World) -> None:
    fill(world, "r1", "r2")
    with world.engine() as engine:
        engine.stored().result(30)
        assert set(engine.summaries(["r1", "r2"])) == {"r1", "r2"}
        world.append(e.RunDeleted(), "r2")
        world.append(e.RunErasing("1", ""), "r2")
        engine.stored().result(30)
        sweeper = Sweeper(world.log, world.views)
        sweeper.runs_in_log(["r2"])
        engine.forget_metrics(["r2"]).result(30)
        sweeper.runs_in_views(["r2"])
        world.append(e.RunErased(), "r2")
        # What is sent again is still known.
        world.points(("loss", 3, 0.25), subject="r2", writer="w-r2", sequence=1)
        engine.stored().result(30)
        assert engine.cached_summaries("r2") == {}
        assert engine.all_in_memory()
        assert engine.gone() == {"r2"}
    held = world.bytes()
    world.rebuilt()
    assert world.bytes() == held


def test_dead_letters_of_the_gateway_about_an_erased_run_are_erased(world: World) -> None:
    world.append(e.RunCreated("1", 10), "r1")
    letter = e.EventRejected("why", "", {"subject": "r1"}, b"secret")
    other = e.EventRejected("why", "", {"subject": "r2"}, b"other")
    for one in (letter, other):
        world.log.append([Envelope("l", codec.type_of(one), "gateway", "", 5, codec.encode_event(one))])
    begin(world, "r1")
    sweep(Sweeper(world.log, world.views), ["r1"])
    records = world.log.read(Partition("dead_letters", 0), 0, 10**6, 2**40)
    kept = [x for x in records if x.envelope.type not in ERASED_TYPES]
    assert [codec.decode_event(x.envelope) for x in kept] == [other]


def registry(world: World) -> Registry:
    """The registry as the log has it now."""
    folded = Registry()
    for record in world.log.read(Partition("registry", 0), 0, 10**6, 2**40):
        try:
            event = codec.decode_event(record.envelope)
        except codec.UnknownType:
            event = None
        folded.apply(record, event)
    return folded


def test_who_was_refused_a_name_does_not_get_it_when_its_holder_is_taken_out(world: World) -> None:
    world.append(e.ExperimentCreated("a"), "1")
    world.append(e.ExperimentRenamed("b"), "1")
    world.append(e.ExperimentCreated("other"), "2")
    world.append(e.ExperimentRenamed("b"), "2")
    world.append(e.ExperimentCreated("b", if_absent=True), "3")
    world.append(e.ExperimentCreated("a"), "4")
    world.append(e.ExperimentDeleted(), "1")
    world.append(e.ExperimentErased(), "1")
    world.append(e.ExperimentCreated("b"), "1")
    world.settle()
    before = registry(world)
    assert {x.name for x in before.experiments.values()} == {"other", "a", "b"}
    assert registry_offsets(world.log, {"1": 7}) == ([0, 1, 6], [3, 4])
    Sweeper(world.log, world.views).registry({"1": 7})
    after = registry(world)
    assert (after.experiments, after.by_name) == (before.experiments, before.by_name)
    world.settle()
    held = world.bytes()
    world.rebuilt()
    assert world.bytes() == held


@pytest.mark.parametrize("at", range(1, 6))
def test_a_sweep_of_the_registry_broken_off_anywhere_and_done_again_ends_the_same(world: World, at: int) -> None:
    world.append(e.ExperimentCreated("a"), "1")
    world.append(e.ExperimentCreated("b"), "2")
    world.append(e.ExperimentRenamed("a"), "2")
    world.append(e.ExperimentDeleted(), "1")
    world.append(e.ExperimentErased(), "1")
    world.settle()
    crashing: Any = Crashing(world, at)
    with pytest.raises(Crash):
        Sweeper(crashing, crashing).registry({"1": 4})
    world.settle()
    Sweeper(world.log, world.views).registry({"1": 4})
    assert {x.name for x in registry(world).experiments.values()} == {"b"}
    held = world.bytes()
    world.rebuilt()
    assert world.bytes() == held


def test_dead_letters_about_an_erased_experiment_are_erased_and_those_of_what_came_later_are_not(world: World) -> None:
    world.append(e.ExperimentCreated("a"), "1")
    world.raw("headrace.experiment.renamed", b"secret", "1")
    world.append(e.ExperimentDeleted(), "1")
    world.append(e.ExperimentErased(), "1")
    world.raw("headrace.experiment.renamed", b"later", "1")
    world.settle()
    Sweeper(world.log, world.views).registry({"1": 3})
    assert [letter.data for letter in world.dead_letters() if isinstance(letter, e.EventRejected)] == [b"later"]
