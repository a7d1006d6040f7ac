"""Folds the partitions that a consumer group hands to this process into the views; whatever consumer it is.

The seam to a consumer is narrow: `assign` says which partitions are ours, `put` brings their records, and `on_stored`
says how far the views hold them, for the consumer to commit. Where a partition begins is asked of the views,
never of the group: what lies between that and the first record that comes is read from the log, and what the views
hold already is passed over. So a commit that is lost, early or wrong hurts nothing.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from headrace.ingest.clock import Clock, SystemClock
from headrace.ingest.log import LogUnavailable, Partition, Record
from headrace.ingest.topics import METRICS, REGISTRY, RUNS
from headrace.processors import checkpoint
from headrace.processors.counters import Counters
from headrace.processors.dead_letters import DeadLetters
from headrace.processors.entity_fold import EntityFold
from headrace.processors.follow import READ_BYTES_MAX, RECORDS_MAX, Following
from headrace.processors.inbox import Inbox
from headrace.processors.metric_fold import MetricFold
from headrace.processors.ownership import Held, Ownership
from headrace.processors.replica import GroupLog
from headrace.processors.states import MetricStates, RunStates
from headrace.processors.store import Store
from headrace.processors.views import Fenced, Views, ViewsUnavailable

logger = logging.getLogger("headrace.worker")

TOPICS = (REGISTRY, RUNS, METRICS)
LINGER_S = 0.02
FENCED_PAUSE_S = 3.0
"""How long after another took a partition over it is left alone: time for the group to tell who is right."""


@dataclass(slots=True)
class _Open:
    """A partition that is being folded. next: the offset to fold next."""

    fold: EntityFold | MetricFold
    letters: DeadLetters
    next: int


class Partitions:
    """The folds of one worker. Two threads fold, one entities and one metrics; a third stores."""

    def __init__(self, log: GroupLog, views: Views, owner: str = "", clock: Clock | None = None) -> None:
        self._log = log
        self._views = views
        self._clock = clock or SystemClock()
        self.counters = Counters()
        self.ownership = Ownership(views, owner)
        self._store = Store(views, {}, self.ownership)
        self._store.on_lost = self._on_lost
        self._lock = threading.Lock()
        self._assigned: set[Partition] = set()
        self._to_close: set[Partition] = set()
        self._fenced_s: dict[Partition, float] = {}
        self._open: dict[Partition, _Open] = {}
        self._inboxes = {(REGISTRY, RUNS): Inbox(), (METRICS,): Inbox(LINGER_S)}
        self._followings = [
            Following(topics[-1], _giving(inbox), self._fold, _calling(self._turn, topics))
            for topics, inbox in self._inboxes.items()
        ]

    # --- for the consumer, from any thread ----------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to fold and store."""
        self._store.start()
        for following in self._followings:
            following.start()

    def stop(self, drain_s: float = 5.0) -> None:
        """Store what has been folded, for at most drain_s, and end. The rest is whoever's has the partitions next."""
        waiting = self._store.stored({p: opened.next for p, opened in list(self._open.items())})
        try:
            waiting.result(drain_s)
        except TimeoutError:
            waiting.cancel()
        for following in self._followings:
            following.end()
        self._store.stop()
        for following in self._followings:
            following.join()

    def assign(self, partitions: Collection[Partition]) -> None:
        """These, and no others, are ours from now on. What was ours before and still is goes on without a break."""
        with self._lock:
            gone = self._assigned - set(partitions)
            self._assigned = set(partitions)
            self._to_close |= gone
        for inbox in self._inboxes.values():
            inbox.drop(gone)

    def put(self, records: Collection[Record]) -> bool:
        """Records of one topic, in order within each partition; whether there is room for more: see on_room."""
        topic = next(iter(records)).position.topic
        return self._inbox(topic).put(records)

    def on_room(self, call: Callable[[], None]) -> None:
        """Call this, on a thread of ours, when there is room again after put said that there was none."""
        for inbox in self._inboxes.values():
            inbox.on_room = call

    def on_stored(self, call: Callable[[Mapping[Partition, int]], None]) -> None:
        """Call this, on a thread of ours, with the offsets the views have come to."""
        self._store.on_stored = call

    def stages(self) -> dict[str, dict[Partition, int]]:
        """How far the partitions that are open here are folded, and how far their views have come."""
        at = self._store.viewed.offsets()
        opened = list(self._open.items())
        return {"folded": {p: one.next for p, one in opened}, "viewed": {p: at.get(p, 0) for p, _ in opened}}

    @property
    def fault(self) -> str | None:
        """What it waits for, or why it ended, or None."""
        return self._store.fault or next((x.fault for x in self._followings if x.fault), None)

    def _inbox(self, topic: str) -> Inbox:
        return next(inbox for topics, inbox in self._inboxes.items() if topic in topics)

    # --- the folding threads ------------------------------------------------------------------------------------------

    def _turn(self, topics: tuple[str, ...]) -> None:
        """Between batches: close what was revoked, open what was assigned."""
        with self._lock:
            closing = {p for p in self._to_close if p.topic in topics}
            self._to_close -= closing
        self._close(closing)
        with self._lock:
            opening = {p for p in self._assigned if p.topic in topics} - set(self._open)
        now_s = self._clock.monotonic_s()
        opening = {p for p in opening if now_s - self._fenced_s.get(p, -FENCED_PAUSE_S) >= FENCED_PAUSE_S}
        if opening:
            self._open_all(opening)
        for partition in [p for p in list(self._open) if p.topic in topics]:
            self._open[partition].letters.flush()

    def _close(self, partitions: Collection[Partition]) -> None:
        if partitions:
            self._store.drop(partitions)
            for partition in partitions:
                self._open.pop(partition, None)

    def _on_lost(self, partitions: set[Partition]) -> None:
        self._fenced_s |= dict.fromkeys(partitions, self._clock.monotonic_s())
        with self._lock:
            self._to_close |= partitions

    def _open_all(self, partitions: Collection[Partition]) -> None:
        """Take partitions over and bring them to where the group stands. Raises ViewsUnavailable, LogError."""
        try:
            self.ownership.claim(partitions)
            at = checkpoint.read(self._views)
            opened = {partition: self._opened(partition, at) for partition in sorted(partitions)}
        except (Held, Fenced) as error:
            raise ViewsUnavailable(str(error)) from error
        committed = self._log.committed(self._log.group)
        for partition, one in opened.items():
            self._store.viewed.reset(partition, one.next)
            self._open[partition] = one
            self._catch_up(partition, committed.get(partition, 0))

    def _opened(self, partition: Partition, at: checkpoint.Checkpoints) -> _Open:
        letters = DeadLetters(self._log, self._clock, at.events)
        if partition.topic == METRICS:
            fold = MetricFold(MetricStates(self._views, partition.partition), letters, self.counters)
            summaries = fold.recover(self._views, partition, at)
            if summaries:
                self._store.insert_summaries(partition, summaries)
            return _Open(fold, letters, at.metrics.get(partition, 0))
        # The registry is folded from its start, since its state is kept nowhere else.
        first = 0 if partition.topic == REGISTRY else at.runs.get(partition, 0)
        return _Open(
            EntityFold(RunStates(self._views, partition.partition), letters, self.counters, {}), letters, first
        )

    def _catch_up(self, partition: Partition, end: int) -> None:
        """Fold what lies between the views and an offset, as the log has it."""
        while partition in self._open and self._open[partition].next < end:
            records = self._log.read(partition, self._open[partition].next, RECORDS_MAX, READ_BYTES_MAX)
            records = [record for record in records if record.position.offset < end]
            if not records:
                return
            self._fold_next(partition, records)

    def _fold(self, records: list[Record]) -> None:
        partition = Partition(*records[0].position[:2])
        with self._lock:
            closing = partition in self._to_close
            self._to_close.discard(partition)
            ours = partition in self._assigned
        if closing:
            self._close({partition})
        if not ours:
            return
        if partition not in self._open:
            self._open_all([partition])
        self._catch_up(partition, records[0].position.offset)
        following = self._open[partition].next
        del records[: sum(record.position.offset < following for record in records)]
        if records:
            self._fold_next(partition, records)

    def _fold_next(self, partition: Partition, records: list[Record]) -> None:
        opened = self._open[partition]
        if isinstance(opened.fold, EntityFold):
            batch = opened.fold.fold(partition, records)
            opened.next = records[-1].position.offset + 1
            self._store.add_entities(partition, records, batch)
            opened.fold.states.evict(self._store.unsaved_runs)
            return
        while records:
            points = opened.fold.fold(records)
            opened.next = records[points.consumed - 1].position.offset + 1
            del records[: points.consumed]
            self._store.add_metrics(partition, opened.next, points)
            opened.fold.states.evict(self._store.unsaved_metrics)


def _giving(inbox: Inbox) -> Callable[[], Inbox]:
    return lambda: inbox


def _calling(call: Callable[[tuple[str, ...]], None], topics: tuple[str, ...]) -> Callable[[], None]:
    return lambda: call(topics)


__all__ = ["LogUnavailable", "Partitions"]
