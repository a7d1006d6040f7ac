"""Commands and reads of tracking: each command is appended to the log, and its outcome is what the fold made of it."""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar

import msgspec
import pyarrow as pa
from headrace.api.appender import Appender
from headrace.api.ends import Ends
from headrace.api.errors import ApiError, invalid, missing, unavailable
from headrace.api.forks import Forks
from headrace.api.origin import origin
from headrace.api.point_summaries import Summaries
from headrace.ingest import codec, events
from headrace.ingest.clock import Clock
from headrace.ingest.envelope import ARROW, Envelope
from headrace.ingest.limits import experiment_id_of
from headrace.ingest.log import Partition, Position
from headrace.ingest.names import run_name
from headrace.ingest.partitioning import partition_of
from headrace.ingest.points import OPTIONAL, REQUIRED, encode
from headrace.ingest.topics import FOLDED, METRICS, REGISTRY, RUNS
from headrace.processors.entities import Entities
from headrace.processors.metrics import Summary
from headrace.processors.outcome import REFUSED, REJECTED
from headrace.processors.registry import DELETED, Experiment, LoggedModel, Registry
from headrace.processors.runs import GONE, RUN_NAME_TAG, RunState
from starlette.concurrency import run_in_threadpool

T = TypeVar("T")
COLUMNS = {**REQUIRED, **OPTIONAL}
_ID_ATTEMPTS = 100


class Tracking:
    """Experiments, runs and logged models, for one API process."""

    def __init__(
        self, ends: Ends, engine: Entities, forks: Forks, appender: Appender, clock: Clock, wait_s: float
    ) -> None:
        """wait_s: how long a command or read waits for folds and views before it gives up, seconds."""
        self._ends = ends
        self._engine = engine
        self._forks = forks
        self._appender = appender
        self._clock = clock
        self._wait_s = wait_s

    # --- waiting ------------------------------------------------------------------------------------------------------

    async def caught_up(self) -> None:
        """Wait until the views hold all that was in the log when this was called. Raises TEMPORARILY_UNAVAILABLE."""
        ends = await self._ends.now()
        await self.stored({p: x for p, x in ends.items() if p.topic in FOLDED})

    async def stored(self, target: Mapping[Partition, int]) -> None:
        """Wait until the views hold everything up to these offsets. Raises TEMPORARILY_UNAVAILABLE."""
        await self._wait(self._engine.stored(target))

    async def folded(self, *topics: str, run_ids: Sequence[str] = ()) -> None:
        """Wait until all events of these topics that were in the log when this was called have been folded.

        run_ids: of runs and metrics, only those of these runs matter.
        """
        target = {p: offset for p, offset in (await self._ends.now()).items() if p.topic in topics}
        if run_ids:
            counts = Counter(p.topic for p in target)
            wanted = {
                (topic, partition_of(run_id, counts[topic]))
                for topic in (RUNS, METRICS)
                if counts[topic]
                for run_id in run_ids
            }
            target = {p: offset for p, offset in target.items() if p.topic == REGISTRY or p in wanted}
        await self._wait(self._engine.folded.reached(target))

    async def decided(self) -> None:
        """Wait until all that this process has appended to runs and registry has been folded: for commands."""
        target = {p: offset for p, offset in self._appender.written.items() if p.topic != METRICS}
        await self._wait(self._engine.folded.reached(target))

    async def done(self, future: Future[None]) -> None:
        """Wait for the folds to do something. Raises TEMPORARILY_UNAVAILABLE, and what the future raises."""
        await self._wait(future)

    async def _wait(self, future: Future[T]) -> T:
        if future.done():
            return future.result()
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), self._wait_s)
        except TimeoutError:
            fault = self._engine.fault or "they are still behind the log"
            raise unavailable(
                f"The views did not catch up within {self._wait_s:g} s: {fault}. What was logged is safe."
            ) from None

    # --- commands -----------------------------------------------------------------------------------------------------

    async def command(self, subject: str, event: events.Event) -> str | None:
        """Append one event and wait for its outcome: None when it was applied, else why it was refused."""
        [refusal] = await self.commands([(subject, event)])
        return refusal

    async def commands(self, given: Sequence[tuple[str, events.Event]]) -> list[str | None]:
        """Append events, each of a subject, and wait for their outcomes, as `command` does."""
        positions = await self._appender.append([self._envelope(subject, event) for subject, event in given])
        return [await self._refusal(position) for position in positions]

    def _envelope(self, subject: str, event: events.Event) -> Envelope:
        return Envelope(
            id=uuid.uuid4().hex,
            type=codec.type_of(event),
            source=origin().source,
            subject=subject,
            time_ms=self._clock.time_ms(),
            data=codec.encode_event(event),
            actor=origin().actor,
        )

    async def _refusal(self, position: Position) -> str | None:
        outcome = await self._wait(self._engine.outcome(position))
        return outcome.reason if outcome.kind in (REFUSED, REJECTED) else None

    # --- experiments --------------------------------------------------------------------------------------------------

    async def create_experiment(self, name: str, artifact_location: str, tags: dict[str, str]) -> str:
        """Create an experiment; its id. Raises RESOURCE_ALREADY_EXISTS."""
        for attempt in range(_ID_ATTEMPTS):
            experiment_id = experiment_id_of(name, attempt)
            refusal = await self.command(experiment_id, events.ExperimentCreated(name, artifact_location, tags))
            if refusal is None:
                return experiment_id
            holder = self._engine.registry.by_name.get(name)
            if holder is not None:
                if holder.lifecycle == DELETED:
                    raise ApiError(
                        "RESOURCE_ALREADY_EXISTS",
                        f"Experiment '{name}' already exists in deleted state. You can restore the experiment, or"
                        " permanently delete the experiment to create a new one.",
                    )
                raise ApiError("RESOURCE_ALREADY_EXISTS", f"Experiment(name={name}) already exists.")
        raise unavailable(f"No free id was found for the experiment {name!r}")

    async def experiment(self, experiment_id: str) -> Experiment:
        """An experiment, deleted ones too. Raises RESOURCE_DOES_NOT_EXIST."""
        await self.folded(REGISTRY)
        return experiment_of(self._engine.registry, experiment_id)

    async def active_experiment(self, experiment_id: str) -> Experiment:
        """An experiment that can be changed. Raises RESOURCE_DOES_NOT_EXIST, INVALID_PARAMETER_VALUE if deleted."""
        found = await self.experiment(experiment_id)
        if found.lifecycle == DELETED:
            raise invalid(f"The experiment {experiment_id} must be in the 'active' state. Current state is deleted.")
        return found

    async def change_experiment(self, experiment_id: str, event: events.Event) -> None:
        """Append a change of an experiment. Raises what refuses it."""
        refusal = await self.command(experiment_id, event)
        if refusal is None:
            return
        if isinstance(event, events.ExperimentRenamed) and "already exists" in refusal:
            raise ApiError("RESOURCE_ALREADY_EXISTS", refusal)
        raise missing(refusal)

    # --- runs ---------------------------------------------------------------------------------------------------------

    async def create_run(
        self, experiment_id: str, name: str, user_id: str, start_time_ms: int | None, tags: dict[str, str]
    ) -> RunState:
        """Create a run. name: made up when empty."""
        experiment = await self.active_experiment(experiment_id)
        tagged = tags.get(RUN_NAME_TAG, "")
        if name and tagged and name != tagged:
            raise invalid(
                "Both 'run_name' argument and 'mlflow.runName' tag are specified, but with different values "
                f"(run_name='{name}', mlflow.runName='{tagged}')."
            )
        name = name or tagged or run_name()
        run_id = uuid.uuid4().hex
        created = events.RunCreated(
            experiment_id=experiment_id,
            start_time_ms=self._clock.time_ms() if start_time_ms is None else start_time_ms,
            name=name,
            user_id=user_id,
            tags={**tags, RUN_NAME_TAG: name},
            artifact_root=experiment.artifact_location,
        )
        refusal = await self.command(run_id, created)
        if refusal is not None:
            raise unavailable(refusal)
        return await self.run(run_id)

    async def run(self, run_id: str) -> RunState:
        """A run, deleted ones too. Raises RESOURCE_DOES_NOT_EXIST."""
        await self.decided()
        state = self._engine.cached_run(run_id)
        if state is None:
            # Another process may have appended it to the log a moment ago.
            await self.folded(RUNS, REGISTRY, run_ids=[run_id])
            state = await run_in_threadpool(self._engine.run, run_id) if self._engine.knows(run_id) else None
        if state is None:
            raise missing(f"Run with id={run_id} not found")
        if state.lifecycle in GONE:
            raise missing(f"Run with id={run_id} not found: it is {state.status_reason}")
        return self._in_its_experiment(state)

    def _in_its_experiment(self, state: RunState) -> RunState:
        """A run is in the bin when its experiment is."""
        experiment = self._engine.registry.experiments.get(state.experiment_id)
        if experiment is None or experiment.lifecycle != DELETED or state.lifecycle == DELETED:
            return state
        return msgspec.structs.replace(state, lifecycle=DELETED)

    async def runs(self, run_ids: Sequence[str]) -> list[tuple[RunState, dict[str, Summary]]]:
        """Runs and their metrics by key, in the order given; ids of no run, or an erased one, are left out."""
        await self.folded(RUNS, REGISTRY, METRICS, run_ids=run_ids)
        gone = self._engine.gone()
        run_ids = [run_id for run_id in run_ids if run_id not in gone]
        forked = self._engine.forked()
        if not any(run_id in forked for run_id in run_ids):
            cached = [(self._engine.cached_run(x), self._engine.cached_summaries(x)) for x in run_ids]
            if all(state is not None and summaries is not None for state, summaries in cached):
                return [(self._in_its_experiment(state), summaries or {}) for state, summaries in cached if state]
        if not await run_in_threadpool(self._forks.current, run_ids):
            await self.caught_up()
        states, summaries = await run_in_threadpool(lambda: (self._engine.runs(run_ids), self._summaries(run_ids)))
        return [(self._in_its_experiment(states[x]), summaries.get(x, {})) for x in run_ids if x in states]

    def _summaries(self, run_ids: Sequence[str]) -> Summaries:
        found = self._engine.summaries(run_ids)
        return self._forks.with_inherited({run_id: found.get(run_id, {}) for run_id in run_ids})

    async def active_run(self, run_id: str) -> RunState:
        """A run that can be written to. Raises RESOURCE_DOES_NOT_EXIST, INVALID_PARAMETER_VALUE if it is deleted."""
        state = await self.run(run_id)
        if state.lifecycle == DELETED:
            raise invalid(f"The run {run_id} must be in the 'active' state. Current state is deleted.")
        return state

    async def change_run(self, run_id: str, event: events.Event) -> RunState:
        """Append an event of a run and return the run after it. Raises INVALID_PARAMETER_VALUE when it is refused."""
        refusal = await self.command(run_id, event)
        if refusal is not None:
            raise invalid(refusal)
        return await self.run(run_id)

    async def log(
        self, run_id: str, points: dict[str, list[Any]], params: dict[str, str], tags: dict[str, str]
    ) -> None:
        """Log to a run, all or nothing: a refused param leaves no tag and no point behind.

        points: columns of equal length, named as in `headrace.ingest.points`; {} for none.
        """
        await self.active_run(run_id)
        if params or tags:
            refusal = await self.command(run_id, events.AttributesLogged(params, tags, atomic=True))
            if refusal is not None:
                raise invalid(refusal)
        if points:
            envelope = Envelope(
                id=uuid.uuid4().hex,
                type=events.METRICS_LOGGED,
                source=origin().source,
                subject=run_id,
                time_ms=self._clock.time_ms(),
                data=encode({name: pa.array(values, COLUMNS[name]) for name, values in points.items()}),
                content_type=ARROW,
                actor=origin().actor,
            )
            await self._appender.append([envelope])

    # --- logged models ------------------------------------------------------------------------------------------------

    async def logged_model(self, model_id: str, deleted: bool = False) -> LoggedModel:
        """A logged model. Raises RESOURCE_DOES_NOT_EXIST, for a deleted one too unless asked for."""
        await self.folded(REGISTRY)
        return logged_model_of(self._engine.registry, model_id, deleted)

    async def change_logged_model(self, model_id: str, event: events.Event) -> LoggedModel:
        """Append a change of a logged model and return it after that."""
        refusal = await self.command(model_id, event)
        if refusal is not None:
            raise missing(refusal)
        return await self.logged_model(model_id, deleted=True)


def experiment_of(registry: Registry, experiment_id: str) -> Experiment:
    """An experiment, deleted ones too. Raises RESOURCE_DOES_NOT_EXIST."""
    found = registry.experiments.get(experiment_id)
    if found is None:
        erased = registry.erased.get(experiment_id)
        raise missing(f"No Experiment with id={experiment_id} exists{f': it was {erased.told}' if erased else ''}")
    return found


def logged_model_of(registry: Registry, model_id: str, deleted: bool = False) -> LoggedModel:
    """A logged model. Raises RESOURCE_DOES_NOT_EXIST, for a deleted one too unless asked for."""
    found = registry.logged_models.get(model_id)
    if found is None or (found.lifecycle == DELETED and not deleted):
        erased = registry.erased.get(model_id)
        raise missing(f"Logged model with ID '{model_id}' not found.{f' It was {erased.told}.' if erased else ''}")
    return found
