"""The feed: serves readers from the log, each at its own pace, as server-sent events, as digests or one answer a time.

While nothing is logged a reader costs a coroutine. One that does not read costs what its socket holds and a piece of
BATCH_BYTES, and is ended after a while (`stream.py`). What many read, the newest, is read of the log once (`tail.py`).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import msgspec
from headrace.api.ends import Ends
from headrace.api.feed import cursor
from headrace.api.feed.digest import Digest, Standing
from headrace.api.feed.entry import Entry
from headrace.api.feed.experiments import Experiments, Source
from headrace.api.feed.reader import Next, Reader
from headrace.api.feed.tail import IDLE_S, RING_BYTES, Tail
from headrace.api.feed.wanted import Wanted
from headrace.ingest.log import HistoryLog, LogError, LogUnavailable
from headrace.ingest.moments import Moment
from headrace.ingest.topics import REGISTRY
from headrace.processors.views import ViewsUnavailable

READERS_MAX = 400
HEARTBEAT_S = 15.0
DIGEST_INTERVAL_S = 0.2
"""The shortest time between two messages of a digest."""
STANDING_INTERVAL_S = 1.0
"""How often it is looked how far the views are behind the log, while a page wants to know."""
DIGEST_RECORDS_MAX = 50_000
"""A digest that begins further back than this says that all may have changed."""
POLL_BYTES = 4 * 1024 * 1024
CHUNK_BYTES = 32 * 1024
"""So much is handed to a connection at once."""
_SCAN_S = 5.0
"""How long one answer looks for events that are wanted, if it was not told to wait longer."""
_RETRY_S = 1.0
_LEARN_S = 0.5
_UNKNOWN_S = 5.0
_REST_S = 0.02
_REST_PER_READER_S = 0.0005
_TAIL_LATE_S = 2.0


class FeedFull(Exception):
    """There are as many readers as the feed serves, or the server is stopping."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer of a long poll. events: JSON texts. after and next: where it began, and where to go on. caught_up:
    whether it came to where the log ended when it was asked."""

    events: list[bytes]
    after: str
    next: str
    caught_up: bool

    def json(self) -> bytes:
        """All of it."""
        caught_up = b"true" if self.caught_up else b"false"
        return b'{"events":[%b],"after":"%b","next":"%b","caught_up":%b}' % (
            b",".join(self.events),
            self.after.encode(),
            self.next.encode(),
            caught_up,
        )


class Feed:
    """Made and used on the event loop; close() from any thread."""

    def __init__(
        self,
        log: HistoryLog,
        ends: Ends,
        source: Source,
        standing: Callable[[], Awaitable[Standing]] | None = None,
        *,
        readers_max: int = READERS_MAX,
        heartbeat_s: float = HEARTBEAT_S,
        digest_interval_s: float = DIGEST_INTERVAL_S,
        standing_interval_s: float = STANDING_INTERVAL_S,
        ring_bytes: int = RING_BYTES,
        idle_s: float = IDLE_S,
    ) -> None:
        """standing: asks how far the views are; None never tells. heartbeat_s: the longest silence."""
        self._log = log
        self._ends = ends
        self._readers_max = readers_max
        self._heartbeat_s = heartbeat_s
        self._digest_interval_s = digest_interval_s
        self._standing_interval_s = standing_interval_s
        self._ask_standing = standing
        self._standing: Standing | None = None
        self._standing_wanted = 0
        self._watching: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()
        # Few: reading and encoding hold the interpreter, which requests need.
        self._executor = ThreadPoolExecutor(2, "headrace-feed")
        self._experiments = Experiments(source, log.end, self._executor)
        self._partitions = cursor.fed(log)
        self._tail = Tail(
            log,
            self._partitions,
            self._executor,
            self._experiments.passed,
            self._experiments.forget,
            ring_bytes=ring_bytes,
            idle_s=idle_s,
        )
        self._encoding = asyncio.Lock()
        self._unknown_until_s = 0.0
        self._readers = 0
        self.closing = asyncio.Event()

    @property
    def readers(self) -> int:
        """How many are served now."""
        return self._readers

    def close(self) -> None:
        """End every stream, so that open pages do not hold up the server's end. Safe in a signal handler."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._end_all)

    async def stop(self) -> None:
        """Let go of the log, which may be closed then."""
        self._end_all()
        thread = self._tail.close()
        if self._watching is not None:
            self._watching.cancel()
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
                starts = await self._loop.run_in_executor(
                    self._executor, cursor.starts, self._log, after, self._partitions
                )
            except BaseException:
                self._tail.let_go()
                raise
        except BaseException:
            self._readers -= 1
            raise
        return Reader(self._log, self._tail, self._ends, self._executor, wanted, starts)

    def leave(self, reader: Reader) -> None:
        """One reader less; the second time nothing."""
        if reader.left:
            return
        reader.left = True
        self._readers -= 1
        self._tail.let_go()

    # --- as server-sent events ----------------------------------------------------------------------------------------

    async def events(self, reader: Reader, with_points: bool = False) -> AsyncGenerator[bytes]:
        """Every event that is wanted as a message, from the reader's place on, until the end; leaves the reader.

        Each has the cursor behind it as its id. In a silence a heartbeat has one, too.
        """
        try:
            yield _hello(reader)
            told_s = self._loop.time()
            while not self.closing.is_set():
                found = await self._next(reader, self._heartbeat_s)
                if isinstance(found, Exception):
                    yield _ended(str(found))
                    return
                if found is not None:
                    async for chunk in self._chunks(reader, found, with_points):
                        yield chunk
                        told_s = self._loop.time()
                if self._loop.time() - told_s >= self._heartbeat_s:
                    yield _heartbeat(reader)
                    told_s = self._loop.time()
                if found is not None and found.entries and reader.live:
                    await self._pause(_REST_S + self._readers * _REST_PER_READER_S)
        finally:
            self.leave(reader)

    async def _next(self, reader: Reader, timeout_s: float) -> Next | Exception | None:
        """What comes next and is wanted; None when that cannot be told now; an error ends the reader."""
        try:
            found = await reader.next(timeout_s)
            if reader.wanted.experiment_ids:
                found = await self._of_experiments(reader, found)
        except (LogUnavailable, ViewsUnavailable):
            await self._pause(_RETRY_S)
            return None
        except LogError as error:
            return error
        if not found.entries and not reader.live and found.offsets.items() <= reader.offsets.items():
            await self._pause(_RETRY_S)  # The log ends before where it was said to end.
        return found

    async def _of_experiments(self, reader: Reader, found: Next) -> Next:
        if found.place is None:
            self._experiments.passed(found.entries)
        await self._experiments.learn(found.entries)
        ids = reader.wanted.experiment_ids
        return Next([x for x in found.entries if self._experiments.is_of(x, ids)], found.offsets, found.place)

    async def _chunks(self, reader: Reader, found: Next, with_points: bool) -> AsyncGenerator[bytes]:
        entries = found.entries
        await self._learn(entries)
        while entries:
            chunk: list[bytes] = []
            texts = await self._encoded(entries, with_points, CHUNK_BYTES)
            for entry, text in zip(entries, texts, strict=False):
                reader.pass_on(entry)
                chunk.append(b"id: %b\ndata: %b\n\n" % (reader.cursor.encode(), text))
            entries = entries[len(texts) :]
            yield b"".join(chunk)
        reader.moved(found)

    async def _learn(self, entries: Sequence[Entry]) -> None:
        """Make known which experiments these are of, if that is known soon; else it is not said."""
        if self._loop.time() < self._unknown_until_s:
            return
        try:
            await self._experiments.learn(entries, _LEARN_S)
        except ViewsUnavailable:
            self._unknown_until_s = self._loop.time() + _UNKNOWN_S

    async def _encoded(self, entries: Sequence[Entry], with_points: bool, bytes_max: int) -> list[bytes]:
        """The first of the events as JSON: at least one, until they reach bytes_max. What others have asked for already
        is there; a batch of points may be a hundred times as long as in the log, so no more is made than is sent."""
        if with_points or any(entry.json is None for entry in entries):
            async with self._encoding:
                return await self._loop.run_in_executor(self._executor, self._encode, entries, with_points, bytes_max)
        return self._encode(entries, with_points, bytes_max)

    def _encode(self, entries: Sequence[Entry], with_points: bool, bytes_max: int) -> list[bytes]:
        texts: list[bytes] = []
        size = 0
        for entry in entries:
            texts.append(entry.told(self._experiments.one(entry), with_points))
            size += len(texts[-1])
            if size >= bytes_max:
                break
        return texts

    # --- as digests ---------------------------------------------------------------------------------------------------

    async def digests(self, reader: Reader) -> AsyncGenerator[bytes]:
        """Which runs and experiments have changed, and how far the views are; leaves the reader at the end.

        Experiments that are wanted say which runs to tell; of experiments themselves, all are told.
        """
        digest = Digest()
        standing: Standing | None = None
        self._want_standing(+1)
        try:
            if await self._is_far_back(reader):
                digest.add_all()
            yield _hello(reader)
            told_s = self._loop.time()
            while not self.closing.is_set():
                error = await self._gather_all(reader, digest, standing)
                if error is not None:
                    yield _ended(str(error))
                    return
                message = b""
                if self._standing is not None and self._standing != standing:
                    standing = self._standing
                    message += b"event: views\ndata: %b\n\n" % msgspec.json.encode(standing)
                if digest:
                    message += b"event: changed\nid: %b\ndata: %b\n\n" % (reader.cursor.encode(), digest.taken())
                elif not message and self._loop.time() - told_s >= self._heartbeat_s:
                    message = _heartbeat(reader)
                if message:
                    yield message
                    told_s = self._loop.time()
                    await self._pause(self._digest_interval_s)
        finally:
            self._want_standing(-1)
            self.leave(reader)

    async def _gather_all(self, reader: Reader, digest: Digest, told: Standing | None) -> Exception | None:
        """Take all that is at hand into a digest, for a moment at most, once there is something; an error ends the
        reader. told: how far the views are, as the reader knows it; returns where that has changed, too."""
        until_s = self._loop.time() + self._digest_interval_s
        while not self.closing.is_set():
            if self._standing != told and self._standing is not None and not reader.has_more:
                return None
            if digest and (not reader.has_more or self._loop.time() > until_s):
                return None
            error = await self._gather(reader, digest)
            if error is not None:
                return error
            if not digest and self._loop.time() > until_s + self._heartbeat_s:
                return None
        return None

    async def _gather(self, reader: Reader, digest: Digest) -> Exception | None:
        """Take what comes next into a digest; an error ends the reader."""
        try:
            found = await reader.next(0 if digest else self._heartbeat_s)
        except (LogUnavailable, ViewsUnavailable):
            await self._pause(_RETRY_S)
            return None
        except LogError as error:
            return error
        ids = reader.wanted.experiment_ids
        if found.place is None:
            self._experiments.passed(found.entries)
        try:
            if ids:
                await self._experiments.learn(found.entries)
        except ViewsUnavailable:
            if found.entries:
                digest.add_all()
        else:
            for entry in found.entries:
                of = self._experiments.one(entry)
                registry = entry.record.position.topic == REGISTRY
                lost = entry.moved_to and not entry.moved_from
                if not ids or registry or lost or self._experiments.is_of(entry, ids):
                    digest.add(entry, of)
        reader.moved(found)
        return None

    async def _is_far_back(self, reader: Reader) -> bool:
        try:
            if await reader.ahead() <= DIGEST_RECORDS_MAX:
                return False
            await reader.leap()
        except LogUnavailable:
            return False
        return True

    def _want_standing(self, change: int) -> None:
        self._standing_wanted += change
        if self._standing_wanted and self._watching is None and self._ask_standing is not None:
            self._watching = asyncio.create_task(self._watch(self._ask_standing))

    async def _watch(self, ask: Callable[[], Awaitable[Standing]]) -> None:
        try:
            while self._standing_wanted and not self.closing.is_set():
                try:
                    standing = await ask()
                except LogUnavailable as error:
                    standing = Standing(self._standing.behind if self._standing else 0, str(error))
                if standing != self._standing:
                    self._standing = standing
                    self._tail.wake()
                await self._pause(self._standing_interval_s)
        finally:
            self._watching = None
            self._standing = None

    # --- one answer at a time -----------------------------------------------------------------------------------------

    async def poll(self, reader: Reader, limit: int, wait_s: float, with_points: bool = False) -> Answer:
        """The next events that are wanted, at most so many; waits wait_s for the first. Leaves the reader.

        Raises LogUnavailable, ViewsUnavailable, BadCursor for what has expired.
        """
        try:
            after = reader.cursor
            ends = await self._ends.now()
            now_s = self._loop.time()
            deadline_s, scanned_s = now_s + wait_s, now_s + max(wait_s, _SCAN_S)
            events: list[bytes] = []
            late = False
            while not self.closing.is_set():
                caught_up = reader.at(ends)
                left_s = deadline_s - self._loop.time()
                if (caught_up and (events or left_s <= 0)) or self._loop.time() >= scanned_s:
                    break
                found = await self._step(reader, left_s if caught_up else _TAIL_LATE_S, late)
                late = not caught_up and found.place is not None and not found.entries and not reader.at(ends)
                if await self._add(reader, found, events, limit, with_points):
                    break
            return Answer(events, after, reader.cursor, reader.at(ends))
        finally:
            self.leave(reader)

    async def _step(self, reader: Reader, timeout_s: float, from_log: bool) -> Next:
        try:
            found = await reader.next(timeout_s, from_log=from_log)
        except LogError as error:
            if type(error) is LogError:
                raise cursor.BadCursor(str(error)) from error
            raise
        return await self._of_experiments(reader, found) if reader.wanted.experiment_ids else found

    async def _add(self, reader: Reader, found: Next, events: list[bytes], limit: int, with_points: bool) -> bool:
        """Take entries over; whether the answer is full."""
        size = sum(map(len, events))
        entries = found.entries
        await self._learn(entries)
        while entries:
            for text in await self._encoded(entries[: limit - len(events)], with_points, CHUNK_BYTES):
                if len(events) >= limit or (events and size + len(text) > POLL_BYTES):
                    return True
                events.append(text)
                size += len(text)
                reader.pass_on(entries[0])
                entries = entries[1:]
            if len(events) >= limit and entries:
                return True
        reader.moved(found)
        return len(events) >= limit

    async def _pause(self, seconds: float) -> None:
        """Rest; the end cuts it short."""
        try:
            await asyncio.wait_for(self.closing.wait(), seconds)
        except TimeoutError:
            return


def _hello(reader: Reader) -> bytes:
    return b"retry: 1000\nid: %b\n: connected\n\n" % reader.cursor.encode()


def _heartbeat(reader: Reader) -> bytes:
    return b"id: %b\n: heartbeat\n\n" % reader.cursor.encode()


def _ended(reason: str) -> bytes:
    """The last message of a stream that cannot go on."""
    return b"event: ended\ndata: %b\n\n" % msgspec.json.encode({"reason": reason})
