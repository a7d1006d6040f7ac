"""Finds runs: the ids that a query asks for, in order, from memory where every run is there, else from the views."""

from __future__ import annotations

from dataclasses import dataclass

from headrace.api import memory_search, search
from headrace.api.services import Services
from headrace.api.syntax import Expression, Order, comparisons
from headrace.ingest.topics import METRICS, REGISTRY, RUNS
from headrace.processors.registry import LoggedModel
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
            )
            return [state.run_id for state in found]

        # A regular expression may take long over long texts, and lets other requests be served meanwhile.
        slow = any(x.operator in ("=~", "!~") for x in comparisons(query.expression))
        return await run_in_threadpool(select) if slow else select()
    await s.tracking.caught_up()
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
    )
    return [row[0] for row in await run_in_threadpool(s.views.rows, asked.sql, asked.parameters)]


def _models(s: Services, query: RunQuery) -> dict[str, LoggedModel]:
    """The logged models by id, where the query is about more than their ids."""
    named = [(x.entity, x.key) for x in comparisons(query.expression)] + [(x.entity, x.key) for x in query.order]
    wanted = any(entity == "model" and key != "id" for entity, key in named)
    return dict(s.engine.registry.logged_models) if wanted else {}
