"""One event on its way to readers, who share it: its record, and its JSON once somebody has asked for that."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from headrace.ingest import points
from headrace.ingest.codec import Malformed
from headrace.ingest.envelope import JSON, Envelope
from headrace.ingest.erasing import left_of
from headrace.ingest.events import METRICS_LOGGED
from headrace.ingest.log import Partition, Record

_encode = msgspec.json.Encoder().encode
_ENVELOPE_BYTES = 600


class Entry:
    """A record, what is known of its experiments, and its JSON.

    moved_to: for a run's move, where it goes, which is not what the envelope's subject says. moved_from: where it was,
    if that is known.
    """

    __slots__ = ("json", "moved_from", "moved_to", "record")

    def __init__(self, record: Record) -> None:
        self.record = record
        self.json: bytes | None = None
        self.moved_from = ""
        self.moved_to = ""

    @property
    def partition(self) -> Partition:
        """Where it lies."""
        return Partition(*self.record.position[:2])

    @property
    def weight(self) -> int:
        """About how many bytes of memory it takes, with its JSON."""
        return 2 * len(self.record.envelope.data) + _ENVELOPE_BYTES

    def erase(self) -> None:
        """Keep no more of it than the log does once it is erased."""
        self.record = self.record._replace(envelope=left_of(self.record.position, self.record.envelope))
        self.json = None

    def told(self, experiment_id: str, with_points: bool) -> bytes:
        """The event as JSON; what it is without points is kept, unless it is much longer than the event itself."""
        if with_points:
            return told(self.record, experiment_id, True)
        text = self.json or told(self.record, experiment_id, False)
        if len(text) <= self.weight:
            self.json = text
        return text


def told(record: Record, experiment_id: str, with_points: bool) -> bytes:
    """An event as readers get it, in JSON.

    Its data as it is, where that is JSON; of metric points a digest (`metrics`: by key how many, and the last one) or
    with_points each of them (`points`); else `data_base64`. NaN and infinities are text.
    """
    envelope = record.envelope
    event: dict[str, Any] = {
        "position": "/".join(map(str, record.position)),
        "logged_ms": record.timestamp_ms,
        "id": envelope.id,
        "type": envelope.type,
        "subject": envelope.subject,
        "experiment_id": experiment_id or None,
        "time_ms": envelope.time_ms,
        "actor": envelope.actor,
        "source": envelope.source,
        "schema_version": envelope.schema_version,
    }
    if envelope.writer:
        event |= {"writer": envelope.writer, "sequence": envelope.sequence}
    return _encode(event | _data(envelope, with_points))


def _data(envelope: Envelope, with_points: bool) -> dict[str, Any]:
    try:
        if envelope.type == METRICS_LOGGED:
            columns = points.decode(envelope.data).to_pydict()
            return {"points": _rows(columns)} if with_points else {"metrics": digest(columns)}
        if envelope.content_type == JSON:
            return {"data": msgspec.json.decode(envelope.data)}
    except (Malformed, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    return {"data_base64": envelope.data}


def digest(columns: dict[str, list[Any]]) -> dict[str, dict[str, Any]]:
    """Of each metric: how many points, and the last one by (step, time, place in the batch)."""
    counts: dict[str, int] = {}
    last: dict[str, tuple[int, int, float]] = {}
    for key, step, time_ms, value in zip(
        columns["key"], columns["step"], columns["timestamp_ms"], columns["value"], strict=True
    ):
        counts[key] = counts.get(key, 0) + 1
        before = last.get(key)
        if before is None or (step, time_ms) >= before[:2]:
            last[key] = (step, time_ms, value)
    return {
        key: {"points": counts[key], "last_step": step, "last_timestamp_ms": time_ms, "last_value": number(value)}
        for key, (step, time_ms, value) in last.items()
    }


def _rows(columns: dict[str, list[Any]]) -> list[dict[str, Any]]:
    columns = {**columns, "value": [number(value) for value in columns["value"]]}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def number(value: float) -> float | str:
    """A value as JSON has it."""
    if value != value:
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "Infinity" if value > 0 else "-Infinity"
    return value


def weight_of(entries: Iterable[Entry]) -> int:
    """About how many bytes of memory they take."""
    return sum(entry.weight for entry in entries)
