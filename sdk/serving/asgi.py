"""The scorer as a bare ASGI application: no framework between the server's bytes and the scorer's."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Protocol

from headrace.sdk.serving import faults
from headrace.sdk.serving.batching import Limits
from headrace.sdk.serving.faults import Answer

Message = MutableMapping[str, Any]
_READ = {
    b"content-type": "content-type",
    b"content-encoding": "content-encoding",
    b"accept": "accept",
    b"inference-header-content-length": "inference-header-content-length",
}


class Answering(Protocol):
    """What answers: a Scorer, or one that is elsewhere."""

    @property
    def limits(self) -> Limits:
        """Of a request's body."""

    async def answer(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """As `Scorer.answer`."""

    async def start(self) -> None:
        """Get ready. Raises what keeps it from that."""

    async def stop(self) -> None:
        """Let go of what it holds."""


class ScoringApp:
    """ASGI 3: HTTP and the lifespan. A body beyond the bound is refused as soon as that is known."""

    def __init__(self, scorer: Answering) -> None:
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
                    await self.scorer.start()
                except Exception as error:
                    await send({"type": "lifespan.startup.failed", "message": f"{type(error).__name__}: {error}"})
                    return
                await send({"type": "lifespan.startup.complete"})
            else:
                await self.scorer.stop()
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
