"""Metric history: all points of one metric, a page at a time, or of several runs at once."""

from __future__ import annotations

import math
from itertools import repeat
from typing import Any

import msgspec
from fastapi import APIRouter
from headrace.api import search
from headrace.api.errors import invalid
from headrace.api.mlflow.runs import RunId, run_id_of
from headrace.api.mlflow.wire import Body, add, number, page_start, present, required
from headrace.api.points import Points
from headrace.api.services import Services
from headrace.ingest import limits
from starlette.concurrency import run_in_threadpool

router = APIRouter(tags=["metrics"])
PAGE_MAX = 25_000
BULK_RUNS_MAX = 100
INTERVAL_POINTS_MAX = 2_500

_ORDER = "ORDER BY timestamp_ms, step, isNaN(value), value"
# Of a run with more points than asked for, each of equally long stretches gives its first, lowest, highest and last
# point: the curve keeps its shape and its extremes, and the same question has the same answer.
INTERVAL = """
WITH
    points AS (SELECT * FROM {points} WHERE step BETWEEN {{first:Int64}} AND {{last:Int64}}),
    placed AS (
        SELECT run_id, step, timestamp_ms, value,
            row_number() OVER (PARTITION BY run_id ORDER BY step, timestamp_ms, isNaN(value), value) - 1 AS place,
            count() OVER (PARTITION BY run_id) AS total
        FROM points
    )
SELECT run_id, kept.2 AS step, kept.3 AS timestamp_ms, kept.4 AS value
FROM (
    SELECT run_id, arrayJoin(arrayDistinct([
        argMin(p, p.1), argMin(p, (isNaN(p.4), p.4, p.1)), argMax(p, (not isNaN(p.4), p.4, p.1)), argMax(p, p.1)
    ])) AS kept
    FROM (SELECT run_id, (place, step, timestamp_ms, value) AS p, total FROM placed)
    GROUP BY run_id, if(total <= {{most:UInt64}}, p.1, intDiv(p.1 * intDiv({{most:UInt64}}, 4), total))
)
ORDER BY run_id, kept.1
"""


class GetHistory(RunId):
    """max_results: points a page, at most 25,000; all of them if absent. as_of: a time or positions of the log."""

    metric_key: str = ""
    page_token: str = ""
    max_results: int | None = None
    as_of: str = ""


class GetHistoryBulk(Body):
    """as_of: as in GetHistory."""

    run_id: list[str] = []
    metric_key: str = ""
    max_results: int = 25_000
    as_of: str = ""


class GetHistoryInterval(Body):
    """start_step, end_step: both or none. max_results: points a run, at most 2,500.
    as_of: as in GetHistory."""

    run_ids: list[str] = []
    metric_key: str = ""
    start_step: int | None = None
    end_step: int | None = None
    max_results: int = INTERVAL_POINTS_MAX
    as_of: str = ""


async def get(s: Services, asked: GetHistory) -> dict[str, Any]:
    """Every point of a metric by time, none left out."""
    run_id, key = run_id_of(asked), required(asked.metric_key, "metric_key")
    if asked.max_results is not None and not 1 <= asked.max_results <= PAGE_MAX:
        raise invalid(
            f"Invalid value {asked.max_results} for parameter 'max_results' supplied: 1 to {PAGE_MAX} are allowed"
        )
    start = page_start(asked.page_token)
    await s.tracking.run(run_id)
    source = await _source(s, [run_id], key, asked.as_of)
    limit = asked.max_results
    points = await run_in_threadpool(_points, s, source, None if limit is None else limit + 1, start)
    more = limit is not None and len(points) > limit
    return present(
        metrics=points[:limit] if more else points,
        next_page_token=search.encode_page_token(start + (limit or 0)) if more else None,
    )


async def get_bulk(s: Services, asked: GetHistoryBulk) -> dict[str, Any]:
    """The points of one metric of several runs."""
    key = required(asked.metric_key, "metric_key")
    if not asked.run_id:
        raise invalid("GetMetricHistoryBulk request must specify at least one run_id.")
    if len(asked.run_id) > BULK_RUNS_MAX:
        raise invalid(
            f"GetMetricHistoryBulk request cannot specify more than {BULK_RUNS_MAX} run_ids."
            f" Received {len(asked.run_id)} run_ids."
        )
    source = await _source(s, asked.run_id, key, asked.as_of)
    metrics: list[_Point] = []
    for run_id in asked.run_id:
        left = min(asked.max_results, PAGE_MAX) - len(metrics)
        if left <= 0:
            break
        metrics += await run_in_threadpool(_points, s, source, left, 0, run_id)
    return present(metrics=metrics)


async def get_interval(s: Services, asked: GetHistoryInterval) -> dict[str, Any]:
    """The points of one metric of several runs between two steps, thinned out where there are too many."""
    key = required(asked.metric_key, "metric_key")
    if not asked.run_ids:
        raise invalid("GetMetricHistoryBulkInterval request must specify at least one run_id.")
    if len(asked.run_ids) > BULK_RUNS_MAX:
        raise invalid(
            f"GetMetricHistoryBulkInterval request must specify at most {BULK_RUNS_MAX} run_ids."
            f" Received {len(asked.run_ids)} run_ids."
        )
    if not 1 <= asked.max_results <= INTERVAL_POINTS_MAX:
        raise invalid(f"max_results must be between 1 and {INTERVAL_POINTS_MAX}.")
    if (asked.start_step is None) != (asked.end_step is None):
        raise invalid("If either start step or end step are specified, both must be specified.")
    first = limits.INT64_MIN if asked.start_step is None else asked.start_step
    last = limits.INT64_MAX if asked.end_step is None else asked.end_step
    if first > last:
        raise invalid(f"end_step must be greater than start_step. Found start_step={first} and end_step={last}.")
    source = await _source(s, asked.run_ids, key, asked.as_of)
    parameters = source.parameters | {"first": first, "last": last, "most": max(asked.max_results, 4)}
    rows = await run_in_threadpool(s.views.rows, INTERVAL.format(points=source.sql), parameters)
    return present(
        metrics=[
            {"key": key, "value": number(value), "timestamp": timestamp_ms, "step": step, "run_id": run_id}
            for run_id, step, timestamp_ms, value in rows
        ]
    )


class _Point(msgspec.Struct, omit_defaults=True):
    """MLflow's Metric; a struct, since a history has many."""

    key: str
    value: float | str
    timestamp: int
    step: int
    run_id: str | None = None


async def _source(s: Services, run_ids: list[str], key: str, as_of: str) -> Points:
    """Where the points of a metric come from, once the views hold them."""
    cut = await s.past.cut(as_of)
    if cut is None:
        await s.tracking.caught_up()
    return Points(run_ids, [key], cut, await run_in_threadpool(s.forks.links, run_ids))


def _points(s: Services, source: Points, limit: int | None, start: int, run_id: str | None = None) -> list[_Point]:
    """Points in the order of their times, `limit` of them at most. run_id: of this run, and told with each."""
    where = "" if run_id is None else "WHERE run_id = {run_id:String} "
    page = "" if limit is None else " LIMIT {limit:UInt64} OFFSET {start:UInt64}"
    sql = f"SELECT step, timestamp_ms, value FROM {source.sql} {where}{_ORDER}{page}"
    table = s.views.arrow(sql, source.parameters | {"run_id": run_id, "limit": limit, "start": start})
    values: list[float | str] = table.column("value").to_pylist()
    if not all(map(math.isfinite, values)):  # type: ignore[arg-type]
        values = [number(value) for value in values]  # type: ignore[arg-type]
    times, steps = table.column("timestamp_ms").to_pylist(), table.column("step").to_pylist()
    return list(map(_Point, repeat(source.keys[0]), values, times, steps, repeat(run_id)))


add(router, "GET", "/metrics/get-history", GetHistory, get, "Get a metric's history")
add(router, "GET", "/metrics/get-history-bulk", GetHistoryBulk, get_bulk, "Get a metric's history of several runs")
add(
    router, "GET", "/metrics/get-history-bulk-interval", GetHistoryInterval, get_interval, "Get histories between steps"
)
