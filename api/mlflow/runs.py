"""Runs: create, get, update, delete, restore, search; params, tags and metrics logged one by one or in batches."""

from __future__ import annotations

from typing import Any

import msgspec
from fastapi import APIRouter
from headrace.api import pages
from headrace.api.errors import invalid, missing
from headrace.api.filter import parse, parse_order_by
from headrace.api.finding import RunQuery
from headrace.api.mlflow import entities, validate
from headrace.api.mlflow.experiments import check_view
from headrace.api.mlflow.wire import Body, Tag, add, present, required
from headrace.api.services import Services
from headrace.ingest import events, limits
from headrace.ingest.points import OPTIONAL
from headrace.processors.runs import DELETED
from starlette.concurrency import run_in_threadpool

router = APIRouter(tags=["runs"])
PAGE_MAX = 50_000
NUMBERED_STATUS = {"1": "RUNNING", "2": "SCHEDULED", "3": "FINISHED", "4": "FAILED", "5": "KILLED"}


class CreateRun(Body):
    """start_time: ms since the epoch, UTC; now if absent."""

    experiment_id: str = limits.DEFAULT_EXPERIMENT_ID
    user_id: str = ""
    run_name: str = ""
    start_time: int | None = None
    tags: list[Tag] = []


class RunId(Body):
    run_id: str = ""
    run_uuid: str = ""


class GetRun(RunId):
    """as_of: a time or positions of the log; now if empty."""

    as_of: str = ""


class UpdateRun(RunId):
    """end_time: ms since the epoch, UTC."""

    status: str | None = None
    end_time: int | None = None
    run_name: str | None = None


class Metric(msgspec.Struct):
    """A point. timestamp: ms since the epoch, UTC. value may be "NaN", "Infinity" or "-Infinity"."""

    key: str
    value: float
    timestamp: int
    step: int = 0
    model_id: str = ""
    dataset_name: str = ""
    dataset_digest: str = ""


class LogMetric(RunId, kw_only=True):
    key: str = ""
    value: float
    timestamp: int
    step: int = 0
    model_id: str = ""
    dataset_name: str = ""
    dataset_digest: str = ""


class LogParam(RunId):
    key: str = ""
    value: str = ""


class LogBatch(RunId):
    """At most 1,000 metrics, 100 params, 100 tags, and 1,000 of all together; all or nothing."""

    metrics: list[Metric] = []
    params: list[Tag] = []
    tags: list[Tag] = []


class SetTag(RunId):
    key: str = ""
    value: str = ""


class DeleteTag(RunId):
    key: str = ""


class SearchRuns(Body):
    """max_results: 1 to 50,000. run_view_type: ACTIVE_ONLY, DELETED_ONLY or ALL. as_of: as in GetRun.

    page_token: what the page before gave; the pages of a search are of one moment.
    """

    experiment_ids: list[str] = []
    filter: str = ""
    run_view_type: str = "ACTIVE_ONLY"
    max_results: int = 1000
    order_by: list[str] = []
    page_token: str = ""
    as_of: str = ""


def run_id_of(asked: RunId) -> str:
    """The id a request names, under its new or old name."""
    return required(asked.run_id or asked.run_uuid, "run_id")


async def create(s: Services, asked: CreateRun) -> dict[str, Any]:
    """Begin a run."""
    tags = _tags(asked.tags)
    if asked.start_time is not None:
        validate.check_step(asked.start_time, "start_time")
    state = await s.tracking.create_run(asked.experiment_id, asked.run_name, asked.user_id, asked.start_time, tags)
    return {"run": entities.run(state, {})}


async def get(s: Services, asked: GetRun) -> dict[str, Any]:
    """A run with its params, tags and the latest value of each metric."""
    run_id = run_id_of(asked)
    cut = await s.past.cut(asked.as_of)
    if cut is None:
        found = await s.tracking.runs([run_id])
    else:
        found = await run_in_threadpool(s.past.runs, cut, [run_id])
    if not found:
        if run_id in s.engine.gone():
            await s.tracking.run(run_id)  # says when it was erased
        raise missing(f"Run with id={run_id} not found{f' as of {asked.as_of}' if cut else ''}")
    return {"run": s.documents.of(*found[0]) if cut is None else entities.run(*found[0])}


async def update(s: Services, asked: UpdateRun) -> dict[str, Any]:
    """Set a run's status, end or name."""
    run_id = run_id_of(asked)
    await s.tracking.active_run(run_id)
    status = asked.status
    if status is not None:
        status = NUMBERED_STATUS.get(status, status)
        if status not in events.RUN_STATUSES:
            raise invalid(
                f"Invalid value \"{status}\" for parameter 'status' supplied:"
                f" expected one of {', '.join(events.RUN_STATUSES)}"
            )
    if asked.end_time is not None:
        validate.check_timestamp(asked.end_time, "end_time")
    event = events.RunUpdated(asked.run_name or None, status, asked.end_time)
    return {"run_info": entities.run_info(await s.tracking.change_run(run_id, event))}


async def delete(s: Services, asked: RunId) -> dict[str, Any]:
    """Put a run in the bin."""
    run_id = run_id_of(asked)
    await s.tracking.active_run(run_id)
    await s.tracking.change_run(run_id, events.RunDeleted())
    return {}


async def restore(s: Services, asked: RunId) -> dict[str, Any]:
    """Take a run out of the bin."""
    run_id = run_id_of(asked)
    state = await s.tracking.run(run_id)
    if state.lifecycle != DELETED:
        raise invalid(f"The run {run_id} must be in the 'deleted' state. Current state is active.")
    await s.tracking.change_run(run_id, events.RunRestored())
    return {}


async def log_metric(s: Services, asked: LogMetric) -> dict[str, Any]:
    """Log one point."""
    metric = Metric(
        asked.key, asked.value, asked.timestamp, asked.step, asked.model_id, asked.dataset_name, asked.dataset_digest
    )
    await s.tracking.log(run_id_of(asked), _points([metric], ""), {}, {})
    return {}


async def log_param(s: Services, asked: LogParam) -> dict[str, Any]:
    """Log one param; a param keeps its first value."""
    key = validate.check_key(asked.key, "parameter", "key")
    await s.tracking.log(run_id_of(asked), {}, {key: validate.cut_param(asked.value)}, {})
    return {}


async def log_batch(s: Services, asked: LogBatch) -> dict[str, Any]:
    """Log metrics, params and tags together, all or nothing."""
    run_id = run_id_of(asked)
    validate.check_count(len(asked.metrics), limits.BATCH_METRICS_MAX, "metrics")
    validate.check_count(len(asked.params), limits.BATCH_PARAMS_MAX, "params")
    validate.check_count(len(asked.tags), limits.BATCH_TAGS_MAX, "tags")
    total = len(asked.metrics) + len(asked.params) + len(asked.tags)
    validate.check_count(total, limits.BATCH_ENTITIES_MAX, "metrics, params, and tags")
    points = _points(asked.metrics, "metrics[{}].")
    params = validate.check_unique_params(
        (validate.check_key(p.key, "parameter", f"params[{i}].key"), validate.cut_param(p.value))
        for i, p in enumerate(asked.params)
    )
    await s.tracking.log(run_id, points, params, _tags(asked.tags))
    return {}


async def set_tag(s: Services, asked: SetTag) -> dict[str, Any]:
    """Set a tag of a run."""
    key = validate.check_key(asked.key, "tag", "key")
    await s.tracking.log(run_id_of(asked), {}, {}, {key: validate.cut_tag(asked.value)})
    return {}


async def delete_tag(s: Services, asked: DeleteTag) -> dict[str, Any]:
    """Take a tag of a run away."""
    run_id, key = run_id_of(asked), required(asked.key, "key")
    state = await s.tracking.active_run(run_id)
    if key not in state.tags:
        raise missing(f"No tag with name: {key} in run with id {run_id}")
    await s.tracking.change_run(run_id, events.TagsDeleted([key]))
    return {}


async def search_runs(s: Services, asked: SearchRuns) -> dict[str, Any]:
    """Runs of experiments by filter, in order, a page at a time."""
    validate.check_page(asked.max_results, PAGE_MAX)
    view = check_view(asked.run_view_type)
    expression = parse(asked.filter, "runs")
    order = parse_order_by(asked.order_by, "runs")
    if not asked.experiment_ids:
        return {}
    query = RunQuery(asked.experiment_ids, view, expression, order)
    page = await pages.page(s, query, asked.max_results, asked.page_token, asked.as_of)
    if page.cut is None:
        runs: list[Any] = [s.documents.of(*run) for run in await s.tracking.runs(page.run_ids)]
    else:
        found = await run_in_threadpool(s.past.runs, page.cut, page.run_ids)
        runs = [s.past.documents.of(*run) for run in found]
    return present(runs=runs, next_page_token=page.next_token)


def _tags(tags: list[Tag]) -> dict[str, str]:
    return {validate.check_key(t.key, "tag", f"tags[{i}].key"): validate.cut_tag(t.value) for i, t in enumerate(tags)}


def _points(metrics: list[Metric], path: str) -> dict[str, list[Any]]:
    """Metrics as columns. path: where the one with a number stands in the request, for messages.

    Checked a column at a time, since a batch has few keys and is nearly always right.
    """
    if not metrics:
        return {}
    columns: dict[str, list[Any]] = {
        "key": [m.key for m in metrics],
        "step": [m.step for m in metrics],
        "timestamp_ms": [m.timestamp for m in metrics],
        "value": [m.value for m in metrics],
    }
    for key in set(columns["key"]):
        validate.check_key(key, "metric", f"{path.format(columns['key'].index(key))}key")
    for column, name, check in (
        ("timestamp_ms", "timestamp", validate.check_timestamp),
        ("step", "step", validate.check_step),
    ):
        values = columns[column]
        # All lie between these two; the place is looked for only where there is a fault to tell.
        for value in (min(values), max(values)):
            if not 0 <= value <= limits.INT64_MAX:
                check(value, f"{path.format(values.index(value))}{name}")
    for name in OPTIONAL:
        if any(getattr(m, name) for m in metrics):
            columns[name] = [getattr(m, name) for m in metrics]
    return columns


# The order in which requests are matched: what trainers send all day comes first.
add(router, "POST", "/runs/log-batch", LogBatch, log_batch, "Log a batch")
add(router, "POST", "/runs/log-metric", LogMetric, log_metric, "Log a metric")
add(router, "POST", "/runs/create", CreateRun, create, "Create a run")
add(router, "GET", "/runs/get", GetRun, get, "Get a run")
add(router, "POST", "/runs/search", SearchRuns, search_runs, "Search runs")
add(router, "POST", "/runs/update", UpdateRun, update, "Update a run")
add(router, "POST", "/runs/log-parameter", LogParam, log_param, "Log a param")
add(router, "POST", "/runs/set-tag", SetTag, set_tag, "Set a run's tag")
add(router, "POST", "/runs/delete-tag", DeleteTag, delete_tag, "Delete a run's tag")
add(router, "POST", "/runs/delete", RunId, delete, "Delete a run")
add(router, "POST", "/runs/restore", RunId, restore, "Restore a run")
