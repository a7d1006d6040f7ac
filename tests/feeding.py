"""A feed over a log in memory, with folds that a test moves by hand, and its messages taken apart."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from headrace.api.ends import Ends
from headrace.api.feed import cursor
from headrace.api.feed.feed import Feed
from headrace.api.feed.reader import Reader
from headrace.api.feed.wanted import wanted
from headrace.ingest.envelope import Envelope
from headrace.ingest.log import HistoryLog, Partition
from headrace.processors.registry import Registry
from headrace.processors.runs import RunState
from headrace.processors.views import ViewsUnavailable
from headrace.processors.watermark import Watermark

FAR = 2**40


@dataclass
class Folds:
    """Runs in experiments, as the folds have them. away: whether what is not in memory cannot be asked."""

    experiments: dict[str, str] = field(default_factory=dict)
    folded: Watermark = field(
        default_factory=lambda: Watermark({Partition(t, n): FAR for t in ("registry", "runs") for n in range(12)})
    )
    registry: Registry = field(default_factory=Registry)
    away: bool = False
    asked: list[str] = field(default_factory=list)

    def cached_run(self, run_id: str) -> RunState | None:
        return None

    def runs(self, run_ids: Sequence[str]) -> dict[str, RunState]:
        if self.away:
            raise ViewsUnavailable("the views are away")
        self.asked += run_ids
        return {one: RunState(one, experiment_id=self.experiments[one]) for one in run_ids if one in self.experiments}


@dataclass(frozen=True)
class Message:
    """A server-sent event."""

    event: str
    id: str
    data: Any

    @property
    def position(self) -> str:
        """Of a message that is an event of the log."""
        found: str = self.data["position"]
        return found


def parsed(text: str) -> list[Message]:
    """The messages of a text, as a browser takes it apart; what has no data is none, but its id counts."""
    messages = []
    last = ""
    for block in text.split("\n\n"):
        fields: dict[str, str] = {}
        for line in block.splitlines():
            name, _, value = line.partition(": ")
            fields[name] = value
        last = fields.get("id", last)
        if "data" in fields:
            messages.append(Message(fields.get("event", "message"), last, json.loads(fields["data"])))
    return messages


async def messages(stream: AsyncGenerator[bytes]) -> AsyncIterator[Message]:
    """The messages of a stream, one by one."""
    async for chunk in stream:
        for message in parsed(chunk.decode()):
            yield message


async def take(stream: AsyncGenerator[bytes], count: int) -> list[Message]:
    """The next messages; closes the stream."""
    found = []
    async for message in messages(stream):
        found.append(message)
        if len(found) >= count:
            break
    await stream.aclose()
    return found


@asynccontextmanager
async def feeding(log: HistoryLog, folds: Folds | None = None, **options: Any) -> AsyncIterator[Feed]:
    """A feed, for as long as the block lasts."""
    feed = Feed(log, Ends(log), folds or Folds(), **options)
    try:
        yield feed
    finally:
        await feed.stop()


async def opened(
    feed: Feed,
    after: str = "now",
    *,
    experiment_ids: Sequence[str] = (),
    run_ids: Sequence[str] = (),
    types: Sequence[str] = (),
) -> Reader:
    """A reader."""
    return await feed.open(cursor.parsed(after), wanted(experiment_ids, run_ids, types))


def run(test: Coroutine[Any, Any, None]) -> None:
    """A test to its end, half a minute at most."""
    asyncio.run(asyncio.wait_for(test, 30))


def event(kind: str, subject: str, data: Mapping[str, Any] | bytes = b"{}") -> Envelope:
    """An event of a type, such as run.created."""
    encoded = data if isinstance(data, bytes) else json.dumps(data).encode()
    return Envelope(f"{kind}/{subject}", f"headrace.{kind}", "test", subject, 5, encoded)
