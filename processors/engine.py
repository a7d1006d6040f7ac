"""Drives the folds over a log in one process, and tells readers what they wait for.

Three threads. One folds runs and registry, so that a command has its outcome within a millisecond of its append; one
folds metrics; the third stores what both hand over. When the views fail, folding goes on until the store is full.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future
from queue import SimpleQueue

from headrace.ingest.clock import Clock, SystemClock
from headrace.ingest.log import Follower, Log, Partition, Record
from headrace.ingest.topics import FOLDED, METRICS, REGISTRY
from headrace.processors import checkpoint
from headrace.processors.changes import Changes
from headrace.processors.dead_letters import DeadLetters
from headrace.processors.entities import Entities
from headrace.processors.entity_fold import EntityBatch, EntityFold
from headrace.processors.follow import Following
from headrace.processors.metric_fold import MetricFold
from headrace.processors.metrics import Summary
from headrace.processors.ownership import Ownership
from headrace.processors.registry import Registry
from headrace.processors.states import MetricStates, RunStates
from headrace.processors.store import POINTS_MAX, RETRY_MAX_S, Store
from headrace.processors.views import Views, ViewsUnavailable
from headrace.processors.watermark import Watermark

logger = logging.getLogger("headrace.engine")

SETTLE_S = 30.0
METRICS_LINGER_S = 0.02
"""How long points gather before they are folded, unless a reader waits: a fold costs the same for 1 as for 1,000."""


class Engine(Entities):
    """Folds a whole log into views, and holds what API processes need at hand: registry, run states, outcomes."""

    def __init__(
        self,
        log: Log,
        views: Views,
        clock: Clock | None = None,
        ownership: Ownership | None = None,
        points_max: int = POINTS_MAX,
    ) -> None:
        """Reads where the views stand and recovers what a crash left half stored; start() begins to follow the log.

        ownership: where other processes may store into the same views; this one then takes all partitions over.
        points_max: of one insert.
        """
        self._points_max = points_max
        self._views = views
        self._clock = clock or SystemClock()
        self._ownership = ownership
        self._exchanging = threading.Lock()
        self._forgetting: SimpleQueue[tuple[list[str], Future[None]]] = SimpleQueue()
        self._stopped = threading.Event()
        partitions = [p for p in log.partitions() if p.topic in FOLDED]
        start = dict.fromkeys(partitions, 0)
        super().__init__(log, Watermark(start), Watermark(start))
        self._open(start, Registry())

    def _open(self, start: dict[Partition, int], registry: Registry) -> None:
        """Read what the views hold. start: where to begin where they hold nothing; of the registry, where it stands."""
        views = self._views
        if self._ownership is not None:
            self._ownership.claim(start)
        at = checkpoint.read(views)
        start = start | at.runs | at.metrics
        self._letters = letters = DeadLetters(self.log, self._clock, at.events)
        entities = EntityFold(RunStates(views), letters, self.counters, beating(views), registry=registry)
        self._metrics = MetricFold(MetricStates(views), letters, self.counters)
        self._store = Store(views, self.viewed, self._ownership, self._points_max)
        self._store.on_lost = self._on_lost
        self.lost = ""
        for partition in at.metrics:
            summaries = self._metrics.recover(views, partition, at)
            if summaries:
                self._store.insert_summaries(partition, summaries)
        # Back, where views from before were brought back: readers wait until these have caught up.
        for watermark in (self.folded, self.viewed):
            watermark.reset(start)
        self._metric_offsets = {p: offset for p, offset in start.items() if p.topic == METRICS}
        self._metrics_following = Following("metrics", self._follow_metrics, self._fold_metrics, self._gather)
        self._begin(entities, start)

    # --- for readers, from any thread ---------------------------------------------------------------------------------

    @property
    def fault(self) -> str | None:
        return self.lost or self._store.fault or self._following.fault or self._metrics_following.fault

    def start(self) -> None:
        self._store.start()
        self._following.start()
        self._metrics_following.start()

    def stop(self, drain_s: float = 5.0) -> None:
        """Store what has been folded, for at most drain_s, then stop."""
        with self._exchanging:
            waiting = self.stored(self.folded.offsets())
            try:
                waiting.result(drain_s)
            except TimeoutError:
                waiting.cancel()
            self._stopped.set()
            self._end()

    def exchange(self, act: Callable[[Mapping[Partition, int]], None]) -> None:
        """Stand still while act exchanges what the views hold, and go on with what they hold then.

        act gets the offsets to which the views hold everything, no more and no less. Meanwhile appends are taken and
        reads of what was appended wait. Raises what act raises, and ViewsUnavailable when the views do not take what
        was folded.
        """
        with self._exchanging:
            try:
                self._settle()
                act(self.viewed.offsets())
            finally:
                self._end()
                self._open_again()

    def _settle(self) -> None:
        """Stop to fold, and let the store store all that was folded."""
        deadline_s = time.monotonic() + SETTLE_S
        followings = (self._following, self._metrics_following)
        for following in followings:
            following.end()
        try:
            for following in followings:
                if not following.join(max(0.0, deadline_s - time.monotonic())):
                    raise TimeoutError
            self.stored(self.folded.offsets()).result(max(0.0, deadline_s - time.monotonic()))
        except TimeoutError:
            raise ViewsUnavailable(f"the views do not take what was folded: {self.fault or 'they are slow'}") from None

    def _end(self) -> None:
        for following in (self._following, self._metrics_following):
            following.end()
        self._store.stop()
        for following in (self._following, self._metrics_following):
            following.join()

    def _open_again(self) -> None:
        """Go on where the views are, as soon as they can be asked."""
        start = {p: offset if p.topic == REGISTRY else 0 for p, offset in self.folded.offsets().items()}
        while not self._stopped.is_set():
            try:
                self._open(start, self.registry)
            except ViewsUnavailable as error:
                logger.warning("the views cannot be asked where they are: %s", error)
                self._stopped.wait(RETRY_MAX_S)
            else:
                self.start()
                return

    def stored(self, target: Mapping[Partition, int] | None = None) -> Future[None]:
        """Done when the views hold everything up to target, or all that is in the log now; hurries the store."""
        if target is None:
            known = self.folded.offsets()
            target = {p: offset for p, offset in self.log.end().items() if p in known}
        self.folded.reached(target)  # hurries the folds
        return self._store.stored(target)

    def all_in_memory(self) -> bool:
        return self._entities.states.complete and self._metrics.states.complete

    @property
    def metrics_in_memory(self) -> Mapping[str, Mapping[str, Summary]]:
        return self._metrics.states.in_memory

    @property
    def metric_changes(self) -> Changes:
        return self._metrics.states.changes

    def summaries(self, run_ids: Sequence[str]) -> dict[str, dict[str, Summary]]:
        return self._metrics.states.get(run_ids)

    def cached_summaries(self, run_id: str) -> dict[str, Summary] | None:
        return self._metrics.states.cached(run_id)

    def forget_metrics(self, run_ids: Collection[str]) -> Future[None]:
        done: Future[None] = Future()
        self._forgetting.put((list(run_ids), done))
        return done

    def _on_lost(self, partitions: set[Partition]) -> None:
        self.lost = "another process writes these views now; this one stands still until it is started again"

    # --- the fold threads ---------------------------------------------------------------------------------------------

    def _take(self, partition: Partition, records: list[Record], batch: EntityBatch) -> None:
        self._store.add_entities(partition, records, batch)
        self._entities.states.evict(self._store.unsaved_runs)

    def _idle(self) -> None:
        self._letters.flush()

    def _follow_metrics(self) -> Follower:
        return self.log.follow(self._metric_offsets)

    def _fold_metrics(self, records: list[Record]) -> None:
        partition = Partition(*records[0].position[:2])
        while records:
            batch = self._metrics.fold(records)
            end = records[batch.consumed - 1].position.offset + 1
            # What was folded is not folded again when the rest has to wait.
            del records[: batch.consumed]
            self._store.add_metrics(partition, end, batch)
            self._metrics.states.evict(self._store.unsaved_metrics)
            self.folded.advance({partition: end})

    def _gather(self) -> None:
        self._letters.flush()
        while not self._forgetting.empty():
            run_ids, done = self._forgetting.get()
            try:
                self._metrics.states.forget(run_ids)
                done.set_result(None)
            except ViewsUnavailable as error:
                done.set_exception(error)
        self.folded.wanted.wait(METRICS_LINGER_S)


def fold_to_end(log: Log, views: Views, timeout_s: float, ownership: Ownership | None = None) -> None:
    """Bring views to the end of a log that does not grow, and stop. Raises ViewsUnavailable when it takes longer."""
    engine = Engine(log, views, ownership=ownership)
    engine.start()
    try:
        engine.stored().result(timeout_s)
    except TimeoutError:
        raise ViewsUnavailable(f"the views did not reach the log's end in {timeout_s:g} s: {engine.fault}") from None
    finally:
        engine.stop(0)


def beating(views: Views) -> dict[str, tuple[int, float]]:
    """Running runs that promised heartbeats, as the views have them: the last one in ms, and the interval in s."""
    sql = (
        "SELECT run_id, heartbeat_ms, heartbeat_interval_s FROM runs FINAL"
        " WHERE status = 'RUNNING' AND heartbeat_interval_s > 0"
    )
    return {run_id: (heartbeat_ms, interval_s) for run_id, heartbeat_ms, interval_s in views.rows(sql)}
