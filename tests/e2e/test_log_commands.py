"""`headrace log` as real processes: copies that are killed, damage that is found, a tail that ends when it should."""

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

import pytest
from headrace.ingest.codec import encode_event
from headrace.ingest.envelope import Envelope
from headrace.ingest.events import AttributesLogged, ExperimentCreated
from headrace.ingest.log import Partition
from headrace.ingest.sqlite import SqliteLog
from headrace.ingest.topics import TOPICS

pytestmark = pytest.mark.e2e
HEADRACE = [sys.executable, "-m", "headrace.sdk.cli.main"]
EVENTS = 60_000


def event(number: int, sequence: int = 0) -> Envelope:
    data = encode_event(AttributesLogged({"n": str(number)}))
    writer = "w" if sequence else ""
    return Envelope(
        f"{number}", "headrace.run.attributes-logged", "test", f"r{number % 500}", number, data, writer=writer,
        sequence=sequence,
    )  # fmt: skip


def experiment(name: str) -> Envelope:
    return Envelope(name, "headrace.experiment.created", "api", name, 0, encode_event(ExperimentCreated(name)))


def headrace(*arguments: str | Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([*HEADRACE, *map(str, arguments)], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


@contextlib.contextmanager
def running(*arguments: str | Path) -> Iterator[subprocess.Popen[str]]:
    command = [*HEADRACE, *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1) as process:
        try:
            yield process
        finally:
            process.kill()


@contextlib.contextmanager
def log_in(folder: Path) -> Iterator[SqliteLog]:
    with contextlib.closing(SqliteLog(folder / "log.db")) as log:
        yield log


def rows(folder: Path) -> dict[str, list[tuple[object, ...]]]:
    """Everything in a log's file, as it lies there."""
    with contextlib.closing(sqlite3.connect(folder / "log.db")) as database:
        return {name: database.execute(f"SELECT * FROM topic_{name} ORDER BY offset").fetchall() for name in TOPICS}


def test_a_copy_that_is_killed_again_and_again_ends_equal_byte_for_byte(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    with log_in(source) as log:
        log.append([experiment("a"), experiment("b")])
        for first in range(0, EVENTS, 5_000):
            log.append([event(number) for number in range(first, first + 5_000)])
    target.mkdir()
    killed_at = []
    with log_in(target) as seen:
        for goal in (1, 12_000, 30_000):
            with running("log", "copy", source, target) as process:
                deadline_s = time.monotonic() + 60
                while seen.end()[Partition("runs", 0)] < goal and process.poll() is None:
                    assert seen.wait(seen.end(), max(0.0, deadline_s - time.monotonic())) or process.poll() is not None
                process.kill()
            killed_at.append(seen.end()[Partition("runs", 0)])
    assert 0 < killed_at[0] < EVENTS, killed_at
    done = json.loads(headrace("log", "copy", source, target, "--json").stdout)
    assert done["found"] == killed_at[-1]
    assert done["found"] + done["copied"] == done["total"] == EVENTS + 2
    assert rows(target) == rows(source)
    again = json.loads(headrace("log", "copy", f"file://{source}", target, "--json").stdout)
    assert (again["copied"], again["found"]) == (0, EVENTS + 2)


def test_a_copy_stopped_by_ctrl_c_says_how_to_go_on_and_goes_on(tmp_path: Path) -> None:
    with log_in(tmp_path / "source") as log:
        for first in range(0, EVENTS, 5_000):
            log.append([event(number) for number in range(first, first + 5_000)])
    with (
        log_in(tmp_path / "target") as seen,
        running("log", "copy", tmp_path / "source", tmp_path / "target") as process,
    ):
        assert seen.wait({}, 60)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "run the same command again" in errors
    assert "Traceback" not in errors
    headrace("log", "copy", tmp_path / "source", tmp_path / "target")
    assert rows(tmp_path / "target") == rows(tmp_path / "source")


def test_a_copy_until_a_position_or_a_time_is_the_log_as_it_was(tmp_path: Path) -> None:
    with log_in(tmp_path / "source") as log:
        log.append([event(1), event(2), experiment("a")])
        middle_ms = log.read(Partition("runs", 0), 0, 1, 1)[0].timestamp_ms
        while time.time_ns() // 1_000_000 <= middle_ms:
            pass
        log.append([event(3)])
    for name, until, runs in (("by-time", str(middle_ms), 2), ("by-position", "runs/0/1", 1)):
        headrace("log", "copy", tmp_path / "source", tmp_path / name, "--until", until)
        found = rows(tmp_path / name)
        assert (len(found["runs"]), len(found["registry"])) == (runs, 1)
    wrong = headrace("log", "copy", tmp_path / "source", tmp_path / "by-time", "--until", "runs/0/9", code=1)
    assert wrong.stderr.splitlines()[-1] == "headrace: runs/0 ends at 3, before 9"
    assert "no moment" in headrace("log", "copy", "a", "b", "--until", "soon", code=2).stderr


def test_a_copy_does_not_touch_a_log_with_other_events(tmp_path: Path) -> None:
    for name in ("source", "target"):
        with log_in(tmp_path / name) as log:
            log.append([experiment(name)])
    before = rows(tmp_path / "target")
    refused = headrace("log", "copy", tmp_path / "source", tmp_path / "target", code=1)
    assert "is not a copy of the source's beginning" in refused.stderr
    assert rows(tmp_path / "target") == before


@pytest.mark.parametrize("command", ["copy", "verify", "tail"])
def test_a_log_that_is_not_there_is_one_line(tmp_path: Path, command: str) -> None:
    more = [tmp_path / "target"] if command == "copy" else []
    for name, reason in ((str(tmp_path / "no"), "there is no log in"), ("ftp://host/log", "names no log")):
        done = headrace("log", command, name, *more, code=1)
        assert reason in done.stderr
        assert len(done.stderr.splitlines()) == 1


def test_verify_counts_a_sound_log_and_finds_damage(tmp_path: Path) -> None:
    with log_in(tmp_path) as log:
        log.append([experiment("a"), *(event(500 * n, sequence=n) for n in range(1, 101))])
    sound = json.loads(headrace("log", "verify", tmp_path, "--json").stdout)
    assert (sound["ok"], sound["records"], sound["faults"]) == (True, 101, [])
    runs = next(one for one in sound["partitions"] if one["topic"] == "runs")
    assert (runs["types"], runs["writers"]) == ({"headrace.run.attributes-logged": 100}, 1)
    assert "all is well" in headrace("log", "verify", tmp_path).stderr
    with contextlib.closing(sqlite3.connect(tmp_path / "log.db")) as database, database:
        database.execute("DELETE FROM topic_runs WHERE offset = 41")
        database.execute("UPDATE topic_runs SET data = 'x' WHERE offset = 50")
    damaged = json.loads(headrace("log", "verify", tmp_path, "--json", code=1).stdout)
    assert damaged["ok"] is False
    assert [(one["place"], one["kind"]) for one in damaged["faults"]] == [
        ("runs/0/41", "offset"),
        ("runs/0/42", "gap"),
        ("runs/0/50", "data"),
    ]
    assert "fault: runs/0/42: 42 to 42 of writer w" in headrace("log", "verify", tmp_path, code=1).stderr


def test_tail_prints_the_last_events_and_those_that_come(tmp_path: Path) -> None:
    with log_in(tmp_path) as log:
        log.append([event(n) for n in range(20)])
        with running("log", "tail", tmp_path, "-n", "2") as process:
            assert process.stdout is not None
            first = [process.stdout.readline().split("\t") for _ in range(2)]
            log.append([experiment("new")])
            came = process.stdout.readline().rstrip("\n").split("\t")
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=30)
    assert [line[1] for line in first] == ["runs/0/18", "runs/0/19"]
    assert came[1:] == ["registry/0/0", "experiment.created", "new", '{"name":"new"}']
    assert (process.returncode, errors) == (0, "")


def test_tail_prints_what_was_asked_for_and_nothing_else(tmp_path: Path) -> None:
    with log_in(tmp_path) as log:
        log.append([*(event(n) for n in range(1_200)), experiment("a")])
        log.append([experiment("b")])

    def places(*options: str) -> list[str]:
        lines = headrace("log", "tail", tmp_path, "--no-follow", *options).stdout.splitlines()
        return [line.split("\t")[1] for line in lines]

    assert places("--run", "r7") == ["runs/0/7", "runs/0/507", "runs/0/1007"]
    assert places("--run", "r7", "-n", "1") == ["runs/0/1007"]
    assert places("--type", "experiment.*", "--from", "beginning") == ["registry/0/0", "registry/0/1"]
    assert places("--topic", "registry", "--from", "registry/0/1") == ["registry/0/1"]
    assert places("--from", "1970-01-01", "--topic", "registry") == ["registry/0/0", "registry/0/1"]
    assert len(places()) == 10
    assert places("-n", "0") == places("--from", "end") == []
    told = json.loads(headrace("log", "tail", tmp_path, "--no-follow", "-n", "1", "--json").stdout)
    assert (told["position"], told["data"]) == ("registry/0/1", {"name": "b"})
    assert "give one" in headrace("log", "tail", tmp_path, "-n", "1", "--from", "end", code=2).stderr


def test_tail_ends_by_itself_once_nobody_reads_it(tmp_path: Path) -> None:
    with log_in(tmp_path) as log:
        log.append([event(1)])
    with running("log", "tail", tmp_path) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        process.stdout.close()
        assert process.wait(30) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""
