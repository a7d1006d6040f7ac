"""The live feed tells each page what changed for it, no more often than agreed, and lets go at once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from headrace.api.live import Live, LiveFull, Standing
from headrace.processors.runs import RunState


@dataclass
class Runs:
    """A source with runs in experiments, whose listeners are called on another thread, as the engine does."""

    experiments: dict[str, str] = field(default_factory=dict)
    listeners: list[Callable[[set[str]], None]] = field(default_factory=list)

    def runs(self, run_ids: Sequence[str]) -> dict[str, RunState]:
        return {one: RunState(one, experiment_id=self.experiments[one]) for one in run_ids if one in self.experiments}

    async def change(self, *run_ids: str) -> None:
        for listener in list(self.listeners):
            await asyncio.to_thread(listener, set(run_ids))


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(test, 20))


def parsed(message: bytes) -> Any:
    [line] = [line for line in message.decode().splitlines() if line.startswith("data: ")]
    return json.loads(line.removeprefix("data: "))


async def changed(messages: AsyncIterator[bytes]) -> Any:
    """What the next message that is not a comment says."""
    async for message in messages:
        if message.startswith(b"event: changed\n"):
            return parsed(message)
    return None


def test_changes_reach_only_the_pages_of_their_experiment() -> None:
    async def test() -> None:
        runs = Runs({"a": "1", "b": "2"})
        live = Live(runs, interval_s=0.01)
        await live.start()
        one, every = live.messages(live.subscribe(frozenset({"1"}))), live.messages(live.subscribe())
        await runs.change("a", "b", "unknown")
        assert await changed(one) == {"run_ids": ["a"]}
        assert await changed(every) == {"run_ids": ["a", "b", "unknown"]}
        live.close()

    run(test())


def test_many_changes_come_together_in_one_message() -> None:
    async def test() -> None:
        runs = Runs()
        live = Live(runs, interval_s=0.3)
        await live.start()
        messages = live.messages(live.subscribe())
        await runs.change("a")
        assert await changed(messages) == {"run_ids": ["a"]}
        began = asyncio.get_running_loop().time()
        waiting = asyncio.ensure_future(changed(messages))
        await runs.change("b")
        await runs.change("c")
        assert await waiting == {"run_ids": ["b", "c"]}
        assert asyncio.get_running_loop().time() - began >= 0.25
        live.close()

    run(test())


def test_more_changes_than_can_be_named_are_told_as_all() -> None:
    async def test() -> None:
        runs = Runs()
        live = Live(runs, interval_s=0.01, run_ids_max=2)
        await live.start()
        messages = live.messages(live.subscribe())
        await runs.change("a", "b", "c")
        assert await changed(messages) == {"all": True}
        await runs.change("d")
        assert await changed(messages) == {"run_ids": ["d"]}
        live.close()

    run(test())


def test_a_silent_feed_sends_heartbeats() -> None:
    async def test() -> None:
        live = Live(Runs(), heartbeat_s=0.01)
        await live.start()
        messages = live.messages(live.subscribe())
        assert (await anext(messages)).startswith(b"retry: ")
        assert await anext(messages) == b": heartbeat\n\n"
        live.close()

    run(test())


def test_beyond_the_limit_a_subscriber_is_refused_until_one_has_left() -> None:
    async def test() -> None:
        live = Live(Runs(), subscribers_max=1)
        await live.start()
        first = live.subscribe()
        with pytest.raises(LiveFull):
            live.subscribe()
        live.unsubscribe(first)
        live.subscribe()
        assert live.subscribers == 1

    run(test())


def test_close_ends_every_subscription_and_the_listening() -> None:
    async def test() -> None:
        runs = Runs()
        live = Live(runs, heartbeat_s=1000, interval_s=1000)
        await live.start()
        silent, pausing = live.messages(live.subscribe()), live.messages(live.subscribe())
        await runs.change("a")
        assert await changed(pausing) == {"run_ids": ["a"]}
        assert await changed(silent) == {"run_ids": ["a"]}
        ends = [asyncio.ensure_future(changed(one)) for one in (silent, pausing)]
        await asyncio.to_thread(live.close)
        assert [await end for end in ends] == [None, None]
        assert (live.subscribers, runs.listeners) == (0, [])
        with pytest.raises(LiveFull):
            live.subscribe()

    run(test())


def test_a_page_that_goes_away_is_forgotten() -> None:
    async def test() -> None:
        live = Live(Runs())
        await live.start()
        messages = live.messages(live.subscribe())
        await anext(messages)
        assert live.subscribers == 1
        await messages.aclose()  # type: ignore[attr-defined]
        assert live.subscribers == 0

    run(test())


def test_pages_hear_how_far_the_views_are_behind_and_why_and_only_when_it_changes() -> None:
    async def test() -> None:
        runs = Runs()
        asked = []
        answers = [
            Standing(0, None),
            Standing(7, "ClickHouse is away"),
            Standing(7, "ClickHouse is away"),
            Standing(0, None),
        ]

        async def standing() -> Standing:
            asked.append(1)
            return answers[min(len(asked), len(answers)) - 1]

        live = Live(runs, standing, interval_s=0.01, standing_interval_s=0.02)
        await live.start()
        await asyncio.sleep(0.1)
        assert asked == [], "nobody listens"
        messages = live.messages(live.subscribe())
        told = [parsed(m) async for m in only_views(messages, 3)]
        assert [one["behind"] for one in told] == [0, 7, 0]
        assert told[1]["fault"] == "ClickHouse is away"
        late = live.messages(live.subscribe())
        assert [parsed(m) async for m in only_views(late, 1)] == [{"behind": 0, "fault": None}]
        live.close()

    run(test())


async def only_views(messages: AsyncIterator[bytes], count: int) -> AsyncIterator[bytes]:
    """The next messages about the views."""
    async for message in messages:
        if message.startswith(b"event: views\n"):
            yield message
            count -= 1
            if not count:
                return


def test_the_engine_is_listened_to_only_while_somebody_is_there() -> None:
    async def test() -> None:
        runs = Runs()
        live = Live(runs)
        await live.start()
        assert runs.listeners == []
        one, other = live.subscribe(), live.subscribe()
        assert len(runs.listeners) == 1
        live.unsubscribe(one)
        assert len(runs.listeners) == 1
        live.unsubscribe(other)
        assert runs.listeners == []
        live.close()

    run(test())
