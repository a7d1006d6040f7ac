"""ClickHouse servers for tests: the façade of clickhouse_facade.py in a process of its own, which tests may kill."""

from __future__ import annotations

import itertools
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).parents[1]
START_TIMEOUT_S = 60.0
_DATABASES = itertools.count(1)


class ClickHouse:
    """A server on 127.0.0.1, its data in a folder; one that is started again keeps port and data."""

    def __init__(self, folder: Path, user: str = "default", password: str = "") -> None:
        self.folder = folder
        self.user = user
        self.password = password
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.process: subprocess.Popen[bytes] | None = None

    def url(self, database: str = "", **options: str) -> str:
        """A views URL on this server; without a database, one that nobody else has. options: of the URL."""
        name = database or f"views_{os.getpid()}_{next(_DATABASES)}"
        user = "" if (self.user, self.password) == ("default", "") else f"{self.user}:{self.password}@"
        query = "&".join(f"{key}={value}" for key, value in options.items())
        return f"clickhouse://{user}127.0.0.1:{self.port}/{name}" + (f"?{query}" if query else "")

    def start(self) -> ClickHouse:
        """Start it and wait until it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        command = [
            sys.executable,
            "-m",
            "tests.clickhouse_facade",
            "--data-dir",
            str(self.folder),
            "--port",
            str(self.port),
        ]
        command += ["--user", self.user, "--password", self.password]
        with (self.folder / "output").open("ab") as output:
            self.process = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=output)
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while not self.answers():
            assert self.process.poll() is None, self.output()
            assert time.monotonic() < deadline_s, f"no ClickHouse within {START_TIMEOUT_S:g} s: {self.output()}"
            time.sleep(0.02)
        return self

    def start_again(self) -> ClickHouse:
        """Start it on the same port and data."""
        return self.start()

    def answers(self) -> bool:
        """Whether it answers a ping."""
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/ping", timeout=5.0).text == "Ok.\n"
        except httpx.TransportError:
            return False

    def kill(self) -> None:
        """SIGKILL, and wait for the end."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """SIGTERM, and wait for the end."""
        assert self.process is not None
        self.process.terminate()
        self.process.wait(timeout=START_TIMEOUT_S)

    def close(self) -> None:
        """End it, however it stands."""
        if self.process is not None and self.process.poll() is None:
            self.kill()

    def output(self) -> str:
        """What it printed."""
        return (self.folder / "output").read_text(errors="replace")


@pytest.fixture(scope="session")
def new_clickhouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., ClickHouse]]:
    """Starts servers: `new_clickhouse(user=..., password=...)`; all are ended with the session."""
    pytest.importorskip("chdb")
    started: list[ClickHouse] = []

    def start(**credentials: str) -> ClickHouse:
        started.append(ClickHouse(tmp_path_factory.mktemp("clickhouse"), **credentials))
        return started[-1].start()

    yield start
    for server in started:
        server.close()


@pytest.fixture(scope="session")
def clickhouse(new_clickhouse: Callable[..., ClickHouse]) -> ClickHouse:
    """A server for the whole session. Tests share it: each takes a url() of its own, and none kills it."""
    return new_clickhouse()
