"""What can be wrong with a Kafka cluster: each is a sentence that says what to do, and comes within ten seconds."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from headrace.ingest.codec import decode_event
from headrace.ingest.envelope import Envelope
from headrace.ingest.events import EventRejected
from headrace.ingest.log import LogError, LogUnavailable, Partition, Position

from tests.kafka_broker import KafkaBroker

pytest.importorskip("confluent_kafka")
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewTopic, ResourceType
from headrace.ingest.kafka import KafkaLog
from headrace.ingest.kafka_admin import KafkaAdmin
from headrace.ingest.kafka_settings import parse
from headrace.ingest.kafka_topics import Wanted
from headrace.ingest.topics import TOPICS

RUNS = Partition("runs", 0)
EVERYTHING = (10**6, 2**40)


def event(number: int, data: bytes = b"{}") -> Envelope:
    return Envelope(str(number), "headrace.run.heartbeat", "test", "r", number, data, writer="w", sequence=number)


@contextlib.contextmanager
def refused(*says: str, error: type[LogError] = LogError) -> Iterator[None]:
    """The body must fail within ten seconds, with one sentence or more that hold these words."""
    started_s = time.monotonic()
    with pytest.raises(error) as caught:
        yield
    assert time.monotonic() - started_s < 10
    message = str(caught.value)
    assert all(words in message for words in says), message
    assert "\n" not in message


def alter(broker: KafkaBroker, topic: str, **settings: str) -> None:
    """Set settings of a topic, with `_` for `.`."""
    entries = [
        ConfigEntry(name.replace("_", "."), value, incremental_operation=AlterConfigOpType.SET)
        for name, value in settings.items()
    ]
    admin = AdminClient({"bootstrap.servers": broker.bootstrap})
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=entries)
    [answer] = admin.incremental_alter_configs([resource]).values()
    answer.result(30)


def full_name(url: str, topic: str = "runs") -> str:
    return parse(url).topic(topic)


# --- opening ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["127.0.0.1:1", "no-such-host.invalid"])
def test_a_wrong_address_says_what_was_tried(host: str) -> None:
    with refused("no Kafka broker answers at", host, "Check the address", error=LogUnavailable):
        KafkaLog(f"kafka://{host}")


def test_something_else_that_listens_there_is_no_broker(kafka: KafkaBroker) -> None:
    with refused("no Kafka broker answers at", "security.protocol", error=LogUnavailable):
        KafkaLog(f"{kafka.url()}?security.protocol=SSL")


def test_missing_topics_are_named_with_the_command_that_makes_them(kafka: KafkaBroker) -> None:
    url = kafka.url()
    with refused(f"topics {full_name(url)}, ", "do not exist", f"headrace topics create --log {url}"):
        KafkaLog(url)


def test_one_missing_topic_is_named_alone(kafka: KafkaBroker) -> None:
    url = kafka.new_log()
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    admin.delete_topics([full_name(url, "registry")], operation_timeout=30)[full_name(url, "registry")].result(30)
    with refused(f"the topic {full_name(url, 'registry')} does not exist", "headrace topics create"):
        KafkaLog(url)
    KafkaAdmin(parse(url)).create(Wanted())
    KafkaLog(url).close()


def test_an_unknown_property_is_named(kafka: KafkaBroker) -> None:
    with refused("such.a.thing", "leave out that property", "HEADRACE_KAFKA_CONFIG"):
        KafkaLog(f"{kafka.new_log()}?such.a.thing=1")


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("cleanup_policy", "compact", "compaction drops events"),
        ("message_timestamp_type", "CreateTime", "the log's clock"),
        ("min_insync_replicas", "2", "ask for fewer"),
    ],
)
def test_a_topic_that_breaks_a_promise_is_refused_with_the_command_that_mends_it(
    kafka: KafkaBroker, name: str, value: str, says: str
) -> None:
    url = kafka.new_log()
    alter(kafka, full_name(url), **{name: value})
    with refused(says, f"{name.replace('_', '.')}={value}" if name[:3] != "min" else "2", "kafka-configs.sh"):
        KafkaLog(url)


def test_a_registry_of_several_partitions_is_refused(kafka: KafkaBroker) -> None:
    url = kafka.url()
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    admin.create_topics([NewTopic(full_name(url, "registry"), 3, 1)])[full_name(url, "registry")].result(30)
    made = KafkaAdmin(parse(url)).create(Wanted())
    assert [name for name, new in made.items() if not new] == [full_name(url, "registry")]
    with refused("registry has 3 partitions, and 1 are expected", "in one order", "headrace log copy"):
        KafkaLog(url)


def test_every_difference_is_told_and_what_fits_is_not(kafka: KafkaBroker) -> None:
    url = kafka.new_log(partitions=3)
    admin = KafkaAdmin(parse(url))
    assert admin.check(Wanted()) == []
    assert admin.check(Wanted(partitions=3, replication_factor=1, min_insync_replicas=1)) == []
    changes = {
        "retention_ms": "1000",
        "retention_bytes": "5",
        "max_message_bytes": "1000",
        "cleanup_policy": "compact,delete",
        "message_timestamp_type": "CreateTime",
        "unclean_leader_election_enable": "true",
    }
    alter(kafka, full_name(url, "metrics"), **changes)
    found = admin.check(Wanted(partitions=4))
    assert {(one.topic, one.setting) for one in found} == {
        ("runs", "partitions"),
        ("metrics", "partitions"),
        *(("metrics", name.replace("_", ".")) for name in changes),
    }
    assert all("metrics=" not in one.advice and one.advice for one in found)


def test_more_replicas_than_brokers_cannot_be_had(kafka: KafkaBroker) -> None:
    admin = KafkaAdmin(parse(kafka.url()))
    with refused("3 needs as many brokers", "has 1", "fewer replicas"):
        admin.create(Wanted(replication_factor=3))
    with refused("min.insync.replicas=2 can never be met by 1"):
        admin.create(Wanted(min_insync_replicas=2))


# --- credentials ------------------------------------------------------------------------------------------------------

SASL = {
    "listeners": "SASL_PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}",
    "inter.broker.listener.name": "SASL_PLAINTEXT",
    "sasl.enabled.mechanisms": "PLAIN",
    "sasl.mechanism.inter.broker.protocol": "PLAIN",
    "listener.name.sasl_plaintext.plain.sasl.jaas.config": (
        "org.apache.kafka.common.security.plain.PlainLoginModule required"
        ' username="admin" password="admin-secret" user_admin="admin-secret" user_ann="ann-secret";'
    ),
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "super.users": "User:admin;User:ANONYMOUS",
}


def as_user(name: str, password: str) -> str:
    return f"?security.protocol=SASL_PLAINTEXT&sasl.mechanism=PLAIN&sasl.username={name}&sasl.password={password}"


def test_credentials_are_passed_on_and_wrong_ones_are_told_at_once(new_kafka: Callable[..., KafkaBroker]) -> None:
    broker = new_kafka(**SASL)
    url = broker.url()
    KafkaAdmin(parse(url + as_user("admin", "admin-secret"))).create(Wanted(partitions=2))
    with contextlib.closing(KafkaLog(url + as_user("admin", "admin-secret"))) as log:
        [position] = log.append([event(1)])
        assert log.read(Partition(*position[:2]), 0, *EVERYTHING)[0].envelope == event(1)
    with refused("refused the credentials", "sasl.username", "HEADRACE_KAFKA_CONFIG", error=LogUnavailable):
        KafkaLog(url + as_user("admin", "wrong-secret"))
    with refused("no Kafka broker answers", "security.protocol", error=LogUnavailable):
        KafkaLog(url)
    with refused("READ, WRITE and DESCRIBE", f"{full_name(url, '*')}", error=LogUnavailable):
        KafkaLog(url + as_user("ann", "ann-secret"))


# --- writing ----------------------------------------------------------------------------------------------------------


def test_too_few_replicas_are_what_an_append_that_is_not_confirmed_tells_of(
    new_kafka: Callable[..., KafkaBroker],
) -> None:
    first = new_kafka()
    second = new_kafka(**first.another(node_id=2))
    url = f"kafka://{first.bootstrap},{second.bootstrap}/p"
    KafkaAdmin(parse(url)).create(Wanted(partitions=2, min_insync_replicas=2))
    with contextlib.closing(KafkaLog(url, delivery_timeout_s=4)) as log:
        assert len(log.append([event(1)])) == 1
        second.kill()
        cluster, topic = AdminClient({"bootstrap.servers": first.bootstrap}), full_name(url)
        deadline_s = time.monotonic() + 60
        while any(len(one.isrs) > 1 for one in cluster.list_topics(topic, 10).topics[topic].partitions.values()):
            assert time.monotonic() < deadline_s, "the cluster has not missed the broker"
            time.sleep(0.2)
        with refused("1 replicas in sync and asks for 2", "Start the brokers that are missing", error=LogUnavailable):
            log.append([event(2)])
        second.start_again()
        assert [len(log.append([event(number)])) for number in (3, 4)] == [1, 1]


def test_an_append_that_a_broker_which_just_died_does_not_confirm_says_that_others_answer(
    new_kafka: Callable[..., KafkaBroker],
) -> None:
    first = new_kafka(**{"broker.session.timeout.ms": "60000"})
    second = new_kafka(**first.another(node_id=2))
    url = f"kafka://{first.bootstrap},{second.bootstrap}/p"
    KafkaAdmin(parse(url)).create(Wanted(partitions=2, min_insync_replicas=2))
    with contextlib.closing(KafkaLog(url, delivery_timeout_s=4)) as log:
        second.kill()
        with refused("did not confirm in time, though the cluster answers", second.bootstrap, error=LogUnavailable):
            log.append([event(1), event(2)])


def test_an_event_longer_than_the_topic_takes_is_refused_for_good(kafka: KafkaBroker) -> None:
    url = kafka.new_log()
    alter(kafka, full_name(url), max_message_bytes="100000")
    with contextlib.closing(KafkaLog(url)) as log:
        with refused("longer than it takes", "max.message.bytes"):
            log.append([event(1, random.Random(0).randbytes(500_000))])
        with refused("22020096 bytes is longer than it takes"):
            log.append([event(1, b"x" * 21 * 2**20)])
        assert len(log.append([event(2)])) == 1


def test_an_event_of_16_mb_fits(kafka: KafkaBroker) -> None:
    with contextlib.closing(KafkaLog(kafka.new_log(partitions=1))) as log:
        data = random.Random(0).randbytes(16 * 2**20)
        log.append([event(1, data), event(2, data)])
        assert [len(r.envelope.data) for r in log.read(RUNS, 0, *EVERYTHING)] == [len(data)] * 2
        with contextlib.closing(log.follow({RUNS: 1}, prefetch_bytes=2**20)) as follower:
            assert follower.poll(*EVERYTHING, 30)[0].envelope.data == data


# --- reading ----------------------------------------------------------------------------------------------------------


def test_a_message_that_is_no_envelope_is_told_as_rejected_and_reading_goes_on(kafka: KafkaBroker) -> None:
    url = kafka.new_log(partitions=1)
    with contextlib.closing(KafkaLog(url)) as log:
        log.append([event(0)])
        other = Producer({"bootstrap.servers": kafka.bootstrap})
        other.produce(full_name(url), b"hello", b"key", headers={"ce_id": b"\xff", "mood": None})
        other.produce(full_name(url), None, None)
        assert other.flush(30) == 0
        log.append([event(3)])
        with contextlib.closing(log.follow({RUNS: 0})) as follower:
            followed = [record for _ in range(4) for record in follower.poll(1, 1, 30)]
        records = log.read(RUNS, 0, *EVERYTHING)
    assert records == followed
    assert [record.envelope.id for record in records] == ["0", "rejected:runs/0/1", "rejected:runs/0/2", "3"]
    rejected = decode_event(records[1].envelope)
    assert isinstance(rejected, EventRejected)
    assert (rejected.data, rejected.record) == (b"hello", "runs/0/1")
    assert rejected.attributes["raw"].startswith("key: key\n")


def test_offsets_that_hold_no_record_are_passed_over(kafka: KafkaBroker) -> None:
    url = kafka.new_log(partitions=1)
    with contextlib.closing(KafkaLog(url)) as log:
        log.append([event(0)])
        other = Producer({"bootstrap.servers": kafka.bootstrap, "transactional.id": full_name(url)})
        other.init_transactions(30)
        other.begin_transaction()
        other.commit_transaction(30)
        for act in (other.commit_transaction, other.commit_transaction):
            other.begin_transaction()
            other.produce(full_name(url), b"", b"r")
            act(30)  # leaves a control record behind the message
        log.append([event(1)])
        other.begin_transaction()
        other.produce(full_name(url), b"", b"r")
        other.commit_transaction(30)
        # Where exactly a marker lies is for the broker to say: it writes it after it has answered.
        waiting_until_s = time.monotonic() + 30
        while log.end()[RUNS] < 8:
            assert time.monotonic() < waiting_until_s, log.end()
        offsets = [record.position.offset for record in log.read(RUNS, 0, *EVERYTHING)]
        assert len(offsets) == 5
        assert offsets == sorted(set(offsets))
        assert offsets[:3] == [0, 1, 3]
        assert offsets[-1] == 6
        assert log.end()[RUNS] == 8
        assert log.read(RUNS, 7, *EVERYTHING) == []
        assert [record.position.offset for record in log.read(RUNS, 2, 1, 1)] == [3]
        with contextlib.closing(log.follow({RUNS: 2})) as follower:
            followed = [record.position.offset for _ in range(3) for record in follower.poll(1, 1, 30)]
        assert followed == offsets[2:]


def test_reading_what_has_expired_is_an_error_that_says_so(kafka: KafkaBroker) -> None:
    url = kafka.new_log(partitions=1)
    with contextlib.closing(KafkaLog(url)) as log:
        log.append([event(i) for i in range(10)])
        admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
        place = TopicPartition(full_name(url), 0, 4)
        admin.delete_records([place])[place].result(30)
        assert log.begin()[RUNS] == 4
        with refused("no longer has offset 0 of runs/0", "before 4 have expired", "retention.ms=-1"):
            log.read(RUNS, 0, *EVERYTHING)
        assert len(log.read(RUNS, 4, *EVERYTHING)) == 6
        with contextlib.closing(log.follow({RUNS: 3})) as follower:
            for _ in range(2):
                with refused("no longer has offset 3", "retention.ms=-1"):
                    follower.poll(*EVERYTHING, 30)


def test_what_a_group_has_committed_is_told_by_partition(kafka: KafkaBroker) -> None:
    from confluent_kafka import Consumer

    url = kafka.new_log(partitions=2)
    with contextlib.closing(KafkaLog(url)) as log:
        assert log.group == full_name(url, "views")
        assert log.committed() == {}
        consumer = Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": log.group})
        consumer.commit(offsets=[TopicPartition(full_name(url), 1, 7)], asynchronous=False)
        consumer.close()
        assert log.committed() == {Partition("runs", 1): 7}
        assert log.committed("another") == {}


# --- a broker that is killed ------------------------------------------------------------------------------------------


def test_every_acknowledged_record_is_there_once_when_the_broker_is_killed_between(
    new_kafka: Callable[..., KafkaBroker],
) -> None:
    broker = new_kafka()
    url = broker.new_log(partitions=3)
    known: dict[Position, str] = {}
    found: dict[Position, str] = {}
    tried, unavailable, stop = [0] * 4, [0] * 4, threading.Event()
    with contextlib.closing(KafkaLog(url, delivery_timeout_s=2)) as log:

        def write(writer: int) -> None:
            while not stop.is_set():
                number = tried[writer]
                tried[writer] += 1
                ids = [f"{writer}-{number}-{i}" for i in range(5)]
                batch = [Envelope(one, "headrace.run.heartbeat", "test", one, 0, b"{}") for one in ids]
                try:
                    known.update(zip(log.append(batch), ids, strict=True))
                except LogUnavailable:
                    unavailable[writer] += 1

        def progress(more: int) -> None:
            goal, deadline_s = len(known) + more, time.monotonic() + 60
            while len(known) < goal:
                assert time.monotonic() < deadline_s
                time.sleep(0.01)

        threads = [threading.Thread(target=write, args=(writer,), daemon=True) for writer in range(4)]
        for thread in threads:
            thread.start()
        with contextlib.closing(log.follow(dict.fromkeys(log.partitions(), 0))) as follower:

            def take(timeout_s: float) -> int:
                records = follower.poll(1000, 2**30, timeout_s)
                found.update((record.position, record.envelope.id) for record in records)
                return len(records)

            progress(500)
            for _ in range(2):
                broker.kill()
                down_s = time.monotonic()
                with refused("no Kafka broker answers", error=LogUnavailable):
                    log.end()
                with refused("follow", "no Kafka broker answers", error=LogUnavailable):
                    while time.monotonic() < down_s + 9:
                        take(0.5)
                broker.start_again()
                progress(500)
            stop.set()
            for thread in threads:
                thread.join(60)
            end = sum(log.end().values())
            while len(found) < end:
                assert take(30)
        read = {
            record.position: record.envelope.id
            for partition in log.partitions()
            for record in log.read(partition, 0, *EVERYTHING)
        }
    assert sum(unavailable) > 0
    assert known.items() <= found.items()
    assert found == read
    # Idempotent: what was resent within an append is there once, also where the append was given up.
    assert len(set(found.values())) == len(found)
    assert set(TOPICS) == {partition.topic for partition in log.partitions()}
