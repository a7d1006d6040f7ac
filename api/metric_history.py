"""What is kept of one run's metrics: every point as Arrow, and a summary of each metric."""

from __future__ import annotations

import math

import msgspec
import pyarrow as pa
from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse
from headrace.api.arrow_stream import ARROW_STREAM, stream
from headrace.api.chosen_runs import runs_and_metrics
from headrace.api.errors import missing
from headrace.api.points import Points
from headrace.api.services import services
from headrace.api.structs import Value, documented, json_value, schemas
from headrace.processors.metrics import Summary
from headrace.processors.views import Views
from starlette.concurrency import run_in_threadpool

router = APIRouter(tags=["series"])

HISTORY = pa.schema([("step", pa.int64()), ("timestamp_ms", pa.int64()), ("value", pa.float64())])
"""Columns of a metric's history."""


class MetricSummary(msgspec.Struct, frozen=True):
    """One metric of a run: its last point by (step, time, value), and the extremes over its numbers (null: none)."""

    key: str
    last: Value
    last_step: int
    last_timestamp_ms: int
    min: Value
    max: Value
    points: int
    nan: int


class MetricSummaries(msgspec.Struct, frozen=True):
    """Every metric of a run, in key order."""

    metrics: list[MetricSummary]


@router.get(
    "/api/headrace/v1/metrics/history",
    summary="Every point of one metric of a run, as an Arrow IPC stream",
    responses={200: {"content": {ARROW_STREAM: {}}}},
)
async def get_history(request: Request, run_id: str, key: str, as_of: str = "") -> Response:
    """Columns step int64, timestamp_ms int64, value float64, ordered by all three, NaN above every number.

    as_of: a time or positions of the log.
    """
    s = services(request)
    cut = await s.past.cut(as_of)
    await s.tracking.run(run_id)
    if cut is None:
        await s.tracking.caught_up()
    links = await run_in_threadpool(s.forks.links, [run_id])
    table = await run_in_threadpool(history, s.views, Points([run_id], [key], cut, links))
    return StreamingResponse(stream(table), media_type=ARROW_STREAM)


@router.get(
    "/api/headrace/v1/metrics/summary",
    summary="Each metric of a run: last value, extremes, number of points",
    openapi_extra=documented(None, *schemas(MetricSummaries)),
)
async def get_summary(request: Request, run_id: str, as_of: str = "") -> Response:
    """What a run's own page shows of its metrics, in key order. as_of: a time or positions of the log."""
    s = services(request)
    found = await runs_and_metrics(s, [run_id], await s.past.cut(as_of))
    if not found:
        raise missing(f"Run with id={run_id} not found")
    metrics = [_summary(key, summary) for key, summary in sorted(found[0][1].items())]
    return Response(msgspec.json.encode(MetricSummaries(metrics)), media_type="application/json")


def history(views: Views, points: Points) -> pa.Table:
    """Every point of a metric of a run: step, timestamp_ms, value, ordered by all three. Raises ViewsUnavailable."""
    table = views.arrow(
        f"SELECT step, timestamp_ms, value FROM {points.sql} ORDER BY step, timestamp_ms, isNaN(value), value",
        points.parameters,
    )
    return table.cast(HISTORY)


def _summary(key: str, kept: Summary) -> MetricSummary:
    return MetricSummary(
        key,
        json_value(kept.last_value),
        kept.last_step,
        kept.last_timestamp_ms,
        _number(kept.value_min),
        _number(kept.value_max),
        kept.points,
        kept.nan_points,
    )


def _number(value: float) -> Value:
    return None if math.isnan(value) else json_value(value)
