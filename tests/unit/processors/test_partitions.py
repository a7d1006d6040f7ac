"""The folds of workers that share partitions: whatever a group does with them, the views are those of one engine."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator

import pytest
from headrace.ingest import events as e
from headrace.ingest.clock import ManualClock
from headrace.ingest.log import Partition
from headrace.ingest.topics import METRICS, REGISTRY, RUNS
from headrace.processors import partitions
from headrace.processors.ownership import Ownership
from headrace.processors.views import Views

from tests.group_log import GroupLog, Member, ends
from tests.world import World

RUNS_OF_HISTORY = ("r1", "r2", "r3", "r4")
PATIENCE_S = 30.0


@pytest.fixture
def log(world: World) -> GroupLog:
    """A log with history of every kind in it, over partitions whose counts differ."""
    log = GroupLog(world.clock, {RUNS: 3, METRICS: 2})
    world.log = log
    return log


@pytest.fixture
def new_member(log: GroupLog, shared: Callable[[], Views]) -> Iterator[Callable[..., Member]]:
    """Makes workers over the same views; all are ended after the test."""
    made: list[Member] = []

    def make(clock: ManualClock | None = None, owner: str = "") -> Member:
        made.append(Member(log, shared(), clock, owner))
        return made[-1]

    yield make
    for one in made:
        one.stop(0)


@pytest.fixture
def same_as_one_engine(world: World, shared: Callable[[], Views]) -> Callable[[], None]:
    """Asserts that the shared views hold, byte for byte, what one engine makes of the log."""

    def check() -> None:
        world.settle()
        found = World(shared(), world.log, world.clock)
        assert found.snapshot() == world.snapshot()
        assert found.bytes() == world.bytes()

    return check


def write_history(world: World) -> None:
    """The runs' events of every kind, interleaved."""
    lives = [list(world.history(run)) for run in RUNS_OF_HISTORY]
    for step in range(max(map(len, lives))):
        for life in lives:
            if step < len(life):
                life[step]()


def eventually(check: Callable[[], object], tick: Callable[[], object] = lambda: None) -> None:
    """Wait until check() is true; tick() is called before each look."""
    deadline_s = time.monotonic() + PATIENCE_S
    while True:
        tick()
        if check():
            return
        assert time.monotonic() < deadline_s, "not in time"
        time.sleep(0.01)


def opened(member: Member) -> None:
    """Wait until a member has taken over what it was assigned; what is appended from now on, only bring() brings."""
    eventually(lambda: set(member.viewed()) == member.assigned)


def committed_all(log: GroupLog) -> bool:
    return log.committed() == log.committed() | ends(log)


# --- one worker -------------------------------------------------------------------------------------------------------


def test_one_worker_makes_the_views_of_an_engine(
    world: World, log: GroupLog, new_member: Callable[..., Member], same_as_one_engine: Callable[[], None]
) -> None:
    write_history(world)
    member = new_member()
    member.assign()
    member.bring_all()
    eventually(lambda: committed_all(log))
    same_as_one_engine()


def test_three_workers_make_the_views_of_an_engine(
    world: World, log: GroupLog, new_member: Callable[..., Member], same_as_one_engine: Callable[[], None]
) -> None:
    write_history(world)
    members = [new_member() for _ in range(3)]
    for number, member in enumerate(members):
        member.assign(*log.folded()[number::3])
        member.bring_all()
    eventually(lambda: committed_all(log))
    same_as_one_engine()


def test_what_the_group_has_committed_beyond_the_views_is_read_from_the_log(
    world: World, log: GroupLog, new_member: Callable[..., Member], same_as_one_engine: Callable[[], None]
) -> None:
    write_history(world)
    log.commit(ends(log))
    member = new_member()
    member.assign()
    eventually(lambda: member.viewed() == member.viewed() | ends(log))
    same_as_one_engine()


def test_what_the_views_hold_already_is_told_to_the_group_though_nothing_new_comes(
    world: World, log: GroupLog, new_member: Callable[..., Member], same_as_one_engine: Callable[[], None]
) -> None:
    write_history(world)
    first = new_member()
    first.assign()
    first.bring_all()
    eventually(lambda: committed_all(log))
    first.stop()
    log.commit(dict.fromkeys(log.folded(), 0))  # as a worker leaves it that is killed before its commit
    second = new_member()
    second.assign()
    second.bring_all()
    eventually(lambda: committed_all(log))
    same_as_one_engine()


def test_what_comes_again_and_what_is_lost_on_the_way_changes_nothing(
    world: World, log: GroupLog, new_member: Callable[..., Member], same_as_one_engine: Callable[[], None]
) -> None:
    member = new_member(ManualClock())
    member.assign()
    opened(member)
    write_history(world)
    for partition in log.folded():
        member.bring(partition, 3)
        member.skip(partition, -2)
        member.bring(partition, 4)
        member.skip(partition, 2)
        member.bring(partition)
    eventually(lambda: committed_all(log))
    same_as_one_engine()


def test_what_the_consumer_never_brings_is_read_from_the_log(
    world: World, log: GroupLog, new_member: Callable[..., Member], same_as_one_engine: Callable[[], None]
) -> None:
    clock = ManualClock()
    member = new_member(clock)
    member.assign()
    opened(member)
    write_history(world)
    for partition in log.folded():
        member.bring(partition, 1)
    eventually(lambda: committed_all(log), lambda: clock.advance(partitions.CHECK_INTERVAL_S))
    same_as_one_engine()


def test_a_worker_that_ends_stores_and_commits_what_it_folded(
    world: World, log: GroupLog, new_member: Callable[..., Member], same_as_one_engine: Callable[[], None]
) -> None:
    write_history(world)
    member = new_member()
    member.assign()
    member.bring_all()
    eventually(lambda: member.partitions.stages()["folded"].items() >= ends(log).items())
    member.stop()
    assert committed_all(log)
    same_as_one_engine()


# --- partitions that move ---------------------------------------------------------------------------------------------


def test_a_partition_that_goes_and_comes_back_is_taken_up_where_the_views_are(
    world: World, log: GroupLog, new_member: Callable[..., Member], same_as_one_engine: Callable[[], None]
) -> None:
    clock = ManualClock()
    here, there = new_member(clock), new_member(clock)
    here.assign()
    opened(here)
    write_history(world)
    for partition in log.folded():
        here.bring(partition, 5)
    here.unassign()
    there.assign()
    opened(there)
    for run in RUNS_OF_HISTORY:
        world.points(("more", 1, 1.0), subject=run)
    there.unassign()
    here.assign()
    here.bring_all()
    eventually(lambda: committed_all(log), lambda: clock.advance(1))
    same_as_one_engine()


def test_a_worker_that_was_cut_off_stores_nothing_more(
    world: World, log: GroupLog, new_member: Callable[..., Member], same_as_one_engine: Callable[[], None]
) -> None:
    """It does not know yet that its partitions are another's, and has records of them left."""
    clock = ManualClock()
    cut_off, owner = new_member(clock, "cutoff"), new_member(owner="owner")
    cut_off.assign()
    opened(cut_off)
    write_history(world)
    for partition in log.folded():
        cut_off.bring(partition, 5)
    eventually(lambda: cut_off.viewed().items() >= {p: min(5, end) for p, end in ends(log).items()}.items())
    owner.assign()
    owner.bring_all()
    eventually(lambda: committed_all(log))
    cut_off.bring_all()
    eventually(lambda: not cut_off.partitions.stages()["folded"])
    holders = owner.partitions.ownership.lost(log.folded())
    assert not holders
    same_as_one_engine()


def test_what_was_folded_when_another_took_a_partition_over_is_folded_again_once_it_is_ours_still(
    world: World,
    log: GroupLog,
    new_member: Callable[..., Member],
    shared: Callable[[], Views],
    same_as_one_engine: Callable[[], None],
) -> None:
    """As after a claim of a worker that was cut off: the group gives us nothing again."""
    clock = ManualClock()
    member = new_member(clock)
    member.assign()
    opened(member)
    Ownership(shared(), "thief").claim(log.folded())
    write_history(world)
    member.bring_all()
    eventually(lambda: not member.partitions.stages()["folded"])
    eventually(lambda: committed_all(log), lambda: clock.advance(1))
    same_as_one_engine()


def test_a_partition_without_records_is_ours_all_the_same(log: GroupLog, new_member: Callable[..., Member]) -> None:
    member = new_member()
    member.assign()
    eventually(lambda: set(member.viewed()) == set(log.folded()))
    assert not any(member.viewed().values())


@pytest.mark.parametrize("seed", range(3))
def test_however_partitions_wander_between_workers_the_views_are_those_of_one_engine(
    seed: int,
    world: World,
    log: GroupLog,
    new_member: Callable[..., Member],
    same_as_one_engine: Callable[[], None],
) -> None:
    """Workers own overlapping partitions, lose them, and get them back; records repeat and are lost."""
    draw = random.Random(seed)
    clock = ManualClock()
    members = [new_member(clock, f"m{number}") for number in range(3)]
    steps = [step for run in RUNS_OF_HISTORY for step in world.history(run)]
    for number, append in enumerate(steps):
        append()
        if number % 4 == 0:
            member = draw.choice(members)
            member.assign(*draw.sample(log.folded(), draw.randrange(1, len(log.folded()) + 1)))
        for member in members:
            for partition in sorted(member.assigned):
                member.bring(partition, draw.randrange(0, 4))
        clock.advance(draw.choice((0, 0, 1, 5)))
    for member in members[1:]:
        member.unassign()
    members[0].assign()
    members[0].bring_all()
    eventually(lambda: members[0].viewed().items() >= ends(log).items(), lambda: clock.advance(1))
    same_as_one_engine()


def test_views_that_are_ahead_of_the_log_are_said_to_be_and_hide_nothing_that_comes(
    world: World, log: GroupLog, new_member: Callable[..., Member], shared: Callable[[], Views]
) -> None:
    """A topic was made anew, or a broker lost what it had acknowledged: offsets that the views hold come again."""
    write_history(world)
    first = new_member()
    first.assign()
    eventually(lambda: committed_all(log))
    first.stop()
    shorter = GroupLog(world.clock, {RUNS: 3, METRICS: 2})
    member = Member(shorter, shared())
    member.assign()
    try:
        eventually(lambda: "are ahead of the log" in (member.partitions.fault or ""))
        assert "`headrace rebuild`" in (member.partitions.fault or "")
        assert not member.viewed()
    finally:
        member.stop(0)


# --- what cannot be folded --------------------------------------------------------------------------------------------


def test_poison_is_set_aside_once_with_its_reason_and_an_unknown_event_is_kept_and_skipped(
    world: World, log: GroupLog, new_member: Callable[..., Member], shared: Callable[[], Views]
) -> None:
    write_history(world)
    member = new_member()
    member.assign()
    member.bring_all()
    eventually(lambda: committed_all(log))
    letters = world.dead_letters()
    rejected = shared().rows("SELECT topic, partition, offset, reason FROM events WHERE outcome = 'rejected'")
    assert {(x.record, x.reason) for x in letters} == {(f"{t}/{p}/{o}", reason) for t, p, o, reason in rejected}
    assert len(letters) == len(rejected) == 4 * len(RUNS_OF_HISTORY)
    skipped = shared().rows("SELECT type, count() FROM events WHERE outcome = 'skipped' GROUP BY type ORDER BY type")
    assert skipped == [("headrace.metrics.profiled", 4), ("headrace.run.paused", 4)]


def test_the_registry_is_folded_from_its_start_by_whoever_has_it(
    world: World, log: GroupLog, new_member: Callable[..., Member], same_as_one_engine: Callable[[], None]
) -> None:
    """A rename is refused or not by what came long before, which another worker folded."""
    registry = Partition(REGISTRY, 0)
    write_history(world)
    first, second = new_member(), new_member()
    first.assign(registry)
    eventually(lambda: log.committed().get(registry) == log.end()[registry])
    world.append(e.ExperimentRenamed("new-r1"), "x-r2")
    second.assign()
    second.bring_all()
    eventually(lambda: committed_all(log))
    same_as_one_engine()
