"""Pages hear what has changed, no more often than agreed, and go on exactly where they were."""

from __future__ import annotations

import asyncio
from typing import Any

from headrace.api.feed.digest import RECORDS_MAX, Digest
from headrace.api.feed.entry import Entry
from headrace.api.feed.standing import Standing
from headrace.ingest.log import Position, Record
from headrace.ingest.memory import MemoryLog

from tests.feeding import Folds, Message, event, feeding, messages, opened, run, take


def changed(run_ids: list[str], experiment_ids: list[str] | None = None) -> Any:
    return {"run_ids": run_ids, "experiment_ids": experiment_ids or []}


async def next_changed(stream: Any) -> Message:
    async for message in stream:
        if message.event == "changed":
            found: Message = message
            return found
    raise AssertionError("it ended")


def test_runs_reach_only_the_pages_of_their_experiment_and_experiments_reach_all() -> None:
    async def test() -> None:
        log = MemoryLog()
        async with feeding(log, Folds({"a": "1", "b": "2"})) as feed:
            one = feed.digests(await opened(feed, experiment_ids=["1"]))
            every = feed.digests(await opened(feed))
            log.append([event("run.created", "a"), event("run.created", "b"), event("experiment.created", "3")])
            log.append([event("run.created", "unknown")])
            await asyncio.sleep(0.1)
            assert (await take(one, 1))[0].data == changed(["a"], ["3"])
            assert (await take(every, 1))[0].data == changed(["a", "b", "unknown"], ["3"])

    run(test())


def test_many_changes_come_together_in_one_message() -> None:
    async def test() -> None:
        log = MemoryLog()
        async with feeding(log, digest_interval_s=0.3) as feed:
            stream = messages(feed.digests(await opened(feed)))
            log.append([event("run.created", "a")])
            assert (await next_changed(stream)).data == changed(["a"])
            began = asyncio.get_running_loop().time()
            log.append([event("run.created", "b")])
            log.append([event("run.created", "c")])
            assert (await next_changed(stream)).data == changed(["b", "c"])
            assert asyncio.get_running_loop().time() - began >= 0.25

    run(test())


def test_a_page_goes_on_behind_its_last_message() -> None:
    async def test() -> None:
        log = MemoryLog()
        async with feeding(log) as feed:
            stream = feed.digests(await opened(feed))
            log.append([event("run.created", "a")])
            [message] = await take(stream, 1)
            log.append([event("run.created", "b")])
            [again] = await take(feed.digests(await opened(feed, message.id)), 1)
            assert again.data == changed(["b"])

    run(test())


def test_more_changes_than_can_be_named_are_told_as_all() -> None:
    digest = Digest(ids_max=2)
    for number in range(3):
        record = Record(Position("runs", 0, number), 0, event("run.created", f"r{number}"))
        digest.add(Entry(record), "")
    assert digest.taken() == b'{"all":true}'
    assert not digest
    digest.add(Entry(Record(Position("runs", 0, 3), 0, event("run.created", "d"))), "")
    assert digest.taken() == b'{"run_ids":["d"],"experiment_ids":[]}'


def test_a_page_that_comes_back_after_very_long_is_told_that_all_may_have_changed() -> None:
    async def test() -> None:
        log = MemoryLog()
        log.append([event("run.created", f"r{n}") for n in range(RECORDS_MAX + 1)])
        async with feeding(log) as feed:
            [message] = await take(feed.digests(await opened(feed, "begin")), 1)
            assert message.data == {"all": True}
            assert message.id == f"registry/0/0,runs/0/{RECORDS_MAX + 1},metrics/0/0"

    run(test())


def test_when_only_the_views_know_whose_run_it_is_and_are_away_all_may_have_changed() -> None:
    async def test() -> None:
        log = MemoryLog()
        async with feeding(log, Folds(away=True)) as feed:
            stream = feed.digests(await opened(feed, experiment_ids=["1"]))
            log.append([event("run.created", "a")])
            assert (await take(stream, 1))[0].data == {"all": True}

    run(test())


def test_pages_hear_how_far_the_views_are_behind_and_why_and_only_when_it_changes() -> None:
    async def test() -> None:
        asked: list[int] = []
        away = Standing(7, "ClickHouse is away")
        answers = [Standing(0, None), away, away, Standing(0, None)]

        async def standing() -> Standing:
            asked.append(1)
            return answers[min(len(asked), len(answers)) - 1]

        async with feeding(
            MemoryLog(), ask_standing=standing, digest_interval_s=0.01, standing_interval_s=0.02
        ) as feed:
            stream = feed.events(await opened(feed))
            await asyncio.sleep(0.1)
            assert asked == [], "nobody wants to know"
            await stream.aclose()
            told = await take(feed.digests(await opened(feed)), 3)
            assert {message.event for message in told} == {"views"}
            assert [message.data["behind"] for message in told] == [0, 7, 0]
            assert told[1].data["fault"] == "ClickHouse is away"

    run(test())
