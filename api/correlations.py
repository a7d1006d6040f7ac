"""Which params go together with a metric, over many runs."""

from __future__ import annotations

import math
from typing import Annotated, Final, Literal

import msgspec
import numpy as np
from fastapi import APIRouter, Request, Response
from headrace.api.chosen_runs import ChosenRuns, chosen, runs_and_metrics
from headrace.api.compare_rows import Runs
from headrace.api.correlating import Correlation, correlation
from headrace.api.errors import invalid
from headrace.api.services import services
from headrace.api.structs import decoded, documented, schemas
from starlette.concurrency import run_in_threadpool

router = APIRouter(tags=["compare"])

RUNS_MAX: Final = 10_000
PARAMS_MAX: Final = 1_000
_FIELDS: Final = {"last": "last_value", "min": "value_min", "max": "value_max", "first": "first_value"}


class CorrelationsRequest(ChosenRuns, frozen=True, kw_only=True):
    """Which runs, and which metric of them, by its last, min, max or first value. params: these alone; none for all.

    Up to 10,000 runs take part.
    """

    metric: Annotated[str, msgspec.Meta(min_length=1)]
    aggregate: Literal["last", "min", "max", "first"] = "last"
    params: Annotated[list[str], msgspec.Meta(max_length=PARAMS_MAX)] = []
    run_ids: Annotated[list[str], msgspec.Meta(max_length=RUNS_MAX)] = []
    max_runs: Annotated[int, msgspec.Meta(ge=1, le=RUNS_MAX)] = RUNS_MAX


class CorrelationsResponse(msgspec.Struct, frozen=True):
    """The most important param first, those without a measure last.

    runs: that have a finite value of the metric, and take part; without: runs that lack the metric; not_finite: runs
    where it is NaN or infinite.
    """

    metric: str
    aggregate: str
    runs: int
    without: int
    not_finite: int
    correlations: list[Correlation]


_decoder = msgspec.json.Decoder(CorrelationsRequest)


@router.post(
    "/api/headrace/v1/correlations",
    summary="How params of runs go together with a metric",
    openapi_extra=documented(*schemas(CorrelationsRequest, CorrelationsResponse)),
)
async def post_correlations(request: Request) -> Response:
    """One item a param."""
    asked = decoded(_decoder, await request.body(), "correlations")
    s = services(request)
    cut = await s.past.cut(asked.as_of)
    run_ids = await chosen(s, asked, cut)
    runs = await runs_and_metrics(s, run_ids, cut)
    found = await run_in_threadpool(correlated, runs, asked.metric, asked.aggregate, asked.params)
    return Response(msgspec.json.encode(found), media_type="application/json")


def correlated(runs: Runs, metric: str, aggregate: str, params: list[str]) -> CorrelationsResponse:
    """The answer for these runs. params: none for all they have. Raises INVALID_PARAMETER_VALUE for too many."""
    values = [
        (state.params, float(getattr(summaries[metric], _FIELDS[aggregate])))
        for state, summaries in runs
        if metric in summaries
    ]
    finite = [(held, value) for held, value in values if math.isfinite(value)]
    names = list(dict.fromkeys(params)) or sorted({name for held, _ in finite for name in held})
    if len(names) > PARAMS_MAX:
        raise invalid(f"These runs have {len(names):,} params, and {PARAMS_MAX:,} are the most: name those to look at")
    y = np.array([value for _, value in finite], np.float64)
    found = [correlation(name, [held.get(name) for held, _ in finite], y) for name in names]
    found.sort(key=lambda one: (one.importance is None, -(one.importance or 0.0), one.param))
    return CorrelationsResponse(
        metric, aggregate, len(finite), len(runs) - len(values), len(values) - len(finite), found
    )
