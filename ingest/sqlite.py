"""The embedded log: one SQLite file in WAL mode, one table a topic. Many processes may append and read at once."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Collection, Sequence
from pathlib import Path

from headrace.ingest.appends import Appends
from headrace.ingest.clock import Clock, SystemClock
from headrace.ingest.codec import Malformed, decode_envelope, encode_attributes, unreadable
from headrace.ingest.envelope import Envelope
from headrace.ingest.erasing import Held
from headrace.ingest.log import LogError, LogUnavailable, Offsets, Partition, Position, Record
from headrace.ingest.polling import PollingFollower
from headrace.ingest.sqlite_erasing import SqliteEraser
from headrace.ingest.topics import TOPICS, topic_of

SCHEMA_VERSION = 1
_LOCK_TIMEOUT_S = 30.0
_TAIL_INTERVAL_S = 0.05


class SqliteLog:
    """A log in one file.

    Each append is one transaction with `synchronous=FULL`: when it returns, it is on disk. The one partition of each
    topic is 0 and offsets count from 0 without gaps.
    """

    remote = False

    def __init__(self, path: Path, clock: Clock | None = None) -> None:
        """Open the log at `path`, and make it if there is none. Raises LogError for a file of another kind or version,
        LogUnavailable when it cannot be opened."""
        self._path = path
        self._clock = clock or SystemClock()
        self._write_lock = threading.Lock()
        self._read_lock = threading.Lock()
        self._tail_lock = threading.Lock()
        self._eraser = SqliteEraser(path, self._connect)
        self._tail_version = -1
        self._tail_end: dict[Partition, int] = {}
        self._appends = Appends(_TAIL_INTERVAL_S)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = self._connect()
            self._create()
            self._reader = self._connect()
            self._tail = self._connect()
        except sqlite3.OperationalError as error:
            raise LogUnavailable(f"cannot open the log {path}: {error}") from error
        except sqlite3.DatabaseError as error:
            raise LogError(f"{path} is not a Headrace log: {error}") from error
        except OSError as error:
            raise LogUnavailable(f"cannot open the log {path}: {error}") from error

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path, timeout=_LOCK_TIMEOUT_S, isolation_level=None, check_same_thread=False, cached_statements=64
        )
        _use_wal(connection)
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA wal_autocheckpoint=4000")
        connection.execute("PRAGMA journal_size_limit=67108864")
        # What moves to another page as the file grows leaves no copy behind: what is erased is in one place.
        connection.execute("PRAGMA secure_delete=ON")
        return connection

    def _create(self) -> None:
        if self._is_log():
            return
        self._writer.execute("BEGIN IMMEDIATE")
        try:
            # Once more, under the lock: another process may have made it meanwhile.
            if not self._is_log():
                for name in TOPICS:
                    self._writer.execute(
                        f"CREATE TABLE topic_{name} (offset INTEGER PRIMARY KEY, timestamp_ms INTEGER NOT NULL,"
                        " key TEXT NOT NULL, attributes BLOB NOT NULL, data BLOB NOT NULL)"
                    )
                self._writer.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
            self._writer.execute("COMMIT")
        except BaseException:
            self._writer.execute("ROLLBACK")
            raise

    def _is_log(self) -> bool:
        """Whether the file is a log; False when it is empty. Raises LogError when it is something else."""
        version = self._writer.execute("PRAGMA user_version").fetchone()[0]
        tables = {row[0] for row in self._writer.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if tables and not tables >= {f"topic_{name}" for name in TOPICS}:
            raise LogError(f"{self._path} is not a Headrace log but another SQLite database")
        if version > SCHEMA_VERSION:
            raise LogError(f"{self._path} was written by a newer Headrace (log version {version}); update Headrace")
        return bool(tables)

    def append(self, envelopes: Sequence[Envelope]) -> list[Position]:
        now_ms = self._clock.time_ms()
        return self._write([(topic_of(envelope.type), now_ms, envelope) for envelope in envelopes])

    def restore(self, records: Sequence[Record]) -> list[Position]:
        """As HistoryLog.restore."""
        for record in records:
            if record.position.topic not in TOPICS:
                raise LogError(f"the log has no topic {record.position.topic}")
        return self._write([(record.position.topic, record.timestamp_ms, record.envelope) for record in records])

    def _write(self, entries: Sequence[tuple[str, int, Envelope]]) -> list[Position]:
        """Append envelopes, each with its topic and the time it is logged at, in one transaction."""
        by_topic: dict[str, list[int]] = {}
        for index, (topic, _, _) in enumerate(entries):
            by_topic.setdefault(topic, []).append(index)
        positions: list[Position | None] = [None] * len(entries)
        with self._write_lock:
            try:
                self._writer.execute("BEGIN IMMEDIATE")
                try:
                    for topic, indexes in by_topic.items():
                        first = self._next_offset(self._writer, topic)
                        self._writer.executemany(
                            f"INSERT INTO topic_{topic} VALUES (?, ?, ?, ?, ?)",
                            (
                                (first + i, time_ms, envelope.subject, encode_attributes(envelope), envelope.data)
                                for i, (_, time_ms, envelope) in enumerate(entries[j] for j in indexes)
                            ),
                        )
                        for i, j in enumerate(indexes):
                            positions[j] = Position(topic, 0, first + i)
                    self._writer.execute("COMMIT")
                except BaseException:
                    if self._writer.in_transaction:
                        self._writer.execute("ROLLBACK")
                    raise
            except sqlite3.Error as error:
                raise LogUnavailable(f"cannot append to the log {self._path}: {error}") from error
        self._appends.tell()
        return [position for position in positions if position is not None]

    def read(self, partition: Partition, offset: int, records_max: int, bytes_max: int) -> list[Record]:
        records: list[Record] = []
        size = 0
        if partition.topic not in TOPICS or partition.partition != 0:
            raise LogError(f"the log has no partition {partition.topic}/{partition.partition}")
        with self._read_lock:
            try:
                cursor = self._reader.execute(
                    f"SELECT offset, timestamp_ms, attributes, data FROM topic_{partition.topic}"
                    " WHERE offset >= ? ORDER BY offset LIMIT ?",
                    (offset, records_max),
                )
                for row_offset, timestamp_ms, attributes, data in cursor:
                    position = Position(partition.topic, 0, row_offset)
                    try:
                        envelope = decode_envelope(attributes, data)
                    except Malformed as error:
                        envelope = unreadable(f"{partition.topic}/0/{row_offset}", attributes, data, error)
                    records.append(Record(position, timestamp_ms, envelope))
                    size += len(data) + len(attributes)
                    if size >= bytes_max:
                        break
                cursor.close()
            except sqlite3.Error as error:
                raise LogUnavailable(f"cannot read the log {self._path}: {error}") from error
        return records

    def held(self, partition: Partition, subjects: Collection[str], first: int, end: int) -> list[Held]:
        """As ErasableLog.held."""
        return self._eraser.held(partition, subjects, first, end)

    def erase(self, partition: Partition, offsets: Sequence[int]) -> None:
        """As ErasableLog.erase: in place, and SQLite overwrites what was there."""
        with self._write_lock:
            self._eraser.erase(partition, offsets)

    def settle(self, timeout_s: float) -> None:
        """As ErasableLog.settle: what was overwritten stands in the write-ahead log until that is emptied."""
        self._eraser.settle(timeout_s)

    def partitions(self) -> list[Partition]:
        return [Partition(name, 0) for name in TOPICS]

    def end(self) -> dict[Partition, int]:
        # On a connection of its own, so that asking never waits for a long read. data_version changes when another
        # connection has committed: asking for that is several times cheaper than asking each topic.
        with self._tail_lock:
            try:
                version = self._tail.execute("PRAGMA data_version").fetchone()[0]
                if version != self._tail_version:
                    self._tail_end = {Partition(name, 0): self._next_offset(self._tail, name) for name in TOPICS}
                    self._tail_version = version
            except sqlite3.Error as error:
                raise LogUnavailable(f"cannot read the log {self._path}: {error}") from error
            return self._tail_end.copy()

    def begin(self) -> dict[Partition, int]:
        """As HistoryLog.begin: nothing is ever taken away."""
        return {Partition(name, 0): 0 for name in TOPICS}

    def wait(self, beyond: Offsets, timeout_s: float) -> bool:
        """As the protocol says. Appends of this process wake it at once; those of others are seen within 50 ms."""
        return self._appends.wait(self.end, beyond, timeout_s)

    def follow(self, offsets: Offsets) -> PollingFollower:
        return PollingFollower(self, offsets)

    def close(self) -> None:
        with self._write_lock, self._read_lock, self._tail_lock:
            self._tail.close()
            self._reader.close()
            self._eraser.close()
            self._writer.close()

    @staticmethod
    def _next_offset(connection: sqlite3.Connection, topic: str) -> int:
        last: int | None = connection.execute(f"SELECT max(offset) FROM topic_{topic}").fetchone()[0]
        return 0 if last is None else last + 1


def _use_wal(connection: sqlite3.Connection) -> None:
    """Switch to WAL mode. SQLite does not wait for its lock here, so processes that make a log at once would fail."""
    deadline = time.monotonic() + _LOCK_TIMEOUT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(_TAIL_INTERVAL_S)
