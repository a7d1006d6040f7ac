"""From the spool to the target: what one delivery does, and the thread that repeats it while the process lives."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from headrace.sdk.settings import Settings
from headrace.sdk.spool import Chunk, Spool, SpoolPosition
from headrace.sdk.transport import Refused, TooLarge, Transport, Unavailable, shown

logger = logging.getLogger("headrace")


class Delivered(NamedTuple):
    """What one delivery did. refused: frames the target will never take; they are kept in rejected/."""

    events: int
    bytes: int
    refused: int = 0


def deliver(spool: Spool, transport: Transport, end: SpoolPosition, bytes_max: int) -> Delivered:
    """Send the next frames of a spool, at most bytes_max, and acknowledge them. Nothing to send gives zeros.

    Frames the target refuses go to rejected/ and count as done. Raises Unavailable; the same frames are sent then
    again next time, byte for byte.
    """
    start = spool.acked
    try:
        chunk = spool.read(start, end, bytes_max)
        if chunk.lost:
            kept = spool.reject(chunk.end, chunk.lost, "unreadable: cut off by a crash, or damaged on disk")
            logger.warning("%d bytes of the spool cannot be read; they are kept in %s", len(chunk.lost), kept)
        delivered = _send(spool, transport, start, chunk)
        if chunk.end != start:
            spool.acknowledge(chunk.end)
    except OSError as error:
        raise Unavailable(f"the spool {spool.directory}: {error}") from error
    return delivered


def _send(spool: Spool, transport: Transport, start: SpoolPosition, chunk: Chunk) -> Delivered:
    if not chunk.items:
        return Delivered(0, 0)
    try:
        receipt = transport.send(chunk.data, chunk.items)
    except TooLarge as error:
        if len(chunk.items) > 1:
            return _send_halves(spool, transport, start, chunk)
        return _refuse(spool, start, chunk, str(error))
    except Refused as error:
        # One bad frame must not take thousands of good ones with it: find it by halving.
        if len(chunk.items) > 1:
            return _send_halves(spool, transport, start, chunk)
        return _refuse(spool, start, chunk, str(error))
    if receipt.rejected:
        reasons = "\n".join(f"frame {index}: {reason}" for index, reason in receipt.rejected)
        kept = spool.reject(start, chunk.data, reasons)
        logger.warning(
            "the target rejected %d events, they are kept in %s: %s", len(receipt.rejected), kept, reasons[:500]
        )
    return Delivered(len(chunk.items), len(chunk.data), len(receipt.rejected))


def _send_halves(spool: Spool, transport: Transport, start: SpoolPosition, chunk: Chunk) -> Delivered:
    """Each half is sent and acknowledged on its own, so that a failure in the second does not repeat the first."""
    middle_bytes = _frames_length(chunk.data, len(chunk.items) // 2)
    middle = SpoolPosition(chunk.end.segment, chunk.end.offset - len(chunk.data) + middle_bytes)
    first = Chunk(chunk.data[:middle_bytes], chunk.items[: len(chunk.items) // 2], middle)
    second = Chunk(chunk.data[middle_bytes:], chunk.items[len(chunk.items) // 2 :], chunk.end)
    one = _send(spool, transport, start, first)
    spool.acknowledge(middle)
    two = _send(spool, transport, middle, second)
    return Delivered(one.events + two.events, one.bytes + two.bytes, one.refused + two.refused)


def _refuse(spool: Spool, start: SpoolPosition, chunk: Chunk, reason: str) -> Delivered:
    kept = spool.reject(start, chunk.data, reason)
    logger.warning("the target refused an event, it is kept in %s: %s", kept, reason)
    return Delivered(len(chunk.items), len(chunk.data), len(chunk.items))


def _frames_length(data: bytes, frames: int) -> int:
    """The bytes of the first so many frames."""
    offset = 0
    for _ in range(frames):
        offset += 4 + int.from_bytes(data[offset : offset + 4], "little")
    return offset


class Backoff:
    """Pauses that double, with jitter so that a thousand trainers do not come back in the same instant."""

    def __init__(self, interval_min_s: float, interval_max_s: float) -> None:
        self._min_s = interval_min_s
        self._max_s = max(interval_max_s, interval_min_s)
        self._next_s = interval_min_s

    def pause_s(self) -> float:
        """How long to wait now."""
        pause = self._next_s * random.uniform(0.5, 1.0)
        self._next_s = min(self._next_s * 2, self._max_s)
        return pause

    def reset(self) -> None:
        """It worked."""
        self._next_s = self._min_s


class Shipper:
    """The thread that keeps delivering. One request is in flight at a time, so the target sees a writer in order."""

    def __init__(self, spool: Spool, settings: Settings, open_transport: Callable[[], Transport]) -> None:
        self.changed = threading.Condition()
        self.events = 0
        self._spool = spool
        self._settings = settings
        self._open_transport = open_transport
        self._spooled = threading.Event()
        self._stop = threading.Event()
        self._warned_at_s = -1e9
        self._down = False
        self._thread = threading.Thread(target=self._run, name="headrace-shipper", daemon=True)

    def start(self) -> None:
        """Begin to deliver."""
        self._thread.start()

    def spooled(self) -> None:
        """There is something new in the spool."""
        self._spooled.set()

    def wait_for(self, position: SpoolPosition, deadline_s: float) -> bool:
        """Wait until the target has everything before position; deadline_s by time.monotonic()."""
        with self.changed:
            return self.changed.wait_for(lambda: self._spool.acked >= position, max(0.0, deadline_s - time.monotonic()))

    def stop(self, timeout_s: float) -> bool:
        """Ask the thread to end; True when it has."""
        self._stop.set()
        self._spooled.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        backoff = Backoff(self._settings.retry_interval_min_s, self._settings.retry_interval_max_s)
        transport: Transport | None = None
        while not self._stop.is_set():
            self._spooled.clear()
            try:
                transport = transport or self._open_transport()
                delivered = deliver(self._spool, transport, self._spool.end, self._settings.request_bytes_max)
            except Unavailable as error:
                self._report(error)
                self._stop.wait(backoff.pause_s())
                continue
            except Exception:
                logger.exception("the shipper failed unexpectedly; it tries again")
                self._stop.wait(backoff.pause_s())
                continue
            backoff.reset()
            if delivered.events:
                if self._down:
                    self._down = False
                    logger.info("the target %s takes events again", shown(self._settings.tracking_uri))
                with self.changed:
                    self.events += delivered.events
                    self.changed.notify_all()
            elif self._spool.acked >= self._spool.end:
                with self.changed:
                    self.changed.notify_all()
                self._spooled.wait()
            # else: a hole was skipped; go on behind it
        if transport is not None:
            transport.close()

    def _report(self, error: Unavailable) -> None:
        """One warning when the target goes away, then one every five minutes."""
        now_s = time.monotonic()
        if not self._down or now_s - self._warned_at_s > 300:
            self._down = True
            self._warned_at_s = now_s
            logger.warning("%s. Events wait in %s and are sent when it answers.", error, self._spool.directory)
