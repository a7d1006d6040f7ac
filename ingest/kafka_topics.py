"""The topics of a log on Kafka: made and checked, with the settings that the log's promises rest on."""

from __future__ import annotations

import time
from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from confluent_kafka import IsolationLevel, KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    ConfigResource,
    NewTopic,
    OffsetSpec,
    ResourceType,
    TopicDescription,
)
from headrace.ingest.kafka_errors import (
    FORBIDDEN,
    UNKNOWN_TOPIC,
    Faults,
    create_hint,
    explain,
    kafka_error,
)
from headrace.ingest.kafka_settings import MESSAGE_BYTES_MAX, KafkaSettings
from headrace.ingest.log import LogError, LogUnavailable
from headrace.ingest.topics import TOPICS, Topic

_TIMEOUT_S = 5.0
_READY_TIMEOUT_S = 15.0
_DAY_MS = 86_400_000

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What topics should be like; None leaves it to the table and the cluster.

    partitions: of topics that may have several. replication_factor: 3 where there are as many brokers, else as many as
    there are. min_insync_replicas: one less than that, but at least 1, so that one broker may be missing.
    retention_days: of all but the dead letters; None keeps everything.
    """

    partitions: int | None = None
    replication_factor: int | None = None
    min_insync_replicas: int | None = None
    retention_days: float | None = None

    def partitions_of(self, topic: Topic) -> int:
        """The count for a topic that is to be made."""
        return topic.partitions if topic.one_partition or self.partitions is None else self.partitions

    def min_insync_of(self, replicas: int) -> int:
        """For a topic of so many replicas."""
        return self.min_insync_replicas or max(1, replicas - 1)

    def retention_ms_of(self, topic: Topic) -> int:
        """-1 is forever."""
        days = topic.retention_days or self.retention_days
        return -1 if days is None else round(days * _DAY_MS)


class Found(NamedTuple):
    """A topic as it is. in_sync: replicas in sync, of the partition that has fewest. settings: by Kafka's names."""

    topic: str
    partitions: int
    replicas: int
    in_sync: int
    settings: dict[str, str]


class Difference(NamedTuple):
    """Something that is not as expected. advice: a sentence that says what to do. fatal: the log cannot be used so."""

    topic: str
    setting: str
    expected: str
    actual: str
    advice: str
    fatal: bool


def settings_of(topic: Topic, wanted: Wanted, replicas: int) -> dict[str, str]:
    """A topic's settings on the broker.

    Compaction is right nowhere: it keeps the last record of a key and drops those before, and here each record is a
    fact of its own. What was logged, changed and undone, and when, is what replay and `as of` are made of.
    """
    return {
        "cleanup.policy": "delete",
        "retention.ms": str(wanted.retention_ms_of(topic)),
        "retention.bytes": "-1",
        "min.insync.replicas": str(wanted.min_insync_of(replicas)),
        "max.message.bytes": str(MESSAGE_BYTES_MAX),
        # The log's clock is the broker's: rising within a partition whatever the clocks of writers say.
        "message.timestamp.type": "LogAppendTime",
        "unclean.leader.election.enable": "false",
    }


class KafkaTopics:
    """Makes, lists and checks the topics of one log."""

    def __init__(self, settings: KafkaSettings) -> None:
        """Raises LogError for a property that librdkafka does not know."""
        self._settings = settings
        self._faults = Faults()
        try:
            self._admin = AdminClient(settings.client(self._faults.note))
        except KafkaException as error:
            raise explain(settings, "open", error) from error

    def create(self, wanted: Wanted) -> dict[str, bool]:
        """Make the topics that are missing, and leave others as they are; names on the broker, with whether it is new.

        Returns once all of them can be written. Raises LogError, LogUnavailable.
        """
        brokers = len(
            _answer(self._admin.describe_cluster(request_timeout=_TIMEOUT_S), self._settings, self._faults).nodes
        )
        replicas = wanted.replication_factor or min(3, brokers)
        if replicas > brokers:
            raise LogError(
                f"a replication factor of {replicas} needs as many brokers, and {self._settings.bootstrap} has"
                f" {brokers}. Start more brokers, or ask for fewer replicas"
            )
        if wanted.min_insync_of(replicas) > replicas:
            raise LogError(
                f"min.insync.replicas of {wanted.min_insync_of(replicas)} can never be met by {replicas} replicas. Ask"
                " for more replicas, or for fewer in sync"
            )
        made = self._admin.create_topics(
            [
                NewTopic(
                    self._settings.topic(topic.name),
                    wanted.partitions_of(topic),
                    replicas,
                    config=settings_of(topic, wanted, replicas),
                )
                for topic in TOPICS.values()
            ],
            operation_timeout=_TIMEOUT_S,
            request_timeout=_TIMEOUT_S * 2,
        )
        new = {}
        for name, answer in made.items():
            try:
                answer.result()
                new[name] = True
            except KafkaException as error:
                if kafka_error(error).code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise explain(self._settings, f"make the topic {name} of", error, self._faults) from error
                new[name] = False
        self._await_leaders()
        return new

    def _await_leaders(self) -> None:
        """Wait until each partition has a leader that answers."""
        deadline_s = time.monotonic() + _READY_TIMEOUT_S
        while True:
            try:
                self.sizes(self.found())
                return
            except LogUnavailable:
                if time.monotonic() > deadline_s:
                    raise
                time.sleep(0.05)

    def found(self) -> list[Found]:
        """The topics as they are; those that do not exist are missing. Raises LogUnavailable."""
        described = describe(self._admin, self._settings, self._faults)
        settings = _topic_settings(self._admin, self._settings, self._faults, described)
        return [
            Found(
                name,
                len(one.partitions),
                min(len(partition.replicas) for partition in one.partitions),
                min(len(partition.isr) for partition in one.partitions),
                settings[name],
            )
            for name, one in described.items()
        ]

    def check(self, wanted: Wanted) -> list[Difference]:
        """Every difference between what topics should be and what they are. Raises LogUnavailable."""
        return differences(self._settings, self.found(), wanted)

    def sizes(self, found: Iterable[Found]) -> dict[str, int]:
        """How many offsets each topic holds: its records, and the few that brokers keep for themselves."""
        places = [TopicPartition(self._settings.topic(one.topic), n) for one in found for n in range(one.partitions)]
        sizes = {one.topic: 0 for one in found}
        short = {self._settings.topic(name): name for name in TOPICS}
        for sign, which in ((1, OffsetSpec.latest()), (-1, OffsetSpec.earliest())):
            answers = self._admin.list_offsets(
                dict.fromkeys(places, which),
                isolation_level=IsolationLevel.READ_UNCOMMITTED,
                request_timeout=_TIMEOUT_S,
            )
            for place, answer in answers.items():
                sizes[short[place.topic]] += sign * _answer(answer, self._settings, self._faults).offset
        return sizes


def check_usable(admin: AdminClient, settings: KafkaSettings, faults: Faults, check_settings: bool) -> dict[str, int]:
    """How many partitions each topic has, by its short name.

    Raises LogError when a topic is missing or cannot be used as it is, LogUnavailable when no broker answers.
    """
    described = describe(admin, settings, faults)
    missing = [settings.topic(name) for name in TOPICS if name not in described]
    if missing:
        verb = "does" if len(missing) == 1 else "do"
        topics = "topic" if len(missing) == 1 else "topics"
        raise LogError(
            f"the {topics} {', '.join(missing)} {verb} not exist at {settings.bootstrap}. {create_hint(settings)}"
        )
    if check_settings:
        try:
            known = _topic_settings(admin, settings, faults, described)
        except LogError as error:
            cause = error.__cause__
            if not isinstance(cause, KafkaException) or kafka_error(cause).code() not in FORBIDDEN:
                raise
            known = {name: {} for name in described}  # this user may not ask; whoever runs `topics check` may
        for name, one in described.items():
            replicas = min(len(partition.replicas) for partition in one.partitions)
            found = Found(name, len(one.partitions), replicas, replicas, known[name])
            for difference in differences(settings, [found], Wanted(), complete=False):
                if difference.fatal:
                    raise LogError(difference.advice)
    return {name: len(described[name].partitions) for name in TOPICS}


def describe(admin: AdminClient, settings: KafkaSettings, faults: Faults) -> dict[str, TopicDescription]:
    """The topics that exist, by their short names. Raises LogUnavailable."""
    names = {settings.topic(name): name for name in TOPICS}
    answers = admin.describe_topics(TopicCollection(list(names)), request_timeout=_TIMEOUT_S)
    described: dict[str, TopicDescription] = {}
    for full, answer in answers.items():
        try:
            described[names[full]] = answer.result()
        except KafkaException as error:
            if kafka_error(error).code() not in UNKNOWN_TOPIC:
                raise explain(settings, "open", error, faults) from error
    return described


def differences(
    settings: KafkaSettings, found: Iterable[Found], wanted: Wanted, complete: bool = True
) -> list[Difference]:
    """What is not as it should be. complete: a topic that was not found is missing."""
    known = {one.topic: one for one in found}
    told: list[Difference] = []
    for topic in TOPICS.values():
        full = settings.topic(topic.name)
        one = known.get(topic.name)
        if one is None:
            if complete:
                advice = f"the topic {full} does not exist. {create_hint(settings)}"
                told.append(Difference(topic.name, "exists", "yes", "no", advice, True))
            continue
        told += _partitions(settings, topic, one, wanted)
        told += _replicas(settings, topic, one, wanted)
        expected = settings_of(topic, wanted, one.replicas)
        for name in expected.keys() - {"min.insync.replicas"}:
            actual = one.settings.get(name)
            if actual is None or _fits(name, expected[name], actual):
                continue
            why, fatal = _WHY[name]
            advice = f"the topic {full} has {name}={actual}, and {expected[name]} is expected: {why}. " + _alter(
                settings, full, name, expected[name]
            )
            told.append(Difference(topic.name, name, expected[name], actual, advice, fatal))
    return told


_WHY = {
    "cleanup.policy": ("compaction drops events, and every event is history", True),
    "retention.ms": ("the log is what everything is rebuilt from", False),
    "retention.bytes": ("the log is what everything is rebuilt from", False),
    "max.message.bytes": ("what the server accepts must fit", False),
    "message.timestamp.type": ("the log's clock must be the brokers', not each writer's", True),
    "unclean.leader.election.enable": ("a replica that lags behind must not make acknowledged events disappear", False),
}


def _fits(name: str, expected: str, actual: str) -> bool:
    if name == "max.message.bytes":
        return int(actual) >= int(expected)
    return actual == expected


def _partitions(settings: KafkaSettings, topic: Topic, one: Found, wanted: Wanted) -> list[Difference]:
    expected = topic.partitions if topic.one_partition else wanted.partitions or one.partitions
    if one.partitions == expected:
        return []
    full = settings.topic(topic.name)
    advice = f"the topic {full} has {one.partitions} partitions, and {expected} are expected. " + (
        "Its events need one order. " if topic.one_partition else ""
    )
    advice += (
        "The number cannot be changed, as a subject's events would lie in two places: make topics under another prefix"
        f" (kafka://{settings.bootstrap}/other) and copy the history there with `headrace log copy`"
    )
    return [Difference(topic.name, "partitions", str(expected), str(one.partitions), advice, topic.one_partition)]


def _replicas(settings: KafkaSettings, topic: Topic, one: Found, wanted: Wanted) -> list[Difference]:
    full = settings.topic(topic.name)
    told = []
    factor = wanted.replication_factor
    if factor is not None and factor != one.replicas:
        advice = (
            f"the topic {full} has {one.replicas} replicas, and {factor} are expected. Move it with"
            " kafka-reassign-partitions.sh"
        )
        told.append(Difference(topic.name, "replication.factor", str(factor), str(one.replicas), advice, False))
    least = int(one.settings.get("min.insync.replicas", "1"))
    expected = wanted.min_insync_of(one.replicas)
    if least > one.replicas:
        expected = min(expected, one.replicas)
        advice = (
            f"the topic {full} asks for {least} replicas in sync (min.insync.replicas) and has only {one.replicas}, so"
            " it takes no event. " + _alter(settings, full, "min.insync.replicas", str(expected))
        )
        told.append(Difference(topic.name, "min.insync.replicas", str(expected), str(least), advice, True))
    elif least < expected or (wanted.min_insync_replicas is not None and least != expected):
        advice = (
            f"the topic {full} has min.insync.replicas={least}, and {expected} is expected, so that no acknowledged"
            " event is on one broker alone. " + _alter(settings, full, "min.insync.replicas", str(expected))
        )
        told.append(Difference(topic.name, "min.insync.replicas", str(expected), str(least), advice, False))
    elif one.in_sync < least:
        advice = (
            f"the topic {full} has {one.in_sync} replicas in sync and asks for {least}, so it takes no event now. Start"
            " the brokers that are missing"
        )
        told.append(Difference(topic.name, "in sync", str(least), str(one.in_sync), advice, False))
    return told


def _alter(settings: KafkaSettings, full: str, name: str, value: str) -> str:
    return (
        f"Set it: kafka-configs.sh --bootstrap-server {settings.bootstrap} --alter --entity-type topics --entity-name"
        f" {full} --add-config {name}={value}"
    )


def _topic_settings(
    admin: AdminClient, settings: KafkaSettings, faults: Faults, topics: Iterable[str]
) -> dict[str, dict[str, str]]:
    """What the broker says about topics, by their short names. Raises LogUnavailable."""
    resources = {ConfigResource(ResourceType.TOPIC, settings.topic(name)): name for name in topics}
    if not resources:
        return {}
    answers = admin.describe_configs(list(resources), request_timeout=_TIMEOUT_S)
    return {
        resources[resource]: {entry.name: str(entry.value) for entry in _answer(answer, settings, faults).values()}
        for resource, answer in answers.items()
    }


def _answer(future: Future[T], settings: KafkaSettings, faults: Faults) -> T:
    """A request's answer. Raises LogError, LogUnavailable."""
    try:
        return future.result()
    except KafkaException as error:
        raise explain(settings, "open", error, faults) from error
