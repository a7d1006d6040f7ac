"""Statements that run: a few at a time, each for so long at most, and none for a client that has left.

The engine ends a statement at its limits by itself, but looks at the clock only between blocks, and cannot be stopped
within one. So who asked is answered in time whatever the engine does, and what it still holds stays counted: the page,
and all other reads, keep the readers that statements never get.
"""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from fastapi import Request
from headrace.api.errors import ApiError, unavailable
from headrace.api.sql.limits import Limits
from headrace.api.sql.refusal import Refusal
from headrace.processors.views import Views, ViewsUnavailable
from starlette.concurrency import run_in_threadpool

AT_ONCE = 2
WAITING_MAX = 20
WAIT_S = 15.0
GRACE_S = 2.0
"""How long after its time a statement has to end by itself."""

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Turn:
    """A statement's turn. tag: names its queries while they run. over: set when nobody waits for it any more."""

    tag: str
    over: threading.Event

    def check(self) -> None:
        """Raises Refusal when nobody waits any more: before each query, since only one that runs can be ended."""
        if self.over.is_set():
            raise Refusal("the statement was given up")


class ClientLeft(Exception):
    """The client closed the connection before its answer was ready."""


class Running:
    """What runs, and what waits, in one server."""

    def __init__(self, at_once: int = AT_ONCE, wait_s: float = WAIT_S) -> None:
        """wait_s: how long a statement waits for its turn, seconds."""
        self._slots = asyncio.Semaphore(at_once)
        self._wait_s = wait_s
        self._waiting = 0
        self._threads: list[threading.Thread] = []

    @property
    def busy(self) -> bool:
        """Whether the engine still works for a statement, whether or not somebody waits for it."""
        return any(thread.is_alive() for thread in self._threads)

    async def run(self, request: Request, views: Views, limits: Limits, work: Callable[[Turn], Result]) -> Result:
        """The result of work, on a thread of its own. work: blocks, and checks its turn before each query.

        Raises what work raises; REQUEST_LIMIT_EXCEEDED when too many wait; TEMPORARILY_UNAVAILABLE when its turn does
        not come; Refusal when it does not end in time; ClientLeft.
        """
        await self._turn()
        turn = Turn(f"headrace-sql-{uuid.uuid4().hex}", threading.Event())
        done = self._begun(work, turn)
        left: asyncio.Future[None] = asyncio.create_task(_left(request))
        both: set[asyncio.Future[Any]] = {done, left}
        try:
            await asyncio.wait(both, timeout=limits.timeout_s + GRACE_S, return_when=asyncio.FIRST_COMPLETED)
            if done.done():
                return done.result()
            if left.done():
                raise ClientLeft
            raise Refusal(limits.told(159) or "")
        finally:
            left.cancel()
            if not done.done():
                turn.over.set()
                # Whatever it still brings is nobody's.
                done.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
                with suppress(ViewsUnavailable):
                    await asyncio.shield(run_in_threadpool(_kill, views, turn.tag))

    async def _turn(self) -> None:
        if self._waiting >= WAITING_MAX:
            raise ApiError(
                "REQUEST_LIMIT_EXCEEDED", f"{WAITING_MAX} SQL statements wait already; try again in a moment"
            )
        self._waiting += 1
        try:
            await asyncio.wait_for(self._slots.acquire(), self._wait_s)
        except TimeoutError:
            raise unavailable(
                f"Other SQL statements ran for {self._wait_s:g} s, and this one's turn did not come; try again"
            ) from None
        finally:
            self._waiting -= 1

    def _begun(self, work: Callable[[Turn], Result], turn: Turn) -> asyncio.Future[Result]:
        """Begin, and give the slot back when it has ended, however late that is."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = loop.create_future()

        def ended(result: Any, error: BaseException | None) -> None:
            self._slots.release()
            if future.done():
                return
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(result)

        def target() -> None:
            result, error = None, None
            try:
                result = work(turn)
            except BaseException as caught:
                error = caught
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(ended, result, error)

        # Not of a pool: a server that stops does not wait for a statement that cannot be stopped.
        thread = threading.Thread(target=target, name="sql", daemon=True)
        self._threads = [*filter(threading.Thread.is_alive, self._threads), thread]
        thread.start()
        return future


async def _left(request: Request) -> None:
    """Return when the client has closed the connection. Its body has been read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _kill(views: Views, tag: str) -> None:
    views.command("KILL QUERY WHERE Settings['log_comment'] = {sql_tag:String} ASYNC", {"sql_tag": tag})
