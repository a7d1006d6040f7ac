"""Drives the folds over a log in one process, and tells readers what they wait for.

Three threads. One folds runs and registry, so that a command has its outcome within a millisecond of its append; one
folds metrics; the third stores what both hand over. When the views fail, folding goes on until the store is full.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future

from headrace.ingest.clock import Clock, SystemClock
from headrace.ingest.log import Log, LogUnavailable, Partition, Position, Record
from headrace.ingest.topics import METRICS, REGISTRY, RUNS
from headrace.processors import checkpoint, metrics
from headrace.processors.counters import Counters
from headrace.processors.dead_letters import DeadLetters
from headrace.processors.entity_fold import EntityBatch, EntityFold
from headrace.processors.metric_fold import MetricBatch, MetricFold
from headrace.processors.metrics import Summary
from headrace.processors.outcome import Outcome
from headrace.processors.registry import Registry
from headrace.processors.runs import RunState
from headrace.processors.states import MetricStates, RunStates
from headrace.processors.store import RETRY_FIRST_S, RETRY_MAX_S, Pending, Stopped, Store
from headrace.processors.views import Views, ViewsUnavailable
from headrace.processors.watermark import Watermark

logger = logging.getLogger("headrace.engine")

RECORDS_MAX = 5_000
READ_BYTES_MAX = 16 * 1024 * 1024
OUTCOMES_MAX = 100_000
METRICS_LINGER_S = 0.02
"""How long points gather before they are folded, unless a reader waits: a fold costs the same for 1 as for 1,000."""


class Engine:
    """Folds a log into views, and holds what API processes need at hand: registry, run states, outcomes.

    folded: how far folding has come: what it says of runs, metrics and registry is in memory, for `run`, `summaries`
    and `registry` to answer. viewed: how far every view has come, for queries.
    """

    def __init__(self, log: Log, views: Views, clock: Clock | None = None) -> None:
        """Reads where the views stand and recovers what a crash left half stored; start() begins to follow the log."""
        self._log = log
        self.counters = Counters()
        at = checkpoint.read(views)
        start = {p: 0 for p in log.partitions() if p.topic in (RUNS, METRICS, REGISTRY)} | at.runs | at.metrics
        self._letters = letters = DeadLetters(log, clock or SystemClock(), at.events)
        self._entities = EntityFold(RunStates(views), letters, self.counters, _beating(views))
        self._metrics = MetricFold(MetricStates(views), letters, self.counters)
        self._store = Store(views, start)
        self._recover_summaries(views, at)
        self.folded = Watermark(start)
        self._offsets = dict(start)
        self._outcome_lock = threading.Lock()
        self._outcomes: dict[Position, Outcome] = {}
        self._outcome_waits: dict[Position, Future[Outcome]] = {}
        self._stopping = threading.Event()
        self._fault: str | None = None
        self._threads = [
            threading.Thread(target=self._follow, args=(topics, fold), name=f"headrace-fold-{topics[-1]}", daemon=True)
            for topics, fold in (((REGISTRY, RUNS), self._fold_entities), ((METRICS,), self._fold_metrics))
        ]

    # --- for readers, from any thread ---------------------------------------------------------------------------------

    @property
    def registry(self) -> Registry:
        """Experiments and logged models."""
        return self._entities.registry

    @property
    def beating(self) -> dict[str, tuple[int, float]]:
        """Running runs that promised heartbeats: the last one, ms since the epoch, and the interval in s."""
        return self._entities.beating

    @property
    def viewed(self) -> Watermark:
        """How far every view has come."""
        return self._store.viewed

    @property
    def listeners(self) -> list[Callable[[set[str]], None]]:
        """Called on the store's thread with the ids of runs whose views have changed."""
        return self._store.listeners

    @property
    def fault(self) -> str | None:
        """Why the log cannot be read or the views cannot be written now, or None."""
        return self._store.fault or self._fault

    def start(self) -> None:
        """Begin to follow the log."""
        self._store.start()
        for thread in self._threads:
            thread.start()

    def stop(self, drain_s: float = 5.0) -> None:
        """Store what has been folded, for at most drain_s, then stop."""
        waiting = self.stored(self.folded.offsets())
        try:
            waiting.result(drain_s)
        except TimeoutError:
            waiting.cancel()
        self._stopping.set()
        self._store.stop()
        for thread in self._threads:
            thread.join()

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

    def stored(self, target: Mapping[Partition, int] | None = None) -> Future[None]:
        """Done when the views hold everything up to target, or all that is in the log now; hurries the store."""
        if target is None:
            target = {p: offset for p, offset in self._log.end().items() if p in self._offsets}
        self.folded.reached(target)  # hurries the folds
        return self._store.stored(target)

    def run(self, run_id: str) -> RunState | None:
        """The newest state of a run, None if there is none. Reads the views where it is not in memory."""
        return self.runs([run_id]).get(run_id)

    def runs(self, run_ids: Sequence[str]) -> dict[str, RunState]:
        """The newest states of runs, by id. Reads the views for those that are not in memory."""
        return self._entities.states.get(run_ids)

    def all_in_memory(self) -> bool:
        """Whether `runs_of` and `metrics_in_memory` hold every run there is."""
        return self._entities.states.complete and self._metrics.states.complete

    def runs_of(self, experiment_ids: Iterable[str]) -> list[RunState]:
        """The states that are in memory of these experiments' runs."""
        return self._entities.states.of_experiments(experiment_ids)

    @property
    def metrics_in_memory(self) -> Mapping[str, Mapping[str, Summary]]:
        """Metrics in memory by run and key, as they change: for single look-ups, not to go through."""
        return self._metrics.states.in_memory

    def cached_run(self, run_id: str) -> RunState | None:
        """The newest state of a run, if it is in memory."""
        return self._entities.states.cached(run_id)

    def knows(self, run_id: str) -> bool:
        """Whether any event of the run has been folded."""
        return run_id in self._entities.states

    def summaries(self, run_ids: Sequence[str]) -> dict[str, dict[str, Summary]]:
        """Each run's metrics by key, newest. Reads the views for runs that are not in memory."""
        return self._metrics.states.get(run_ids)

    def cached_summaries(self, run_id: str) -> dict[str, Summary] | None:
        """A run's metrics by key, if they are in memory."""
        return self._metrics.states.cached(run_id)

    # --- the fold threads ---------------------------------------------------------------------------------------------

    def _follow(self, topics: tuple[str, ...], fold: Callable[[Partition, list[Record]], int]) -> None:
        partitions = sorted(p for p in self._offsets if p.topic in topics)
        retry_s = RETRY_FIRST_S
        while not self._stopping.is_set():
            try:
                for partition in partitions:
                    records = self._log.read(partition, self._offsets[partition], RECORDS_MAX, READ_BYTES_MAX)
                    if records:
                        self._offsets[partition] = fold(partition, records)
                        self.folded.advance({partition: self._offsets[partition]})
                self._fault, retry_s = None, RETRY_FIRST_S
                self._letters.flush()
                # Until there is more in these partitions, whatever happens in others; at once if there is already.
                beyond = dict.fromkeys(self._log.partitions(), sys.maxsize)
                beyond |= {p: self._offsets[p] for p in partitions}
                if self._log.wait(beyond, 0.5) and topics == (METRICS,):
                    self.folded.wanted.wait(METRICS_LINGER_S)
            except Stopped:
                return
            except (LogUnavailable, ViewsUnavailable) as error:
                self._fault = str(error)
                logger.warning("folding %s waits: %s", " and ".join(topics), error)
                self._stopping.wait(retry_s)
                retry_s = min(retry_s * 2, RETRY_MAX_S)
            except Exception:
                # A fault of ours: say so and stand still rather than skip what was logged.
                logger.exception("folding %s ended; it stands still until a restart", " and ".join(topics))
                self._fault = "a fold ended by an error of its own; the server's output has more"
                return

    def _fold_entities(self, partition: Partition, records: list[Record]) -> int:
        batch = self._entities.fold(partition, records)
        self._tell(batch)
        end = records[-1].position.offset + 1

        def take(pending: Pending) -> None:
            pending.events += batch.events
            pending.runs |= batch.runs
            pending.bytes += sum(len(record.envelope.data) + 200 for record in records)

        self._store.add({partition: end}, take)
        self._entities.states.evict(self._store.unsaved_runs)
        return end

    def _fold_metrics(self, partition: Partition, records: list[Record]) -> int:
        batch: MetricBatch = self._metrics.fold(records)
        end = records[batch.consumed - 1].position.offset + 1

        def take(pending: Pending) -> None:
            pending.events += batch.events
            pending.summaries |= batch.summaries
            if batch.rows is not None:
                pending.points.append(batch.rows)
                pending.rows += batch.rows.num_rows

        self._store.add({partition: end}, take)
        self._metrics.states.evict(self._store.unsaved_metrics)
        return end

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

    def _recover_summaries(self, views: Views, at: checkpoint.Checkpoints) -> None:
        """Summarize points that were stored when a crash kept their summaries from it."""
        columns = ", ".join(metrics.SCHEMA.names)
        for partition, stored in at.metrics.items():
            first = at.metric_summary.get(partition, 0)
            if first >= stored:
                continue
            table = views.arrow(
                f"SELECT {columns} FROM metrics WHERE partition = {{partition:UInt16}} AND offset >= {{first:UInt64}}"
                " ORDER BY run_id, key, step, timestamp_ms, isNaN(value), value, offset, item",
                {"partition": partition.partition, "first": first},
            )
            rows = metrics.encoded(table)
            self._metrics.states.load(rows.column("run_id").unique().to_pylist())
            self._store.insert_summaries(self._metrics.summarize(rows))


def _beating(views: Views) -> dict[str, tuple[int, float]]:
    sql = (
        "SELECT run_id, heartbeat_ms, heartbeat_interval_s FROM runs FINAL"
        " WHERE status = 'RUNNING' AND heartbeat_interval_s > 0"
    )
    return {run_id: (heartbeat_ms, interval_s) for run_id, heartbeat_ms, interval_s in views.rows(sql)}
