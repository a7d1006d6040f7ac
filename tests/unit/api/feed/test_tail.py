"""What is newest is read of the log once; who falls behind it goes on in the log and misses nothing."""

from __future__ import annotations

import asyncio

from headrace.ingest.log import Partition, Record
from headrace.ingest.memory import MemoryLog

from tests.feeding import event, feeding, messages, opened, run, take


class Counted(MemoryLog):
    """A log that counts its reads."""

    reads = 0

    def read(self, partition: Partition, offset: int, records_max: int, bytes_max: int) -> list[Record]:
        self.reads += 1
        return super().read(partition, offset, records_max, bytes_max)


def test_many_readers_of_what_comes_read_the_log_as_often_as_one() -> None:
    async def reads(readers: int) -> int:
        log = Counted()
        async with feeding(log) as feed:
            streams = [asyncio.ensure_future(take(feed.events(await opened(feed)), 20)) for _ in range(readers)]
            for number in range(20):
                log.append([event("run.created", f"r{number}")])
                await asyncio.sleep(0.002)
            found = [[m.data["subject"] for m in await stream] for stream in streams]
            assert found == [[f"r{n}" for n in range(20)]] * readers
        return log.reads

    async def test() -> None:
        one = await reads(1)
        assert await reads(50) < 3 * one + 50

    run(test())


def test_a_reader_that_falls_out_of_the_ring_goes_on_in_the_log() -> None:
    async def test() -> None:
        log = MemoryLog()
        async with feeding(log, ring_bytes=5_000) as feed:
            slow = messages(feed.events(await opened(feed)))
            quick = feed.events(await opened(feed))
            log.append([event("run.created", "r0")])
            assert (await anext(slow)).data["subject"] == "r0"
            for number in range(1, 300):
                log.append([event("run.created", f"r{number}")])
                if number % 50 == 0:
                    await asyncio.sleep(0.05)
            assert len(await take(quick, 300)) == 300
            rest = [(await anext(slow)).data["subject"] for _ in range(299)]
            assert rest == [f"r{n}" for n in range(1, 300)]

    run(test())


def test_the_log_is_followed_while_there_are_readers_and_again_later() -> None:
    async def test() -> None:
        log = MemoryLog()
        async with feeding(log, idle_s=0) as feed:
            for name in ("a", "b"):
                stream = feed.events(await opened(feed))
                await anext(stream)
                log.append([event("run.created", name)])
                assert [m.data["subject"] for m in await take(stream, 1)] == [name]
                log.append([event("run.created", "unseen")])
                await asyncio.sleep(0.05)

    run(test())


def test_what_was_erased_is_told_to_nobody_from_the_ring() -> None:
    async def test() -> None:
        log = MemoryLog()
        async with feeding(log) as feed:
            first = await opened(feed)
            log.append([event("run.created", "a", {"name": "secret"}), event("run.created", "b", {"name": "kept"})])
            assert len(await take(feed.events(first), 2)) == 2
            slow = feed.events(await opened(feed, "runs/0/0"))
            log.append([event("run.erased", "a")])
            await take(feed.events(await opened(feed, "runs/0/2")), 1)
            found = await take(slow, 3)
            assert [m.data["type"].removeprefix("headrace.") for m in found] == [
                "run.record-erased",
                "run.created",
                "run.erased",
            ]
            assert [m.data["data"] for m in found] == [{}, {"name": "kept"}, {}]

    run(test())
