"""How far the views are, looked at while a page wants to know."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
from headrace.ingest.log import LogUnavailable

INTERVAL_S = 1.0
"""How often it is looked."""


class Standing(msgspec.Struct, frozen=True):
    """How far the views are. behind: events of the log that they do not hold yet. fault: what they wait for, if so."""

    behind: int
    fault: str | None


Ask = Callable[[], Awaitable[Standing]]


class Watch:
    """On the event loop."""

    def __init__(self, ask: Ask | None, on_change: Callable[[], None], interval_s: float = INTERVAL_S) -> None:
        """ask: None never tells."""
        self._ask = ask
        self._on_change = on_change
        self._interval_s = interval_s
        self._wanted = 0
        self._task: asyncio.Task[None] | None = None
        self.now: Standing | None = None
        """None while nobody wants to know, and before the first look."""

    def want(self, change: int) -> None:
        """So many more, or fewer, want to know."""
        self._wanted += change
        if self._wanted and self._task is None and self._ask is not None:
            self._task = asyncio.create_task(self._run(self._ask))

    def stop(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()

    async def _run(self, ask: Ask) -> None:
        try:
            while self._wanted:
                try:
                    found = await ask()
                except LogUnavailable as error:
                    found = Standing(self.now.behind if self.now else 0, str(error))
                if found != self.now:
                    self.now = found
                    self._on_change()
                await asyncio.sleep(self._interval_s)
        finally:
            self._task = self.now = None
