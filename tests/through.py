"""A transport for clients that are not async, to an app that runs in this process."""

from __future__ import annotations

from typing import Any

import httpx
from headrace.sdk.cli.target import Target
from headrace.sdk.reader import Reader

KEPT_HEADERS = ("content-type", "user-agent", "x-headrace-actor", "content-length", "content-encoding")
URL = "http://test"


class Through(httpx.BaseTransport):
    """Sends each request through the `call` of a server of the tests."""

    def __init__(self, server: Any) -> None:
        self._server = server

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """The whole answer."""
        headers = {key: value for key, value in request.headers.items() if key in KEPT_HEADERS}
        found = self._server.call(request.method, str(request.url), content=request.read(), headers=headers)
        kept = [(k, v) for k, v in found.headers.multi_items() if k not in ("content-encoding", "content-length")]
        return httpx.Response(found.status_code, headers=kept, stream=httpx.ByteStream(found.content))


def reader_of(server: Any) -> Reader:
    """A reader that asks the app."""
    return Reader(URL, httpx.Client(transport=Through(server)))


class AppTarget(Target):
    """What a command talks to: the app."""

    def __init__(self, server: Any) -> None:
        super().__init__(URL)
        self._server = server

    def reader(self) -> Reader:
        """A reader that asks the app."""
        return reader_of(self._server)
