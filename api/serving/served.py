"""One model version on one endpoint: its workers, kept alive, and the way of a request to one of them."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

from headrace.api.serving.process import Answer, LoadFailed, Program, WorkerEnded, WorkerProcess
from headrace.api.serving.stats import Stats
from headrace.ingest.events import EndpointOptions
from headrace.sdk.serving.faults import Refused
from headrace.sdk.serving.frames import Load

logger = logging.getLogger("headrace.serving")

BACKOFF_FIRST_S: Final = 0.5
BACKOFF_MAX_S: Final = 30.0
HEALTHY_S: Final = 60.0
"""A worker that lived so long ended by chance: the next one starts at once."""
PATIENT_FAILURES: Final = 3
"""Requests wait for a worker that comes back; not when that has failed so often."""
ATTEMPTS: Final = 2
"""A request whose worker ended is sent once more; one that ends two is refused."""
ANSWER_GRACE_S: Final = 1.0
"""A worker answers by itself when time is over; this is for when it does not even do that."""
HANG_S: Final = 10.0
"""A worker whose answer is late and that has said nothing at all for so long hangs, and is ended."""
IN_FLIGHT_BYTES_MAX: Final = 512 * 1024 * 1024
DRAIN_S: Final = 90.0

PREPARING, LOADING, READY, RESTARTING, FAILED, ENDED = (
    "preparing",
    "loading",
    "ready",
    "restarting",
    "failed",
    "ended",
)
STATES: Final = (PREPARING, LOADING, READY, RESTARTING, FAILED, ENDED)


class Version(NamedTuple):
    """The model version that is served. model and version are empty for a logged model that is not registered.

    identity: what tells it from all others, however it is named. location: where its files lie, a URI. digest: of its
    files, empty where none was taken.
    """

    identity: str
    model: str
    version: str
    model_id: str
    run_id: str
    location: str
    digest: str

    @property
    def label(self) -> str:
        """What people call it."""
        return f"{self.model}/{self.version}" if self.model else self.model_id


class Prepared(NamedTuple):
    """What is there once files and environment are. program: what is run; folder: the model's files."""

    program: Program
    folder: Path
    environment: str


Prepare = Callable[[Version, EndpointOptions], Awaitable[Prepared]]


class Served:
    """A version, its workers and its numbers, on the event loop.

    state: one of STATES; reason: why it is not ready, or was not lately; since_ms: when the state began.
    """

    def __init__(
        self,
        version: Version,
        options: EndpointOptions,
        stats: Stats,
        prepare: Prepare,
        turns: asyncio.Semaphore,
        gently: bool,
        load_timeout_s: float,
        body_bytes_max: int,
    ) -> None:
        """turns: how many load at once. gently: let others go first while it loads. load_timeout_s: for one worker.
        body_bytes_max: of one request."""
        self.version = version
        self.options = options
        self.stats = stats
        self.state = PREPARING
        self.reason = ""
        self.since_ms = _now_ms()
        self.environment = ""
        self.load_s = 0.0
        self.in_flight = 0
        self.asked_s = 0.0
        """When it was last asked anything, on the loop's clock; 0 for never."""
        self.workers: list[WorkerProcess] = []
        self._prepare = prepare
        self._turns = turns
        self._gently = gently
        self._load_timeout_s = load_timeout_s
        self._body_bytes_max = body_bytes_max
        self._prepared: Prepared | None = None
        self._bytes = 0
        self._failures = 0
        self._ending = False
        self._changed = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def serving(self) -> bool:
        """Whether a worker takes requests now."""
        return any(worker.serving for worker in self.workers)

    async def start(self) -> None:
        """Fetch, load and warm it on all its workers. Raises LoadFailed; then nothing of it runs."""
        started_s = time.perf_counter()
        try:
            self._prepared = await self._prepare(self.version, self.options)
            self.environment = self._prepared.environment
            async with self._turns:
                self._be(LOADING)
                await asyncio.gather(*(self._start_worker() for _ in range(self.options.workers)))
        except BaseException as error:
            self.stats.failed_loads += 1
            self._be(FAILED, str(error) or type(error).__name__)
            await self.stop(0.0)
            raise
        self.load_s = time.perf_counter() - started_s
        self.stats.loads += 1
        self._be(READY)

    async def answer(self, head: Any, body: bytes) -> Answer:
        """The answer to one request, in bounded time. head: [method, path, headers].

        Raises Refused: 429 when too many wait, 503 when no worker is there, 502 when it ended two, 504 too late.
        """
        options = self.options
        if self.in_flight >= options.queue_max or self._bytes + len(body) > IN_FLIGHT_BYTES_MAX:
            raise Refused(
                429,
                "REQUEST_LIMIT_EXCEEDED",
                f"{self.in_flight} requests wait for {self.version.label} already; ask again when some are answered.",
            )
        self.in_flight += 1
        self._bytes += len(body)
        self.asked_s = asyncio.get_running_loop().time()
        try:
            deadline_s = self.asked_s + options.timeout_s + ANSWER_GRACE_S
            for attempt in range(1, ATTEMPTS + 1):
                worker = self._pick() or await self._one_that_serves(deadline_s)
                try:
                    return await self._ask(worker, head, body, deadline_s)
                except WorkerEnded as error:
                    if attempt == ATTEMPTS:
                        raise Refused(
                            502,
                            "WORKER_ENDED",
                            f"The worker of {self.version.label} ended with this request in it, twice: {error}.",
                        ) from None
            raise AssertionError("an attempt returns or raises")
        finally:
            self.in_flight -= 1
            self._bytes -= len(body)

    async def stop(self, drain_s: float = DRAIN_S) -> None:
        """Take no more requests, let those that it has be answered, for so long at most, and end its workers."""
        self._ending = True
        for task in list(self._tasks):
            task.cancel()
        workers, self.workers = self.workers, []
        await asyncio.gather(*(worker.stop(drain_s) for worker in workers))
        if self.state != FAILED:
            self._be(ENDED)
        self._changed.set()

    def _pick(self) -> WorkerProcess | None:
        workers = self.workers
        if len(workers) == 1:
            return workers[0] if workers[0].serving else None
        return min((one for one in workers if one.serving), key=lambda one: one.in_flight, default=None)

    async def _one_that_serves(self, deadline_s: float) -> WorkerProcess:
        """Wait for a worker that comes back. Raises Refused when none will for now."""
        while True:
            found = self._pick()
            if found is not None:
                return found
            if self._failures > PATIENT_FAILURES or self._ending:
                raise self._unavailable()
            self._changed.clear()
            try:
                async with asyncio.timeout_at(deadline_s):
                    await self._changed.wait()
            except TimeoutError:
                raise self._unavailable() from None

    def _unavailable(self) -> Refused:
        why = f": {self.reason}" if self.reason else ""
        return Refused(503, "TEMPORARILY_UNAVAILABLE", f"No worker of {self.version.label} is there now{why}.")

    async def _ask(self, worker: WorkerProcess, head: Any, body: bytes, deadline_s: float) -> Answer:
        loop = asyncio.get_running_loop()
        future = worker.ask(head, body)
        timer = loop.call_at(deadline_s, _too_late, future)
        try:
            return await future
        except TimeoutError:
            silent_s = loop.time() - worker.silent_since_s
            if silent_s >= max(HANG_S, self.options.timeout_s):
                worker.kill(f"it said nothing for {silent_s:.0f} s")
            raise Refused(
                504,
                "DEADLINE_EXCEEDED",
                f"The prediction took longer than the {self.options.timeout_s:g} s it may take.",
            ) from None
        finally:
            timer.cancel()

    async def _start_worker(self) -> WorkerProcess:
        assert self._prepared is not None
        if self._ending:
            raise LoadFailed("it is not wanted any more")
        options = self.options
        load = Load(
            str(self._prepared.folder),
            self.version.model or self.version.model_id,
            self.version.version or "1",
            os.getpid(),
            options.timeout_s,
            options.queue_max,
            self._body_bytes_max,
            options.batch_rows_max,
            options.batch_wait_ms,
            self._gently and self.state == LOADING,
        )
        worker = WorkerProcess(self._prepared.program, load, options.memory_bytes_max, self._on_ended)
        self.workers.append(worker)
        try:
            await worker.start(self._load_timeout_s)
        except BaseException:
            if worker in self.workers:
                self.workers.remove(worker)
            raise
        self._changed.set()
        return worker

    def _on_ended(self, worker: WorkerProcess) -> None:
        if worker in self.workers:
            self.workers.remove(worker)
        if self._ending:
            return
        lived_s = time.monotonic() - worker.started_s
        self._failures = 1 if lived_s >= HEALTHY_S else self._failures + 1
        logger.warning("a worker of %s ended: %s", self.version.label, worker.reason)
        self.stats.restarts += 1
        self._be(self.state if self.serving else RESTARTING, f"a worker ended: {worker.reason}")
        self._changed.set()
        task = asyncio.get_running_loop().create_task(self._restart())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _restart(self) -> None:
        while not self._ending:
            if self._failures > 1:
                await asyncio.sleep(min(BACKOFF_MAX_S, BACKOFF_FIRST_S * 2 ** min(self._failures - 2, 10)))
            try:
                await self._start_worker()
            except LoadFailed as error:
                self._failures += 1
                self._be(RESTARTING if not self.serving else READY, f"a worker does not come back: {error}")
                self._changed.set()
            else:
                self._be(READY, self.reason)
                return

    def _be(self, state: str, reason: str = "") -> None:
        if state != self.state:
            self.since_ms = _now_ms()
        self.state, self.reason = state, reason


def _too_late(future: asyncio.Future[Answer]) -> None:
    if not future.done():
        future.set_exception(TimeoutError())


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
