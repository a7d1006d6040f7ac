"""One answer at a time: what is there, or what comes within the time that was given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from headrace.api.feed.cursor import BadCursor
from headrace.api.feed.reader import Next, Reader
from headrace.api.feed.sending import CHUNK_BYTES
from headrace.ingest.log import LogError

if TYPE_CHECKING:
    from headrace.api.feed.feed import Feed

ANSWER_BYTES = 4 * 1024 * 1024
_SCAN_S = 5.0
"""How long one answer looks for events that are wanted, if it was not told to wait longer."""
_TAIL_LATE_S = 2.0
"""When what is in the log has not come so long, it is looked for there."""


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


async def poll(feed: Feed, reader: Reader, limit: int, wait_s: float, with_points: bool) -> Answer:
    """The next events that are wanted, at most so many; waits wait_s for the first. Leaves the reader.

    Raises LogUnavailable, ViewsUnavailable, BadCursor for what has expired.
    """
    try:
        after = reader.cursor
        ends = await feed.ends.now()
        now_s = feed.loop.time()
        deadline_s, scanned_s = now_s + wait_s, now_s + max(wait_s, _SCAN_S)
        events: list[bytes] = []
        late = False
        while not feed.closing.is_set():
            caught_up = reader.at(ends)
            left_s = deadline_s - feed.loop.time()
            if (caught_up and (events or left_s <= 0)) or feed.loop.time() >= scanned_s:
                break
            found = await _next(feed, reader, left_s if caught_up else _TAIL_LATE_S, late)
            full = await _add(feed, reader, found, events, limit, with_points)
            late = not caught_up and found.place is not None and not found.entries and not reader.at(ends)
            if full:
                break
        return Answer(events, after, reader.cursor, reader.at(ends))
    finally:
        feed.leave(reader)


async def _next(feed: Feed, reader: Reader, timeout_s: float, from_log: bool) -> Next:
    try:
        found = await reader.next(timeout_s, from_log=from_log)
    except LogError as error:
        if type(error) is LogError:
            raise BadCursor(str(error)) from error
        raise
    return await feed.chosen(reader, found)


async def _add(feed: Feed, reader: Reader, found: Next, events: list[bytes], limit: int, with_points: bool) -> bool:
    """Take entries over; whether the answer is full."""
    size = sum(map(len, events))
    entries = found.entries
    await feed.learn(entries)
    while entries:
        if len(events) >= limit:
            return True
        for text in await feed.encoded(entries[: limit - len(events)], with_points, CHUNK_BYTES):
            if events and size + len(text) > ANSWER_BYTES:
                return True
            events.append(text)
            size += len(text)
            reader.pass_on(entries[0])
            entries = entries[1:]
    reader.moved(found)
    return len(events) >= limit
