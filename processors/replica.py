"""What an API process holds where workers fold the log into the views: registry and runs, folded here too, no store.

A command is decided by this process's own fold, so it needs no worker and no views. What is read of metrics comes from
the views, and how far those are, the workers' consumer group says: they commit an offset once the views hold it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import Future
from typing import Protocol, runtime_checkable

from headrace.ingest.log import Log, LogError, Partition, Record
from headrace.ingest.topics import FOLDED, METRICS, RUNS
from headrace.processors import checkpoint
from headrace.processors.changes import Changes
from headrace.processors.dead_letters import Silent
from headrace.processors.engine import beating
from headrace.processors.entities import Entities
from headrace.processors.entity_fold import EntityBatch, EntityFold
from headrace.processors.metrics import Summary
from headrace.processors.outcome import DUPLICATE, Outcome
from headrace.processors.states import RunStates, stored_summaries
from headrace.processors.views import Views, ViewsUnavailable
from headrace.processors.watermark import Watermark

logger = logging.getLogger("headrace.engine")

WAITED_INTERVAL_S = 0.02
IDLE_INTERVAL_S = 1.0
STILL_S = 1.0
"""When what readers wait for has not moved for so long, it is looked into why."""


@runtime_checkable
class GroupLog(Log, Protocol):
    """A log whose readers form groups that tell how far they are: Kafka."""

    @property
    def group(self) -> str:
        """The group of the workers."""
        ...

    def committed(self, group: str) -> dict[Partition, int]:
        """The offsets a group has committed. Raises LogUnavailable."""
        ...


class Replica(Entities):
    """Follows runs and registry, and the workers' positions."""

    def __init__(self, log: GroupLog, views: Views) -> None:
        """Reads where the views stand; start() begins to follow. While the views are down all runs are folded from the
        log, which takes longer. Raises LogUnavailable."""
        partitions = [p for p in log.partitions() if p.topic in FOLDED]
        try:
            # A state that is not in memory is read from the views, so the runs before their position need no folding.
            at, states, beats = checkpoint.read(views).runs, RunStates(views), beating(views)
        except ViewsUnavailable as error:
            logger.warning("the views cannot be read now: %s. Writes are taken, and reads of views answer 503", error)
            at, states, beats = {}, RunStates(views, empty=True), {}
        start = dict.fromkeys(partitions, 0) | {p: offset for p, offset in at.items() if p in partitions}
        self._group_log = log
        self._views = views
        self._no_changes = Changes()
        self._fault: str | None = None
        self._wanted = threading.Event()
        at_group = {p: offset for p, offset in self._positions().items() if p in partitions}
        viewed = dict.fromkeys(partitions, 0) | at_group
        metrics = {p: offset for p, offset in viewed.items() if p.topic == METRICS}
        super().__init__(log, Watermark(start | metrics, self._wanted.set), Watermark(viewed, self._wanted.set))
        self._begin(EntityFold(states, Silent(), self.counters, beats, self._stored_outcome), start)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="headrace-positions", daemon=True)

    @property
    def fault(self) -> str | None:
        return self._following.fault or self._fault

    def start(self) -> None:
        self._following.start()
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._wanted.set()
        self._following.end()
        self._following.join()
        self._thread.join()

    def stored(self, target: Mapping[Partition, int]) -> Future[None]:
        return self.viewed.reached(target)

    def all_in_memory(self) -> bool:
        return False

    @property
    def metrics_in_memory(self) -> Mapping[str, Mapping[str, Summary]]:
        return {}

    @property
    def metric_changes(self) -> Changes:
        return self._no_changes

    def summaries(self, run_ids: Sequence[str]) -> dict[str, dict[str, Summary]]:
        return stored_summaries(self._views, run_ids)

    def cached_summaries(self, run_id: str) -> dict[str, Summary] | None:
        return None

    def forget_metrics(self, run_ids: Collection[str]) -> Future[None]:
        """Nothing is in memory here."""
        done: Future[None] = Future()
        done.set_result(None)
        return done

    # --- the fold's thread --------------------------------------------------------------------------------------------

    def _take(self, partition: Partition, records: list[Record], batch: EntityBatch) -> None:
        self._entities.states.evict(self._unsaved)

    def _idle(self) -> None:
        """Nothing waits here."""

    def _unsaved(self) -> set[str]:
        """Runs whose newest state the views do not hold yet, so that it must stay in memory."""
        viewed = self.viewed.offsets()
        return self._entities.states.beyond({p.partition: x for p, x in viewed.items() if p.topic == RUNS})

    def _stored_outcome(self, record: Record) -> Outcome:
        """The outcome of an event that a worker folded before this process did."""
        sql = (
            "SELECT outcome, reason FROM events WHERE subject = {subject:String} AND topic = {topic:String}"
            " AND partition = {partition:UInt16} AND offset = {offset:UInt64} LIMIT 1"
        )
        rows = self._views.rows(sql, {"subject": record.envelope.subject, **record.position._asdict()})
        return Outcome(*rows[0]) if rows else Outcome(DUPLICATE)

    # --- the positions' thread ----------------------------------------------------------------------------------------

    def _watch(self) -> None:
        moved_s = time.monotonic()
        while not self._stopping.is_set():
            before = self.viewed.offsets()
            after: dict[Partition, int] = {}
            fault = None
            try:
                after = self._positions()
            except LogError as error:
                fault = str(error)
            moved = {p: before[p] for p, offset in after.items() if offset > before.get(p, 0) and p in before}
            self.viewed.advance({p: after[p] for p in moved})
            self.folded.advance({p: after[p] for p in moved if p.topic == METRICS})
            waited = self.viewed.wanted.is_set() or self.folded.wanted.is_set()
            if moved or not waited:
                moved_s = time.monotonic()
            elif fault is None and time.monotonic() > moved_s + STILL_S:
                fault = self._why_still()
            self._fault = fault
            if waited:
                self._stopping.wait(WAITED_INTERVAL_S)
            else:
                self._wanted.wait(IDLE_INTERVAL_S)
                self._wanted.clear()

    def _why_still(self) -> str:
        """Why nothing moves, for those who wait."""
        try:
            self._views.rows("SELECT 1")
        except ViewsUnavailable as error:
            return str(error)
        return "no worker brings them forward; look whether `headrace worker` runs, and what it says"

    def _positions(self) -> dict[Partition, int]:
        return self._group_log.committed(self._group_log.group)
