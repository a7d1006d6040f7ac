"""Reads as of a moment: the registry, runs and metrics as the log had them then.

What has not changed since the moment is as it is now; only the rest is folded anew from history, and kept for the next
question about the same moment, since the past does not change.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from headrace.api.errors import invalid
from headrace.api.forks import Forks, joined
from headrace.api.mlflow.documents import Documents
from headrace.api.point_summaries import Summaries, point_summaries
from headrace.api.points import Cut, Points
from headrace.api.tracking import Tracking
from headrace.ingest.clock import Clock
from headrace.ingest.log import HistoryLog, LogError, LogUnavailable, Partition
from headrace.ingest.moments import BadMoment, parse
from headrace.ingest.topics import FOLDED, METRICS, REGISTRY, RUNS
from headrace.processors import refold
from headrace.processors.entities import Entities
from headrace.processors.metrics import Summary
from headrace.processors.registry import DELETED, Registry
from headrace.processors.run_rows import COLUMNS, run_of
from headrace.processors.runs import GONE, RunState
from headrace.processors.views import Views
from starlette.concurrency import run_in_threadpool

MOMENTS_MAX = 16
"""So many moments are remembered."""
STATES_MAX = 100_000
"""So many states of runs are remembered of one moment."""
RUNS_MAX = 200_000
"""Of so many runs a search as of a moment may choose, where they are not all in memory."""
SETTLED_MS = 60_000
"""A time is looked up once when it lies back so far: nothing that comes was logged before it."""


@dataclass(slots=True)
class _Moment:
    """What is remembered of one moment; None for what was not there yet. candidates: by experiments. columns: numbers
    by run, of these experiments, a metric's key, and the field of its summary."""

    states: dict[str, RunState | None] = field(default_factory=dict)
    summaries: dict[tuple[str, str], Summary | None] = field(default_factory=dict)
    candidates: dict[frozenset[str], list[RunState]] = field(default_factory=dict)
    columns: dict[tuple[frozenset[str], str, int], Mapping[str, float]] = field(default_factory=dict)
    registry: Registry | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)


class AsOf:
    """One server's reads of the past."""

    def __init__(
        self, log: HistoryLog, engine: Entities, views: Views, forks: Forks, tracking: Tracking, clock: Clock
    ) -> None:
        self._log = log
        self._engine = engine
        self._views = views
        self._forks = forks
        self._clock = clock
        self._tracking = tracking
        self.documents = Documents()
        """Of runs as they were."""
        self._lock = threading.Lock()
        self._cuts: OrderedDict[str, Cut] = OrderedDict()
        self._moments: OrderedDict[tuple[tuple[Partition, int], ...], _Moment] = OrderedDict()

    async def cut(self, text: str) -> Cut | None:
        """The moment a request names, None for an empty text; when it returns, the views hold all of it.

        text: a time or positions, as `headrace.ingest.moments.parse` takes them; what lies ahead is now.
        Raises INVALID_PARAMETER_VALUE for another text, TEMPORARILY_UNAVAILABLE, LogUnavailable.
        """
        if not text:
            return None
        found = self._cuts.get(text)
        if found is None:
            found = await run_in_threadpool(self._resolved, text)
        await self.reached(found)
        return found

    async def reached(self, cut: Cut) -> None:
        """Wait until the views hold all of a moment. Raises TEMPORARILY_UNAVAILABLE."""
        await self._tracking.stored({p: end for p, end in cut.ends.items() if p.topic in FOLDED})

    def _resolved(self, text: str) -> Cut:
        try:
            moment = parse([text])
            ends = moment.resolve(self._log)
        except BadMoment as error:
            raise invalid(f"Invalid value for parameter 'as_of' supplied: {error}") from None
        except LogUnavailable:
            raise
        except LogError as error:
            raise invalid(f"Invalid value for parameter 'as_of' supplied: {error}") from None
        cut = Cut(ends, moment.time_ms)
        if moment.time_ms is None or moment.time_ms < self._clock.time_ms() - SETTLED_MS:
            with self._lock:
                self._cuts[text] = cut
                while len(self._cuts) > MOMENTS_MAX:
                    self._cuts.popitem(last=False)
        return cut

    def now(self) -> Cut:
        """The moment up to which everything has been folded here."""
        return Cut(self._engine.folded.offsets())

    async def registry(self, as_of: str) -> Registry:
        """Experiments and logged models as of the moment a request names, or now. Raises as `cut` does."""
        cut = await self.cut(as_of)
        if cut is not None:
            return await run_in_threadpool(self.registry_at, cut)
        await self._tracking.folded(REGISTRY)
        return self._engine.registry

    def forget(self) -> None:
        """Remember nothing of any moment any more: something was erased."""
        with self._lock:
            self._moments.clear()

    # --- each blocks on I/O -------------------------------------------------------------------------------------------

    def registry_at(self, cut: Cut) -> Registry:
        """Experiments and logged models. Raises LogUnavailable."""
        moment = self._moment(cut)
        with moment.lock:
            if moment.registry is None:
                partition = Partition(REGISTRY, 0)
                moment.registry = refold.registry_at(self._log, partition, cut.ends.get(partition, 0))
            return moment.registry

    def states(self, cut: Cut, run_ids: Sequence[str]) -> dict[str, RunState]:
        """The runs that had begun, as they were. Raises ViewsUnavailable."""
        current = {x: state for x in run_ids if (state := self._engine.cached_run(x)) is not None}
        current |= self._engine.runs([x for x in run_ids if x not in current])
        # Of an erased run nothing is left, of any moment.
        return self._past_of(cut, {x: state for x, state in current.items() if state.lifecycle not in GONE})

    def runs(self, cut: Cut, run_ids: Sequence[str]) -> list[tuple[RunState, dict[str, Summary]]]:
        """Runs and their metrics by key, in the order given. Raises ViewsUnavailable, LogUnavailable."""
        states = self.states(cut, run_ids)
        summaries = self.summaries(cut, list(states))
        deleted = set(self.registry_at(cut).deleted_ids())
        return [
            (_in_its_experiment(states[x], deleted), summaries.get(x, {}))
            for x in dict.fromkeys(run_ids)
            if x in states
        ]

    def candidates(self, cut: Cut, experiment_ids: Collection[str]) -> list[RunState]:
        """Every run of these experiments, as it was. Raises ViewsUnavailable; invalid where there are too many."""
        moment, wanted = self._moment(cut), frozenset(experiment_ids)
        if wanted not in moment.candidates:
            found = self._candidates(cut, wanted)
            if sum(map(len, moment.candidates.values())) > STATES_MAX:
                moment.candidates.clear()
            moment.candidates[wanted] = found
        return moment.candidates[wanted]

    def column(self, cut: Cut, experiment_ids: Collection[str], key: str, field: int) -> Mapping[str, float]:
        """One field of the summaries of a metric, by run, of the candidates that had it. Raises ViewsUnavailable."""
        moment, place = self._moment(cut), (frozenset(experiment_ids), key, field)
        if place not in moment.columns:
            run_ids = [state.run_id for state in self.candidates(cut, experiment_ids)]
            summaries = self.summaries(cut, run_ids, [key])
            if sum(map(len, moment.columns.values())) > 5 * STATES_MAX:
                moment.columns.clear()
            values: dict[str, Any] = {run_id: own[key][field] for run_id, own in summaries.items() if key in own}
            moment.columns[place] = values
        return moment.columns[place]

    def _candidates(self, cut: Cut, wanted: Collection[str]) -> list[RunState]:
        if self._engine.all_in_memory():
            current = {state.run_id: state for state in self._engine.runs_of(wanted)}
        else:
            sql = (
                f"SELECT {COLUMNS} FROM runs FINAL WHERE experiment_id IN {{ids:Array(String)}} LIMIT {{limit:UInt64}}"
            )
            rows = self._views.rows(sql, {"ids": list(wanted), "limit": RUNS_MAX + 1})
            if len(rows) > RUNS_MAX:
                raise invalid(f"These experiments have more than {RUNS_MAX} runs; name fewer to search as of a moment")
            current = {state.run_id: state for state in map(run_of, rows)}
        elsewhere = [x for x in self._engine.moved() if x not in current]
        if elsewhere:
            current |= self._engine.runs(elsewhere)
        current = {x: state for x, state in current.items() if state.lifecycle not in GONE}
        return [state for state in self._past_of(cut, current).values() if state.experiment_id in wanted]

    def summaries(self, cut: Cut, run_ids: Sequence[str], keys: Sequence[str] = ()) -> Summaries:
        """The metrics of runs by key, with what they inherit. keys: none for all. Raises ViewsUnavailable."""
        found: Summaries = {}
        moment, ends = self._moment(cut), cut.offsets(METRICS)
        asked: dict[str, set[str]] = {}
        for run_id, current in self._current_summaries(run_ids).items():
            own = found[run_id] = {}
            for key in keys or list(current):
                if (summary := current.get(key)) is None:
                    continue
                if summary.partition < len(ends) and summary.offset < ends[summary.partition]:
                    own[key] = summary
                elif (run_id, key) in moment.summaries:
                    if (past := moment.summaries[run_id, key]) is not None:
                        own[key] = past
                else:
                    asked.setdefault(run_id, set()).add(key)
        if asked:
            wanted = sorted(set().union(*asked.values()))
            past_ones = point_summaries(self._views, Points(list(asked), wanted, cut, whole=True))
            for run_id, missing in asked.items():
                of_run = past_ones.get(run_id, {})
                for key in missing:
                    past = of_run.get(key)
                    if len(moment.summaries) < 5 * STATES_MAX:
                        moment.summaries[run_id, key] = past
                    if past is not None:
                        found[run_id][key] = past
        for run_id, inherited in self._forks.inherited(run_ids, keys, cut).items():
            chosen = {key: x for key, x in inherited.items() if not keys or key in keys}
            found[run_id] = joined(found.get(run_id, {}), chosen)
        return found

    def _current_summaries(self, run_ids: Sequence[str]) -> Mapping[str, Mapping[str, Summary]]:
        if self._engine.all_in_memory():
            metrics = self._engine.metrics_in_memory
            return {x: of_run for x in run_ids if (of_run := metrics.get(x)) is not None}
        cached = {x: self._engine.cached_summaries(x) for x in run_ids}
        found = {x: summaries for x, summaries in cached.items() if summaries is not None}
        if len(found) < len(cached):
            found |= self._engine.summaries([x for x in cached if x not in found])
        return found

    def _past_of(self, cut: Cut, current: Mapping[str, RunState]) -> dict[str, RunState]:
        """Runs as they were, from how they are now."""
        moment, ends = self._moment(cut), cut.offsets(RUNS)
        found: dict[str, RunState] = {}
        unknown = []
        for run_id, state in current.items():
            if state.partition < len(ends) and state.offset < ends[state.partition]:
                found[run_id] = state
            elif run_id in moment.states:
                if (past := moment.states[run_id]) is not None:
                    found[run_id] = past
            else:
                unknown.append(run_id)
        if unknown:
            past_ones = refold.run_states(self._views, unknown, ends)
            found |= past_ones
            if len(moment.states) < STATES_MAX:
                moment.states.update((run_id, past_ones.get(run_id)) for run_id in unknown)
        return found

    def _moment(self, cut: Cut) -> _Moment:
        key = tuple(sorted(cut.ends.items()))
        with self._lock:
            moment = self._moments.setdefault(key, _Moment())
            self._moments.move_to_end(key)
            while len(self._moments) > MOMENTS_MAX:
                self._moments.popitem(last=False)
            return moment


def _in_its_experiment(state: RunState, deleted: Collection[str]) -> RunState:
    """A run is in the bin when its experiment is."""
    if state.experiment_id not in deleted or state.lifecycle == DELETED:
        return state
    return msgspec.structs.replace(state, lifecycle=DELETED)
