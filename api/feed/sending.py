"""Events as server-sent messages: each with the cursor behind it as its id, made when the last has been taken."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING

import msgspec
from headrace.api.feed.reader import Next, Reader
from headrace.ingest.log import LogError, LogUnavailable
from headrace.processors.views import ViewsUnavailable

if TYPE_CHECKING:
    from headrace.api.feed.feed import Feed

CHUNK_BYTES = 32 * 1024
"""So much is handed to a connection at once."""
RETRY_S = 1.0


async def events(feed: Feed, reader: Reader, with_points: bool) -> AsyncGenerator[bytes]:
    """Every event that is wanted as a message, from the reader's place on, until the end; leaves the reader.

    In a silence there are heartbeats with the cursor.
    """
    try:
        yield hello(reader)
        told_s = feed.loop.time()
        while not feed.closing.is_set():
            found = await _next(feed, reader)
            if isinstance(found, Exception):
                yield ended(str(found))
                return
            if found is not None:
                came = found.place is not None and found.offsets != reader.offsets
                async for chunk in _chunks(feed, reader, found, with_points):
                    yield chunk
                    told_s = feed.loop.time()
                if came and not reader.has_more:
                    await feed.rest()
            if feed.loop.time() - told_s >= feed.heartbeat_s:
                yield heartbeat(reader)
                told_s = feed.loop.time()
    finally:
        feed.leave(reader)


async def _next(feed: Feed, reader: Reader) -> Next | Exception | None:
    """What comes next and is wanted; None when that cannot be told now; an error ends the reader."""
    try:
        found = await feed.chosen(reader, await reader.next(feed.heartbeat_s))
    except (LogUnavailable, ViewsUnavailable):
        await feed.pause(RETRY_S)
        return None
    except LogError as error:
        return error
    if not found.entries and not reader.live and found.offsets.items() <= reader.offsets.items():
        await feed.pause(RETRY_S)  # The log ends before where it was said to end.
    return found


async def _chunks(feed: Feed, reader: Reader, found: Next, with_points: bool) -> AsyncGenerator[bytes]:
    entries = found.entries
    await feed.learn(entries)
    while entries:
        texts = await feed.encoded(entries, with_points, CHUNK_BYTES)
        pieces = bytearray()
        for entry, text in zip(entries, texts, strict=False):
            reader.pass_on(entry)
            pieces += b"id: %b\ndata: " % reader.cursor.encode()
            pieces += text
            pieces += b"\n\n"
        entries = entries[len(texts) :]
        message = bytes(pieces)
        # It may not be taken for a minute: meanwhile it is held once.
        del texts, text, pieces
        yield message
    reader.moved(found)


def hello(reader: Reader) -> bytes:
    """The first message: how soon to come back, and from where."""
    return b"retry: 1000\nid: %b\n: connected\n\n" % reader.cursor.encode()


def heartbeat(reader: Reader) -> bytes:
    """That nothing has come, up to here."""
    return b"id: %b\n: heartbeat\n\n" % reader.cursor.encode()


def ended(reason: str) -> bytes:
    """The last message of a stream that cannot go on."""
    return b"event: ended\ndata: %b\n\n" % msgspec.json.encode({"reason": reason})
