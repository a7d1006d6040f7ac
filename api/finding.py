"""Finds runs: the ids that a query asks for, in order, now or as of a moment; and the same answer page by page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from headrace.api import memory_search, point_aggregates, search
from headrace.api.memory_search import MetricColumn
from headrace.api.point_aggregates import What
from headrace.api.point_summaries import Summaries
from headrace.api.points import Cut, Points
from headrace.api.ranking import Found
from headrace.api.services import Services
from headrace.api.syntax import Expression, Order, PointColumns, comparisons
from headrace.ingest.topics import METRICS, REGISTRY, RUNS
from headrace.processors.metrics import Summary
from headrace.processors.registry import LoggedModel, Registry
from headrace.processors.runs import RunState
from starlette.concurrency import run_in_threadpool

_RUNS_A_QUERY = 5_000
_SLOW = 100_000
"""More comparisons, in all runs together, are made on another thread."""
_OFFSET = Summary._fields.index("offset")


@dataclass(frozen=True, slots=True)
class RunQuery:
    """Which runs, and in which order. expression: None for all of the view. order: newest start first behind it.

    now_ms: what `now` is, and how far a run that goes on has come; None for the moment of the search, or as of which.
    """

    experiment_ids: list[str]
    view: search.View
    expression: Expression | None
    order: list[Order]
    now_ms: int | None = None


async def find(s: Services, query: RunQuery, limit: int, offset: int, cut: Cut | None = None) -> list[str]:
    """The ids of at most `limit` runs that match, in order, the first `offset` left out. cut: as of this moment."""
    if cut is None and not await all_in_memory(s):
        return await run_in_threadpool(_in_views, s, query, limit, offset)
    return [state.run_id for state in (await found(s, query, cut)).page(offset, limit)]


async def found(s: Services, query: RunQuery, cut: Cut | None = None) -> Found:
    """All that match, where every run is in memory; in any case where it is as of a moment."""
    if cut is not None:
        return await run_in_threadpool(_past, s, query, cut)
    metrics, column = await _metrics(s)
    runs = s.engine.runs_of(query.experiment_ids)
    columns = await _columns_of(s, query, runs, column)
    deleted, now_ms, models = s.engine.registry.deleted_ids(), _now_ms(s, query), _models(s.engine.registry, query)

    def select() -> Found:
        return _select(query, runs, metrics, deleted, now_ms, models, columns, column)

    # What takes long lets other requests be served meanwhile.
    asked = list(comparisons(query.expression))
    slow = len(asked) * len(runs) > _SLOW or any(x.operator in ("=~", "!~") for x in asked)
    return await run_in_threadpool(select) if slow else select()


async def point_columns(s: Services, query: RunQuery, asked: Sequence[What], cut: Cut | None = None) -> PointColumns:
    """What these aggregates of points are, of the runs of the query's experiments at least. Raises ViewsUnavailable."""
    ordered = [Order("metric", key, True, aggregate) for key, aggregate in asked]
    named = RunQuery(query.experiment_ids, "ALL", None, ordered)
    if cut is not None:
        return await run_in_threadpool(_past_columns, s, named, cut)
    if not await all_in_memory(s):
        return await run_in_threadpool(_stored_columns, s, named)
    _, column = await _metrics(s)
    return await _columns_of(s, named, s.engine.runs_of(query.experiment_ids), column)


async def all_in_memory(s: Services) -> bool:
    """Whether the folds hold every run, once they hold what was logged; else wait until the views do."""
    await s.tracking.folded(RUNS, METRICS, REGISTRY)
    if s.engine.all_in_memory():
        return True
    await s.tracking.caught_up()
    return False


def _in_views(s: Services, query: RunQuery, limit: int, offset: int) -> list[str]:
    asked = search.runs_query(
        experiment_ids=query.experiment_ids,
        deleted_experiment_ids=s.engine.registry.deleted_ids(),
        view=query.view,
        expression=query.expression,
        order=query.order,
        limit=limit,
        offset=offset,
        now_ms=_now_ms(s, query),
        models=_models(s.engine.registry, query),
        columns=_stored_columns(s, query),
    )
    return [row[0] for row in s.views.rows(asked.sql, asked.parameters)]


def _past(s: Services, query: RunQuery, cut: Cut) -> Found:
    states, registry = s.past.candidates(cut, query.experiment_ids), s.past.registry_at(cut)

    def column(key: str, field: int) -> Mapping[str, float]:
        return s.past.column(cut, query.experiment_ids, key, field)

    columns = _past_columns(s, query, cut)
    # What goes on had gone on until the moment.
    now_ms = cut.time_ms if query.now_ms is None and cut.time_ms is not None else _now_ms(s, query)
    models = _models(registry, query)
    return _select(query, states, {}, registry.deleted_ids(), now_ms, models, columns, column)


def _past_columns(s: Services, query: RunQuery, cut: Cut) -> PointColumns:
    """The aggregates of points that the query names, as of a moment. Blocks on the views."""

    def column(key: str, field: int) -> Mapping[str, float]:
        return s.past.column(cut, query.experiment_ids, key, field)

    asked = point_aggregates.wanted(comparisons(query.expression), query.order)
    run_ids = [state.run_id for state in s.past.candidates(cut, query.experiment_ids)] if asked else []
    return {what: _past_column(s, what, run_ids, column, cut) for what in asked}


def _past_column(s: Services, what: What, run_ids: list[str], column: MetricColumn, cut: Cut) -> dict[str, float]:
    offsets = [column(key, _OFFSET) for key in point_aggregates.keys_of(what)]
    having = list(point_aggregates.tokens_of(offsets, run_ids))
    values: dict[str, float] = {}
    for start in range(0, len(having), _RUNS_A_QUERY):
        asked = having[start : start + _RUNS_A_QUERY]
        points = Points(asked, point_aggregates.keys_of(what), cut, s.forks.links(asked))
        values |= point_aggregates.read(s.views, what, points)
    return values


def _select(
    query: RunQuery,
    runs: list[RunState],
    metrics: Mapping[str, Mapping[str, Summary]],
    deleted: list[str],
    now_ms: int,
    models: Mapping[str, LoggedModel],
    columns: PointColumns,
    metric_column: MetricColumn | None = None,
) -> Found:
    return memory_search.find(
        runs,
        metrics,
        deleted_experiment_ids=set(deleted).intersection(query.experiment_ids),
        view=query.view,
        expression=query.expression,
        order=query.order,
        now_ms=now_ms,
        models=models,
        columns=columns,
        metric_column=metric_column,
    )


def _now_ms(s: Services, query: RunQuery) -> int:
    return s.clock.time_ms() if query.now_ms is None else query.now_ms


def _models(registry: Registry, query: RunQuery) -> dict[str, LoggedModel]:
    """The logged models by id, where the query is about more than their ids."""
    named = [(x.entity, x.key) for x in comparisons(query.expression)] + [(x.entity, x.key) for x in query.order]
    wanted = any(entity == "model" and key != "id" for entity, key in named)
    return dict(registry.logged_models) if wanted else {}


async def _columns_of(s: Services, query: RunQuery, runs: list[RunState], column: MetricColumn) -> PointColumns:
    """The aggregates of points that the query names, for runs in memory; waits for the views if any has moved."""
    asked = point_aggregates.wanted(comparisons(query.expression), query.order)
    if not asked:
        return {}
    run_ids = [run.run_id for run in runs]
    offsets = {what: [column(key, _OFFSET) for key in point_aggregates.keys_of(what)] for what in asked}
    answers = {what: s.aggregates.answer(what, offsets[what], run_ids) for what in asked}
    found: dict[What, Mapping[str, float]] = {what: x for what, x in answers.items() if x is not None}
    now = {x: point_aggregates.tokens_of(offsets[x], run_ids) for x in asked if x not in found}
    if any(s.aggregates.moved(what, tokens) for what, tokens in now.items()):
        await s.tracking.caught_up()
        new = await run_in_threadpool(lambda: {what: s.aggregates.column(what, x) for what, x in now.items()})
    else:
        new = {what: s.aggregates.column(what, tokens) for what, tokens in now.items()}
    for what, answer in new.items():
        s.aggregates.remember(what, offsets[what], run_ids, answer)
    return found | new


def _stored_columns(s: Services, query: RunQuery) -> PointColumns:
    """The same, for runs in the views. Blocks on them."""
    asked = point_aggregates.wanted(comparisons(query.expression), query.order)
    tokens = {what: point_aggregates.stored_tokens(s.views, what, query.experiment_ids) for what in asked}
    return {what: s.aggregates.column(what, x) for what, x in tokens.items()}


async def _metrics(s: Services) -> tuple[Mapping[str, Mapping[str, Summary]], MetricColumn]:
    """The metrics in memory with what forked runs inherit: by run and key, and a column at a time."""
    metrics: Mapping[str, Mapping[str, Summary]] = s.engine.metrics_in_memory
    column: MetricColumn = s.metric_columns.column
    if forked := list(s.engine.forked()):
        joined = await run_in_threadpool(_with_inherited, s, forked)
        metrics, column = Overlaid(metrics, joined), _overlaid(column, joined)
    return metrics, column


def _with_inherited(s: Services, run_ids: list[str]) -> Summaries:
    own = s.engine.summaries(run_ids)
    return s.forks.with_inherited({run_id: own.get(run_id, {}) for run_id in run_ids})


def _overlaid(column: MetricColumn, over: Summaries) -> MetricColumn:
    """Columns in which some runs have these summaries instead."""

    def overlaid(key: str, field: int) -> Mapping[str, float]:
        values: dict[str, Any] = {run_id: of_run[key][field] for run_id, of_run in over.items() if key in of_run}
        return {**column(key, field), **values}

    return overlaid


class Overlaid(dict[str, Mapping[str, Summary]]):
    """Summaries by run, some of them others than in the mapping below. Only for look-ups by `get`."""

    def __init__(self, below: Mapping[str, Mapping[str, Summary]], over: Mapping[str, Mapping[str, Summary]]) -> None:
        super().__init__(over)
        self._below = below

    def get(self, run_id: str, default: Any = None) -> Any:
        """The summaries of a run."""
        return super().get(run_id) or self._below.get(run_id, default)
