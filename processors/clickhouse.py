"""Views on a ClickHouse server, over HTTP."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

import pyarrow as pa
from clickhouse_connect.driver.httpclient import HttpClient
from headrace.processors import schema
from headrace.processors.clickhouse_connection import Connection
from headrace.processors.clickhouse_errors import ENGINE_ERRORS, fault, is_passing
from headrace.processors.large_parameters import in_parts
from headrace.processors.one_part import ONE_PART, insert_statement
from headrace.processors.view_errors import ViewsUnavailable
from headrace.processors.views_url import ViewsUrl

READS_AT_ONCE = 8
_SLOT_TIMEOUT_S = 5.0
_RETRY_PAUSES_S = (0.05, 0.2, 0.5)
_RETRY_S = 3.0
"""No try of a read begins later than this after the first."""
_SETTLE_KILL_S = 1.0
_SETTLE_S = 10.0
_SETTLE_PAUSE_S = 0.05

Result = TypeVar("Result")


class ClickHouse:
    """A server, connected to at the first use. Safe to share between threads.

    A read that finds no connection, or loses it, is tried again for a moment. An insert is sent once, whatever
    happens: only its caller can tell whether it has arrived.
    """

    shared = True

    def __init__(self, url: ViewsUrl, query_memory_bytes_max: int) -> None:
        """Nothing is asked of the server yet: it may be down."""
        self.url = url
        self._query_memory_bytes_max = query_memory_bytes_max
        self.place = f"the database {url.database!r} of ClickHouse at {url.server}"
        self.advice = f"run `headrace views create --views '{url}'`"
        # Distributed tables: stored when the insert returns; and read from the replicas that are written to.
        shards = {"distributed_foreground_insert": 1, "load_balancing": "in_order"} if url.sharded else {}
        reading = {
            "max_memory_usage": query_memory_bytes_max,
            "max_execution_time": math.ceil(url.read_timeout_s),
            "output_format_arrow_string_as_string": 1,
        }
        self._reads = Connection(url, url.read_timeout_s, {**reading, **shards}, READS_AT_ONCE)
        self._writes = Connection(url, url.insert_timeout_s, {**ONE_PART, **shards}, 2)
        self._slots = threading.BoundedSemaphore(READS_AT_ONCE)
        self._failed: tuple[float, ViewsUnavailable] | None = None
        self._processes = "system.processes"
        self._on_cluster = ""
        if url.cluster:
            self._processes = f"clusterAllReplicas({schema.literal(url.cluster)}, system.processes)"
            self._on_cluster = f" ON CLUSTER {schema.literal(url.cluster)}"

    def rows(self, sql: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
        """The rows of a query."""
        sql, parameters = in_parts(sql, parameters)
        return self._read(lambda client: [tuple(row) for row in client.query(sql, parameters=parameters).result_rows])

    def arrow(self, sql: str, parameters: dict[str, Any]) -> pa.Table:
        """The result of a query as Arrow."""
        sql, parameters = in_parts(sql, parameters)
        return self._read(lambda client: client.query_arrow(sql, parameters=parameters, use_strings=True))

    def command(self, sql: str, parameters: dict[str, Any]) -> None:
        """Run a statement; it may arrive twice."""
        self._read(lambda client: client.command(sql, parameters=parameters))

    def define(self, sql: str) -> None:
        """Run a statement that makes or drops a table or a database; the views' own need not be there."""
        self._call(self._writes, lambda client: client.command(sql, use_database=False))

    def insert(self, table: str, rows: pa.Table, guard: str | None, parameters: dict[str, Any], query_id: str) -> None:
        """Insert in one part, in one try."""
        sink = pa.BufferOutputStream()
        with pa.ipc.new_file(sink, rows.schema, options=pa.ipc.IpcWriteOptions(compression="lz4")) as writer:
            writer.write_table(rows)
        data = sink.getvalue().to_pybytes()
        sql = insert_statement(table, rows.column_names, guard) + " FORMAT Arrow"
        settings = {"query_id": query_id} if query_id else {}
        # command: the driver's insert and raw_insert send an insert again after a lost connection, unasked.
        self._call(self._writes, lambda client: client.command(sql, parameters, data=data, settings=settings))

    @property
    def target(self) -> schema.Target:
        """Where the tables are."""
        return self.url.target

    def beside(self, database: str) -> ClickHouse:
        """The same server, with tables of another database."""
        beside = ClickHouse(replace(self.url, database=database), self._query_memory_bytes_max)
        for statement in schema.create_statements(beside.target):
            beside.define(statement)
        return beside

    def running(self, query_ids: str) -> list[str]:
        """The ids that begin so of the queries that run now, on any server of the cluster."""
        sql = f"SELECT DISTINCT query_id FROM {self._processes} WHERE startsWith(query_id, {{prefix:String}})"
        return [row[0] for row in self.rows(sql, {"prefix": query_ids})]

    def kill(self, query_ids: list[str]) -> None:
        """Tell these queries to end; they may take a moment."""
        self.command(f"KILL QUERY{self._on_cluster} WHERE query_id IN {{ids:Array(String)}} ASYNC", {"ids": query_ids})

    def settle(self, query_id: str) -> None:
        """Return when no query with this id runs any more; one that goes on is ended. Raises ViewsUnavailable."""
        started_s = time.monotonic()
        while query_id in self.running(query_id):
            if time.monotonic() > started_s + _SETTLE_S:
                raise ViewsUnavailable(f"an insert that was given up still runs on {self.url.server}: {query_id}")
            if time.monotonic() > started_s + _SETTLE_KILL_S:
                self.kill([query_id])
            time.sleep(_SETTLE_PAUSE_S)

    def close(self) -> None:
        """Close every connection."""
        self._reads.close()
        self._writes.close()

    def _read(self, act: Callable[[HttpClient], Result]) -> Result:
        asked_s = time.monotonic()
        if not self._slots.acquire(timeout=_SLOT_TIMEOUT_S):
            raise ViewsUnavailable(f"no view reader was free for {_SLOT_TIMEOUT_S:g} s")
        try:
            if self._failed is not None and self._failed[0] > asked_s:
                # Who waited for a reader while the server was found to be down does not wait for that once more.
                raise ViewsUnavailable(str(self._failed[1]))
            return self._tried(act)
        finally:
            self._slots.release()

    def _tried(self, act: Callable[[HttpClient], Result]) -> Result:
        started_s = time.monotonic()
        pauses_s = iter(_RETRY_PAUSES_S)
        while True:
            try:
                return self._call(self._reads, act)
            except ViewsUnavailable as error:
                if not is_passing(error.__cause__):
                    raise
                pause_s = next(pauses_s, None)
                if pause_s is None or time.monotonic() + pause_s > started_s + _RETRY_S:
                    self._failed = (time.monotonic(), error)
                    raise
            time.sleep(pause_s)

    def _call(self, connection: Connection, act: Callable[[HttpClient], Result]) -> Result:
        try:
            return act(connection.client())
        except ENGINE_ERRORS as error:
            raise fault(error, self.url) from error
