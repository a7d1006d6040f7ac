"""Folds the partitions that a consumer group hands to this process into the views; whatever consumer it is.

The seam to a consumer is narrow: `assign` says which partitions are ours, `put` brings their new records, and
`on_stored` says how far the views hold them, for the consumer to commit. Where a partition begins is asked of the
views, never of the group, and all that lies between that and the log's end is read from the log, in large pieces. So
is what the consumer leaves out; what it brings twice is passed over. A commit that is lost, early or wrong hurts
nothing.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from headrace.ingest.clock import Clock, SystemClock
from headrace.ingest.log import Log, LogError, LogUnavailable, Partition, Record
from headrace.ingest.topics import METRICS, REGISTRY, RUNS
from headrace.processors import checkpoint
from headrace.processors.counters import Counters
from headrace.processors.dead_letters import DeadLetters
from headrace.processors.entity_fold import EntityFold
from headrace.processors.follow import POLL_S, READ_BYTES_MAX, RECORDS_MAX, Following
from headrace.processors.inbox import Inbox
from headrace.processors.metric_fold import MetricFold
from headrace.processors.ownership import Held, Ownership
from headrace.processors.states import MetricStates, RunStates
from headrace.processors.store import Store
from headrace.processors.views import Fenced, Views, ViewsUnavailable
from headrace.processors.watermark import Watermark

logger = logging.getLogger("headrace.worker")

LINGER_S = 0.02
JOIN_S = 1.0
FENCED_PAUSE_S = 3.0
"""How long after another took a partition over it is left alone: time for the group to tell who is right."""
CHECK_INTERVAL_S = 2.0
"""A partition that has stood still for so long, with records to fold, has them read from the log."""
SILENCE_S = 5.0
"""When the log brings nothing for so long, what is asked of it is not there: Kafka keeps records of its own too."""


@dataclass(slots=True)
class _Open:
    """A partition that is being folded. next: the offset to fold next; end: what is before it is read from the log."""

    fold: EntityFold | MetricFold
    letters: DeadLetters
    next: int
    end: int = 0


@dataclass(slots=True)
class _Look:
    """A look at whether partitions stand still: when it was, how far they were folded, and how far the log went."""

    at_s: float
    folded: dict[Partition, int] = field(default_factory=dict)
    ends: dict[Partition, int] = field(default_factory=dict)


class _Share:
    """The topics of one folding thread. fault: why nothing new comes, or None."""

    def __init__(self, topics: tuple[str, ...], linger_s: float, now_s: float) -> None:
        self.topics = topics
        self.inbox = Inbox(linger_s)
        self.last = _Look(now_s)
        self.fault: str | None = None


class Partitions:
    """The folds of one worker. Two threads fold, one entities and one metrics; a third stores."""

    def __init__(self, log: Log, views: Views, owner: str = "", clock: Clock | None = None) -> None:
        self._log = log
        self._views = views
        self._clock = clock or SystemClock()
        self.counters = Counters()
        self.ownership = Ownership(views, owner)
        self._store = Store(views, Watermark({}), self.ownership)
        self._store.on_lost = self._on_lost
        self._lock = threading.Lock()
        self._assigned: set[Partition] = set()
        self._to_close: set[Partition] = set()
        self._fenced_s: dict[Partition, float] = {}
        self._open: dict[Partition, _Open] = {}
        now_s = self._clock.monotonic_s()
        self._shares = [_Share((REGISTRY, RUNS), 0.0, now_s), _Share((METRICS,), LINGER_S, now_s)]
        self._followings = [
            Following(share.topics[-1], _giving(share.inbox), self._fold, _calling(self._turn, share))
            for share in self._shares
        ]

    # --- for the consumer, from any thread ----------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to fold and store."""
        self._store.start()
        for following in self._followings:
            following.start()

    def stop(self, drain_s: float = 5.0) -> None:
        """Store what has been folded, for at most drain_s, and end. The rest is whoever's has the partitions next."""
        with self._lock:
            lost = set(self._to_close)
        waiting = self._store.stored({p: opened.next for p, opened in list(self._open.items()) if p not in lost})
        try:
            waiting.result(drain_s)
        except TimeoutError:
            waiting.cancel()
        for following in self._followings:
            following.end()
        for share in self._shares:
            share.inbox.wake()
        self._store.stop()
        for following in self._followings:
            # One that asks a log which does not answer ends later, with nothing to store.
            following.join(JOIN_S)

    def assign(self, partitions: Collection[Partition]) -> None:
        """These, and no others, are ours from now on. What was ours before and still is goes on without a break."""
        with self._lock:
            gone = self._assigned - set(partitions)
            for partition in set(partitions) - self._assigned:
                # Whoever took it over before, the group says now that it is ours.
                self._fenced_s.pop(partition, None)
            self._assigned = set(partitions)
            self._to_close |= gone
        for share in self._shares:
            share.inbox.drop(gone)
            share.inbox.wake()

    def needed_from(self, partition: Partition) -> int:
        """The offset below which nothing need be put: it is folded, or being read from the log."""
        opened = self._open.get(partition)
        return 0 if opened is None else max(opened.next, opened.end)

    def put(self, records: Collection[Record]) -> bool:
        """Records of one topic, in order within each partition; whether there is room for more: see on_room."""
        return self._share_of(next(iter(records)).position.topic).inbox.put(records)

    def on_room(self, call: Callable[[], None]) -> None:
        """Call this, on a thread of ours, when there is room again after put said that there was none."""
        for share in self._shares:
            share.inbox.on_room = call

    def on_stored(self, call: Callable[[Mapping[Partition, int]], None]) -> None:
        """Call this, on a thread of ours, with the offsets the views are at: as partitions are opened, and move on."""
        self._store.on_stored = call

    def stages(self) -> dict[str, dict[Partition, int]]:
        """How far the partitions that are open here are folded, and how far their views have come."""
        at = self._store.viewed.offsets()
        opened = list(self._open.items())
        return {"folded": {p: one.next for p, one in opened}, "viewed": {p: at.get(p, 0) for p, _ in opened}}

    @property
    def fault(self) -> str | None:
        """What it waits for, or why it ended, or None."""
        faults = [self._store.fault, *(x.fault for x in self._followings), *(x.fault for x in self._shares)]
        return next(filter(None, faults), None)

    def _share_of(self, topic: str) -> _Share:
        return next(share for share in self._shares if topic in share.topics)

    # --- the folding threads: which partitions are open ---------------------------------------------------------------

    def _turn(self, share: _Share) -> None:
        """Between batches."""
        self._rearrange(share)
        for _, opened in self._opened_of(share):
            opened.letters.flush()
        self._look(share)

    def _rearrange(self, share: _Share) -> None:
        """Close what was revoked or lost, open what was assigned."""
        with self._lock:
            closing = {p for p in self._to_close if p.topic in share.topics}
            self._to_close -= closing
        self._close(closing)
        with self._lock:
            opening = {p for p in self._assigned if p.topic in share.topics} - set(self._open)
        opening = {p for p in opening if not self._is_left_alone(p)}
        if opening:
            self._open_all(opening)

    def _close(self, partitions: Collection[Partition]) -> None:
        if partitions:
            self._store.drop(partitions)
            for partition in partitions:
                self._open.pop(partition, None)

    def _on_lost(self, partitions: set[Partition]) -> None:
        self._fenced_s |= dict.fromkeys(partitions, self._clock.monotonic_s())
        with self._lock:
            self._to_close |= partitions

    def _is_left_alone(self, partition: Partition) -> bool:
        fenced_s = self._fenced_s.get(partition)
        return fenced_s is not None and self._clock.monotonic_s() < fenced_s + FENCED_PAUSE_S

    def _open_all(self, partitions: Collection[Partition]) -> None:
        """Take partitions over and fold them to the end of the log. Raises ViewsUnavailable, LogError."""
        try:
            self.ownership.claim(partitions)
            at = checkpoint.read(self._views)
            opened = {partition: self._opened(partition, at) for partition in sorted(partitions)}
        except (Held, Fenced) as error:
            raise ViewsUnavailable(str(error)) from error
        # The registry is folded again from its start; its events are in the views up to there all the same.
        at_views = {p: at.events.get(p, 0) if p.topic == REGISTRY else one.next for p, one in opened.items()}
        ends = self._log.end()
        for partition, viewed in at_views.items():
            if viewed > ends.get(partition, 0):
                raise LogError(
                    f"the views of {partition.topic}/{partition.partition} are ahead of the log: they are at {viewed},"
                    f" and the log ends at {ends.get(partition, 0)}. The topic was made anew, or a broker lost what it"
                    " had acknowledged; run `headrace rebuild`"
                )
        for partition, one in opened.items():
            viewed = at_views[partition]
            self._store.viewed.reset({partition: viewed})
            self._store.on_stored({partition: viewed})
            self._open[partition] = one
        self._catch_up({partition: ends.get(partition, 0) for partition in opened})

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

    def _opened_of(self, share: _Share) -> list[tuple[Partition, _Open]]:
        return [(p, one) for p, one in list(self._open.items()) if p.topic in share.topics]

    def _is_gone(self, partition: Partition) -> bool:
        with self._lock:
            return partition in self._to_close or partition not in self._open

    # --- the folding threads: what the consumer does not bring --------------------------------------------------------

    def _look(self, share: _Share) -> None:
        """Read from the log what should have come and does not."""
        now_s = self._clock.monotonic_s()
        if now_s < share.last.at_s + CHECK_INTERVAL_S:
            return
        last, folded = share.last, {partition: one.next for partition, one in self._opened_of(share)}
        try:
            share.last = _Look(now_s, folded, self._log.end())
            share.fault = None
        except LogUnavailable as error:
            # What has come is folded all the same.
            share.last = _Look(now_s)
            if share.fault != str(error):
                share.fault = str(error)
                logger.warning("nothing new comes: %s", error)
            return
        still = [p for p, offset in folded.items() if last.folded.get(p) == offset and not share.inbox.holds(p)]
        self._catch_up({partition: last.ends[partition] for partition in still})

    def _catch_up(self, ends: Mapping[Partition, int]) -> None:
        """Fold what lies between where partitions are and these ends, as the log has it."""
        behind = {p: end for p, end in ends.items() if not self._is_gone(p) and self._open[p].next < end}
        if not behind:
            return
        for partition, end in behind.items():
            self._open[partition].end = end
        follower = self._log.follow({partition: self._open[partition].next for partition in behind})
        heard_s = self._clock.monotonic_s()
        try:
            while behind and self._clock.monotonic_s() < heard_s + SILENCE_S:
                records = follower.poll(RECORDS_MAX, READ_BYTES_MAX, POLL_S)
                if records:
                    heard_s = self._clock.monotonic_s()
                    partition = Partition(*records[0].position[:2])
                    if not self._is_gone(partition):
                        self._fold_next(partition, records)
                behind = {p: end for p, end in behind.items() if not self._is_gone(p) and self._open[p].next < end}
        finally:
            follower.close()

    # --- the folding threads: records ---------------------------------------------------------------------------------

    def _fold(self, records: list[Record]) -> None:
        """Fold what the consumer brought, of one partition; not if it is another's, or for a moment may be.

        A consumer that starts again somewhere else brings what it had brought, behind what waits here.
        """
        partition = Partition(*records[0].position[:2])
        self._rearrange(self._share_of(partition.topic))
        while records and not self._is_gone(partition):
            self._catch_up({partition: records[0].position.offset})
            count = _in_a_row(records)
            following = self._open[partition].next
            fresh = [record for record in records[:count] if record.position.offset >= following]
            if fresh:
                self._fold_next(partition, fresh)
            del records[:count]

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


def _in_a_row(records: list[Record]) -> int:
    """How many of the first records follow each other without a gap or a step back."""
    offsets = [record.position.offset for record in records]
    return next((n for n in range(1, len(offsets)) if offsets[n] != offsets[n - 1] + 1), len(offsets))


def _giving(inbox: Inbox) -> Callable[[], Inbox]:
    return lambda: inbox


def _calling(call: Callable[[_Share], None], share: _Share) -> Callable[[], None]:
    return lambda: call(share)
