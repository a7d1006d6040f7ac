"""What the folds remember between batches: run states and metric summaries, bounded, reloaded from the views."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from headrace.processors.metrics import Summary
from headrace.processors.run_rows import COLUMNS, run_of
from headrace.processors.runs import RunState
from headrace.processors.views import Views

RUNS_MAX = 20_000
SUMMARIES_MAX = 400_000


class RunStates:
    """The newest state of each run that was touched lately. One thread folds; any thread may get."""

    def __init__(self, views: Views) -> None:
        self._views = views
        self._cached: OrderedDict[str, RunState] = OrderedDict()
        self._known = {row[0] for row in views.rows("SELECT DISTINCT run_id FROM runs")}

    def __contains__(self, run_id: str) -> bool:
        """Whether any event of the run has been folded, ever."""
        return run_id in self._known

    def cached(self, run_id: str) -> RunState | None:
        """The state, if it is in memory."""
        return self._cached.get(run_id)

    def load(self, run_ids: Iterable[str]) -> None:
        """Make sure that the states of these runs, where they have one, are in memory. By the folding thread only."""
        missing = [x for x in set(run_ids) if x in self._known and x not in self._cached]
        for state in stored_runs(self._views, missing):
            self._cached[state.run_id] = state

    def put(self, state: RunState) -> None:
        """Keep the newest state of a run."""
        self._known.add(state.run_id)
        self._cached[state.run_id] = state
        self._cached.move_to_end(state.run_id)

    def evict(self, unsaved: Collection[str]) -> None:
        """Forget the longest untouched beyond RUNS_MAX, but none that the views do not hold yet."""
        while len(self._cached) > RUNS_MAX:
            oldest = next(iter(self._cached))
            if oldest in unsaved:
                return
            del self._cached[oldest]


def stored_runs(views: Views, run_ids: Collection[str]) -> list[RunState]:
    """The states that the view `runs` holds of these runs."""
    if not run_ids:
        return []
    sql = f"SELECT {COLUMNS} FROM runs FINAL WHERE run_id IN {{ids:Array(String)}}"
    return [run_of(row) for row in views.rows(sql, {"ids": list(run_ids)})]


@dataclass(slots=True)
class RunMetrics:
    """Of one run: each metric's summary by key, and the last sequence of each writer."""

    summaries: dict[str, Summary] = field(default_factory=dict)
    writers: dict[str, int] = field(default_factory=dict)


class MetricStates:
    """RunMetrics of the runs that were touched lately. One thread only."""

    def __init__(self, views: Views) -> None:
        self._views = views
        self._cached: OrderedDict[str, RunMetrics] = OrderedDict()
        self._known = {row[0] for row in views.rows("SELECT run_id FROM metrics GROUP BY partition, run_id, writer")}
        self._size = 0

    def load(self, run_ids: Iterable[str]) -> None:
        """Make sure these runs' metrics are in memory."""
        missing = []
        for run_id in set(run_ids):
            if run_id in self._cached:
                self._cached.move_to_end(run_id)
            else:
                self._cached[run_id] = RunMetrics()
                if run_id in self._known:
                    missing.append(run_id)
                self._known.add(run_id)
        for run_id, summaries in stored_summaries(self._views, missing).items():
            self._cached[run_id].summaries = summaries
            self._size += len(summaries)
        if missing:
            sql = (
                "SELECT run_id, writer, max(sequence) FROM metrics WHERE run_id IN {ids:Array(String)} AND writer != ''"
                " GROUP BY partition, run_id, writer"
            )
            for run_id, writer, sequence in self._views.rows(sql, {"ids": missing}):
                self._cached[run_id].writers[writer] = sequence

    def of(self, run_id: str) -> RunMetrics:
        """The metrics of a run that was loaded."""
        return self._cached[run_id]

    def put(self, run_id: str, key: str, summary: Summary) -> None:
        """Keep the newest summary of a metric."""
        summaries = self._cached[run_id].summaries
        self._size += key not in summaries
        summaries[key] = summary

    def evict(self) -> None:
        """Forget the longest untouched beyond SUMMARIES_MAX; call when the views hold everything."""
        while self._size > SUMMARIES_MAX and len(self._cached) > 1:
            _, oldest = self._cached.popitem(last=False)
            self._size -= len(oldest.summaries)


SUMMARY_COLUMNS = ", ".join(Summary._fields)


def stored_summaries(views: Views, run_ids: Collection[str]) -> dict[str, dict[str, Summary]]:
    """What the view `metric_summary` holds of these runs: run_id → key → Summary."""
    found: dict[str, dict[str, Summary]] = {}
    if not run_ids:
        return found
    sql = f"SELECT run_id, key, {SUMMARY_COLUMNS} FROM metric_summary FINAL WHERE run_id IN {{ids:Array(String)}}"
    for run_id, key, *fields in views.rows(sql, {"ids": list(run_ids)}):
        found.setdefault(run_id, {})[key] = Summary(*fields)
    return found
