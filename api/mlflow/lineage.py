"""What runs read and made: data sets and models; and the list of a run's artifacts."""

from __future__ import annotations

from typing import Any

import msgspec
from fastapi import APIRouter
from headrace.api.artifacts import files_of, store_path
from headrace.api.errors import invalid
from headrace.api.mlflow import validate
from headrace.api.mlflow.runs import RunId, run_id_of
from headrace.api.mlflow.wire import Body, Tag, add, present, required
from headrace.api.services import Services
from headrace.ingest import events, limits
from headrace.ingest.limits import artifact_path_fault
from starlette.concurrency import run_in_threadpool

router = APIRouter(tags=["lineage"])
DATASETS_MAX = 1000
HISTORY_TAG = "mlflow.log-model.history"


class Dataset(msgspec.Struct):
    name: str = ""
    digest: str = ""
    source_type: str = ""
    source: str = ""
    schema: str = ""
    profile: str = ""


class DatasetInput(msgspec.Struct):
    dataset: Dataset
    tags: list[Tag] = []


class ModelInput(msgspec.Struct):
    model_id: str


class ModelOutput(msgspec.Struct):
    model_id: str
    step: int = 0


class LogInputs(RunId):
    datasets: list[DatasetInput] = []
    models: list[ModelInput] = []


class LogOutputs(RunId):
    models: list[ModelOutput] = []


class LogModel(RunId):
    """The description of a model that MLflow 2 clients log, as JSON text."""

    model_json: str = ""


class ListArtifacts(RunId):
    path: str = ""
    page_token: str = ""


class SearchDatasets(Body):
    experiment_ids: list[str] = []


async def log_inputs(s: Services, asked: LogInputs) -> dict[str, Any]:
    """Log data sets and models that a run read."""
    run_id = run_id_of(asked)
    await s.tracking.active_run(run_id)
    if len(asked.datasets) > DATASETS_MAX:
        raise invalid(f"A request can log at most {DATASETS_MAX} data sets. Got {len(asked.datasets)}.")
    datasets = []
    for i, item in enumerate(asked.datasets):
        d = item.dataset
        required(d.name, f"datasets[{i}].dataset.name")
        required(d.digest, f"datasets[{i}].dataset.digest")
        found = events.Dataset(d.name, d.digest, d.source_type, d.source, d.schema, d.profile)
        datasets.append(events.DatasetInput(found, {tag.key: tag.value for tag in item.tags}))
    models = [events.ModelInput(model.model_id) for model in asked.models]
    await s.tracking.change_run(run_id, events.InputsLogged(datasets, models))
    return {}


async def log_outputs(s: Services, asked: LogOutputs) -> dict[str, Any]:
    """Log models that a run made."""
    run_id = run_id_of(asked)
    await s.tracking.active_run(run_id)
    models = [
        events.ModelOutput(model.model_id, validate.check_step(model.step, f"models[{i}].step"))
        for i, model in enumerate(asked.models)
    ]
    await s.tracking.change_run(run_id, events.OutputsLogged(models))
    return {}


async def log_model(s: Services, asked: LogModel) -> dict[str, Any]:
    """Note an MLflow 2 model of a run in its tag HISTORY_TAG."""
    run_id = run_id_of(asked)
    state = await s.tracking.active_run(run_id)
    text = required(asked.model_json, "model_json")
    try:
        model = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise invalid(f"Malformed model info. \n {text} \n is not JSON: {error}") from None
    absent = [
        name
        for name in ("artifact_path", "flavors", "utc_time_created", "run_id")
        if not isinstance(model, dict) or name not in model
    ]
    if absent:
        raise invalid(f"Model json is missing mandatory fields: {set(absent)}")
    await s.tracking.log(run_id, {}, {}, {HISTORY_TAG: _with_model(state.tags.get(HISTORY_TAG, ""), model)})
    return {}


def _with_model(history: str, model: dict[str, Any]) -> str:
    """The tag's text with one more model; the oldest give way when it would be too long, since cut it is no JSON."""
    try:
        models = [*msgspec.json.decode(history, type=list[Any]), model]
    except (msgspec.DecodeError, RecursionError):
        models = [model]  # A client wrote something else there.
    while len(text := msgspec.json.encode(models).decode()) > limits.TAG_VALUE_CHARS_MAX:
        models.pop(0)
        if not models:
            raise invalid(f"Model json exceeds the maximum length of {limits.TAG_VALUE_CHARS_MAX} characters")
    return text


async def list_artifacts(s: Services, asked: ListArtifacts) -> dict[str, Any]:
    """Files and folders below a path of a run's artifacts, one level."""
    state = await s.tracking.run(run_id_of(asked))
    path = asked.path.strip("/")
    fault = artifact_path_fault(path) if path else None
    if fault is not None or asked.path.startswith("/"):
        raise invalid(f"Invalid path: {asked.path!r}: {fault or 'it is absolute'}")
    found = await run_in_threadpool(s.artifacts.list, store_path(state.artifact_uri, path))
    return present(root_uri=state.artifact_uri, files=files_of(found, path))


async def search_datasets(s: Services, asked: SearchDatasets) -> dict[str, Any]:
    """Data sets that runs of these experiments read, each with its context."""
    if not asked.experiment_ids:
        raise invalid("SearchDatasets request must specify at least one experiment_id.")
    await s.tracking.caught_up()
    rows = await run_in_threadpool(
        s.views.rows,
        "SELECT DISTINCT experiment_id, inputs FROM runs FINAL"
        " WHERE experiment_id IN {ids:Array(String)} AND lifecycle = 'active' AND inputs LIKE '%dataset%' LIMIT 1000",
        {"ids": asked.experiment_ids},
    )
    found = {}
    for experiment_id, text in rows:
        for item in msgspec.json.decode(text, type=events.InputsLogged).datasets:
            context = item.tags.get("mlflow.data.context", "")
            found[experiment_id, item.dataset.name, item.dataset.digest, context] = present(
                experiment_id=experiment_id, name=item.dataset.name, digest=item.dataset.digest, context=context or None
            )
    return present(dataset_summaries=list(found.values()))


add(router, "POST", "/runs/log-inputs", LogInputs, log_inputs, "Log inputs of a run")
add(router, "POST", "/runs/outputs", LogOutputs, log_outputs, "Log outputs of a run")
add(router, "POST", "/runs/log-model", LogModel, log_model, "Log a model, MLflow 2")
add(router, "GET", "/artifacts/list", ListArtifacts, list_artifacts, "List a run's artifacts")
add(router, "POST", "/experiments/search-datasets", SearchDatasets, search_datasets, "Search data sets")
