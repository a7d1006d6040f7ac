"""What an endpoint was asked lately, a slot of some seconds after the other: rates, errors, times, by version."""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_left
from collections import deque
from typing import Final

import msgspec
from headrace.api.serving.stats import BUCKETS_S

SLOT_S: Final = 5
SLOTS_MAX: Final = 240
"""Twenty minutes, where there were requests in every slot."""
VERSIONS_MAX: Final = 22
"""Versions counted apart in one slot; there are no more routes."""


class SlotInfo(msgspec.Struct, frozen=True):
    """One version in the SLOT_S seconds from start_ms (since the epoch, UTC) on.

    version: its label; empty for requests that found none that serves. requests: answers; failed: those of 500 and
    more; refused: those of 400 to 499. Times in ms; p50_ms and p99_ms to the width of a bucket.
    """

    start_ms: int
    version: str
    requests: int
    failed: int
    refused: int
    mean_ms: float
    p50_ms: float
    p99_ms: float


class _Counted:
    __slots__ = ("buckets", "failed", "refused", "requests", "seconds")

    def __init__(self) -> None:
        self.requests = self.failed = self.refused = 0
        self.seconds = 0.0
        self.buckets = [0] * (len(BUCKETS_S) + 1)

    def quantile_ms(self, share: float) -> float:
        passed = 0
        for bound, count in zip(BUCKETS_S, self.buckets, strict=False):
            passed += count
            if passed >= share * self.requests:
                return bound * 1000
        return BUCKETS_S[-1] * 1000


class Traffic:
    """Of one endpoint, since this server started. On the event loop. changed: set with each answer, for who follows."""

    __slots__ = ("_slots", "changed")

    def __init__(self) -> None:
        self.changed = asyncio.Event()
        self._slots: deque[tuple[int, dict[str, _Counted]]] = deque(maxlen=SLOTS_MAX)

    def answered(self, version: str, status: int, seconds: float, now_s: float | None = None) -> None:
        """Count an answer."""
        start = int((time.time() if now_s is None else now_s) // SLOT_S) * SLOT_S
        if not self._slots or self._slots[-1][0] < start:
            self._slots.append((start, {}))
        held = self._slots[-1][1]
        counted = held.get(version)
        if counted is None:
            if len(held) >= VERSIONS_MAX:
                return
            counted = held[version] = _Counted()
        counted.requests += 1
        counted.seconds += seconds
        counted.buckets[bisect_left(BUCKETS_S, seconds)] += 1
        counted.failed += status >= 500
        counted.refused += 400 <= status < 500
        self.changed.set()

    def since(self, start_ms: int = 0) -> list[SlotInfo]:
        """The slots that begin at start_ms or later, oldest first; those in which nothing was asked are left out."""
        return [
            SlotInfo(
                start * 1000,
                version,
                one.requests,
                one.failed,
                one.refused,
                round(one.seconds / one.requests * 1000, 3),
                one.quantile_ms(0.5),
                one.quantile_ms(0.99),
            )
            for start, held in self._slots
            if start * 1000 >= start_ms
            for version, one in held.items()
        ]
