"""How far the topics of a log on Kafka go, and how far a consumer group has come, asked while brokers come and go.

Asked through a consumer that never subscribes. librdkafka's admin client would do for brokers that stay: one that asks
for a group's offsets while its broker goes down ends the process (2.16, a segmentation fault), and one that has asked
for a topic's end once keeps to the leaders of that moment, and is refused for good after a restart.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import TypeVar

from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, KafkaError, KafkaException, TopicPartition
from headrace.ingest.kafka_clients import make
from headrace.ingest.kafka_errors import NO_BROKER, PASSING, Faults, explain, kafka_error
from headrace.ingest.kafka_settings import KafkaSettings
from headrace.ingest.log import LogError, LogUnavailable, Partition

REQUEST_TIMEOUT_S = 5.0
_RETRY_INTERVAL_S = 0.05
_TRY_TIMEOUT_S = 2.0
_UNKNOWN_LEADER = KafkaError._UNKNOWN_PARTITION
"""What a client says of a partition that had a leader, when it has lost the only broker that knew of one."""

T = TypeVar("T")


class KafkaOffsets:
    """Answers for one log. Any thread may ask. Raises LogUnavailable when no broker answers, after 5 s at most."""

    def __init__(self, settings: KafkaSettings, faults: Faults) -> None:
        """Nothing connects before it is asked: who only writes needs none of this."""
        self._settings = settings
        self._faults = faults
        self._lock = threading.Lock()
        self._consumers: dict[str, Consumer] = {}
        self._closed = False

    def ends(self, counts: Mapping[str, int]) -> dict[Partition, int]:
        """The offset the next record of each partition will get. counts: partitions a topic."""
        return self._offsets(counts, OFFSET_END)

    def begins(self, counts: Mapping[str, int]) -> dict[Partition, int]:
        """The offset of the first record of each partition that has not expired."""
        return self._offsets(counts, OFFSET_BEGINNING)

    def _offsets(self, counts: Mapping[str, int], which: int) -> dict[Partition, int]:
        """One request to each broker that leads a partition."""

        def ask(timeout_s: float) -> dict[Partition, int]:
            places = self._places(counts, which)
            found = self._consumer(self._settings.group).offsets_for_times(list(places), timeout=timeout_s)
            # A connection that was lost under way may make for an answer without an offset.
            if any(place.offset < 0 for place in _whole(found)):
                raise KafkaException(KafkaError(KafkaError._TRANSPORT))
            return {places[place]: place.offset for place in found}

        return self._asked(ask)

    def committed(self, group: str, counts: Mapping[str, int]) -> dict[Partition, int]:
        """The offsets that a consumer group has committed; partitions without are missing."""

        def ask(timeout_s: float) -> dict[Partition, int]:
            places = self._places(counts)
            found = self._consumer(group).committed(list(places), timeout=timeout_s)
            return {places[place]: place.offset for place in _whole(found) if place.offset >= 0}

        return self._asked(ask)

    def close(self) -> None:
        """Let go of connections."""
        with self._lock:
            self._closed = True
            consumers, self._consumers = self._consumers, {}
        for consumer in consumers.values():
            consumer.close()

    def _consumer(self, group: str) -> Consumer:
        with self._lock:
            if self._closed:
                raise LogUnavailable(f"the log {self._settings.name} is closed")
            if group not in self._consumers:
                properties = {**self._settings.client(self._faults.note, enable_auto_commit=False), "group.id": group}
                self._consumers[group] = make(Consumer, self._settings, "open", properties)
            return self._consumers[group]

    def _places(self, counts: Mapping[str, int], offset: int = 0) -> dict[TopicPartition, Partition]:
        return {
            TopicPartition(self._settings.topic(topic), number, offset): Partition(topic, number)
            for topic, count in counts.items()
            for number in range(count)
        }

    def _asked(self, ask: Callable[[float], T]) -> T:
        """What ask answers within so many seconds, asked again while the cluster moves its leaders."""
        deadline_s = time.monotonic() + REQUEST_TIMEOUT_S
        while True:
            self._hear()
            try:
                answer = ask(min(_TRY_TIMEOUT_S, max(0.1, deadline_s - time.monotonic())))
                self._faults.clear()
                return answer
            except KafkaException as error:
                if not self._may_pass(kafka_error(error)) or time.monotonic() > deadline_s - _RETRY_INTERVAL_S:
                    raise self._explained(kafka_error(error)) from error
                time.sleep(_RETRY_INTERVAL_S)
            except RuntimeError as error:  # of a consumer that was closed meanwhile
                raise LogUnavailable(f"cannot read the log {self._settings.name}: {error}") from error

    def _may_pass(self, error: KafkaError) -> bool:
        self._hear()
        if self._faults.refused() is not None:
            return False
        return error.code() in PASSING | NO_BROKER or error.code() == _UNKNOWN_LEADER

    def _explained(self, error: KafkaError) -> LogError:
        last = self._faults.last()
        if error.code() == _UNKNOWN_LEADER and last is not None and last.code() in NO_BROKER:
            error = last
        return explain(self._settings, "read", self._faults.refused() or error, self._faults)

    def _hear(self) -> None:
        """Let error_cb have what the clients have to tell: it would pile up."""
        with self._lock:
            for consumer in self._consumers.values():
                consumer.poll(0)


def _whole(found: list[TopicPartition]) -> list[TopicPartition]:
    """The answer, if it is one for every partition. Raises KafkaException."""
    for place in found:
        if place.error is not None:
            raise KafkaException(place.error)
    return found
