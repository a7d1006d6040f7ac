"""What a server and its model workers say to each other over a socket: frames, of which many may be under way.

A frame is, little-endian: u32 length of what follows, u8 kind, u64 id, u32 length of the head, the head in MessagePack,
the body as it is. An answer has the id of its request; requests may be answered in any order.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

import msgspec

_PREFIX = struct.Struct("<IBQI")
_LENGTH_BYTES: Final = 4
_REST_BYTES: Final = _PREFIX.size - _LENGTH_BYTES
FRAME_BYTES_MAX: Final = 1024 * 1024 * 1024
_APART_BYTES: Final = 64 * 1024
"""A body from this size on is handed to the socket by itself, not copied behind its head."""

LOAD: Final = 1
"""To a worker, the first frame: what to load; its head is a `Load`."""
READY: Final = 2
"""From a worker: it answers from now on; its head is a `Ready`."""
FAILED: Final = 3
"""From a worker: it cannot load the model, and ends; its head is why, for people."""
REQUEST: Final = 4
"""To a worker: its head is [method, path, headers], the body the request's."""
ANSWER: Final = 5
"""From a worker: its head is [status, headers], the body the answer's."""
DRAIN: Final = 6
"""To a worker: answer what you have, then end."""


class BadFrame(Exception):
    """What came is no frame; the message says why."""


class Frame(NamedTuple):
    """One message. head: the kind's own, decoded from MessagePack."""

    kind: int
    id: int
    head: Any
    body: bytes


class Load(msgspec.Struct, frozen=True):
    """What a worker loads, and how it answers.

    folder: the model's files. name, version: what the V2 protocol calls it. server_pid: whose end is the worker's too.
    gently: give way to others while loading.
    """

    folder: str
    name: str
    version: str
    server_pid: int
    timeout_s: float
    queue_max: int
    body_bytes_max: int
    batch_rows_max: int
    batch_wait_ms: float
    gently: bool = False


class Ready(msgspec.Struct, frozen=True):
    """What a worker has loaded: seconds it took, and its first prediction. rss_bytes: resident memory then."""

    load_s: float
    warm_s: float
    warmed: bool = True
    warm_fault: str = ""
    python: str = ""


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode


def encoded(kind: int, id: int, head: Any, body: bytes = b"") -> list[bytes]:
    """A frame as the parts to write, in order."""
    packed = _encode(head)
    prefix = _PREFIX.pack(_REST_BYTES + len(packed) + len(body), kind, id, len(packed))
    if len(body) < _APART_BYTES:
        return [prefix + packed + body]
    return [prefix + packed, body]


class Frames:
    """Frames out of a stream of bytes, however it is cut."""

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, data: bytes) -> Iterator[Frame]:
        """The frames that are whole with these bytes. Raises BadFrame: nothing behind it can be read."""
        self._held += data
        start = 0
        held = self._held
        while len(held) - start >= _PREFIX.size:
            length, kind, id, head_length = _PREFIX.unpack_from(held, start)
            if length > FRAME_BYTES_MAX or length < _REST_BYTES + head_length:
                raise BadFrame(f"a frame of {length} bytes with a head of {head_length}")
            end = start + _LENGTH_BYTES + length
            if end > len(held):
                break
            body_start = start + _PREFIX.size + head_length
            with memoryview(held) as view:
                packed, body = bytes(view[start + _PREFIX.size : body_start]), bytes(view[body_start:end])
            start = end
            try:
                head = _decode(packed)
            except (msgspec.DecodeError, RecursionError) as error:
                raise BadFrame(f"a frame's head: {error}") from error
            yield Frame(kind, id, head, body)
        if start:
            del held[:start]


class FrameProtocol(asyncio.Protocol):
    """One end of the socket, on an event loop.

    on_frame: called for each frame. on_lost: called once, when nothing comes any more.
    """

    def __init__(self, on_frame: Callable[[Frame], None], on_lost: Callable[[], None]) -> None:
        self._on_frame = on_frame
        self._on_lost = on_lost
        self._frames = Frames()
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """As asyncio calls it."""
        assert isinstance(transport, asyncio.WriteTransport) or hasattr(transport, "write")
        self._transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        """As asyncio calls it. What is no frame ends the connection."""
        try:
            for frame in self._frames.feed(data):
                self._on_frame(frame)
        except BadFrame:
            self.close()

    def connection_lost(self, error: Exception | None) -> None:
        """As asyncio calls it."""
        self._transport = None
        self._on_lost()

    @property
    def open(self) -> bool:
        """Whether the other end is there, as far as is known."""
        return self._transport is not None and not self._transport.is_closing()

    @property
    def waiting_bytes(self) -> int:
        """What was written and the other end has not taken yet."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    def write(self, kind: int, id: int, head: Any, body: bytes = b"") -> None:
        """Send a frame; nothing happens once the other end is gone."""
        if self._transport is not None:
            for part in encoded(kind, id, head, body):
                self._transport.write(part)

    def close(self) -> None:
        """Send what waits, then end the connection."""
        if self._transport is not None:
            self._transport.close()
