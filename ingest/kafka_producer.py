"""The producer of a log on Kafka: appends wait for the brokers' acknowledgement, many threads at once."""

from __future__ import annotations

import functools
import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from confluent_kafka import KafkaError, KafkaException, Message, Producer
from headrace.ingest.kafka_clients import make
from headrace.ingest.kafka_errors import Faults, explain, kafka_error, too_long
from headrace.ingest.kafka_headers import Headers
from headrace.ingest.kafka_settings import MESSAGE_BYTES_MAX, KafkaSettings
from headrace.ingest.log import LogError, LogUnavailable

QUEUE_BYTES_MAX = 128 * 1024**2
_QUEUE_MESSAGES_MAX = 200_000
_silent = logging.Logger("headrace.kafka", logging.CRITICAL + 1)
"""librdkafka writes of a client that is given up to the process's stderr otherwise."""
_BATCH_BYTES = 1024**2
_LINGER_MS = 1
_POLL_S = 0.1
_PURGE_TIMEOUT_S = 2.0
_GIVEN_UP = {
    KafkaError._MSG_TIMED_OUT,
    KafkaError._TIMED_OUT,
    KafkaError._PURGE_QUEUE,
    KafkaError._PURGE_INFLIGHT,
    KafkaError.REQUEST_TIMED_OUT,
}
"""Errors of messages that brokers have not confirmed, which tells nothing of why."""


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
            self._done.set()
            return
        self.places[index] = Appended(message.partition() or 0, message.offset() or 0)
        self._left -= 1
        if self._left == 0:
            self._done.set()

    def wait(self, timeout_s: float) -> bool:
        """Wait for all answers, or one that is an error; False when they have not come in time."""
        return self._done.wait(timeout_s)


class KafkaProducer:
    """Idempotent, acks=all: a message is in its partition once, in the order of appends, also if it was resent.

    What a writer sends again after a failure must never come to lie behind what followed it: folds drop what is not
    above the last sequence they saw. So a failed append leaves no message behind it in flight, of any thread: its
    client is emptied and given up, and a new one takes its place. librdkafka alone would skip a message whose time is
    over and send the next.
    """

    def __init__(
        self, settings: KafkaSettings, faults: Faults, delivery_timeout_s: float, bytes_max: int = MESSAGE_BYTES_MAX
    ) -> None:
        """delivery_timeout_s: how long an append may wait for the brokers. bytes_max: what each topic takes at once.

        Raises LogError for a bad property.
        """
        self._settings = settings
        self._faults = faults
        self._timeout_s = delivery_timeout_s
        self._batch_bytes = min(_BATCH_BYTES, bytes_max)
        self._produce_lock = threading.Lock()
        self._room = threading.Condition()
        self._closed = threading.Event()
        self._client = self._new()
        self._thread = threading.Thread(target=self._poll, name="headrace-kafka-producer", daemon=True)
        self._thread.start()

    def _new(self) -> Producer:
        configuration = self._settings.client(
            self._faults.note,
            logger=_silent,
            enable_idempotence=True,
            enable_gapless_guarantee=True,
            delivery_timeout_ms=0,  # forever: the bound is append's
            acks="all",
            partitioner="murmur2_random",
            compression_type="lz4",
            linger_ms=_LINGER_MS,
            message_max_bytes=MESSAGE_BYTES_MAX,
            batch_size=self._batch_bytes,
            queue_buffering_max_messages=_QUEUE_MESSAGES_MAX,
            queue_buffering_max_kbytes=QUEUE_BYTES_MAX // 1024,
            request_timeout_ms=max(1000, min(5000, round(self._timeout_s * 1000))),
            retry_backoff_ms=50,
            retry_backoff_max_ms=1000,
        )
        return make(Producer, self._settings, "append to", configuration)

    def append(self, messages: Sequence[Outgoing]) -> list[Appended]:
        """Append messages, in order within each partition, and wait until all replicas in sync have them.

        Raises LogUnavailable; of each partition's messages, the first ones may have been appended then.
        """
        batch = _Batch(len(messages))
        deadline_s = time.monotonic() + self._timeout_s
        # One append at a time hands over: so each one's messages lie together in their partition.
        with self._produce_lock:
            if self._closed.is_set():
                raise LogUnavailable(f"the log {self._settings.name} is closed")
            client = self._client
            try:
                for index, message in enumerate(messages):
                    self._produce(client, message, functools.partial(batch.delivered, index), deadline_s)
                error = None
            except KafkaException as raised:
                error = kafka_error(raised)
        if error is None and not batch.wait(deadline_s - time.monotonic()):
            error = KafkaError(KafkaError._MSG_TIMED_OUT)
        error = error or batch.error
        if error is not None:
            self._give_up(client)
            raise self._failed(error)
        self._faults.clear()
        return [place for place in batch.places if place is not None]

    def _produce(self, client: Producer, message: Outgoing, done: Callable[..., None], deadline_s: float) -> None:
        while True:
            try:
                client.produce(
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

    def _give_up(self, client: Producer) -> None:
        """Send nothing more of what this client holds: every append that waits for it fails."""
        with self._produce_lock:
            if self._client is not client:  # another append of it failed first
                return
            self._client = self._new()
        _empty(client)

    def _failed(self, error: KafkaError) -> LogError:
        if error.code() in (KafkaError.MSG_SIZE_TOO_LARGE, KafkaError._BAD_MSG):
            return too_long(self._settings)
        found = explain(self._settings, "append to", error, self._faults)
        return NotConfirmed(str(found)) if error.code() in _GIVEN_UP else found

    def _poll(self) -> None:
        """Serve the answers of brokers, until the log is closed."""
        while not self._closed.is_set():
            if _serve(self._client):
                with self._room:
                    self._room.notify_all()

    def close(self) -> None:
        """Wait a moment for what is under way, and let go of connections."""
        with self._produce_lock:
            if self._closed.is_set():
                return
            deadline_s = time.monotonic() + min(self._timeout_s, 5.0)
            while len(self._client) and time.monotonic() < deadline_s:
                _serve(self._client)
            self._closed.set()
        self._thread.join()
        _empty(self._client)


def _serve(client: Producer) -> int:
    """Let a client tell what has come; how much that was."""
    try:
        return client.poll(_POLL_S)
    except KafkaException:
        return 1  # a fatal error: each append hears of it by its own messages


def _empty(client: Producer) -> None:
    """Send nothing more of what a client holds, and tell those who wait for it."""
    client.purge()
    deadline_s = time.monotonic() + _PURGE_TIMEOUT_S
    while len(client) and time.monotonic() < deadline_s:
        _serve(client)
