"""Follows runs and registry in one process: their newest states at hand, and the outcome of each command."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import Future

from headrace.ingest.log import Follower, Log, Partition, Position, Record
from headrace.ingest.topics import REGISTRY, RUNS
from headrace.processors.changes import Changes
from headrace.processors.counters import Counters
from headrace.processors.entity_fold import EntityBatch, EntityFold
from headrace.processors.follow import Following
from headrace.processors.metrics import Summary
from headrace.processors.outcome import Outcome
from headrace.processors.registry import Registry
from headrace.processors.runs import RunState
from headrace.processors.watermark import Watermark

OUTCOMES_MAX = 100_000


class Entities(ABC):
    """What an API process asks of the folds: registry, runs, outcomes, and how far all of it has come.

    folded: how far it is what `run`, `summaries` and `registry` answer. viewed: how far every view has come, for
    queries. Summaries are the business of those who derive.
    """

    _entities: EntityFold
    _following: Following

    def __init__(self, log: Log, folded: Watermark, viewed: Watermark) -> None:
        self.log = log
        self.folded = folded
        self.viewed = viewed
        self.counters = Counters()
        self.on_registry: list[Callable[[], None]] = []
        """Called on the folding thread when the registry has changed."""
        self._entity_offsets: dict[Partition, int] = {}
        self._outcome_lock = threading.Lock()
        self._outcomes: dict[Position, Outcome] = {}
        self._outcome_waits: dict[Position, Future[Outcome]] = {}

    # --- what those who derive do -------------------------------------------------------------------------------------

    @abstractmethod
    def start(self) -> None:
        """Begin to follow the log."""

    @abstractmethod
    def stop(self) -> None:
        """End."""

    @property
    @abstractmethod
    def fault(self) -> str | None:
        """Why the log cannot be read or the views cannot be written now, or None."""

    @abstractmethod
    def stored(self, target: Mapping[Partition, int]) -> Future[None]:
        """Done when the views hold everything up to target; hurries them where it can."""

    @abstractmethod
    def all_in_memory(self) -> bool:
        """Whether `runs_of` and `metrics_in_memory` hold every run there is."""

    @property
    @abstractmethod
    def metrics_in_memory(self) -> Mapping[str, Mapping[str, Summary]]:
        """Metrics in memory by run and key, as they change: for single look-ups, not to go through."""

    @property
    @abstractmethod
    def metric_changes(self) -> Changes:
        """Which runs' metrics in memory have changed; another object once all of them have been loaded anew."""

    @abstractmethod
    def summaries(self, run_ids: Sequence[str]) -> dict[str, dict[str, Summary]]:
        """Each run's metrics by key, newest. May read the views."""

    @abstractmethod
    def cached_summaries(self, run_id: str) -> dict[str, Summary] | None:
        """A run's metrics by key, if they are in memory."""

    @abstractmethod
    def forget_metrics(self, run_ids: Collection[str]) -> Future[None]:
        """Drop what is in memory of the points of runs that are erased, before their rows are. Done when it is."""

    @abstractmethod
    def _take(self, partition: Partition, records: list[Record], batch: EntityBatch) -> None:
        """What to do with a batch that was folded, before `folded` tells of it."""

    @abstractmethod
    def _idle(self) -> None:
        """Called on the folding thread between batches."""

    # --- for readers, from any thread ---------------------------------------------------------------------------------

    @property
    def registry(self) -> Registry:
        """Experiments and logged models."""
        return self._entities.registry

    @property
    def beating(self) -> dict[str, tuple[int, float]]:
        """Running runs that promised heartbeats: the last one, ms since the epoch, and the interval in s."""
        return self._entities.beating

    def outcome(self, position: Position) -> Future[Outcome]:
        """What the fold made of an event without a writer, once it has; each is told once."""
        future: Future[Outcome] = Future()
        with self._outcome_lock:
            outcome = self._outcomes.pop(position, None)
            if outcome is None:
                self._outcome_waits[position] = future
                return future
        future.set_result(outcome)
        return future

    def stages(self) -> dict[str, dict[Partition, int]]:
        """How far this process has folded, and how far the views have come."""
        return {"folded": self.folded.offsets(), "viewed": self.viewed.offsets()}

    def run(self, run_id: str) -> RunState | None:
        """The newest state of a run, None if there is none. Reads the views where it is not in memory."""
        return self.runs([run_id]).get(run_id)

    def runs(self, run_ids: Sequence[str]) -> dict[str, RunState]:
        """The newest states of runs, by id. Reads the views for those that are not in memory."""
        return self._entities.states.get(run_ids)

    def runs_of(self, experiment_ids: Iterable[str]) -> list[RunState]:
        """The states that are in memory of these experiments' runs."""
        return self._entities.states.of_experiments(experiment_ids)

    def cached_run(self, run_id: str) -> RunState | None:
        """The newest state of a run, if it is in memory."""
        return self._entities.states.cached(run_id)

    def forked(self) -> set[str]:
        """The runs that were forked from others; may grow while it is read, so only look runs up in it."""
        return self._entities.states.forked

    def gone(self) -> set[str]:
        """The runs that were erased or are being erased; may grow while it is read, so only look runs up in it."""
        return self._entities.states.gone

    def moved(self) -> list[str]:
        """The runs that have changed their experiment."""
        return list(self._entities.states.moved)

    def knows(self, run_id: str) -> bool:
        """Whether any event of the run has been folded."""
        return run_id in self._entities.states

    def _begin(self, fold: EntityFold, start: Mapping[Partition, int]) -> None:
        """Fold with this from now on. start: the offsets to follow from, of the partitions of runs and registry."""
        self._entities = fold
        self._entity_offsets = {p: offset for p, offset in start.items() if p.topic in (RUNS, REGISTRY)}
        self._following = Following("runs", self._follow, self._fold, self._idle)

    # --- the fold's thread --------------------------------------------------------------------------------------------

    def _follow(self) -> Follower:
        return self.log.follow(self._entity_offsets)

    def _fold(self, records: list[Record]) -> None:
        partition = Partition(*records[0].position[:2])
        batch = self._entities.fold(partition, records)
        self._tell(batch)
        self._take(partition, records, batch)
        if partition.topic == REGISTRY:
            for told in list(self.on_registry):
                told()
        self.folded.advance({partition: records[-1].position.offset + 1})

    def _tell(self, batch: EntityBatch) -> None:
        """Tell the outcomes of events that have no writer: those of commands, whose senders wait."""
        told = []
        with self._outcome_lock:
            for record, outcome in batch.outcomes:
                if record.envelope.writer:
                    continue
                waiting = self._outcome_waits.pop(record.position, None)
                if waiting is not None:
                    told.append((waiting, outcome))
                else:
                    self._outcomes[record.position] = outcome
            while len(self._outcomes) > OUTCOMES_MAX:
                del self._outcomes[next(iter(self._outcomes))]
        for waiting, outcome in told:
            if waiting.set_running_or_notify_cancel():
                waiting.set_result(outcome)
