"""Aggregates that only a metric's points can tell: its value at a step, and where another metric was best."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, TypeAlias

from headrace.api.points import Link, Points
from headrace.api.syntax import Aggregate, Comparison, Order
from headrace.processors.views import Views

What: TypeAlias = tuple[str, Aggregate]
"""The key of a metric, and what is asked of its points."""
Token: TypeAlias = tuple[float, ...]
"""The offsets of the summaries of the metrics that take part: once they have moved, so may have the aggregate."""

COLUMNS_MAX: Final = 100
VALUES_MAX: Final = 1_000_000
ANSWERS_MAX: Final = 20
_RUNS_A_QUERY: Final = 5_000

# Of several points at a step the last logged: the one whose value is a metric's last, were there no later step.
_LAST: Final = "argMax(value, (timestamp_ms, isNaN(value), value))"


def wanted(comparisons: Iterable[Comparison], order: Iterable[Order]) -> list[What]:
    """The aggregates of points that a search names, each once."""
    named = [(x.key, x.aggregate) for x in comparisons] + [(x.key, x.aggregate) for x in order]
    found = dict.fromkeys((key, aggregate) for key, aggregate in named if aggregate and aggregate.of_points)
    return [(key, aggregate) for key, aggregate in found if aggregate]


def keys_of(what: What) -> tuple[str, ...]:
    """The keys of the metrics that take part."""
    key, aggregate = what
    return (key,) if aggregate.name == "at" else (key, aggregate.other)


def read(views: Views, what: What, points: Points) -> dict[str, float]:
    """The aggregate of each run that has it. points: of the runs, with all keys that take part.

    at_best takes the first of the steps where the other metric was best, NaN aside. Raises ViewsUnavailable.
    """
    key, aggregate = what
    parameters = {**points.parameters, "key": key}
    if aggregate.name == "at":
        parameters["step"] = aggregate.step
        source = f"{points.sql} WHERE key = {{key:String}} AND step = {{step:Int64}}"
    else:
        parameters["other"] = aggregate.other
        place = "value" if aggregate.best == "min" else "-value"
        best = (
            f"SELECT run_id, argMin(step, ({place}, step)) AS step FROM {points.sql}"
            " WHERE key = {other:String} AND NOT isNaN(value) GROUP BY run_id"
        )
        source = f"{points.sql} AS points INNER JOIN ({best}) AS best USING (run_id, step) WHERE key = {{key:String}}"
    return dict(views.rows(f"SELECT run_id, {_LAST} FROM {source} GROUP BY run_id", parameters))


def tokens_of(offsets: Sequence[Mapping[str, float]], run_ids: Iterable[str]) -> dict[str, Token]:
    """The same from columns: the offsets of the summaries by run, of each metric that takes part."""
    first, *others = offsets
    if not others:
        return {x: (first[x],) for x in run_ids if x in first}
    [second] = others
    return {x: (first[x], second[x]) for x in run_ids if x in first and x in second}


def stored_tokens(views: Views, what: What, experiment_ids: Sequence[str]) -> dict[str, Token]:
    """The same from the views, for the runs of experiments. Raises ViewsUnavailable."""
    keys = keys_of(what)
    rows = views.rows(
        "SELECT run_id, groupArray((key, newest)) FROM (SELECT run_id, key, max(offset) AS newest FROM metric_summary"
        " WHERE key IN {keys:Array(String)} AND run_id IN"
        " (SELECT run_id FROM runs WHERE experiment_id IN {experiments:Array(String)})"
        " GROUP BY run_id, key) GROUP BY run_id",
        {"keys": list(keys), "experiments": list(experiment_ids)},
    )
    offsets = {run_id: dict(pairs) for run_id, pairs in rows}
    return {run_id: tuple(x[key] for key in keys) for run_id, x in offsets.items() if all(key in x for key in keys)}


class PointAggregates:
    """Aggregates as they were read last, so that only runs whose metrics have moved are asked for again.

    Used from one thread at a time for each column; a column that is forgotten is read anew.
    """

    def __init__(self, views: Views, links: Callable[[Sequence[str]], Sequence[Link]] = lambda run_ids: ()) -> None:
        """links: what runs inherit."""
        self._views = views
        self._links = links
        self._columns: OrderedDict[What, dict[str, tuple[Token, float | None]]] = OrderedDict()
        self._answers: OrderedDict[What, tuple[tuple[object, ...], list[str], dict[str, float]]] = OrderedDict()

    def moved(self, what: What, now: Mapping[str, Token]) -> list[str]:
        """The runs whose metrics have moved since they were read, or never were."""
        column = self._columns.get(what, {})
        return [run_id for run_id, token in now.items() if run_id not in column or column[run_id][0] != token]

    def column(self, what: What, now: Mapping[str, Token]) -> dict[str, float]:
        """The aggregate of each run that has it. now: how far each run's metrics have come; the views hold as much.

        Blocks on the views where any has moved. Raises ViewsUnavailable.
        """
        moved = self.moved(what, now)
        column = self._columns.get(what, {})
        for start in range(0, len(moved), _RUNS_A_QUERY):
            asked = moved[start : start + _RUNS_A_QUERY]
            values = read(self._views, what, Points(asked, keys_of(what), links=self._links(asked)))
            column = column | {run_id: (now[run_id], values.get(run_id)) for run_id in asked}
        self._keep(what, column)
        found = ((run_id, column[run_id][1]) for run_id in now)
        return {run_id: value for run_id, value in found if value is not None}

    def answer(self, what: What, offsets: Sequence[object], run_ids: list[str]) -> dict[str, float] | None:
        """What `remember` was told for these very columns of offsets and these runs, if it is what it was told last."""
        held = self._answers.get(what)
        if held is None or held[1] != run_ids or any(x is not y for x, y in zip(held[0], offsets, strict=True)):
            return None
        return held[2]

    def remember(self, what: What, offsets: Sequence[object], run_ids: list[str], answer: dict[str, float]) -> None:
        """Keep an answer until the next one. offsets: columns that are never changed in place."""
        self._answers[what] = (tuple(offsets), run_ids, answer)
        self._answers.move_to_end(what)
        while len(self._answers) > ANSWERS_MAX:
            self._answers.popitem(last=False)

    def _keep(self, what: What, column: dict[str, tuple[Token, float | None]]) -> None:
        self._columns[what] = column
        self._columns.move_to_end(what)
        while len(self._columns) > COLUMNS_MAX or (
            len(self._columns) > 1 and sum(map(len, self._columns.values())) > VALUES_MAX
        ):
            self._columns.popitem(last=False)
