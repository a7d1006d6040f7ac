"""One endpoint at work: for each model it names the version that serves, the next that loads, the one before.

A version is swapped in when it is loaded and warm, by one assignment on the event loop: a request that was begun goes
on where it was begun, and the next one goes to the new version.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
import zlib
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final, TypeAlias

from headrace.api.serving.process import Answer, LoadFailed
from headrace.api.serving.resolving import Unresolved
from headrace.api.serving.served import Served, Version
from headrace.api.serving.stats import Stats
from headrace.api.serving.traffic import Traffic
from headrace.ingest.events import EndpointOptions
from headrace.processors.endpoints import Endpoint
from headrace.sdk.serving.faults import Refused

logger = logging.getLogger("headrace.serving")

SHADOWS_MAX: Final = 32
"""Copies of requests that are under way at once; more are not sent."""
VERSIONS_COUNTED_MAX: Final = 100
RETRY_FIRST_S: Final = 2.0
RETRY_MAX_S: Final = 300.0
"""A version that did not load is tried again, ever more rarely, while it is wanted."""
_HASHED_MAX: Final = 2**32

Key: TypeAlias = tuple[Version, EndpointOptions]
Make: TypeAlias = Callable[[Version, EndpointOptions, Stats], Served]
Resolve: TypeAlias = Callable[[str], Version]
Told: TypeAlias = Callable[[Endpoint, Served, Any, bytes, Answer, float, str, bool], None]
"""Told of an answer: endpoint, version, head, body, answer, seconds, the request's id, whether it was a shadow's."""


class Slot:
    """What is behind one URI of an endpoint. fault: why the version that it names now does not serve."""

    __slots__ = ("current", "fault", "fault_ms", "kept_until_s", "loading", "previous", "retries", "retry", "wanted")

    def __init__(self) -> None:
        self.wanted: Key | None = None
        self.current: Served | None = None
        self.loading: Served | None = None
        self.previous: Served | None = None
        self.kept_until_s = 0.0
        self.fault = ""
        self.fault_ms = 0
        self.retries = 0
        self.retry: asyncio.TimerHandle | None = None

    def failed(self, why: str) -> None:
        """Note why it does not serve what it should."""
        if why != self.fault:
            self.fault, self.fault_ms = why, time.time_ns() // 1_000_000


class EndpointServer:
    """On the event loop. state: what the registry says of the endpoint."""

    def __init__(self, state: Endpoint, resolve: Resolve, make: Make, told: Told, previous_kept_s: float) -> None:
        """resolve: the version a URI names now; raises Unresolved. make: a version's workers, not yet started. told: of
        answers. previous_kept_s: how long the version before stays loaded, so that going back takes no time."""
        self.state = state
        self.slots: dict[str, Slot] = {}
        self.stats: OrderedDict[str, Stats] = OrderedDict()
        """By the label of the version."""
        self.traffic = Traffic()
        self._resolve = resolve
        self._make = make
        self._told = told
        self._kept_s = previous_kept_s
        self._random = random.Random(state.name)
        self._shadows: set[asyncio.Task[None]] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._serveds: dict[Key, Served] = {}
        self._active: list[tuple[float, Slot]] = []
        """Who gets requests: the routes, with their weights; those of before while none of them serves."""
        self._settled = asyncio.Event()
        self._closed = False

    # --- following the registry ---------------------------------------------------------------------------------------

    def follow(self, state: Endpoint) -> None:
        """Do what the registry says now: load what is named newly, go back to what is there, let go of the rest."""
        self.state = state
        for uri in [uri for uri in self.slots if uri not in state.uris]:
            slot = self.slots.pop(uri)
            self._cancel_retry(slot)
            slot.wanted = slot.loading = None
        for uri in state.uris:
            slot = self.slots.setdefault(uri, Slot())
            try:
                version = self._resolve(uri)
            except Unresolved as error:
                self._cancel_retry(slot)
                slot.wanted = slot.loading = None
                slot.failed(str(error))
                continue
            self._want(slot, (version, loaded_with(state.options)))
        self._let_go()

    @property
    def loading(self) -> bool:
        """Whether some version is on its way."""
        return any(slot.loading is not None for slot in self.slots.values())

    async def settled(self, wait_s: float) -> None:
        """Wait until no version is on its way any more, loaded or not; for so long at most."""
        try:
            async with asyncio.timeout(wait_s):
                while self.loading and not self._closed:
                    self._settled.clear()
                    await self._settled.wait()
        except TimeoutError:
            pass

    @property
    def serveds(self) -> list[Served]:
        """Every version that has workers, or will."""
        return list(self._serveds.values())

    def forget_previous(self) -> None:
        """Let go of versions that are only kept for going back to."""
        for slot in self.slots.values():
            slot.kept_until_s = 0.0
        self._let_go()

    async def close(self) -> None:
        """Stop everything, letting requests that were begun be answered."""
        self._closed = True
        for slot in self.slots.values():
            self._cancel_retry(slot)
        for task in (*self._shadows, *self._tasks):
            task.cancel()
        serveds, self._serveds = list(self._serveds.values()), {}
        self.slots = {}
        await asyncio.gather(*(served.stop() for served in serveds), return_exceptions=True)

    def _want(self, slot: Slot, key: Key) -> None:
        if key == slot.wanted:
            return
        slot.wanted = key
        slot.retries = 0
        self._cancel_retry(slot)
        there = self._serveds.get(key)
        if there is not None and there.serving:
            self._swap(slot, there)
            return
        self._load(slot, key)

    def _load(self, slot: Slot, key: Key) -> None:
        version, options = key
        served = self._serveds.get(key)
        if served is None:
            served = self._serveds[key] = self._make(version, options, self._stats_of(version))
            self._keep(self._start(key, served))
        slot.loading = served

    async def _start(self, key: Key, served: Served) -> None:
        fault = ""
        try:
            await served.start()
        except LoadFailed as error:
            fault = str(error)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            logger.exception("%s could not be loaded", served.version.label)
            fault = f"{type(error).__name__}: {error}"
        if fault:
            logger.warning("endpoint %s: %s does not load: %s", self.state.name, served.version.label, fault)
            self._serveds.pop(key, None)
        for slot in self.slots.values():
            if slot.loading is not served:
                continue
            if fault:
                slot.loading = None
                slot.failed(f"{served.version.label} does not load: {fault}")
                self._retry_later(slot, key)
            else:
                self._swap(slot, served)
        self._let_go()

    def _swap(self, slot: Slot, served: Served) -> None:
        """From here on the next request goes to this version."""
        before = slot.current
        slot.loading = None
        slot.fault = ""
        slot.current = served
        if before is not None and before is not served:
            slot.previous = before
            slot.kept_until_s = time.monotonic() + self._kept_s
            asyncio.get_running_loop().call_later(self._kept_s + 0.1, self._let_go)
        self._route()
        logger.info("endpoint %s serves %s", self.state.name, served.version.label)

    def _route(self) -> None:
        """Let the routes have the requests, as soon as one of them serves."""
        slots = self.slots
        routes = [(one.weight, slots[one.model]) for one in self.state.routes if one.weight > 0 and one.model in slots]
        if not self._active or any(slot.current is not None for _, slot in routes):
            self._active = routes

    def _let_go(self) -> None:
        """Drain every version that nothing of this endpoint needs any more."""
        if self._closed:
            return
        self._settled.set()
        self._route()
        now_s = time.monotonic()
        used: set[int] = set()
        for slot in (*self.slots.values(), *(slot for _, slot in self._active)):
            if slot.previous is not None and (slot.previous is slot.current or now_s >= slot.kept_until_s):
                slot.previous = None
            used |= {id(one) for one in (slot.current, slot.loading, slot.previous) if one is not None}
        for key, served in list(self._serveds.items()):
            if id(served) not in used:
                del self._serveds[key]
                self._keep(served.stop())

    def _retry_later(self, slot: Slot, key: Key) -> None:
        def again() -> None:
            if slot.wanted == key and slot.loading is None and not self._closed:
                self._load(slot, key)

        wait_s = min(RETRY_MAX_S, RETRY_FIRST_S * 4**slot.retries)
        slot.retries = min(slot.retries + 1, 10)
        slot.retry = asyncio.get_running_loop().call_later(wait_s, again)

    def _cancel_retry(self, slot: Slot) -> None:
        if slot.retry is not None:
            slot.retry.cancel()
            slot.retry = None

    def _stats_of(self, version: Version) -> Stats:
        found = self.stats.setdefault(version.label, Stats())
        self.stats.move_to_end(version.label)
        while len(self.stats) > VERSIONS_COUNTED_MAX:
            self.stats.popitem(last=False)
        return found

    # --- requests -----------------------------------------------------------------------------------------------------

    async def answer(self, head: Any, body: bytes, request_id: str, sticky: bool) -> tuple[Answer, Served]:
        """The answer to one request, and what gave it. head: [method, path, headers]; only a POST is counted.

        sticky: equal ids go to the same version while the routes stay as they are. Raises Refused when nothing serves.
        """
        try:
            served = self._chosen(request_id if sticky else None)
        except Refused as error:
            if head[0] == "POST":
                self.traffic.answered("", error.status, 0.0)
            raise
        if head[0] != "POST":
            return await _answered(served, head, body), served
        self._copy_to_shadow(head, body, request_id)
        started_s = time.perf_counter()
        answer = await _answered(served, head, body)
        taken_s = time.perf_counter() - started_s
        served.stats.answered(answer.status, taken_s)
        self.traffic.answered(served.version.label, answer.status, taken_s)
        if self.state.options.log_sample:
            self._told(self.state, served, head, body, answer, taken_s, request_id, False)
        return answer, served

    def serving_before(self) -> list[str]:
        """The versions that serve in place of routes of which none does yet."""
        now = set(map(id, self.slots.values()))
        return [x.current.version.label for _, x in self._active if x.current is not None and id(x) not in now]

    def why_not(self) -> str:
        """Why nothing serves, for people."""
        uris = [route.model for route in self.state.routes if route.model in self.slots]
        told = [f"{uri}: {slot.fault or self._progress(slot)}" for uri in uris for slot in [self.slots[uri]]]
        return f"The endpoint {self.state.name} serves nothing yet: {'; '.join(told)}"

    def _progress(self, slot: Slot) -> str:
        return f"{slot.loading.version.label} is {slot.loading.state}" if slot.loading is not None else "starting"

    def _chosen(self, sticky: str | None) -> Served:
        """The version for a request, by the weights of the routes that serve. Raises Refused."""
        serving = [(weight, slot.current) for weight, slot in self._active if slot.current is not None]
        if not serving:
            raise Refused(503, "TEMPORARILY_UNAVAILABLE", self.why_not())
        if len(serving) == 1:
            return serving[0][1]
        total = sum(weight for weight, _ in serving)
        place = self._random.random() if sticky is None else zlib.crc32(sticky.encode()) / _HASHED_MAX
        left = place * total
        for weight, served in serving:
            left -= weight
            if left < 0:
                return served
        return serving[-1][1]

    def _copy_to_shadow(self, head: Any, body: bytes, request_id: str) -> None:
        slot = self.slots.get(self.state.shadow) if self.state.shadow else None
        if slot is None or slot.current is None:
            return
        served = slot.current
        if len(self._shadows) >= SHADOWS_MAX:
            served.stats.shadow_dropped += 1
            return
        task = asyncio.get_running_loop().create_task(self._shadow(served, head, body, request_id))
        self._shadows.add(task)
        task.add_done_callback(self._shadows.discard)

    async def _shadow(self, served: Served, head: Any, body: bytes, request_id: str) -> None:
        started_s = time.perf_counter()
        answer = await _answered(served, head, body)
        served.stats.shadow += 1
        served.stats.shadow_failed += answer.status >= 500
        if self.state.options.log_sample:
            self._told(self.state, served, head, body, answer, time.perf_counter() - started_s, request_id, True)

    def _keep(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _answered(served: Served, head: Any, body: bytes) -> Answer:
    try:
        return await served.answer(head, body)
    except Refused as error:
        status, headers, text = error.answer()
        return Answer(status, list(headers), text)


def loaded_with(options: EndpointOptions) -> EndpointOptions:
    """The options a worker is started with: a change of the others loads nothing anew."""
    return EndpointOptions(
        environment=options.environment,
        workers=options.workers,
        memory_bytes_max=options.memory_bytes_max,
        timeout_s=options.timeout_s,
        queue_max=options.queue_max,
        batch_rows_max=options.batch_rows_max,
        batch_wait_ms=options.batch_wait_ms,
    )
