"""The producer of a log on Kafka: appends wait for the brokers' acknowledgement, many threads at once."""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from confluent_kafka import KafkaError, KafkaException, Message, Producer
from headrace.ingest.kafka_errors import Faults, explain, kafka_error
from headrace.ingest.kafka_headers import Headers
from headrace.ingest.kafka_settings import MESSAGE_BYTES_MAX, KafkaSettings
from headrace.ingest.log import LogError, LogUnavailable

QUEUE_BYTES_MAX = 128 * 1024**2
_QUEUE_MESSAGES_MAX = 200_000
_LINGER_MS = 1
_POLL_S = 0.1


class Outgoing(NamedTuple):
    """A message to append. topic: as the broker names it."""

    topic: str
    key: bytes
    value: bytes
    headers: Headers


class Appended(NamedTuple):
    """Where a message lies. offset is negative when the broker confirmed it without saying where."""

    partition: int
    offset: int


class NotConfirmed(LogUnavailable):
    """Brokers did not confirm an append in time."""


class _Batch:
    """The messages of one append, while they are under way."""

    def __init__(self, size: int) -> None:
        self.places: list[Appended | None] = [None] * size
        self.error: KafkaError | None = None
        self._left = size
        self._done = threading.Event()

    def delivered(self, index: int, error: KafkaError | None, message: Message[Any, Any]) -> None:
        """The broker's answer, or that there is none. Called by the producer's one polling thread."""
        if error is not None:
            self.error = self.error or error
        else:
            self.places[index] = Appended(message.partition() or 0, message.offset() or 0)
        self._left -= 1
        if self._left == 0:
            self._done.set()

    def wait(self, timeout_s: float) -> bool:
        """Wait for all answers; False when some have not come in time."""
        return self._done.wait(timeout_s)


class KafkaProducer:
    """Idempotent, acks=all: a message is in its partition once, in the order of appends, also if it was resent."""

    def __init__(self, settings: KafkaSettings, faults: Faults, delivery_timeout_s: float) -> None:
        """delivery_timeout_s: how long an append may wait for the brokers. Raises LogError for a bad property."""
        self._settings = settings
        self._faults = faults
        self._timeout_s = delivery_timeout_s
        self._produce_lock = threading.Lock()
        self._room = threading.Condition()
        self._closed = threading.Event()
        self._producer = self._new()
        self._thread = threading.Thread(target=self._poll, name="headrace-kafka-producer", daemon=True)
        self._thread.start()

    def _new(self) -> Producer:
        timeout_ms = max(1000, round(self._timeout_s * 1000))
        try:
            return Producer(
                self._settings.client(
                    self._faults.note,
                    enable_idempotence=True,
                    acks="all",
                    partitioner="murmur2_random",
                    compression_type="lz4",
                    linger_ms=_LINGER_MS,
                    message_max_bytes=MESSAGE_BYTES_MAX,
                    queue_buffering_max_messages=_QUEUE_MESSAGES_MAX,
                    queue_buffering_max_kbytes=QUEUE_BYTES_MAX // 1024,
                    delivery_timeout_ms=timeout_ms,
                    request_timeout_ms=min(timeout_ms, 5000),
                    retry_backoff_ms=50,
                    retry_backoff_max_ms=1000,
                )
            )
        except KafkaException as error:
            raise explain(self._settings, "append to", error) from error

    def append(self, messages: Sequence[Outgoing]) -> list[Appended]:
        """Append messages, in order within each partition, and wait until all replicas in sync have them.

        Raises LogUnavailable; some may have been appended then.
        """
        batch = _Batch(len(messages))
        deadline_s = time.monotonic() + self._timeout_s
        # One append at a time hands over: so each one's messages lie together in their partition.
        with self._produce_lock:
            if self._closed.is_set():
                raise LogUnavailable(f"the log {self._settings.name} is closed")
            try:
                for index, message in enumerate(messages):
                    self._produce(message, functools.partial(batch.delivered, index), deadline_s)
            except KafkaException as error:
                raise self._failed(kafka_error(error)) from error
        if not batch.wait(self._timeout_s + 5.0):
            raise self._failed(KafkaError(KafkaError._MSG_TIMED_OUT))
        if batch.error is not None:
            raise self._failed(batch.error)
        self._faults.clear()
        return [place for place in batch.places if place is not None]

    def _produce(self, message: Outgoing, done: Callable[..., None], deadline_s: float) -> None:
        while True:
            try:
                self._producer.produce(
                    message.topic,
                    message.value,
                    message.key,
                    on_delivery=done,
                    headers=message.headers,  # type: ignore[arg-type]
                )
                return
            except BufferError:  # the queue is full: wait for what is under way
                left_s = deadline_s - time.monotonic()
                if left_s <= 0:
                    raise KafkaException(KafkaError(KafkaError._MSG_TIMED_OUT)) from None
                with self._room:
                    self._room.wait(min(left_s, _POLL_S))

    def _failed(self, error: KafkaError) -> LogError:
        if error.code() == KafkaError._FATAL or error.fatal():
            # A producer is of no use after that; the next append gets a new one.
            with self._produce_lock:
                self._producer = self._new()
        if error.code() in (KafkaError.MSG_SIZE_TOO_LARGE, KafkaError._BAD_MSG):
            return LogError(
                f"cannot append to the log {self._settings.name}: an event is longer than it takes. Raise"
                " max.message.bytes of the topics (`headrace topics check` tells), or log in smaller pieces"
            )
        found = explain(self._settings, "append to", error, self._faults)
        if error.code() in (KafkaError._MSG_TIMED_OUT, KafkaError._TIMED_OUT, KafkaError.REQUEST_TIMED_OUT):
            return NotConfirmed(str(found))
        return found

    def _poll(self) -> None:
        """Serve the answers of brokers, until the log is closed."""
        while not self._closed.is_set():
            if self._producer.poll(_POLL_S):
                with self._room:
                    self._room.notify_all()

    def close(self) -> None:
        """Wait a moment for what is under way, and let go of connections."""
        with self._produce_lock:
            if self._closed.is_set():
                return
            self._producer.flush(min(self._timeout_s, 5.0))
            self._closed.set()
        self._thread.join()
        self._producer.close()
