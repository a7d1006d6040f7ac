"""The short way in for MLflow's exact paths: what trainers send all day goes past the framework's routing.

Matching some sixty routes and wrapping each call costs a request more than most handlers do. The routes themselves
stay: they make the OpenAPI document, and answer wrong methods and paths with parameters.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from fastapi import Request, Response
from headrace.api.errors import HANDLERS
from starlette.types import ASGIApp, Receive, Scope, Send

_EXPECTED = {kind: handler for kind, handler in HANDLERS.items() if kind is not Exception}
"""Errors that are answers. A fault of ours goes on to the framework, which logs it."""

Endpoint = Callable[[Request], Awaitable[Response]]


class Exact:
    """A route that was matched by its whole path; what telemetry reads of one."""

    __slots__ = ("path",)

    def __init__(self, path: str) -> None:
        self.path = path


class Direct:
    """ASGI middleware that answers the requests of a table, and hands on all others."""

    def __init__(self, app: ASGIApp, table: Mapping[tuple[str, str], Endpoint]) -> None:
        """table: endpoints by method and path."""
        self._app = app
        self._table = {key: (endpoint, Exact(key[1])) for key, endpoint in table.items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = self._table.get((scope["method"], scope["path"])) if scope["type"] == "http" else None
        if found is None:
            await self._app(scope, receive, send)
            return
        endpoint, scope["route"] = found
        request = Request(scope, receive)
        try:
            response = await endpoint(request)
        except Exception as error:
            handler = next((_EXPECTED[kind] for kind in type(error).__mro__ if kind in _EXPECTED), None)
            if handler is None:
                raise
            response = await handler(request, error)
        await response(scope, receive, send)
