"""A log in memory: for tests and for trying things; gone when the process ends."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping, Sequence

from headrace.ingest.clock import Clock, SystemClock
from headrace.ingest.envelope import Envelope
from headrace.ingest.erasing import Held, left_of
from headrace.ingest.log import LogError, Offsets, Partition, Position, Record
from headrace.ingest.partitioning import partition_of
from headrace.ingest.polling import PollingFollower
from headrace.ingest.topics import TOPICS, topic_of


class MemoryLog:
    """The log protocol over lists, one a partition."""

    remote = False

    def __init__(self, clock: Clock | None = None, partitions: Mapping[str, int] | None = None) -> None:
        """partitions: how many a topic has; 1 where it says nothing."""
        self._clock = clock or SystemClock()
        self._counts = {name: (partitions or {}).get(name, 1) for name in TOPICS}
        self._records: dict[Partition, list[Record]] = {
            Partition(name, number): [] for name, count in self._counts.items() for number in range(count)
        }
        self._appended = threading.Condition()

    def append(self, envelopes: Sequence[Envelope]) -> list[Position]:
        now_ms = self._clock.time_ms()
        return self._add([(topic_of(envelope.type), now_ms, envelope) for envelope in envelopes])

    def restore(self, records: Sequence[Record]) -> list[Position]:
        """As HistoryLog.restore."""
        return self._add([(record.position.topic, record.timestamp_ms, record.envelope) for record in records])

    def _add(self, entries: Sequence[tuple[str, int, Envelope]]) -> list[Position]:
        """Append envelopes, each with its topic and the time it is logged at."""
        places = []
        for topic, _, envelope in entries:
            if topic not in TOPICS:
                raise LogError(f"the log has no topic {topic}")
            places.append(Partition(topic, partition_of(envelope.subject, self._counts[topic])))
        positions = []
        with self._appended:
            for place, (_, time_ms, envelope) in zip(places, entries, strict=True):
                position = Position(*place, len(self._records[place]))
                self._records[place].append(Record(position, time_ms, envelope))
                positions.append(position)
            self._appended.notify_all()
        return positions

    def read(self, partition: Partition, offset: int, records_max: int, bytes_max: int) -> list[Record]:
        if partition not in self._records:
            raise LogError(f"the log has no partition {partition.topic}/{partition.partition}")
        records: list[Record] = []
        size = 0
        for record in self._records[partition][offset : offset + records_max]:
            records.append(record)
            size += len(record.envelope.data)
            if size >= bytes_max:
                break
        return records

    def held(self, partition: Partition, subjects: Collection[str], first: int, end: int) -> list[Held]:
        """As ErasableLog.held."""
        found = self._records[partition][first:end]
        return [
            Held(x.position.offset, x.envelope.subject, x.envelope.type, len(x.envelope.data))
            for x in found
            if x.envelope.subject in subjects
        ]

    def erase(self, partition: Partition, offsets: Sequence[int]) -> None:
        """As ErasableLog.erase."""
        with self._appended:
            records = self._records[partition]
            for offset in offsets:
                records[offset] = records[offset]._replace(
                    envelope=left_of(records[offset].position, records[offset].envelope)
                )

    def settle(self, timeout_s: float) -> None:
        """As ErasableLog.settle: there are no files."""

    def partitions(self) -> list[Partition]:
        return list(self._records)

    def end(self) -> dict[Partition, int]:
        return {partition: len(records) for partition, records in self._records.items()}

    def begin(self) -> dict[Partition, int]:
        """As HistoryLog.begin: nothing is ever taken away."""
        return dict.fromkeys(self._records, 0)

    def wait(self, beyond: Offsets, timeout_s: float) -> bool:
        with self._appended:
            return self._appended.wait_for(
                lambda: any(offset > beyond.get(partition, 0) for partition, offset in self.end().items()), timeout_s
            )

    def follow(self, offsets: Offsets) -> PollingFollower:
        return PollingFollower(self, offsets)

    def close(self) -> None:
        """Nothing to let go of."""
