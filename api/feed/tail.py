"""The newest records, read once for all who follow: a bounded ring that one thread fills while there are readers."""

from __future__ import annotations

import asyncio
import heapq
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import closing

from headrace.api.feed.cursor import rank
from headrace.api.feed.entry import Entry, weight_of
from headrace.ingest.log import Follower, Log, LogError, LogUnavailable, Partition, Record

logger = logging.getLogger("headrace.api")

BATCH_RECORDS = 500
BATCH_BYTES = 256 * 1024
"""What is read at once: what a reader holds while it sends."""
RING_BYTES = 32 * 1024 * 1024
IDLE_S = 30.0
"""How long the log is followed on when the last reader has left: a page that is loaded anew finds it running."""
_POLL_S = 0.2
_LINGER_S = 0.01
"""How long records gather while they come fast."""
_RETRY_S = 1.0
_UNTAKEN_MAX = 8
_ERASED = (".erased", ".record-erased")


class Batch:
    """Entries that came together, and the last offset of each partition among them."""

    __slots__ = ("entries", "last", "weight")

    def __init__(self, entries: list[Entry]) -> None:
        self.entries = entries
        self.last = {entry.partition: entry.record.position.offset for entry in entries}
        self.weight = weight_of(entries)


class Tail:
    """On the event loop, but for its thread. hold() it, and let go()."""

    def __init__(
        self,
        log: Log,
        partitions: Sequence[Partition],
        executor: Executor,
        on_entries: Callable[[Sequence[Entry]], None] = lambda entries: None,
        on_begin: Callable[[], None] = lambda: None,
        *,
        ring_bytes: int = RING_BYTES,
        idle_s: float = IDLE_S,
    ) -> None:
        """on_entries: called with what has come before anybody gets it. on_begin: called when it begins at the log's
        end, whatever has come since it followed last."""
        self._log = log
        self._partitions = partitions
        self._executor = executor
        self._on_entries = on_entries
        self._on_begin = on_begin
        self._ring_bytes = ring_bytes
        self._idle_s = idle_s
        self._holders = 0
        self._starting = asyncio.Lock()
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._batches: dict[int, Batch] = {}
        self._weight = 0
        self._next = 0
        self._news = asyncio.Event()
        self.fault: str | None = None
        self.begins: dict[Partition, int] = {}
        """From here on the ring has every record."""
        self.ends: dict[Partition, int] = {}
        """And up to here."""

    @property
    def place(self) -> int:
        """Behind the newest entries."""
        return self._next

    # --- who reads ----------------------------------------------------------------------------------------------------

    async def hold(self) -> None:
        """Follow the log from its end now, if it is not followed already. Raises LogUnavailable."""
        self._holders += 1
        try:
            async with self._starting:
                if self._thread is None:
                    ends = await asyncio.get_running_loop().run_in_executor(self._executor, self._log.end)
                    self._begin(ends)
                    self._stopping = stopping = threading.Event()
                    args = (asyncio.get_running_loop(), dict(self.begins), stopping)
                    self._thread = threading.Thread(target=self._run, args=args, name="headrace-feed-tail", daemon=True)
                    self._thread.start()
        except BaseException:
            self.let_go()
            raise

    def let_go(self) -> None:
        """One reader less."""
        self._holders -= 1
        if not self._holders:
            asyncio.get_running_loop().call_later(self._idle_s, self._stop_if_idle)

    def join(self, offsets: Mapping[Partition, int]) -> int | None:
        """Where a reader that stands at these offsets goes on in the ring; None when it has to read the log first."""
        if any(offset < self.begins[p] for p, offset in offsets.items()):
            return None
        if all(offset >= self.ends[p] for p, offset in offsets.items()):
            return self._next
        for number, batch in self._batches.items():
            if any(offset >= offsets.get(p, offset + 1) for p, offset in batch.last.items()):
                return number
        return self._next

    def since(self, number: int) -> tuple[list[Entry], int] | None:
        """Some entries from a place in the ring on, and the place behind them; None when the ring has moved past it."""
        if number < self._next and number not in self._batches:
            return None
        entries: list[Entry] = []
        weight = 0
        while number < self._next and len(entries) < BATCH_RECORDS and weight < BATCH_BYTES:
            batch = self._batches[number]
            entries += batch.entries
            weight += batch.weight
            number += 1
        return entries, number

    async def news(self, number: int, timeout_s: float) -> None:
        """Wait until there is something behind this place, or somebody calls wake(), timeout_s at most."""
        if number < self._next:
            return
        try:
            await asyncio.wait_for(self._news.wait(), timeout_s)
        except TimeoutError:
            return

    def wake(self) -> None:
        """Wake all who wait for news."""
        news, self._news = self._news, asyncio.Event()
        news.set()

    def close(self) -> threading.Thread | None:
        """Ask the thread to end; it, to be joined before the log is closed."""
        self._stopping.set()
        thread, self._thread = self._thread, None
        return thread

    def _stop_if_idle(self) -> None:
        if not self._holders and self._thread is not None:
            self.close()
            self._batches.clear()

    # --- from the thread to the loop ----------------------------------------------------------------------------------

    def _begin(self, ends: Mapping[Partition, int]) -> None:
        self._batches.clear()
        self._weight = 0
        # Places go on rising, so that nobody takes an old one for a new one.
        self._next += 1
        self.begins = {p: ends[p] for p in self._partitions}
        self.ends = dict(self.begins)
        self.fault = None
        self._on_begin()

    def _take(self, records: list[Record], stopping: threading.Event, untaken: threading.Semaphore) -> None:
        untaken.release()
        if stopping is not self._stopping or stopping.is_set():
            return
        self.fault = None
        entries = [Entry(record) for record in records]
        self._on_entries(entries)
        batch = Batch(entries)
        self._batches[self._next] = batch
        if erased := {x.record.envelope.subject for x in entries if x.record.envelope.type.endswith(_ERASED)}:
            self._erase(erased)
        self._next += 1
        self._weight += batch.weight
        self.ends |= {p: offset + 1 for p, offset in batch.last.items()}
        while self._weight > self._ring_bytes and len(self._batches) > 1:
            oldest = self._batches.pop(next(iter(self._batches)))
            self._weight -= oldest.weight
            self.begins |= {p: offset + 1 for p, offset in oldest.last.items()}
        self.wake()

    def _erase(self, subjects: set[str]) -> None:
        """Tombstones have come: what these said before is to be read nowhere any more."""
        for batch in self._batches.values():
            for entry in batch.entries:
                envelope = entry.record.envelope
                if envelope.subject in subjects and not envelope.type.endswith(_ERASED):
                    entry.erase()

    def _broken(self, error: LogError, stopping: threading.Event) -> None:
        if stopping is self._stopping and self.fault != str(error):
            self.fault = str(error)
            logger.warning("the feed waits: %s", error)

    def _again(self, ends: Mapping[Partition, int], stopping: threading.Event) -> None:
        if stopping is self._stopping:
            self._begin(ends)
            self.wake()

    # --- the thread ---------------------------------------------------------------------------------------------------

    def _run(self, loop: asyncio.AbstractEventLoop, starts: dict[Partition, int], stopping: threading.Event) -> None:
        try:
            while not stopping.is_set():
                try:
                    with closing(self._log.follow(starts)) as follower:
                        self._follow(loop, follower, stopping)
                except LogError as error:
                    # It cannot be followed from there on, or not be opened: go on where it ends by then.
                    loop.call_soon_threadsafe(self._broken, error, stopping)
                    stopping.wait(_RETRY_S)
                    try:
                        starts = {p: end for p, end in self._log.end().items() if p in starts}
                    except LogError:
                        continue
                    loop.call_soon_threadsafe(self._again, starts, stopping)
        except RuntimeError:
            if not loop.is_closed():
                raise

    def _follow(self, loop: asyncio.AbstractEventLoop, follower: Follower, stopping: threading.Event) -> None:
        """Hand over what comes. Raises LogError when the follower cannot go on."""
        untaken = threading.Semaphore(_UNTAKEN_MAX)
        while not stopping.is_set():
            try:
                records = _gathered(follower)
            except LogUnavailable as error:
                loop.call_soon_threadsafe(self._broken, error, stopping)
                stopping.wait(_RETRY_S)
                continue
            if not records:
                continue
            while not untaken.acquire(timeout=_POLL_S):
                if stopping.is_set():
                    return
            loop.call_soon_threadsafe(self._take, records, stopping, untaken)
            stopping.wait(_LINGER_S)


def _gathered(follower: Follower) -> list[Record]:
    """What is at hand, of all partitions, by the time it was logged; waits a moment for the first."""
    parts: dict[Partition, list[Record]] = {}
    count = size = 0
    deadline_s = time.monotonic() + _POLL_S
    records = follower.poll(BATCH_RECORDS, BATCH_BYTES, _POLL_S)
    while records:
        parts.setdefault(Partition(*records[0].position[:2]), []).extend(records)
        count += len(records)
        size += sum(len(record.envelope.data) for record in records)
        if count >= BATCH_RECORDS or size >= BATCH_BYTES or time.monotonic() > deadline_s:
            break
        try:
            records = follower.poll(BATCH_RECORDS - count, BATCH_BYTES - size, 0)
        except LogError:
            break  # What is here is handed over; the next poll says it again.
    in_turn = [parts[partition] for partition in sorted(parts, key=rank)]
    return list(heapq.merge(*in_turn, key=lambda record: record.timestamp_ms))
