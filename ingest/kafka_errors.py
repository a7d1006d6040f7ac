"""What Kafka's errors mean for who runs Headrace: one sentence each that says what to do."""

from __future__ import annotations

import re
import time

from confluent_kafka import KafkaError, KafkaException
from headrace.ingest.kafka_settings import CONFIG_VARIABLE, KafkaSettings
from headrace.ingest.log import LogError, LogUnavailable

CREDENTIALS = {KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED}
FORBIDDEN = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
}
_NOISE = re.compile(r"^\S+/(?:bootstrap|\d+): | \(after \d+ms in state \w+.*\)$")
UNKNOWN_TOPIC = {KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION}
OUT_OF_RANGE = {KafkaError.OFFSET_OUT_OF_RANGE, KafkaError._AUTO_OFFSET_RESET}
NO_BROKER = {
    KafkaError._TRANSPORT,
    KafkaError._DESTROY_BROKER,
    KafkaError._ALL_BROKERS_DOWN,
    KafkaError._TIMED_OUT,
    KafkaError._TIMED_OUT_QUEUE,
    KafkaError._MSG_TIMED_OUT,
    KafkaError._PURGE_QUEUE,
    KafkaError._PURGE_INFLIGHT,
    KafkaError._RESOLVE,
    KafkaError._SSL,
}
NO_LEADER = {KafkaError._NOENT, KafkaError._UNKNOWN_PARTITION, KafkaError._UNKNOWN_TOPIC}
"""What librdkafka says by itself, of a partition whose leader it does not know."""
PASSING = {
    *NO_LEADER,
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.FENCED_LEADER_EPOCH,
    KafkaError.UNKNOWN_LEADER_EPOCH,
    KafkaError.OFFSET_NOT_AVAILABLE,
    KafkaError.REPLICA_NOT_AVAILABLE,
    KafkaError.KAFKA_STORAGE_ERROR,
    KafkaError.NOT_COORDINATOR,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.NETWORK_EXCEPTION,
    KafkaError.REQUEST_TIMED_OUT,
    KafkaError._TRANSPORT,
    KafkaError._DESTROY_BROKER,
    KafkaError._WAIT_COORD,
}
"""Errors of a cluster that moves leaders, or of a topic a moment old: asking again soon is right."""


class Faults:
    """The last trouble a log's clients had with their connections. Clients tell it; any thread may ask."""

    def __init__(self) -> None:
        self.down = False
        self._last: tuple[float, KafkaError] | None = None

    def note(self, error: KafkaError) -> None:
        """Take note of an error: a client's `error_cb`."""
        code = error.code()
        if error.fatal():  # of a producer that was given up, for what was noted before
            return
        if code == KafkaError._ALL_BROKERS_DOWN:
            self.down = True
            if self._last is not None:  # what brought them down says more than that they are
                return
        self._last = (time.monotonic(), error)

    def clear(self) -> None:
        """A broker has answered."""
        if self._last is not None or self.down:
            self.down = False
            self._last = None

    def refused(self) -> KafkaError | None:
        """Why brokers refuse this client, if they lately did: asking again will not help."""
        last = self.last()
        return last if last is not None and last.code() in CREDENTIALS else None

    def last(self, within_s: float = 30.0) -> KafkaError | None:
        """The last error, if there was one lately."""
        last = self._last
        return last[1] if last is not None and time.monotonic() - last[0] <= within_s else None


def kafka_error(error: KafkaException | KafkaError) -> KafkaError:
    """The KafkaError in an exception."""
    found = error.args[0] if isinstance(error, KafkaException) and error.args else error
    return found if isinstance(found, KafkaError) else KafkaError(KafkaError._FAIL, str(found))


def explain(
    settings: KafkaSettings, doing: str, error: KafkaException | KafkaError, faults: Faults | None = None
) -> LogError:
    """The error to raise: LogUnavailable where trying again may succeed.

    doing: what failed, such as `append to`; a sentence begins with `cannot <doing> the log kafka://…`.
    """
    found = kafka_error(error)
    cause = faults.last() if faults is not None else None
    if cause is not None and found.code() in NO_BROKER | NO_LEADER and cause.code() in NO_BROKER | CREDENTIALS:
        found = cause  # the connection fails for this; what was asked for timed out meanwhile, or found no leader
    code, detail = found.code(), _detail(found)
    begin = f"cannot {doing} the log {settings.name}"
    place = f"after `?` in the URL or in the file that {CONFIG_VARIABLE} names"
    if code in CREDENTIALS:
        return LogUnavailable(
            f"{begin}: Kafka refused the credentials ({detail}). Check security.protocol, sasl.mechanism, sasl.username"
            f" and sasl.password, {place}"
        )
    if code in FORBIDDEN:
        return LogUnavailable(
            f"{begin}: Kafka does not allow it ({detail}). Grant this user READ, WRITE and DESCRIBE on the topics"
            f" {settings.topic('*')} and READ on the group {settings.group}, or name another user {place}"
        )
    if code == KafkaError._INVALID_ARG:
        return LogError(f"{begin}: {detail}. Correct or leave out that property, {place}")
    if code == KafkaError._SSL:
        return LogUnavailable(
            f"{begin}: TLS failed ({detail}). Check security.protocol and the ssl.* properties, {place}"
        )
    if code in UNKNOWN_TOPIC:
        return LogUnavailable(f"{begin}: {detail}. {create_hint(settings)}")
    if code in {KafkaError.NOT_ENOUGH_REPLICAS, KafkaError.NOT_ENOUGH_REPLICAS_AFTER_APPEND}:
        return LogUnavailable(
            f"{begin}: fewer replicas are in sync than min.insync.replicas asks for. Start the brokers that are"
            " missing, or lower min.insync.replicas of the topics"
        )
    if code in NO_BROKER:
        why = f" ({_detail(cause)})" if cause is not None and cause.code() in NO_BROKER else ""
        return LogUnavailable(
            f"{begin}: no Kafka broker answers at {settings.bootstrap}{why}. Check the address, that the broker runs,"
            f" and security.protocol, {place}"
        )
    return LogUnavailable(f"{begin}: {detail} ({found.name()})")


def unconfirmed(settings: KafkaSettings, faults: Faults) -> str:
    """The sentence about an append that some brokers did not confirm in time while others answer."""
    cause = faults.last()
    why = f" ({_detail(cause)})" if cause is not None else ""
    return (
        f"cannot append to the log {settings.name}: its brokers did not confirm in time, though the cluster"
        f" answers{why}. Check that each of {settings.bootstrap} runs: what one of them led finds another leader once"
        " the cluster has missed it"
    )


class TooLong(LogError):
    """An event is longer than its topic takes."""


def too_long(settings: KafkaSettings, size: int = 0) -> TooLong:
    """The error for an event of so many bytes, if they are known."""
    event = f"an event of {size} bytes" if size else "an event"
    return TooLong(
        f"cannot append to the log {settings.name}: {event} is longer than it takes. Raise max.message.bytes of the"
        " topics (`headrace topics check` tells), or log in smaller pieces"
    )


def create_hint(settings: KafkaSettings) -> str:
    """What to do about a topic that is not there."""
    return f"Run `headrace topics create --log {settings.name}`"


def _detail(error: KafkaError) -> str:
    """The message without the name of librdkafka's thread and the times it counts."""
    return _NOISE.sub("", error.str()).strip().rstrip(".")
