"""Which runs' metrics have changed, one after the other: for those who keep something made of them."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable

CHANGES_MAX = 50_000


class Changes:
    """The latest changes, counted. For any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._run_ids: deque[str] = deque(maxlen=CHANGES_MAX)
        self._count = 0

    def add(self, run_ids: Iterable[str]) -> None:
        """These runs have changed, and readers see them so."""
        with self._lock:
            for run_id in run_ids:
                self._run_ids.append(run_id)
                self._count += 1

    @property
    def count(self) -> int:
        """How many changes there were."""
        return self._count

    def since(self, count: int) -> tuple[int, set[str] | None]:
        """How many changes there were, and the runs that changed after the first `count` of them; None for too many."""
        with self._lock:
            new = self._count - count
            if new > len(self._run_ids):
                return self._count, None
            return self._count, {self._run_ids[-i] for i in range(1, new + 1)}
