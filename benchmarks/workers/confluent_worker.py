"""An experiment: a worker with a confluent-kafka consumer at the seam where `processors/worker.py` has Faust.

Started as a worker is: `python -m benchmarks.workers.confluent_worker --log URL --views URL`. Left out is what does not
bear on its speed: metrics, what it says when brokers fail, and rebalances by halves (cooperative).
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Mapping
from itertools import groupby
from typing import Any

from confluent_kafka import Consumer, TopicPartition
from headrace.ingest.kafka import KafkaLog
from headrace.ingest.kafka_headers import record_of
from headrace.ingest.kafka_settings import KafkaSettings
from headrace.ingest.log import Partition, Position, Record
from headrace.ingest.topics import FOLDED
from headrace.processors import views
from headrace.processors.partitions import Partitions
from headrace.processors.without_pandas import refuse_pandas

MESSAGES_MAX = 1_000
POLL_S = 0.02
SWITCH_INTERVAL_S = 0.0005


class ConfluentWorker:
    """One member of the consumer group. run() on a thread."""

    def __init__(self, settings: KafkaSettings, partitions: Partitions) -> None:
        self._partitions = partitions
        self._names = {settings.topic(topic): topic for topic in FOLDED}
        self._topics = {topic: name for name, topic in self._names.items()}
        self._room = threading.Event()
        self._stored: dict[Partition, int] = {}
        self._lock = threading.Lock()
        self._consumer = Consumer(
            settings.client(
                lambda _: None,
                group_id=settings.group,
                enable_auto_commit=False,
                auto_offset_reset="earliest",
                session_timeout_ms=10_000,
                fetch_wait_max_ms=10,
                queued_max_messages_kbytes=32 * 1024,
            )
        )

    def run(self, stopping: threading.Event) -> None:
        """Be a member of the group until stopping is set."""
        self._partitions.on_room(self._room.set)
        self._partitions.on_stored(self._on_stored)
        self._partitions.start()
        assign: Any = self._on_assigned
        self._consumer.subscribe(list(self._names), on_assign=assign, on_revoke=assign)
        while not stopping.is_set():
            messages = self._consumer.consume(MESSAGES_MAX, POLL_S)
            for _, batch in groupby(messages, key=lambda message: message.topic()):
                self._give(list(batch))
            self._commit()
        self._partitions.stop()
        self._commit()
        self._consumer.close()

    def _give(self, messages: list[Any]) -> None:
        records = [self._record(message) for message in messages if message.error() is None]
        needed = {p: self._partitions.needed_from(p) for p in {Partition(*x.position[:2]) for x in records}}
        records = [x for x in records if x.position.offset >= needed[Partition(*x.position[:2])]]
        if records and not self._partitions.put(records):
            self._wait_for_room()

    def _record(self, message: Any) -> Record:
        position = Position(self._names[message.topic()], message.partition(), message.offset())
        data = message.value() or b""
        return record_of(position, message.timestamp()[1], message.headers() or (), message.key(), data)

    def _wait_for_room(self) -> None:
        """What is fetched meanwhile waits in the client, which is bounded."""
        paused = self._consumer.assignment()
        self._consumer.pause(paused)
        self._room.clear()
        while not self._room.wait(POLL_S):
            self._consumer.poll(0)  # stays a member
        self._consumer.resume(paused)

    def _on_assigned(self, consumer: Consumer, _: list[TopicPartition]) -> None:
        # Called before an assignment holds, and before a revoked one is gone: what holds then is asked at the next.
        found = {Partition(self._names[x.topic], x.partition) for x in [*consumer.assignment(), *_]}
        self._partitions.assign(found)

    def _on_stored(self, offsets: Mapping[Partition, int]) -> None:
        with self._lock:
            self._stored |= offsets

    def _commit(self) -> None:
        """Tell the group how far the views are. What is lost on its way is told again with the next."""
        with self._lock:
            moved, self._stored = self._stored, {}
        if moved:
            offsets = [TopicPartition(self._topics[p.topic], p.partition, offset) for p, offset in moved.items()]
            self._consumer.commit(offsets=offsets, asynchronous=True)


def main() -> None:
    """Work until SIGTERM."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--log", required=True)
    parser.add_argument("--views", required=True)
    given = parser.parse_args()
    refuse_pandas()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    log, stored = KafkaLog(given.log), views.server(given.views)
    worker = ConfluentWorker(log.settings, Partitions(log, stored))
    print("Headrace worker, an experiment", flush=True)
    worker.run(stopping)
    stored.close()
    log.close()


if __name__ == "__main__":
    main()
