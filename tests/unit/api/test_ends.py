"""How far the log goes, asked for many requests at once: nobody gets an answer from before they asked."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from headrace.api.ends import Ends
from headrace.ingest.log import LogUnavailable, Partition
from headrace.ingest.memory import MemoryLog

RUNS = Partition("runs", 0)


class FarLog(MemoryLog):
    """A log that answers when the test lets it, with the number of the question."""

    remote = True

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0
        self.down = False
        self.gate = threading.Event()

    def end(self) -> dict[Partition, int]:
        """The number of this question, once the gate is open."""
        self.asked += 1
        number = self.asked
        assert self.gate.wait(30)
        if self.down:
            raise LogUnavailable("the log is on holiday")
        return {RUNS: number}


async def reached(check: Callable[[], bool]) -> None:
    """Let the loop go on until check() is true."""
    async with asyncio.timeout(30):
        while not check():
            await asyncio.sleep(0.001)


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(test)


def test_those_who_come_while_one_is_asking_share_the_next_answer() -> None:
    async def test() -> None:
        log = FarLog()
        ends = Ends(log)
        first = asyncio.create_task(ends.now())
        await reached(lambda: log.asked == 1)
        later = [asyncio.create_task(ends.now()) for _ in range(50)]
        await asyncio.sleep(0)
        log.gate.set()
        assert await first == {RUNS: 1}
        assert await asyncio.gather(*later) == [{RUNS: 2}] * 50
        assert log.asked == 2

    run(test())


def test_each_that_waits_hears_why_there_is_no_answer_and_the_next_one_asks_again() -> None:
    async def test() -> None:
        log = FarLog()
        ends = Ends(log)
        log.down = True
        log.gate.set()
        answers = await asyncio.gather(*(ends.now() for _ in range(5)), return_exceptions=True)
        assert {str(answer) for answer in answers} == {"the log is on holiday"}
        log.down = False
        assert (await ends.now())[RUNS] == log.asked

    run(test())


def test_one_that_gives_up_takes_nobody_s_answer_away() -> None:
    async def test() -> None:
        log = FarLog()
        ends = Ends(log)
        first, second = asyncio.create_task(ends.now()), asyncio.create_task(ends.now())
        await reached(lambda: log.asked == 1)
        first.cancel()
        log.gate.set()
        assert await second == {RUNS: 1}
        with pytest.raises(asyncio.CancelledError):
            await first
        assert await ends.now() == {RUNS: 2}

    run(test())


def test_a_log_in_this_process_is_asked_at_once() -> None:
    async def test() -> None:
        log = FarLog()
        log.remote = False
        log.gate.set()
        assert await Ends(log).now() == {RUNS: 1}

    run(test())
