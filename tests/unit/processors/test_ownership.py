"""Who may store a partition: the latest claim, and nobody else from the moment it returns."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pytest
from headrace.ingest.envelope import Envelope
from headrace.ingest.log import Partition, Position, Record
from headrace.processors.entity_fold import EntityBatch
from headrace.processors.outcome import APPLIED, Outcome
from headrace.processors.ownership import HOLD_PREFIX, Held, Ownership
from headrace.processors.runs import RunState
from headrace.processors.store import Store
from headrace.processors.views import Fenced, Views
from headrace.processors.watermark import Watermark

ONE, TWO = Partition("runs", 1), Partition("runs", 2)


def rows(partition: Partition, offset: int = 0) -> pa.Table:
    """A row of a view."""
    columns = {
        "run_id": [f"{partition.partition}/{offset}"],
        "partition": pa.array([partition.partition], pa.uint16()),
        "offset": pa.array([offset], pa.uint64()),
    }
    return pa.table(columns)


def stored(made: Views) -> list[tuple[int, int]]:
    """Partition and offset of the rows there are."""
    return [(partition, offset) for partition, offset in made.rows("SELECT partition, offset FROM runs ORDER BY ALL")]


def test_the_owner_stores_and_who_was_it_before_is_refused(shared: Callable[[], Views]) -> None:
    first, second = (Ownership(made, owner) for made, owner in ((shared(), "a"), (shared(), "b")))
    first.claim([ONE, TWO])
    shared().insert("runs", rows(ONE), first.guard([ONE]))
    second.claim([ONE])
    with pytest.raises(Fenced, match="fenced"):
        shared().insert("runs", rows(ONE, 1), first.guard([ONE]))
    with pytest.raises(Fenced):
        shared().insert("runs", rows(TWO), first.guard([ONE, TWO]))
    shared().insert("runs", rows(ONE, 2), second.guard([ONE]))
    shared().insert("runs", rows(TWO), first.guard([TWO]))
    assert stored(shared()) == [(1, 0), (1, 2), (2, 0)]
    assert first.lost([ONE, TWO]) == {ONE}
    assert second.lost([ONE, TWO]) == {TWO}


def test_a_new_claim_of_the_same_process_ends_its_old_one(shared: Callable[[], Views]) -> None:
    """What it folded before it lost a partition is stale, though the partition is its own again."""
    ours = Ownership(shared())
    ours.claim([ONE])
    stale = ours.guard([ONE])
    Ownership(shared()).claim([ONE])
    ours.claim([ONE])
    with pytest.raises(Fenced):
        shared().insert("runs", rows(ONE), stale)
    shared().insert("runs", rows(ONE), ours.guard([ONE]))


def test_of_many_that_claim_at_once_one_holds_and_all_others_know_or_are_refused(shared: Callable[[], Views]) -> None:
    claimants = [Ownership(shared()) for _ in range(6)]

    def claim(one: Ownership) -> bool:
        try:
            one.claim([ONE, TWO])
        except Fenced:
            return False
        return True

    def insert(numbered: tuple[int, Ownership]) -> bool:
        number, one = numbered
        try:
            shared().insert("runs", rows(ONE, number), one.guard([ONE]))
        except Fenced:
            return False
        return True

    with ThreadPoolExecutor(len(claimants)) as threads:
        believed = list(threads.map(claim, claimants))
        held = list(threads.map(insert, enumerate(claimants)))
    assert sum(held) == 1
    assert believed[held.index(True)]
    assert stored(shared()) == [(1, held.index(True))]


def test_a_claim_waits_for_an_insert_that_began_before_it(shared: Callable[[], Views]) -> None:
    old, new = Ownership(shared(), "old"), Ownership(shared(), "new")
    old.claim([ONE])
    made, looking = shared(), shared()
    slow = f"{old.guard([ONE])} AND sleep(1) = 0"
    inserting = threading.Thread(target=made.insert, args=("runs", rows(ONE), slow, None, old.query_id(1)))
    inserting.start()
    while not looking.running(old.query_id(1)):
        time.sleep(0.01)
    new.claim([ONE])
    assert stored(looking) == [(1, 0)]
    inserting.join()


def test_a_claim_that_arrives_late_a_second_time_changes_nothing(shared: Callable[[], Views]) -> None:
    made = shared()
    sent: list[tuple[str, dict[str, str]]] = []
    command = made.command

    class Recording:
        """Views that keep what was sent."""

        def __getattr__(self, name: str) -> object:
            return getattr(made, name)

        def command(self, sql: str, parameters: dict[str, str]) -> None:
            sent.append((sql, parameters))
            command(sql, parameters)

    early, late = Ownership(Recording()), Ownership(shared())  # type: ignore[arg-type]
    early.claim([ONE])
    late.claim([ONE])
    command(*sent[0])
    assert late.lost([ONE]) == set()
    with pytest.raises(Fenced):
        shared().insert("runs", rows(ONE), early.guard([ONE]))


def test_who_holds_partitions_keeps_them_from_all_until_it_lets_them_go(shared: Callable[[], Views]) -> None:
    worker, holder = Ownership(shared(), "worker"), Ownership(shared(), f"{HOLD_PREFIX}1")
    worker.claim([ONE, TWO])
    holder.claim([ONE])
    with pytest.raises(Held, match="a rebuild swaps the views"):
        worker.claim([ONE])
    worker.claim([TWO])
    holder.release([ONE])
    worker.claim([ONE])
    shared().insert("runs", rows(ONE), worker.guard([ONE, TWO]))


# --- stores -----------------------------------------------------------------------------------------------------------


class Storing:
    """A store with an ownership, and what it told."""

    def __init__(self, made: Views, owner: str) -> None:
        self.ownership = Ownership(made, owner)
        self.store = Store(made, Watermark({}), self.ownership)
        self.stored: dict[Partition, int] = {}
        self.lost: set[Partition] = set()
        self.told = threading.Event()
        self.store.on_stored = self._on_stored
        self.store.on_lost = self._on_lost

    def add(self, partition: Partition, offset: int) -> None:
        """Hand over one event, and the state it made."""
        run_id = f"{partition.partition}/{offset}"
        record = Record(Position(*partition, offset), 0, Envelope("i", "t", "s", run_id, 0, b"{}"))
        state = RunState(run_id, partition=partition.partition, offset=offset)
        self.store.add_entities(partition, [record], EntityBatch([], [(record, Outcome(APPLIED))], {run_id: state}))

    def _on_stored(self, offsets: Mapping[Partition, int]) -> None:
        self.stored |= offsets
        self.told.set()

    def _on_lost(self, partitions: set[Partition]) -> None:
        self.lost |= partitions


@pytest.fixture
def new_storing(shared: Callable[[], Views]) -> Iterator[Callable[[str], Storing]]:
    """Makes stores over the same views; started by the test, ended after it."""
    made: list[Storing] = []

    def make(owner: str) -> Storing:
        made.append(Storing(shared(), owner))
        return made[-1]

    yield make
    for one in made:
        one.store.stop()


def test_of_two_stores_only_the_owner_s_rows_are_there_and_the_other_hears_of_it(
    shared: Callable[[], Views], new_storing: Callable[[str], Storing]
) -> None:
    """As of a worker that slept while another took one of its partitions over."""
    slept, other = new_storing("slept"), new_storing("other")
    slept.ownership.claim([ONE, TWO])
    slept.add(ONE, 0)
    slept.add(TWO, 0)
    other.ownership.claim([ONE])
    other.add(ONE, 0)
    other.store.start()
    assert other.told.wait(30)
    slept.store.start()
    assert slept.told.wait(30)
    assert (slept.stored, slept.lost) == ({TWO: 1}, {ONE})
    assert (other.stored, other.lost) == ({ONE: 1}, set())
    assert stored(shared()) == [(1, 0), (2, 0)]
    assert shared().rows("SELECT partition, offset FROM events ORDER BY ALL") == [(1, 0), (2, 0)]
    assert slept.store.viewed.offsets() == {TWO: 1}


def test_what_was_dropped_is_not_stored_though_it_waited_for_the_views(
    shared: Callable[[], Views], new_storing: Callable[[str], Storing]
) -> None:
    storing = new_storing("one")
    storing.ownership.claim([ONE, TWO])
    storing.add(ONE, 0)
    storing.add(TWO, 0)
    storing.store.drop([ONE])
    storing.store.start()
    assert storing.told.wait(30)
    assert stored(shared()) == [(2, 0)]
    assert storing.store.unsaved_runs() == set()
