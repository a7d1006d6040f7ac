"""How fast the log grows and the views follow: a sample every few seconds, the last ten minutes of them."""

from __future__ import annotations

import asyncio
from collections import deque

import msgspec
from headrace.api.ends import Ends
from headrace.ingest.clock import Clock
from headrace.ingest.log import LogUnavailable
from headrace.processors.entities import Entities

INTERVAL_S = 5.0
SAMPLES_MAX = 120
RATE_MS = 15_000
"""A rate is over so much of the past."""


class Sample(msgspec.Struct, frozen=True):
    """One moment.

    time_ms: since the epoch, UTC. appended: events in the log; viewed: those that the views hold; points: metric points
    that this server has folded since its start.
    """

    time_ms: int
    appended: int
    viewed: int
    points: int


class Rate(msgspec.Struct, frozen=True):
    """Per second, over the seconds over_s before the newest sample."""

    over_s: float
    appended_s: float
    viewed_s: float
    points_s: float


class Rates:
    """Takes the samples. On the event loop."""

    def __init__(self, ends: Ends, engine: Entities, clock: Clock) -> None:
        self.samples: deque[Sample] = deque(maxlen=SAMPLES_MAX)
        self.started_ms = clock.time_ms()
        self._ends = ends
        self._engine = engine
        self._clock = clock

    async def sample(self) -> Sample:
        """Look now, and keep what was seen where the last look is long enough ago. Raises LogUnavailable."""
        viewed = self._engine.viewed.offsets()
        ends = await self._ends.now()
        appended = sum(end for partition, end in ends.items() if partition in viewed)
        taken = Sample(self._clock.time_ms(), appended, sum(viewed.values()), self._engine.counters.points)
        if not self.samples or taken.time_ms - self.samples[-1].time_ms >= INTERVAL_S * 900:
            self.samples.append(taken)
        return taken

    def rate(self, now: Sample) -> Rate:
        """How fast it went lately."""
        began = next((x for x in self.samples if now.time_ms - x.time_ms <= RATE_MS), now)
        over_s = (now.time_ms - began.time_ms) / 1000
        if over_s <= 0:
            return Rate(0, 0, 0, 0)

        def per_s(newer: int, older: int) -> float:
            # A rebuild may set the views back.
            return round(max(0, newer - older) / over_s, 2)

        return Rate(
            over_s,
            per_s(now.appended, began.appended),
            per_s(now.viewed, began.viewed),
            per_s(now.points, began.points),
        )

    async def run(self) -> None:
        """Look for as long as the server lives."""
        while True:
            try:
                await self.sample()
            except LogUnavailable:
                pass  # There is a gap in the samples, as in the log's answers.
            await asyncio.sleep(INTERVAL_S)
