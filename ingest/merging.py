"""Reads many partitions of a log as one sequence, in the order in which they were logged."""

from __future__ import annotations

import heapq
from collections.abc import Iterator

from headrace.ingest.log import Log, Offsets, Partition, Record

RECORDS_MAX = 1_000
BYTES_MAX = 1024 * 1024
"""What is read of a partition at once; so much of each partition is in memory."""


def in_order(log: Log, starts: Offsets, ends: Offsets) -> Iterator[Record]:
    """The records of the partitions in `ends`, each from its start (or 0) to its end, by the time they were logged.

    Records of one partition keep their order, whatever their times. Holds RECORDS_MAX records, or BYTES_MAX and one
    record, of each partition. Raises LogUnavailable.
    """
    parts = [
        in_partition(log, partition, starts.get(partition, 0), end) for partition, end in sorted(ends.items()) if end
    ]
    return heapq.merge(*parts, key=_logged)


def in_partition(log: Log, partition: Partition, start: int, end: int) -> Iterator[Record]:
    """The records of one partition from start up to end, in order."""
    while start < end:
        records = log.read(partition, start, min(RECORDS_MAX, end - start), BYTES_MAX)
        if not records:
            return
        for record in records:
            if record.position.offset >= end:
                return
            yield record
        start = records[-1].position.offset + 1


def _logged(record: Record) -> int:
    return record.timestamp_ms
