"""Views on a ClickHouse server, over HTTP."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

import clickhouse_connect
import pyarrow as pa
from clickhouse_connect.driver.httpclient import HttpClient as Client
from headrace.processors.clickhouse_errors import ENGINE_ERRORS, fault, is_passing
from headrace.processors.one_part import ONE_PART, insert_statement
from headrace.processors.view_errors import ViewsUnavailable
from headrace.processors.views_url import ViewsUrl
from urllib3.util import Timeout

READS_AT_ONCE = 8
_SLOT_TIMEOUT_S = 5.0
RETRY_PAUSES_S = (0.05, 0.2, 0.5)
RETRY_S = 3.0
"""No try of a read begins later than this after the first."""
SETTLE_S = 10.0
_SETTLE_PAUSE_S = 0.1

Result = TypeVar("Result")


class ClickHouse:
    """A server, connected to at the first use. Safe to share between threads.

    A read that finds no connection, or loses it, is tried again for a moment. An insert is sent once, whatever
    happens: only its caller can tell whether it has arrived.
    """

    def __init__(self, url: ViewsUrl, query_memory_bytes_max: int) -> None:
        self.url = url
        self.place = f"the database {url.database!r} of ClickHouse at {url.server}"
        self.advice = f"run `headrace views create --views '{url}'`"
        reading = {
            "max_memory_usage": query_memory_bytes_max,
            "max_execution_time": math.ceil(url.read_timeout_s),
            "output_format_arrow_string_as_string": 1,
        }
        writing = {**ONE_PART, "distributed_foreground_insert": 1}
        self._reads = _Lazy(lambda: self._connect(url.read_timeout_s, reading))
        self._writes = _Lazy(lambda: self._connect(url.insert_timeout_s, writing))
        self._slots = threading.BoundedSemaphore(READS_AT_ONCE)

    def rows(self, sql: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
        """The rows of a query."""
        return self._read(lambda client: [tuple(row) for row in client.query(sql, parameters=parameters).result_rows])

    def arrow(self, sql: str, parameters: dict[str, Any]) -> pa.Table:
        """The result of a query as Arrow."""
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
        # command, and not insert_arrow: that sends an insert again after a lost connection, unasked.
        self._call(self._writes, lambda client: client.command(sql, parameters, data=data, settings=settings))

    def settle(self, query_id: str) -> None:
        """Return when no query with this id runs any more; one that runs is ended. Raises ViewsUnavailable."""
        deadline_s = time.monotonic() + SETTLE_S
        while self.rows("SELECT 1 FROM system.processes WHERE query_id = {id:String}", {"id": query_id}):
            if time.monotonic() > deadline_s:
                raise ViewsUnavailable(f"an insert that was given up still runs on {self.url.server}: {query_id}")
            self.command("KILL QUERY WHERE query_id = {id:String} SYNC", {"id": query_id})
            time.sleep(_SETTLE_PAUSE_S)

    def close(self) -> None:
        """Close every connection."""
        self._reads.close()
        self._writes.close()

    def _connect(self, timeout_s: float, settings: dict[str, Any]) -> Client:
        url = self.url
        client: Client = clickhouse_connect.get_client(  # type: ignore[assignment]
            interface="https" if url.secure else "http",
            host=url.host,
            port=url.port,
            username=url.user,
            password=url.password,
            connect_timeout=math.ceil(url.connect_timeout_s),
            send_receive_timeout=math.ceil(timeout_s),
            verify=url.verify,
            ca_cert=url.ca_cert or None,
            settings=settings,
            compress=False,
            query_retries=0,
            client_name="headrace",
            dedicated_pool=True,
            # A session would let in one query at a time.
            autogenerate_session_id=False,
        )
        client.timeout = Timeout(connect=url.connect_timeout_s, read=timeout_s)
        client.http_retries = 0
        client.database = url.database
        return client

    def _read(self, act: Callable[[Client], Result]) -> Result:
        if not self._slots.acquire(timeout=_SLOT_TIMEOUT_S):
            raise ViewsUnavailable(f"no view reader was free for {_SLOT_TIMEOUT_S:g} s")
        try:
            started_s = time.monotonic()
            for pause_s in RETRY_PAUSES_S:
                try:
                    return self._call(self._reads, act)
                except ViewsUnavailable as error:
                    if not is_passing(error.__cause__) or time.monotonic() + pause_s > started_s + RETRY_S:
                        raise
                time.sleep(pause_s)
            return self._call(self._reads, act)
        finally:
            self._slots.release()

    def _call(self, clients: _Lazy, act: Callable[[Client], Result]) -> Result:
        try:
            return act(clients.get())
        except ENGINE_ERRORS as error:
            raise fault(error, self.url) from error


class _Lazy:
    """A client that is made when it is first needed. Those who wait for one that cannot be made fail with it."""

    def __init__(self, connect: Callable[[], Client]) -> None:
        self._connect = connect
        self._client: Client | None = None
        self._lock = threading.Lock()
        self._failed: tuple[float, Exception] | None = None

    def get(self) -> Client:
        """The client."""
        asked_s = time.monotonic()
        with self._lock:
            if self._client is None:
                if self._failed is not None and self._failed[0] >= asked_s:
                    raise self._failed[1]
                try:
                    self._client = self._connect()
                except ENGINE_ERRORS as error:
                    self._failed = (time.monotonic(), error)
                    raise
            return self._client

    def close(self) -> None:
        """Close it, if there is one."""
        with self._lock:
            if self._client is not None:
                self._client.close()
                self._client = None
