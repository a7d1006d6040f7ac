"""Which experiment an event is of: asked of the folds, kept until the run moves."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor, Future
from typing import Protocol

import msgspec
from headrace.api.feed.entry import Entry
from headrace.ingest.log import Partition
from headrace.ingest.topics import REGISTRY, RUNS, is_of_run
from headrace.processors.registry import Registry
from headrace.processors.runs import RunState
from headrace.processors.views import ViewsUnavailable

KNOWN_MAX = 100_000
WAIT_S = 10.0
_ATTEMPTS = 20
_MOVED = "headrace.run.moved"
_EXPERIMENT = "headrace.experiment."
_MODEL_CREATED = "headrace.logged-model.created"


class _OfExperiment(msgspec.Struct):
    experiment_id: str = ""


_decode = msgspec.json.Decoder(_OfExperiment).decode


class Folded(Protocol):
    """How far the folds are."""

    def reached(self, target: Mapping[Partition, int]) -> Future[None]:
        """Done when they are there."""
        ...


class Source(Protocol):
    """What is asked: the folds."""

    @property
    def folded(self) -> Folded:
        """How far they are."""
        ...

    @property
    def registry(self) -> Registry:
        """Experiments and logged models."""
        ...

    def cached_run(self, run_id: str) -> RunState | None:
        """A run, if it is in memory."""
        ...

    def runs(self, run_ids: Sequence[str]) -> dict[str, RunState]:
        """The runs that are known, by id. May block on I/O."""
        ...


class Experiments:
    """On the event loop."""

    def __init__(
        self, source: Source, ends: Callable[[], Mapping[Partition, int]], executor: Executor, wait_s: float = WAIT_S
    ) -> None:
        """ends: asks how far the log goes; may block. wait_s: how long the folds may take."""
        self._source = source
        self._ends = ends
        self._executor = executor
        self._wait_s = wait_s
        self._known: OrderedDict[str, str] = OrderedDict()
        self._floor: dict[Partition, int] = {}
        self._moves = 0

    def forget(self) -> None:
        """Nothing is known any more: moves may have gone by unseen."""
        self._known.clear()
        self._moves += 1

    def passed(self, entries: Iterable[Entry]) -> None:
        """Take note of moves among entries that somebody is about to get."""
        for entry in entries:
            envelope = entry.record.envelope
            if envelope.type != _MOVED or entry.moved_to:
                continue
            entry.moved_to = _experiment_in(envelope.data)
            entry.moved_from = self._known.pop(envelope.subject, "")
            self._moves += 1
            # What the folds say before they have come here may be old.
            self._floor[entry.partition] = max(entry.record.position.offset + 1, self._floor.get(entry.partition, 0))

    def one(self, entry: Entry) -> str:
        """The experiment an event is of, as far as it is known; else empty."""
        envelope = entry.record.envelope
        if entry.record.position.topic != REGISTRY:
            return entry.moved_to or self._known.get(envelope.subject, "")
        if envelope.type.startswith(_EXPERIMENT):
            return envelope.subject
        model = self._source.registry.logged_models.get(envelope.subject)
        if model is not None:
            return model.experiment_id
        return _experiment_in(envelope.data) if envelope.type == _MODEL_CREATED else ""

    def is_of(self, entry: Entry, experiment_ids: frozenset[str]) -> bool:
        """Whether an event is of one of these; a move is of where the run goes and of where it was."""
        return self.one(entry) in experiment_ids or (entry.moved_from in experiment_ids and entry.moved_from != "")

    async def learn(self, entries: Sequence[Entry], wait_s: float | None = None) -> None:
        """Make known the experiments that runs among these belong to, where they have one. wait_s: rather than its own.

        Raises ViewsUnavailable when it takes longer than wait_s, or when only the views know and cannot be asked.
        """
        for _ in range(_ATTEMPTS):
            unknown = {
                entry.record.envelope.subject
                for entry in entries
                if entry.record.position.topic != REGISTRY
                and is_of_run(entry.record.envelope.type)
                and entry.record.envelope.subject not in self._known
            }
            if not unknown:
                return
            moves = self._moves
            found = await self._ask(unknown, self._reached_by(entries, unknown), wait_s or self._wait_s)
            if moves != self._moves:
                continue  # A run has moved while they were asked.
            self._known.update(found)
            while len(self._known) > KNOWN_MAX:
                self._known.popitem(last=False)
            return
        raise ViewsUnavailable("runs move faster than it can be asked where they are")

    def _reached_by(self, entries: Iterable[Entry], unknown: set[str]) -> dict[Partition, int]:
        """How far the folds must be to have seen the events of these runs."""
        target = dict(self._floor)
        for entry in entries:
            position = entry.record.position
            if position.topic == RUNS and entry.record.envelope.subject in unknown:
                target[entry.partition] = max(position.offset + 1, target.get(entry.partition, 0))
        return target

    async def _ask(self, run_ids: set[str], target: Mapping[Partition, int], wait_s: float) -> dict[str, str]:
        await self._wait(target, wait_s)
        found = await self._states(run_ids)
        absent = run_ids - found.keys()
        if absent:
            # Points may lie before their run's creation, in another topic.
            loop = asyncio.get_running_loop()
            ends = await loop.run_in_executor(self._executor, self._ends)
            await self._wait({p: offset for p, offset in ends.items() if p.topic == RUNS}, wait_s)
            found |= await self._states(absent)
        return {run_id: state.experiment_id for run_id, state in found.items() if state.experiment_id}

    async def _states(self, run_ids: set[str]) -> dict[str, RunState]:
        found = {x: state for x in run_ids if (state := self._source.cached_run(x)) is not None}
        rest = sorted(run_ids - found.keys())
        if rest:
            loop = asyncio.get_running_loop()
            found |= await loop.run_in_executor(self._executor, self._source.runs, rest)
        return found

    async def _wait(self, target: Mapping[Partition, int], wait_s: float) -> None:
        reached = self._source.folded.reached(target)
        if reached.done():
            return
        try:
            await asyncio.wait_for(asyncio.wrap_future(reached), wait_s)
        except TimeoutError:
            raise ViewsUnavailable("the folds do not come forward, so nobody knows whose runs these are") from None


def _experiment_in(data: bytes) -> str:
    try:
        return _decode(data).experiment_id
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
