"""A scorer whose model is in a process and an environment of its own: for `headrace models serve --env-manager uv`."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Mapping
from pathlib import Path

from headrace.api.serving.environments import Environments
from headrace.api.serving.process import LoadFailed, Program, WorkerEnded, WorkerProcess
from headrace.sdk.serving import faults
from headrace.sdk.serving.batching import Limits
from headrace.sdk.serving.faults import Answer, Refused
from headrace.sdk.serving.frames import Load

logger = logging.getLogger("headrace.serving")

LOAD_S = 600.0
DRAIN_S = 10.0
LATE_S = 5.0
"""How much longer than its own timeout a worker may take to say so."""


class ScorerApart:
    """Answers as `headrace.sdk.serving.scorer.Scorer` does, from a worker process, which is started anew when it ends.

    folder: the model's. environments: where those that uv makes are kept. environment: `uv`, `server` for this
    process's own, or `auto`.
    """

    def __init__(
        self, folder: Path, name: str, version: str, limits: Limits, environments: Path, environment: str = "uv"
    ) -> None:
        self.limits = limits
        self._folder = folder
        self._load = Load(
            folder=str(folder),
            name=name,
            version=version,
            server_pid=os.getpid(),
            timeout_s=limits.timeout_s,
            queue_max=limits.queue_requests_max,
            body_bytes_max=limits.body_bytes_max,
            batch_rows_max=limits.batch_rows_max,
            batch_wait_ms=limits.batch_wait_s * 1000,
        )
        self._environments = Environments(environments, uv=True)
        self._environment = environment
        self._program: Program | None = None
        self._worker: WorkerProcess | None = None
        self._starting: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int:
        """The worker's, 0 while there is none that answers."""
        return self._worker.pid if self._worker is not None and self._worker.serving else 0

    async def start(self) -> None:
        """Make the environment, where it is not there, and start the worker. Raises LoadFailed."""
        self._program, name = await self._environments.program(self._folder, self._environment)
        logger.info("the model runs in %s", name)
        await self._start()

    async def answer(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """As Scorer's."""
        worker = self._worker
        if worker is None or not worker.serving:
            return _away("the model's process is being started again").answer()
        future = worker.ask([method, path, dict(headers)], body)
        try:
            answer = await asyncio.wait_for(future, self.limits.timeout_s + LATE_S)
            return Answer(answer.status, tuple(answer.headers), answer.body)
        except TimeoutError:
            return faults.too_late(self.limits.timeout_s).answer()
        except WorkerEnded as error:
            return _away(f"the model's process has ended: {error}").answer()

    async def stop(self) -> None:
        """Drain the worker and end it."""
        if self._starting is not None:
            self._starting.cancel()
        if self._worker is not None:
            await self._worker.stop(DRAIN_S)

    async def _start(self) -> None:
        assert self._program is not None
        worker = WorkerProcess(self._program, self._load, 0, self._ended)
        await worker.start(LOAD_S)
        self._worker = worker

    def _ended(self, worker: WorkerProcess) -> None:
        logger.error("the model's process has ended and is started again: %s", worker.reason)
        self._starting = asyncio.get_running_loop().create_task(self._again())

    async def _again(self) -> None:
        try:
            await self._start()
        except LoadFailed as error:
            logger.error("the model's process does not start again: %s", error)


def _away(why: str) -> Refused:
    return Refused(503, "TEMPORARILY_UNAVAILABLE", why)
