"""Micro-batching: what waits in one turn of the event loop is predicted together.

Requests of one group are stacked, predicted once and split. A short prediction runs in the event loop itself, for a
hop to another thread costs more than it; a long one runs on one thread of its own, and what comes meanwhile is the
next batch. How many rows a batch may have follows the latency bound: halved when a batch took longer, grown when full
ones take less. A batch that fails is predicted again, one request at a time, so that only what is bad fails.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from headrace.sdk.serving import faults
from headrace.sdk.serving.prediction_thread import PredictionThread

Outcome: TypeAlias = Any
"""What a prediction gave, or the exception that it raised."""
Work: TypeAlias = Callable[[Hashable, Sequence[Any]], Sequence[Outcome]]
"""Predicts the data of several requests of one group together: one outcome for each. Raises when they cannot be."""

LEARNING = 0.2


@dataclass(frozen=True, slots=True)
class Limits:
    """The bounds of a scorer.

    body_bytes_max: of one request's body. queue_requests_max: that wait; one more is answered 429. timeout_s: from the
    arrival of a request to its answer. batch_rows_max: of requests predicted together; 1 turns batching off.
    batch_latency_s: how long one batch may take; batches shrink until they do. batch_wait_s: how long the first of a
    batch waits for company beyond its turn of the event loop. inline_s: a prediction expected to take less runs in the
    event loop. stuck_max: predictions that were given up and still run, beside which new ones are begun.
    """

    body_bytes_max: int = 64 * 1024 * 1024
    queue_requests_max: int = 1024
    timeout_s: float = 60.0
    batch_rows_max: int = 4096
    batch_latency_s: float = 0.02
    batch_wait_s: float = 0.0
    inline_s: float = 0.004
    stuck_max: int = 4


@dataclass(slots=True, eq=False)
class _Job:
    data: Any
    rows: int
    group: Hashable | None
    deadline_s: float
    future: asyncio.Future[Outcome]


@dataclass(slots=True)
class Tally:
    """What a batcher did: batches predicted, requests and rows in them, requests that were predicted again alone."""

    batches: int = 0
    requests: int = 0
    rows: int = 0
    again: int = 0
    seconds: float = 0.0


@dataclass(slots=True, eq=False)
class _Running:
    jobs: list[_Job]
    timer: asyncio.TimerHandle
    thread: PredictionThread
    given_up: bool = False


@dataclass(slots=True, eq=False)
class Batcher:
    """Predicts requests, those of one group together.

    work: what predicts. limits: the bounds. inline: whether a short prediction may run in the event loop, which a model
    whose time does not follow from its rows alone must not. All calls come from one event loop.
    """

    work: Work
    limits: Limits
    inline: bool
    tally: Tally = field(default_factory=Tally)
    stuck: int = 0
    _waiting: deque[_Job] = field(default_factory=deque)
    _scheduled: bool = False
    _running: _Running | None = None
    _thread: PredictionThread | None = None
    _rows_max: int = 0
    _seconds_of_rows: list[float | None] = field(default_factory=lambda: [None] * 64)

    def __post_init__(self) -> None:
        self._rows_max = self.limits.batch_rows_max

    @property
    def waiting(self) -> int:
        """Requests that wait for their prediction."""
        return len(self._waiting)

    def submit(self, data: Any, rows: int, group: Hashable | None) -> asyncio.Future[Outcome]:
        """Wait for a turn. rows: of data, at least 0. group: requests of equal groups may be stacked; None is alone.

        Returns the future of its outcome. Raises Refused: 429 when too many wait, 503 when too many are stuck.
        """
        if len(self._waiting) >= self.limits.queue_requests_max:
            raise faults.too_many(self.limits.queue_requests_max)
        if self.stuck >= self.limits.stuck_max:
            raise faults.stuck(self.stuck)
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Outcome] = loop.create_future()
        self._waiting.append(_Job(data, rows, group, loop.time() + self.limits.timeout_s, future))
        if not self._scheduled and self._running is None:
            self._schedule(loop, self.limits.batch_wait_s if group is not None else 0.0)
        return future

    def close(self) -> None:
        """Let the thread end; what waits is not predicted any more."""
        if self._thread is not None:
            self._thread.close()
            self._thread = None

    def _schedule(self, loop: asyncio.AbstractEventLoop, wait_s: float = 0.0) -> None:
        self._scheduled = True
        if wait_s:
            loop.call_later(wait_s, self._turn, loop)
        else:
            loop.call_soon(self._turn, loop)

    def _turn(self, loop: asyncio.AbstractEventLoop) -> None:
        self._scheduled = False
        if self._running is not None:
            return
        jobs, rows = self._take(loop.time())
        if not jobs:
            return
        expected_s = self._seconds_of_rows[rows.bit_length()]
        if self.inline and expected_s is not None and expected_s < self.limits.inline_s:
            started_s = time.perf_counter()
            outcomes = self._predict(jobs)
            self._learn(jobs, rows, time.perf_counter() - started_s)
            _settle(jobs, outcomes)
            if self._waiting:
                self._schedule(loop)
        else:
            self._begin(loop, jobs, rows)

    def _take(self, now_s: float) -> tuple[list[_Job], int]:
        """The oldest that waits and all of its group that fit beside it; their order stays."""
        jobs: list[_Job] = []
        rows = 0
        others: deque[_Job] = deque()
        for job in self._waiting:
            if job.future.done():
                continue
            if job.deadline_s <= now_s:
                job.future.set_result(faults.too_late(self.limits.timeout_s))
            elif not jobs:
                jobs.append(job)
                rows = job.rows
            elif job.group is not None and job.group == jobs[0].group and rows + job.rows <= self._rows_max:
                jobs.append(job)
                rows += job.rows
            else:
                others.append(job)
        self._waiting = others
        return jobs, rows

    def _predict(self, jobs: Sequence[_Job]) -> Sequence[Outcome]:
        if len(jobs) > 1:
            try:
                outcomes = self.work(jobs[0].group, [job.data for job in jobs])
                if len(outcomes) == len(jobs):
                    return outcomes
            except Exception:
                pass  # Each alone: then what is bad fails alone, and says why.
            self.tally.again += len(jobs)
        return [self._alone(job) for job in jobs]

    def _alone(self, job: _Job) -> Outcome:
        try:
            return self.work(job.group, [job.data])[0]
        except Exception as error:
            return error

    def _begin(self, loop: asyncio.AbstractEventLoop, jobs: list[_Job], rows: int) -> None:
        """Predict on the thread; when the oldest's time is over all are answered, and a new thread goes on."""
        if self._thread is None:
            self._thread = PredictionThread()
        timer = loop.call_at(min(job.deadline_s for job in jobs), self._give_up, loop)
        running = self._running = _Running(jobs, timer, self._thread)

        def predict() -> None:
            started_s = time.perf_counter()
            outcomes = self._predict(jobs)
            taken_s = time.perf_counter() - started_s
            try:
                loop.call_soon_threadsafe(self._end, loop, running, outcomes, rows, taken_s)
            except RuntimeError:
                pass  # The loop was closed: nobody waits any more.

        self._thread.submit(predict)

    def _end(
        self,
        loop: asyncio.AbstractEventLoop,
        running: _Running,
        outcomes: Sequence[Outcome],
        rows: int,
        taken_s: float,
    ) -> None:
        if running.given_up:
            self.stuck -= 1
            running.thread.close()
            return
        running.timer.cancel()
        self._running = None
        self._learn(running.jobs, rows, taken_s)
        _settle(running.jobs, outcomes)
        if self._waiting and not self._scheduled:
            self._schedule(loop)

    def _give_up(self, loop: asyncio.AbstractEventLoop) -> None:
        running = self._running
        if running is None:
            return
        running.given_up = True
        self.stuck += 1
        self._running = self._thread = None
        _settle(running.jobs, [faults.too_late(self.limits.timeout_s)] * len(running.jobs))
        if self.stuck >= self.limits.stuck_max:
            waiting, self._waiting = list(self._waiting), deque()
            _settle(waiting, [faults.stuck(self.stuck)] * len(waiting))
        elif self._waiting and not self._scheduled:
            self._schedule(loop)

    def _learn(self, jobs: Sequence[_Job], rows: int, taken_s: float) -> None:
        """How long rows take, by powers of two; and how many a batch may have."""
        bucket = rows.bit_length()
        before_s = self._seconds_of_rows[bucket]
        self._seconds_of_rows[bucket] = taken_s if before_s is None else before_s + LEARNING * (taken_s - before_s)
        tally = self.tally
        tally.batches += 1
        tally.requests += len(jobs)
        tally.rows += rows
        tally.seconds += taken_s
        if len(jobs) > 1 and taken_s > self.limits.batch_latency_s:
            self._rows_max = max(1, rows // 2)
        elif self._rows_max < self.limits.batch_rows_max and 2 * rows >= self._rows_max:
            self._rows_max = min(self.limits.batch_rows_max, self._rows_max + self._rows_max // 4 + 1)


def _settle(jobs: Sequence[_Job], outcomes: Sequence[Outcome]) -> None:
    for job, outcome in zip(jobs, outcomes, strict=True):
        if not job.future.done():
            job.future.set_result(outcome)
