"""Folds batches of the runs and registry topics: into run states, the registry, and the history of both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from headrace.ingest import codec
from headrace.ingest.events import Event, EventRejected, RegistryRecordErased, RunHeartbeat, RunRecordErased
from headrace.ingest.log import Partition, Position, Record
from headrace.ingest.topics import REGISTRY, RUNS, is_of_run
from headrace.processors import runs
from headrace.processors.counters import Counters
from headrace.processors.dead_letters import Letters
from headrace.processors.outcome import APPLIED, DUPLICATE, REJECTED, SKIPPED, Outcome
from headrace.processors.registry import Registry
from headrace.processors.runs import RunState
from headrace.processors.states import RunStates

_UNTOLD = frozenset(map(codec.type_of, (RunHeartbeat, RunRecordErased, RegistryRecordErased)))
"""Types that history leaves out."""


@dataclass(slots=True)
class EntityBatch:
    """What one batch of records came to. outcomes: of every record of a run
    or the registry. events: those that history keeps and does not
    hold yet. runs: the newest state of each run that changed."""

    outcomes: list[tuple[Record, Outcome]] = field(default_factory=list)
    events: list[tuple[Record, Outcome]] = field(default_factory=list)
    runs: dict[str, RunState] = field(default_factory=dict)


class EntityFold:
    """One thread folds; registry, states and beating may be read from any.

    beating: running runs that promised heartbeats: when the last one came (ms since the epoch), and the interval in s.
    """

    def __init__(
        self,
        states: RunStates,
        dead_letters: Letters,
        counters: Counters,
        beating: dict[str, tuple[int, float]],
        stored: Callable[[Record], Outcome] = lambda _: Outcome(DUPLICATE),
        registry: Registry | None = None,
    ) -> None:
        """registry: to go on with; a new one if None.

        stored: asked for the outcome of a record without a writer that a state from the views holds already.
        """
        self.registry = registry or Registry()
        self.states = states
        self.beating = beating
        self._dead_letters = dead_letters
        self._counters = counters
        self._stored = stored
        self._held: dict[Position, Outcome] = {}

    def fold(self, partition: Partition, records: list[Record]) -> EntityBatch:
        """Fold records of one partition, in order. Raises ViewsUnavailable, before anything was folded."""
        if partition.topic == RUNS:
            of_runs = [record for record in records if is_of_run(record.envelope.type)]
            self.states.load(record.envelope.subject for record in of_runs)
            # Asked now, since it may fail: nothing may have been folded then.
            self._held = {r.position: self._stored(r) for r in of_runs if not r.envelope.writer and self._is_held(r)}
        batch = EntityBatch()
        for record in records:
            outcome = self._fold_one(record)
            of_run = partition.topic == RUNS and is_of_run(record.envelope.type)
            if of_run or partition.topic == REGISTRY:
                batch.outcomes.append((record, outcome))
            if outcome.kind == DUPLICATE:
                continue
            run_id = record.envelope.subject
            if of_run and (outcome.kind != REJECTED or record.envelope.writer):
                state = self.states.cached(run_id)
                assert state is not None
                batch.runs[run_id] = state
            kept = record.envelope.type not in _UNTOLD or outcome.reason == runs.BACK
            if kept and self._dead_letters.is_new(record):
                batch.events.append((record, outcome))
        return batch

    def _fold_one(self, record: Record) -> Outcome:
        outcome = self._outcome(record)
        self._counters.count(outcome)
        return outcome

    def _outcome(self, record: Record) -> Outcome:
        envelope = record.envelope
        event: Event | None = None
        try:
            event = codec.decode_event(envelope)
            if isinstance(event, EventRejected):
                raise codec.Malformed(event.reason)
        except codec.UnknownType:
            pass
        except codec.Malformed as error:
            # Its writer has counted it, so it moves the writer's sequence on, and nothing else.
            if envelope.writer and self._apply(record, None).kind == DUPLICATE:
                return Outcome(DUPLICATE)
            return self._dead_letters.reject(record, str(error))
        outcome = self._apply(record, event)
        if event is None and outcome.kind != DUPLICATE:
            unknown = f"{envelope.type} version {envelope.schema_version} is not known here"
            return Outcome(SKIPPED, unknown, outcome.missed)
        return outcome

    def _apply(self, record: Record, event: Event | None) -> Outcome:
        if record.position.topic == REGISTRY:
            return self.registry.apply(record, event)
        if not is_of_run(record.envelope.type):
            return Outcome(APPLIED)  # history alone keeps it
        before = self.states.cached(record.envelope.subject)
        if before is not None and self._is_held(record):
            self._follow_heartbeat(before)
            return self._held.get(record.position, Outcome(DUPLICATE))
        state, outcome = runs.apply(before, record, event)
        if outcome.kind != DUPLICATE:
            self.states.put(state)
            self._follow_heartbeat(state)
        return outcome

    def _is_held(self, record: Record) -> bool:
        """Whether the views were ahead of this fold when the state was read from them."""
        before = self.states.cached(record.envelope.subject)
        return before is not None and record.position.offset <= before.offset

    def _follow_heartbeat(self, state: RunState) -> None:
        if state.status == "RUNNING" and state.heartbeat_interval_s > 0:
            self.beating[state.run_id] = (state.heartbeat_ms, state.heartbeat_interval_s)
        else:
            self.beating.pop(state.run_id, None)
