"""Compares what two sets of views hold: rows and a checksum a table."""

from __future__ import annotations

from dataclasses import dataclass

from headrace.ingest.log import Offsets
from headrace.ingest.topics import METRICS
from headrace.processors.views import Views

REPLACED = ("runs", "metric_summary")
"""Tables whose rows are replaced by newer ones: compared whole, by their newest rows."""
APPENDED = ("events", "metrics")
"""Tables that only grow: what lies below an offset never changes."""
TABLES = (*APPENDED, *REPLACED)


@dataclass(frozen=True, slots=True)
class Held:
    """What a table holds. checksum: the sum, modulo 2^64, of a hash of each row, so that order does not matter."""

    rows: int
    checksum: int

    def __add__(self, other: Held) -> Held:
        return Held(self.rows + other.rows, (self.checksum + other.checksum) % 2**64)


def held(views: Views, table: str, first: Offsets | None = None, end: Offsets | None = None) -> Held:
    """What a table holds. first, end: only rows that came from offsets in between; of tables that only grow."""
    final = " FINAL" if table in REPLACED else ""
    conditions = []
    if end is not None:
        conditions.append(_below(table, end))
    if first is not None:
        conditions.append(f"NOT ({_below(table, first)})")
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    [(rows, checksum)] = views.rows(f"SELECT count(), sum(cityHash64(*)) FROM {table}{final}{where}")
    return Held(rows, checksum)


def _below(table: str, offsets: Offsets) -> str:
    """SQL that is true of rows that came from below these offsets."""
    topics: dict[str, dict[int, int]] = {}
    for partition, offset in offsets.items():
        if table == "events" or partition.topic == METRICS:
            topics.setdefault(partition.topic, {})[partition.partition] = offset
    alternatives = []
    for topic, ends in topics.items():
        values = ", ".join(f"{ends.get(number, 0):d}" for number in range(max(ends) + 1))
        below = f"offset < [{values}][partition + 1]"
        alternatives.append(f"(topic = '{topic}' AND {below})" if table == "events" else f"({below})")
    return " OR ".join(alternatives) or "false"
