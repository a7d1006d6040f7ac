"""Waiting for a log: this process's appends wake at once, those of other processes are looked for now and then."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from headrace.ingest.log import Offsets


class Appends:
    """The appends of this process, to one log."""

    def __init__(self, look_interval_s: float) -> None:
        """look_interval_s: how often those who wait look for appends of others."""
        self._look_interval_s = look_interval_s
        self._appended = threading.Condition()
        self._count = 0

    def tell(self) -> None:
        """This process has appended: wake those who wait."""
        with self._appended:
            self._count += 1
            self._appended.notify_all()

    def wait(self, end: Callable[[], Offsets], beyond: Offsets, timeout_s: float) -> bool:
        """As Log.wait. end: asks how far the log goes."""
        deadline_s = time.monotonic() + timeout_s
        while True:
            count = self._count
            if any(offset > beyond.get(partition, 0) for partition, offset in end().items()):
                return True
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                return False
            with self._appended:
                if self._count == count:
                    self._appended.wait(min(left_s, self._look_interval_s))
