"""Logged models: the entity MLflow 3 clients make for every model they log."""

from __future__ import annotations

import uuid
from functools import partial
from operator import attrgetter
from typing import Any, NamedTuple

from fastapi import APIRouter
from headrace.api import search
from headrace.api.artifacts import files_of, store_path
from headrace.api.errors import invalid
from headrace.api.filter import Comparison, parse
from headrace.api.mlflow import entities
from headrace.api.mlflow.wire import Body, Tag, absent, add, number, page_start, present
from headrace.api.points import BEFORE, Cut
from headrace.api.services import Services
from headrace.api.syntax import at_moment
from headrace.api.tracking import logged_model_of
from headrace.ingest import events, limits
from headrace.ingest.names import run_name
from headrace.processors.registry import DELETED, LoggedModel
from starlette.concurrency import run_in_threadpool

router = APIRouter(tags=["logged models"])
PAGE_MAX = 50_000
FIELDS = {
    "creation_time": "creation_time_ms",
    "creation_timestamp": "creation_time_ms",
    "last_update_time": "last_update_time_ms",
    "last_updated_timestamp": "last_update_time_ms",
    "name": "name",
    "model_id": "model_id",
}
"""What logged models are ordered by, and the field that holds it."""
NUMBERED_STATUS = dict(zip(("1", "2", "3"), events.LOGGED_MODEL_STATUSES, strict=True))


class CreateLoggedModel(Body):
    experiment_id: str = limits.DEFAULT_EXPERIMENT_ID
    name: str = ""
    model_type: str = ""
    source_run_id: str = ""
    params: list[Tag] = []
    tags: list[Tag] = []


class ModelId(Body):
    model_id: str = ""


class GetLoggedModel(ModelId):
    """as_of: a time or positions of the log; now if empty."""

    as_of: str = ""


class FinalizeLoggedModel(ModelId):
    status: str = ""


class LogLoggedModelParams(ModelId):
    params: list[Tag] = []


class SetLoggedModelTags(ModelId):
    tags: list[Tag] = []


class LoggedModelTag(ModelId):
    tag_key: str = ""


class LoggedModelArtifacts(ModelId):
    artifact_directory_path: str = ""


class OrderBy(Body):
    field_name: str = ""
    ascending: bool = True
    dataset_name: str = ""
    dataset_digest: str = ""


class DatasetFilter(Body):
    dataset_name: str = ""
    dataset_digest: str = ""


class SearchLoggedModels(Body):
    """as_of: as in GetLoggedModel."""

    experiment_ids: list[str] = []
    filter: str = ""
    datasets: list[DatasetFilter] = []
    max_results: int = 50
    order_by: list[OrderBy] = []
    page_token: str = ""
    as_of: str = ""


async def create(s: Services, asked: CreateLoggedModel) -> dict[str, Any]:
    """Begin to log a model; its files follow through the artifact proxy."""
    experiment = await s.tracking.active_experiment(asked.experiment_id)
    if any(character in asked.name for character in "/:.%\"'"):
        raise invalid(
            f"Invalid model name ({asked.name!r}) provided. Model name must be a non-empty string and cannot contain"
            " the following characters: ('/', ':', '.', '%', '\"', \"'\")"
        )
    model_id = f"m-{uuid.uuid4().hex}"
    created = events.LoggedModelCreated(
        experiment_id=asked.experiment_id,
        name=asked.name or run_name(),
        source_run_id=asked.source_run_id,
        model_type=asked.model_type,
        params={p.key: p.value for p in asked.params},
        tags={t.key: t.value for t in asked.tags},
        artifact_root=experiment.artifact_location,
    )
    return await _answer(s, await s.tracking.change_logged_model(model_id, created))


async def finalize(s: Services, asked: FinalizeLoggedModel) -> dict[str, Any]:
    """Say that the model is complete, or that its upload failed."""
    status = NUMBERED_STATUS.get(asked.status, asked.status)
    if status not in events.LOGGED_MODEL_STATUSES[1:]:
        raise invalid(f"Invalid value \"{status}\" for parameter 'status' supplied: expected READY or UPLOAD_FAILED")
    await s.tracking.logged_model(asked.model_id)
    return await _answer(s, await s.tracking.change_logged_model(asked.model_id, events.LoggedModelFinalized(status)))


async def get(s: Services, asked: GetLoggedModel) -> dict[str, Any]:
    """A logged model."""
    state = logged_model_of(await s.past.registry(asked.as_of), asked.model_id)
    return await _answer(s, state, await s.past.cut(asked.as_of))


async def delete(s: Services, asked: ModelId) -> dict[str, Any]:
    """Put a logged model in the bin."""
    await s.tracking.logged_model(asked.model_id)
    await s.tracking.change_logged_model(asked.model_id, events.LoggedModelDeleted())
    return {}


async def log_params(s: Services, asked: LogLoggedModelParams) -> dict[str, Any]:
    """Log params of a logged model."""
    await s.tracking.logged_model(asked.model_id)
    params = {p.key: p.value for p in asked.params}
    await s.tracking.change_logged_model(asked.model_id, events.LoggedModelParamsLogged(params))
    return {}


async def set_tags(s: Services, asked: SetLoggedModelTags) -> dict[str, Any]:
    """Set tags of a logged model."""
    await s.tracking.logged_model(asked.model_id)
    tags = {t.key: t.value for t in asked.tags}
    await s.tracking.change_logged_model(asked.model_id, events.LoggedModelTagsSet(tags))
    return {}


async def delete_tag(s: Services, asked: LoggedModelTag) -> dict[str, Any]:
    """Take a tag of a logged model away."""
    await s.tracking.logged_model(asked.model_id)
    await s.tracking.change_logged_model(asked.model_id, events.LoggedModelTagsDeleted([asked.tag_key]))
    return {}


async def list_artifacts(s: Services, asked: LoggedModelArtifacts) -> dict[str, Any]:
    """Files and folders below a path of a logged model, one level."""
    state = await s.tracking.logged_model(asked.model_id)
    path = asked.artifact_directory_path.strip("/")
    found = await run_in_threadpool(s.artifacts.list, store_path(state.artifact_uri, path))
    return present(root_uri=state.artifact_uri, files=files_of(found, path))


async def search_models(s: Services, asked: SearchLoggedModels) -> dict[str, Any]:
    """Logged models of experiments by filter, in order, a page at a time."""
    if not 1 <= asked.max_results <= PAGE_MAX:
        raise invalid(
            f"Invalid value {asked.max_results} for parameter 'max_results' supplied: 1 to {PAGE_MAX} are allowed"
        )
    if not asked.experiment_ids:
        raise invalid(absent("experiment_ids"))
    if any(not dataset.dataset_name for dataset in asked.datasets):
        raise invalid("`dataset_name` in the `datasets` clause must be specified.")
    expression = parse(asked.filter, "logged_models")
    if expression is not None:
        expression = at_moment(expression, s.clock.time_ms())
    orders = asked.order_by or [OrderBy(field_name="creation_time", ascending=False)]
    start = page_start(asked.page_token)
    registry, cut = await s.past.registry(asked.as_of), await s.past.cut(asked.as_of)
    models = [
        m
        for m in list(registry.logged_models.values())
        if m.lifecycle != DELETED and m.experiment_id in asked.experiment_ids
    ]
    metrics = await _metrics_of(s, models, cut)
    if asked.datasets:
        wanted = {(d.dataset_name, d.dataset_digest) for d in asked.datasets}
        names = {name for name, digest in wanted if not digest}
        metrics = {
            model_id: [x for x in found if x.dataset in wanted or x.dataset[0] in names]
            for model_id, found in metrics.items()
        }
    found = [m for m in models if search.matches(expression, partial(_read, m, metrics.get(m.model_id, [])))]
    found.sort(key=lambda m: m.model_id)
    for order in reversed(orders):
        found = _ordered(found, order, metrics)
    end = start + asked.max_results
    page = found[start:end]
    shown = await _metrics_of(s, page, cut)
    return present(
        models=[entities.logged_model(m, [x.entity() for x in shown.get(m.model_id, [])]) for m in page],
        next_page_token=search.encode_page_token(end) if end < len(found) else None,
    )


def _ordered(models: list[LoggedModel], order: OrderBy, metrics: dict[str, list[_Metric]]) -> list[LoggedModel]:
    """Models by one clause, those that lack it last; a metric of one data set where the clause names one."""
    name = order.field_name
    if not name.startswith("metrics."):
        if name not in FIELDS:
            raise invalid(f"Invalid order by field name: {name}: expected metrics.<key> or one of {', '.join(FIELDS)}")
        return sorted(models, key=attrgetter(FIELDS[name]), reverse=not order.ascending)
    values: dict[str, float] = {}
    for model in models:
        for x in metrics.get(model.model_id, []):
            of_dataset = not order.dataset_name or x.dataset[0] == order.dataset_name
            if x.key == name.removeprefix("metrics.") and of_dataset and order.dataset_digest in ("", x.dataset[1]):
                values[model.model_id] = x.value
    there = [m for m in models if m.model_id in values]
    return sorted(there, key=lambda m: values[m.model_id], reverse=not order.ascending) + [
        m for m in models if m.model_id not in values
    ]


def _read(model: LoggedModel, metrics: list[_Metric], comparison: Comparison) -> str | float | None:
    """What a comparison of a filter is about."""
    match comparison.entity:
        case "tag":
            return model.tags.get(comparison.key)
        case "param":
            return model.params.get(comparison.key)
        case "metric":
            return next((x.value for x in metrics if x.key == comparison.key), None)
    value: str | int = getattr(model, FIELDS.get(comparison.key, comparison.key))
    return value


class _Metric(NamedTuple):
    """The latest point of one metric of a logged model, from one run and on one data set."""

    model_id: str
    run_id: str
    key: str
    dataset: tuple[str, str]
    value: float
    timestamp_ms: int
    step: int

    def entity(self) -> dict[str, Any]:
        """MLflow's Metric."""
        return present(
            key=self.key,
            value=number(self.value),
            timestamp=self.timestamp_ms,
            step=self.step,
            dataset_name=self.dataset[0] or None,
            dataset_digest=self.dataset[1] or None,
            model_id=self.model_id,
            run_id=self.run_id,
        )


async def _metrics_of(s: Services, models: list[LoggedModel], cut: Cut | None) -> dict[str, list[_Metric]]:
    """The metrics of logged models, by model id."""
    found: dict[str, list[_Metric]] = {}
    if not models:
        return found
    if cut is None:
        await s.tracking.caught_up()
    rows = await run_in_threadpool(
        s.views.rows,
        "SELECT model_id, run_id, key, dataset_name, dataset_digest,"
        " argMax((value, timestamp_ms, step), (step, timestamp_ms, value))"
        f" FROM metrics WHERE model_id IN {{model_ids:Array(String)}}{f' AND {BEFORE}' if cut else ''}"
        " GROUP BY model_id, run_id, key, dataset_name, dataset_digest ORDER BY ALL",
        {"model_ids": [model.model_id for model in models], **(cut.parameters if cut else {})},
    )
    for model_id, run_id, key, name, digest, last in rows:
        found.setdefault(model_id, []).append(_Metric(model_id, run_id, key, (name, digest), *last))
    return found


async def _answer(s: Services, state: LoggedModel, cut: Cut | None = None) -> dict[str, Any]:
    metrics = (await _metrics_of(s, [state], cut)).get(state.model_id, [])
    return {"model": entities.logged_model(state, [x.entity() for x in metrics])}


_ONE = "/logged-models/{model_id}"
add(router, "POST", "/logged-models", CreateLoggedModel, create, "Create a logged model")
add(router, "POST", "/logged-models/search", SearchLoggedModels, search_models, "Search logged models")
add(router, "GET", _ONE, GetLoggedModel, get, "Get a logged model")
add(router, "PATCH", _ONE, FinalizeLoggedModel, finalize, "Finalize a logged model")
add(router, "DELETE", _ONE, ModelId, delete, "Delete a logged model")
add(router, "POST", f"{_ONE}/params", LogLoggedModelParams, log_params, "Log params of a logged model")
add(router, "PATCH", f"{_ONE}/tags", SetLoggedModelTags, set_tags, "Set tags of a logged model")
add(router, "DELETE", f"{_ONE}/tags/{{tag_key}}", LoggedModelTag, delete_tag, "Delete a tag of a logged model")
add(router, "GET", f"{_ONE}/artifacts/directories", LoggedModelArtifacts, list_artifacts, "List a logged model's files")
