"""Reads the log from a cursor on, a bounded piece at a time, in the order in which it was logged. Keeps nothing."""

from __future__ import annotations

import heapq
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from headrace.api.feed.cursor import rank
from headrace.api.feed.tail import BATCH_BYTES, BATCH_RECORDS
from headrace.api.feed.wanted import Wanted
from headrace.ingest.log import Log, Partition, Record

SCAN_S = 0.05
"""So long one piece looks for events that are wanted."""
_PARTITION_BYTES_MIN = 16 * 1024


@dataclass(slots=True)
class Piece:
    """Records that are wanted, and the offsets to read next once they are passed on."""

    records: list[Record] = field(default_factory=list)
    offsets: dict[Partition, int] = field(default_factory=dict)


def read(log: Log, offsets: Mapping[Partition, int], ends: Mapping[Partition, int], wanted: Wanted) -> Piece:
    """The next records from these offsets, up to these ends or a little further; none when none is wanted in SCAN_S.

    Records of one partition are in its order; across partitions they go by the time they were logged. Raises
    LogUnavailable, and LogError for what has expired.
    """
    deadline_s = time.monotonic() + SCAN_S
    piece = Piece(offsets=dict(offsets))
    while not piece.records:
        if all(offset >= ends.get(p, 0) for p, offset in piece.offsets.items()):
            break
        piece.records = [record for record in _next(log, piece.offsets, ends) if wanted.takes(record.envelope)]
        if time.monotonic() > deadline_s:
            break
    return piece


def _next(log: Log, offsets: dict[Partition, int], ends: Mapping[Partition, int]) -> list[Record]:
    """Some records in order; moves the offsets behind them."""
    behind = [p for p, offset in offsets.items() if offset < ends.get(p, 0)]
    bytes_max = max(_PARTITION_BYTES_MIN, BATCH_BYTES // len(behind))
    heads: list[tuple[int, tuple[int, int], int]] = []
    parts: dict[tuple[int, int], tuple[Partition, list[Record]]] = {}
    for partition in behind:
        records = log.read(partition, offsets[partition], BATCH_RECORDS, bytes_max)
        if records:
            place = rank(partition)
            parts[place] = (partition, records)
            heads.append((records[0].timestamp_ms, place, 0))
        else:
            # Nothing but gaps up to there.
            offsets[partition] = ends[partition]
    heapq.heapify(heads)
    merged: list[Record] = []
    while heads and len(merged) < BATCH_RECORDS:
        _, place, index = heapq.heappop(heads)
        partition, records = parts[place]
        merged.append(records[index])
        offsets[partition] = records[index].position.offset + 1
        if index + 1 < len(records):
            heapq.heappush(heads, (records[index + 1].timestamp_ms, place, index + 1))
        elif offsets[partition] < ends[partition]:
            break  # What comes next of this partition may be older than what the others have.
    return merged
