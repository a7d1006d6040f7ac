"""Writes what the folds hand over into the views: few large inserts, in an order that a crash cannot hurt.

Points go in before their summaries and events before the states they made, each insert is all or nothing, and every
row carries its offset; so after a crash the views themselves tell what is missing, and it is folded again.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

import pyarrow as pa
from headrace.ingest.log import Partition, Record
from headrace.processors import metrics, run_rows
from headrace.processors.entity_fold import EntityBatch
from headrace.processors.metric_fold import MetricBatch
from headrace.processors.metrics import Summary
from headrace.processors.outcome import Outcome
from headrace.processors.ownership import Held, Ownership
from headrace.processors.runs import RunState
from headrace.processors.views import Fenced, Views, ViewsUnavailable
from headrace.processors.watermark import Watermark

logger = logging.getLogger("headrace.store")

LINGER_S = 0.1
ENTITY_BYTES_MAX = 64 * 1024 * 1024
RECORD_BYTES = 1_500
"""What an event takes in memory beside its data, about."""
POINTS_MAX = 200_000
RETRY_FIRST_S, RETRY_MAX_S = 0.1, 5.0


class Stopped(Exception):
    """The store was told to stop in the middle of its work; what is not stored is folded again at the next start."""


@dataclass(slots=True)
class Share:
    """Folded and not stored, of one partition. end: how far its views will have come with it."""

    end: int = 0
    events: list[tuple[Record, Outcome]] = field(default_factory=list)
    runs: dict[str, RunState] = field(default_factory=dict)
    points: list[pa.Table] = field(default_factory=list)
    summaries: dict[tuple[str, str], Summary] = field(default_factory=dict)
    bytes: int = 0
    rows: int = 0


Work = dict[Partition, Share]
Part = tuple[Partition, pa.Table]


class Store:
    """A thread that inserts: at once when a reader waits, else every LINGER_S.

    viewed: how far every view has come. fault: why the views cannot be written now, or None. on_stored: called on
    the store's thread with how far the views have come; on_lost: with partitions that another process has taken over,
    of which nothing more is stored.
    """

    def __init__(
        self, views: Views, viewed: Watermark, ownership: Ownership | None = None, points_max: int = POINTS_MAX
    ) -> None:
        """viewed: where the views stand. ownership: where several processes may store into the same views. points_max:
        of one insert, and how many may be pending beside it."""
        self._views = views
        self._points_max = points_max
        self._ownership = ownership
        self.viewed = viewed
        self.fault: str | None = None
        self.on_stored: Callable[[Mapping[Partition, int]], None] = lambda _: None
        self.on_lost: Callable[[set[Partition]], None] = lambda _: None
        self._changed = threading.Condition()
        self._pending: Work = {}
        self._storing: Work = {}
        self._inserting = False
        self._inserts = 0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="headrace-store", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End after the insert that is under way; what waits is folded again at the next start."""
        self._stopping.set()
        self.wake()
        self._thread.join()

    def wake(self) -> None:
        """Look again whether a reader waits."""
        with self._changed:
            self._changed.notify_all()

    def stored(self, target: Mapping[Partition, int]) -> Future[None]:
        """Done when the views hold everything up to target; hurries the store."""
        future = self.viewed.reached(target)
        if not future.done():
            self.wake()
        return future

    def add_entities(self, partition: Partition, records: Sequence[Record], batch: EntityBatch) -> None:
        """Hand over what a batch of records came to. Waits while too much is pending; raises Stopped."""
        with self._changed:
            share = self._pending.setdefault(partition, Share())
            share.end = records[-1].position.offset + 1
            share.events += batch.events
            share.runs |= batch.runs
            share.bytes += sum(len(record.envelope.data) + RECORD_BYTES for record in records)
            self._wait_for_room()

    def add_metrics(self, partition: Partition, end: int, batch: MetricBatch) -> None:
        """As add_entities, of the metrics topic. end: the offset behind the last record the batch consumed."""
        with self._changed:
            share = self._pending.setdefault(partition, Share())
            share.end = end
            share.events += batch.events
            share.summaries |= batch.summaries
            if batch.rows is not None:
                share.points.append(batch.rows)
                share.rows += batch.rows.num_rows
            self._wait_for_room()

    def drop(self, partitions: Collection[Partition]) -> None:
        """Forget what is pending of these; when this returns, nothing handed over before is stored any more."""
        with self._changed:
            for partition in partitions:
                self._pending.pop(partition, None)
                self._storing.pop(partition, None)
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._inserting or self._stopping.is_set())

    def unsaved_runs(self) -> set[str]:
        """Runs whose newest state is not in the views yet."""
        with self._changed:
            return {run_id for share in self._shares() for run_id in share.runs}

    def unsaved_metrics(self) -> set[str]:
        """Runs with a summary that is not in the views yet."""
        with self._changed:
            return {run_id for share in self._shares() for run_id, _ in share.summaries}

    def insert_summaries(self, partition: Partition, summaries: Mapping[tuple[str, str], Summary]) -> None:
        """Insert summaries now, from a thread that is not the store's, before anything of the partition is added.

        Raises ViewsUnavailable, Fenced.
        """
        guard = self._ownership.guard([partition]) if self._ownership else None
        self._views.insert("metric_summary", _summary_rows(summaries), guard)

    def _shares(self) -> Iterator[Share]:
        yield from self._pending.values()
        yield from self._storing.values()

    def _wait_for_room(self) -> None:
        self._changed.notify_all()
        self._changed.wait_for(lambda: not self._full() or self._stopping.is_set())
        if self._stopping.is_set():
            raise Stopped

    def _full(self) -> bool:
        pending = self._pending.values()
        return sum(x.bytes for x in pending) >= ENTITY_BYTES_MAX or sum(x.rows for x in pending) >= self._points_max

    def _run(self) -> None:
        try:
            while self._take():
                self._store()
        except Stopped:
            return
        except Exception:
            # A fault of ours, not of the engine below: say so and stop storing rather than skip what was logged.
            logger.exception("the store ended; views stand still until a restart")
            self.fault = "the store ended by an error of its own; the server's output has more"

    def _take(self) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: self._pending or self._stopping.is_set())
            self._changed.wait_for(
                lambda: self.viewed.wanted.is_set() or self._full() or self._stopping.is_set(), LINGER_S
            )
            if self._stopping.is_set():
                return False
            self._storing, self._pending = self._pending, {}
            self._changed.notify_all()
            return True

    def _store(self) -> None:
        work = self._storing
        self._insert("events", [(p, run_rows.events_table(s.events)) for p, s in work.items() if s.events])
        self._insert("runs", [(p, run_rows.runs_table(s.runs.values())) for p, s in work.items() if s.runs])
        points = [(p, table) for p, share in work.items() for table in share.points]
        for parts in _grouped(points, self._points_max):
            self._insert("metrics", parts)
        self._insert("metric_summary", [(p, _summary_rows(s.summaries)) for p, s in work.items() if s.summaries])
        with self._changed:
            # What was dropped meanwhile is not among it.
            stored, self._storing = self._storing, {}
            reached = {partition: share.end for partition, share in stored.items()}
        self.viewed.advance(reached)
        at = self.viewed.offsets()
        self.on_stored({partition: at[partition] for partition in reached})

    def _insert(self, table: str, parts: list[Part]) -> None:
        """Insert, however long it takes; once, even where an answer is lost; not what was dropped. Raises Stopped."""
        retry_s = RETRY_FIRST_S
        lost_answer = False
        while True:
            with self._changed:
                parts = [part for part in parts if part[0] in self._storing]
                if not parts:
                    return
                self._inserting = True
            partitions = [partition for partition, _ in parts]
            rows = _filled(_joined(table, [rows for _, rows in parts]))
            try:
                if lost_answer:
                    rows = self._unstored(table, rows, partitions)
                lost_answer = True
                if rows.num_rows:
                    self._attempt(table, rows, partitions)
                self.fault = None
                return
            except ViewsUnavailable as error:
                if self.fault != str(error):
                    self.fault = str(error)
                    logger.warning("storing into %s waits: %s", table, error)
            except (Fenced, Held):
                self._give_up(partitions)
            finally:
                with self._changed:
                    self._inserting = False
                    self._changed.notify_all()
            if self._stopping.wait(retry_s):
                raise Stopped
            retry_s = min(retry_s * 2, RETRY_MAX_S)

    def _attempt(self, table: str, rows: pa.Table, partitions: Collection[Partition]) -> None:
        if self._ownership is None:
            self._views.insert(table, rows)
            return
        self._inserts += 1
        query_id = self._ownership.query_id(self._inserts)
        self._views.insert(table, rows, self._ownership.guard(partitions), query_id=query_id)

    def _unstored(self, table: str, rows: pa.Table, partitions: Collection[Partition]) -> pa.Table:
        """What of an insert whose answer was lost is not in the views, and never will be without another."""
        if self._ownership is not None:
            if self._ownership.lost(partitions):
                raise Fenced
            # With a new claim the old insert is over, or refused if it is still on its way.
            self._ownership.claim(partitions)
        return self._views.missing(table, rows)

    def _give_up(self, partitions: Collection[Partition]) -> None:
        """Another process has some of these now: store no more of them."""
        assert self._ownership is not None
        try:
            lost = self._ownership.lost(partitions)
        except ViewsUnavailable:
            return  # asked again after the next refusal
        if not lost:
            return
        logger.warning("another worker has %s now", ", ".join(f"{p.topic}/{p.partition}" for p in sorted(lost)))
        with self._changed:
            for partition in lost:
                self._pending.pop(partition, None)
                self._storing.pop(partition, None)
        self.on_lost(lost)


def _grouped(parts: list[Part], points_max: int) -> Iterator[list[Part]]:
    """Tables of points in as few groups as inserts may be large."""
    group: list[Part] = []
    size = 0
    for partition, table in parts:
        if group and size + table.num_rows > points_max:
            yield group
            group, size = [], 0
        group.append((partition, table))
        size += table.num_rows
    if group:
        yield group


def _joined(table: str, parts: Sequence[pa.Table]) -> pa.Table:
    return metrics.in_order(parts) if table == "metrics" else pa.concat_tables(parts).unify_dictionaries()


def _filled(rows: pa.Table) -> pa.Table:
    """Without the columns that are '' throughout, as every column of the views is that an insert leaves out."""
    return rows.select(
        [
            name
            for name, column in zip(rows.column_names, rows.columns, strict=True)
            if not (isinstance(column.type, pa.DictionaryType) and column.chunk(0).dictionary.equals(metrics.no_text()))
        ]
    )


def _summary_rows(summaries: Mapping[tuple[str, str], Summary]) -> pa.Table:
    rows = [(run_id, key, *summary) for (run_id, key), summary in summaries.items()]
    columns = zip(*rows, strict=True)
    return pa.table(dict(zip(metrics.SUMMARY_SCHEMA.names, columns, strict=True)), schema=metrics.SUMMARY_SCHEMA)
