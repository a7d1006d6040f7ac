"""The view store: ClickHouse through clickhouse-connect; chDB in this process, or a server over HTTP."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any

import clickhouse_connect
import pyarrow as pa
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

_READERS = 4
_READ_TIMEOUT_S = 30.0
_QUERY_MEMORY_BYTES_MAX = 1_500_000_000


class ViewsUnavailable(Exception):
    """The views cannot be read or written now; what was logged is safe in the log."""


class Fenced(Exception):
    """Another process stores these partitions now; nothing was inserted."""


class Views:
    """Tables as schema.sql has them. Safe to share between threads: one client writes, a small pool reads."""

    def __init__(self, connect: Callable[[], Client]) -> None:
        """connect: opens one more client; each is used by one thread at a time. Creates the tables that are missing."""
        self._connect = connect
        self._writer = self._call(connect)
        self._readers: queue.LifoQueue[Client | None] = queue.LifoQueue()
        for _ in range(_READERS):
            self._readers.put(None)
        for statement in statements():
            self._call(partial(self._writer.command, statement))

    def insert(self, table: str, rows: pa.Table, guard: str | None = None, query_id: str = "") -> None:
        """Insert rows as one block, which is all or nothing. From one thread only. Raises ViewsUnavailable."""
        self._call(lambda: self._writer.insert_arrow(table, rows.combine_chunks()))

    def rows(self, sql: str, parameters: dict[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """The rows of a query. parameters: bound by the server as `{name:Type}`. Raises ViewsUnavailable."""
        with self._reader() as client:
            result: list[tuple[Any, ...]] = self._call(
                lambda: client.query(sql, parameters=parameters or {}).result_rows
            )
            return result

    def command(self, sql: str, parameters: dict[str, Any] | None = None) -> None:
        """Run a statement that answers with nothing. May be sent twice. Raises ViewsUnavailable."""
        with self._reader() as client:
            self._call(lambda: client.command(sql, parameters=parameters or {}))

    def arrow(self, sql: str, parameters: dict[str, Any] | None = None) -> pa.Table:
        """The result of a query as Arrow. Raises ViewsUnavailable."""
        with self._reader() as client:
            return self._call(lambda: client.query_arrow(sql, parameters=parameters or {}, use_strings=True))

    def settle(self, query_id: str) -> None:
        """Wait until the insert with this id has ended."""

    def close(self) -> None:
        """Close every client."""
        self._writer.close()
        while not self._readers.empty():
            client = self._readers.get()
            if client is not None:
                client.close()

    @contextmanager
    def _reader(self) -> Iterator[Client]:
        try:
            client = self._readers.get(timeout=_READ_TIMEOUT_S)
        except queue.Empty:
            raise ViewsUnavailable(f"no view reader was free for {_READ_TIMEOUT_S:g} s") from None
        try:
            if client is None:
                client = self._call(self._connect)
            yield client
        except BaseException:
            # A client whose query failed may hold the rest of its answer, and would take it for that of the next.
            if client is not None:
                client.close()
                client = None
            raise
        finally:
            self._readers.put(client)

    @staticmethod
    def _call(act: Callable[[], Any]) -> Any:
        try:
            return act()
        except (ClickHouseError, OSError, ValueError) as error:
            # ValueError: what the driver makes of an answer that the engine broke off in the middle.
            raise ViewsUnavailable(str(error)) from error


def statements() -> list[str]:
    """The statements of schema.sql, each creating one table if it is not there."""
    text = (files("headrace.processors") / "schema.sql").read_text(encoding="utf-8")
    return [part.strip() for part in text.split("\n;\n") if part.strip()]


def embedded(folder: Path) -> Views:
    """Views on chDB in this process, kept in a folder. One process may hold a folder, and one folder a process."""

    def connect() -> Client:
        folder.mkdir(parents=True, exist_ok=True)
        return clickhouse_connect.get_client(
            interface="chdb",
            path=str(folder),
            settings={"max_memory_usage": _QUERY_MEMORY_BYTES_MAX, "output_format_arrow_string_as_string": 1},
        )

    return Views(connect)
