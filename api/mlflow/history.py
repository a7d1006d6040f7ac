"""Metric history: all points of one metric, a page at a time, or of several runs at once."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from headrace.api import search
from headrace.api.errors import invalid
from headrace.api.mlflow.runs import RunId, run_id_of
from headrace.api.mlflow.wire import Body, add, number, page_start, present, required
from headrace.api.services import Services
from starlette.concurrency import run_in_threadpool

router = APIRouter(tags=["metrics"])
PAGE_MAX = 25_000
BULK_RUNS_MAX = 100

# Points that came twice through the REST API, where a client may resend, are shown once, as MLflow does.
POINTS = """
SELECT DISTINCT step, timestamp_ms, value, if(writer = '', 0, offset) AS sent, if(writer = '', 0, item) AS nth
FROM metrics WHERE run_id = {run_id:String} AND key = {key:String}
ORDER BY timestamp_ms, step, isNaN(value), value, sent, nth
"""


class GetHistory(RunId):
    """max_results: points a page, at most 25,000; all of them if absent."""

    metric_key: str = ""
    page_token: str = ""
    max_results: int | None = None


class GetHistoryBulk(Body):
    run_id: list[str] = []
    metric_key: str = ""
    max_results: int = 25_000


async def get(s: Services, asked: GetHistory) -> dict[str, Any]:
    """Every point of a metric by time, none left out."""
    run_id, key = run_id_of(asked), required(asked.metric_key, "metric_key")
    if asked.max_results is not None and not 1 <= asked.max_results <= PAGE_MAX:
        raise invalid(
            f"Invalid value {asked.max_results} for parameter 'max_results' supplied: 1 to {PAGE_MAX} are allowed"
        )
    start = page_start(asked.page_token)
    await s.tracking.run(run_id)
    await s.tracking.caught_up()
    limit = asked.max_results
    sql = POINTS
    parameters: dict[str, Any] = {"run_id": run_id, "key": key}
    if limit is not None:
        sql += "LIMIT {limit:UInt64} OFFSET {start:UInt64}"
        parameters |= {"limit": limit + 1, "start": start}
    rows = await run_in_threadpool(s.views.rows, sql, parameters)
    more = limit is not None and len(rows) > limit
    return present(
        metrics=[_metric(key, row) for row in (rows[:limit] if more else rows)],
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
    await s.tracking.caught_up()
    metrics: list[dict[str, Any]] = []
    for run_id in asked.run_id:
        left = asked.max_results - len(metrics)
        if left <= 0:
            break
        parameters = {"run_id": run_id, "key": key, "limit": left}
        rows = await run_in_threadpool(s.views.rows, f"{POINTS} LIMIT {{limit:UInt64}}", parameters)
        metrics += [{**_metric(key, row), "run_id": run_id} for row in rows]
    return present(metrics=metrics)


def _metric(key: str, row: tuple[Any, ...]) -> dict[str, Any]:
    step, timestamp_ms, value, *_ = row
    return {"key": key, "value": number(value), "timestamp": timestamp_ms, "step": step}


add(router, "GET", "/metrics/get-history", GetHistory, get, "Get a metric's history")
add(router, "GET", "/metrics/get-history-bulk", GetHistoryBulk, get_bulk, "Get a metric's history of several runs")
