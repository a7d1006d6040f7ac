"""Every log is a list a topic, whatever is done to it."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from headrace.ingest.clock import ManualClock
from headrace.ingest.envelope import Envelope
from headrace.ingest.log import Log, Partition, Position
from headrace.ingest.memory import MemoryLog
from headrace.ingest.opening import open_log
from headrace.ingest.sqlite import SqliteLog
from headrace.ingest.topics import TOPICS, topic_of
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from tests.kafka_broker import KafkaBroker

KINDS = ["headrace.run.ended", "headrace.metrics.logged", "headrace.experiment.created", "headrace.event.rejected", "?"]
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
ENVELOPES = st.builds(
    Envelope, TEXT, st.sampled_from(KINDS), TEXT, TEXT, st.integers(-5, 5), st.binary(max_size=9), writer=TEXT
)


class Logs(RuleBasedStateMachine):
    """All logs beside plain lists."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.clock = ManualClock(5)
        self.sqlite = SqliteLog(self.folder / "log.db", self.clock)
        self.memory = MemoryLog(self.clock)
        self.lists: dict[str, list[Envelope]] = {name: [] for name in TOPICS}

    def logs(self) -> list[Log]:
        return [self.sqlite, self.memory]

    @rule(batch=st.lists(ENVELOPES, max_size=5))
    def append(self, batch: list[Envelope]) -> None:
        expected = []
        for envelope in batch:
            topic = topic_of(envelope.type)
            expected.append(Position(topic, 0, len(self.lists[topic])))
            self.lists[topic].append(envelope)
        for log in self.logs():
            assert log.append(batch) == expected

    @rule(topic=st.sampled_from(sorted(TOPICS)), offset=st.integers(0, 12), count=st.integers(1, 6))
    def read(self, topic: str, offset: int, count: int) -> None:
        for log in self.logs():
            records = log.read(Partition(topic, 0), offset, count, 2**40)
            assert [r.envelope for r in records] == self.lists[topic][offset : offset + count]
            assert [r.position.offset for r in records] == list(range(offset, offset + len(records)))

    @rule(topic=st.sampled_from(sorted(TOPICS)), bytes_max=st.integers(0, 200))
    def read_few_bytes(self, topic: str, bytes_max: int) -> None:
        for log in self.logs():
            records = log.read(Partition(topic, 0), 0, 100, bytes_max)
            assert [r.envelope for r in records] == self.lists[topic][: len(records)]
            assert bool(records) == bool(self.lists[topic])

    @rule()
    def reopen(self) -> None:
        self.sqlite.close()
        self.sqlite = SqliteLog(self.folder / "log.db", self.clock)

    @invariant()
    def ends_agree(self) -> None:
        for log in self.logs():
            assert log.end() == {Partition(name, 0): len(held) for name, held in self.lists.items()}
            assert not log.wait(log.end(), 0)
            assert log.wait({}, 0) == any(self.lists.values())

    def teardown(self) -> None:
        self.sqlite.close()
        shutil.rmtree(self.folder)


def test_kafka_is_a_list_a_topic_too(kafka: KafkaBroker) -> None:
    class LogsAndKafka(Logs):
        def __init__(self) -> None:
            super().__init__()
            self.kafka = open_log(kafka.new_log(partitions=1))

        def logs(self) -> list[Log]:
            return [*super().logs(), self.kafka]

        def teardown(self) -> None:
            self.kafka.close()
            super().teardown()

    run_state_machine_as_test(LogsAndKafka, settings=settings(max_examples=10, stateful_step_count=12, deadline=None))


TestLogs = Logs.TestCase
TestLogs.settings = settings(max_examples=25, stateful_step_count=15)
