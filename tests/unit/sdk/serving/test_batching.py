"""What waits is predicted together, within its bounds, and what fails does not take its neighbours with it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Hashable, Sequence
from typing import Any

import pytest
from headrace.sdk.serving.batching import Batcher, Limits
from headrace.sdk.serving.faults import Refused


class Doubling:
    """Doubles numbers; remembers how many were together; fails on None."""

    def __init__(self) -> None:
        self.together: list[int] = []

    def __call__(self, group: Hashable, items: Sequence[Any]) -> Sequence[Any]:
        self.together.append(len(items))
        if None in items:
            raise ValueError("None cannot be doubled")
        return [2 * item for item in items]


def answers(batcher: Batcher, items: Sequence[Any], group: Hashable = "rows") -> list[Any]:
    """What items that are submitted in one turn of the loop are answered."""

    async def all_of_them() -> list[Any]:
        return await asyncio.gather(*(batcher.submit(item, 1, group) for item in items))

    try:
        return asyncio.run(all_of_them())
    finally:
        batcher.close()


def test_what_waits_in_one_turn_is_predicted_together() -> None:
    work = Doubling()
    assert answers(Batcher(work, Limits(), inline=False), [1, 2, 3]) == [2, 4, 6]
    assert work.together == [3]


def test_requests_without_a_group_are_predicted_alone() -> None:
    work = Doubling()
    assert answers(Batcher(work, Limits(), inline=False), [1, 2], group=None) == [2, 4]
    assert work.together == [1, 1]


def test_a_batch_has_no_more_rows_than_the_bound() -> None:
    work = Doubling()
    assert answers(Batcher(work, Limits(batch_rows_max=2), inline=False), [1, 2, 3]) == [2, 4, 6]
    assert work.together == [2, 1]


def test_a_bad_request_fails_alone() -> None:
    one, bad, other = answers(Batcher(Doubling(), Limits(), inline=False), [1, None, 3])
    assert (one, other) == (2, 6)
    assert isinstance(bad, ValueError)


def test_work_that_answers_too_few_is_asked_one_by_one() -> None:
    def first_only(group: Hashable, items: Sequence[Any]) -> Sequence[Any]:
        return [items[0]]

    assert answers(Batcher(first_only, Limits(), inline=False), [1, 2, 3]) == [1, 2, 3]


def test_one_more_than_the_queue_holds_is_refused() -> None:
    async def too_many() -> None:
        batcher = Batcher(Doubling(), Limits(queue_requests_max=2), inline=False)
        futures = [batcher.submit(1, 1, "rows") for _ in range(2)]
        with pytest.raises(Refused) as refused:
            batcher.submit(1, 1, "rows")
        assert refused.value.status == 429
        assert await asyncio.gather(*futures) == [2, 2]
        batcher.close()

    asyncio.run(too_many())


def test_a_short_prediction_runs_in_the_event_loop_once_it_is_known_to_be_short() -> None:
    threads: list[str] = []

    def where(group: Hashable, items: Sequence[Any]) -> Sequence[Any]:
        threads.append(threading.current_thread().name)
        return items

    async def twice(inline: bool) -> None:
        batcher = Batcher(where, Limits(inline_s=10.0), inline=inline)
        await batcher.submit(1, 1, "rows")
        await batcher.submit(1, 1, "rows")
        batcher.close()

    asyncio.run(twice(inline=True))
    asyncio.run(twice(inline=False))
    thread, main = "headrace-prediction", threading.current_thread().name
    assert threads == [thread, main, thread, thread]


def test_a_prediction_that_hangs_is_given_up_and_the_next_is_answered() -> None:
    release = threading.Event()

    def hang_on_none(group: Hashable, items: Sequence[Any]) -> Sequence[Any]:
        if items == [None]:
            release.wait()
        return items

    async def hang_then_go_on() -> None:
        batcher = Batcher(hang_on_none, Limits(timeout_s=0.2), inline=False)
        hanging = batcher.submit(None, 1, None)
        outcome = await hanging
        assert isinstance(outcome, Refused)
        assert outcome.status == 504
        assert batcher.stuck == 1
        assert await batcher.submit(7, 1, None) == 7
        release.set()
        while batcher.stuck:
            await asyncio.sleep(0)
        batcher.close()

    asyncio.run(hang_then_go_on())


def test_when_as_many_hang_as_may_the_next_is_refused() -> None:
    release = threading.Event()

    def hang(group: Hashable, items: Sequence[Any]) -> Sequence[Any]:
        release.wait()
        return items

    async def hang_twice() -> None:
        batcher = Batcher(hang, Limits(timeout_s=0.05, stuck_max=1), inline=False)
        first, second = await asyncio.gather(batcher.submit(1, 1, None), batcher.submit(2, 1, None))
        assert (first.status, second.status) in ((504, 503), (504, 504))
        with pytest.raises(Refused) as refused:
            batcher.submit(3, 1, None)
        assert refused.value.status == 503
        release.set()
        while batcher.stuck:
            await asyncio.sleep(0)
        batcher.close()

    asyncio.run(hang_twice())


def test_a_batch_that_takes_too_long_makes_the_next_ones_smaller() -> None:
    work = Doubling()
    batcher = Batcher(work, Limits(batch_latency_s=0.0), inline=False)
    answers(batcher, range(8))
    answers(batcher, range(8))
    assert work.together == [8, 4, 2, 1, 1]
