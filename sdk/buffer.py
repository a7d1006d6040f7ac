"""What log calls append to: a bounded queue in memory that no caller ever waits for."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

logger = logging.getLogger("headrace")

EVENT, POINT, ARTIFACT, FLUSH = range(4)
"""What an entry that is not a plain point carries; its third field."""

Entry = tuple[str, str | None, int, int, Any]
"""A plain point is (run id, key, step, timestamp_ms, value); anything else (subject, None, kind, timestamp_ms, what).

One shape for both keeps one order for each run, and lets the encoder turn a chunk into columns in C.
"""

EVENTS_MAX = 100_000
"""How many entries that are no points fit on top of a buffer full of points: a run's end must not be lost to them."""


YIELD_EVERY = 5_000
YIELD_MIN_S = 0.005
YIELD_MORE_S = 0.1
"""How often, and for how long at least and how much more at most, a call waits when the buffer is over half full."""


class Buffer:
    """A queue of entries with one consumer.

    The fast path of a log call is `buffer.entries.append(entry)` after `len(buffer.entries) >= buffer.limit` was
    false; otherwise it asks `admit()` first. `deque.append` and `popleft` are atomic, so there is no lock to wait for.
    limit stands at 0 until the pipeline runs (so that the first entry starts it), at `wake_at` while it keeps up, and
    higher between waking the consumer and its next drain.

    A program that does nothing but log makes points faster than one interpreter can write them down beside it. Rather
    than lose them, from a buffer that is half full one call in YIELD_EVERY gives the consumer a moment; `moving` says
    that it can use one. When it cannot (the spool refuses), nobody waits, and what does not fit is dropped and counted.
    """

    __slots__ = (
        "_lock",
        "_on_first",
        "_started",
        "_wake_at",
        "_yield_at",
        "dropped",
        "entries",
        "limit",
        "moving",
        "points_max",
        "wake",
    )

    def __init__(self, points_max: int, wake_at: int, on_first: Callable[[], None]) -> None:
        self.entries: deque[Entry] = deque()
        self.limit = 0
        self.points_max = points_max
        self.dropped = 0
        self.wake = threading.Event()
        self.moving = True
        self._wake_at = min(wake_at, points_max)
        self._yield_at = max(self._wake_at, points_max // 2)
        self._on_first = on_first
        self._started = False
        self._lock = threading.Lock()

    def started(self) -> None:
        """The consumer runs: appends need not start it."""
        self._started = True
        self.limit = self._wake_at

    def admit(self) -> bool:
        """Whether one more point fits; starts or wakes the consumer where needed."""
        if not self._started:
            self._on_first()
        waiting = len(self.entries)
        if waiting < self.points_max:
            if waiting >= self._wake_at:
                self.limit = self._yield_at
                self.wake.set()
            if waiting >= self._yield_at:
                self.limit = min(waiting + YIELD_EVERY, self.points_max)
                if self.moving:
                    fill = (waiting - self._yield_at) / (self.points_max - self._yield_at)
                    time.sleep(YIELD_MIN_S + YIELD_MORE_S * fill * fill)
            return True
        self._drop()
        return False

    def put(self, subject: str, kind: int, timestamp_ms: int, what: Any) -> bool:
        """Append what is not a plain point; False when there is no room even for that."""
        if not self._started:
            self._on_first()
        if len(self.entries) >= self.points_max + EVENTS_MAX:
            self._drop()
            return False
        self.entries.append((subject, None, kind, timestamp_ms, what))
        return True

    def drain(self, entries_max: int) -> list[Entry]:
        """Take the oldest entries out; for the one consumer."""
        popleft = self.entries.popleft
        taken = [popleft() for _ in range(min(entries_max, len(self.entries)))]
        self.limit = self._wake_at
        return taken

    def _drop(self) -> None:
        with self._lock:
            self.dropped += 1
            first = self.dropped == 1
        if first:
            logger.warning(
                "the buffer of %d points is full because the spool cannot take more; new points are dropped"
                " and counted until it can",
                self.points_max,
            )
