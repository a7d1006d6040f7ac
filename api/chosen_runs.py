"""The runs that a request is about: by their ids, or by a search."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from headrace.api.errors import invalid
from headrace.api.filter import parse, parse_order_by
from headrace.api.finding import RunQuery, find
from headrace.api.services import Services
from headrace.processors.registry import DELETED

RUNS_MAX: Final = 1000


class ChosenRuns(msgspec.Struct, frozen=True, kw_only=True):
    """Part of a request: run_ids, or else a search.

    experiment_ids: none for all active ones. filter and order_by: as of the search of runs. max_runs: the first so many
    of those found.
    """

    run_ids: Annotated[list[str], msgspec.Meta(max_length=RUNS_MAX)] = []
    experiment_ids: Annotated[list[str], msgspec.Meta(max_length=10_000)] = []
    filter: str = ""
    order_by: Annotated[list[str], msgspec.Meta(max_length=50)] = []
    max_runs: Annotated[int, msgspec.Meta(ge=1, le=RUNS_MAX)] = 100


async def chosen(s: Services, asked: ChosenRuns) -> list[str]:
    """The ids, each once, in the order they were asked for or found in. Ids of runs that are not there stay.

    Raises INVALID_PARAMETER_VALUE; FilterError.
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
        experiment_ids = [x.experiment_id for x in await s.tracking.experiments() if x.lifecycle != DELETED]
    return await find(s, RunQuery(experiment_ids, "ACTIVE_ONLY", expression, order), asked.max_runs, 0)
