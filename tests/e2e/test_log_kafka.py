"""A log moves from a folder to Kafka and back, also when the copy is killed; both are checked and followed there."""

from __future__ import annotations

import contextlib
import json
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from headrace.ingest import points
from headrace.ingest.clock import ManualClock
from headrace.ingest.codec import encode_event
from headrace.ingest.envelope import ARROW, Envelope
from headrace.ingest.events import AttributesLogged, ExperimentCreated
from headrace.ingest.log import HistoryLog, Partition
from headrace.ingest.opening import open_log
from headrace.ingest.sqlite import SqliteLog

from tests.kafka_broker import KafkaBroker

pytest.importorskip("confluent_kafka")
pytestmark = pytest.mark.e2e
HEADRACE = [sys.executable, "-m", "headrace.sdk.cli.main"]
EVENTS = 24_000
LOGGED_MS = 1_700_000_000_000


def history(folder: Path, events: int = EVENTS) -> None:
    """A log of some runs: experiments, attributes with writers and without, points, all logged long ago."""
    clock = ManualClock(LOGGED_MS)
    numbers = pa.array(range(20), pa.int64())
    data = points.encode(
        {"key": pa.array(["loss"] * 20), "step": numbers, "timestamp_ms": numbers, "value": numbers.cast(pa.float64())}
    )
    with contextlib.closing(SqliteLog(folder / "log.db", clock)) as log:
        created = encode_event(ExperimentCreated("first"))
        log.append([Envelope("e", "headrace.experiment.created", "api", "1", 5, created)])
        for first in range(0, events, 2_000):
            clock.advance(1)
            batch = []
            for number in range(first, min(first + 2_000, events)):
                run, sequence = f"run-{number % 200}", number // 400 + 1
                if number % 400 < 200:
                    attributes = encode_event(AttributesLogged({f"p{number}": "1"}))
                    batch.append(
                        Envelope(
                            f"a{number}", "headrace.run.attributes-logged", "sdk", run, number, attributes, writer="w",
                            sequence=sequence,
                        )
                    )  # fmt: skip
                else:
                    batch.append(Envelope(f"m{number}", "headrace.metrics.logged", "api", run, number, data, ARROW))
            log.append(batch)


def headrace(*arguments: str | Path, code: int = 0) -> str:
    done = subprocess.run([*HEADRACE, *map(str, arguments)], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def by_subject(log: HistoryLog) -> dict[tuple[str, str], list[tuple[int, Envelope]]]:
    """Each subject's history in each topic."""
    found: dict[tuple[str, str], list[tuple[int, Envelope]]] = {}
    for partition, end in log.end().items():
        offset = 0
        while offset < end and (records := log.read(partition, offset, 10_000, 2**25)):
            for record in records:
                key = (partition.topic, record.envelope.subject)
                found.setdefault(key, []).append((record.timestamp_ms, record.envelope))
            offset = records[-1].position.offset + 1
    return found


@contextlib.contextmanager
def opened(uri: str | Path) -> Iterator[HistoryLog]:
    with contextlib.closing(open_log(str(uri))) as log:
        yield log


def test_a_log_goes_to_kafka_with_kills_and_back_and_is_the_same(kafka: KafkaBroker, tmp_path: Path) -> None:
    history(tmp_path / "source")
    url = kafka.new_log(partitions=12)
    with opened(url) as wide:
        for goal in (1, 9_000):
            with subprocess.Popen(
                [*HEADRACE, "log", "copy", str(tmp_path / "source"), url],
                stderr=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            ) as process:
                deadline_s = time.monotonic() + 60
                while sum(wide.end().values()) < goal:
                    assert process.poll() is None, "it ended before it was killed"
                    assert time.monotonic() < deadline_s
                process.kill()
        assert 0 < sum(wide.end().values()) < EVENTS
        done = json.loads(headrace("log", "copy", tmp_path / "source", url, "--json"))
        assert done["found"] >= 9_000
        assert done["found"] + done["copied"] == done["total"] == EVENTS + 1 == sum(wide.end().values())
        with opened(tmp_path / "source") as source:
            assert by_subject(wide) == by_subject(source)
        assert len([end for partition, end in wide.end().items() if partition.topic == "runs" and end]) == 12
    assert json.loads(headrace("log", "verify", url, "--json"))["ok"] is True

    headrace("log", "copy", url, tmp_path / "back")
    with opened(tmp_path / "back") as back, opened(tmp_path / "source") as source:
        assert by_subject(back) == by_subject(source)
        times = [record.timestamp_ms for record in back.read(Partition("runs", 0), 0, EVENTS, 2**40)]
        assert times == sorted(times)
    with contextlib.closing(sqlite3.connect(tmp_path / "back" / "log.db")) as database:
        database.execute("ATTACH ? AS source", (str(tmp_path / "source" / "log.db"),))
        for topic in ("runs", "metrics", "registry"):
            columns = "timestamp_ms, key, attributes, data"
            differing = f"SELECT {columns} FROM topic_{topic} EXCEPT SELECT {columns} FROM source.topic_{topic}"
            assert database.execute(differing).fetchall() == [], "bytes differ"


def test_a_moment_is_found_on_kafka_by_the_time_of_the_first_logging(kafka: KafkaBroker, tmp_path: Path) -> None:
    history(tmp_path / "source", 6_000)
    url = kafka.new_log(partitions=5)
    headrace("log", "copy", tmp_path / "source", url)
    until = ("--until", str(LOGGED_MS + 1_000))
    headrace("log", "copy", url, tmp_path / "then", *until)
    headrace("log", "copy", tmp_path / "source", tmp_path / "same", *until)
    with opened(tmp_path / "then") as then, opened(tmp_path / "same") as same:
        assert by_subject(then) == by_subject(same)
        assert sum(then.end().values()) == 2_001


def test_a_log_on_kafka_is_followed_from_where_it_ends(kafka: KafkaBroker, tmp_path: Path) -> None:
    history(tmp_path / "source", 600)
    url = kafka.new_log(partitions=3)
    headrace("log", "copy", tmp_path / "source", url)
    command = [*HEADRACE, "log", "tail", url, "-n", "1", "--run", "run-7"]
    with (
        opened(url) as log,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as tail,
    ):
        assert tail.stdout is not None
        last = tail.stdout.readline().rstrip("\n").split("\t")
        [other, position] = log.append(
            [Envelope(run, "headrace.run.heartbeat", "t", run, 5, b"{}") for run in ("run-8", "run-7")]
        )
        came = tail.stdout.readline().rstrip("\n").split("\t")
        tail.send_signal(signal.SIGINT)
        _, errors = tail.communicate(timeout=30)
    assert last[3] == "run-7"
    assert came[1:] == ["/".join(map(str, position)), "run.heartbeat", "run-7", "{}"]
    assert (tail.returncode, errors) == (0, "")
    assert other.topic == "runs"


def test_a_broker_that_is_not_there_is_one_line_within_ten_seconds() -> None:
    command = [*HEADRACE, "log", "verify", "kafka://127.0.0.1:9"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=12)
    assert done.returncode == 1
    assert "no Kafka broker answers at 127.0.0.1:9" in done.stderr
    assert len(done.stderr.splitlines()) == 1
