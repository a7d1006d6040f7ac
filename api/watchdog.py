"""Marks runs failed whose trainer went silent: an event like any other, so the history says when and why."""

from __future__ import annotations

import asyncio
import logging
import uuid

from headrace.api.appender import Appender, AppendRefused
from headrace.ingest import codec, events
from headrace.ingest.clock import Clock
from headrace.ingest.envelope import Envelope
from headrace.ingest.log import LogUnavailable
from headrace.processors.entities import Entities
from headrace.processors.runs import SILENCE

logger = logging.getLogger("headrace.watchdog")
CHECK_INTERVAL_S = 1.0


class Watchdog:
    """Looks at the running runs that promised heartbeats."""

    def __init__(self, engine: Entities, appender: Appender, clock: Clock, misses: int) -> None:
        """misses: how many promised heartbeats may stay out, counted from the last one or this server's start."""
        self._engine = engine
        self._appender = appender
        self._clock = clock
        self._misses = misses
        self._started_ms = clock.time_ms()

    def silent(self) -> list[tuple[str, float]]:
        """Runs that are past their time, and for how many seconds each has been silent."""
        now_ms = self._clock.time_ms()
        found = []
        for run_id, (heartbeat_ms, interval_s) in list(self._engine.beating.items()):
            quiet_s = (now_ms - max(heartbeat_ms, self._started_ms)) / 1000
            if quiet_s > interval_s * self._misses:
                found.append((run_id, (now_ms - heartbeat_ms) / 1000))
        return found

    async def check(self) -> int:
        """Mark the silent runs failed; how many there were."""
        now_ms = self._clock.time_ms()
        batch = [
            Envelope(
                id=uuid.uuid4().hex,
                type=codec.type_of(events.RunEnded),
                source="watchdog",
                subject=run_id,
                time_ms=now_ms,
                data=codec.encode_event(
                    events.RunEnded("FAILED", now_ms, f"{SILENCE} for {quiet_s:.0f} s: its trainer died or was cut off")
                ),
            )
            for run_id, quiet_s in self.silent()
        ]
        if batch:
            await self._appender.append(batch)
        return len(batch)

    async def run(self) -> None:
        """Check for as long as the server lives."""
        while True:
            await asyncio.sleep(CHECK_INTERVAL_S)
            try:
                await self.check()
            except (LogUnavailable, AppendRefused) as error:
                logger.warning("silent runs were not marked: %s", error)
