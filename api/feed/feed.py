"""The feed: serves readers from the log, each at its own pace, as server-sent events, as digests or one answer a time.

While nothing is logged a reader costs a coroutine. One that does not read costs what its socket holds and a piece of
BATCH_BYTES, and is ended after a while (`stream.py`). What many read, the newest, is read of the log once (`tail.py`).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from concurrent.futures import ThreadPoolExecutor

from headrace.api.ends import Ends
from headrace.api.feed import cursor, digest, polling, sending, standing
from headrace.api.feed.entry import Entry
from headrace.api.feed.experiments import Experiments, Source
from headrace.api.feed.reader import Next, Reader
from headrace.api.feed.tail import IDLE_S, RING_BYTES, Tail
from headrace.api.feed.wanted import Wanted
from headrace.ingest.log import HistoryLog
from headrace.ingest.moments import Moment
from headrace.processors.views import ViewsUnavailable

READERS_MAX = 400
HEARTBEAT_S = 15.0
_LEARN_S = 0.5
_UNKNOWN_S = 5.0
_REST_S = 0.02
_REST_PER_READER_S = 0.0005


class FeedFull(Exception):
    """There are as many readers as the feed serves, or the server is stopping."""


class Feed:
    """Made and used on the event loop; close() from any thread."""

    def __init__(
        self,
        log: HistoryLog,
        ends: Ends,
        source: Source,
        ask_standing: standing.Ask | None = None,
        *,
        readers_max: int = READERS_MAX,
        heartbeat_s: float = HEARTBEAT_S,
        digest_interval_s: float = digest.INTERVAL_S,
        standing_interval_s: float = standing.INTERVAL_S,
        ring_bytes: int = RING_BYTES,
        idle_s: float = IDLE_S,
    ) -> None:
        """ask_standing: asks how far the views are; None never tells. heartbeat_s: the longest silence."""
        self._log = log
        self._readers_max = readers_max
        # Few: reading and encoding hold the interpreter, which requests need.
        self._executor = ThreadPoolExecutor(2, "headrace-feed")
        self._partitions = cursor.fed(log)
        self._encoding = asyncio.Lock()
        self._unknown_until_s = 0.0
        self._readers = 0
        self.loop = asyncio.get_running_loop()
        self.ends = ends
        self.heartbeat_s = heartbeat_s
        self.digest_interval_s = digest_interval_s
        self.closing = asyncio.Event()
        self.experiments = Experiments(source, log.end, self._executor)
        self._tail = Tail(
            log,
            self._partitions,
            self._executor,
            self.experiments.passed,
            self.experiments.forget,
            ring_bytes=ring_bytes,
            idle_s=idle_s,
        )
        self.standing = standing.Watch(ask_standing, self._tail.wake, standing_interval_s)

    @property
    def readers(self) -> int:
        """How many are served now."""
        return self._readers

    def close(self) -> None:
        """End every stream, so that open pages do not hold up the server's end. Safe in a signal handler."""
        if not self.loop.is_closed():
            self.loop.call_soon_threadsafe(self._end_all)

    async def stop(self) -> None:
        """Let go of the log, which may be closed then."""
        self._end_all()
        thread = self._tail.close()
        self.standing.stop()
        await asyncio.to_thread(self._executor.shutdown, wait=True, cancel_futures=True)
        if thread is not None:
            await asyncio.to_thread(thread.join, 5.0)

    def _end_all(self) -> None:
        self.closing.set()
        self._tail.wake()

    # --- readers ------------------------------------------------------------------------------------------------------

    async def open(self, after: Moment | str, wanted: Wanted) -> Reader:
        """A reader that begins there (as `cursor.parsed` gives it); leave() it.

        Raises FeedFull, BadCursor, LogUnavailable.
        """
        if self.closing.is_set() or self._readers >= self._readers_max:
            raise FeedFull(f"The feed has its {self._readers_max} readers, or the server is stopping; try again later.")
        self._readers += 1
        try:
            await self._tail.hold()
            try:
                starts = await self.loop.run_in_executor(
                    self._executor, cursor.starts, self._log, after, self._partitions
                )
            except BaseException:
                self._tail.let_go()
                raise
        except BaseException:
            self._readers -= 1
            raise
        return Reader(self._log, self._tail, self.ends, self._executor, wanted, starts)

    def leave(self, reader: Reader) -> None:
        """One reader less; the second time nothing."""
        if reader.left:
            return
        reader.left = True
        self._readers -= 1
        self._tail.let_go()

    def events(self, reader: Reader, with_points: bool = False) -> AsyncGenerator[bytes]:
        """Every event that is wanted as a server-sent message, until the end; leaves the reader."""
        return sending.events(self, reader, with_points)

    def digests(self, reader: Reader) -> AsyncGenerator[bytes]:
        """Which runs and experiments have changed, and how far the views are, until the end; leaves the reader."""
        return digest.digests(self, reader)

    async def poll(self, reader: Reader, limit: int, wait_s: float, with_points: bool = False) -> polling.Answer:
        """The next events that are wanted, at most so many; waits wait_s for the first. Leaves the reader.

        Raises LogUnavailable, ViewsUnavailable, BadCursor for what has expired.
        """
        return await polling.poll(self, reader, limit, wait_s, with_points)

    # --- what they have in common -------------------------------------------------------------------------------------

    async def chosen(self, reader: Reader, found: Next) -> Next:
        """Those of the experiments that the reader wants. Raises ViewsUnavailable when only the views know them."""
        ids = reader.wanted.experiment_ids
        if not ids:
            return found
        if found.place is None:
            self.experiments.passed(found.entries)
        await self.experiments.learn(found.entries)
        return Next([x for x in found.entries if self.experiments.is_of(x, ids)], found.offsets, found.place)

    async def learn(self, entries: Sequence[Entry]) -> None:
        """Make known which experiments these are of, if that is known soon; else it is not said."""
        if self.loop.time() < self._unknown_until_s:
            return
        try:
            await self.experiments.learn(entries, _LEARN_S)
        except ViewsUnavailable:
            self._unknown_until_s = self.loop.time() + _UNKNOWN_S

    async def encoded(self, entries: Sequence[Entry], with_points: bool, bytes_max: int) -> list[bytes]:
        """The first of the events as JSON: at least one, until they reach bytes_max. What others have asked for already
        is there; a batch of points may be a hundred times as long as in the log, so no more is made than is sent."""
        if with_points or any(entry.json is None for entry in entries):
            async with self._encoding:
                return await self.loop.run_in_executor(self._executor, self._encode, entries, with_points, bytes_max)
        return self._encode(entries, with_points, bytes_max)

    def _encode(self, entries: Sequence[Entry], with_points: bool, bytes_max: int) -> list[bytes]:
        texts: list[bytes] = []
        size = 0
        for entry in entries:
            texts.append(entry.told(self.experiments.one(entry), with_points))
            size += len(texts[-1])
            if size >= bytes_max:
                break
        return texts

    async def rest(self) -> None:
        """Let what comes come together; the more readers there are, the longer."""
        await self.pause(_REST_S + self._readers * _REST_PER_READER_S)

    async def pause(self, seconds: float) -> None:
        """Rest; the end cuts it short."""
        try:
            await asyncio.wait_for(self.closing.wait(), seconds)
        except TimeoutError:
            return
