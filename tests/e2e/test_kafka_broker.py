"""The broker that tests run on is a real one."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.kafka_broker import KafkaBroker

confluent_kafka = pytest.importorskip("confluent_kafka")


def test_a_broker_keeps_its_data_through_a_kill(new_kafka: Callable[..., KafkaBroker]) -> None:
    broker = new_kafka(**{"auto.create.topics.enable": "true"})
    producer = confluent_kafka.Producer({"bootstrap.servers": broker.bootstrap})
    producer.produce("kept", b"value")
    assert producer.flush(30) == 0
    broker.kill()
    broker.start_again()
    consumer = confluent_kafka.Consumer({"bootstrap.servers": broker.bootstrap, "group.id": "test"})
    consumer.assign([confluent_kafka.TopicPartition("kept", 0, 0)])
    message = consumer.poll(30)
    consumer.close()
    assert message.value() == b"value"
