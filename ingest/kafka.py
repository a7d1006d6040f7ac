"""The log on Apache Kafka: topics of many partitions, shared by any number of producers and readers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from headrace.ingest.appends import Appends
from headrace.ingest.envelope import Envelope
from headrace.ingest.kafka_admin import KafkaAdmin
from headrace.ingest.kafka_errors import too_long, unconfirmed
from headrace.ingest.kafka_headers import encode_headers, logged_header
from headrace.ingest.kafka_offsets import KafkaOffsets
from headrace.ingest.kafka_producer import Appended, KafkaProducer, NotConfirmed, Outgoing
from headrace.ingest.kafka_reader import PREFETCH_BYTES, KafkaFollower, KafkaReader
from headrace.ingest.kafka_settings import KafkaSettings, parse
from headrace.ingest.log import LogError, LogUnavailable, Offsets, Partition, Position, Record
from headrace.ingest.topics import TOPICS, topic_of

DELIVERY_TIMEOUT_S = 8.0
"""With the two seconds that finding the reason takes, an append that fails does so within ten."""
_HEADERS_BYTES = 4096
"""Room for key and headers in a message."""
_TAIL_INTERVAL_S = 0.02

T = TypeVar("T")


class KafkaLog:
    """A log on Kafka.

    A record lies in the partition that murmur2 of its subject names. Offsets rise, with gaps where the broker keeps
    records of its own. An append is acknowledged by all replicas in sync; how many those are, and when they write to
    disk, is for the cluster to say. Records of one append are appended in order, but not all or nothing.

    Safe to share between threads; a process that was forked must open its own.
    """

    remote = True

    def __init__(
        self, url: str | KafkaSettings, delivery_timeout_s: float = DELIVERY_TIMEOUT_S, check_settings: bool = True
    ) -> None:
        """Open the log at `kafka://host:9092[/prefix]`.

        delivery_timeout_s: how long an append may take. check_settings: whether topics must have the settings that the
        log's promises rest on; a writer may leave that to the server.
        Raises LogError when a topic is missing or has other settings, LogUnavailable when no broker answers.
        """
        self.settings = parse(url) if isinstance(url, str) else url
        self._admin = KafkaAdmin(self.settings)
        self._faults = self._admin.faults
        self._lock = threading.Lock()
        self._read_lock = threading.Lock()
        self._reader: KafkaReader | None = None
        self._closed = False
        self._appends = Appends(_TAIL_INTERVAL_S)
        self._counts = self._admin.usable(check_settings)
        # Made now, so that the first append does not wait for the id that an idempotent producer needs.
        self._producer = KafkaProducer(
            self.settings, self._faults, delivery_timeout_s, min(self._admin.bytes_max.values())
        )
        self._offsets = KafkaOffsets(self.settings, self._faults)
        self._end = _Shared(lambda: self._offsets.ends(self._counts))
        self._committed: dict[str, _Shared[dict[Partition, int]]] = {}

    @property
    def group(self) -> str:
        """The consumer group whose committed offsets say how far the views have come."""
        return self.settings.group

    def append(self, envelopes: Sequence[Envelope]) -> list[Position]:
        messages = []
        for envelope in envelopes:
            topic = topic_of(envelope.type)
            messages.append((topic, self._outgoing(topic, envelope)))
        return self._append(messages)

    def restore(self, records: Sequence[Record]) -> list[Position]:
        """As HistoryLog.restore. The time a record was logged first travels in a header: Kafka stamps its own."""
        for record in records:
            if record.position.topic not in TOPICS:
                raise LogError(f"the log has no topic {record.position.topic}")
        messages = []
        for record in records:
            topic = record.position.topic
            message = self._outgoing(topic, record.envelope)
            message.headers.append(logged_header(record.timestamp_ms))
            messages.append((topic, message))
        return self._append(messages)

    def _outgoing(self, topic: str, envelope: Envelope) -> Outgoing:
        if len(envelope.data) > self._admin.bytes_max[topic] - _HEADERS_BYTES:
            raise too_long(self.settings, len(envelope.data))
        return Outgoing(self.settings.topic(topic), envelope.subject.encode(), envelope.data, encode_headers(envelope))

    def _append(self, messages: Sequence[tuple[str, Outgoing]]) -> list[Position]:
        if not messages:
            return []
        try:
            places = self._producer.append([message for _, message in messages])
        except NotConfirmed as error:
            raise LogUnavailable(self._why_not(error)) from error
        self._appends.tell()
        if any(place.offset < 0 for place in places):
            places = self._bounded(messages, places)
        return [Position(topic, *place) for (topic, _), place in zip(messages, places, strict=True)]

    def _why_not(self, error: NotConfirmed) -> str:
        """What keeps brokers from confirming: librdkafka only says that the time is over."""
        try:
            return self._admin.too_few_replicas() or unconfirmed(self.settings, self._faults)
        except LogError:
            return str(error)

    def _bounded(self, messages: Sequence[tuple[str, Outgoing]], places: Sequence[Appended]) -> list[Appended]:
        """Places, with the end of the partition where the broker told none: who waits for that has waited enough."""
        end = self.end()
        return [
            place if place.offset >= 0 else Appended(place.partition, end[Partition(topic, place.partition)] - 1)
            for (topic, _), place in zip(messages, places, strict=True)
        ]

    def read(self, partition: Partition, offset: int, records_max: int, bytes_max: int) -> list[Record]:
        self._check_partition(partition)
        with self._read_lock:
            self._check_open()
            if self._reader is None:
                self._reader = KafkaReader(self.settings, self._faults)
            return self._reader.read(partition, offset, records_max, bytes_max)

    def partitions(self) -> list[Partition]:
        return [Partition(topic, number) for topic, count in self._counts.items() for number in range(count)]

    def end(self) -> dict[Partition, int]:
        self._check_open()
        return self._end().copy()

    def begin(self) -> dict[Partition, int]:
        """The offset of the first record of each partition that has not expired."""
        self._check_open()
        return self._offsets.begins(self._counts)

    def committed(self, group: str = "") -> dict[Partition, int]:
        """The offsets that a consumer group has committed, this log's own if none is named; those it has are missing.

        Raises LogUnavailable.
        """
        group = group or self.group
        with self._lock:
            self._check_open()
            ask = self._committed.get(group)
            if ask is None:
                ask = self._committed[group] = _Shared(lambda: self._offsets.committed(group, self._counts))
        return ask().copy()

    def wait(self, beyond: Offsets, timeout_s: float) -> bool:
        """As the protocol says. Appends of this process wake it at once; those of others are seen within 20 ms."""
        return self._appends.wait(self.end, beyond, timeout_s)

    def follow(self, offsets: Offsets, prefetch_bytes: int = PREFETCH_BYTES) -> KafkaFollower:
        """As the protocol says. prefetch_bytes: about how much may wait in memory to be polled."""
        for partition in offsets:
            self._check_partition(partition)
        self._check_open()
        return KafkaFollower(self.settings, self._faults, offsets, prefetch_bytes)

    def close(self) -> None:
        with self._lock, self._read_lock:
            self._closed = True
            self._producer.close()
            self._offsets.close()
            if self._reader is not None:
                self._reader.close()
            self._reader = None

    def _check_open(self) -> None:
        if self._closed:
            raise LogUnavailable(f"the log {self.settings.name} is closed")

    def _check_partition(self, partition: Partition) -> None:
        if not 0 <= partition.partition < self._counts.get(partition.topic, 0):
            raise LogError(f"the log has no partition {partition.topic}/{partition.partition}")


class _Shared(Generic[T]):
    """A question that many threads ask at once: one asks, and those who came before it did share its answer."""

    def __init__(self, ask: Callable[[], T]) -> None:
        self._ask = ask
        self._condition = threading.Condition()
        self._started = self._finished = 0
        self._running = False
        self._answer: T | None = None
        self._error: LogError | None = None

    def __call__(self) -> T:
        """The answer to a question asked after this call began."""
        with self._condition:
            wanted = self._started + 1
            self._condition.wait_for(lambda: self._finished >= wanted or not self._running)
            if self._finished >= wanted:
                return self._told()
            self._running = True
            self._started += 1
            number = self._started
        answer: T | None = None
        error: LogError | None = LogUnavailable("the question was broken off")
        try:
            answer = self._ask()
            error = None
            return answer
        except LogError as raised:
            error = raised
            raise
        finally:
            with self._condition:
                self._running, self._finished = False, number
                self._answer, self._error = answer, error
                self._condition.notify_all()

    def _told(self) -> T:
        if self._error is not None:
            raise type(self._error)(str(self._error)) from self._error
        assert self._answer is not None
        return self._answer
