"""Columns of the metrics in memory: one number a run, side by side, so that a search need not look into each run.

Ten thousand runs lie all over the memory, and looking into each for one metric takes longer than all the rest of a
search. A column is made when it is first asked for, and follows the runs that change.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from headrace.processors.changes import Changes
from headrace.processors.entities import Entities

COLUMNS_MAX: Final = 100
VALUES_MAX: Final = 500_000


class _Column(NamedTuple):
    """values: by run, never changed in place. known: how many changes they know of."""

    values: dict[str, float]
    known: int


class MetricColumns:
    """The columns that were asked for lately, up to COLUMNS_MAX and VALUES_MAX numbers. For any thread."""

    def __init__(self, engine: Entities) -> None:
        """engine: one that has every run in memory where this is asked."""
        self._engine = engine
        self._lock = threading.Lock()
        self._changes: Changes | None = None
        self._columns: OrderedDict[tuple[str, int], _Column] = OrderedDict()

    def column(self, key: str, field: int) -> Mapping[str, float]:
        """One field of the summaries of a metric, by run; runs that lack the metric are not in it.

        At least as new as the engine was when this was called.
        """
        with self._lock:
            changes = self._engine.metric_changes
            if changes is not self._changes:
                self._columns.clear()
                self._changes = changes
            column = self._followed(changes, key, field)
            self._columns[key, field] = column
            self._columns.move_to_end((key, field))
            while len(self._columns) > COLUMNS_MAX or (
                len(self._columns) > 1 and sum(len(x.values) for x in self._columns.values()) > VALUES_MAX
            ):
                self._columns.popitem(last=False)
            return column.values

    def _followed(self, changes: Changes, key: str, field: int) -> _Column:
        metrics = self._engine.metrics_in_memory
        held = self._columns.get((key, field))
        known, run_ids = changes.since(held.known) if held is not None else (changes.count, None)
        values: dict[str, Any]
        if held is None or run_ids is None:
            # What changes meanwhile is looked at again by the next who asks.
            of_runs = list(metrics.items())
            values = {run_id: one[field] for run_id, of in of_runs if (one := of.get(key)) is not None}
            return _Column(values, known)
        if not run_ids:
            return _Column(held.values, known)
        values = dict(held.values)
        for run_id in run_ids:
            one = metrics.get(run_id, {}).get(key)
            if one is not None:
                values[run_id] = one[field]
            else:
                # It never had the metric, or was erased.
                values.pop(run_id, None)
        return _Column(values, known)
