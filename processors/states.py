"""What the folds remember between batches: run states and metric summaries, bounded, reloaded from the views."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from sys import intern
from typing import TypeVar

from headrace.processors.changes import Changes
from headrace.processors.metrics import Summary, merged
from headrace.processors.run_rows import COLUMNS, run_of
from headrace.processors.runs import GONE, RunState
from headrace.processors.views import Views

RUNS_MAX = 20_000
SUMMARIES_MAX = 500_000
RUNS_OF_PARTITION_MAX = 5_000
SUMMARIES_OF_PARTITION_MAX = 100_000

Unsaved = Callable[[], Collection[str]]
"""Asks which runs have something that the views do not hold yet, and which must therefore not be forgotten."""


T = TypeVar("T")


def _split(
    cached: Callable[[str], T | None], run_ids: Sequence[str], known: Collection[str]
) -> tuple[dict[str, T], list[str]]:
    """What is in memory, by run, and the known runs that are not."""
    found: dict[str, T] = {}
    cold = []
    for run_id in run_ids:
        held = cached(run_id)
        if held is not None:
            found[run_id] = held
        elif run_id in known:
            cold.append(run_id)
    return found, cold


def _of(partition: int | None) -> str:
    return "" if partition is None else f" WHERE partition = {partition:d}"


class RunStates:
    """The newest state of each run that was touched lately. One thread folds; any thread may read."""

    def __init__(self, views: Views, partition: int | None = None, *, empty: bool = False) -> None:
        """partition: for the runs of one partition only, which are not loaded before they are touched. empty: nothing
        has been folded yet, whatever the views hold."""
        self._views = views
        self._cached: OrderedDict[str, RunState] = OrderedDict()
        self._by_experiment: dict[str, dict[str, RunState]] = {}
        self._max = RUNS_MAX if partition is None else RUNS_OF_PARTITION_MAX
        self._known: set[str] = set()
        self.forked: set[str] = set()
        """The runs that were forked from others, in memory or not."""
        self.moved: set[str] = set()
        """The runs that have changed their experiment; kept where there are those of all partitions."""
        self.gone: set[str] = set()
        """The runs that were erased, or are being erased, in memory or not."""
        if empty:
            return
        forked = f"SELECT run_id FROM runs{_of(partition)} GROUP BY run_id HAVING max(forked_from) != ''"
        self.forked = {row[0] for row in views.rows(forked)}
        where = f"{_of(partition)} AND" if partition is not None else " WHERE"
        gone = f"SELECT DISTINCT run_id FROM runs{where} lifecycle IN {{gone:Array(String)}}"
        self.gone = {row[0] for row in views.rows(gone, {"gone": list(GONE)})}
        if partition is None:
            moved = "SELECT DISTINCT subject FROM events WHERE topic = 'runs' AND type = 'headrace.run.moved'"
            self.moved = {row[0] for row in views.rows(moved)}
        self._known = {row[0] for row in views.rows(f"SELECT DISTINCT run_id FROM runs{_of(partition)}")}
        if partition is None and len(self._known) <= RUNS_MAX:
            self.load(self._known)

    def __contains__(self, run_id: str) -> bool:
        """Whether any event of the run has been folded, ever."""
        return run_id in self._known

    def cached(self, run_id: str) -> RunState | None:
        """The state, if it is in memory."""
        return self._cached.get(run_id)

    def get(self, run_ids: Sequence[str]) -> dict[str, RunState]:
        """The states of those runs that there are, in memory or in the views."""
        found, cold = _split(self._cached.get, run_ids, self._known)
        for state in self._stored(cold):
            # A fold may have taken the run up meanwhile; then what is in memory is newer.
            found[state.run_id] = self._cached.get(state.run_id, state)
        return found

    @property
    def complete(self) -> bool:
        """Whether every run there is is in memory."""
        return len(self._cached) == len(self._known)

    def of_experiments(self, experiment_ids: Iterable[str]) -> list[RunState]:
        """The states that are in memory of these experiments' runs."""
        found: list[RunState] = []
        for experiment_id in dict.fromkeys(experiment_ids):
            found += list(self._by_experiment.get(experiment_id, {}).values())
        return found

    def load(self, run_ids: Iterable[str]) -> None:
        """Make sure that the states of these runs, where they have one, are in memory. By the folding thread only."""
        for state in self._stored([x for x in set(run_ids) if x in self._known and x not in self._cached]):
            self.put(state)

    def put(self, state: RunState) -> None:
        """Keep the newest state of a run. By the folding thread only."""
        before = self._cached.get(state.run_id)
        if before is not None and before.experiment_id != state.experiment_id:
            del self._by_experiment[before.experiment_id][state.run_id]
            if state.lifecycle not in GONE:
                self.moved.add(state.run_id)
        self._cached[state.run_id] = state
        self._by_experiment.setdefault(state.experiment_id, {})[state.run_id] = state
        self._known.add(state.run_id)
        if state.forked_from:
            self.forked.add(state.run_id)
        if state.lifecycle in GONE:
            self.gone.add(state.run_id)
        self._cached.move_to_end(state.run_id)

    def evict(self, unsaved: Unsaved) -> None:
        """Forget the longest untouched beyond RUNS_MAX. By the folding thread only, once a batch is handed over."""
        if len(self._cached) <= self._max:
            return
        kept = unsaved()
        while len(self._cached) > self._max and (oldest := next(iter(self._cached))) not in kept:
            state = self._cached.pop(oldest)
            del self._by_experiment[state.experiment_id][oldest]

    def beyond(self, offsets: Mapping[int, int]) -> set[str]:
        """Runs in memory that changed at or beyond an offset, given a number of partition."""
        return {x.run_id for x in list(self._cached.values()) if x.offset >= offsets.get(x.partition, 0)}

    def _stored(self, run_ids: Collection[str]) -> list[RunState]:
        if not run_ids:
            return []
        sql = f"SELECT {COLUMNS} FROM runs FINAL WHERE run_id IN {{ids:Array(String)}}"
        return [run_of(row) for row in self._views.rows(sql, {"ids": list(run_ids)})]


class MetricStates:
    """Summaries and writers of the runs that were touched lately. One thread folds; any thread may read summaries."""

    def __init__(self, views: Views, partition: int | None = None) -> None:
        """partition: for the runs of one partition only, which are not loaded before they are touched."""
        self._views = views
        self.changes = Changes()
        self._cached: OrderedDict[str, dict[str, Summary]] = OrderedDict()
        self._writers: dict[str, dict[str, int]] = {}
        self._max = SUMMARIES_MAX if partition is None else SUMMARIES_OF_PARTITION_MAX
        # Grouped as the table's projection is, so that it is answered from that, without reading points.
        known = f"SELECT run_id FROM metrics{_of(partition)} GROUP BY partition, run_id, writer"
        self._known = {row[0] for row in views.rows(known)}
        self._size = 0
        if partition is None and views.rows("SELECT count() FROM metric_summary")[0][0] <= SUMMARIES_MAX:
            self.load(self._known)

    @property
    def complete(self) -> bool:
        """Whether every summary there is is in memory."""
        return len(self._cached) == len(self._known)

    @property
    def in_memory(self) -> Mapping[str, Mapping[str, Summary]]:
        """The summaries in memory by run and key, as they change: for single look-ups, not to go through."""
        return self._cached

    def cached(self, run_id: str) -> dict[str, Summary] | None:
        """A run's summaries by key as they are now, if they are in memory or there are none."""
        summaries = self._cached.get(run_id)
        if summaries is None:
            return None if run_id in self._known else {}
        return summaries.copy()

    def get(self, run_ids: Sequence[str]) -> dict[str, dict[str, Summary]]:
        """Summaries by run and key, in memory or in the views."""
        found, cold = _split(self.cached, run_ids, self._known)
        for run_id, summaries in stored_summaries(self._views, cold).items():
            found[run_id] = self._cached.get(run_id, summaries).copy()
        return found

    def writers(self, run_id: str) -> dict[str, int]:
        """The last sequence of each writer of a run that was loaded; to be changed in place by the folding thread."""
        return self._writers[run_id]

    def load(self, run_ids: Iterable[str]) -> None:
        """Make sure these runs' metrics are in memory. By the folding thread only."""
        wanted = set(run_ids)
        cold = []
        for run_id in wanted:
            if run_id in self._cached:
                self._cached.move_to_end(run_id)
            elif run_id in self._known:
                cold.append(run_id)
        stored, writers = stored_summaries(self._views, cold), self._stored_writers(cold)
        for run_id in wanted - self._cached.keys():
            self._writers[run_id] = writers.get(run_id, {})
            self._cached[run_id] = stored.get(run_id, {})
            self._size += len(self._cached[run_id])
            self._known.add(run_id)

    def forget(self, run_ids: Iterable[str]) -> None:
        """Drop the summaries of runs whose points are erased; their writers stay. By the folding thread only."""
        run_ids = [run_id for run_id in run_ids if run_id in self._known]
        self.load(run_ids)
        for run_id in run_ids:
            self._size -= len(self._cached[run_id])
            self._cached[run_id] = {}

    def merge(self, run_id: str, key: str, summary: Summary) -> Summary:
        """Take the summary of new points into the one of a loaded run's metric, and return that."""
        summaries = self._cached[run_id]
        before = summaries.get(key)
        if before is None:
            self._size += 1
        else:
            summary = merged(before, summary)
        # One string a key, however many runs have it: less memory, and look-ups that need not compare.
        summaries[intern(key)] = summary
        return summary

    def evict(self, unsaved: Unsaved) -> None:
        """Forget the longest untouched beyond SUMMARIES_MAX. By the folding thread only, after handing over."""
        if self._size <= self._max:
            return
        kept = unsaved()
        while self._size > self._max and (oldest := next(iter(self._cached))) not in kept:
            self._size -= len(self._cached.pop(oldest))
            del self._writers[oldest]

    def _stored_writers(self, run_ids: Collection[str]) -> dict[str, dict[str, int]]:
        found: dict[str, dict[str, int]] = {}
        if not run_ids:
            return found
        sql = (
            "SELECT run_id, writer, max(sequence) FROM metrics WHERE run_id IN {ids:Array(String)} AND writer != ''"
            " GROUP BY partition, run_id, writer"
        )
        for run_id, writer, sequence in self._views.rows(sql, {"ids": list(run_ids)}):
            found.setdefault(run_id, {})[writer] = sequence
        return found


def stored_summaries(views: Views, run_ids: Collection[str]) -> dict[str, dict[str, Summary]]:
    """Summaries by run and key, as the views hold them."""
    found: dict[str, dict[str, Summary]] = {}
    if not run_ids:
        return found
    columns = ", ".join(Summary._fields)
    sql = f"SELECT run_id, key, {columns} FROM metric_summary FINAL WHERE run_id IN {{ids:Array(String)}}"
    for run_id, key, *fields in views.rows(sql, {"ids": list(run_ids)}):
        found.setdefault(run_id, {})[intern(key)] = Summary(*fields)
    return found
