"""What every log promises that takes over the history of another one."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from headrace.ingest.clock import ManualClock
from headrace.ingest.codec import Malformed, unreadable
from headrace.ingest.envelope import Envelope
from headrace.ingest.log import HistoryLog, LogError, Partition, Position, Record
from headrace.ingest.memory import MemoryLog
from headrace.ingest.sqlite import SqliteLog

NOW_MS = 1_000


def record(number: int, topic: str = "runs", kind: str = "headrace.run.heartbeat") -> Record:
    return Record(Position(topic, 7, number), number * 10, Envelope(str(number), kind, "test", "r", 3, b"{}"))


@pytest.fixture(params=["memory", "sqlite", "kafka"])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[HistoryLog]:
    clock = ManualClock(NOW_MS)
    made: HistoryLog
    if request.param == "kafka":
        made = pytest.importorskip("headrace.ingest.kafka").KafkaLog(request.getfixturevalue("kafka").new_log(1))
    else:
        made = MemoryLog(clock) if request.param == "memory" else SqliteLog(tmp_path / "log.db", clock)
    yield made
    made.close()


def test_restored_records_keep_their_envelope_and_the_time_they_were_logged(log: HistoryLog) -> None:
    given = [record(5), record(9)]
    assert log.restore(given) == [Position("runs", 0, 0), Position("runs", 0, 1)]
    found = log.read(Partition("runs", 0), 0, 9, 2**40)
    assert [(one.timestamp_ms, one.envelope) for one in found] == [(one.timestamp_ms, one.envelope) for one in given]


def test_what_is_appended_later_follows_with_the_logs_own_time(log: HistoryLog) -> None:
    log.restore([record(5)])
    assert log.append([record(6).envelope]) == [Position("runs", 0, 1)]
    restored, appended = log.read(Partition("runs", 0), 0, 9, 2**40)
    assert restored.timestamp_ms == 50
    # Kafka's clock is the broker's.
    assert appended.timestamp_ms > time.time() * 1000 - 60_000 if log.remote else appended.timestamp_ms == NOW_MS


def test_a_restored_record_stays_in_its_topic_whatever_its_type(log: HistoryLog) -> None:
    stand_in = unreadable("runs/0/3", b"\xff", b"kept", Malformed("no JSON"))
    assert log.restore([Record(Position("runs", 0, 3), 5, stand_in)]) == [Position("runs", 0, 0)]
    assert log.read(Partition("runs", 0), 0, 1, 1)[0].envelope == stand_in


def test_a_record_of_an_unknown_topic_is_refused_and_nothing_is_appended(log: HistoryLog) -> None:
    with pytest.raises(LogError, match="no topic weather"):
        log.restore([record(1), record(2, "weather")])
    assert set(log.end().values()) == {0}


def test_history_begins_at_the_first_record(log: HistoryLog) -> None:
    log.append([record(1).envelope, record(2).envelope])
    assert log.begin() == dict.fromkeys(log.partitions(), 0)
