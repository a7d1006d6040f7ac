"""However events are appended, and wherever a reader is cut off and goes on, it gets each one once and in order."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from headrace.api.feed import cursor
from headrace.api.feed.wanted import Wanted, wanted
from headrace.ingest.clock import ManualClock
from headrace.ingest.memory import MemoryLog
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.feeding import Folds, Message, event, feeding, messages

RUNS = ["a", "b", "c", "d"]
EXPERIMENTS = {"a": "1", "b": "1", "c": "2"}
EVENTS = st.builds(
    event,
    st.sampled_from(["run.created", "run.ended", "metrics.logged", "experiment.created", "later.kind"]),
    st.sampled_from(RUNS),
)
APPEND = st.tuples(st.just("append"), st.lists(EVENTS, min_size=1, max_size=12))
STREAM = st.tuples(st.just("stream"), st.integers(1, 9), st.booleans())
POLL = st.tuples(st.just("poll"), st.integers(1, 9))
FILTERS = st.builds(
    wanted,
    st.sets(st.sampled_from(["1", "2"]), max_size=1),
    st.sets(st.sampled_from(RUNS), max_size=2),
    st.sets(st.sampled_from(["run.*", "run.ended", "metrics.logged", "*"]), max_size=2),
)


class Following:
    """One reader that is cut off and goes on."""

    def __init__(self, feed: Any, which: Wanted, live: bool) -> None:
        self.feed = feed
        self.which = which
        self.cursor = "now" if live else "begin"
        self.got: list[str] = []
        self._stream: AsyncGenerator[bytes] | None = None
        self._messages: AsyncIterator[Message] | None = None

    async def open(self) -> Any:
        return await self.feed.open(cursor.parsed(self.cursor), self.which)

    async def stream(self, count: int, *, cut: bool) -> None:
        """Take so many messages; cut it off afterwards, or keep the connection."""
        if self._messages is None:
            self._stream = self.feed.events(await self.open())
            self._messages = messages(self._stream)
        for _ in range(count):
            message = await anext(self._messages)
            self.got.append(message.position)
            self.cursor = message.id
        if cut:
            await self.cut()

    async def poll(self, limit: int) -> bool:
        await self.cut()
        answer = await self.feed.poll(await self.open(), limit, 0)
        self.got += [json.loads(text)["position"] for text in answer.events]
        self.cursor = answer.next
        return bool(answer.caught_up)

    async def cut(self) -> None:
        if self._stream is not None:
            await self._stream.aclose()
        self._stream = self._messages = None


def expected(log: MemoryLog, which: Wanted) -> list[str]:
    """The positions of what is wanted."""
    found = []
    for partition in cursor.fed(log):
        for record in log.read(partition, 0, 10**6, 2**40):
            of = record.envelope.subject
            if record.envelope.type.startswith(("headrace.run.", "headrace.metrics.")):
                of = EXPERIMENTS.get(of, "")
            elif not record.envelope.type.startswith("headrace.experiment."):
                of = ""
            if which.takes(record.envelope) and (not which.experiment_ids or of in which.experiment_ids):
                if which.run_ids and partition.topic == "registry":
                    continue
                found.append("/".join(map(str, record.position)))
    return found


@given(
    st.lists(st.one_of(APPEND, STREAM, POLL), max_size=14), FILTERS, st.sampled_from([400, 4000, 10**6]), st.booleans()
)
@settings(max_examples=60, deadline=None)
def test_each_event_that_is_wanted_comes_once_and_in_order(
    steps: list[Any], which: Wanted, ring_bytes: int, live: bool
) -> None:
    async def test() -> None:
        clock = ManualClock(5)
        log = MemoryLog(clock, partitions={"runs": 3, "metrics": 2})
        async with feeding(log, Folds(dict(EXPERIMENTS)), ring_bytes=ring_bytes) as feed:
            reader = Following(feed, which, live)
            if live:
                await reader.stream(0, cut=False)
                await reader.poll(1)
            for step in steps:
                if step[0] == "append":
                    log.append(step[1])
                    clock.advance(1)
                elif step[0] == "poll":
                    await reader.poll(step[1])
                else:
                    waiting = len(expected(log, which)) - len(reader.got)
                    await reader.stream(min(step[1], waiting), cut=step[2])
            while not await reader.poll(7):
                pass
            assert sorted(reader.got) == sorted(expected(log, which))
            offsets: dict[str, list[int]] = defaultdict(list)
            for position in reader.got:
                partition, offset = position.rsplit("/", 1)
                offsets[partition].append(int(offset))
            assert all(of == sorted(of) for of in offsets.values())

    asyncio.run(asyncio.wait_for(test(), 60))
