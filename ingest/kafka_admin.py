"""Asks and tells a Kafka cluster about the topics of one log: what they are like, and how far they go now."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, wait
from typing import TypeVar

from confluent_kafka import (
    IsolationLevel,
    KafkaError,
    KafkaException,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, OffsetSpec, ResourceType, TopicDescription
from headrace.ingest.kafka_clients import make
from headrace.ingest.kafka_errors import (
    FORBIDDEN,
    PASSING,
    UNKNOWN_TOPIC,
    Faults,
    create_hint,
    explain,
    kafka_error,
)
from headrace.ingest.kafka_settings import MESSAGE_BYTES_MAX, KafkaSettings
from headrace.ingest.kafka_topics import Difference, Found, Wanted, differences, settings_of
from headrace.ingest.log import LogError, LogUnavailable, Partition
from headrace.ingest.topics import TOPICS

REQUEST_TIMEOUT_S = 5.0
_READY_TIMEOUT_S = 5.0
_RETRY_INTERVAL_S = 0.05
_DOWN_S = 2.0
"""How long a first answer is waited for while no broker takes a connection."""
_REASON_S = 2.0
_BYTES_MAX = "max.message.bytes"

T = TypeVar("T")


class KafkaAdmin:
    """One log's connection to its cluster for all but events. Safe to share between threads.

    bytes_max: what a topic takes at once, by its short name, as far as `usable` has found out.
    Methods raise LogUnavailable when no broker answers, after 5 s at most.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        """Connects when it is first asked. Raises LogError for a property that librdkafka does not know."""
        self.settings = settings
        self.faults = Faults()
        self._answered = False
        self._known: Mapping[str, Mapping[str, str]] = {}
        """The topics' settings when they were last looked at."""
        self.bytes_max = dict.fromkeys(TOPICS, MESSAGE_BYTES_MAX)
        self._client = make(AdminClient, settings, "open", settings.client(self.faults.note))

    # --- topics -------------------------------------------------------------------------------------------------------

    def create(self, wanted: Wanted) -> dict[str, bool]:
        """Make the topics that are missing, and leave others as they are; names on the broker, with whether it is new.

        Returns once all of them can be written. Raises LogError where there are too few brokers for what is wanted.
        """
        brokers = len(self._first(self._client.describe_cluster(request_timeout=REQUEST_TIMEOUT_S)).nodes)
        replicas = wanted.replication_factor or min(3, brokers)
        in_sync = wanted.min_insync_of(replicas)
        if replicas > brokers:
            raise LogError(
                f"a replication factor of {replicas} needs as many brokers, and {self.settings.bootstrap} has"
                f" {brokers}. Start more brokers, or ask for fewer replicas"
            )
        if in_sync > replicas:
            raise LogError(
                f"min.insync.replicas={in_sync} can never be met by {replicas} replicas. Ask for more replicas, or for"
                " fewer in sync"
            )
        topics = [
            NewTopic(
                self.settings.topic(topic.name),
                wanted.partitions_of(topic),
                replicas,
                config=settings_of(topic, wanted, replicas),
            )
            for topic in TOPICS.values()
        ]
        made = self._client.create_topics(
            topics, operation_timeout=REQUEST_TIMEOUT_S, request_timeout=REQUEST_TIMEOUT_S
        )
        new = {}
        for name, answer in made.items():
            try:
                answer.result()
                new[name] = True
            except KafkaException as error:
                if kafka_error(error).code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise self._explained(f"make the topic {name} of", error) from error
                new[name] = False
        self._await_leaders()
        return new

    def _await_leaders(self) -> None:
        """Wait until each partition has a leader that answers."""
        deadline_s = time.monotonic() + _READY_TIMEOUT_S
        while True:
            described = self._described()
            if len(described) == len(TOPICS) and self._are_known(_counts(described)):
                return
            if time.monotonic() > deadline_s:
                raise LogUnavailable(
                    f"the topics of the log {self.settings.name} were made, and brokers do not know all of them after"
                    f" {_READY_TIMEOUT_S:g} s. Look whether all brokers run, then run `headrace topics check`"
                )
            time.sleep(_RETRY_INTERVAL_S)

    def _are_known(self, counts: Mapping[str, int]) -> bool:
        """Whether the brokers that lead them know the topics: one may hear of them later than who made them."""
        try:
            self.ends(counts)
        except LogError as error:
            cause = error.__cause__
            if isinstance(cause, KafkaException) and kafka_error(cause).code() in UNKNOWN_TOPIC:
                return False
            raise
        return True

    def found(self) -> list[Found]:
        """The topics as they are; those that do not exist are missing."""
        described = self._described()
        settings = self._topic_settings(described)
        return [_found(name, one, settings[name]) for name, one in described.items()]

    def check(self, wanted: Wanted) -> list[Difference]:
        """Every difference between what topics should be and what they are."""
        return differences(self.settings, self.found(), wanted)

    def usable(self, check_settings: bool = True) -> dict[str, int]:
        """How many partitions each topic has, by its short name.

        check_settings: whether to look at their settings as well, if this user may.
        Raises LogError when a topic is missing or cannot be used as it is.
        """
        described = self._described()
        missing = [self.settings.topic(name) for name in TOPICS if name not in described]
        if missing:
            subject = f"topic {missing[0]} does" if len(missing) == 1 else f"topics {', '.join(missing)} do"
            raise LogError(f"the {subject} not exist at {self.settings.bootstrap}. {create_hint(self.settings)}")
        if check_settings:
            try:
                self._known = self._topic_settings(described)
            except LogError as error:
                if (
                    not isinstance(error.__cause__, KafkaException)
                    or kafka_error(error.__cause__).code() not in FORBIDDEN
                ):
                    raise
        found = [_found(name, one, self._known.get(name, {})) for name, one in described.items()]
        for difference in differences(self.settings, found, Wanted()):
            if difference.fatal:
                raise LogError(difference.advice)
        for one in found:
            self.bytes_max[one.topic] = min(MESSAGE_BYTES_MAX, int(one.settings.get(_BYTES_MAX, MESSAGE_BYTES_MAX)))
        return _counts(described)

    def too_few_replicas(self) -> str:
        """A sentence about a topic that takes no event because replicas are missing; empty when there is none.

        Within 2 s: any broker is asked, since who asks for the controller may be sent to one that has just died. Raises
        LogError when no broker answers.
        """
        found = []
        for name in TOPICS:
            full = self.settings.topic(name)
            try:
                topic = self._client.list_topics(full, timeout=_REASON_S / len(TOPICS)).topics[full]
            except KafkaException as error:
                raise self._explained("open", error) from error
            partitions = topic.partitions.values()
            counts = [(len(partition.replicas), len(partition.isrs)) for partition in partitions]
            if counts:
                replicas, in_sync = map(min, zip(*counts, strict=True))
                found.append(Found(name, len(counts), replicas, in_sync, self._known.get(name, {})))
        for difference in differences(self.settings, found, Wanted()):
            if difference.refuses_events:
                return difference.advice
        return ""

    def _described(self) -> dict[str, TopicDescription]:
        """The topics that exist, by their short names."""
        names = {self.settings.topic(name): name for name in TOPICS}
        answers = self._client.describe_topics(TopicCollection(list(names)), request_timeout=REQUEST_TIMEOUT_S)
        described: dict[str, TopicDescription] = {}
        for full, answer in answers.items():
            try:
                described[names[full]] = self._first(answer)
            except LogError as error:
                if (
                    not isinstance(error.__cause__, KafkaException)
                    or kafka_error(error.__cause__).code() not in UNKNOWN_TOPIC
                ):
                    raise
        return described

    def _topic_settings(self, topics: Iterable[str]) -> dict[str, dict[str, str]]:
        """What the broker says about topics, by their short names."""
        resources = {ConfigResource(ResourceType.TOPIC, self.settings.topic(name)): name for name in topics}
        if not resources:
            return {}
        answers = self._client.describe_configs(list(resources), request_timeout=REQUEST_TIMEOUT_S)
        return {
            resources[resource]: {name: str(entry.value) for name, entry in self._first(answer).items()}
            for resource, answer in answers.items()
        }

    def _first(self, answer: Future[T]) -> T:
        """An answer for which the connection may have to be made; wrong credentials fail before the time is over."""
        began_s = time.monotonic()
        while not wait([answer], timeout=_RETRY_INTERVAL_S).done:
            self._client.poll(0)
            refused = self.faults.refused()
            if refused is not None:
                raise self._explained("open", refused)
            if self.faults.down and not self._answered and time.monotonic() > began_s + _DOWN_S:
                raise self._explained("open", KafkaError(KafkaError._ALL_BROKERS_DOWN))
        try:
            found = answer.result()
            self._answered = True
            return found
        except KafkaException as error:
            raise self._explained("open", error) from error

    # --- offsets, for who asks once: see kafka_offsets.py -------------------------------------------------------------

    def ends(self, counts: Mapping[str, int]) -> dict[Partition, int]:
        """The offset the next record of each partition will get. counts: partitions a topic."""
        return self._offsets(counts, OffsetSpec.latest())

    def begins(self, counts: Mapping[str, int]) -> dict[Partition, int]:
        """The offset of the first record of each partition that has not expired."""
        return self._offsets(counts, OffsetSpec.earliest())

    def _offsets(self, counts: Mapping[str, int], which: OffsetSpec) -> dict[Partition, int]:
        """One request to each broker that leads a partition."""
        places = self._places(counts)

        def ask(timeout_s: float) -> dict[Partition, int]:
            answers = self._client.list_offsets(
                dict.fromkeys(places, which),
                isolation_level=IsolationLevel.READ_UNCOMMITTED,
                request_timeout=timeout_s,
            )
            offsets = {places[place]: answer.result().offset for place, answer in answers.items()}
            # librdkafka answers so, and not with an error, when the connection was lost under way.
            if any(offset < 0 for offset in offsets.values()):
                raise KafkaException(KafkaError(KafkaError._TRANSPORT))
            return offsets

        return self._asked(ask)

    def _places(self, counts: Mapping[str, int]) -> dict[TopicPartition, Partition]:
        return {
            TopicPartition(self.settings.topic(topic), number): Partition(topic, number)
            for topic, count in counts.items()
            for number in range(count)
        }

    def _asked(self, ask: Callable[[float], T]) -> T:
        """What ask answers within so many seconds, asked again while the cluster moves its leaders."""
        deadline_s = time.monotonic() + REQUEST_TIMEOUT_S
        while True:
            self._client.poll(0)  # what error_cb is to hear would pile up
            try:
                answer = ask(max(0.5, deadline_s - time.monotonic()))
                self.faults.clear()
                return answer
            except KafkaException as error:
                if kafka_error(error).code() not in PASSING or time.monotonic() > deadline_s - 0.5:
                    raise self._explained("read", error) from error
                time.sleep(_RETRY_INTERVAL_S)

    def _explained(self, doing: str, error: KafkaException | KafkaError) -> LogError:
        self._client.poll(0)
        return explain(self.settings, doing, error, self.faults)


def _counts(described: Mapping[str, TopicDescription]) -> dict[str, int]:
    return {name: len(described[name].partitions) for name in TOPICS}


def _found(name: str, described: TopicDescription, settings: Mapping[str, str]) -> Found:
    replicas = min(len(partition.replicas) for partition in described.partitions)
    in_sync = min(len(partition.isr) for partition in described.partitions)
    return Found(name, len(described.partitions), replicas, in_sync, settings)
