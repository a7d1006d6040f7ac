"""Looks at a log from its end: which records are wanted, where to begin, and the last of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from headrace.ingest.log import HistoryLog, LogError, Offsets, Partition, Record
from headrace.ingest.merging import RECORDS_MAX, in_order
from headrace.ingest.moments import Moment, first_at
from headrace.ingest.partitioning import partition_of

SCAN_RECORDS_MAX = 100_000
"""How many records of each partition are looked through for the last ones that are wanted."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which records: of these topics, subjects and types, each of all where it is empty. types: with * and ? for any
    text and any character; `headrace.` may be left out."""

    topics: Sequence[str] = ()
    subjects: Sequence[str] = ()
    types: Sequence[str] = ()

    def partitions(self, log: HistoryLog) -> list[Partition]:
        """Where such records can be. Raises LogError for a topic the log does not have."""
        there = log.partitions()
        if unknown := set(self.topics) - {one.topic for one in there}:
            known = ", ".join(dict.fromkeys(one.topic for one in there))
            raise LogError(f"the log has no topic {', '.join(sorted(unknown))}; it has {known}")
        counts = {one.topic: sum(other.topic == one.topic for other in there) for one in there}
        return [
            one
            for one in there
            if (not self.topics or one.topic in self.topics)
            and (not self.subjects or one.partition in {partition_of(s, counts[one.topic]) for s in self.subjects})
        ]

    def of(self, records: Iterable[Record]) -> Iterator[Record]:
        """Those of the records that are wanted."""
        patterns = [pattern for one in self.types for pattern in (one, f"headrace.{one}")]
        for record in records:
            envelope = record.envelope
            if (not self.subjects or envelope.subject in self.subjects) and (
                not patterns or any(fnmatchcase(envelope.type, pattern) for pattern in patterns)
            ):
                yield record


def starts_of(log: HistoryLog, partitions: Sequence[Partition], moment: Moment) -> dict[Partition, int]:
    """Where to begin at a moment: at its positions; elsewhere at its time, or else at the end."""
    ends = log.end()
    if missing := set(moment.offsets) - set(ends):
        raise LogError(f"the log has no partition {'/'.join(map(str, min(missing)))}")
    return {
        one: moment.offsets[one]
        if one in moment.offsets
        else ends[one]
        if moment.time_ms is None
        else first_at(log, one, moment.time_ms)
        for one in partitions
    }


def last(log: HistoryLog, wanted: Wanted, ends: Offsets, count: int) -> list[Record]:
    """The last records before `ends` that are wanted, at most so many, in the order of logging.

    Looks at no more than SCAN_RECORDS_MAX offsets of each partition, and holds the wanted ones of one partition and of
    what is read at once.
    """
    begins = log.begin()
    found: list[Record] = []
    for partition, end in ends.items():
        of_partition: list[Record] = []
        low = max(begins[partition], end - SCAN_RECORDS_MAX)
        while end > low and len(of_partition) < count:
            start = max(low, end - max(count, RECORDS_MAX))
            of_partition = [*wanted.of(in_order(log, {partition: start}, {partition: end})), *of_partition]
            end = start
        found += of_partition[-count:] if count else []
    return sorted(found, key=lambda record: record.timestamp_ms)[-count:] if count else []
