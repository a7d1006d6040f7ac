"""A response of server-sent events whose reader may be slow, or may not read at all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable

import msgspec
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

ABORT = "headrace.abort"
"""An extension of the ASGI scope: lets go of the connection at once, with what it was still to send."""
STALLED_S = 60.0
"""How long a reader may take nothing; then its place in the feed is given away."""
FAREWELL_S = 60.0
"""How long it may then take to be told so; then its connection is ended."""
_CLOSING_S = 1.0
HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
]


class EventStream(Response):
    """Sends messages one after the other: the next is made when the connection has taken the last."""

    media_type = "text/event-stream"

    def __init__(
        self,
        messages: AsyncGenerator[bytes],
        closing: asyncio.Event,
        on_end: Callable[[], None] = lambda: None,
        stalled_s: float = STALLED_S,
        farewell_s: float = FAREWELL_S,
    ) -> None:
        """messages: closed at the end, however it comes. closing: set when the server stops. on_end: called at the end,
        even if no message was asked for."""
        self.status_code = 200
        self.background = None
        self.raw_headers = HEADERS
        self._messages = messages
        self._closing = closing
        self._on_end = on_end
        self._stalled_s = stalled_s
        self._farewell_s = farewell_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the messages end, the client goes, it does not read, or the server stops."""
        abort: Callable[[], None] | None = (scope.get("extensions") or {}).get(ABORT)
        sending = asyncio.ensure_future(self._send(send))
        gone = asyncio.ensure_future(_gone(receive))
        closing = asyncio.ensure_future(self._closing.wait())
        try:
            await asyncio.wait((sending, gone, closing), return_when=asyncio.FIRST_COMPLETED)
            if closing.done():
                # The messages end by themselves now, but for a client that does not take them.
                await asyncio.wait((sending, gone), timeout=_CLOSING_S, return_when=asyncio.FIRST_COMPLETED)
            whole = sending.done() and not sending.cancelled() and sending.exception() is None and sending.result()
            if not whole and not gone.done() and abort is not None:
                abort()
                await asyncio.wait((gone,), timeout=_CLOSING_S)
        finally:
            for task in (sending, gone, closing):
                task.cancel()
            await asyncio.gather(sending, gone, closing, return_exceptions=True)
            await self._messages.aclose()
            self._on_end()

    async def _send(self, send: Send) -> bool:
        """Send all; whether the client has taken it."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        async for message in self._messages:
            try:
                async with asyncio.timeout(self._stalled_s):
                    await send({"type": "http.response.body", "body": message, "more_body": True})
            except TimeoutError:
                await self._messages.aclose()
                return await self._farewell(send)
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        return True

    async def _farewell(self, send: Send) -> bool:
        said = msgspec.json.encode(
            {
                "reason": f"nothing was read for {self._stalled_s:g} s, so this stream is ended; what came last is"
                " where to go on: send its id as Last-Event-ID"
            }
        )
        try:
            async with asyncio.timeout(self._farewell_s):
                farewell = b"event: ended\ndata: %b\n\n" % said
                await send({"type": "http.response.body", "body": farewell, "more_body": False})
        except TimeoutError:
            return False
        return True


async def _gone(receive: Receive) -> None:
    """Until the client has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
