"""The loop that drives the folds in one process: reads the log, folds, writes views, tells who waits.

Two threads. The fold thread takes commands and run events to their outcome within a millisecond of the append, and
hands on what has to be stored. The store thread writes that to the views in few large inserts: at once when a reader
waits, else every LINGER_S. When the views fail, folding goes on until PENDING_BYTES_MAX wait, and the store thread
tries again until they are back.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field

import pyarrow as pa
from headrace.ingest import codec, points
from headrace.ingest.clock import Clock, SystemClock
from headrace.ingest.envelope import Envelope
from headrace.ingest.events import METRICS_LOGGED, Event, EventRejected, RunHeartbeat
from headrace.ingest.log import Log, LogUnavailable, Partition, Position, Record
from headrace.ingest.topics import METRICS, REGISTRY, RUNS
from headrace.processors import checkpoint, metrics, run_rows, runs
from headrace.processors.metrics import Summary
from headrace.processors.outcome import DUPLICATE, REJECTED, SKIPPED, Outcome, sequence_outcome
from headrace.processors.registry import Registry
from headrace.processors.runs import RunState
from headrace.processors.states import MetricStates, RunStates, stored_runs, stored_summaries
from headrace.processors.views import Views, ViewsUnavailable
from headrace.processors.watermark import Watermark

logger = logging.getLogger("headrace.engine")

LINGER_S = 0.1
RECORDS_MAX = 5_000
READ_BYTES_MAX = 16 * 1024 * 1024
PENDING_BYTES_MAX = 64 * 1024 * 1024
POINTS_PER_INSERT = 200_000
OUTCOMES_MAX = 100_000
_RETRY_FIRST_S, _RETRY_MAX_S = 0.1, 5.0


class _Stopped(Exception):
    """The engine was told to stop in the middle of its work; what is not stored is folded again at the next start."""


@dataclass(slots=True)
class _Pending:
    """Folded, not stored."""

    offsets: dict[Partition, int] = field(default_factory=dict)
    events: list[tuple[Record, Outcome]] = field(default_factory=list)
    runs: dict[str, RunState] = field(default_factory=dict)
    metrics: list[Record] = field(default_factory=list)
    bytes: int = 0


@dataclass(slots=True)
class Counters:
    """What has happened since the start, for metrics and for doctor."""

    events: int = 0
    points: int = 0
    duplicates: int = 0
    missed: int = 0
    rejected: int = 0
    refused: int = 0


class Engine:
    """Folds a log into views, and holds what API processes need at hand: registry, run states, outcomes.

    registry: experiments. folded: how far folding has come. viewed: how far every view has come.
    fault: why views cannot be written now, or None.
    """

    def __init__(self, log: Log, views: Views, clock: Clock | None = None) -> None:
        """Reads where the views stand and recovers what a crash left half stored; start() begins to follow the log."""
        self._log = log
        self._views = views
        self._clock = clock or SystemClock()
        self.registry = Registry()
        self.counters = Counters()
        self.fault: str | None = None
        self.listeners: list[Callable[[set[str]], None]] = []
        """Called on the store thread with the ids of runs whose views have changed."""
        self.beating: dict[str, tuple[int, float]] = {}
        """Running runs that promised heartbeats: when the last one came (ms since the epoch), and the interval in s."""
        at = checkpoint.read(views)
        self._events_stored = at.events
        self._metric_states = MetricStates(views)
        self._recover_summaries(at)
        self._run_states = RunStates(views)
        for run_id, heartbeat_ms, interval_s in views.rows(
            "SELECT run_id, heartbeat_ms, heartbeat_interval_s FROM runs FINAL"
            " WHERE status = 'RUNNING' AND heartbeat_interval_s > 0"
        ):
            self.beating[run_id] = (heartbeat_ms, interval_s)
        start = {p: 0 for p in log.partitions() if p.topic in (RUNS, METRICS, REGISTRY)} | at.runs | at.metrics
        self.folded = Watermark(start)
        self.viewed = Watermark(start)
        self._offsets = dict(start)
        self._lock = threading.Condition()
        self._pending = _Pending()
        self._storing = _Pending()
        self._outcomes: dict[Position, Outcome] = {}
        self._outcome_waits: dict[Position, Future[Outcome]] = {}
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []

    # --- for readers, from any thread ---------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to follow the log."""
        for name, loop in (("headrace-fold", self._fold_loop), ("headrace-store", self._store_loop)):
            thread = threading.Thread(target=loop, name=name, daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self, drain_s: float = 5.0) -> None:
        """Store what has been folded, for at most drain_s, then stop."""
        waiting = self.stored()
        try:
            waiting.result(drain_s)
        except TimeoutError:
            waiting.cancel()
        self._stopping.set()
        with self._lock:
            self._lock.notify_all()
        for thread in self._threads:
            thread.join(drain_s + _RETRY_MAX_S)

    def outcome(self, position: Position) -> Future[Outcome]:
        """What the fold made of an event without a writer, once it has; each is told once."""
        with self._lock:
            outcome = self._outcomes.pop(position, None)
            if outcome is None:
                return self._outcome_waits.setdefault(position, Future())
        future: Future[Outcome] = Future()
        future.set_result(outcome)
        return future

    def stored(self, target: dict[Partition, int] | None = None) -> Future[None]:
        """Done when the views hold everything up to target, or, without one, all that has been folded by now."""
        future = self.viewed.reached(self.folded.offsets() if target is None else target)
        if not future.done():
            with self._lock:
                self._lock.notify_all()
        return future

    def knows(self, run_id: str) -> bool:
        """Whether any event of the run has been folded."""
        return run_id in self._run_states

    def cached_run(self, run_id: str) -> RunState | None:
        """The newest state of a run, if it is in memory."""
        return self._run_states.cached(run_id)

    def stored_run(self, run_id: str) -> RunState | None:
        """The state of a run from the views; wait for stored() first. Blocks on I/O."""
        found = stored_runs(self._views, [run_id])
        return found[0] if found else None

    def summaries(self, run_ids: list[str]) -> dict[str, dict[str, Summary]]:
        """Each run's metrics by key, from the views; wait for stored() first. Blocks on I/O."""
        return stored_summaries(self._views, run_ids)

    # --- the fold thread ----------------------------------------------------------------------------------------------

    def _fold_loop(self) -> None:
        partitions = sorted(self._offsets, key=lambda p: ((REGISTRY, RUNS, METRICS).index(p.topic), p.partition))
        retry_s = _RETRY_FIRST_S
        while not self._stopping.is_set():
            try:
                progress = False
                for partition in partitions:
                    records = self._log.read(partition, self._offsets[partition], RECORDS_MAX, READ_BYTES_MAX)
                    if records:
                        self._fold(partition, records)
                        progress = True
                retry_s = _RETRY_FIRST_S
                if not progress:
                    self._log.wait(self._offsets, 0.5)
            except _Stopped:
                return
            except (LogUnavailable, ViewsUnavailable) as error:
                self.fault = str(error)
                logger.warning("folding waits: %s", error)
                self._stopping.wait(retry_s)
                retry_s = min(retry_s * 2, _RETRY_MAX_S)

    def _fold(self, partition: Partition, records: list[Record]) -> None:
        if partition.topic == RUNS:
            self._run_states.load(record.envelope.subject for record in records)
        folded = [] if partition.topic == METRICS else [(record, self._fold_one(record)) for record in records]
        self._offsets[partition] = records[-1].position.offset + 1
        with self._lock:
            pending = self._pending
            pending.offsets[partition] = self._offsets[partition]
            if partition.topic == METRICS:
                pending.metrics += records
            stored = self._events_stored.get(partition, 0)
            for record, outcome in folded:
                if partition.topic == RUNS and outcome.kind not in (DUPLICATE, REJECTED):
                    pending.runs[record.envelope.subject] = self._run_states.cached(record.envelope.subject)  # type: ignore[assignment]
                if record.position.offset >= stored and _has_history(record, outcome):
                    pending.events.append((record, outcome))
                if not record.envelope.writer:
                    self._tell(record.position, outcome)
            pending.bytes += sum(len(record.envelope.data) + 200 for record in records)
            self._run_states.evict({*pending.runs, *self._storing.runs})
            self._lock.notify_all()
        self.folded.advance({partition: self._offsets[partition]})
        with self._lock:
            self._lock.wait_for(lambda: self._pending.bytes < PENDING_BYTES_MAX or self._stopping.is_set())

    def _fold_one(self, record: Record) -> Outcome:
        event: Event | None = None
        try:
            event = codec.decode_event(record.envelope)
            if isinstance(event, EventRejected):
                raise codec.Malformed(event.reason)
        except codec.UnknownType:
            pass
        except codec.Malformed as error:
            outcome = self._reject(record, str(error))
            self._count(outcome)
            return outcome
        if record.position.topic == REGISTRY:
            outcome = self.registry.apply(record, event)
        else:
            run_id = record.envelope.subject
            state, outcome = runs.apply(self._run_states.cached(run_id), record, event)
            if outcome.kind != DUPLICATE:
                self._run_states.put(state)
                self._follow_heartbeat(state)
        self.counters.events += 1
        self._count(outcome)
        if event is None and outcome.kind != DUPLICATE:
            return Outcome(
                SKIPPED, f"{record.envelope.type} version {record.envelope.schema_version} is not known here"
            )
        return outcome

    def _follow_heartbeat(self, state: RunState) -> None:
        if state.status == "RUNNING" and state.heartbeat_interval_s > 0:
            self.beating[state.run_id] = (state.heartbeat_ms, state.heartbeat_interval_s)
        else:
            self.beating.pop(state.run_id, None)

    def _tell(self, position: Position, outcome: Outcome) -> None:
        waiting = self._outcome_waits.pop(position, None)
        if waiting is not None:
            if waiting.set_running_or_notify_cancel():
                waiting.set_result(outcome)
            return
        self._outcomes[position] = outcome
        if len(self._outcomes) > OUTCOMES_MAX:
            del self._outcomes[next(iter(self._outcomes))]

    def _reject(self, record: Record, reason: str) -> Outcome:
        """Set a poison event aside, with the reason, and go on."""
        place = "/".join(map(str, record.position))
        envelope = record.envelope
        logger.warning("event %s of %r was set aside: %s", place, envelope.subject, reason)
        letter = EventRejected(reason, place, {"type": envelope.type, "id": envelope.id}, envelope.data)
        self._log.append(
            [
                Envelope(
                    id=f"rejected:{place}",
                    type=codec.type_of(letter),
                    source="engine",
                    subject=envelope.subject,
                    time_ms=self._clock.time_ms(),
                    data=codec.encode_event(letter),
                )
            ]
        )
        return Outcome(REJECTED, reason)

    def _count(self, outcome: Outcome) -> None:
        counters = self.counters
        counters.duplicates += outcome.kind == DUPLICATE
        counters.rejected += outcome.kind == REJECTED
        counters.refused += outcome.kind == "refused"
        counters.missed += outcome.missed

    # --- the store thread ---------------------------------------------------------------------------------------------

    def _store_loop(self) -> None:
        while not self._stopping.is_set():
            with self._lock:
                self._lock.wait_for(lambda: self._pending.offsets or self._stopping.is_set())
                self._lock.wait_for(
                    lambda: self.viewed.waited_for or self._pending.bytes >= READ_BYTES_MAX or self._stopping.is_set(),
                    LINGER_S,
                )
                if self._stopping.is_set():
                    return
                self._storing, self._pending = self._pending, _Pending()
                self._lock.notify_all()
            try:
                self._store(self._storing)
            except _Stopped:
                return
            except Exception:
                # A fault of ours, not of the engine below: say so and stop storing rather than skip what was logged.
                logger.exception("the store thread ended; views stand still until a restart")
                self.fault = "the store thread ended by an error of its own; see the server's output"
                return

    def _store(self, work: _Pending) -> None:
        if work.events:
            self._insert("events", run_rows.events_table(work.events))
        if work.runs:
            self._insert("runs", run_rows.runs_table(work.runs.values()))
        changed = set(work.runs)
        changed |= self._store_metrics(work.metrics)
        with self._lock:
            self._storing = _Pending()
        self.viewed.advance(work.offsets)
        self._metric_states.evict()
        for listener in self.listeners:
            listener(changed)

    def _store_metrics(self, records: list[Record]) -> set[str]:
        changed: set[str] = set()
        self._retried(lambda: self._metric_states.load(record.envelope.subject for record in records))
        rejected: list[tuple[Record, Outcome]] = []
        batch: list[tuple[Record, pa.Table]] = []
        size = 0
        for record in records:
            table, outcome = self._points(record)
            self._count(outcome)
            if outcome.kind in (REJECTED, SKIPPED):
                rejected.append((record, outcome))
            if table is None or table.num_rows == 0:
                continue
            batch.append((record, table))
            changed.add(record.envelope.subject)
            size += table.num_rows
            if size >= POINTS_PER_INSERT:
                self._store_points(batch)
                batch, size = [], 0
        if batch:
            self._store_points(batch)
        if rejected:
            self._insert("events", run_rows.events_table(rejected))
        return changed

    def _points(self, record: Record) -> tuple[pa.Table | None, Outcome]:
        """The points of one record, if they are new and can be read."""
        envelope = record.envelope
        missed = 0
        if envelope.writer:
            writers = self._metric_states.of(envelope.subject).writers
            new, missed = sequence_outcome(writers.get(envelope.writer, 0), envelope.sequence)
            if not new:
                return None, Outcome(DUPLICATE)
            writers[envelope.writer] = envelope.sequence
        if envelope.type != METRICS_LOGGED or envelope.schema_version > codec.KNOWN_SCHEMA_VERSION:
            if envelope.type == codec.type_of(EventRejected):
                return None, self._reject(record, "unreadable attributes")
            return None, Outcome(SKIPPED, f"{envelope.type} version {envelope.schema_version}", missed)
        try:
            return points.decode(envelope.data), Outcome("applied", "", missed)
        except codec.Malformed as error:
            return None, self._reject(record, str(error))

    def _store_points(self, batch: list[tuple[Record, pa.Table]]) -> None:
        rows = metrics.rows(batch)
        self._insert("metrics", rows)
        self._store_summaries(rows)
        self.counters.points += rows.num_rows

    def _store_summaries(self, rows: pa.Table) -> None:
        updated = []
        for run_id, key, summary in metrics.summaries(rows):
            before = self._metric_states.of(run_id).summaries.get(key)
            if before is not None:
                summary = metrics.merged(before, summary)
            self._metric_states.put(run_id, key, summary)
            updated.append((run_id, key, *summary))
        columns = list(zip(*updated, strict=True))
        self._insert(
            "metric_summary",
            pa.table(dict(zip(metrics.SUMMARY_SCHEMA.names, columns, strict=True)), schema=metrics.SUMMARY_SCHEMA),
        )

    def _recover_summaries(self, at: checkpoint.Checkpoints) -> None:
        """Summarize points that were stored when a crash kept their summaries from it."""
        for partition, stored in at.metrics.items():
            first = at.metric_summary.get(partition, 0)
            if first >= stored:
                continue
            columns = ", ".join(metrics.SCHEMA.names)
            table = self._views.arrow(
                f"SELECT {columns} FROM metrics WHERE partition = {{partition:UInt16}} AND offset >= {{first:UInt64}}"
                " ORDER BY run_id, key, step, timestamp_ms, isNaN(value), value, offset, item",
                {"partition": partition.partition, "first": first},
            )
            rows = metrics.encoded(table)
            self._metric_states.load(rows.column("run_id").combine_chunks().dictionary.to_pylist())
            self._store_summaries(rows)

    def _insert(self, table: str, rows: pa.Table) -> None:
        """Insert, however long it takes; once, even where an answer is lost. Raises _Stopped."""
        offsets = rows.column("offset").to_pylist()
        last = max(range(len(offsets)), key=offsets.__getitem__)
        tried = False

        def act() -> None:
            nonlocal tried
            if tried and self._holds(table, rows, last):
                return
            tried = True
            self._views.insert(table, rows)

        self._retried(act)

    def _holds(self, table: str, rows: pa.Table, index: int) -> bool:
        """Whether the view has this row; an insert is all or nothing, so then it has them all."""
        where = "partition = {partition:UInt16} AND offset = {offset:UInt64}"
        parameters = {name: rows.column(name)[index].as_py() for name in ("partition", "offset")}
        if table == "events":
            where += " AND topic = {topic:String}"
            parameters["topic"] = rows.column("topic")[index].as_py()
        return bool(self._views.rows(f"SELECT count() FROM {table} WHERE {where}", parameters)[0][0])

    def _retried(self, act: Callable[[], None]) -> None:
        retry_s = _RETRY_FIRST_S
        while True:
            try:
                act()
                self.fault = None
                return
            except ViewsUnavailable as error:
                self.fault = str(error)
                logger.warning("storing waits: %s", error)
                if self._stopping.wait(retry_s):
                    raise _Stopped from error
                retry_s = min(retry_s * 2, _RETRY_MAX_S)


def _has_history(record: Record, outcome: Outcome) -> bool:
    return outcome.kind != DUPLICATE and record.envelope.type != codec.type_of(RunHeartbeat)
