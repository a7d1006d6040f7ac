"""Copies the history of a log into another one: every envelope as it is, the time it was logged, each subject's order.

Where a copy stands is read from the target alone. Records of a subject keep their order, so what the target holds of
each of its partitions must be, record for record, what the source's partitions begin with; from there on the rest
follows. A copy that was killed at any point therefore goes on exactly, and one that is run again takes what has come
since.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from headrace.ingest.log import HistoryLog, LogError, Offsets, Partition, Position, Record
from headrace.ingest.merging import in_order, in_partition
from headrace.ingest.partitioning import partition_of

BATCH_RECORDS = 1_000
BATCH_BYTES = 4 * 1024 * 1024
"""The target takes so much at once: a batch ends with the record that reaches one of the two."""

_ENVELOPE_BYTES = 300
"""About what a record weighs beside its data."""


class NotACopy(LogError):
    """The target holds something else than the beginning of the source."""


@dataclass(slots=True)
class TopicProgress:
    """How far a topic is. total: records of the source to the moment the copy goes to; found: of these, how many the
    target had; copied: how many were appended, of so many bytes of data."""

    total: int = 0
    found: int = 0
    copied: int = 0
    bytes: int = 0


@dataclass(slots=True)
class Progress:
    """How far a copy is, by topic."""

    topics: dict[str, TopicProgress] = field(default_factory=dict)

    def sum(self) -> TopicProgress:
        """Of all topics."""
        topics = self.topics.values()
        return TopicProgress(
            *(sum(getattr(topic, name) for topic in topics) for name in ("total", "found", "copied", "bytes"))
        )


def copy(
    source: HistoryLog,
    target: HistoryLog,
    until: Offsets | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    batch_records: int = BATCH_RECORDS,
) -> Progress:
    """Bring the target to where the source is now, or at `until` (the end of each partition of the source).

    Holds a batch and a read-ahead of each partition in memory. on_progress is called after each batch. Nothing else may
    append to the target meanwhile; the source may grow. Raises NotACopy, LogError, LogUnavailable; run again, it goes
    on where it was.
    """
    source_begin, source_end, target_end = source.begin(), source.end(), target.end()
    ends = source_end if until is None else until
    progress = Progress()
    tell = on_progress or (lambda progress: None)
    topics = list(dict.fromkeys(partition.topic for partition in source_end))
    for topic in topics:
        if not any(partition.topic == topic for partition in target_end):
            raise LogError(f"the target has no topic {topic}; make its topics first")
        total = sum(max(0, end - source_begin[one]) for one, end in ends.items() if one.topic == topic)
        progress.topics[topic] = TopicProgress(total)
    for topic in topics:
        copier = _Topic(source, target, topic, source_end, target_end, ends, batch_records)
        for _ in copier.find(progress.topics[topic]):
            tell(progress)
        for _ in copier.append(progress.topics[topic]):
            tell(progress)
    tell(progress)
    return progress


class _Lane(NamedTuple):
    """The records of one partition of the source that go to one partition of the target: they keep their order."""

    source: Partition
    target: Partition


class _Topic:
    """The copy of one topic."""

    def __init__(
        self,
        source: HistoryLog,
        target: HistoryLog,
        topic: str,
        source_end: Offsets,
        target_end: Offsets,
        ends: Offsets,
        batch_records: int,
    ) -> None:
        self._source = source
        self._target = target
        self._source_end = {one: end for one, end in source_end.items() if one.topic == topic}
        self._next = {one: end for one, end in target_end.items() if one.topic == topic}
        self._ends = {one: ends[one] for one in self._source_end}
        self._topic = topic
        self._batch_records = batch_records
        # From which offset of the source on a lane's records are not in the target.
        self._missing: dict[_Lane, int] = {}

    def find(self, progress: TopicProgress) -> Iterator[None]:
        """Compare what the target holds with the beginning of the source; yields now and then."""
        held = _peeks(self._target, self._next)
        heads = _peeks(self._source, self._source_end)
        # Copies of several partitions in one are interleaved as they were copied: take what fits, as long as some does.
        while waiting := [one for one, peek in held.items() if peek.record is not None]:
            seen = progress.found
            for head in heads.values():
                yield from self._match(head, held, progress)
            if progress.found == seen:
                raise self._foreign(held[waiting[0]].record)
        for source, head in heads.items():
            rest = self._source_end[source] if head.record is None else head.record.position.offset
            for target in held:
                self._missing.setdefault(_Lane(source, target), rest)

    def _match(self, head: _Peek, held: dict[Partition, _Peek], progress: TopicProgress) -> Iterator[None]:
        """Go through one partition of the source as long as the target has its records, or has come to an end."""
        while (record := head.record) is not None and any(peek.record is not None for peek in held.values()):
            lane = self._lane(record)
            found = held[lane.target]
            if found.record is None:
                self._missing.setdefault(lane, record.position.offset)
            elif _same(found.record, record):
                self._check_moment(record)
                progress.found += 1
                found.move()
                if progress.found % self._batch_records == 0:
                    yield
            else:
                return
            head.move()

    def append(self, progress: TopicProgress) -> Iterator[None]:
        """Append what is missing; yields after each batch."""
        starts = {
            partition: min(offset for lane, offset in self._missing.items() if lane.source == partition)
            for partition in self._ends
        }
        batch: list[Record] = []
        size = 0
        for record in in_order(self._source, starts, self._ends):
            if record.position.offset < self._missing[self._lane(record)]:
                continue
            batch.append(record)
            size += len(record.envelope.data) + _ENVELOPE_BYTES
            if len(batch) >= self._batch_records or size >= BATCH_BYTES:
                self._restore(batch, progress)
                batch, size = [], 0
                yield
        if batch:
            self._restore(batch, progress)

    def _restore(self, batch: list[Record], progress: TopicProgress) -> None:
        last: dict[Partition, Position] = {}
        for record, position in zip(batch, self._target.restore(batch), strict=True):
            place = self._lane(record).target
            self._next[place] += 1
            last[place] = position
            progress.bytes += len(record.envelope.data)
        progress.copied += len(batch)
        for place, position in last.items():
            if position != (*place, self._next[place] - 1):
                raise NotACopy(
                    f"something else appends to the target: {'/'.join(map(str, position))} was to be at offset"
                    f" {self._next[place] - 1} of {place.topic}/{place.partition}. Stop it, and copy into an empty log"
                )

    def _lane(self, record: Record) -> _Lane:
        position = record.position
        target = Partition(self._topic, partition_of(record.envelope.subject, len(self._next)))
        return _Lane(Partition(position.topic, position.partition), target)

    def _check_moment(self, record: Record) -> None:
        if record.position.offset >= self._ends[self._lane(record).source]:
            raise NotACopy(
                f"the target goes beyond that moment already: it has {'/'.join(map(str, record.position))} of the"
                " source. Copy into an empty log"
            )

    def _foreign(self, record: Record | None) -> NotACopy:
        assert record is not None
        envelope = record.envelope
        return NotACopy(
            f"the target is not a copy of the source's beginning: its {'/'.join(map(str, record.position))}"
            f" ({envelope.type} of {envelope.subject!r}) is not what the source has there. Copy into an empty log, and"
            " let nothing else write to it (a server does, when it starts)"
        )


def _peeks(log: HistoryLog, ends: Offsets) -> dict[Partition, _Peek]:
    """Each partition from its beginning on."""
    begins = log.begin()
    return {one: _Peek(in_partition(log, one, begins[one], end)) for one, end in ends.items()}


class _Peek:
    """An iterator whose next record can be looked at; record is None at its end."""

    def __init__(self, records: Iterator[Record]) -> None:
        self._records = records
        self.record = next(records, None)

    def move(self) -> None:
        """Go on to the next one."""
        self.record = next(self._records, None)


def _same(a: Record, b: Record) -> bool:
    return a.timestamp_ms == b.timestamp_ms and a.envelope == b.envelope
