"""Finds runs: the ids that a query asks for, in order, from memory where every run is there, else from the views."""

from __future__ import annotations

from dataclasses import dataclass

from headrace.api import memory_search, point_aggregates, search
from headrace.api.point_aggregates import Token, What
from headrace.api.services import Services
from headrace.api.syntax import Expression, Order, PointColumns, comparisons
from headrace.ingest.topics import METRICS, REGISTRY, RUNS
from headrace.processors.registry import LoggedModel
from headrace.processors.runs import RunState
from starlette.concurrency import run_in_threadpool


@dataclass(frozen=True, slots=True)
class RunQuery:
    """Which runs, and in which order. expression: None for all of the view. order: newest start first behind it.

    now_ms: what `now` is, and how far a run that goes on has come; None for the moment of the search.
    """

    experiment_ids: list[str]
    view: search.View
    expression: Expression | None
    order: list[Order]
    now_ms: int | None = None


async def find(s: Services, query: RunQuery, limit: int, offset: int) -> list[str]:
    """The ids of at most `limit` runs that match, in order, the first `offset` left out."""
    deleted = s.engine.registry.deleted_ids()
    await s.tracking.folded(RUNS, METRICS, REGISTRY)
    now_ms = s.clock.time_ms() if query.now_ms is None else query.now_ms
    models = _models(s, query)
    if s.engine.all_in_memory():
        runs = s.engine.runs_of(query.experiment_ids)
        columns = await _columns_of(s, query, runs)

        def select() -> list[str]:
            found = memory_search.find(
                runs,
                s.engine.metrics_in_memory,
                deleted_experiment_ids=deleted,
                view=query.view,
                expression=query.expression,
                order=query.order,
                limit=limit,
                offset=offset,
                now_ms=now_ms,
                models=models,
                columns=columns,
            )
            return [state.run_id for state in found]

        # A regular expression may take long over long texts, and lets other requests be served meanwhile.
        slow = any(x.operator in ("=~", "!~") for x in comparisons(query.expression))
        return await run_in_threadpool(select) if slow else select()
    await s.tracking.caught_up()

    def selected() -> list[str]:
        asked = search.runs_query(
            experiment_ids=query.experiment_ids,
            deleted_experiment_ids=deleted,
            view=query.view,
            expression=query.expression,
            order=query.order,
            limit=limit,
            offset=offset,
            now_ms=now_ms,
            models=models,
            columns=_stored_columns(s, query),
        )
        return [row[0] for row in s.views.rows(asked.sql, asked.parameters)]

    return await run_in_threadpool(selected)


def _models(s: Services, query: RunQuery) -> dict[str, LoggedModel]:
    """The logged models by id, where the query is about more than their ids."""
    named = [(x.entity, x.key) for x in comparisons(query.expression)] + [(x.entity, x.key) for x in query.order]
    wanted = any(entity == "model" and key != "id" for entity, key in named)
    return dict(s.engine.registry.logged_models) if wanted else {}


async def _columns_of(s: Services, query: RunQuery, runs: list[RunState]) -> PointColumns:
    """The aggregates of points that the query names, for runs in memory; waits for the views if any has moved."""
    asked = point_aggregates.wanted(comparisons(query.expression), query.order)
    if not asked:
        return {}
    metrics, run_ids = s.engine.metrics_in_memory, [run.run_id for run in runs]
    now: dict[What, dict[str, Token]] = {what: point_aggregates.tokens(what, metrics, run_ids) for what in asked}
    if any(s.aggregates.moved(what, tokens) for what, tokens in now.items()):
        await s.tracking.caught_up()
        return await run_in_threadpool(lambda: {what: s.aggregates.column(what, x) for what, x in now.items()})
    return {what: s.aggregates.column(what, tokens) for what, tokens in now.items()}


def _stored_columns(s: Services, query: RunQuery) -> PointColumns:
    """The same, for runs in the views. Blocks on them."""
    asked = point_aggregates.wanted(comparisons(query.expression), query.order)
    tokens = {what: point_aggregates.stored_tokens(s.views, what, query.experiment_ids) for what in asked}
    return {what: s.aggregates.column(what, x) for what, x in tokens.items()}
