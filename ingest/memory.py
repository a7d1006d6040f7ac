"""A log in memory: for tests and for trying things; gone when the process ends."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from headrace.ingest.clock import Clock, SystemClock
from headrace.ingest.envelope import Envelope
from headrace.ingest.log import LogError, Offsets, Partition, Position, Record
from headrace.ingest.polling import PollingFollower
from headrace.ingest.topics import TOPICS, topic_of


class MemoryLog:
    """The log protocol over lists, one a topic."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._records: dict[str, list[Record]] = {name: [] for name in TOPICS}
        self._appended = threading.Condition()

    def append(self, envelopes: Sequence[Envelope]) -> list[Position]:
        now_ms = self._clock.time_ms()
        topics = [topic_of(envelope.type) for envelope in envelopes]
        positions = []
        with self._appended:
            for topic, envelope in zip(topics, envelopes, strict=True):
                position = Position(topic, 0, len(self._records[topic]))
                self._records[topic].append(Record(position, now_ms, envelope))
                positions.append(position)
            self._appended.notify_all()
        return positions

    def read(self, partition: Partition, offset: int, records_max: int, bytes_max: int) -> list[Record]:
        if partition.topic not in TOPICS or partition.partition != 0:
            raise LogError(f"the log has no partition {partition.topic}/{partition.partition}")
        records: list[Record] = []
        size = 0
        for record in self._records[partition.topic][offset : offset + records_max]:
            records.append(record)
            size += len(record.envelope.data)
            if size >= bytes_max:
                break
        return records

    def partitions(self) -> list[Partition]:
        return [Partition(name, 0) for name in TOPICS]

    def end(self) -> dict[Partition, int]:
        return {Partition(name, 0): len(records) for name, records in self._records.items()}

    def wait(self, beyond: Offsets, timeout_s: float) -> bool:
        with self._appended:
            return self._appended.wait_for(
                lambda: any(offset > beyond.get(partition, 0) for partition, offset in self.end().items()), timeout_s
            )

    def follow(self, offsets: Offsets) -> PollingFollower:
        return PollingFollower(self, offsets)

    def close(self) -> None:
        """Nothing to let go of."""
