"""MLflow's fluent names for logging: experiments, runs, metrics, params, tags. None of them waits for anything.

What is wrong with a call at set-up time (an active run in the way, an unknown target) raises; what is wrong with a
value in the training loop is dropped with a warning.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import uuid
from collections.abc import Mapping
from time import time_ns
from typing import Any

from headrace.ingest import events
from headrace.ingest.kafka_settings import is_kafka
from headrace.ingest.limits import (
    DEFAULT_EXPERIMENT_ID,
    DEFAULT_EXPERIMENT_NAME,
    EXPERIMENT_NAME_CHARS_MAX,
    EXPERIMENT_TAG_VALUE_CHARS_MAX,
    PARAM_VALUE_CHARS_MAX,
    TAG_VALUE_CHARS_MAX,
    experiment_id_of,
    is_run_id,
)
from headrace.ingest.names import run_name as made_up_name
from headrace.sdk import console, environment, recorder, system_metrics
from headrace.sdk.buffer import POINT
from headrace.sdk.cleaning import good_keys, integer_of, key_of, number_of, text_of, warn_once
from headrace.sdk.process import process
from headrace.sdk.run import ActiveRun, Experiment, RunActive, RunInfo, status_for
from headrace.sdk.settings import BadSetting, Settings
from headrace.sdk.transport import is_http

logger = logging.getLogger("headrace")


class _Local(threading.local):
    """The runs of one thread, as in MLflow. run_id: the innermost one's, or None."""

    def __init__(self) -> None:
        self.stack: list[ActiveRun] = []
        self.run_id: str | None = None
        self.last: ActiveRun | None = None


_local = _Local()
_open_runs: dict[str, ActiveRun] = {}  # of all threads, those this process must end
_params: dict[str, dict[str, str]] = {}  # what this process logged, to warn about a changed value
_experiments: dict[str, str] = {DEFAULT_EXPERIMENT_ID: DEFAULT_EXPERIMENT_NAME}
_active_experiment_id: str | None = None
_experiment_of: dict[str, str] = {}


# --- set-up -----------------------------------------------------------------------------------------------------------


def init(tracking_uri: str | os.PathLike[str] | None = None, **settings: Any) -> Settings:
    """Say where events go, and change any other setting by name (see `Settings`). Returns the settings in force.

    Nothing is contacted. Raises BadSetting for an unknown setting, a value that does not fit, an unknown scheme.
    """
    uri = None if tracking_uri is None else os.fspath(tracking_uri)
    return process.configure({"tracking_uri": uri, **settings})


def set_tracking_uri(uri: str | os.PathLike[str]) -> None:
    """Say where events go from now on: `http(s)://host:port`, or a local folder. Raises BadSetting."""
    init(uri)


def get_tracking_uri() -> str:
    """Where events go."""
    return process.settings().tracking_uri


def flush(timeout_s: float | None = None) -> bool:
    """Wait until the target has all that was logged before (offline: until the local spool has it).

    False when timeout_s has passed first; nothing is lost then, it is sent later.
    """
    return process.flush(timeout_s)


# --- experiments ------------------------------------------------------------------------------------------------------


def set_experiment(experiment_name: str | None = None, experiment_id: str | None = None) -> Experiment:
    """Make an experiment the active one; one of this name is made if there is none. Asks nobody, waits for nothing.

    Raises ValueError when neither or both are given, or the name is too long.
    """
    global _active_experiment_id
    if (experiment_name is None) == (experiment_id is None):
        raise ValueError("set_experiment takes a name or an id, one of both")
    if experiment_name is not None:
        experiment_id = _ensure_experiment(str(experiment_name), {})
    assert experiment_id is not None
    _active_experiment_id = str(experiment_id)
    return Experiment(_active_experiment_id, _experiments.get(_active_experiment_id, ""))


def create_experiment(name: str, artifact_location: str | None = None, tags: Mapping[str, Any] | None = None) -> str:
    """Make an experiment if there is none of this name; returns its id. artifact_location is left to the server."""
    if artifact_location is not None:
        warn_once("artifact_location", "artifact_location is not used: the target decides where artifacts lie")
    return _ensure_experiment(name, _clean_tags(tags, EXPERIMENT_TAG_VALUE_CHARS_MAX))


def set_experiment_tag(key: str, value: Any) -> None:
    """Tag the active experiment."""
    set_experiment_tags({key: value})


def set_experiment_tags(tags: Mapping[str, Any]) -> None:
    """Tag the active experiment."""
    try:
        cleaned = _clean_tags(tags, EXPERIMENT_TAG_VALUE_CHARS_MAX)
        if cleaned:
            process.pipeline().event(active_experiment_id(), events.ExperimentTagsSet(cleaned))
    except Exception as error:
        _swallow("set_experiment_tags", error)


def _ensure_experiment(name: str, tags: dict[str, str]) -> str:
    if not name or len(name) > EXPERIMENT_NAME_CHARS_MAX:
        raise ValueError(f"an experiment's name has 1 to {EXPERIMENT_NAME_CHARS_MAX} characters")
    experiment_id = experiment_id_of(name)
    _experiments[experiment_id] = name
    process.pipeline().event(experiment_id, events.ExperimentCreated(name, tags=tags, if_absent=True))
    return experiment_id


def active_experiment_id() -> str:
    """The active experiment's id: as set, else by environment, else the default."""
    if _active_experiment_id is None:
        settings = process.settings()
        if settings.experiment_id:
            return set_experiment(experiment_id=settings.experiment_id).experiment_id
        return set_experiment(settings.experiment_name or DEFAULT_EXPERIMENT_NAME).experiment_id
    return _active_experiment_id


# --- runs -------------------------------------------------------------------------------------------------------------


def start_run(
    run_id: str | None = None,
    experiment_id: str | None = None,
    run_name: str | None = None,
    nested: bool = False,
    parent_run_id: str | None = None,
    tags: Mapping[str, Any] | None = None,
    description: str | None = None,
    log_system_metrics: bool | None = None,
    capture_console: bool | None = None,
) -> ActiveRun:
    """Start a run, or take one up again by its id (also from HEADRACE_RUN_ID or MLFLOW_RUN_ID), and make it active.

    Use it in a `with` statement, which ends the run. Asks nobody and waits for nothing.
    Raises RunActive when this thread has an active run and nested is false; ValueError for an impossible run id.
    """
    stack = _local.stack
    if stack and not nested:
        raise RunActive(
            f"Run with UUID {stack[-1].info.run_id} is already active. To start a new run, first end the current run"
            " with headrace.end_run(). To start a nested run, call start_run with nested=True"
        )
    # Taken out of the environment as MLflow does: the next start_run of this process is a new run.
    from_environment = os.environ.pop("HEADRACE_RUN_ID", None) or os.environ.pop("MLFLOW_RUN_ID", None)
    resumed = run_id or from_environment
    if resumed is not None and not is_run_id(resumed):
        raise ValueError(f"{resumed!r} cannot be a run's id")
    settings = process.settings()
    pipeline = process.pipeline()
    start_ms = time_ns() // 1_000_000
    all_tags = _clean_tags(tags, TAG_VALUE_CHARS_MAX)
    if description is not None:
        all_tags["mlflow.note.content"] = text_of("tag", "mlflow.note.content", description, TAG_VALUE_CHARS_MAX)
    if resumed is not None:
        info = RunInfo(
            resumed, experiment_id or _experiment_of.get(resumed, ""), run_name or "", environment.user(),
            start_time=start_ms, artifact_uri=_artifact_uri(settings, experiment_id or "", resumed),
        )  # fmt: skip
        if run_name is not None:
            all_tags["mlflow.runName"] = text_of("tag", "mlflow.runName", run_name, TAG_VALUE_CHARS_MAX)
        run = ActiveRun(info, all_tags, _end, os.getpid())
        pipeline.event(resumed, events.RunResumed(settings.heartbeat_interval_s), start_ms)
        if all_tags:
            pipeline.event(resumed, events.AttributesLogged(tags=all_tags), start_ms)
    else:
        experiment_id = str(experiment_id) if experiment_id is not None else active_experiment_id()
        parent = parent_run_id or (stack[-1].info.run_id if stack else None)
        name = text_of("tag", "mlflow.runName", run_name or made_up_name(), TAG_VALUE_CHARS_MAX)
        all_tags = {**environment.quick_tags(), **recorder.known_tags(), "mlflow.runName": name, **all_tags}
        if parent:
            all_tags["mlflow.parentRunId"] = parent
        new_id = uuid.uuid4().hex
        info = RunInfo(
            new_id, experiment_id, all_tags["mlflow.runName"], all_tags["mlflow.user"],
            start_time=start_ms, artifact_uri=_artifact_uri(settings, experiment_id, new_id),
        )  # fmt: skip
        run = ActiveRun(info, all_tags, _end, os.getpid())
        created = events.RunCreated(
            experiment_id, start_ms, info.run_name, info.user_id, _experiments.get(experiment_id, ""),
            tags=all_tags, heartbeat_interval_s=settings.heartbeat_interval_s,
        )  # fmt: skip
        pipeline.event(new_id, created, start_ms)
    _experiment_of[info.run_id] = info.experiment_id
    _push(run)
    pipeline.open_run(info.run_id)
    try:
        if resumed is None and settings.record_environment:
            recorder.record(pipeline, info.run_id, info.experiment_id)
        if settings.capture_console if capture_console is None else capture_console:
            console.capture(pipeline, info.run_id)
        if settings.system_metrics if log_system_metrics is None else log_system_metrics:
            system_metrics.start(info.run_id, settings.system_metrics_interval_s, log_metric)
    except Exception as error:
        _swallow("start_run", error)
    return run


def active_run() -> ActiveRun | None:
    """The innermost run of this thread, or None."""
    return _local.stack[-1] if _local.stack else None


def last_active_run() -> ActiveRun | None:
    """The active run, or else the one of this thread that was active last."""
    return active_run() or _local.last


def end_run(status: str = "FINISHED") -> None:
    """End the innermost run of this thread, if there is one. status: FINISHED, FAILED or KILLED."""
    if status not in events.RUN_STATUSES:
        raise ValueError(f"{status!r} is none of {', '.join(events.RUN_STATUSES)}")
    if _local.stack:
        _end(_local.stack[-1], status)


def _push(run: ActiveRun) -> None:
    _local.stack.append(run)
    _local.run_id = run.info.run_id
    _open_runs[run.info.run_id] = run


def _end(run: ActiveRun, status: str) -> None:
    """End a run; a forked child only stops using it, since it is its parent's to end."""
    if run in _local.stack:
        _local.stack.remove(run)
        _local.run_id = _local.stack[-1].info.run_id if _local.stack else None
        _local.last = run
    if run.pid != os.getpid() or _open_runs.pop(run.info.run_id, None) is None:
        return
    run_id = run.info.run_id
    system_metrics.stop(run_id)
    console.release(run_id)
    pipeline = process.pipeline()
    pipeline.close_run(run_id)
    end_ms = time_ns() // 1_000_000
    pipeline.event(run_id, events.RunEnded(status, end_ms), end_ms)
    _params.pop(run_id, None)


def _end_all() -> None:
    """At exit: end what is still open, as failed when an exception is ending the program."""
    interactive = hasattr(sys, "ps1")
    error = None if interactive else getattr(sys, "last_value", None)
    for run in reversed(list(_open_runs.values())):
        _end(run, status_for(type(error) if error is not None else None))
    recorder.finish(timeout_s=2.0)


def _forked() -> None:
    """In a forked child: the stack is inherited, the duty to end its runs is not."""
    _open_runs.clear()
    console.forget()
    system_metrics.forget()
    recorder.forget()


process.before_exit.append(_end_all)
process.after_fork.append(_forked)


def _artifact_uri(settings: Settings, experiment_id: str, run_id: str) -> str:
    if is_http(settings.tracking_uri) or is_kafka(settings.tracking_uri):
        return f"mlflow-artifacts:/{experiment_id}/{run_id}/artifacts" if experiment_id else ""
    return f"file://{settings.tracking_uri}/artifacts/{experiment_id}/{run_id}/artifacts" if experiment_id else ""


def current_run_id(run_id: str | None = None) -> str:
    """The run a call is about: as given, else this thread's active one, else a new one, as in MLflow."""
    if run_id is not None:
        return str(run_id)
    return _local.run_id or start_run().info.run_id


def experiment_of(run_id: str) -> str:
    """The experiment of a run of this process; empty when it is not known here."""
    return _experiment_of.get(run_id, "")


def experiment_name_of(experiment_id: str) -> str:
    """The name this process knows an experiment by, or empty."""
    return _experiments.get(experiment_id, "")


def params_of(run_id: str) -> dict[str, str]:
    """The params this process logged to a run of its own that has not ended."""
    return dict(_params.get(run_id, {}))


# --- metrics ----------------------------------------------------------------------------------------------------------


def log_metric(
    key: str,
    value: float,
    step: int | None = None,
    synchronous: bool | None = None,
    timestamp: int | None = None,
    run_id: str | None = None,
    model_id: str | None = None,
    dataset: Any = None,
) -> None:
    """Log one point of a metric: an append to a buffer in memory, about a microsecond, whatever the target does.

    value: anything float() takes; NaN and infinities are kept. step: 0 when not given, as in MLflow. timestamp:
    milliseconds since the epoch, UTC; now when not given. synchronous is ignored. Never raises for a wrong value: it
    warns and drops it.
    """
    try:
        if run_id is None:
            run_id = _local.run_id or current_run_id()
        if timestamp is None:
            timestamp = time_ns() // 1_000_000
        if step is None:
            step = 0
        if (
            value.__class__ is not float
            or key not in good_keys
            or step.__class__ is not int
            or timestamp.__class__ is not int
            or model_id is not None
            or dataset is not None
        ):
            _log_unusual(run_id, key, value, step, timestamp, model_id, dataset)
            return
        buffer = process.buffer
        if buffer is None:
            buffer = process.pipeline().buffer
        entries = buffer.entries
        if len(entries) < buffer.limit or buffer.admit():
            entries.append((run_id, key, step, timestamp, value))
    except Exception as error:
        _swallow("log_metric", error)


def log_metrics(
    metrics: Mapping[str, float],
    step: int | None = None,
    synchronous: bool | None = None,
    run_id: str | None = None,
    timestamp: int | None = None,
    model_id: str | None = None,
    dataset: Any = None,
) -> None:
    """Log one point of several metrics, all with the same step and timestamp."""
    try:
        run_id = current_run_id(run_id)
        if timestamp is None:
            timestamp = time_ns() // 1_000_000
        for key, value in metrics.items():
            log_metric(key, value, step, None, timestamp, run_id, model_id, dataset)
    except Exception as error:
        _swallow("log_metrics", error)


def _log_unusual(
    run_id: str, key: Any, value: Any, step: Any, timestamp: Any, model_id: str | None, dataset: Any
) -> None:
    """A point that needs a look: an int or a tensor for a value, a new key, a data set."""
    good_key = key_of("metric", key)
    if good_key is None:
        return
    number = number_of(good_key, value)
    good_step = integer_of("step", step)
    time_ms = integer_of("timestamp", timestamp)
    if number is None or good_step is None or time_ms is None:
        return
    buffer = process.pipeline().buffer
    if model_id is not None or dataset is not None:
        name, digest = str(getattr(dataset, "name", "") or ""), str(getattr(dataset, "digest", "") or "")
        if buffer.admit():
            buffer.put(run_id, POINT, time_ms, (good_key, good_step, number, str(model_id or ""), name, digest))
    elif len(buffer.entries) < buffer.limit or buffer.admit():
        buffer.entries.append((run_id, good_key, good_step, time_ms, number))


# --- params and tags --------------------------------------------------------------------------------------------------


def log_param(key: str, value: Any, synchronous: bool | None = None, run_id: str | None = None) -> Any:
    """Log a param; it keeps its first value. Returns the value."""
    log_params({key: value}, run_id=run_id)
    return value


def log_params(params: Mapping[str, Any], synchronous: bool | None = None, run_id: str | None = None) -> None:
    """Log several params. A value that is too long is cut, a value that changed is not logged; both with a warning."""
    try:
        run_id = current_run_id(run_id)
        known = _params.setdefault(run_id, {})
        fresh = {}
        for key, value in params.items():
            good_key = key_of("param", key)
            if good_key is None:
                continue
            text = text_of("param", good_key, value, PARAM_VALUE_CHARS_MAX)
            before = known.setdefault(good_key, text)
            if before != text:
                warn_once(
                    f"param:{run_id}:{good_key}", "the param %r of run %s keeps its value %r; %r was not logged",
                    good_key, run_id, before[:200], text[:200],
                )  # fmt: skip
            else:
                fresh[good_key] = text
        _log_attributes(run_id, fresh, {})
    except Exception as error:
        _swallow("log_params", error)


def set_tag(key: str, value: Any, synchronous: bool | None = None, run_id: str | None = None) -> None:
    """Set a tag; the last value holds."""
    set_tags({key: value}, run_id=run_id)


def set_tags(tags: Mapping[str, Any], synchronous: bool | None = None, run_id: str | None = None) -> None:
    """Set several tags."""
    try:
        _log_attributes(current_run_id(run_id), {}, _clean_tags(tags, TAG_VALUE_CHARS_MAX))
    except Exception as error:
        _swallow("set_tags", error)


def delete_tag(key: str, run_id: str | None = None) -> None:
    """Take a tag away."""
    try:
        good_key = key_of("tag", key)
        if good_key is not None:
            process.pipeline().event(current_run_id(run_id), events.TagsDeleted([good_key]))
    except Exception as error:
        _swallow("delete_tag", error)


def _log_attributes(run_id: str, params: dict[str, str], tags: dict[str, str]) -> None:
    """In events of bounded size, whatever was given at once."""
    pipeline = process.pipeline()
    for keys in _slices(list(params)):
        pipeline.event(run_id, events.AttributesLogged(params={key: params[key] for key in keys}))
    for keys in _slices(list(tags)):
        pipeline.event(run_id, events.AttributesLogged(tags={key: tags[key] for key in keys}))


def _slices(keys: list[str], length: int = 100) -> list[list[str]]:
    return [keys[start : start + length] for start in range(0, len(keys), length)]


def _clean_tags(tags: Mapping[str, Any] | None, chars_max: int) -> dict[str, str]:
    cleaned = {}
    for key, value in (tags or {}).items():
        good_key = key_of("tag", key)
        if good_key is not None:
            cleaned[good_key] = text_of("tag", good_key, value, chars_max)
    return cleaned


def _swallow(call: str, error: Exception) -> None:
    """A log call never raises into training."""
    if isinstance(error, BadSetting):
        warn_once(f"{call}:setting", "%s did nothing: %s", call, error)
    else:
        warn_once(f"{call}:{type(error).__name__}", "%s did nothing: %s: %s", call, type(error).__name__, error)
