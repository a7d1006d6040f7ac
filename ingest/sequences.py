"""Follows the sequences of any number of writers in bounded memory: what is missing, what came twice."""

from __future__ import annotations

import sqlite3
from hashlib import blake2b
from itertools import islice

WRITERS_MAX = 500_000
"""So many (subject, writer) pairs are held in memory, some 120 MB; the others in a temporary file, 30 bytes each."""


class Sequences:
    """The last sequence of each (subject, writer). Those that wrote last are in memory, the others in a file that
    SQLite keeps among the system's temporary files and that goes with the process."""

    def __init__(self, writers_max: int = WRITERS_MAX) -> None:
        self._writers_max = writers_max
        self._last: dict[bytes, int] = {}
        self._file: sqlite3.Connection | None = None
        self.writers = 0

    def note(self, subject: str, writer: str, sequence: int) -> int:
        """How far a sequence is from the one expected: 0 as it should be, n > 0 when n are missing before it, and -1
        when it came before (the writer's place stays as it was)."""
        key = blake2b(f"{subject}\0{writer}".encode("utf-8", "surrogatepass"), digest_size=16).digest()
        last = self._last.pop(key, None)
        if last is None:
            last = self._filed(key)
            if last is None:
                last = 0
                self.writers += 1
        # At the end of the dict: the first ones are those that have not written for longest.
        self._last[key] = max(last, sequence)
        if len(self._last) > self._writers_max:
            self._file_oldest()
        return sequence - last - 1 if sequence > last else -1

    def close(self) -> None:
        """Drop the file."""
        if self._file is not None:
            self._file.close()

    def _filed(self, key: bytes) -> int | None:
        if self._file is None:
            return None
        row = self._file.execute("SELECT sequence FROM last WHERE key = ?", (key,)).fetchone()
        if row is None:
            return None
        self._file.execute("DELETE FROM last WHERE key = ?", (key,))
        return int(row[0])

    def _file_oldest(self) -> None:
        """Move half of the writers into the file, those that have not written for longest."""
        if self._file is None:
            # An empty name is a temporary file.
            self._file = sqlite3.connect("", isolation_level=None)
            self._file.execute("PRAGMA journal_mode=OFF")
            self._file.execute("PRAGMA cache_size=-16384")
            self._file.execute("CREATE TABLE last (key BLOB PRIMARY KEY, sequence INTEGER) WITHOUT ROWID")
        oldest = list(islice(self._last.items(), self._writers_max // 2))
        self._file.execute("BEGIN")
        self._file.executemany("INSERT INTO last VALUES (?, ?)", oldest)
        self._file.execute("COMMIT")
        for key, _ in oldest:
            del self._last[key]
