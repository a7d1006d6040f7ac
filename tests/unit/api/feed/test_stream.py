"""A stream's connection: who does not read is told, ends, and costs nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

from headrace.api.feed.stream import ABORT, EventStream

from tests.feeding import run

Sent = dict[str, Any]


class Client:
    """What a server has of a client: it takes so many messages, then no more; it goes when it is let go of."""

    def __init__(self, takes: int = 10**6) -> None:
        self.takes = takes
        self.sent: list[Sent] = []
        self.aborted = False
        self._gone = asyncio.Event()
        self._takes_again = asyncio.Event()

    async def receive(self) -> Sent:
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Sent) -> None:
        if len(self.sent) >= self.takes:
            await self._takes_again.wait()
        self.sent.append(message)

    def take_again(self) -> None:
        self._takes_again.set()

    def go(self) -> None:
        self._gone.set()

    def abort(self) -> None:
        self.aborted = True
        self.go()

    def text(self) -> str:
        return b"".join(message.get("body", b"") for message in self.sent).decode()

    def whole(self) -> bool:
        return not self.sent[-1].get("more_body", True)


class Messages:
    """A stream of messages without end, that knows whether it was closed, and how many were asked of it."""

    def __init__(self, count: int = 10**6) -> None:
        self.asked = 0
        self.closed = False
        self._count = count

    async def stream(self) -> AsyncGenerator[bytes]:
        try:
            while self.asked < self._count:
                self.asked += 1
                await asyncio.sleep(0)
                yield b"data: %d\n\n" % self.asked
        finally:
            self.closed = True


async def answered(client: Client, messages: Messages, closing: asyncio.Event | None = None, **bounds: float) -> int:
    """One answer to its end; how often that was told."""
    ended: list[int] = []
    stream = EventStream(messages.stream(), closing or asyncio.Event(), lambda: ended.append(1), **bounds)
    scope = {"type": "http", "extensions": {ABORT: client.abort}}
    await stream(scope, client.receive, client.send)  # type: ignore[arg-type]
    return len(ended)


def test_messages_are_made_when_the_client_takes_them_and_the_end_is_told() -> None:
    async def test() -> None:
        client, messages = Client(), Messages(3)
        assert await answered(client, messages) == 1
        assert client.text() == "data: 1\n\ndata: 2\n\ndata: 3\n\n"
        assert client.whole()
        assert not client.aborted
        headers = dict(client.sent[0]["headers"])
        assert headers[b"content-type"] == b"text/event-stream; charset=utf-8"
        assert b"content-length" not in headers

    run(test())


def test_a_client_that_goes_ends_the_messages() -> None:
    async def test() -> None:
        client, messages = Client(takes=3), Messages()
        answer = asyncio.ensure_future(answered(client, messages))
        await asyncio.sleep(0.05)
        client.go()
        assert await answer == 1
        assert messages.closed
        assert messages.asked == 3, "one that waits to be taken, and no more"

    run(test())


def test_a_client_that_does_not_read_gives_its_place_away_and_is_told_when_it_does() -> None:
    async def test() -> None:
        client, messages = Client(takes=3), Messages()
        answer = asyncio.ensure_future(answered(client, messages, stalled_s=0.05, farewell_s=20))
        while not messages.closed:
            await asyncio.sleep(0.01)
        client.take_again()
        assert await answer == 1
        assert client.text().endswith(
            'so this stream is ended; what came last is where to go on: send its id as Last-Event-ID"}\n\n'
        )
        assert "event: ended\n" in client.text()
        assert client.whole()

    run(test())


def test_a_client_that_never_reads_is_let_go_of() -> None:
    async def test() -> None:
        client, messages = Client(takes=3), Messages()
        assert await answered(client, messages, stalled_s=0.05, farewell_s=0.05) == 1
        assert client.aborted
        assert messages.closed

    run(test())


def test_the_servers_end_waits_for_no_client() -> None:
    async def test() -> None:
        client, messages, closing = Client(takes=3), Messages(), asyncio.Event()
        answer = asyncio.ensure_future(answered(client, messages, closing))
        await asyncio.sleep(0.05)
        closing.set()
        assert await asyncio.wait_for(answer, 3) == 1
        assert client.aborted

    run(test())


def test_an_answer_that_is_broken_off_before_its_first_message_is_told_too() -> None:
    async def test() -> None:
        client, messages = Client(takes=0), Messages()
        answer = asyncio.ensure_future(answered(client, messages))
        await asyncio.sleep(0.02)
        client.go()
        assert await answer == 1
        assert messages.asked == 0

    run(test())
