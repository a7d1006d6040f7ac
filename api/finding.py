"""Finds runs: the ids that a query asks for, in order, from memory where every run is there, else from the views."""

from __future__ import annotations

from dataclasses import dataclass

from headrace.api import memory_search, search
from headrace.api.filter import Expression, Order
from headrace.api.services import Services
from headrace.ingest.topics import METRICS, REGISTRY, RUNS
from starlette.concurrency import run_in_threadpool


@dataclass(frozen=True, slots=True)
class RunQuery:
    """Which runs, and in which order. expression: None for all of the view. order: newest start first behind it."""

    experiment_ids: list[str]
    view: search.View
    expression: Expression | None
    order: list[Order]


async def find(s: Services, query: RunQuery, limit: int, offset: int) -> list[str]:
    """The ids of at most `limit` runs that match, in order, the first `offset` left out."""
    deleted = s.engine.registry.deleted_ids()
    await s.tracking.folded(RUNS, METRICS, REGISTRY)
    if s.engine.all_in_memory():
        found = memory_search.find(
            s.engine.runs_of(query.experiment_ids),
            s.engine.metrics_in_memory,
            deleted_experiment_ids=deleted,
            view=query.view,
            expression=query.expression,
            order=query.order,
            limit=limit,
            offset=offset,
        )
        return [state.run_id for state in found]
    await s.tracking.caught_up()
    asked = search.runs_query(
        experiment_ids=query.experiment_ids,
        deleted_experiment_ids=deleted,
        view=query.view,
        expression=query.expression,
        order=query.order,
        limit=limit,
        offset=offset,
    )
    return [row[0] for row in await run_in_threadpool(s.views.rows, asked.sql, asked.parameters)]
