"""Erases for good what lies in the bin: artifacts, the log's payloads, rows of the views; what is left is a tombstone.

A run goes in two steps that the log tells of. `headrace.run.erasing` ends it: from there on it has no content, takes
nothing and cannot be restored. When everything of it is gone, `headrace.run.erased` says so. What breaks off in between
is found by its life cycle, and gone on with, by the next call.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from headrace.api.artifacts import SCHEME, store_path
from headrace.api.as_of import AsOf
from headrace.api.erasing_answers import LISTED_MAX, Erased, Gone, Left, Wanted
from headrace.api.errors import ApiError
from headrace.api.model_sources import versions_below
from headrace.api.retention import retain
from headrace.api.stores.store import ArtifactStore
from headrace.api.tracking import Tracking
from headrace.ingest import events
from headrace.ingest.clock import Clock
from headrace.ingest.model_events import RegisteredModelErased
from headrace.processors.entities import Entities
from headrace.processors.erasing import Count, Sweeper
from headrace.processors.registry import DELETED, Experiment, LoggedModel
from headrace.processors.runs import ACTIVE, ERASED, ERASING, GONE, RunState
from headrace.processors.views import Views
from starlette.concurrency import run_in_threadpool

RUNS_A_CALL = 100
"""So many runs are erased by one call; who calls goes on until there is nothing more."""
FILES_MAX = 1_000_000
HELD = "its artifacts are the files of {}: delete those first"
LOG_KEEPS = (
    "this log is on Kafka, which cannot overwrite a record: payloads stay there until the topic's retention, or until"
    " its records are deleted; a rebuild of the views brings rows back, and the next gc erases them again"
)


class Eraser:
    """One server's; one call at a time."""

    def __init__(
        self, sweeper: Sweeper, views: Views, engine: Entities, tracking: Tracking, past: AsOf, store: ArtifactStore,
        clock: Clock,
    ) -> None:  # fmt: skip
        self._sweeper = sweeper
        self._views = views
        self._engine = engine
        self._tracking = tracking
        self._past = past
        self._store = store
        self._clock = clock
        self._lock = asyncio.Lock()

    @property
    def busy(self) -> bool:
        """Whether a call is under way."""
        return self._lock.locked()

    async def erase(self, wanted: Wanted, dry_run: bool) -> Erased:
        """Erase, RUNS_A_CALL runs at most. Raises TEMPORARILY_UNAVAILABLE, LogUnavailable, ViewsUnavailable: then the
        next call goes on."""
        if self._lock.locked():
            raise ApiError("REQUEST_LIMIT_EXCEEDED", "Another gc is under way on this server; wait until it has ended")
        async with self._lock:
            answer = Erased(dry_run=dry_run)
            if not self._sweeper.log_erases:
                answer.notes.append(LOG_KEEPS)
            await self._tracking.caught_up()
            if not wanted.named:
                await retain(self._views, self._engine, self._tracking, self._clock, answer)
            await self._erase_runs(wanted, answer)
            if not answer.more:
                await self._erase_of_registry(wanted, answer)
            return answer

    # --- runs ---------------------------------------------------------------------------------------------------------

    async def _erase_runs(self, wanted: Wanted, answer: Erased) -> None:
        chosen = await self._chosen(wanted, answer)
        free = self._without_registered(await run_in_threadpool(self._without_forked, chosen, answer), answer)
        limit = LISTED_MAX if answer.dry_run else RUNS_A_CALL
        answer.more |= len(free) > limit
        states = {state.run_id: state for state in free[:limit]}
        if answer.dry_run:
            await run_in_threadpool(self._count, states, answer)
            return
        if states:
            await self._end(states, answer)
        files = {x: await run_in_threadpool(self._artifacts_of, state, answer) for x, state in states.items()}
        gone = {run_id: counted for run_id, counted in files.items() if counted is not None}
        late = await run_in_threadpool(self._sweeper.with_late_rows, set(self._engine.gone()) - states.keys())
        swept = [*gone, *sorted(late)[:RUNS_A_CALL]]
        if not swept:
            return
        counts = await self._sweep(swept)
        tombstones = []
        for run_id in swept:
            (number, size), count = gone.get(run_id, (0, 0)), counts[run_id]
            found = Gone(run_id, number, size, count.records, count.record_bytes, count.points, run_id in late)
            answer.runs.append(found)
            if run_id in gone:
                told = events.RunErased(number, size, count.records, count.record_bytes, count.points)
                tombstones.append((run_id, told))
        if tombstones:
            await self._tracking.commands(tombstones)
        await self._tracking.caught_up()

    async def _chosen(self, wanted: Wanted, answer: Erased) -> list[RunState]:
        """The runs to erase, those first whose erasing has begun."""
        begun = await self._ids("lifecycle = {gone:String}", {"gone": ERASING})
        if not wanted.named:
            before = {"before": int(self._clock.time_ms() - wanted.older_than_ms)}
            ids = await self._ids("lifecycle = 'deleted' AND deleted_time_ms <= {before:Int64}", before)
        else:
            ids = list(wanted.run_ids)
        experiments = [x.experiment_id for x in self._binned_experiments(wanted, answer)]
        ids += await self._ids("experiment_id IN {ids:Array(String)}", {"ids": experiments})
        ids = list(dict.fromkeys([*begun, *ids]))
        states = await run_in_threadpool(self._engine.runs, ids)
        chosen = []
        for run_id in ids:
            state = states.get(run_id)
            if state is None:
                answer.left.append(Left(run_id, "there is no such run"))
            elif state.lifecycle == ERASED:
                answer.left.append(Left(run_id, f"it is gone already: {state.status_reason}"))
            elif state.lifecycle == ACTIVE and state.experiment_id not in experiments:
                answer.left.append(Left(run_id, "it is not in the bin; delete it first"))
            else:
                chosen.append(state)
        return chosen

    async def _ids(self, condition: str, parameters: dict[str, Any]) -> list[str]:
        sql = f"SELECT run_id FROM runs FINAL WHERE {condition} ORDER BY deleted_time_ms, run_id LIMIT 10000"
        return [row[0] for row in await run_in_threadpool(self._views.rows, sql, parameters)]

    def _without_forked(self, chosen: Sequence[RunState], answer: Erased) -> list[RunState]:
        """Those that no other run inherits from, forks before what they were forked from."""
        forks: dict[str, set[str]] = {}
        forked = [x for x in list(self._engine.forked()) if x not in self._engine.gone()]
        for run_id, state in self._engine.runs(forked).items():
            forks.setdefault(state.forked_from, set()).add(run_id)
        free: list[RunState] = []
        waiting = list(chosen)
        dropped: set[str] = set()
        while True:
            ready = [x for x in waiting if x.lifecycle == ERASING or forks.get(x.run_id, set()) <= dropped]
            if not ready:
                break
            free += ready
            dropped |= {x.run_id for x in ready}
            waiting = [x for x in waiting if x.run_id not in dropped]
        for state in waiting:
            living = ", ".join(sorted(forks[state.run_id] - dropped)[:5])
            answer.left.append(Left(state.run_id, f"its points are also those of the runs forked from it: {living}"))
        return free

    def _without_registered(self, chosen: Sequence[RunState], answer: Erased) -> list[RunState]:
        """Those whose artifacts are no registered version's files."""
        free, below = [], versions_below(self._engine.registry)
        for state in chosen:
            held = below(state.artifact_uri) if state.lifecycle != ERASING and state.artifact_uri else ""
            if held:
                answer.left.append(Left(state.run_id, HELD.format(held)))
            else:
                free.append(state)
        return free

    async def _end(self, states: Mapping[str, RunState], answer: Erased) -> None:
        """Say of each run that its erasing has begun, unless it was said before."""
        given: list[tuple[str, events.Event]] = []
        for state in states.values():
            if state.lifecycle == ERASING:
                continue
            if state.lifecycle == ACTIVE:
                given.append((state.run_id, events.RunDeleted("its experiment is in the bin")))
            given.append((state.run_id, events.RunErasing(state.experiment_id, state.artifact_uri)))
        refused = await self._tracking.commands(given)
        for (run_id, event), refusal in zip(given, refused, strict=True):
            if refusal is not None and isinstance(event, events.RunErasing):
                answer.left.append(Left(run_id, refusal))
        self._past.forget()

    def _artifacts_of(self, state: RunState | LoggedModel, answer: Erased) -> tuple[int, int] | None:
        """Delete artifacts; how many files and bytes they were. None where that failed, and it was reported."""
        id = state.run_id if isinstance(state, RunState) else state.model_id
        if isinstance(state, RunState) and state.lifecycle not in GONE:
            now = self._engine.run(id)
            if now is None or now.lifecycle not in GONE:
                return None  # its erasing was refused
        try:
            counted = self._files(state.artifact_uri)
            if counted[0] and not answer.dry_run:
                self._store.delete(store_path(state.artifact_uri))
        except ApiError as error:
            answer.left.append(Left(id, f"its artifacts cannot be deleted now: {error.message}"))
            return None
        if state.artifact_uri and not state.artifact_uri.startswith(SCHEME):
            answer.notes.append(f"the artifacts at {state.artifact_uri} are not kept by this server: delete them there")
        return counted

    def _files(self, uri: str) -> tuple[int, int]:
        """How many files there are below a URI of this store, and their bytes."""
        if not uri.startswith(SCHEME):
            return 0, 0
        number = size = 0
        folders = [store_path(uri)]
        while folders and number < FILES_MAX:
            folder = folders.pop()
            for entry in self._store.list(folder):
                if entry.size is None:
                    folders.append(f"{folder}/{entry.path}")
                else:
                    number += 1
                    size += entry.size
        return number, size

    def _count(self, states: Mapping[str, RunState], answer: Erased) -> None:
        counts = self._sweeper.count(list(states)) if states else {}
        for run_id, state in states.items():
            try:
                number, size = self._files(state.artifact_uri)
            except ApiError as error:
                answer.left.append(Left(run_id, f"its artifacts cannot be counted now: {error.message}"))
                continue
            count = counts[run_id]
            answer.runs.append(Gone(run_id, number, size, count.records, count.record_bytes, count.points))

    async def _sweep(self, run_ids: Sequence[str]) -> dict[str, Count]:
        """Take runs out of the log and out of the views, in memory and stored."""
        counts = await run_in_threadpool(self._sweeper.runs_in_log, run_ids)
        # What had been read of them before is in the views then, and nothing of it comes any more.
        await self._tracking.caught_up()
        await self._tracking.done(self._engine.forget_metrics(run_ids))
        points = await run_in_threadpool(self._sweeper.runs_in_views, run_ids)
        self._past.forget()
        for run_id, number in points.items():
            counts[run_id].points = number
        return counts

    # --- experiments and logged models --------------------------------------------------------------------------------

    def _binned_experiments(self, wanted: Wanted, answer: Erased | None = None) -> list[Experiment]:
        """The experiments whose time in the bin is over."""
        registry = self._engine.registry
        before_ms = self._clock.time_ms() - wanted.older_than_ms
        if not wanted.named:
            return [
                x
                for x in list(registry.experiments.values())
                if x.lifecycle == DELETED and x.last_update_time_ms <= before_ms
            ]
        found = []
        for experiment_id in wanted.experiment_ids:
            experiment = registry.experiments.get(experiment_id)
            if experiment is not None and experiment.lifecycle == DELETED:
                found.append(experiment)
            elif answer is not None:
                erased = registry.erased.get(experiment_id) if experiment is None else None
                reason = "it is not in the bin; delete it first" if experiment else "there is no such experiment"
                answer.left.append(Left(experiment_id, f"it is gone already: {erased.told}" if erased else reason))
        return found

    async def _erase_of_registry(self, wanted: Wanted, answer: Erased) -> None:
        registry = self._engine.registry
        experiments = {x.experiment_id for x in self._binned_experiments(wanted)}
        before_ms = self._clock.time_ms() - wanted.older_than_ms
        models = [
            model
            for model in list(registry.logged_models.values())
            if model.experiment_id in experiments
            or (not wanted.named and model.lifecycle == DELETED and model.last_update_time_ms <= before_ms)
        ]
        answer.more |= len(models) > LISTED_MAX
        kept = {model.experiment_id for model in models[LISTED_MAX:]}
        told: list[tuple[str, events.Event]] = []
        below = versions_below(registry)
        for model in models[:LISTED_MAX]:
            if held := below(model.artifact_uri):
                answer.left.append(Left(model.model_id, HELD.format(held)))
                kept.add(model.experiment_id)
                continue
            counted = await run_in_threadpool(self._artifacts_of, model, answer)
            if counted is None:
                kept.add(model.experiment_id)
                continue
            if model.lifecycle != DELETED:
                told.append((model.model_id, events.LoggedModelDeleted()))
            told.append((model.model_id, events.LoggedModelErased(*counted)))
        left = await self._ids("experiment_id IN {ids:Array(String)}", {"ids": list(experiments)})
        states = await run_in_threadpool(self._engine.runs, left)
        # In a dry run, of runs that would be erased none is left.
        would = {run.run_id for run in answer.runs} if answer.dry_run else set()
        for state in states.values():
            if state.run_id not in would and state.experiment_id in experiments - kept:
                kept.add(state.experiment_id)
        for experiment_id in sorted(experiments & kept):
            answer.left.append(Left(experiment_id, "not everything in the experiment was erased"))
        told += [(experiment_id, events.ExperimentErased()) for experiment_id in sorted(experiments - kept)]
        deleted = [
            x
            for x in list(registry.models.by_id.values())
            if not wanted.named and x.lifecycle == DELETED and x.last_update_time_ms <= before_ms
        ]
        answer.more |= len(deleted) > LISTED_MAX
        for x in deleted[:LISTED_MAX]:
            subjects = registry.models.subjects(x.registered_model_id)
            told.append((x.registered_model_id, RegisteredModelErased(subjects)))
        if not answer.dry_run:
            told = await self._told(told, answer)
        answer.logged_models += [id for id, event in told if isinstance(event, events.LoggedModelErased)]
        answer.experiments += [id for id, event in told if isinstance(event, events.ExperimentErased)]
        answer.registered_models += [id for id, event in told if isinstance(event, RegisteredModelErased)]

    async def _told(self, told: list[tuple[str, events.Event]], answer: Erased) -> list[tuple[str, events.Event]]:
        """Append the tombstones, and sweep; those that were not refused."""
        if told:
            refused = await self._tracking.commands(told)
            answer.left += [Left(id, why) for (id, _), why in zip(told, refused, strict=True) if why is not None]
            told = [one for one, why in zip(told, refused, strict=True) if why is None]
            await self._tracking.caught_up()
        below = {id: erasure.offset for id, erasure in dict(self._engine.registry.erased).items()}
        await run_in_threadpool(self._sweeper.registry, below)
        self._past.forget()
        return told
