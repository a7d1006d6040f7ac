"""Every event type: what it says, its fields, its version. Facts in the past tense; schemas only grow.

A field added later has a default, so that events of all versions decode into today's structs. Metric points are not
here: they travel as Arrow batches (`headrace.ingest.points`). Those of registered models and their versions are in
`headrace.ingest.model_events`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from headrace.ingest import model_events
from headrace.ingest.envelope import Int64
from headrace.ingest.event import Event as Event

# --- runs: keyed by run id -------------------------------------------------------------------------------------------


class RunCreated(Event, frozen=True):
    """A run began.

    experiment_id: the experiment it belongs to; experiment_name: the name the trainer used, kept for its history.
    name: shown in tables. start_time_ms: milliseconds since the epoch, UTC. status: one of RUN_STATUSES.
    tags and params: set in the same moment.
    heartbeat_interval_s: how often the trainer promises a RunHeartbeat; 0 promises none.
    artifact_root: where the experiment keeps artifacts; empty for the server's default.
    forked_from: the run it goes on from, or empty; it has that run's points up to and with fork_step as its own.
    """

    experiment_id: str
    start_time_ms: Int64
    name: str = ""
    user_id: str = ""
    experiment_name: str = ""
    status: str = "RUNNING"
    tags: dict[str, str] = {}
    params: dict[str, str] = {}
    heartbeat_interval_s: float = 0.0
    artifact_root: str = ""
    forked_from: str = ""
    fork_step: Int64 = 0


class RunResumed(Event, frozen=True):
    """A trainer took an existing run up again: it is running, and has no end until it ends anew."""

    heartbeat_interval_s: float = 0.0


class RunHeartbeat(Event, frozen=True):
    """The trainer is alive. Brings back a run that was marked failed for silence."""


class RunEnded(Event, frozen=True):
    """The run came to an end. status: FINISHED, FAILED or KILLED. reason: why, when it was not the trainer's word."""

    status: str
    end_time_ms: Int64
    reason: str = ""


class RunUpdated(Event, frozen=True):
    """Name, status or end time were set through the API; a field that is null stays as it was."""

    name: str | None = None
    status: str | None = None
    end_time_ms: Int64 | None = None


class AttributesLogged(Event, frozen=True):
    """Params and tags were logged.

    A param keeps its first value. atomic: a param with another value than before refuses the whole event; otherwise
    only that param is refused and the rest holds.
    """

    params: dict[str, str] = {}
    tags: dict[str, str] = {}
    atomic: bool = False


class TagsDeleted(Event, frozen=True):
    """Tags of a run were taken away."""

    keys: list[str]


class Dataset(msgspec.Struct, frozen=True, omit_defaults=True):
    """A data set as a run saw it; schema and profile are JSON text, as MLflow keeps them."""

    name: str
    digest: str
    source_type: str = ""
    source: str = ""
    schema: str = ""
    profile: str = ""


class DatasetInput(msgspec.Struct, frozen=True, omit_defaults=True):
    """A data set and how the run used it, for instance `{"mlflow.data.context": "training"}`."""

    dataset: Dataset
    tags: dict[str, str] = {}


class ModelInput(msgspec.Struct, frozen=True, omit_defaults=True):
    """A logged model a run read."""

    model_id: str


class ModelOutput(msgspec.Struct, frozen=True, omit_defaults=True):
    """A logged model a run made, and at which step."""

    model_id: str
    step: Int64 = 0


class InputsLogged(Event, frozen=True):
    """Data sets and models were read by the run."""

    datasets: list[DatasetInput] = []
    models: list[ModelInput] = []


class OutputsLogged(Event, frozen=True):
    """Models were made by the run."""

    models: list[ModelOutput] = []


class ArtifactLogged(Event, frozen=True):
    """A file was stored. path: relative to the run's artifact root; size in bytes; sha256 in hex."""

    path: str
    size: Int64
    sha256: str
    media_type: str = ""


class ConsoleWritten(Event, frozen=True):
    """The trainer's process printed. stream: stdout or stderr. text: whole lines where possible."""

    stream: str
    text: str


class RunMoved(Event, frozen=True):
    """The run belongs to another experiment from now on. Its artifacts stay where they are."""

    experiment_id: str


class RunDeleted(Event, frozen=True):
    """The run was put in the bin; nothing of it is erased. reason: why, where nobody asked for it by hand."""

    reason: str = ""


class RunRestored(Event, frozen=True):
    """The run was taken out of the bin."""


class RunErasing(Event, frozen=True):
    """The erasing of a run in the bin began: from here on it has no content, takes nothing, and cannot be restored.

    experiment_id, artifact_uri: what it had, for what is still to be done. reason: why.
    """

    experiment_id: str
    artifact_uri: str = ""
    reason: str = ""


class RunErased(Event, frozen=True):
    """The tombstone of a run: nothing is left of it but this, and when it was put in the bin and by whom.

    files, file_bytes: artifacts that were deleted. records, record_bytes: records of the log whose data was taken out,
    0 where the log cannot do that. points: rows of metric points.
    """

    files: Int64 = 0
    file_bytes: Int64 = 0
    records: Int64 = 0
    record_bytes: Int64 = 0
    points: Int64 = 0


class PredictionLogged(Event, frozen=True):
    """An endpoint answered a request. Kept in the view `events` only; its subject is `endpoint:NAME`.

    model, version: of the registered model that answered; model_id, run_id: the logged model behind it and the run that
    made it; each may be empty. request, response: the bodies, cut to the endpoint's log_bytes_max, as text; in base64
    where request_encoding or response_encoding says so. request_bytes, response_bytes: how long they were.
    shadow: a copy of the traffic, whose answer nobody got.
    """

    endpoint: str
    model: str = ""
    version: str = ""
    model_id: str = ""
    run_id: str = ""
    request_id: str = ""
    status: Int64 = 0
    latency_ms: float = 0.0
    content_type: str = ""
    request: str = ""
    request_encoding: str = ""
    request_bytes: Int64 = 0
    response: str = ""
    response_encoding: str = ""
    response_bytes: Int64 = 0
    shadow: bool = False


class RunRecordErased(Event, frozen=True):
    """What is left of a record of a run that was erased: its place, writer and sequence."""


class MetricsRecordErased(Event, frozen=True):
    """What is left of a record of points of a run that was erased."""


# --- registry: keyed by entity id, totally ordered ------------------------------------------------------------------


class ExperimentCreated(Event, frozen=True):
    """An experiment was asked for; the first to use a name gets it.

    if_absent: the asker only needs it to exist, as `set_experiment` does.
    """

    name: str
    artifact_location: str = ""
    tags: dict[str, str] = {}
    if_absent: bool = False


class ExperimentRenamed(Event, frozen=True):
    """An experiment has another name."""

    name: str


class ExperimentTagsSet(Event, frozen=True):
    """Tags of an experiment were set."""

    tags: dict[str, str]


class ExperimentTagsDeleted(Event, frozen=True):
    """Tags of an experiment were taken away."""

    keys: list[str]


class ExperimentDeleted(Event, frozen=True):
    """The experiment was put in the bin, its runs with it."""


class ExperimentRestored(Event, frozen=True):
    """The experiment was taken out of the bin, its runs with it."""


class LoggedModelCreated(Event, frozen=True):
    """A model was logged, or began to be: its files follow.

    source_run_id: the run that made it, or empty. status: one of LOGGED_MODEL_STATUSES.
    artifact_root: where the experiment keeps artifacts; the model's lie in `models/<id>/artifacts` below it.
    experiment_name: the name the trainer used, kept for its history.
    """

    experiment_id: str
    name: str = ""
    source_run_id: str = ""
    model_type: str = ""
    status: str = "LOGGED_MODEL_PENDING"
    params: dict[str, str] = {}
    tags: dict[str, str] = {}
    artifact_root: str = ""
    experiment_name: str = ""


class LoggedModelFinalized(Event, frozen=True):
    """The logging of a model came to an end, well or not. status: one of LOGGED_MODEL_STATUSES."""

    status: str


class LoggedModelParamsLogged(Event, frozen=True):
    """Params of a logged model were logged."""

    params: dict[str, str]


class LoggedModelTagsSet(Event, frozen=True):
    """Tags of a logged model were set."""

    tags: dict[str, str]


class LoggedModelTagsDeleted(Event, frozen=True):
    """Tags of a logged model were taken away."""

    keys: list[str]


class LoggedModelDeleted(Event, frozen=True):
    """The logged model was put in the bin."""


class LoggedModelErased(Event, frozen=True):
    """The tombstone of a logged model. files, file_bytes: artifacts that were deleted."""

    files: Int64 = 0
    file_bytes: Int64 = 0


class EndpointRoute(msgspec.Struct, frozen=True, omit_defaults=True):
    """A share of an endpoint's traffic. model: a `models:/` URI. weight: its share among all routes' weights."""

    model: Annotated[str, msgspec.Meta(max_length=1000)]
    weight: Annotated[float, msgspec.Meta(ge=0, le=1_000_000)] = 1.0


class EndpointOptions(msgspec.Struct, frozen=True, omit_defaults=True):
    """How an endpoint runs.

    environment: `auto` (the server's own where the model's requirements are satisfied, else one made with uv), `server`
    or `uv`. workers: processes a version. memory_bytes_max: of one of them; 0 for no limit. timeout_s: for one answer.
    queue_max: requests that may wait or be worked on at once. batch_rows_max: rows that are predicted together;
    batch_wait_ms: how long the first of them waits for others. log_sample: the share of requests that is logged, 0 to
    1; log_bytes_max: so much of each body.
    """

    environment: Literal["auto", "server", "uv"] = "auto"
    workers: Annotated[int, msgspec.Meta(ge=1, le=64)] = 1
    memory_bytes_max: Annotated[int, msgspec.Meta(ge=0, le=2**50)] = 0
    timeout_s: Annotated[float, msgspec.Meta(gt=0, le=3600)] = 60.0
    queue_max: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 256
    batch_rows_max: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 256
    batch_wait_ms: Annotated[float, msgspec.Meta(ge=0, le=1000)] = 0.0
    log_sample: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.0
    log_bytes_max: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 4096


class EndpointCreated(Event, frozen=True):
    """An endpoint was asked for; its subject is `endpoint:NAME`, and the first to use a name gets it.

    shadow: a `models:/` URI that gets a copy of the traffic, or empty.
    """

    routes: list[EndpointRoute]
    shadow: str = ""
    options: EndpointOptions = EndpointOptions()


class EndpointUpdated(Event, frozen=True):
    """An endpoint has other routes, another shadow or other options; a field that is null stays as it was."""

    routes: list[EndpointRoute] | None = None
    shadow: str | None = None
    options: EndpointOptions | None = None


class EndpointDeleted(Event, frozen=True):
    """An endpoint is no more; its name is free."""


class SavedViewCreated(Event, frozen=True):
    """What the page showed has a name; its subject is `view:ID`, and the first to use a name at a path gets it.

    path: of the page, such as `/experiments/1`; query: what it showed there, as in the address bar. note: for people.
    """

    name: str
    path: str
    query: str = ""
    note: str = ""


class SavedViewUpdated(Event, frozen=True):
    """A saved view has another name, shows something else or has another note; a null field stays as it was."""

    name: str | None = None
    query: str | None = None
    note: str | None = None


class SavedViewDeleted(Event, frozen=True):
    """A saved view is no more; its name is free."""


class ExperimentErased(Event, frozen=True):
    """The tombstone of an experiment: its name is free. What its id holds later begins anew."""


class RegistryRecordErased(Event, frozen=True):
    """What is left of a record of an experiment or logged model that was erased."""


# --- dead letters -----------------------------------------------------------------------------------------------------


class EventRejected(Event, frozen=True):
    """An event that could not be read. reason: why. record: where it stood, or empty if it never reached the log.

    attributes: its headers as they came, where they could be read; data: its bytes, in base64.
    """

    reason: str
    record: str = ""
    attributes: dict[str, Any] = {}
    data: bytes = b""


class LetterErased(Event, frozen=True):
    """What is left of a dead letter about something that was erased."""


METRICS_LOGGED = "headrace.metrics.logged"

RUN_STATUSES = ("RUNNING", "SCHEDULED", "FINISHED", "FAILED", "KILLED")

LOGGED_MODEL_STATUSES = ("LOGGED_MODEL_PENDING", "LOGGED_MODEL_READY", "LOGGED_MODEL_UPLOAD_FAILED")

TYPES: dict[str, type[Event]] = {
    "headrace.run.created": RunCreated,
    "headrace.run.resumed": RunResumed,
    "headrace.run.heartbeat": RunHeartbeat,
    "headrace.run.ended": RunEnded,
    "headrace.run.updated": RunUpdated,
    "headrace.run.attributes-logged": AttributesLogged,
    "headrace.run.tags-deleted": TagsDeleted,
    "headrace.run.inputs-logged": InputsLogged,
    "headrace.run.outputs-logged": OutputsLogged,
    "headrace.run.artifact-logged": ArtifactLogged,
    "headrace.run.console-written": ConsoleWritten,
    "headrace.run.moved": RunMoved,
    "headrace.run.deleted": RunDeleted,
    "headrace.run.restored": RunRestored,
    "headrace.run.erasing": RunErasing,
    "headrace.run.erased": RunErased,
    "headrace.run.record-erased": RunRecordErased,
    "headrace.prediction.logged": PredictionLogged,
    "headrace.metrics.record-erased": MetricsRecordErased,
    "headrace.experiment.created": ExperimentCreated,
    "headrace.experiment.renamed": ExperimentRenamed,
    "headrace.experiment.tags-set": ExperimentTagsSet,
    "headrace.experiment.tags-deleted": ExperimentTagsDeleted,
    "headrace.experiment.deleted": ExperimentDeleted,
    "headrace.experiment.restored": ExperimentRestored,
    "headrace.logged-model.created": LoggedModelCreated,
    "headrace.logged-model.finalized": LoggedModelFinalized,
    "headrace.logged-model.params-logged": LoggedModelParamsLogged,
    "headrace.logged-model.tags-set": LoggedModelTagsSet,
    "headrace.logged-model.tags-deleted": LoggedModelTagsDeleted,
    "headrace.logged-model.deleted": LoggedModelDeleted,
    "headrace.logged-model.erased": LoggedModelErased,
    "headrace.endpoint.created": EndpointCreated,
    "headrace.endpoint.updated": EndpointUpdated,
    "headrace.endpoint.deleted": EndpointDeleted,
    "headrace.saved-view.created": SavedViewCreated,
    "headrace.saved-view.updated": SavedViewUpdated,
    "headrace.saved-view.deleted": SavedViewDeleted,
    "headrace.experiment.erased": ExperimentErased,
    "headrace.registry.record-erased": RegistryRecordErased,
    **model_events.TYPES,
    "headrace.event.rejected": EventRejected,
    "headrace.event.record-erased": LetterErased,
}

TYPE_OF: dict[type[Event], str] = {struct: name for name, struct in TYPES.items()}
