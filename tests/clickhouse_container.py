"""The official ClickHouse server in a container, where an engine for containers answers; with the façade's methods."""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.containers import need_containers

IMAGE = "clickhouse/clickhouse-server:25.8"
START_TIMEOUT_S = 120.0
_PORT = 8123
_CREDENTIALS = {"CLICKHOUSE_USER": "headrace", "CLICKHOUSE_PASSWORD": "headrace"}
_DATABASES = itertools.count(1)


class ClickHouseContainer:
    """A server; one that is started again keeps port and data."""

    def __init__(self, container: Any, port: int) -> None:
        self.port = port
        self._container = container

    def url(self, database: str = "") -> str:
        """A views URL on this server; without a database, one that nobody else has."""
        name = database or f"views_{os.getpid()}_{next(_DATABASES)}"
        return f"clickhouse://headrace:headrace@127.0.0.1:{self.port}/{name}"

    def start(self) -> ClickHouseContainer:
        """Start it and wait until it answers."""
        self._container.start()
        return self._ready()

    def start_again(self) -> ClickHouseContainer:
        """Start it on the same port and data."""
        self._container.get_wrapped_container().start()
        return self._ready()

    def kill(self) -> None:
        """SIGKILL, and wait for the end."""
        self._container.get_wrapped_container().kill()
        self._container.get_wrapped_container().wait()

    def close(self) -> None:
        """End it and remove its data."""
        self._container.stop()

    def _ready(self) -> ClickHouseContainer:
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while True:
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"http://127.0.0.1:{self.port}/ping", timeout=5.0).text == "Ok.\n":
                    return self
            assert time.monotonic() < deadline_s, f"no ClickHouse within {START_TIMEOUT_S:g} s"
            time.sleep(0.1)


@pytest.fixture(scope="session")
def new_clickhouse_container() -> Iterator[Callable[[], ClickHouseContainer]]:
    """Starts servers in containers; skips where none can be."""
    need_containers()
    from testcontainers.core.container import DockerContainer

    started: list[ClickHouseContainer] = []

    def start() -> ClickHouseContainer:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        container = DockerContainer(IMAGE).with_envs(**_CREDENTIALS).with_bind_ports(_PORT, port)
        started.append(ClickHouseContainer(container, port))
        return started[-1].start()

    yield start
    for server in started:
        server.close()


@pytest.fixture(scope="session")
def clickhouse_container(new_clickhouse_container: Callable[[], ClickHouseContainer]) -> ClickHouseContainer:
    """A server for the whole session."""
    return new_clickhouse_container()
