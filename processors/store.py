"""Writes what the folds hand over into the views: few large inserts, in an order that a crash cannot hurt.

Points go in before their summaries and events before the states they made, each insert is all or nothing, and every
row carries its offset; so after a crash the views themselves tell what is missing, and it is folded again.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field

import pyarrow as pa
from headrace.ingest.log import Partition, Record
from headrace.processors import metrics, run_rows
from headrace.processors.metrics import Summary
from headrace.processors.outcome import Outcome
from headrace.processors.runs import RunState
from headrace.processors.views import Views, ViewsUnavailable
from headrace.processors.watermark import Watermark

logger = logging.getLogger("headrace.engine")

LINGER_S = 0.1
ENTITY_BYTES_MAX = 64 * 1024 * 1024
POINTS_MAX = 200_000
RETRY_FIRST_S, RETRY_MAX_S = 0.1, 5.0


class Stopped(Exception):
    """The store was told to stop in the middle of its work; what is not stored is folded again at the next start."""


@dataclass(slots=True)
class Pending:
    """Folded, not stored. offsets: how far the views will have come with it."""

    offsets: dict[Partition, int] = field(default_factory=dict)
    events: list[tuple[Record, Outcome]] = field(default_factory=list)
    runs: dict[str, RunState] = field(default_factory=dict)
    points: list[pa.Table] = field(default_factory=list)
    summaries: dict[tuple[str, str], Summary] = field(default_factory=dict)
    bytes: int = 0
    rows: int = 0


class Store:
    """A thread that inserts: at once when a reader waits, else every LINGER_S.

    viewed: how far every view has come. fault: why the views cannot be written now, or None. listeners: called on the
    store's thread with the ids of the runs whose views have changed.
    """

    def __init__(self, views: Views, start: Mapping[Partition, int]) -> None:
        self._views = views
        self.viewed = Watermark(start)
        self.fault: str | None = None
        self.listeners: list[Callable[[set[str]], None]] = []
        self._changed = threading.Condition()
        self._pending = Pending()
        self._storing = Pending()
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

    def add(self, offsets: Mapping[Partition, int], take: Callable[[Pending], None]) -> None:
        """Hand over one batch: take(pending) adds it. Waits while too much is pending; raises Stopped."""
        with self._changed:
            take(self._pending)
            self._pending.offsets.update(offsets)
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._full() or self._stopping.is_set())
        if self._stopping.is_set():
            raise Stopped

    def unsaved_runs(self) -> set[str]:
        """Runs whose newest state is not in the views yet."""
        with self._changed:
            return {*self._pending.runs, *self._storing.runs}

    def unsaved_metrics(self) -> set[str]:
        """Runs with a summary that is not in the views yet."""
        with self._changed:
            return {run_id for work in (self._pending, self._storing) for run_id, _ in work.summaries}

    def insert_summaries(self, summaries: Mapping[tuple[str, str], Summary]) -> None:
        """Insert summaries now, from a thread that is not the store's, before it has started."""
        self._insert("metric_summary", _summary_rows(summaries))

    def _full(self) -> bool:
        return self._pending.bytes >= ENTITY_BYTES_MAX or self._pending.rows >= POINTS_MAX

    def _run(self) -> None:
        try:
            while self._take():
                self._insert_all(self._storing)
        except Stopped:
            return
        except Exception:
            # A fault of ours, not of the engine below: say so and stop storing rather than skip what was logged.
            logger.exception("the store ended; views stand still until a restart")
            self.fault = "the store ended by an error of its own; the server's output has more"

    def _take(self) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: self._pending.offsets or self._stopping.is_set())
            self._changed.wait_for(
                lambda: self.viewed.wanted.is_set() or self._full() or self._stopping.is_set(), LINGER_S
            )
            if self._stopping.is_set():
                return False
            self._storing, self._pending = self._pending, Pending()
            self._changed.notify_all()
            return True

    def _insert_all(self, work: Pending) -> None:
        if work.events:
            self._insert("events", run_rows.events_table(work.events))
        if work.runs:
            self._insert("runs", run_rows.runs_table(work.runs.values()))
        for rows in _joined(work.points):
            self._insert("metrics", rows)
        if work.summaries:
            self._insert("metric_summary", _summary_rows(work.summaries))
        with self._changed:
            self._storing = Pending()
        self.viewed.advance(work.offsets)
        changed = {*work.runs, *(run_id for run_id, _ in work.summaries)}
        for listener in self.listeners:
            listener(changed)

    def _insert(self, table: str, rows: pa.Table) -> None:
        """Insert, however long it takes; once, even where an answer is lost. Raises Stopped."""
        offsets = rows.column("offset").to_numpy()
        last = int(offsets.argmax())
        retry_s = RETRY_FIRST_S
        tried = False
        while True:
            try:
                if not (tried and self._holds(table, rows, last)):
                    tried = True
                    self._views.insert(table, rows)
                self.fault = None
                return
            except ViewsUnavailable as error:
                self.fault = str(error)
                logger.warning("storing into %s waits: %s", table, error)
            if self._stopping.wait(retry_s):
                raise Stopped
            retry_s = min(retry_s * 2, RETRY_MAX_S)

    def _holds(self, table: str, rows: pa.Table, index: int) -> bool:
        """Whether the view has this row; an insert is all or nothing, so then it has them all."""
        where = "partition = {partition:UInt16} AND offset = {offset:UInt64}"
        parameters = {name: rows.column(name)[index].as_py() for name in ("partition", "offset")}
        if table == "events":
            where += " AND topic = {topic:String}"
            parameters["topic"] = rows.column("topic")[index].as_py()
        return bool(self._views.rows(f"SELECT count() FROM {table} WHERE {where}", parameters)[0][0])


def _joined(tables: list[pa.Table]) -> Iterable[pa.Table]:
    """Tables joined into as few as inserts may be large."""
    group: list[pa.Table] = []
    size = 0
    for table in tables:
        if group and size + table.num_rows > POINTS_MAX:
            yield pa.concat_tables(group).unify_dictionaries()
            group, size = [], 0
        group.append(table)
        size += table.num_rows
    if group:
        yield pa.concat_tables(group).unify_dictionaries()


def _summary_rows(summaries: Mapping[tuple[str, str], Summary]) -> pa.Table:
    rows = [(run_id, key, *summary) for (run_id, key), summary in summaries.items()]
    columns = zip(*rows, strict=True)
    return pa.table(dict(zip(metrics.SUMMARY_SCHEMA.names, columns, strict=True)), schema=metrics.SUMMARY_SCHEMA)
