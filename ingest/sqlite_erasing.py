"""Takes the data out of records of the embedded log, in place, so that no file of it holds the bytes any more."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from headrace.ingest.codec import Malformed, decode_envelope, encode_attributes
from headrace.ingest.envelope import Envelope
from headrace.ingest.erasing import Held, left_of
from headrace.ingest.log import LogUnavailable, Partition, Position

_TRY_MS = 100
_PAUSE_S = 0.05
_BUSY_MS = 30_000


class SqliteEraser:
    """Works on a connection of its own, opened at the first use. For one log; for any thread, one at a time."""

    def __init__(self, path: Path, connect: Callable[[], sqlite3.Connection]) -> None:
        """connect: opens the log, so that what it overwrites is gone (`secure_delete`)."""
        self._path = path
        self._connect = connect
        self._lock = threading.Lock()
        self._opened: sqlite3.Connection | None = None

    def held(self, partition: Partition, subjects: Collection[str], first: int, end: int) -> list[Held]:
        """As ErasableLog.held. The keys are in no index: it reads every row in between."""
        found = []
        with self._lock:
            try:
                rows = (
                    self._connection()
                    .execute(
                        f"SELECT offset, key, attributes, length(data) FROM topic_{partition.topic}"
                        " WHERE offset >= ? AND offset < ? AND key IN (SELECT value FROM json_each(?)) ORDER BY offset",
                        (first, end, json.dumps(list(subjects))),
                    )
                    .fetchall()
                )
            except sqlite3.Error as error:
                raise LogUnavailable(f"cannot read the log {self._path}: {error}") from error
        for offset, key, attributes, size in rows:
            try:
                kind = decode_envelope(attributes, b"").type
            except Malformed:
                kind = ""
            found.append(Held(offset, key, kind, size))
        return found

    def erase(self, partition: Partition, offsets: Sequence[int]) -> None:
        """As ErasableLog.erase."""
        with self._lock:
            try:
                connection = self._connection()
                connection.execute("BEGIN IMMEDIATE")
                try:
                    for offset in offsets:
                        self._erase(connection, Position(*partition, offset))
                    connection.execute("COMMIT")
                except BaseException:
                    if connection.in_transaction:
                        connection.execute("ROLLBACK")
                    raise
            except sqlite3.Error as error:
                raise LogUnavailable(f"cannot erase in the log {self._path}: {error}") from error

    def _erase(self, connection: sqlite3.Connection, position: Position) -> None:
        table = f"topic_{position.topic}"
        row = connection.execute(
            f"SELECT timestamp_ms, key, attributes FROM {table} WHERE offset = ?", (position.offset,)
        ).fetchone()
        if row is None:
            return
        timestamp_ms, key, attributes = row
        try:
            envelope = decode_envelope(attributes, b"")
        except Malformed:
            envelope = Envelope("", "", "", key, timestamp_ms, b"")
        left = left_of(position, envelope)
        connection.execute(
            f"UPDATE {table} SET attributes = ?, data = ? WHERE offset = ?",
            (encode_attributes(left), left.data, position.offset),
        )

    def settle(self, timeout_s: float) -> None:
        """As ErasableLog.settle."""
        deadline_s = time.monotonic() + timeout_s
        with self._lock:
            try:
                connection = self._connection()
                # It keeps appends out while it waits for readers, so it waits for a moment only, and asks again.
                connection.execute(f"PRAGMA busy_timeout={_TRY_MS}")
                while connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
                    if time.monotonic() > deadline_s:
                        raise LogUnavailable(
                            f"others read or write the log without a pause, so that {self._path}-wal still holds what"
                            " was erased; try again"
                        )
                    time.sleep(_PAUSE_S)
                connection.execute(f"PRAGMA busy_timeout={_BUSY_MS}")
            except sqlite3.Error as error:
                raise LogUnavailable(f"cannot empty {self._path}-wal: {error}") from error

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            if self._opened is not None:
                self._opened.close()

    def _connection(self) -> sqlite3.Connection:
        if self._opened is None:
            self._opened = self._connect()
        return self._opened
