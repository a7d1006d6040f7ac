"""Request bodies: bounded before they are read into memory."""

from __future__ import annotations

import re

import msgspec
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_STREAMED = re.compile(
    r"/(ajax-)?api/2\.0/mlflow-artifacts/artifacts/|/api/headrace/v1/(runs/[^/]+/artifacts|uploads)/"
)
"""Paths whose bodies are files, written to disk as they come."""


_DIGITS_MAX = 18
"""No body is as long as a number with more digits; Python refuses to read one of thousands."""


class _TooLarge(Exception):
    """The body went over the limit while it came in."""


class BodyLimit:
    """ASGI middleware that answers 413 to a body over the limit, by its Content-Length or, failing that, on the way."""

    def __init__(self, app: ASGIApp, bytes_max: int) -> None:
        self._app = app
        self._bytes_max = bytes_max

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or (scope["method"] == "PUT" and _STREAMED.match(scope["path"])):
            await self._app(scope, receive, send)
            return
        for name, value in scope["headers"]:
            if name == b"content-length" and (
                not value.isdigit() or len(value) > _DIGITS_MAX or int(value) > self._bytes_max
            ):
                await self._refuse(send)
                return
        left = self._bytes_max
        started = False

        async def counted() -> Message:
            nonlocal left
            message = await receive()
            left -= len(message.get("body", b""))
            if left < 0:
                raise _TooLarge
            return message

        async def noted(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, counted, noted)
        except _TooLarge:
            if not started:
                await self._refuse(send)

    async def _refuse(self, send: Send) -> None:
        body = msgspec.json.encode(
            {
                "error_code": "REQUEST_ENTITY_TOO_LARGE",
                "message": f"The body is over the limit of {self._bytes_max} bytes; send it in smaller parts.",
            }
        )
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
        ]
        await send({"type": "http.response.start", "status": 413, "headers": headers})
        await send({"type": "http.response.body", "body": body})
