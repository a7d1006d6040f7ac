"""A sound log passes; each kind of damage is found, told with its place, and nothing else with it."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pyarrow as pa
import pytest
from headrace.ingest import points
from headrace.ingest.clock import ManualClock
from headrace.ingest.codec import encode_event
from headrace.ingest.envelope import ARROW, Envelope
from headrace.ingest.events import AttributesLogged, EventRejected
from headrace.ingest.log import Partition, Position, Record
from headrace.ingest.memory import MemoryLog
from headrace.ingest.sqlite import SqliteLog
from headrace.ingest.verifying import FAULTS_MAX, Report, verify
from msgspec.structs import replace

NOW_MS = 1_700_000_000_000
GOOD = Envelope("1", "headrace.run.attributes-logged", "sdk", "r1", 5, encode_event(AttributesLogged({"a": "b"})))


def checked(*envelopes: Envelope, partitions: int = 1) -> Report:
    clock = ManualClock(NOW_MS)
    log = MemoryLog(clock, {"runs": partitions})
    log.append(envelopes)
    return verify(log, clock=clock)


def kinds(report: Report) -> dict[str, int]:
    return {kind: n for one in report.partitions for kind, n in one.faults.items()}


def counted(*sequences: int, writer: str = "w") -> list[Envelope]:
    return [replace(GOOD, writer=writer, sequence=sequence) for sequence in sequences]


def metrics(count: int) -> Envelope:
    numbers = pa.array(range(count), pa.int64())
    data = points.encode(
        {"key": pa.array(["k"] * count), "step": numbers, "timestamp_ms": numbers, "value": numbers.cast(pa.float64())}
    )
    return Envelope("2", "headrace.metrics.logged", "sdk", "r1", 5, data, ARROW)


def test_a_sound_log_is_counted_and_has_no_fault() -> None:
    letter = Envelope("3", "headrace.event.rejected", "engine", "", 5, encode_event(EventRejected("why")))
    report = checked(*counted(1, 2, 3), metrics(20), letter, replace(GOOD, subject="r2"))
    by_topic = {one.topic: one for one in report.partitions}
    assert report.faults == []
    assert report.fault_count() == 0
    assert (by_topic["runs"].records, by_topic["runs"].writers) == (4, 1)
    assert (by_topic["runs"].first, by_topic["runs"].last, by_topic["runs"].last_ms) == (0, 3, NOW_MS)
    assert by_topic["runs"].types == {"headrace.run.attributes-logged": 4}
    assert by_topic["metrics"].points == 20
    assert by_topic["registry"].first is None


def test_a_prediction_is_of_an_endpoint_and_no_run() -> None:
    prediction = Envelope("4", "headrace.prediction.logged", "endpoint", "endpoint:a", 5, b'{"endpoint": "a"}')
    assert checked(prediction).faults == []


@pytest.mark.parametrize(
    ("envelope", "kind", "reason"),
    [
        (replace(GOOD, data=b"{"), "data", "headrace.run.attributes-logged"),
        (replace(metrics(3), data=b"no arrow"), "data", "not an Arrow IPC stream"),
        (replace(GOOD, id=""), "attributes", "no id"),
        (replace(GOOD, source=""), "attributes", "no source"),
        (replace(GOOD, subject="../x"), "place", "not a run's id"),
        (replace(GOOD, writer="w"), "sequence", "its sequence 0"),
        (replace(GOOD, sequence=3), "sequence", "its writer is ''"),
        (counted(3)[0], "gap", "1 to 2 of writer w are missing"),
    ],
)
def test_damage_is_found_with_its_kind_place_and_reason(envelope: Envelope, kind: str, reason: str) -> None:
    report = checked(GOOD, metrics(1), envelope, GOOD)
    assert kinds(report) == {kind: 1}
    [fault] = report.faults
    assert fault.kind == kind
    assert reason in fault.reason
    assert fault.place.endswith("/0/1")


def test_gaps_are_counted_by_events_and_what_was_sent_again_is_no_fault() -> None:
    report = checked(*counted(1, 2, 2, 1, 6, 7), *counted(1, 2, writer="v"))
    runs = next(one for one in report.partitions if one.topic == "runs")
    assert (runs.missing, runs.repeats, runs.writers) == (3, 2, 2)
    assert kinds(report) == {"gap": 1}


def test_types_and_versions_of_the_future_are_listed_and_are_no_fault() -> None:
    report = checked(
        replace(GOOD, type="headrace.run.launched"),
        replace(GOOD, schema_version=9),
        replace(metrics(2), schema_version=2),
    )
    assert report.fault_count() == 0
    assert {name: n for one in report.partitions for name, n in one.unknown.items()} == {
        "headrace.run.launched v1": 1,
        "headrace.run.attributes-logged v9": 1,
        "headrace.metrics.logged v2": 1,
    }


def test_records_in_another_partition_than_their_subjects_are_found() -> None:
    class Grown(MemoryLog):
        """A log that was given a fourth partition of runs when it was in use."""

        def begin(self) -> dict[Partition, int]:
            return {**super().begin(), Partition("runs", 3): 0}

        def end(self) -> dict[Partition, int]:
            return {**super().end(), Partition("runs", 3): 0}

    clock = ManualClock(NOW_MS)
    for log, found in ((MemoryLog(clock, {"runs": 3}), set()), (Grown(clock, {"runs": 3}), {"place"})):
        log.append([replace(GOOD, subject=f"r{i}") for i in range(30)])
        assert set(kinds(verify(log, clock=clock))) == found


def test_times_that_no_clock_can_have_shown_are_found() -> None:
    clock = ManualClock(NOW_MS)
    log = MemoryLog(clock)
    for time_ms in (NOW_MS - 90_000, NOW_MS, NOW_MS - 1_000, NOW_MS - 90_000, NOW_MS, NOW_MS + 90_000_000, 0):
        log.restore([Record(Position("runs", 0, 0), time_ms, GOOD)])
    report = verify(log, clock=clock)
    assert [(fault.kind, fault.place) for fault in report.faults] == [
        ("time", "runs/0/3"),
        ("time", "runs/0/5"),
        ("time", "runs/0/6"),
    ]


def test_offsets_that_are_gone_and_attributes_that_cannot_be_read_are_found(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    with contextlib.closing(SqliteLog(path, ManualClock(NOW_MS))) as log:
        log.append([GOOD] * 6)
        with contextlib.closing(sqlite3.connect(path)) as database, database:
            database.execute("DELETE FROM topic_runs WHERE offset IN (2, 3)")
            database.execute("UPDATE topic_runs SET attributes = ? WHERE offset = 4", (b"\xff",))
        report = verify(log, clock=ManualClock(NOW_MS))
    assert [(fault.kind, fault.place) for fault in report.faults] == [
        ("offset", "runs/0/2"),
        ("unreadable", "runs/0/4"),
    ]
    assert "2 to 3" in report.faults[0].reason


def test_a_record_in_another_topic_than_its_type_is_found() -> None:
    log = MemoryLog(ManualClock(NOW_MS))
    log.restore([Record(Position("registry", 0, 0), NOW_MS, GOOD)])
    assert kinds(verify(log, clock=ManualClock(NOW_MS))) == {"place": 1}


def test_faults_beyond_the_first_are_counted_and_not_kept() -> None:
    report = checked(*[replace(GOOD, id="")] * (FAULTS_MAX + 5))
    assert report.fault_count() == FAULTS_MAX + 5
    assert len(report.faults) == FAULTS_MAX
