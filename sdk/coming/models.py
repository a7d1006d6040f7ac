"""Logged models of MLflow 3: into the registry, with their files, and read back."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from headrace.ingest import events
from headrace.ingest.limits import artifact_path_fault
from headrace.sdk.coming import checksums, writing
from headrace.sdk.coming.arrival import Arrival
from headrace.sdk.coming.checksums import digest_of
from headrace.sdk.coming.mlflow_json import model_of
from headrace.sdk.coming.options import ORIGIN, Options
from headrace.sdk.coming.report import Report, RunReport
from headrace.sdk.coming.source import Left, Source, SourceExperiment, SourceFault, SourceModel, derived_id, text_of
from headrace.sdk.transport import sha256_of

STORE = "mlflow-artifacts:/"


def import_models(
    source: Source,
    arrival: Arrival,
    report: Report,
    experiment: SourceExperiment,
    experiment_id: str,
    artifact_root: str,
    options: Options,
) -> None:
    """Bring the logged models of one experiment, and write down what became of each. Raises NotTaken.

    artifact_root: of the experiment there; empty for the usual one.
    """
    for model in source.models(experiment):
        told = RunReport(model.model_id, experiment.name)
        if model.deleted:
            # A server does not show a deleted model to anybody, so what it holds could not be proved.
            report.left.append(Left("", f"logged model {model.model_id}", "it is deleted"))
            continue
        report.models.append(told)
        try:
            _import_model(source, arrival, report, told, model, (experiment_id, artifact_root), options.files)
        except SourceFault as error:
            told.outcome = "failed"
            told.differences.append(str(error))


def _facts(model: SourceModel) -> dict[str, Any]:
    return {
        "name": model.name,
        "source_run_id": model.source_run_id,
        "model_type": model.model_type,
        "status": model.status,
        "params": dict(model.params),
        "tags": dict(model.tags),
        "creation_time_ms": model.creation_time_ms,
    }


def _import_model(
    source: Source,
    arrival: Arrival,
    report: Report,
    told: RunReport,
    model: SourceModel,
    place: tuple[str, str],
    files: bool,
) -> None:
    told.params, told.tags = len(model.params), len(model.tags)
    if arrival.model(model.model_id) is not None:
        told.outcome = "there already"
    else:
        # The writer's id is of what the model holds, since all of it is sent in one go.
        pen = writing.Pen(derived_id(ORIGIN, source.system, model.model_id, digest_of(_facts(model))), ORIGIN)
        arrival.send([pen.event(model.model_id, event, ms) for event, ms in _events(model, *place)])
    given = arrival.model(model.model_id)
    if given is None:
        told.differences.append("the logged model is not there")
        return
    told.differences += checksums.differences(_facts(model), _facts(model_of(given)))
    if files:
        _import_files(source, arrival, report, told, model.model_id, str(given["info"].get("artifact_uri", "")))


def _events(model: SourceModel, experiment_id: str, root: str) -> Iterator[tuple[events.Event, int]]:
    params, tags = ({k: text_of(v) for k, v in given.items()} for given in (model.params, model.tags))
    created = events.LoggedModelCreated(
        experiment_id, model.name, model.source_run_id, model.model_type, "LOGGED_MODEL_PENDING", params, tags, root
    )
    yield created, model.creation_time_ms
    if model.status != "LOGGED_MODEL_PENDING":
        yield events.LoggedModelFinalized(model.status), model.update_time_ms or model.creation_time_ms


def _import_files(source: Source, arrival: Arrival, report: Report, told: RunReport, model_id: str, uri: str) -> None:
    if not uri.startswith(STORE):
        report.left.append(Left("", f"files of the logged model {model_id}", f"the server does not keep {uri}"))
        return
    root = uri.removeprefix(STORE).strip("/")
    stored = arrival.files_at(root)
    with tempfile.TemporaryDirectory(prefix="headrace-import-") as folder:
        for item in source.model_files(model_id):
            fault = artifact_path_fault(item.path)
            if fault is not None:
                report.left.append(Left("", f"file {item.path!r} of the logged model {model_id}", fault))
                continue
            local = Path(folder) / "file"
            try:
                item.fetch(local)
            except OSError as error:
                raise SourceFault(f"the file {item.path} cannot be read: {error}") from error
            sha256 = told.files[item.path] = sha256_of(local)
            place = f"{root}/{item.path}"
            if item.path not in stored or arrival.sha256_at(place) != sha256:
                arrival.put_at(place, local)
                if arrival.sha256_at(place) != sha256:
                    told.differences.append(f"file {item.path}: it has another checksum")
            local.unlink(missing_ok=True)
