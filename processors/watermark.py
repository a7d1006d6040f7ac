"""How far a fold or a view has come, and a way to wait for it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future

from headrace.ingest.log import Partition


class Watermark:
    """Offsets to read next, a partition; rising, but for a reset. Any thread may wait, one advances."""

    def __init__(self, offsets: Mapping[Partition, int], on_wanted: Callable[[], None] = lambda: None) -> None:
        """on_wanted: called whenever someone begins to wait."""
        self._lock = threading.Lock()
        self._offsets = dict(offsets)
        self._on_wanted = on_wanted
        self.wanted = threading.Event()
        """Set while anyone waits."""
        self._waiting: list[tuple[Mapping[Partition, int], Future[None]]] = []

    def offsets(self) -> dict[Partition, int]:
        """Where it stands."""
        with self._lock:
            return dict(self._offsets)

    def advance(self, offsets: Mapping[Partition, int]) -> None:
        """Move on, and wake those whose wait is over."""
        with self._lock:
            for partition, offset in offsets.items():
                self._offsets[partition] = max(offset, self._offsets.get(partition, 0))
            over = [future for target, future in self._waiting if self._reached(target)]
            self._waiting = [(t, f) for t, f in self._waiting if not f.done() and not self._reached(t)]
            if not self._waiting:
                self.wanted.clear()
        for future in over:
            if future.set_running_or_notify_cancel():
                future.set_result(None)

    def reset(self, offsets: Mapping[Partition, int]) -> None:
        """Begin again at these offsets, wherever it stood. Who waits already goes on to wait."""
        with self._lock:
            self._offsets.update(offsets)

    def reached(self, target: Mapping[Partition, int]) -> Future[None]:
        """A future that is done when every partition of the target has been reached; cancel it to stop waiting."""
        future: Future[None] = Future()
        with self._lock:
            if self._reached(target):
                future.set_result(None)
            else:
                self._waiting.append((target, future))
                self.wanted.set()
        if not future.done():
            self._on_wanted()
        return future

    def _reached(self, target: Mapping[Partition, int]) -> bool:
        return all(self._offsets.get(partition, 0) >= offset for partition, offset in target.items())
