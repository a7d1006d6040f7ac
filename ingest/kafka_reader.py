"""Consumers of a log on Kafka: one that reads anywhere, one that follows partitions."""

from __future__ import annotations

import time
from collections import deque
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from headrace.ingest.kafka_admin import REQUEST_TIMEOUT_S
from headrace.ingest.kafka_clients import make
from headrace.ingest.kafka_errors import OUT_OF_RANGE, PASSING, Faults, explain, kafka_error
from headrace.ingest.kafka_headers import record_of
from headrace.ingest.kafka_settings import MESSAGE_BYTES_MAX, KafkaSettings
from headrace.ingest.log import LogError, LogUnavailable, Offsets, Partition, Position, Record

PREFETCH_BYTES = 32 * 1024**2
_CONSUME_MAX = 1000
_CHECK_INTERVAL_S = 1.0
_RETRY_INTERVAL_S = 0.05


def _record(message: Message[Any, Any], partition: Partition) -> Record:
    position = Position(partition.topic, partition.partition, message.offset())  # type: ignore[arg-type]
    headers: Any = message.headers() or ()
    return record_of(position, message.timestamp()[1], headers, message.key(), message.value() or b"")


def _consumer(settings: KafkaSettings, faults: Faults, **properties: Any) -> Consumer:
    configuration = settings.client(
        faults.note,
        group_id=settings.group,
        enable_auto_commit=False,
        auto_offset_reset="error",
        # What a reader sees must not depend on a transaction that somebody else left open.
        isolation_level="read_uncommitted",
        fetch_max_bytes=MESSAGE_BYTES_MAX * 2,
        receive_message_max_bytes=MESSAGE_BYTES_MAX * 3,
        fetch_error_backoff_ms=100,
        fetch_queue_backoff_ms=20,
        **properties,
    )
    return make(Consumer, settings, "read", configuration)


class KafkaReader:
    """Reads any partition from any offset; cheap where a read begins where the last one ended. For one thread."""

    def __init__(self, settings: KafkaSettings, faults: Faults) -> None:
        self._settings = settings
        self._faults = faults
        self._consumer = _consumer(
            settings,
            faults,
            enable_partition_eof=True,
            # A fetch that waits at the broker holds up the next read elsewhere.
            fetch_wait_max_ms=5,
            queued_max_messages_kbytes=PREFETCH_BYTES // 1024,
        )
        self._at: tuple[Partition, int] | None = None
        """What the consumer stands at, and would give next."""
        self._end = 0
        self._pending: deque[Message[Any, Any]] = deque()

    def read(self, partition: Partition, offset: int, records_max: int, bytes_max: int) -> list[Record]:
        """As Log.read."""
        topic = self._settings.topic(partition.topic)
        try:
            if self._at != (partition, offset) or offset >= self._end:
                begin, self._end = self._bounds(TopicPartition(topic, partition.partition))
                if offset < begin:
                    raise expired(self._settings, partition, offset, begin)
                if offset >= self._end:
                    return []
                if self._at != (partition, offset):
                    self._at = None
                    self._pending.clear()
                    self._consumer.assign([TopicPartition(topic, partition.partition, offset)])
            return self._take(partition, offset, records_max, bytes_max)
        except KafkaException as error:
            self._at = None
            raise explain(self._settings, "read", error, self._faults) from error

    def _bounds(self, place: TopicPartition) -> tuple[int, int]:
        """The first offset there is, and the one behind the last."""
        deadline_s = time.monotonic() + REQUEST_TIMEOUT_S
        while True:
            try:
                bounds = self._consumer.get_watermark_offsets(place, timeout=max(0.5, deadline_s - time.monotonic()))
                self._faults.clear()
                return bounds
            except KafkaException as error:
                self._pending.extend(self._consumer.consume(1, 0))  # so that error_cb hears what is wrong
                if kafka_error(error).code() not in PASSING or time.monotonic() > deadline_s - 0.5:
                    raise
                time.sleep(_RETRY_INTERVAL_S)

    def _take(self, partition: Partition, offset: int, records_max: int, bytes_max: int) -> list[Record]:
        records: list[Record] = []
        size = 0
        deadline_s = time.monotonic() + REQUEST_TIMEOUT_S
        while offset < self._end and len(records) < records_max and (size < bytes_max or not records):
            if not self._pending:
                self._pending.extend(self._consumer.consume(1, 0.5) or ())
                self._pending.extend(self._consumer.consume(_CONSUME_MAX, 0))
            if not self._pending:
                if time.monotonic() > deadline_s:
                    self._at = None
                    if records:
                        return records
                    raise explain(self._settings, "read", KafkaError(KafkaError._TIMED_OUT), self._faults)
                continue
            message = self._pending.popleft()
            error = message.error()
            if error is None:
                records.append(_record(message, partition))
                size += len(message)
                offset = records[-1].position.offset + 1
                deadline_s = time.monotonic() + REQUEST_TIMEOUT_S
            elif error.code() == KafkaError._PARTITION_EOF:
                # Control records at the end have offsets, and are no messages.
                offset = max(offset, message.offset() or 0)
            elif error.code() in OUT_OF_RANGE:
                self._at = None
                raise expired(self._settings, partition, offset, None)
            elif error.fatal() or (not error.retriable() and error.code() not in _INFORMATION):
                raise KafkaException(error)
        self._at = (partition, offset)
        if offset >= self._end and not self._pending:
            # No fetch that waits while nobody reads.
            self._at = None
            self._consumer.unassign()
        return records

    def close(self) -> None:
        """Let go of connections."""
        self._consumer.close()


_INFORMATION = {KafkaError._ALL_BROKERS_DOWN, KafkaError._TRANSPORT, KafkaError._RESOLVE, KafkaError._TIMED_OUT}
"""Errors that a consumer tells in passing while it goes on trying."""


class KafkaFollower:
    """Records of some partitions as they come. For one thread.

    Memory: at most prefetch_bytes that wait in librdkafka, as much again that has been taken from it, and one fetch
    (2 x MESSAGE_BYTES_MAX) beyond.
    """

    def __init__(
        self, settings: KafkaSettings, faults: Faults, offsets: Offsets, prefetch_bytes: int = PREFETCH_BYTES
    ) -> None:
        self._settings = settings
        self._faults = faults
        self._offsets = dict(offsets)
        self._names = {(settings.topic(p.topic), p.partition): p for p in offsets}
        self._pending: dict[Partition, deque[Message[Any, Any]]] = {}
        self._failed: LogError | None = None
        self._checked_s = time.monotonic()
        self._consumer = _consumer(
            settings, faults, fetch_wait_max_ms=500, queued_max_messages_kbytes=max(1, prefetch_bytes // 1024)
        )
        self._consumer.assign(
            [TopicPartition(settings.topic(p.topic), p.partition, offset) for p, offset in self._offsets.items()]
        )

    def poll(self, records_max: int, bytes_max: int, timeout_s: float) -> list[Record]:
        """As Follower.poll."""
        if not self._pending and self._failed is None:
            self._fetch(timeout_s)
        if self._failed is not None:
            raise type(self._failed)(str(self._failed))
        if not self._pending:
            return []
        partition, messages = next(iter(self._pending.items()))
        records: list[Record] = []
        size = 0
        while messages and len(records) < records_max and (size < bytes_max or not records):
            message = messages.popleft()
            size += len(message)
            records.append(_record(message, partition))
        # To the end of the queue: partitions take turns.
        del self._pending[partition]
        if messages:
            self._pending[partition] = messages
        self._offsets[partition] = records[-1].position.offset + 1
        return records

    def _fetch(self, timeout_s: float) -> None:
        deadline_s = time.monotonic() + timeout_s
        while not self._pending and self._failed is None:
            left_s = max(0.0, deadline_s - time.monotonic())
            try:
                messages = self._consumer.consume(1, min(left_s, _CHECK_INTERVAL_S))
                if messages:
                    messages += self._consumer.consume(_CONSUME_MAX, 0)
            except (KafkaException, RuntimeError) as error:
                raise self._trouble(error) from error
            for message in messages:
                if message.error() is not None:
                    self._hear(message)
                    continue
                partition = self._names[message.topic(), message.partition()]  # type: ignore[index]
                queue = self._pending.get(partition)
                if queue is None:
                    queue = self._pending[partition] = deque()
                queue.append(message)
            if messages and self._pending:
                self._faults.clear()
            elif self._faults.down and time.monotonic() > self._checked_s + _CHECK_INTERVAL_S:
                self._check()
            if left_s <= 0:
                return

    def _hear(self, message: Message[Any, Any]) -> None:
        """What a consumer tells in place of a message."""
        error = kafka_error(message.error())  # type: ignore[arg-type]
        if error.code() in OUT_OF_RANGE:
            partition = self._names.get((message.topic(), message.partition()), Partition("", 0))  # type: ignore[arg-type]
            self._failed = expired(self._settings, partition, self._offsets.get(partition, 0), None)
        elif error.fatal():
            self._failed = explain(self._settings, "follow", error, self._faults)
        else:
            self._faults.note(error)

    def _check(self) -> None:
        """Raises LogUnavailable when no broker answers; a connection that was lost in passing is none of that."""
        self._checked_s = time.monotonic()
        partition = next(iter(self._offsets))
        try:
            place = TopicPartition(self._settings.topic(partition.topic), partition.partition)
            self._consumer.get_watermark_offsets(place, timeout=_CHECK_INTERVAL_S)
        except KafkaException as error:
            raise explain(self._settings, "follow", error, self._faults) from error
        self._faults.clear()

    def _trouble(self, error: Exception) -> LogError:
        if isinstance(error, KafkaException):
            return explain(self._settings, "follow", kafka_error(error), self._faults)
        return LogUnavailable(f"cannot follow the log {self._settings.name}: {error}")

    def close(self) -> None:
        """Let go of connections."""
        self._consumer.close()


def expired(settings: KafkaSettings, partition: Partition, offset: int, begin: int | None) -> LogError:
    """The error of reading at an offset that is no longer, or not, in the log. begin: the first that is, if known."""
    first = f" before {begin}" if begin is not None else ""
    return LogError(
        f"the log {settings.name} no longer has offset {offset} of {partition.topic}/{partition.partition}: records"
        f"{first} have expired, or the topic was made anew. Set retention.ms=-1 and retention.bytes=-1, so that history"
        " stays; views that have read them are still whole, others cannot be built from this log"
    )
