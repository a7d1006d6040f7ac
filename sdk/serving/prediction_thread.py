"""The thread that long predictions run on."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue


class PredictionThread:
    """One thread that does what it is given, in order; a daemon, so that a prediction that hangs holds up no exit."""

    def __init__(self) -> None:
        # Bounded by its user, who gives it the next piece when the last one has ended.
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        threading.Thread(target=self._run, name="headrace-prediction", daemon=True).start()

    def submit(self, work: Callable[[], None]) -> None:
        """Do this next; it must not raise."""
        self._work.put(work)

    def close(self) -> None:
        """End after what was given."""
        self._work.put(None)

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            work()
