"""The loop of a fold: records come, are folded, and are asked for again until the views let them be."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from headrace.ingest.log import Follower, LogError, Record
from headrace.processors.store import RETRY_FIRST_S, RETRY_MAX_S, Stopped
from headrace.processors.views import ViewsUnavailable

logger = logging.getLogger("headrace.engine")

RECORDS_MAX = 5_000
READ_BYTES_MAX = 16 * 1024 * 1024
POLL_S = 0.5
TOLD_S = 60.0
"""What it waits for is said once in this time, while it is the same."""


class Following:
    """A thread that folds what a follower brings.

    fault: why it waits or ended, or None. A batch that cannot be folded now is tried again, with growing pauses; the
    fold must not have changed anything when it raises LogError or ViewsUnavailable.
    """

    def __init__(
        self,
        name: str,
        follow: Callable[[], Follower],
        fold: Callable[[list[Record]], None],
        idle: Callable[[], None] = lambda: None,
    ) -> None:
        """follow: opens the follower, on the thread. fold: takes records of one partition. idle: called between."""
        self.fault: str | None = None
        self._name = name
        self._follow = follow
        self._fold = fold
        self._idle = idle
        self._told: dict[str, float] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"headrace-fold-{name}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def end(self) -> None:
        """Ask the thread to end after the batch that is under way."""
        self._stopping.set()

    def join(self, timeout_s: float | None = None) -> bool:
        """Wait for the end of the thread, which end() was called for; whether it has ended."""
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        follower: Follower | None = None
        records: list[Record] = []
        retry_s = RETRY_FIRST_S
        try:
            while not self._stopping.is_set():
                try:
                    follower = follower or self._follow()
                    records = records or follower.poll(RECORDS_MAX, READ_BYTES_MAX, POLL_S)
                    if records:
                        self._fold(records)
                    records = []
                    self.fault, retry_s = None, RETRY_FIRST_S
                    self._idle()
                except Stopped:
                    return
                except (LogError, ViewsUnavailable) as error:
                    self.fault = str(error)
                    self._tell(self.fault)
                    self._stopping.wait(retry_s)
                    retry_s = min(retry_s * 2, RETRY_MAX_S)
                except Exception:
                    # A fault of ours: say so and stand still rather than skip what was logged.
                    logger.exception("folding %s ended; it stands still until a restart", self._name)
                    self.fault = "a fold ended by an error of its own; the server's output has more"
                    return
        finally:
            if follower is not None:
                follower.close()

    def _tell(self, fault: str) -> None:
        now_s = time.monotonic()
        self._told = {told: at_s for told, at_s in self._told.items() if now_s < at_s + TOLD_S}
        if fault not in self._told:
            self._told[fault] = now_s
            logger.warning("folding %s waits: %s", self._name, fault)
