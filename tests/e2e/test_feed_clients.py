"""The SDK's iterator and the command line follow the feed; the how-to does what it says."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from headrace.sdk.cli.events import events as command
from headrace.sdk.feed import Event, following
from headrace.sdk.reader import Reader, ReadFailed

if TYPE_CHECKING:
    from tests.e2e.conftest import Server, Trainer

pytestmark = pytest.mark.e2e
HOW_TO = Path(__file__).parents[2] / "docs" / "how-to" / "follow-events.md"


@pytest.fixture
def reader(server: Server) -> Iterator[Reader]:
    """A reader of the server."""
    with httpx.Client(timeout=60) as client:
        yield Reader(server.url, client)


def new_run(server: Server, **fields: Any) -> str:
    created = server.post("/api/2.0/mlflow/runs/create", {"experiment_id": "0", **fields})
    return str(created["run"]["info"]["run_id"])


def test_the_iterator_goes_on_where_it_was_when_the_server_was_killed(
    server: Server, reader: Reader, train: Callable[..., Trainer], tmp_path: Path
) -> None:
    trainer = train("counting", server.url, tmp_path / "side", 0, 10, retry_interval_max_s=0.3, exit_timeout_s=60)
    run_id = trainer.line()
    found: list[Event] = []
    for event in following(reader, "begin", run_ids=[run_id], patience_s=60):
        found.append(event)
        if len(found) in (5, 10):
            server.kill()
            server.start_again()
        if len(found) == 15:
            break
    points = json.loads(trainer.finish(90)[0])["points"]
    found += following(reader, found[-1].cursor, run_ids=[run_id], follow=False)
    assert len({event.position for event in found}) == len(found)
    once = {(x.type, x.writer, x.sequence or x.id): x for x in found}.values()
    assert sum(last["points"] for x in once for last in (x.metrics or {}).values()) == points
    assert found[-1].subject == run_id


def test_the_iterator_begins_when_it_is_made_and_gives_numbers(server: Server, reader: Reader) -> None:
    run_id = new_run(server)
    stream = following(reader, "now", ["metrics.*"], points=True)
    point = {"run_id": run_id, "key": "loss", "value": "NaN", "timestamp": 5, "step": 1}
    server.post("/api/2.0/mlflow/runs/log-metric", point)
    [event] = islice(stream, 1)
    assert event.points is not None
    [logged] = event.points
    assert logged["value"] != logged["value"]
    assert (logged["key"], logged["step"], logged["timestamp_ms"]) == ("loss", 1, 5)


def test_a_wrong_filter_is_told_at_once_and_a_server_that_stays_away_in_the_end(server: Server, reader: Reader) -> None:
    with pytest.raises(ReadFailed, match="has a \\* before its end"):
        following(reader, types=["run.*ed"])
    server.stop()
    with pytest.raises(ReadFailed):
        following(reader, patience_s=0.5)


def run(server: Server, *arguments: str) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "headrace.sdk.cli.main", "--tracking-uri", server.url, "events", *arguments]
    return subprocess.run(words, capture_output=True, text=True, check=False)


def lines(server: Server, *arguments: str) -> list[str]:
    done = run(server, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_the_command_prints_a_line_an_event(server: Server) -> None:
    run_id = new_run(server)
    server.post("/api/2.0/mlflow/experiments/create", {"name": "other"})
    server.post("/api/2.0/mlflow/runs/log-metric", {"run_id": run_id, "key": "a", "value": 0.5, "timestamp": 5})
    [created, logged] = lines(server, "--run", run_id)
    assert created.split("\t")[1:4] == ["runs/0/0", "run.created", run_id]
    assert logged.split("\t")[1:] == ["metrics/0/0", "metrics.logged", run_id, "1 point: a=0.5"]
    [other] = lines(server, "--experiment", "other", "--json")
    told = json.loads(other)
    assert told["data"] == {"name": "other"}
    assert lines(server, "--after", told["cursor"], "--type", "experiment.*") == []
    failed = run(server, "--after", "never")
    assert (failed.returncode, "is no moment" in failed.stderr) == (1, True)


def test_the_command_follows_until_it_is_interrupted(server: Server) -> None:
    words = [sys.executable, "-m", "headrace.sdk.cli.main", "--tracking-uri", server.url]
    following_ = subprocess.Popen(
        [*words, "events", "--follow", "--after", "begin", "--type", "run.created", "--json"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert following_.stdout is not None
    for _ in range(3):
        run_id = new_run(server)
        assert json.loads(following_.stdout.readline())["subject"] == run_id
    following_.send_signal(2)
    following_.communicate(timeout=20)
    assert following_.returncode == 0


def test_the_how_to_runs(tmp_path: Path) -> None:
    environ = {**os.environ, "HEADRACE_SPOOL_DIR": str(tmp_path / "spool"), "HEADRACE_RECORD_ENVIRONMENT": "false"}
    told = []
    for example in re.findall(r"```python\n(.*?)```", HOW_TO.read_text("utf-8"), re.DOTALL):
        done = subprocess.run(
            [sys.executable, "-c", example], cwd=tmp_path, env=environ, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")
        told.append(done.stdout.splitlines())
    first, second = told
    assert any("metrics.logged {'loss': {'points': 2" in line for line in first)
    assert [line.split()[1] for line in second] == ["FINISHED"]
    for line in re.findall(r"^\$ (headrace events.*?)(?:  .*)?$", HOW_TO.read_text("utf-8"), re.MULTILINE):
        command.make_context("headrace events", shlex.split(line)[2:]).close()
