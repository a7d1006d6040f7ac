"""Projects: the run exists before the command, the child logs to it, and nothing outlives it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.e2e.conftest import Server

pytestmark = pytest.mark.e2e
pytest.importorskip("chdb")

MLPROJECT = """name: demo
entry_points:
  main:
    parameters:
      rate: {type: float, default: 0.5}
      word: string
    command: "python train.py {rate} \\"{word}\\""
  wait:
    command: "python wait.py"
  parent:
    command: "python parent.py"
"""
TRAIN = """
import os, sys, headrace
with headrace.start_run() as run:
    headrace.log_metric("m", 1.5)
    assert run.info.run_id == os.environ["HEADRACE_PROJECT_RUN_ID"]
print("args", sys.argv[1:])
if sys.argv[2] == "fail":
    sys.exit("it broke")
"""
WAIT = """
import pathlib, subprocess, sys, time, os
inner = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
pathlib.Path("pids").write_text(f"{os.getpid()} {inner.pid}")
time.sleep(600)
"""
PARENT = """
import headrace
headrace.projects.run(".", "wait", env_manager="local")
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with three entry points."""
    folder = tmp_path / "project"
    folder.mkdir()
    for name, text in (("MLproject", MLPROJECT), ("train.py", TRAIN), ("wait.py", WAIT), ("parent.py", PARENT)):
        (folder / name).write_text(text)
    return folder


class Headrace:
    """`headrace run` as a process."""

    def __init__(self, url: str, folder: Path) -> None:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("HEADRACE_", "MLFLOW_"))}
        self._environ = {**kept, "HEADRACE_TRACKING_URI": url, "HEADRACE_SPOOL_DIR": str(folder / "spool")}

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Begin one."""
        command = [sys.executable, "-m", "headrace.sdk.cli.main", "run", *arguments]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, env=self._environ, stdout=pipe, stderr=pipe, text=True)

    def run(self, *arguments: str) -> tuple[int, str, str]:
        """One to its end: exit code, stdout, stderr."""
        process = self.start(*arguments)
        out, err = process.communicate(timeout=120)
        return process.returncode, out, err


@pytest.fixture
def headrace(server: Server, tmp_path: Path) -> Headrace:
    """Talks to the server of this test."""
    return Headrace(server.url, tmp_path)


def runs(server: Server) -> list[dict[str, Any]]:
    found = server.post("/api/2.0/mlflow/runs/search", {"experiment_ids": ["0"]}).get("runs", [])
    return [server.run(one["info"]["run_id"]) for one in found]


def pids_of(project: Path) -> list[int]:
    try:
        return [int(one) for one in (project / "pids").read_text().split()]
    except (OSError, ValueError):
        return []


def alive(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def test_the_child_logs_to_the_run_of_its_project(server: Server, headrace: Headrace, project: Path) -> None:
    word = "a b; $(touch PWNED) \"q\" 'r'"
    code, out, err = headrace.run(str(project), "-P", f"word={word}", "-P", "more=x", "--run-name", "first")
    assert code == 0, err
    (found,) = runs(server)
    assert found["info"]["status"] == "FINISHED"
    assert found["info"]["run_name"] == "first"
    assert found["params"] == {"rate": "0.5", "word": word, "more": "x"}
    assert found["data"]["metrics"][0]["value"] == 1.5
    tags = found["tags"]
    assert (tags["mlflow.source.type"], tags["mlflow.project.entryPoint"]) == ("PROJECT", "main")
    assert (tags["headrace.project.exit_code"], tags["headrace.project.env_manager"]) == ("0", "local")
    assert repr(["0.5", word, "--more", "x"]) in out
    console = server.get(f"/api/headrace/v1/runs/{found['info']['run_id']}/console")
    assert "args" in str(console)
    assert not list(project.rglob("PWNED"))
    asked = {"run_id": found["info"]["run_id"], "path": "project"}
    listed = server.request("GET", "/api/2.0/mlflow/artifacts/list", params=asked).json()
    assert [one["path"] for one in listed["files"]] == ["project/MLproject"]


def test_a_failing_command_gives_its_exit_code_and_last_lines(
    server: Server, headrace: Headrace, project: Path
) -> None:
    code, _, err = headrace.run(str(project), "-P", "word=fail", "--no-conda")
    assert code == 1
    assert "exit code 1" in err
    (found,) = runs(server)
    assert (found["info"]["status"], found["tags"]["headrace.project.exit_code"]) == ("FAILED", "1")


def test_what_is_wrong_before_the_start_leaves_no_run(server: Server, headrace: Headrace, project: Path) -> None:
    for arguments, said in (
        (("-P", "rate=x", "-P", "word=a"), "rate is a float"),
        ((), "needs a value for word"),
        (("-e", "nope"), "there are: main, wait, parent"),
    ):
        code, _, err = headrace.run(str(project), *arguments)
        assert code == 1
        assert said in err
    assert runs(server) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("entry", ["wait", "parent"])
def test_stopping_it_stops_the_command_and_all_below_it(
    server: Server,
    headrace: Headrace,
    project: Path,
    number: signal.Signals,
    entry: str,
    eventually: Callable[..., Any],
) -> None:
    process = headrace.start(str(project), "-e", entry)
    pids = eventually(lambda: pids_of(project))
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode == 128 + number
    eventually(lambda: not any(alive(pid) for pid in pids))
    statuses = [run["info"]["status"] for run in runs(server)]
    assert statuses == ["KILLED"] * (2 if entry == "parent" else 1)
    if entry == "parent":
        child, parent = runs(server)
        assert child["tags"]["mlflow.parentRunId"] == parent["info"]["run_id"]


def test_a_killed_runner_leaves_no_process_and_a_killed_command_fails(
    server: Server, headrace: Headrace, project: Path, eventually: Callable[..., Any]
) -> None:
    process = headrace.start(str(project), "-e", "parent")
    pids = eventually(lambda: pids_of(project))
    process.kill()
    process.communicate()
    eventually(lambda: not any(alive(pid) for pid in pids))
    (project / "pids").unlink()
    process = headrace.start(str(project), "-e", "wait")
    pids = eventually(lambda: pids_of(project))
    started_s = time.monotonic()
    os.kill(pids[0], signal.SIGKILL)
    _, err = process.communicate(timeout=60)
    assert time.monotonic() - started_s < 30
    assert (process.returncode, "SIGKILL" in err) == (137, True)
    eventually(lambda: not alive(pids[1]))
    assert runs(server)[0]["info"]["status"] == "FAILED"
