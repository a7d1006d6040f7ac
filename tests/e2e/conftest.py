"""Real processes for the end-to-end tests: servers and trainers that are started, killed, and counted afterwards."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pytest

from tests.browser import browser, page_server, tab  # noqa: F401
from tests.missing import report as missing_here

with contextlib.suppress(ImportError):  # the extra `kafka`
    from tests.e2e.scale_out import cluster, new_cluster  # noqa: F401

TRAINERS = Path(__file__).parent / "trainers"
START_TIMEOUT_S = 60.0


def eventually_of(check: Callable[[], Any], timeout_s: float = 30.0) -> Any:
    """The first true answer of check; fails with the last one when the time is over."""
    deadline_s = time.monotonic() + timeout_s
    while True:
        answer = check()
        if answer:
            return answer
        if time.monotonic() > deadline_s:
            raise AssertionError(f"not within {timeout_s:g} s: {answer!r}")
        time.sleep(0.02)


def _clean_environ(**changes: str) -> dict[str, str]:
    """This process's environment without what would steer a trainer or a server."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("HEADRACE_", "MLFLOW_"))}
    return {**kept, **changes}


class Server:
    """A real server process on a data folder.

    url and pid as it announced them; ready_s: how long its last start took, seconds.
    """

    def __init__(self, data_dir: Path, **settings: Any) -> None:
        """settings: of the server, by name; they travel as HEADRACE_* variables."""
        self.data_dir = data_dir
        self.url = ""
        self.ready_s = 0.0
        self._environ = {f"HEADRACE_{name.upper()}": str(value) for name, value in settings.items()}
        self._output = data_dir.with_name(f"{data_dir.name}.output")
        self.process: subprocess.Popen[bytes] | None = None
        self._client = httpx.Client(timeout=60.0)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.url.rsplit(":", 1)[1])

    @property
    def pid(self) -> int:
        """Of the process that was started last."""
        assert self.process is not None
        return self.process.pid

    @property
    def running(self) -> bool:
        """Whether its process has not ended."""
        return self.process is not None and self.process.poll() is None

    def start(self, port: int = 0) -> Server:
        """Start it and wait until it says that it is ready."""
        command = [sys.executable, "-m", "headrace.api.main", "--data-dir", str(self.data_dir), "--port", str(port)]
        started_s = time.monotonic()
        with self._output.open("ab") as output:
            self.process = subprocess.Popen(command, stdout=output, stderr=output, env=_clean_environ(**self._environ))
        address = eventually_of(self._announced, START_TIMEOUT_S)
        self.ready_s = time.monotonic() - started_s
        self.url = address["url"]
        return self

    def start_again(self) -> Server:
        """Start it on the same folder and port."""
        return self.start(self.port)

    def _announced(self) -> dict[str, Any] | None:
        assert self.process is not None
        assert self.process.poll() is None, self.output()
        with contextlib.suppress(OSError, ValueError):
            told: dict[str, Any] = json.loads((self.data_dir / "server.json").read_text())
            return told if told["pid"] == self.process.pid else None
        return None

    def kill(self) -> None:
        """SIGKILL, and wait for the end."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self, timeout_s: float = 30.0) -> int:
        """SIGTERM, and wait; the exit code."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(timeout_s)

    def output(self) -> str:
        """What all its processes printed."""
        return self._output.read_text(errors="replace")

    def close(self) -> None:
        """End it if it runs."""
        self._client.close()
        if self.process is not None and self.process.poll() is None:
            self.kill()

    # --- reading through HTTP -----------------------------------------------------------------------------------------

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Any request; the answer whatever its status."""
        return self._client.request(method, self.url + path, **options)

    def get(self, path: str, **params: Any) -> Any:
        """A GET's answer, decoded; it must be 200."""
        response = self.request("GET", path, params=params)
        assert response.status_code == 200, response.text
        return response.json()

    def post(self, path: str, body: Any) -> Any:
        """A POST's answer, decoded; it must be 200."""
        response = self.request("POST", path, json=body)
        assert response.status_code == 200, response.text
        return response.json()

    def status(self) -> dict[str, Any]:
        """Positions, faults and counters."""
        found: dict[str, Any] = self.get("/api/headrace/v1/status")
        return found

    def run(self, run_id: str) -> dict[str, Any]:
        """A run as MLflow's REST API has it, with params and tags as dicts."""
        found: dict[str, Any] = self.get("/api/2.0/mlflow/runs/get", run_id=run_id)["run"]
        for part in ("params", "tags"):
            found[part] = {one["key"]: one["value"] for one in found["data"].get(part, [])}
        return found

    def history(self, run_id: str, key: str) -> pa.Table:
        """Every point of a metric: step, timestamp_ms, value."""
        response = self.request("GET", "/api/headrace/v1/metrics/history", params={"run_id": run_id, "key": key})
        assert response.status_code == 200, response.text
        return pa.ipc.open_stream(response.content).read_all()

    def count_whole(self, run_id: str, key: str, count: int | None = None) -> int:
        """Count the points of a metric whose value is its step, from 0 without a gap: each exactly once.

        count: how many there must be. Checked by number, by sum and as a set; returns the number.
        """
        table = self.history(run_id, key)
        steps, values = table.column("step").to_pylist(), table.column("value").to_pylist()
        n = len(steps) if count is None else count
        assert len(steps) == n, (run_id, key, len(steps), n)
        assert set(steps) == set(range(n)), (run_id, key, sorted(set(range(n)) ^ set(steps))[:10])
        assert sum(int(value) for value in values) == n * (n - 1) // 2
        assert steps == [int(value) for value in values]
        return n


@pytest.fixture
def eventually() -> Callable[..., Any]:
    """`eventually(check, timeout_s)`: poll until check() is true, and return what it answered."""
    return eventually_of


@pytest.fixture
def new_server(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Makes servers: `new_server(data_dir, **settings)`; not started. All are ended after the test."""
    made: list[Server] = []

    def make(data_dir: Path | None = None, **settings: Any) -> Server:
        made.append(Server(data_dir or tmp_path / "data", **settings))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def server(new_server: Callable[..., Server]) -> Server:
    """A running server on an empty folder and a free port."""
    return new_server().start()


class Trainer:
    """A trainer's process; what it prints is read line by line, its stderr kept."""

    def __init__(self, script: str, target: str, spool_dir: Path, arguments: tuple[Any, ...], **settings: Any) -> None:
        environ = {f"HEADRACE_{name.upper()}": str(value) for name, value in settings.items()}
        self.started_s = time.monotonic()
        self.process = subprocess.Popen(
            [sys.executable, str(TRAINERS / f"{script}.py"), *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env=_clean_environ(
                HEADRACE_TRACKING_URI=target,
                HEADRACE_SPOOL_DIR=str(spool_dir),
                **{"HEADRACE_RECORD_ENVIRONMENT": "false", **environ},
            ),
        )

    def line(self) -> str:
        """The next line it prints."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.finish(check=False)[1]
        return line.strip()

    def finish(self, timeout_s: float = 60.0, check: bool = True) -> tuple[str, str]:
        """Let it end; the rest of its stdout, and its stderr. check: its exit code must be 0."""
        out, err = self.process.communicate(timeout=timeout_s)
        assert not check or self.process.returncode == 0, (self.process.returncode, err)
        return out, err

    def kill(self) -> float:
        """SIGKILL; returns the moment before it, by time.monotonic()."""
        now_s = time.monotonic()
        self.process.kill()
        return now_s


@pytest.fixture
def train(tmp_path: Path) -> Iterator[Callable[..., Trainer]]:
    """Starts trainers: `train(script, target, *arguments, **settings)`, a script of trainers/; killed at the end."""
    started: list[Trainer] = []

    def start(script: str, target: str, *arguments: Any, spool_dir: Path | None = None, **settings: Any) -> Trainer:
        started.append(Trainer(script, target, spool_dir or tmp_path / "spool", arguments, **settings))
        return started[-1]

    yield start
    for one in started:
        # With all that it forked: a child that hangs would hold its pipes open.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(one.process.pid, signal.SIGKILL)
        one.process.communicate()


@pytest.fixture
def ship() -> Callable[..., Any]:
    """`ship(spool_dir, target="")`: what `headrace sync` does, in a process of its own; returns what it reports."""

    def run(spool_dir: Path, target: str = "") -> Any:
        done = subprocess.run(
            [sys.executable, str(TRAINERS / "shipping.py"), str(spool_dir), target],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            env=_clean_environ(),
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


@pytest.fixture
def missing() -> Callable[[str], None]:
    """`missing(what)`: skip loudly because this machine lacks something; where CI=true that is a failure."""

    return missing_here
