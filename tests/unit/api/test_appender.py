"""Group commit: many appends, few commits, each told its own positions."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import pytest
from headrace.api import appender as module
from headrace.api.appender import Appender, AppendRefused
from headrace.ingest.envelope import Envelope
from headrace.ingest.log import LogUnavailable, Partition, Position
from headrace.ingest.memory import MemoryLog


class SlowLog(MemoryLog):
    """Commits when it is let; counts its commits."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()
        self.commits = 0
        self.fault: Exception | None = None

    def append(self, envelopes: Sequence[Envelope]) -> list[Position]:
        assert self.go.wait(30)
        self.commits += 1
        if self.fault is not None:
            raise self.fault
        return super().append(envelopes)


def batch(name: int, count: int) -> list[Envelope]:
    return [Envelope(f"{name}.{i}", "headrace.run.heartbeat", "test", "r", 0, b"") for i in range(count)]


def act(log: SlowLog, use: Callable[[Appender], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        appender = Appender(log)
        appender.start()
        try:
            await asyncio.wait_for(use(appender), 30)
        finally:
            log.go.set()
            appender.stop()

    asyncio.run(main())


def test_appends_that_come_during_a_commit_share_the_next_and_each_gets_its_own_positions() -> None:
    log = SlowLog()

    async def use(appender: Appender) -> None:
        tasks = [asyncio.create_task(appender.append(batch(name, name % 4))) for name in range(200)]
        await asyncio.sleep(0)
        log.go.set()
        for name, positions in enumerate(await asyncio.gather(*tasks)):
            stored = [log.read(Partition("runs", 0), p.offset, 1, 1)[0].envelope.id for p in positions]
            assert stored == [f"{name}.{i}" for i in range(name % 4)]

    act(log, use)
    assert log.commits < 20
    assert log.end()[Partition("runs", 0)] == 300


@pytest.mark.parametrize("fault", [LogUnavailable("no space left"), ValueError("a bug")])
def test_a_fault_of_the_log_reaches_everyone_who_waits_and_the_next_append_works(fault: Exception) -> None:
    log = SlowLog()
    log.fault = fault

    async def use(appender: Appender) -> None:
        tasks = [asyncio.create_task(appender.append(batch(name, 1))) for name in range(50)]
        await asyncio.sleep(0)
        log.go.set()
        told = await asyncio.gather(*tasks, return_exceptions=True)
        assert [(type(x), str(x)) for x in told] == [(type(fault), str(fault))] * 50
        log.fault = None
        assert await appender.append(batch(1, 1)) == [Position("runs", 0, 0)]

    act(log, use)


def test_beyond_the_bound_an_append_is_refused_at_once_and_nothing_of_it_kept() -> None:
    log = SlowLog()

    async def use(appender: Appender) -> None:
        tasks = [asyncio.create_task(appender.append(batch(n, 1))) for n in range(module.WAITING_MAX * 2)]
        await asyncio.sleep(0)
        log.go.set()
        told = await asyncio.gather(*tasks, return_exceptions=True)
        refused = [x for x in told if isinstance(x, AppendRefused)]
        assert 0 < len(refused) <= module.WAITING_MAX
        assert log.end()[Partition("runs", 0)] == len(told) - len(refused)

    act(log, use)


def test_a_waiter_that_gave_up_disturbs_nobody() -> None:
    log = SlowLog()

    async def use(appender: Appender) -> None:
        first, second = (asyncio.create_task(appender.append(batch(n, 1))) for n in (1, 2))
        await asyncio.sleep(0)
        first.cancel()
        log.go.set()
        [position] = await second
        assert log.read(Partition("runs", 0), position.offset, 1, 1)[0].envelope.id == "2.0"

    act(log, use)


def test_what_waits_is_appended_before_the_end() -> None:
    log = SlowLog()
    log.go.set()

    async def main() -> None:
        appender = Appender(log)
        task = asyncio.create_task(appender.append(batch(1, 3)))
        await asyncio.sleep(0)
        appender.start()
        await asyncio.to_thread(appender.stop)
        assert len(await task) == 3

    asyncio.run(main())
