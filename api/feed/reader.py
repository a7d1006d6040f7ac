"""One reader of the feed: where it stands, and what comes next for it, from the ring or from the log."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import dataclass

from headrace.api.ends import Ends
from headrace.api.feed import reading
from headrace.api.feed.cursor import text_of
from headrace.api.feed.entry import Entry
from headrace.api.feed.tail import Tail
from headrace.api.feed.wanted import Wanted
from headrace.ingest.log import Log, LogUnavailable, Partition


@dataclass(frozen=True, slots=True)
class Next:
    """Entries that are wanted by type and run, and the offsets to go on from once they are passed on."""

    entries: list[Entry]
    offsets: Mapping[Partition, int]
    place: int | None


class Reader:
    """Takes what comes next only when it is asked to: the bound of its memory. On the event loop."""

    def __init__(
        self, log: Log, tail: Tail, ends: Ends, executor: Executor, wanted: Wanted, offsets: Mapping[Partition, int]
    ) -> None:
        """offsets: where to begin, of every partition that is fed."""
        self._log = log
        self._tail = tail
        self._ends = ends
        self._executor = executor
        self.wanted = wanted
        self.left = False
        """Whether its place in the feed is given away."""
        self.offsets = dict(offsets)
        there = wanted.partitions(list(offsets))
        self._partitions = frozenset(there)
        self._place: int | None = None
        self._goal: dict[Partition, int] = {}

    @property
    def cursor(self) -> str:
        """Where it stands, as text."""
        return text_of(self.offsets)

    @property
    def live(self) -> bool:
        """Whether it has come to what is logged now."""
        return self._place is not None

    @property
    def has_more(self) -> bool:
        """Whether next() has something to look into now."""
        return self._place is None or self._place < self._tail.place

    def at(self, ends: Mapping[Partition, int]) -> bool:
        """Whether all that it wants has been passed on up to these ends."""
        return all(self.offsets[p] >= ends.get(p, 0) for p in self._partitions)

    async def next(self, timeout_s: float, *, from_log: bool = False) -> Next:
        """What comes next: from the log at once, from the ring when something comes, in timeout_s at most.

        Nothing moves before pass_on() and moved(). from_log: look there in any case. Raises LogUnavailable, LogError
        for what has expired.
        """
        if from_log:
            self._place = None
            return await self._from_log()
        found = None if self._place is None else self._tail.since(self._place)
        if found is None:
            self._place = self._tail.join(self._of_wanted())
            if self._place is None:
                return await self._from_log()
        assert self._place is not None
        await self._tail.news(self._place, timeout_s)
        found = self._tail.since(self._place)
        if found is None:
            self._place = None
            return await self._from_log()
        entries, place = found
        offsets = dict(self.offsets)
        fresh = []
        for entry in entries:
            partition, offset = entry.partition, entry.record.position.offset
            if offset >= offsets[partition]:
                offsets[partition] = offset + 1
                if partition in self._partitions and self.wanted.takes(entry.record.envelope):
                    fresh.append(entry)
        return Next(fresh, offsets, place)

    async def ahead(self) -> int:
        """How many records lie between where it stands and the log's end. Raises LogUnavailable."""
        ends = await self._ends.now()
        return sum(max(0, ends.get(p, 0) - self.offsets[p]) for p in self._partitions)

    async def leap(self) -> None:
        """Go to the log's end, whatever lies between. Raises LogUnavailable."""
        ends = await self._ends.now()
        self.offsets |= {p: max(offset, ends.get(p, 0)) for p, offset in self.offsets.items()}
        self._place = None

    def pass_on(self, entry: Entry) -> None:
        """This one is passed on: the cursor is behind it."""
        self.offsets[entry.partition] = entry.record.position.offset + 1

    def moved(self, past: Next) -> None:
        """All of it is passed on."""
        self.offsets |= past.offsets
        self._place = past.place

    async def _from_log(self) -> Next:
        at = self._of_wanted()
        if all(offset >= self._goal.get(p, 0) for p, offset in at.items()):
            self._goal = await self._ends.now()
            if self._tail.fault is not None and self.at(self._goal):
                raise LogUnavailable(self._tail.fault)
        loop = asyncio.get_running_loop()
        piece = await loop.run_in_executor(self._executor, reading.read, self._log, at, self._goal, self.wanted)
        return Next([Entry(record) for record in piece.records], piece.offsets, None)

    def _of_wanted(self) -> dict[Partition, int]:
        return {p: offset for p, offset in self.offsets.items() if p in self._partitions}
