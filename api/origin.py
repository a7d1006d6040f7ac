"""Who asks, and with which client: what the events of a request say of where they come from.

Nobody is authenticated here: an actor is who the client says it is, or whom a proxy in front has let pass.
"""

from __future__ import annotations

import base64
import binascii
from contextvars import ContextVar
from typing import NamedTuple

from starlette.types import ASGIApp, Receive, Scope, Send

CHARS_MAX = 200
ACTOR_HEADER = "x-headrace-actor"


class Origin(NamedTuple):
    """actor: a user's name, or empty. source: `api`, or `api/<client>`."""

    actor: str = ""
    source: str = "api"


_current: ContextVar[Origin] = ContextVar("origin", default=Origin())  # noqa: B039 - it is never changed


def origin() -> Origin:
    """Of the request that is answered here; of none, the server itself."""
    return _current.get()


class Told:
    """ASGI middleware that notes who asks."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] != "GET":
            _current.set(_of(scope["headers"]))
        await self._app(scope, receive, send)


def _of(headers: list[tuple[bytes, bytes]]) -> Origin:
    held = dict(headers)
    actor = _text(held.get(ACTOR_HEADER.encode(), b"")) or _user(held.get(b"authorization", b""))
    client = _text(held.get(b"user-agent", b""))
    return Origin(actor, f"api/{client}" if client else "api")


def _user(authorization: bytes) -> str:
    """The user of HTTP's basic authentication."""
    scheme, _, credentials = authorization.partition(b" ")
    if scheme.lower() != b"basic":
        return ""
    try:
        return _text(base64.b64decode(credentials, validate=True).partition(b":")[0])
    except binascii.Error:
        return ""


def _text(value: bytes) -> str:
    text = value.decode("utf-8", "replace")[:CHARS_MAX]
    return "".join(x for x in text if x.isprintable()).strip()
