"""The runs that a request is about: by their ids, or by a search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Final

import msgspec
from headrace.api.errors import invalid
from headrace.api.filter import parse, parse_order_by
from headrace.api.finding import RunQuery, find
from headrace.api.points import Cut
from headrace.api.services import Services
from headrace.ingest.topics import RUNS
from headrace.processors.metrics import Summary
from headrace.processors.registry import DELETED
from headrace.processors.runs import RunState
from starlette.concurrency import run_in_threadpool

RUNS_MAX: Final = 1000


class ChosenRuns(msgspec.Struct, frozen=True, kw_only=True):
    """Part of a request: run_ids, or else a search.

    experiment_ids: none for all active ones. filter and order_by: as of the search of runs. max_runs: the first so many
    of those found. as_of: a time or positions of the log; all is answered as it was then.
    """

    run_ids: Annotated[list[str], msgspec.Meta(max_length=RUNS_MAX)] = []
    experiment_ids: Annotated[list[str], msgspec.Meta(max_length=10_000)] = []
    filter: str = ""
    order_by: Annotated[list[str], msgspec.Meta(max_length=50)] = []
    max_runs: Annotated[int, msgspec.Meta(ge=1, le=RUNS_MAX)] = 100
    as_of: str = ""


async def chosen(s: Services, asked: ChosenRuns, cut: Cut | None) -> list[str]:
    """The ids, each once, in the order they were asked for or found in. Ids of runs that are not there stay.

    cut: the moment that asked.as_of names. Raises INVALID_PARAMETER_VALUE; FilterError.
    """
    searched = bool(asked.experiment_ids or asked.filter or asked.order_by)
    if asked.run_ids:
        if searched:
            raise invalid("Name the runs by run_ids, or by experiment_ids, filter and order_by, not by both")
        return list(dict.fromkeys(asked.run_ids))
    if not searched:
        raise invalid("Name the runs by run_ids, or search them by experiment_ids, filter or order_by")
    expression, order = parse(asked.filter, "runs"), parse_order_by(asked.order_by, "runs")
    experiment_ids = asked.experiment_ids
    if not experiment_ids:
        registry = await s.past.registry(asked.as_of)
        # A copy, since a fold may put more into it meanwhile.
        experiment_ids = [x.experiment_id for x in list(registry.experiments.values()) if x.lifecycle != DELETED]
    return await find(s, RunQuery(experiment_ids, "ACTIVE_ONLY", expression, order), asked.max_runs, 0, cut)


async def states(s: Services, run_ids: Sequence[str], cut: Cut | None) -> Mapping[str, RunState]:
    """Those runs that there are, now or as of a moment."""
    if cut is None:
        await s.tracking.folded(RUNS, run_ids=run_ids)
        return await run_in_threadpool(s.engine.runs, run_ids)
    return await run_in_threadpool(s.past.states, cut, run_ids)


async def runs_and_metrics(
    s: Services, run_ids: Sequence[str], cut: Cut | None
) -> Sequence[tuple[RunState, Mapping[str, Summary]]]:
    """Those runs that there are with their metrics by key, in the order given, now or as of a moment."""
    if cut is None:
        return await s.tracking.runs(run_ids)
    return await run_in_threadpool(s.past.runs, cut, run_ids)
