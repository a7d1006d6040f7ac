"""The feed tells every event once and in order, from any place on, to whoever reads, and lets go at once."""

from __future__ import annotations

import asyncio

import pyarrow as pa
import pytest
from headrace.api.feed.cursor import BadCursor
from headrace.api.feed.feed import FeedFull
from headrace.ingest import events as e
from headrace.ingest import points
from headrace.ingest.clock import ManualClock
from headrace.ingest.envelope import ARROW, Envelope
from headrace.ingest.log import Partition
from headrace.ingest.memory import MemoryLog
from headrace.processors.watermark import Watermark

from tests.feeding import Folds, Message, event, feeding, messages, opened, parsed, run, take


def subjects(found: list[Message]) -> list[str]:
    return [message.data["subject"] for message in found]


def test_a_reader_from_the_beginning_gets_the_past_and_then_what_comes() -> None:
    async def test() -> None:
        log = MemoryLog()
        log.append([event("experiment.created", "x"), event("run.created", "a")])
        async with feeding(log) as feed:
            stream = messages(feed.events(await opened(feed, "begin")))
            assert [(await anext(stream)).data["subject"] for _ in range(2)] == ["x", "a"]
            log.append([event("run.ended", "a", {"status": "FINISHED"})])
            message = await anext(stream)
            assert message.data["type"] == "headrace.run.ended"
            assert message.data["data"] == {"status": "FINISHED"}
            assert message.id == "registry/0/1,runs/0/2,metrics/0/0"

    run(test())


def test_a_reader_from_now_gets_nothing_of_the_past() -> None:
    async def test() -> None:
        log = MemoryLog()
        log.append([event("run.created", "old")])
        async with feeding(log) as feed:
            stream = feed.events(await opened(feed))
            log.append([event("run.created", "new")])
            assert subjects(await take(stream, 1)) == ["new"]

    run(test())


def test_a_time_is_a_place_to_begin_at() -> None:
    async def test() -> None:
        clock = ManualClock(1000)
        log = MemoryLog(clock)
        for name in ("a", "b", "c"):
            log.append([event("run.created", name)])
            clock.advance(1)
        async with feeding(log) as feed:
            begun = clock.time_ms() - 2000
            assert subjects(await take(feed.events(await opened(feed, str(begun))), 2)) == ["b", "c"]

    run(test())


def test_the_id_of_each_message_goes_on_behind_it() -> None:
    async def test() -> None:
        log = MemoryLog()
        log.append([event("run.created", f"r{n}") for n in range(5)])
        async with feeding(log) as feed:
            found = await take(feed.events(await opened(feed, "begin")), 3)
            assert subjects(await take(feed.events(await opened(feed, found[-1].id)), 2)) == ["r3", "r4"]

    run(test())


def test_what_was_logged_at_the_same_time_comes_experiment_first_then_run_then_points() -> None:
    async def test() -> None:
        log = MemoryLog(ManualClock(5))
        log.append([event("metrics.logged", "r", b"?"), event("run.created", "r"), event("experiment.created", "x")])
        async with feeding(log) as feed:
            found = await take(feed.events(await opened(feed, "begin")), 3)
            assert [m.position for m in found] == ["registry/0/0", "runs/0/0", "metrics/0/0"]

    run(test())


def test_events_are_chosen_by_type_run_and_experiment() -> None:
    async def test() -> None:
        log = MemoryLog()
        folds = Folds({"a": "1", "b": "2"})
        async with feeding(log, folds) as feed:
            log.append([event("experiment.created", "1"), event("experiment.created", "2")])
            log.append([event("run.created", "a"), event("run.created", "b"), event("run.ended", "a")])
            log.append([event("run.created", "nobody's")])

            async def told(**which: list[str]) -> list[tuple[str, str]]:
                answer = await feed.poll(await opened(feed, "begin", **which), 100, 0)
                assert answer.caught_up
                found = [parsed(f"data: {text.decode()}\n\n")[0].data for text in answer.events]
                return [(one["subject"], one["type"].removeprefix("headrace.")) for one in found]

            assert await told(run_ids=["a"]) == [("a", "run.created"), ("a", "run.ended")]
            assert await told(types=["run.ended"]) == [("a", "run.ended")]
            assert await told(types=["headrace.run.*"], run_ids=["b,other"]) == [("b", "run.created")]
            assert await told(experiment_ids=["2"]) == [("2", "experiment.created"), ("b", "run.created")]
            assert await told(experiment_ids=["1"], types=["run.c*", "experiment.*"]) == [
                ("1", "experiment.created"),
                ("a", "run.created"),
            ]

    run(test())


def test_a_run_that_moves_is_told_where_it_goes_and_where_it_was_and_then_only_there() -> None:
    async def test() -> None:
        log, folds = MemoryLog(), Folds({"a": "1"})
        async with feeding(log, folds) as feed:
            streams = [feed.events(await opened(feed, experiment_ids=[x])) for x in ("1", "2")]
            tasks = [asyncio.ensure_future(take(stream, 2)) for stream in streams]
            log.append([event("run.created", "a")])
            while not folds.asked:
                await asyncio.sleep(0.005)
            folds.experiments["a"] = "2"
            log.append([event("run.moved", "a", {"experiment_id": "2"}), event("run.ended", "a")])
            before, after = [[m.data["type"] for m in await task] for task in tasks]
            assert before == ["headrace.run.created", "headrace.run.moved"]
            assert after == ["headrace.run.moved", "headrace.run.ended"]

    run(test())


def test_what_only_the_views_know_waits_for_them_and_is_not_left_out() -> None:
    async def test() -> None:
        log, folds = MemoryLog(), Folds({"a": "1"}, away=True)
        async with feeding(log, folds) as feed:
            stream = asyncio.ensure_future(take(feed.events(await opened(feed, experiment_ids=["1"])), 1))
            log.append([event("run.created", "a")])
            await asyncio.sleep(0.2)
            folds.away = False
            assert subjects(await stream) == ["a"]

    run(test())


def test_points_that_come_before_their_run_was_folded_wait_for_it() -> None:
    async def test() -> None:
        log, folds = MemoryLog(), Folds(folded=Watermark({}))
        async with feeding(log, folds) as feed:
            stream = asyncio.ensure_future(take(feed.events(await opened(feed, experiment_ids=["1"])), 1))
            log.append([event("run.created", "a")])
            stream_2 = asyncio.ensure_future(
                take(feed.events(await opened(feed, types=["metrics.*"], experiment_ids=["1"])), 1)
            )
            log.append([event("metrics.logged", "a")])
            await asyncio.sleep(0.1)
            assert not stream.done()
            folds.experiments["a"] = "1"
            folds.folded.advance({Partition("runs", 0): 1})
            assert subjects(await stream) == subjects(await stream_2) == ["a"]

    run(test())


def envelope_of(values: list[float]) -> Envelope:
    count = len(values)
    columns = {
        "key": pa.array(["loss"] * count),
        "step": pa.array(range(count), pa.int64()),
        "timestamp_ms": pa.array(range(count), pa.int64()),
        "value": pa.array(values, pa.float64()),
    }
    return Envelope("p", e.METRICS_LOGGED, "test", "a", 5, points.encode(columns), ARROW, writer="w", sequence=7)


def test_points_come_as_a_digest_or_each_of_them() -> None:
    async def test() -> None:
        log = MemoryLog()
        log.append([envelope_of([0.5, float("inf"), float("nan")])])
        async with feeding(log) as feed:
            [short] = await take(feed.events(await opened(feed, "begin")), 1)
            [whole] = await take(feed.events(await opened(feed, "begin"), with_points=True), 1)
            last = {"points": 3, "last_step": 2, "last_timestamp_ms": 2, "last_value": "NaN"}
            assert short.data["metrics"] == {"loss": last}
            assert (short.data["writer"], short.data["sequence"]) == ("w", 7)
            assert [point["value"] for point in whole.data["points"]] == [0.5, "Infinity", "NaN"]

    run(test())


def test_data_that_cannot_be_read_comes_as_it_is() -> None:
    async def test() -> None:
        log = MemoryLog()
        log.append([event("run.created", "a", b"poison"), event("metrics.logged", "a", b"\xff")])
        async with feeding(log) as feed:
            found = await take(feed.events(await opened(feed, "begin")), 2)
            assert [message.data["data_base64"] for message in found] == ["cG9pc29u", "/w=="]

    run(test())


@pytest.mark.parametrize(
    ("after", "reason"),
    [
        ("yesterday", "is no moment"),
        ("runs/0/9", "of another log"),
        ("runs/7/0", "has no partition"),
        ("dead_letters/0/0", "does not tell the topic"),
        ("1" * 20_000, "at most 16,384 characters"),
    ],
)
def test_a_cursor_of_no_place_is_refused_and_costs_no_reader(after: str, reason: str) -> None:
    async def test() -> None:
        async with feeding(MemoryLog()) as feed:
            with pytest.raises(BadCursor, match=reason):
                await opened(feed, after)
            assert feed.readers == 0

    run(test())


def test_a_silent_stream_sends_heartbeats_with_its_cursor() -> None:
    async def test() -> None:
        async with feeding(MemoryLog(), heartbeat_s=0.01) as feed:
            stream = feed.events(await opened(feed))
            assert (await anext(stream)).startswith(b"retry: 1000\nid: registry/0/0,")
            assert await anext(stream) == b"id: registry/0/0,runs/0/0,metrics/0/0\n: heartbeat\n\n"
            await stream.aclose()

    run(test())


def test_beyond_the_limit_a_reader_is_refused_until_one_has_left() -> None:
    async def test() -> None:
        async with feeding(MemoryLog(), readers_max=1) as feed:
            first = await opened(feed)
            with pytest.raises(FeedFull, match="1 readers"):
                await opened(feed)
            feed.leave(first)
            feed.leave(first)
            await opened(feed)
            assert feed.readers == 1

    run(test())


def test_close_ends_every_stream_at_once() -> None:
    async def test() -> None:
        async with feeding(MemoryLog()) as feed:
            streams = [feed.events(await opened(feed)), feed.digests(await opened(feed))]
            for stream in streams:
                await anext(stream)
            ends = [asyncio.ensure_future(take(stream, 1)) for stream in streams]
            answer = asyncio.ensure_future(feed.poll(await opened(feed), 1, 30))
            await asyncio.to_thread(feed.close)
            assert [await end for end in ends] == [[], []]
            assert (await answer).events == []
            assert feed.readers == 0
            with pytest.raises(FeedFull, match="stopping"):
                await opened(feed)

    run(test())


def test_a_poll_answers_at_once_when_there_is_something_else_when_it_comes_or_time_is_over() -> None:
    async def test() -> None:
        log = MemoryLog()
        log.append([event("run.created", f"r{n}") for n in range(3)])
        async with feeding(log) as feed:
            first = await feed.poll(await opened(feed, "begin"), 2, 30)
            assert (len(first.events), first.caught_up) == (2, False)
            second = await feed.poll(await opened(feed, first.next), 2, 30)
            assert (len(second.events), second.caught_up) == (1, True)
            nothing = await feed.poll(await opened(feed, second.next), 2, 0.01)
            assert (nothing.events, nothing.next) == ([], second.next)
            waiting = asyncio.ensure_future(feed.poll(await opened(feed, second.next), 2, 30))
            await asyncio.sleep(0.05)
            log.append([event("run.created", "r3")])
            assert len((await waiting).events) == 1

    run(test())
