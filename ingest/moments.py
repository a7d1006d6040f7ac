"""A moment of a log, said as a time or as positions: parsed from text, and found in a log as offsets."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from headrace.ingest.log import HistoryLog, LogError, Offsets, Partition, Record
from headrace.ingest.topics import TOPICS

FORMS = "a time (2026-03-01T12:00:00Z, or milliseconds since the epoch) or a position (topic/partition/offset)"
_POSITION = re.compile(r"(?P<topic>[a-z_]+)/(?P<partition>\d{1,9})/(?P<offset>\d{1,18})")
_MILLISECONDS = re.compile(r"\d{1,15}")


class BadMoment(ValueError):
    """This text names no moment; the message says what would."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A cut through a log.

    time_ms: everything logged up to and in this millisecond since the epoch, UTC; None for the whole log.
    offsets: the offset to read next of partitions that are cut by position instead.
    """

    time_ms: int | None = None
    offsets: Offsets = field(default_factory=dict)

    def resolve(self, log: HistoryLog) -> dict[Partition, int]:
        """The end of each partition of the log at this moment: the offset of the first record that is not in it.

        By bisection on the records' times, some twenty reads a partition. Raises LogError for a position the log does
        not have, LogUnavailable.
        """
        ends = dict(log.end())
        for partition, offset in self.offsets.items():
            if partition not in ends:
                raise LogError(f"the log has no partition {partition.topic}/{partition.partition}")
            if offset > ends[partition]:
                raise LogError(f"{partition.topic}/{partition.partition} ends at {ends[partition]}, before {offset}")
        if self.time_ms is not None:
            begins = log.begin()
            ends = {one: _first_after(log, one, begins[one], end, self.time_ms) for one, end in ends.items()}
        return {**ends, **self.offsets}


def parse(texts: Iterable[str]) -> Moment:
    """A moment from texts, each a time, a position, or several with commas between.

    A time is ISO 8601 (UTC where it names no zone; a date alone is its midnight) or milliseconds since the epoch. A
    position is `topic/partition/offset`, the offset being the next to read. Positions hold for their partitions, the
    time for all others; without a time the others are whole. Raises BadMoment.
    """
    time_ms: int | None = None
    offsets: dict[Partition, int] = {}
    for text in (part.strip() for given in texts for part in given.split(",")):
        if position := _POSITION.fullmatch(text):
            partition = Partition(position["topic"], int(position["partition"]))
            if partition.topic not in TOPICS:
                raise BadMoment(f"{text}: there is no topic {partition.topic}; there are {', '.join(TOPICS)}")
            if partition in offsets:
                raise BadMoment(f"{text}: {partition.topic}/{partition.partition} has a position already")
            offsets[partition] = int(position["offset"])
        elif time_ms is not None:
            raise BadMoment(f"{text!r}: there is a time already; beside it can be positions (topic/partition/offset)")
        else:
            time_ms = parse_time(text)
    return Moment(time_ms, offsets)


def parse_time(text: str) -> int:
    """A time in milliseconds since the epoch, UTC. Raises BadMoment."""
    if _MILLISECONDS.fullmatch(text):
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
        zoned = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        since = zoned - datetime(1970, 1, 1, tzinfo=UTC)
    except (ValueError, OverflowError):
        raise BadMoment(f"{text!r} is no moment; say {FORMS}") from None
    return since.days * 86_400_000 + since.seconds * 1000 + since.microseconds // 1000


def first_at(log: HistoryLog, partition: Partition, time_ms: int) -> int:
    """The offset of the first record that was logged at time_ms or later; the partition's end where there is none."""
    return _first_after(log, partition, log.begin()[partition], log.end()[partition], time_ms - 1)


def _first_after(log: HistoryLog, partition: Partition, begin: int, end: int, time_ms: int) -> int:
    """The offset of the first record from begin to end that was logged after time_ms, or end."""
    low, high = begin, end
    while low < high:
        middle = (low + high) // 2
        record = _at(log, partition, middle)
        if record is None or record.position.offset >= high:
            # No record from middle on, below high: what is looked for lies before.
            high = middle
        elif record.timestamp_ms > time_ms:
            high = middle
        else:
            low = record.position.offset + 1
    return min(low, end)


def _at(log: HistoryLog, partition: Partition, offset: int) -> Record | None:
    """The first record at an offset or behind it."""
    records = log.read(partition, offset, 1, 1)
    return records[0] if records else None
