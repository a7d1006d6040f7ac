"""What the topics of a log on Kafka should be like, and how those that are there differ."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from headrace.ingest.kafka_errors import create_hint
from headrace.ingest.kafka_settings import MESSAGE_BYTES_MAX, KafkaSettings
from headrace.ingest.topics import TOPICS, Topic

_DAY_MS = 86_400_000
_MIN_INSYNC = "min.insync.replicas"


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
    """A topic as it is, by its short name. in_sync: replicas in sync, of the partition that has fewest. settings: by
    Kafka's names; empty when this user may not see them."""

    topic: str
    partitions: int
    replicas: int
    in_sync: int
    settings: Mapping[str, str]


class Difference(NamedTuple):
    """Something that is not as expected. advice: what it is, and what to do. fatal: the log cannot be used so.
    refuses_events: the topic takes none."""

    topic: str
    setting: str
    expected: str
    actual: str
    advice: str
    fatal: bool = False
    refuses_events: bool = False


def settings_of(topic: Topic, wanted: Wanted, replicas: int) -> dict[str, str]:
    """A topic's settings on the broker.

    Compaction is right nowhere: it keeps the last record of a key and drops those before, and here each record is a
    fact of its own. What was logged, changed and undone, and when, is what replay and `as of` are made of.
    """
    return {
        "cleanup.policy": "delete",
        "retention.ms": str(wanted.retention_ms_of(topic)),
        "retention.bytes": "-1",
        _MIN_INSYNC: str(wanted.min_insync_of(replicas)),
        "max.message.bytes": str(MESSAGE_BYTES_MAX),
        # The log's clock is the broker's: it does not jump with the clock of each writer.
        "message.timestamp.type": "LogAppendTime",
        "unclean.leader.election.enable": "false",
    }


_WHY = {
    "cleanup.policy": "compaction drops events, and every event is history",
    "retention.ms": "the log is what everything is rebuilt from",
    "retention.bytes": "the log is what everything is rebuilt from",
    "max.message.bytes": "what the server accepts must fit",
    "message.timestamp.type": "the log's clock must be the brokers', not each writer's",
    "unclean.leader.election.enable": "a replica that lags behind must not make acknowledged events disappear",
}
_FATAL = {"cleanup.policy", "message.timestamp.type"}
"""What makes a log lose or misdate events from the first one on."""


def differences(settings: KafkaSettings, found: Iterable[Found], wanted: Wanted) -> list[Difference]:
    """What is not as it should be, in the order of the table of topics."""
    known = {one.topic: one for one in found}
    told: list[Difference] = []
    for topic in TOPICS.values():
        full, one = settings.topic(topic.name), known.get(topic.name)
        if one is None:
            advice = f"the topic {full} does not exist. {create_hint(settings)}"
            told.append(Difference(topic.name, "exists", "yes", "no", advice, fatal=True))
        else:
            told += _partitions(settings, topic, one, wanted)
            told += _replicas(settings, full, one, wanted)
            told += _settings(settings, topic, one, wanted)
    return told


def _partitions(settings: KafkaSettings, topic: Topic, one: Found, wanted: Wanted) -> list[Difference]:
    expected = topic.partitions if topic.one_partition else wanted.partitions or one.partitions
    if one.partitions == expected:
        return []
    why = "its events are read in one order" if topic.one_partition else "that is what was asked for"
    advice = (
        f"the topic {settings.topic(topic.name)} has {one.partitions} partitions, and {expected} are expected: {why}."
        " The number cannot be changed later, as a subject's events would lie in two places. Make topics under another"
        f" prefix (`headrace topics create --log kafka://{settings.bootstrap}/other`) and copy the history there with"
        " `headrace log copy`"
    )
    return [Difference(topic.name, "partitions", str(expected), str(one.partitions), advice, topic.one_partition)]


def _replicas(settings: KafkaSettings, full: str, one: Found, wanted: Wanted) -> list[Difference]:
    told = []
    factor = wanted.replication_factor
    if factor is not None and factor != one.replicas:
        advice = (
            f"the topic {full} has {one.replicas} replicas, and {factor} are expected. Move it with"
            " kafka-reassign-partitions.sh"
        )
        told.append(Difference(one.topic, "replication.factor", str(factor), str(one.replicas), advice))
    least = int(one.settings.get(_MIN_INSYNC, "1"))
    expected = wanted.min_insync_of(one.replicas)
    if least > one.replicas:
        expected = min(expected, one.replicas)
        advice = (
            f"the topic {full} asks for {least} replicas in sync ({_MIN_INSYNC}) and has only {one.replicas}: some"
            " brokers take no event then, others take it with less than was asked for. Give it more replicas with"
            f" kafka-reassign-partitions.sh, or ask for fewer. {_alter(settings, full, _MIN_INSYNC, str(expected))}"
        )
        told.append(Difference(one.topic, _MIN_INSYNC, str(expected), str(least), advice, True, True))
    elif _MIN_INSYNC in one.settings and (
        least < expected or (wanted.min_insync_replicas is not None and least != expected)
    ):
        advice = (
            f"the topic {full} has {_MIN_INSYNC}={least}, and {expected} is expected, so that no acknowledged event is"
            f" on one broker alone. {_alter(settings, full, _MIN_INSYNC, str(expected))}"
        )
        told.append(Difference(one.topic, _MIN_INSYNC, str(expected), str(least), advice))
    if one.in_sync < least <= one.replicas:
        advice = (
            f"the topic {full} has {one.in_sync} replicas in sync and asks for {least}, so it takes no event now. Start"
            " the brokers that are missing"
        )
        told.append(Difference(one.topic, "replicas in sync", str(least), str(one.in_sync), advice, False, True))
    return told


def _settings(settings: KafkaSettings, topic: Topic, one: Found, wanted: Wanted) -> list[Difference]:
    full = settings.topic(topic.name)
    told = []
    for name, expected in settings_of(topic, wanted, one.replicas).items():
        actual = one.settings.get(name)
        if name == _MIN_INSYNC or actual is None or _fits(name, expected, actual):
            continue
        advice = (
            f"the topic {full} has {name}={actual}, and {expected} is expected: {_WHY[name]}."
            f" {_alter(settings, full, name, expected)}"
        )
        told.append(Difference(topic.name, name, expected, actual, advice, name in _FATAL))
    return told


def _fits(name: str, expected: str, actual: str) -> bool:
    return int(actual) >= int(expected) if name == "max.message.bytes" else actual == expected


def _alter(settings: KafkaSettings, full: str, name: str, value: str) -> str:
    return (
        f"Set it: kafka-configs.sh --bootstrap-server {settings.bootstrap} --alter --entity-type topics --entity-name"
        f" {full} --add-config {name}={value}"
    )
