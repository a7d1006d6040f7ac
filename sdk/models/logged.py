"""Logs a model without waiting: its files and events go through the spool, as all else does.

The model's folder is written beside the spool, its files are moved into it, and the shipper stores them below
`models/<model id>/artifacts` of the experiment once the event of its creation has arrived; with the last file, MLmodel,
the model is complete. A server that is down, or a program that ends, only delays that.
"""

from __future__ import annotations

import logging
import shutil
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from time import time_ns
from typing import Any

from headrace.ingest import events, model_events
from headrace.ingest.digests import digest_of
from headrace.ingest.kafka_settings import is_kafka
from headrace.ingest.limits import PARAM_VALUE_CHARS_MAX, TAG_VALUE_CHARS_MAX
from headrace.ingest.names import run_name as made_up_name
from headrace.sdk import environment, fluent, recorder
from headrace.sdk.buffer import ARTIFACT
from headrace.sdk.cleaning import text_of, warn_once
from headrace.sdk.models import memory
from headrace.sdk.models.mlmodel import FILE, Metadata
from headrace.sdk.models.saving import save_model
from headrace.sdk.models.schema import ParamSchema
from headrace.sdk.models.signature import ModelSignature
from headrace.sdk.pipeline import Pipeline
from headrace.sdk.process import process
from headrace.sdk.transport import is_http, sha256_of

logger = logging.getLogger("headrace")

_NOT_IN_NAMES = "/:.%\"'"


@dataclass(frozen=True)
class ModelInfo:
    """A model that was logged, or found by its URI.

    model_uri: how it is loaded. digest: SHA-256 over all its files (`headrace.ingest.digests`), empty where they were
    not looked at. registered_model_name, registered_model_version: where it is registered; the version is None while
    the registry has not given one. creation_timestamp: ms since the epoch, UTC.
    """

    model_uri: str
    model_id: str | None
    run_id: str | None
    name: str
    artifact_path: str
    described: Metadata
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    step: int = 0
    creation_timestamp: int = 0
    digest: str = ""
    registered_model_name: str | None = None
    registered_model_version: int | None = None

    @property
    def flavors(self) -> dict[str, dict[str, Any]]:
        """What MLmodel says of each flavor."""
        return self.described.flavors

    @property
    def signature(self) -> ModelSignature | None:
        """What the model takes and gives, where that is known."""
        return self.described.signature

    @property
    def params_schema(self) -> ParamSchema | None:
        """What predict can be told besides data."""
        return self.described.get_params_schema()

    @property
    def saved_input_example_info(self) -> dict[str, Any] | None:
        """Where the input example lies."""
        return self.described.saved_input_example_info

    @property
    def model_uuid(self) -> str | None:
        """MLflow's older name of model_id."""
        return self.model_id

    @property
    def utc_time_created(self) -> str:
        """When it was saved."""
        return self.described.utc_time_created

    @property
    def mlflow_version(self) -> str:
        """The version of MLflow whose format it has."""
        return self.described.mlflow_version

    @property
    def metadata(self) -> dict[str, Any] | None:
        """What was given as metadata, and what the model remembers."""
        return self.described.metadata

    @property
    def model_size_bytes(self) -> int | None:
        """The size of its files without MLmodel."""
        return self.described.model_size_bytes


def log_model(
    model: Any,
    name: str | None = None,
    *,
    artifact_path: str | None = None,
    run_id: str | None = None,
    registered_model_name: str | None = None,
    params: Mapping[str, Any] | None = None,
    tags: Mapping[str, Any] | None = None,
    step: int = 0,
    model_type: str | None = None,
    await_registration_for: int | None = None,
    **options: Any,
) -> ModelInfo:
    """Log a model of any flavor as one of the active run, or of run_id, or of no run; nothing is waited for.

    name: how it is found among the run's models (`runs:/<run id>/<name>`); made up when not given. artifact_path:
    MLflow's older word for it. registered_model_name: make a version of that registered model too. params, tags: of
    the logged model, on top of the run's params. step: of the run, when the model was made. await_registration_for:
    ignored. options: as `save_model`, and the flavor's own.
    Raises what `save_model` raises for a model or an option that cannot be; a full disk is only reported.
    """
    name = _name_of(name, artifact_path)
    model_id = f"m-{uuid.uuid4().hex}"
    if run_id is None:
        active = fluent.active_run()
        run_id = active.info.run_id if active is not None else None
    experiment_id = (fluent.experiment_of(run_id) if run_id else "") or fluent.active_experiment_id()
    pipeline = process.pipeline()
    location = _location(pipeline.settings.tracking_uri, experiment_id, model_id)
    described = Metadata(run_id=run_id, model_id=model_id, artifact_path=location)
    remembered = memory.of_run(run_id) if run_id else {}
    described.metadata = {**(options.pop("metadata", None) or {}), memory.KEY: {**memory.of_process(), **remembered}}
    cleaned = {
        "params": {
            **(fluent.params_of(run_id) if run_id else {}),
            **{key: text_of("param", key, value, PARAM_VALUE_CHARS_MAX) for key, value in (params or {}).items()},
        },
        "tags": {key: text_of("tag", key, value, TAG_VALUE_CHARS_MAX) for key, value in (tags or {}).items()},
    }
    created_ms = time_ns() // 1_000_000
    folder = pipeline.stage.directory / "models" / model_id
    digest = ""
    told = False
    try:
        folder.mkdir(parents=True, mode=0o700)
        described = save_model(model, folder, described=described, **options)
        files = _files_of(folder)
        digest = digest_of((path, sha256_of(file)) for path, file in files)
        created = events.LoggedModelCreated(
            experiment_id,
            name,
            run_id or "",
            model_type or "",
            params=cleaned["params"],
            tags={**cleaned["tags"], "headrace.digest": digest},
            experiment_name=fluent.experiment_name_of(experiment_id),
        )
        pipeline.event(model_id, created, created_ms)
        told = True
        if run_id:
            output = events.ModelOutput(model_id, int(step))
            pipeline.event(run_id, events.OutputsLogged([output]), created_ms)
        if registered_model_name is not None:
            _register(pipeline, registered_model_name, model_id, run_id, remembered)
        _stage(pipeline, files, experiment_id, model_id)
    except OSError as error:
        logger.error("the model %s was not logged: %s", name, error)
        if told:
            pipeline.event(model_id, events.LoggedModelFinalized("LOGGED_MODEL_UPLOAD_FAILED"))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return ModelInfo(
        f"models:/{model_id}",
        model_id,
        run_id,
        name,
        location,
        described,
        cleaned["params"],
        cleaned["tags"],
        int(step),
        created_ms,
        digest,
        registered_model_name,
    )


def _name_of(name: str | None, artifact_path: str | None) -> str:
    """A logged model's name. Raises ValueError for one with characters it cannot have."""
    if name is not None:
        if not name or any(one in _NOT_IN_NAMES for one in name):
            raise ValueError(f"a model's name cannot be {name!r}; it has none of the characters {_NOT_IN_NAMES}")
        return name
    if artifact_path is None:
        return made_up_name()
    clean = "".join("-" if one in _NOT_IN_NAMES else one for one in artifact_path.strip("/"))
    if clean != artifact_path:
        warn_once(f"artifact_path:{artifact_path}", "the model is called %r, not %r", clean, artifact_path)
    return clean or made_up_name()


def _location(tracking_uri: str, experiment_id: str, model_id: str) -> str:
    """Where the target keeps the files, unless it decides otherwise."""
    below = f"{experiment_id}/models/{model_id}/artifacts"
    if is_http(tracking_uri) or is_kafka(tracking_uri):
        return f"mlflow-artifacts:/{below}"
    return f"file://{tracking_uri}/artifacts/{below}"


def _files_of(folder: Path) -> list[tuple[str, Path]]:
    """All files by their path below the folder, MLmodel last."""
    found = [(one.relative_to(folder).as_posix(), one) for one in folder.rglob("*") if one.is_file()]
    return sorted(found, key=lambda one: (one[0] == FILE, one[0]))


def _stage(pipeline: Pipeline, files: list[tuple[str, Path]], experiment_id: str, model_id: str) -> None:
    """Hand the files to the shipper, the last one with their number."""
    for path, file in files:
        number = len(files) if path == FILE else 0
        artifact = pipeline.stage.take(file, experiment_id, path, model_id, number)
        pipeline.buffer.put(model_id, ARTIFACT, 0, artifact)


def _register(pipeline: Pipeline, name: str, model_id: str, run_id: str | None, remembered: Mapping[str, Any]) -> None:
    """Make a version of a registered model, which is made if there is none of this name."""
    subject = uuid.uuid4().hex
    code = {**environment.quick_tags(), **recorder.known_tags()}
    version = model_events.ModelVersionCreated(
        uuid.uuid4().hex,
        f"models:/{model_id}",
        run_id=run_id or "",
        model_id=model_id,
        datasets=[
            model_events.DatasetUsed(one["name"], one["digest"], context=one.get("context", ""))
            for one in remembered.get("datasets", ())
        ],
        code={key: value for key, value in code.items() if key.startswith(("mlflow.source.", "mlflow.project."))},
        user_id=environment.user(),
    )
    pipeline.event(subject, model_events.RegisteredModelCreated(name, if_absent=True))
    pipeline.event(subject, version)
