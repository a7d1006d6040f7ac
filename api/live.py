"""The live feed: which runs have changed and how far the views are, told to open pages as server-sent events."""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Annotated, Protocol

import msgspec
from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse
from headrace.api.errors import unavailable
from headrace.api.services import services
from headrace.ingest.log import LogUnavailable
from headrace.processors.runs import RunState
from headrace.processors.views import ViewsUnavailable
from starlette.concurrency import run_in_threadpool

router = APIRouter(tags=["live"])

INTERVAL_S = 0.2
"""The shortest time between two messages to a subscriber."""
HEARTBEAT_S = 15.0
STANDING_INTERVAL_S = 1.0
"""How often the feed looks how far the views are behind the log, while anybody listens."""
SUBSCRIBERS_MAX = 200
RUN_IDS_MAX = 1000
"""So many changed runs are told by name; beyond, the message says that all may have changed."""
_PENDING_MAX = 20_000
_EXPERIMENTS_KNOWN_MAX = 100_000

_ALL = b'event: changed\ndata: {"all":true}\n\n'
_HELLO = b"retry: 1000\n: connected\n\n"
_HEARTBEAT = b": heartbeat\n\n"


class Standing(msgspec.Struct, frozen=True):
    """How far the views are. behind: events of the log that they do not hold yet. fault: what they wait for, if so."""

    behind: int
    fault: str | None


class LiveFull(Exception):
    """There are as many subscribers as the feed serves."""


class Source(Protocol):
    """What the feed hears from and asks: the engine."""

    @property
    def listeners(self) -> list[Callable[[set[str]], None]]:
        """Called, on a thread of the source's, with the ids of runs whose views have changed."""
        ...

    def runs(self, run_ids: Sequence[str]) -> dict[str, RunState]:
        """The runs that are known, by id. May block on I/O."""
        ...


class Subscription:
    """One open page: what has changed for it since it was last told."""

    def __init__(self, experiment_ids: frozenset[str], run_ids_max: int) -> None:
        """experiment_ids: whose runs it wants to hear of; empty for all."""
        self.experiment_ids = experiment_ids
        self._run_ids_max = run_ids_max
        self._changed: set[str] = set()
        self._all = False
        self._standing: Standing | None = None
        self._woken = asyncio.Event()
        self._closed = False

    def tell(self, run_ids: set[str], *, everything: bool = False) -> None:
        """These runs have changed; everything: more than can be named have."""
        if everything or len(self._changed) + len(run_ids) > self._run_ids_max:
            self._all = True
            self._changed.clear()
        elif not self._all:
            self._changed |= run_ids
        self._woken.set()

    def tell_standing(self, standing: Standing) -> None:
        """The views stand here now."""
        self._standing = standing
        self._woken.set()

    def end(self) -> None:
        """No more messages."""
        self._closed = True
        self._woken.set()

    async def messages(self, interval_s: float, heartbeat_s: float) -> AsyncIterator[bytes]:
        """Server-sent events until the end: at most one in interval_s, at least a comment every heartbeat_s."""
        yield _HELLO
        while not self._closed:
            try:
                await asyncio.wait_for(self._woken.wait(), heartbeat_s)
            except TimeoutError:
                yield _HEARTBEAT
                continue
            if self._closed:
                return
            if told := self._taken():
                yield told
            await self._pause(interval_s)

    async def _pause(self, interval_s: float) -> None:
        """Let changes come together; an end cuts it short."""
        deadline = asyncio.get_running_loop().time() + interval_s
        while not self._closed and (left := deadline - asyncio.get_running_loop().time()) > 0:
            await asyncio.sleep(min(left, 0.05))

    def _taken(self) -> bytes:
        self._woken.clear()
        everything, self._all = self._all, False
        changed, self._changed = self._changed, set()
        standing, self._standing = self._standing, None
        told = b""
        if standing is not None:
            told = b"event: views\ndata: " + msgspec.json.encode(standing) + b"\n\n"
        if everything:
            return told + _ALL
        if changed:
            told += b"event: changed\ndata: " + msgspec.json.encode({"run_ids": sorted(changed)}) + b"\n\n"
        return told


class Live:
    """Fans out what the engine says has changed. start() on the event loop; close() from any thread."""

    def __init__(
        self,
        engine: Source,
        standing: Callable[[], Awaitable[Standing]] | None = None,
        *,
        interval_s: float = INTERVAL_S,
        heartbeat_s: float = HEARTBEAT_S,
        subscribers_max: int = SUBSCRIBERS_MAX,
        run_ids_max: int = RUN_IDS_MAX,
        standing_interval_s: float = STANDING_INTERVAL_S,
    ) -> None:
        """standing: asks how far the views are; None never tells.

        interval_s: the shortest time between two messages to a subscriber; heartbeat_s: the longest silence.
        """
        self._engine = engine
        self._ask_standing = standing
        self._standing_interval_s = standing_interval_s
        self._told: Standing | None = None
        self._interval_s = interval_s
        self._heartbeat_s = heartbeat_s
        self._subscribers_max = subscribers_max
        self._run_ids_max = run_ids_max
        self._loop: asyncio.AbstractEventLoop | None = None
        self._subscriptions: set[Subscription] = set()
        self._known: OrderedDict[str, str] = OrderedDict()
        self._lock = threading.Lock()
        self._pending: set[str] = set()
        self._overflow = False
        self._scheduled = False
        self._closed = False
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Be ready for subscribers; the engine is listened to while there are some."""
        self._loop = asyncio.get_running_loop()
        if self._ask_standing is not None:
            task = self._loop.create_task(self._watch_standing())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def close(self) -> None:
        """End every subscription, so that open pages do not hold up the server's end. Safe in a signal handler."""
        self._closed = True
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._end_all)

    @property
    def subscribers(self) -> int:
        """How many pages are listening."""
        return len(self._subscriptions)

    def subscribe(self, experiment_ids: frozenset[str] = frozenset()) -> Subscription:
        """A new subscription; unsubscribe it. On the event loop. Raises LiveFull."""
        if self._closed or len(self._subscriptions) >= self._subscribers_max:
            raise LiveFull(f"The live feed has its {self._subscribers_max} subscribers, or the server is stopping.")
        subscription = Subscription(experiment_ids, self._run_ids_max)
        self._subscriptions.add(subscription)
        if len(self._subscriptions) == 1:
            self._engine.listeners.append(self._on_changed)
        if self._told is not None:
            subscription.tell_standing(self._told)
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """Forget a subscription."""
        subscription.end()
        self._subscriptions.discard(subscription)
        if not self._subscriptions and self._on_changed in self._engine.listeners:
            self._engine.listeners.remove(self._on_changed)

    async def messages(self, subscription: Subscription) -> AsyncIterator[bytes]:
        """What to send to a subscriber; unsubscribes it at the end."""
        try:
            async for message in subscription.messages(self._interval_s, self._heartbeat_s):
                yield message
        finally:
            self.unsubscribe(subscription)

    # --- from the store thread to the loop ----------------------------------------------------------------------------

    def _on_changed(self, run_ids: set[str]) -> None:
        """Called by the engine on its store thread: never waits, never raises."""
        loop = self._loop
        if not run_ids or loop is None or not self._subscriptions or self._closed:
            return
        with self._lock:
            if len(self._pending) + len(run_ids) > _PENDING_MAX:
                self._overflow = True
                self._pending.clear()
            elif not self._overflow:
                self._pending |= run_ids
            if self._scheduled:
                return
            self._scheduled = True
        try:
            loop.call_soon_threadsafe(self._begin_telling)
        except RuntimeError:  # The loop has been closed: nobody listens any more.
            return

    def _begin_telling(self) -> None:
        task = asyncio.get_running_loop().create_task(self._tell())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _tell(self) -> None:
        with self._lock:
            changed, self._pending = self._pending, set()
            overflow, self._overflow = self._overflow, False
            self._scheduled = False
        if not overflow and any(subscription.experiment_ids for subscription in self._subscriptions):
            try:
                await self._learn(changed)
            except ViewsUnavailable:
                overflow = True
        for subscription in list(self._subscriptions):
            wanted = changed
            if subscription.experiment_ids:
                wanted = {one for one in changed if self._known.get(one) in subscription.experiment_ids}
            if wanted or overflow:
                subscription.tell(wanted, everything=overflow)

    async def _learn(self, run_ids: set[str]) -> None:
        """Find out which experiments these runs belong to, where that is not known yet. It never changes."""
        unknown = [run_id for run_id in run_ids if run_id not in self._known]
        if unknown:
            self._known.update(await run_in_threadpool(self._experiments, unknown))
        while len(self._known) > _EXPERIMENTS_KNOWN_MAX:
            self._known.popitem(last=False)

    async def _watch_standing(self) -> None:
        assert self._ask_standing is not None
        while not self._closed:
            if self._subscriptions:
                try:
                    standing = await self._ask_standing()
                except LogUnavailable as error:
                    standing = Standing(self._told.behind if self._told else 0, str(error))
                if standing != self._told:
                    self._told = standing
                    for subscription in list(self._subscriptions):
                        subscription.tell_standing(standing)
            await asyncio.sleep(self._standing_interval_s)

    def _experiments(self, run_ids: list[str]) -> dict[str, str]:
        return {one: state.experiment_id for one, state in self._engine.runs(run_ids).items() if state.experiment_id}

    def _end_all(self) -> None:
        for task in self._tasks:
            task.cancel()
        for subscription in self._subscriptions:
            subscription.end()


@router.get(
    "/api/headrace/v1/live",
    summary="Which runs have changed, as server-sent events",
    responses={200: {"content": {"text/event-stream": {}}}, 503: {"description": "Too many subscribers"}},
)
async def get_live(
    request: Request,
    experiment_ids: Annotated[list[str] | None, Query(description="Repeated or comma-separated; none for all")] = None,
) -> Response:
    """`event: changed` with `{"run_ids": […]}`, or `{"all": true}` when they are too many to name; `event: views` with
    `behind`, the events that the views do not hold yet, and `fault`, what they wait for or null."""
    live = services(request).live
    wanted = frozenset(part for given in experiment_ids or () for part in given.split(",") if part)
    try:
        subscription = live.subscribe(wanted)
    except LiveFull as error:
        raise unavailable(str(error)) from None
    return StreamingResponse(
        live.messages(subscription),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )
