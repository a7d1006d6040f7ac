"""Views in chDB: ClickHouse in this process, its tables in a folder."""

from __future__ import annotations

import queue
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import clickhouse_connect
import pyarrow as pa
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError
from headrace.processors import schema
from headrace.processors.one_part import ONE_PART, insert_statement
from headrace.processors.view_errors import ViewsUnavailable

DATABASE = "default"
_READERS = 4
_READ_TIMEOUT_S = 30.0


class Chdb:
    """An engine in this process: one client writes, a small pool reads. Creates the tables that are missing."""

    shared = False

    def __init__(self, folder: Path, query_memory_bytes_max: int, database: str = DATABASE) -> None:
        """Raises ViewsUnavailable where the folder cannot be used."""
        self.target = schema.Target(database)
        self.place = str(folder)
        self.advice = "remove the folder, and the server makes the views anew from the log"
        self._folder = folder
        self._query_memory_bytes_max = query_memory_bytes_max
        self._settings = {
            "max_memory_usage": query_memory_bytes_max,
            "output_format_arrow_string_as_string": 1,
        }
        if database != DATABASE:
            self.define(f"CREATE DATABASE IF NOT EXISTS {schema.quoted(database)}")
        self._writer = self._call(partial(self._connect, settings=ONE_PART))
        self._readers: queue.LifoQueue[Client | None] = queue.LifoQueue()
        for _ in range(_READERS):
            self._readers.put(None)
        for statement in schema.statements():
            self._call(partial(self._writer.command, statement))

    def rows(self, sql: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
        """The rows of a query."""
        with self._reader() as client:
            result: list[tuple[Any, ...]] = self._call(lambda: client.query(sql, parameters=parameters).result_rows)
            return result

    def arrow(self, sql: str, parameters: dict[str, Any]) -> pa.Table:
        """The result of a query as Arrow."""
        with self._reader() as client:
            return self._call(lambda: client.query_arrow(sql, parameters=parameters, use_strings=True))

    def command(self, sql: str, parameters: dict[str, Any]) -> None:
        """Run a statement."""
        with self._reader() as client:
            self._call(lambda: client.command(sql, parameters=parameters))

    def define(self, sql: str) -> None:
        """Run a statement about tables or databases; the views' own need not be there."""
        client = self._call(partial(self._connect, DATABASE))
        try:
            self._call(lambda: client.command(sql))
        finally:
            client.close()

    def beside(self, database: str) -> Chdb:
        """The same folder's engine, with tables of another database."""
        return Chdb(self._folder, self._query_memory_bytes_max, database)

    def insert(self, table: str, rows: pa.Table, guard: str | None, parameters: dict[str, Any], query_id: str) -> None:
        """Insert in one part. chDB has no query ids: an insert here ends before its caller does."""
        if guard is None:
            self._call(lambda: self._writer.insert_arrow(table, rows))
            return
        with tempfile.NamedTemporaryFile(suffix=".arrow") as file:
            with pa.ipc.new_file(file.name, rows.schema) as sink:
                sink.write_table(rows)
            source = f"file({schema.literal(file.name)}, 'Arrow', {{}})"
            sql = insert_statement(table, rows.column_names, guard, source)
            self._call(lambda: self._writer.command(sql, parameters=parameters))

    def settle(self, query_id: str) -> None:
        """Nothing: no insert outlives its call."""

    def running(self, query_ids: str) -> list[str]:
        """None: chDB's queries have no ids of ours."""
        return []

    def kill(self, query_ids: list[str]) -> None:
        """Nothing, for the same reason."""

    def close(self) -> None:
        """Close every client."""
        self._writer.close()
        while not self._readers.empty():
            client = self._readers.get()
            if client is not None:
                client.close()

    def _connect(self, database: str = "", settings: dict[str, Any] | None = None) -> Client:
        self._folder.mkdir(parents=True, exist_ok=True)
        return clickhouse_connect.get_client(
            interface="chdb",
            path=str(self._folder),
            database=database or self.target.database,
            settings={**self._settings, **(settings or {})},
        )

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
            raise ViewsUnavailable(str(error), getattr(error, "code", None)) from error
