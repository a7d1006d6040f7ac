"""Bodies are bounded before they are read."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import httpx
import pytest
from headrace.api.body import BodyLimit
from starlette.types import Receive, Scope, Send

EVENTS = "/api/headrace/v1/events"


class Reader:
    """An app that reads its body and tells its length."""

    def __init__(self) -> None:
        self.called = False
        self.read = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.called = True
        more = True
        while more:
            message = await receive()
            self.read += len(message.get("body", b""))
            more = message.get("more_body", False)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})


async def chunks(sizes: list[int], sent: list[int]) -> AsyncIterator[bytes]:
    for size in sizes:
        sent.append(size)
        yield b"x" * size


def request(reader: Reader, content: bytes | AsyncIterator[bytes], method: str = "POST", path: str = EVENTS,
            headers: dict[str, str] | None = None) -> httpx.Response:  # fmt: skip
    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(BodyLimit(reader, 100))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.request(method, path, content=content, headers=headers)

    return asyncio.run(send())


def test_a_body_at_the_limit_is_read() -> None:
    reader = Reader()
    assert request(reader, b"x" * 100).text == "ok"
    assert reader.read == 100


def test_a_body_that_says_it_is_too_long_is_refused_before_anyone_reads_it() -> None:
    reader = Reader()
    response = request(reader, b"x" * 101)
    assert response.status_code == 413
    assert json.loads(response.content)["error_code"] == "REQUEST_ENTITY_TOO_LARGE"
    assert not reader.called


def test_a_body_without_length_is_refused_once_it_is_too_long() -> None:
    reader = Reader()
    response = request(reader, chunks([60, 60, 60], []))
    assert response.status_code == 413
    assert reader.read == 60


@pytest.mark.parametrize("length", ["-1", "1e3", "ten", "9" * 5000, ""])
def test_a_length_that_is_no_number_is_refused(length: str) -> None:
    assert request(Reader(), b"x", headers={"content-length": length}).status_code == 413


@pytest.mark.parametrize(
    "path", ["/api/2.0/mlflow-artifacts/artifacts/0/r/artifacts/f", "/api/headrace/v1/runs/r/artifacts/f"]
)
def test_files_have_no_limit_but_only_as_PUT(path: str) -> None:
    assert request(Reader(), b"x" * 1000, "PUT", path).text == "ok"
    assert request(Reader(), b"x" * 1000, "POST", path).status_code == 413


def test_a_path_that_only_looks_like_a_files_is_bounded() -> None:
    for path in (f"{EVENTS}/api/2.0/mlflow-artifacts/artifacts/f", "/x/api/headrace/v1/runs/r/artifacts/f"):
        assert request(Reader(), b"x" * 101, "PUT", path).status_code == 413
