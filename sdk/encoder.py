"""Entries of the buffer to frames: pure but for the sequence numbers it counts."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from headrace.ingest import codec, events, packed_points
from headrace.ingest.envelope import JSON, MSGPACK, Envelope
from headrace.ingest.topics import topic_of
from headrace.sdk.buffer import EVENT, POINT, Entry
from headrace.sdk.cleaning import warn_once

logger = logging.getLogger("headrace")

DATA_BYTES_MAX = 4 * 1024 * 1024
"""The most data one envelope carries."""
_MERGED_MAX = 500

Columns = dict[str, list[Any]]
Pack = Callable[[Columns], tuple[bytes, str]]
"""Makes data of columns of points, with its content type. Raises OverflowError, TypeError, ValueError."""


def _packed(columns: Columns) -> tuple[bytes, str]:
    return packed_points.encode(columns), MSGPACK


class ExtraPoint(NamedTuple):
    """A point that names a logged model or a data set."""

    key: str
    step: int
    value: float
    model_id: str
    dataset_name: str
    dataset_digest: str


class Encoded(NamedTuple):
    """frames: to be written in this order. marks: entries without data, to be handled once those are written."""

    frames: list[bytes]
    marks: list[Entry]
    points: int


class Encoder:
    """Makes frames of entries. One for each writer, used by one thread.

    A sequence counts 1, 2, 3, … for each (topic, subject); what was counted must be written, or nothing after it.
    """

    def __init__(self, writer: str, source: str, actor: str) -> None:
        self._writer = writer
        self._source = source
        self._actor = actor
        self._sequences: dict[tuple[str, str], int] = {}
        self.pack: Pack = _packed
        """How points are packed: as MessagePack until pyarrow is there, which takes long to import."""

    def encode(self, entries: Sequence[Entry]) -> Encoded:
        """All entries, in an order that keeps each run's: events, then points, but a run's end behind its points."""
        out = Encoded([], [], sum(1 for entry in entries if entry[1] is not None))
        if not entries:
            return out
        if out.points == len(entries):
            self._points(entries, out.frames)
            return out
        attributes: list[Entry] = []
        plain: list[Entry] = []
        extra: list[Entry] = []
        for entry in entries:
            kind = entry[2]
            if entry[1] is not None:
                plain.append(entry)
            elif kind == POINT:
                extra.append(entry)
            elif kind == EVENT:
                if isinstance(entry[4], events.AttributesLogged):
                    attributes.append(entry)
                    continue
                self._attributes(attributes, out.frames)
                if isinstance(entry[4], events.RunEnded):
                    self._points(plain, out.frames)
                    self._extra_points(extra, out.frames)
                    plain, extra = [], []
                self._event(entry, out.frames)
            else:
                out.marks.append(entry)
        self._attributes(attributes, out.frames)
        self._points(plain, out.frames)
        self._extra_points(extra, out.frames)
        return out

    def _frame(self, type_name: str, subject: str, time_ms: int, data: bytes, content_type: str = JSON) -> bytes:
        topic = topic_of(type_name)
        sequence = self._sequences.get((topic, subject), 0) + 1
        envelope = Envelope(
            f"{self._writer}:{topic}:{subject}:{sequence}", type_name, self._source, subject, time_ms, data,
            content_type, 1, self._actor, self._writer, sequence,
        )  # fmt: skip
        frame = codec.encode_frame(envelope)
        self._sequences[topic, subject] = sequence
        return frame

    def _event(self, entry: Entry, frames: list[bytes]) -> None:
        subject, _, _, time_ms, event = entry
        try:
            data = codec.encode_event(event)
            if len(data) > DATA_BYTES_MAX:
                logger.warning("an event of %d bytes for run %s was dropped: it is too large", len(data), subject)
                return
            frames.append(self._frame(codec.type_of(event), subject, time_ms, data))
        except Exception as error:
            # A value that passed the checks and still cannot be encoded must not take the rest of the chunk with it.
            logger.warning("an event of run %s was dropped: it cannot be encoded: %s", subject, error)

    def _attributes(self, entries: list[Entry], frames: list[bytes]) -> None:
        """Params and tags, those of one run that came together in one event, as long as that says the same."""
        pending: dict[str, tuple[int, dict[str, str], dict[str, str]]] = {}
        for entry in entries:
            subject, _, _, time_ms, event = entry
            held = pending.get(subject)
            if held is not None and (
                event.atomic
                or any(held[1].get(key, value) != value for key, value in event.params.items())
                or len(held[1]) + len(held[2]) + len(event.params) + len(event.tags) > _MERGED_MAX
            ):
                self._put_attributes(subject, pending.pop(subject), frames)
                held = None
            if event.atomic:
                self._event(entry, frames)
            elif held is None:
                pending[subject] = (time_ms, dict(event.params), dict(event.tags))
            else:
                held[1].update(event.params)
                held[2].update(event.tags)
        for subject, held in pending.items():
            self._put_attributes(subject, held, frames)
        entries.clear()

    def _put_attributes(
        self, subject: str, held: tuple[int, dict[str, str], dict[str, str]], frames: list[bytes]
    ) -> None:
        time_ms, params, tags = held
        self._event((subject, None, EVENT, time_ms, events.AttributesLogged(params, tags)), frames)

    def _points(self, entries: Sequence[Entry], frames: list[bytes]) -> None:
        if not entries:
            return
        first = entries[0][0]
        run_ids = [entry[0] for entry in entries]
        if run_ids.count(first) == len(run_ids):
            self._run_points(first, entries, frames)
            return
        by_run: dict[str, list[Entry]] = {}
        for entry in entries:
            by_run.setdefault(entry[0], []).append(entry)
        for run_id, of_run in by_run.items():
            self._run_points(run_id, of_run, frames)

    def _run_points(self, run_id: str, entries: Sequence[Entry], frames: list[bytes]) -> None:
        columns: dict[str, list[Any]] = {
            "key": [entry[1] for entry in entries],
            "step": [entry[2] for entry in entries],
            "timestamp_ms": [entry[3] for entry in entries],
            "value": [entry[4] for entry in entries],
        }
        self._columns(run_id, columns, frames)

    def _extra_points(self, entries: Sequence[Entry], frames: list[bytes]) -> None:
        by_run: dict[str, list[Entry]] = {}
        for entry in entries:
            by_run.setdefault(entry[0], []).append(entry)
        for run_id, of_run in by_run.items():
            rows = [entry[4] for entry in of_run]
            columns: dict[str, list[Any]] = dict(
                zip(ExtraPoint._fields, map(list, zip(*rows, strict=True)), strict=True)
            )
            columns["timestamp_ms"] = [entry[3] for entry in of_run]
            self._columns(run_id, columns, frames)

    def _columns(self, run_id: str, columns: dict[str, list[Any]], frames: list[bytes]) -> None:
        count = len(columns["key"])
        try:
            data, content_type = self.pack(columns)
        except Exception as error:  # an int too large for int64, for instance: halving finds the point
            if count == 1:
                warn_once("encode", "a point of %r was dropped: %s", columns["key"][0], error)
            else:
                self._halves(run_id, columns, frames)
            return
        if len(data) > DATA_BYTES_MAX and count > 1:
            self._halves(run_id, columns, frames)
            return
        frames.append(self._frame(events.METRICS_LOGGED, run_id, columns["timestamp_ms"][0], data, content_type))

    def _halves(self, run_id: str, columns: dict[str, list[Any]], frames: list[bytes]) -> None:
        middle = len(columns["key"]) // 2
        self._columns(run_id, {name: values[:middle] for name, values in columns.items()}, frames)
        self._columns(run_id, {name: values[middle:] for name, values in columns.items()}, frames)
