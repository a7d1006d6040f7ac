"""The fold of the runs topic: events of one run into its state. Pure; no I/O."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
from headrace.ingest import events as e
from headrace.ingest.limits import DEFAULT_EXPERIMENT_ID
from headrace.ingest.log import Record
from headrace.processors.outcome import APPLIED, DUPLICATE, REFUSED, Outcome, sequence_outcome
from msgspec import structs
from msgspec.structs import replace

ACTIVE, DELETED = "active", "deleted"
ERASING, ERASED = "erasing", "erased"
GONE = (ERASING, ERASED)
"""Life cycles of runs that have no content any more, or lose the last of it now."""
ENDED = ("FINISHED", "FAILED", "KILLED")
RUN_NAME_TAG = "mlflow.runName"
SILENCE = "no heartbeat"
"""A run that ended with a reason that starts so is brought back by its next heartbeat."""
BACK = "the run is back"
"""Why history keeps such a heartbeat, and no other."""


class RunState(msgspec.Struct, frozen=True):
    """A run as its events up to (partition, offset) made it; columns of the view `runs`. Times in ms since the epoch.

    Never changed in place: a fold makes a new one, so readers on other threads need no lock.
    """

    run_id: str
    partition: int = 0
    offset: int = 0
    created: bool = False
    experiment_id: str = DEFAULT_EXPERIMENT_ID
    name: str = ""
    user_id: str = ""
    status: str = "RUNNING"
    status_reason: str = ""
    start_time_ms: int = 0
    end_time_ms: int = 0
    lifecycle: str = ACTIVE
    deleted_time_ms: int = 0
    artifact_uri: str = ""
    forked_from: str = ""
    fork_step: int = 0
    heartbeat_interval_s: float = 0.0
    heartbeat_ms: int = 0
    params: dict[str, str] = {}
    tags: dict[str, str] = {}
    inputs: e.InputsLogged = e.InputsLogged()
    outputs: e.OutputsLogged = e.OutputsLogged()
    writers: dict[str, int] = {}


def apply(state: RunState | None, record: Record, event: e.Event | None) -> tuple[RunState, Outcome]:
    """The state after one record, and what became of it.

    state: None where nothing of the run has come yet. event: the record's decoded data; None where its type is unknown,
    which only moves the writer's sequence on. A duplicate returns the state as it was.
    """
    envelope = record.envelope
    before = state or RunState(
        envelope.subject,
        start_time_ms=envelope.time_ms,
        artifact_uri=_artifact_uri("", DEFAULT_EXPERIMENT_ID, envelope.subject),
    )
    missed = 0
    writers = before.writers
    if envelope.writer:
        new, missed = sequence_outcome(writers.get(envelope.writer, 0), envelope.sequence)
        if not new:
            return before, Outcome(DUPLICATE)
        writers = {**writers, envelope.writer: envelope.sequence}
    changes: dict[str, Any] | str = {} if event is None else _changes(before, record, event)
    if isinstance(changes, str):
        outcome, changes = Outcome(REFUSED, changes, missed), {}
    else:
        outcome = Outcome(APPLIED, changes.pop("reason", ""), missed)
    position = record.position
    return replace(before, partition=position.partition, offset=position.offset, writers=writers, **changes), outcome


def _changes(run: RunState, record: Record, event: e.Event) -> dict[str, Any] | str:
    """What an event changes in a run, by field; or why it is refused. "reason" tells of parts that were refused."""
    if isinstance(event, e.RunRecordErased):
        return {}
    if run.lifecycle in GONE or isinstance(event, (e.RunErasing, e.RunErased)):
        return _erased(run, record, event)
    match event:
        case e.AttributesLogged():
            return _attributes(run, event)
        case e.RunHeartbeat():
            if not _silenced(run):
                return {"heartbeat_ms": record.timestamp_ms}
            back = {"status": "RUNNING", "status_reason": "", "end_time_ms": 0, "reason": BACK}
            return {"heartbeat_ms": record.timestamp_ms, **back}
        case e.RunCreated():
            return _created(run, record, event)
        case e.RunEnded():
            if event.reason.startswith(SILENCE) and run.status in ENDED:
                return f"the run had ended as {run.status}"
            return {"status": event.status, "status_reason": event.reason, "end_time_ms": event.end_time_ms}
        case e.RunResumed():
            return {
                "status": "RUNNING",
                "status_reason": "",
                "end_time_ms": 0,
                "heartbeat_interval_s": event.heartbeat_interval_s,
                "heartbeat_ms": record.timestamp_ms,
            }
        case e.RunUpdated():
            changes: dict[str, Any] = {}
            if event.name is not None:
                changes |= {"name": event.name, "tags": {**run.tags, RUN_NAME_TAG: event.name}}
            if event.status is not None:
                changes |= {"status": event.status, "status_reason": ""}
            if event.end_time_ms is not None:
                changes["end_time_ms"] = event.end_time_ms
            return changes
        case e.TagsDeleted():
            return {"tags": {key: value for key, value in run.tags.items() if key not in event.keys}}
        case e.InputsLogged():
            return {"inputs": _merged_inputs(run.inputs, event)}
        case e.OutputsLogged():
            made = {model.model_id: model for model in (*run.outputs.models, *event.models)}
            return {"outputs": e.OutputsLogged(list(made.values()))}
        case e.RunMoved():
            return {"experiment_id": event.experiment_id}
        case e.RunDeleted():
            if run.lifecycle == DELETED:
                return {}
            return {"lifecycle": DELETED, "deleted_time_ms": record.envelope.time_ms}
        case e.RunRestored():
            return {"lifecycle": ACTIVE, "deleted_time_ms": 0}
        case _:
            return {}


def _created(run: RunState, record: Record, event: e.RunCreated) -> dict[str, Any] | str:
    if run.created:
        return f"the run {run.run_id} exists already"
    # Events that came before their run's creation keep what they set.
    params = {**event.params, **run.params}
    tags = {**event.tags, **run.tags}
    name = run.name or event.name or event.tags.get(RUN_NAME_TAG, "")
    ended = run.status in ENDED
    return {
        "created": True,
        "experiment_id": event.experiment_id,
        "name": name,
        "user_id": event.user_id,
        "status": run.status if ended else event.status,
        "start_time_ms": event.start_time_ms,
        "artifact_uri": _artifact_uri(event.artifact_root, event.experiment_id, run.run_id),
        "forked_from": event.forked_from,
        "fork_step": event.fork_step,
        "heartbeat_interval_s": event.heartbeat_interval_s,
        "heartbeat_ms": record.timestamp_ms,
        "params": params,
        "tags": {**tags, RUN_NAME_TAG: name} if name else tags,
    }


def _attributes(run: RunState, event: e.AttributesLogged) -> dict[str, Any] | str:
    refused = [
        f"Changing param values is not allowed. Param with key='{key}' was already logged with value="
        f"'{run.params[key]}' for run ID='{run.run_id}'. Attempted logging new value '{value}'."
        for key, value in event.params.items()
        if run.params.get(key, value) != value
    ]
    if refused and event.atomic:
        return " ".join(refused)
    changes: dict[str, Any] = {}
    if event.params:
        changes["params"] = {**event.params, **run.params}
    if event.tags:
        changes["tags"] = {**run.tags, **event.tags}
        if RUN_NAME_TAG in event.tags:
            changes["name"] = event.tags[RUN_NAME_TAG]
    if refused:
        changes["reason"] = " ".join(refused)
    return changes


def _erased(run: RunState, record: Record, event: e.Event) -> dict[str, Any] | str:
    """What erasing leaves of a run.

    The same whether the records before are as they were or taken out: of those only what puts a run in the bin or out
    of it is kept, and their writers and sequences.
    """
    when = datetime.fromtimestamp(record.envelope.time_ms / 1000, UTC).isoformat(" ", "seconds")
    by = f" by {record.envelope.actor}" if record.envelope.actor else ""
    if isinstance(event, e.RunErasing) and run.lifecycle in (DELETED, ERASING):
        left = RunState(
            run.run_id,
            experiment_id="",
            status="KILLED",
            status_reason=f"being erased since {when}{by}",
            lifecycle=ERASING,
            deleted_time_ms=run.deleted_time_ms,
            artifact_uri=event.artifact_uri,
        )
    elif isinstance(event, e.RunErased) and run.lifecycle == ERASING:
        left = replace(run, status_reason=f"erased at {when}{by}", lifecycle=ERASED, artifact_uri="")
    elif run.lifecycle in GONE:
        return f"the run {run.run_id} was erased, and takes nothing more: {run.status_reason}"
    else:
        return f"the run {run.run_id} is not in the bin"
    return {
        name: value for name, value in structs.asdict(left).items() if name not in ("partition", "offset", "writers")
    }


def _merged_inputs(before: e.InputsLogged, event: e.InputsLogged) -> e.InputsLogged:
    """A data set is itself by name and digest, and keeps the tags it was first logged with, as in MLflow."""
    datasets: dict[tuple[str, str], e.DatasetInput] = {}
    for item in (*before.datasets, *event.datasets):
        datasets.setdefault((item.dataset.name, item.dataset.digest), item)
    models = {model.model_id: model for model in (*before.models, *event.models)}
    return e.InputsLogged(list(datasets.values()), list(models.values()))


def _silenced(run: RunState) -> bool:
    return run.status == "FAILED" and run.status_reason.startswith(SILENCE)


def _artifact_uri(root: str, experiment_id: str, run_id: str) -> str:
    return f"{root.rstrip('/') or f'mlflow-artifacts:/{experiment_id}'}/{run_id}/artifacts"
