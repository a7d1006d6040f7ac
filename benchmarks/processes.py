"""Servers and workers as processes: started on free ports and folders of their own, measured, and stopped."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from benchmarks.client import Connection, get_request
from benchmarks.peers import FASTTRACKML, MLFLOW, installed

ROOT = Path(__file__).parent.parent
START_TIMEOUT_S = 300.0
STOP_TIMEOUT_S = 30.0


def free_port() -> int:
    """A port that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def environ(folder: Path, **changes: str) -> dict[str, str]:
    """This process's environment without what would steer a tracker, its settings and spool below folder."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("HEADRACE_", "MLFLOW_", "FML_", "TRACKIO_"))}
    own = {"HEADRACE_SPOOL_DIR": str(folder / "spool"), "XDG_CONFIG_HOME": str(folder / "config")}
    return {**kept, **own, **changes}


class Server:
    """A server process. name: for tables. ready_s: from exec to the first 200 of /health."""

    def __init__(
        self,
        name: str,
        command: Callable[[int, Path], Sequence[str]],
        folder: Path,
        health: str = "/health",
        **variables: str,
    ) -> None:
        """health: the path that is 200 once it is ready. variables: of its environment."""
        self.name = name
        self._health = health
        self._variables = variables
        self.folder = folder
        self.port = 0
        self.ready_s = 0.0
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def pid(self) -> int:
        """The id of its first process."""
        assert self._process is not None
        return self._process.pid

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> Server:
        """Start it and wait until it is healthy. Raises RuntimeError with its output when it is not."""
        self.port = free_port()
        output = self.folder / "output.txt"
        variables = environ(self.folder, MLFLOW_DISABLE_TELEMETRY="true", DO_NOT_TRACK="true", **self._variables)
        started_s = time.monotonic()
        with output.open("ab") as file:
            self._process = subprocess.Popen(
                list(self._command(self.port, self.folder)), stdout=file, stderr=file, cwd=self.folder,
                env=variables, start_new_session=True,
            )  # fmt: skip
        while not _healthy(self.port, self._health):
            if self._process.poll() is not None or time.monotonic() - started_s > START_TIMEOUT_S:
                self.stop()
                raise RuntimeError(f"{self.name} did not start: {output.read_text(errors='replace')[-1000:]}")
            time.sleep(0.01)
        self.ready_s = time.monotonic() - started_s
        return self

    def stop(self) -> None:
        """SIGTERM to all its processes, then SIGKILL to what is left."""
        if self._process is None:
            return
        group = self._process.pid
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(group, number)
                self._process.wait(STOP_TIMEOUT_S)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                continue
        self._process = None

    def memory(self) -> tuple[float, float]:
        """Resident and proportional memory of all its processes, MB (10⁶ bytes)."""
        assert self._process is not None
        processes = [psutil.Process(self._process.pid)]
        processes += processes[0].children(recursive=True)
        sums = [0, 0]
        for process in processes:
            try:
                lines = Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines()
            except OSError:
                continue
            for line in lines:
                name, _, rest = line.partition(":")
                if name in ("Rss", "Pss"):
                    sums[name == "Pss"] += int(rest.split()[0]) * 1024
        return sums[0] / 1e6, sums[1] / 1e6


class MemoryWatch:
    """Samples a server's memory in a thread. samples: (seconds since the start, RSS, PSS in MB)."""

    def __init__(self, server: Server, interval_s: float = 0.25) -> None:
        self.samples: list[tuple[float, float, float]] = []
        self._server = server
        self._interval_s = interval_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> MemoryWatch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        started_s = time.monotonic()
        while not self._stop.wait(self._interval_s):
            self.samples.append((time.monotonic() - started_s, *self._server.memory()))


def headrace(folder: Path, **variables: str) -> Server:
    """Ours, from this checkout's environment. variables: its settings, as HEADRACE_*."""
    return Server("Headrace", _headrace, folder, **variables)


def mlflow(folder: Path) -> Server:
    """MLflow's own server on SQLite, with one worker for each of two cores. Raises NotInstalled."""
    program = str(installed(MLFLOW) / "mlflow")

    def command(port: int, folder: Path) -> Sequence[str]:
        store, artifacts = f"sqlite:///{folder}/mlflow.db", f"{folder}/artifacts"
        return [
            program, "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "2",
            "--backend-store-uri", store, "--artifacts-destination", artifacts,
        ]  # fmt: skip

    return Server(MLFLOW.title, command, folder)


def fasttrackml(folder: Path) -> Server:
    """FastTrackML on SQLite, its default. Raises NotInstalled."""
    program = str(installed(FASTTRACKML) / "fml")

    def command(port: int, folder: Path) -> Sequence[str]:
        return [
            program, "server", "--listen-address", f"127.0.0.1:{port}", "--log-level", "error",
            "--database-uri", f"sqlite://{folder}/fml.db", "--default-artifact-root", f"{folder}/artifacts",
        ]  # fmt: skip

    return Server(FASTTRACKML.title, command, folder)


def _headrace(port: int, folder: Path) -> Sequence[str]:
    return [sys.executable, "-m", "headrace.api.main", "--port", str(port), "--data-dir", str(folder / "data")]


def _healthy(port: int, path: str) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), 1.0) as connection:
            connection.settimeout(5.0)
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
            return b" 200 " in connection.recv(64)
    except OSError:
        return False


def caught_up(server: Server, timeout_s: float = 600.0) -> float:
    """Wait until our server's views hold all that its log holds; how long that took, seconds."""
    started_s = time.monotonic()
    connection = Connection(server.url)
    request = get_request("/api/headrace/v1/status")
    while time.monotonic() - started_s < timeout_s:
        if all(one["viewed"] >= one["end"] for one in connection.ask_json(request)["partitions"]):
            return time.monotonic() - started_s
        time.sleep(0.1)
    raise RuntimeError("the views did not catch up")


def wait_s(seconds: float) -> None:
    """Let things settle, or a flow stand."""
    time.sleep(seconds)


class Worker:
    """A process that takes its job as JSON, says `ready`, waits for `go`, and answers with one line of JSON."""

    def __init__(self, command: Sequence[str], job: Mapping[str, Any], variables: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            [*command, json.dumps(job)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            cwd=ROOT, env=dict(variables), text=True,
        )  # fmt: skip
        # Read all the time: a pipe that is full would stop the worker.
        self._errors: list[str] = []
        self._reader = threading.Thread(target=self._read_errors, daemon=True)
        self._reader.start()

    def ready(self) -> dict[str, Any]:
        """Wait until it is set up; what it says about itself. Raises RuntimeError when it ends instead."""
        return self._line()

    def go(self) -> None:
        """Let it begin."""
        assert self._process.stdin is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()

    def result(self) -> dict[str, Any]:
        """Wait for its answer and its end."""
        answer = self._line()
        self._process.wait()
        return answer

    def run(self) -> dict[str, Any]:
        """All of it."""
        self.ready()
        self.go()
        return self.result()

    def kill(self) -> None:
        """End it now."""
        self._process.kill()
        self._process.wait()

    def _line(self) -> dict[str, Any]:
        """The next line that is a JSON object; some tools print on stdout too."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("{"):
                answer: dict[str, Any] = json.loads(line)
                return answer
        self._process.wait()
        self._reader.join(5.0)
        raise RuntimeError(f"a worker ended with {self._process.returncode}: {''.join(self._errors)[-1500:]}")

    def _read_errors(self) -> None:
        assert self._process.stderr is not None
        self._errors.extend(self._process.stderr)


def ours(module: str, job: Mapping[str, Any], folder: Path, **variables: str) -> Worker:
    """A worker of `benchmarks.workers` in our own environment."""
    return Worker([sys.executable, "-m", f"benchmarks.workers.{module}"], job, environ(folder, **variables))
