"""A copy of a log is exact and whole, wherever it was stopped and however many partitions each side has."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

from headrace.ingest.clock import ManualClock
from headrace.ingest.copying import copy
from headrace.ingest.envelope import Envelope
from headrace.ingest.log import Log, LogUnavailable, Partition, Position, Record
from headrace.ingest.memory import MemoryLog
from headrace.ingest.merging import in_order
from headrace.ingest.topics import TOPICS
from hypothesis import given
from hypothesis import strategies as st

KINDS = ["headrace.run.ended", "headrace.metrics.logged", "headrace.experiment.created"]
EVENTS = st.lists(
    st.tuples(st.sampled_from(KINDS), st.sampled_from("abcdefgh"), st.integers(0, 3)), min_size=12, max_size=40
)
COUNTS = st.sampled_from([1, 2, 5])
STOPS = st.lists(
    st.tuples(st.integers(0, 4), st.lists(st.integers(0, 2), min_size=5, max_size=5)), min_size=1, max_size=4
)


class Stopping(MemoryLog):
    """A target that stops as Kafka may: of the batch it dies in, each partition has some first records."""

    stop_after: int | None = None
    kept_of_each: Sequence[int] = ()

    def restore(self, records: Sequence[Record]) -> list[Position]:
        if self.stop_after is None:
            return super().restore(records)
        if self.stop_after > 0:
            self.stop_after -= 1
            return super().restore(records)
        scratch = MemoryLog(partitions=self._counts)
        kept = dict(zip(scratch.partitions(), [*self.kept_of_each] * 10, strict=False))
        for record in records:
            [position] = scratch.restore([record])
            if position.offset < kept.get(Partition(*position[:2]), 0):
                super().restore([record])
        raise LogUnavailable("gone")


def everything(log: Log) -> list[Record]:
    return list(in_order(log, {}, log.end()))


def by_subject(log: Log) -> dict[tuple[str, str], list[tuple[int, Envelope]]]:
    """What each subject's history is, in each topic."""
    histories: dict[tuple[str, str], list[tuple[int, Envelope]]] = {}
    for partition, end in log.end().items():
        for record in log.read(partition, 0, end, 2**40):
            key = (partition.topic, record.envelope.subject)
            histories.setdefault(key, []).append((record.timestamp_ms, record.envelope))
    return histories


def fill(log: Log, clock: ManualClock, events: Sequence[tuple[str, str, int]], first: int = 0) -> None:
    for number, (kind, subject, delay) in zip(count(first), events, strict=False):
        clock.advance(delay)
        log.append([Envelope(str(number), kind, "test", subject, 0, b"{}")])


def partitions(number: int) -> dict[str, int]:
    return dict.fromkeys(TOPICS, number)


@given(EVENTS, EVENTS, COUNTS, COUNTS, STOPS)
def test_a_copy_that_was_stopped_anywhere_and_run_again_is_whole_exact_and_in_order(
    events: list[tuple[str, str, int]],
    later: list[tuple[str, str, int]],
    from_: int,
    to: int,
    stops: list[tuple[int, list[int]]],
) -> None:
    clock = ManualClock(1000)
    source, target = MemoryLog(clock, partitions(from_)), Stopping(ManualClock(9), partitions(to))
    fill(source, clock, events)
    for after, kept in stops:
        target.stop_after, target.kept_of_each = after, kept
        try:
            copy(source, target, batch_records=7)
        except LogUnavailable:
            continue
    target.stop_after = None
    # The source goes on while it is copied.
    fill(source, clock, later, len(events))
    done = copy(source, target, batch_records=7).sum()
    assert by_subject(target) == by_subject(source)
    assert done.found + done.copied == done.total == sum(target.end().values())
    again = copy(source, target, batch_records=7).sum()
    assert (again.copied, again.found) == (0, done.total)


@given(EVENTS, COUNTS)
def test_a_copy_into_one_partition_is_in_the_order_of_logging(events: list[tuple[str, str, int]], from_: int) -> None:
    clock = ManualClock(1000)
    source, target = MemoryLog(clock, partitions(from_)), MemoryLog()
    fill(source, clock, events)
    copy(source, target, batch_records=7)
    for partition, end in target.end().items():
        times = [record.timestamp_ms for record in target.read(partition, 0, max(end, 1), 2**40)]
        assert times == sorted(times)


@given(EVENTS, COUNTS, COUNTS, st.data())
def test_a_copy_to_a_moment_is_the_source_as_it_was_then(
    events: list[tuple[str, str, int]], from_: int, to: int, data: st.DataObject
) -> None:
    clock = ManualClock(1000)
    source, target = MemoryLog(clock, partitions(from_)), MemoryLog(partitions=partitions(to))
    cut = data.draw(st.integers(0, len(events)))
    fill(source, clock, events[:cut])
    then, histories = source.end(), by_subject(source)
    fill(source, clock, events[cut:], cut)
    copy(source, target, until=then, batch_records=7)
    assert by_subject(target) == histories
