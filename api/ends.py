"""How far the log goes, asked for many requests at once: what comes while one is asking shares the next answer."""

from __future__ import annotations

import asyncio

from headrace.ingest.log import Log, Partition
from starlette.concurrency import run_in_threadpool


class Ends:
    """Asks one log. On the event loop."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._next: asyncio.Future[dict[Partition, int]] | None = None
        self._asking: asyncio.Task[None] | None = None

    async def now(self) -> dict[Partition, int]:
        """The offset the next record of each partition will get, as of this call or later. Raises LogUnavailable."""
        if not self._log.remote:
            return self._log.end()
        # An answer that was asked for before this call may leave out what was appended in between.
        if self._next is None:
            self._next = asyncio.get_running_loop().create_future()
        answer = self._next
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask())
        return await asyncio.shield(answer)

    async def _ask(self) -> None:
        try:
            while self._next is not None:
                answer, self._next = self._next, None
                try:
                    answer.set_result(await run_in_threadpool(self._log.end))
                except Exception as error:
                    # Whatever it is, those who wait must hear of it.
                    answer.set_exception(error)
        finally:
            self._asking = None
