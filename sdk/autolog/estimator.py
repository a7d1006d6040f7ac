"""Hooks of `tf.estimator`, where it exists (TensorFlow up to 2.15): what MLflow 1.x logged of it and none does now.

`train` logs its steps and, of the events it writes, the scalars of every n-th step; `evaluate` logs its result;
`export_saved_model` logs the model to the run of the training, also when that has ended.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Generator
from pathlib import Path
from types import ModuleType
from typing import Any

from headrace.sdk import files, fluent
from headrace.sdk.autolog import imports, patching
from headrace.sdk.autolog.keras_fit import NAME, TensorflowOptions
from headrace.sdk.autolog.patching import Call, guard
from headrace.sdk.autolog.session import current, hidden, hide, session
from headrace.sdk.autolog.trained import log_trained_folder

ESTIMATORS = "tensorflow_estimator.python.estimator.estimator"
WRITERS = (
    ("tensorflow.python.summary.writer.event_file_writer", "EventFileWriter"),
    ("tensorflow.python.summary.writer.event_file_writer_v2", "EventFileWriterV2"),
)
_runs: weakref.WeakKeyDictionary[Any, str] = weakref.WeakKeyDictionary()
"""The run of an estimator's last training."""


def hook(options: TensorflowOptions) -> None:
    """Have estimators hooked when their module is imported; where there are none, nothing happens."""

    def hook_estimators(module: ModuleType) -> None:
        owner = module.Estimator
        patching.patch(NAME, owner, "train", lambda call: _train(call, options))
        patching.patch(NAME, owner, "evaluate", _evaluate)
        for name in ("export_saved_model", "export_savedmodel"):
            patching.patch(NAME, owner, name, lambda call: _export(call, options))

    def hook_writer(name: str) -> imports.Callback:
        def callback(module: ModuleType) -> None:
            patching.patch(NAME, getattr(module, name), "add_event", lambda call: _add_event(call, options))

        return callback

    imports.when_imported(ESTIMATORS, NAME, hook_estimators)
    for module, name in WRITERS:
        imports.when_imported(module, NAME, hook_writer(name))


def _train(call: Call, options: TensorflowOptions) -> Generator[None, Any, None]:
    with session(NAME, options) as opened:
        if opened is None:
            return
        estimator = call.args[0]
        with guard(NAME, "the steps of train"):
            _runs[estimator] = opened.run_id
            steps = {name: call.argument(name) for name in ("steps", "max_steps")}
            fluent.log_params({name: told for name, told in steps.items() if told is not None}, run_id=opened.run_id)
        before = _event_files(estimator)
        yield
        if options.log_tensorboard is not False:
            with guard(NAME, "tensorboard_logs"):
                for file, changed_ns in _event_files(estimator).items():
                    if before.get(file) != changed_ns:
                        files.log_artifact(file, "tensorboard_logs", run_id=opened.run_id)


def _event_files(estimator: Any) -> dict[Path, int]:
    """The event files of an estimator and when they changed, in nanoseconds."""
    found: dict[Path, int] = {}
    with guard(NAME, "the event files"):
        folder = Path(os.fspath(estimator.model_dir))
        if folder.is_dir():
            found = {file: file.stat().st_mtime_ns for file in folder.iterdir() if "tfevents" in file.name}
    return found


def _evaluate(call: Call) -> Generator[None, Any, None]:
    run_id = _runs.get(call.args[0])
    if run_id is None or hidden():
        return
    with hide():
        result = yield
    with guard(NAME, "what evaluate found"):
        name = call.argument("name")
        step = int(result.get("global_step", 0))
        values = {f"{key}_{name}" if name else key: value for key, value in result.items() if key != "global_step"}
        fluent.log_metrics(values, step, run_id=run_id)


def _export(call: Call, options: TensorflowOptions) -> Generator[None, Any, None]:
    run_id = _runs.get(call.args[0])
    if run_id is None or hidden() or not options.log_models:
        return
    with hide():  # one of the two names calls the other
        folder = yield
    with guard(NAME, "the exported model"):
        log_trained_folder(os.fsdecode(folder), run_id, options)


def _add_event(call: Call, options: TensorflowOptions) -> Generator[None, Any, None]:
    with guard(NAME, "an event"):
        event = call.argument("event")
        if not hidden() and event.HasField("summary") and (event.step - 1) % options.every_n_iter == 0:
            opened, active = current(), fluent.active_run()
            run_id = opened.run_id if opened is not None else active.info.run_id if active is not None else None
            values = {one.tag: one.simple_value for one in event.summary.value if one.HasField("simple_value")}
            if run_id is not None and values and not (opened is None and options.exclusive):
                fluent.log_metrics(values, event.step, run_id=run_id)
    yield
