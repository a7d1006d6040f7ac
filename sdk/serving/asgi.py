"""The scorer as a bare ASGI application: no framework between the server's bytes and the scorer's."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from headrace.sdk.serving import faults
from headrace.sdk.serving.faults import Answer
from headrace.sdk.serving.scorer import Scorer

logger = logging.getLogger("headrace.serving")
Message = MutableMapping[str, Any]
_READ = {
    b"content-type": "content-type",
    b"content-encoding": "content-encoding",
    b"accept": "accept",
    b"inference-header-content-length": "inference-header-content-length",
}


class ScoringApp:
    """ASGI 3: HTTP and the lifespan. A body beyond the bound is refused as soon as that is known."""

    def __init__(self, scorer: Scorer) -> None:
        self.scorer = scorer

    async def __call__(
        self,
        scope: Message,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        """One connection's request, or the lifespan."""
        if scope["type"] == "http":
            headers = {_READ[name]: value.decode("latin-1") for name, value in scope["headers"] if name in _READ}
            body = await _body(receive, self.scorer.limits.body_bytes_max)
            if body is None:
                return
            if isinstance(body, Answer):
                answer = body
            else:
                answer = await self.scorer.answer(scope["method"], scope["path"], headers, body)
            content = answer.body if scope["method"] != "HEAD" else b""
            length = (b"content-length", b"%d" % len(answer.body))
            await send({"type": "http.response.start", "status": answer.status, "headers": [*answer.headers, length]})
            await send({"type": "http.response.body", "body": content})
        elif scope["type"] == "lifespan":
            await self._lifespan(receive, send)

    async def _lifespan(
        self, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
    ) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                try:
                    self.scorer.warm()
                except Exception as error:
                    logger.warning("the model fails on its own input example: %s: %s", type(error).__name__, error)
                await send({"type": "lifespan.startup.complete"})
            else:
                self.scorer.close()
                await send({"type": "lifespan.shutdown.complete"})
                return


async def _body(receive: Callable[[], Awaitable[Message]], bytes_max: int) -> bytes | Answer | None:
    """The whole body; the refusal of one beyond the bound; None when the client has gone."""
    message = await receive()
    if message["type"] == "http.disconnect":
        return None
    first: bytes = message.get("body", b"")
    if not message.get("more_body"):
        return first if len(first) <= bytes_max else faults.too_large(bytes_max).answer()
    parts = [first]
    length = len(first)
    while message.get("more_body"):
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        part = message.get("body", b"")
        length += len(part)
        if length > bytes_max:
            return faults.too_large(bytes_max).answer()
        parts.append(part)
    return b"".join(parts)
