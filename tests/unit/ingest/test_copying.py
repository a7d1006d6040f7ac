"""A copy goes into what is a copy's beginning, and into nothing else."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

import pytest
from headrace.ingest.clock import ManualClock
from headrace.ingest.copying import NotACopy, copy
from headrace.ingest.envelope import Envelope
from headrace.ingest.log import LogError, Partition, Position, Record
from headrace.ingest.memory import MemoryLog
from headrace.ingest.sqlite import SqliteLog

RUNS = Partition("runs", 0)


def event(number: int, subject: str = "r") -> Envelope:
    return Envelope(str(number), "headrace.run.heartbeat", "test", subject, number, b"{}", writer="w", sequence=1)


def source_of(count: int, partitions: int = 1) -> MemoryLog:
    log = MemoryLog(ManualClock(5), {"runs": partitions})
    log.append([event(number, f"r{number % 7}") for number in range(count)])
    return log


def test_a_copy_from_one_partition_to_twelve_and_back_through_a_file_is_the_same_log(tmp_path: Path) -> None:
    source, wide = source_of(100), MemoryLog(partitions={"runs": 12, "metrics": 12})
    copy(source, wide)
    assert len({partition for partition, end in wide.end().items() if end}) > 3
    with contextlib.closing(SqliteLog(tmp_path / "log.db")) as back:
        copy(wide, back)
        found = {record.envelope.id: record for record in back.read(RUNS, 0, 1000, 2**40)}
        assert {id_: (one.timestamp_ms, one.envelope) for id_, one in found.items()} == {
            one.envelope.id: (one.timestamp_ms, one.envelope) for one in source.read(RUNS, 0, 1000, 2**40)
        }


def test_a_target_that_holds_something_else_is_refused_and_left_alone() -> None:
    source, target = source_of(5), MemoryLog(ManualClock(5))
    target.append([event(0, "r0"), event(99)])
    with pytest.raises(NotACopy, match=r"runs/0/1 \(headrace.run.heartbeat of 'r'\) is not what the source has there"):
        copy(source, target)
    assert target.end()[RUNS] == 2


def test_a_target_with_the_same_events_logged_at_other_times_is_no_copy() -> None:
    source, target = source_of(2), MemoryLog(ManualClock(6))
    target.append([event(0, "r0")])
    with pytest.raises(NotACopy):
        copy(source, target)


def test_a_target_that_is_longer_than_the_source_is_no_copy() -> None:
    source, target = source_of(3), MemoryLog()
    copy(source_of(4), target)
    with pytest.raises(NotACopy, match="runs/0/3"):
        copy(source, target)


def test_a_target_beyond_the_moment_is_refused() -> None:
    source, target = source_of(3), MemoryLog()
    copy(source, target)
    with pytest.raises(NotACopy, match="beyond that moment"):
        copy(source, target, until={**source.end(), RUNS: 2})


def test_another_writer_to_the_target_is_noticed() -> None:
    class Shared(MemoryLog):
        """A target that somebody else appends to before each batch of the copy."""

        def restore(self, records: Sequence[Record]) -> list[Position]:
            self.append([event(1000)])
            return super().restore(records)

    with pytest.raises(NotACopy, match="something else appends to the target"):
        copy(source_of(3), Shared())


def test_a_target_without_a_topic_is_refused() -> None:
    class Narrow(MemoryLog):
        """A log whose topics were made by an older version."""

        def end(self) -> dict[Partition, int]:
            return {partition: end for partition, end in super().end().items() if partition.topic != "registry"}

    with pytest.raises(LogError, match="no topic registry; make its topics first"):
        copy(source_of(1), Narrow())


def test_progress_is_told_after_each_batch_and_ends_at_the_total() -> None:
    seen: list[tuple[int, int, int]] = []
    copy(
        source_of(25),
        MemoryLog(),
        None,
        lambda now: seen.append((now.sum().found, now.sum().copied, now.sum().total)),
        10,
    )
    assert seen == [(0, 10, 25), (0, 20, 25), (0, 25, 25)]
