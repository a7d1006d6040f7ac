"""Follows a log that can be read and waited for: what the embedded logs do."""

from __future__ import annotations

import sys
from collections import deque

from headrace.ingest.log import Log, Offsets, Partition, Record


class PollingFollower:
    """Reads partitions in turn, and waits for the log where none has more."""

    def __init__(self, log: Log, offsets: Offsets) -> None:
        self._log = log
        self._offsets = dict(offsets)
        self._turn: deque[Partition] = deque(sorted(self._offsets))

    def poll(self, records_max: int, bytes_max: int, timeout_s: float) -> list[Record]:
        """As the protocol says."""
        found = self._next(records_max, bytes_max)
        if not found and self._wait(timeout_s):
            found = self._next(records_max, bytes_max)
        return found

    def _next(self, records_max: int, bytes_max: int) -> list[Record]:
        for _ in range(len(self._turn)):
            partition = self._turn[0]
            records = self._log.read(partition, self._offsets[partition], records_max, bytes_max)
            self._turn.rotate(-1)
            if records:
                self._offsets[partition] = records[-1].position.offset + 1
                return records
        return []

    def _wait(self, timeout_s: float) -> bool:
        # Until there is more in these partitions, whatever happens in others.
        return self._log.wait({**dict.fromkeys(self._log.partitions(), sys.maxsize), **self._offsets}, timeout_s)

    def close(self) -> None:
        """Nothing to let go of: the log belongs to who opened it."""
