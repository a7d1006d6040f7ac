"""MLflow's JSON of runs and logged models, as an MLflow server and a Headrace server both answer it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from headrace.ingest import events
from headrace.sdk.coming.source import SourceFault, SourceModel, SourceRun, integer, text_of

RUN_STATUS = {1: "RUNNING", 2: "SCHEDULED", 3: "FINISHED", 4: "FAILED", 5: "KILLED"}
"""MLflow's numbers of run statuses."""
MODEL_STATUS = {
    1: "LOGGED_MODEL_PENDING", 2: "LOGGED_MODEL_READY", 3: "LOGGED_MODEL_UPLOAD_FAILED",
    "PENDING": "LOGGED_MODEL_PENDING", "READY": "LOGGED_MODEL_READY", "FAILED": "LOGGED_MODEL_UPLOAD_FAILED",
}  # fmt: skip
"""MLflow's numbers and short names of logged models' statuses."""


def run_of(given: Mapping[str, Any]) -> SourceRun:
    """A run of MLflow's JSON. Raises SourceFault when it is none."""
    try:
        info, data = given["info"], given.get("data", {})
        run_id = str(info.get("run_id") or info["run_uuid"])
        deleted = info.get("lifecycle_stage") == "deleted"
        end = integer(info.get("end_time"), f"the end of {run_id}")
        return SourceRun(
            run_id,
            info.get("run_name", ""),
            info.get("user_id", ""),
            status_of(info.get("status", "RUNNING")),
            integer(info.get("start_time"), f"the start of {run_id}"),
            end,
            deleted,
            0,
            pairs(data.get("params", ())),
            pairs(data.get("tags", ())),
            _inputs(given.get("inputs", {})),
            events.OutputsLogged(
                [
                    events.ModelOutput(str(one["model_id"]), integer(one.get("step"), "the step of a model"))
                    for one in given.get("outputs", {}).get("model_outputs", ())
                ]
            ),
        )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise SourceFault(f"a run's JSON is not as MLflow has it: {type(error).__name__}: {error}") from error


def status_of(given: Any) -> str:
    """A run's status, which MLflow gives as a number or as its name."""
    if isinstance(given, int) or (isinstance(given, str) and given.isdigit()):
        return RUN_STATUS.get(int(given), str(given))
    return str(given)


def pairs(given: Any) -> dict[str, str]:
    """A list of `{key, value}` as a dict."""
    return {text_of(one["key"]): text_of(one.get("value") or "") for one in given}


def _inputs(given: Mapping[str, Any]) -> events.InputsLogged:
    datasets = []
    for one in given.get("dataset_inputs", ()):
        told = one.get("dataset", {})
        names = ("name", "digest", "source_type", "source", "schema", "profile")
        dataset = events.Dataset(*(text_of(told.get(name) or "") for name in names))
        datasets.append(events.DatasetInput(dataset, pairs(one.get("tags", ()))))
    return events.InputsLogged(datasets, [events.ModelInput(str(x["model_id"])) for x in given.get("model_inputs", ())])


def model_of(given: Mapping[str, Any]) -> SourceModel:
    """A logged model of MLflow's JSON. Raises SourceFault when it is none."""
    try:
        info, data = given["info"], given.get("data", {})
        status = info.get("status", "LOGGED_MODEL_READY")
        return SourceModel(
            str(info["model_id"]),
            info.get("name", ""),
            info.get("source_run_id") or "",
            info.get("model_type") or "",
            MODEL_STATUS.get(status, status),
            pairs(data.get("params", ())),
            pairs(info.get("tags", ())),
            integer(info.get("creation_timestamp_ms"), "the time of a model"),
            integer(info.get("last_updated_timestamp_ms"), "the time of a model"),
        )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise SourceFault(f"a logged model's JSON is not as MLflow has it: {type(error).__name__}: {error}") from error
