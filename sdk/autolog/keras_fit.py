"""A fit of Keras that is logged: what is known before it, what its callbacks see, what is known after it."""

from __future__ import annotations

import importlib.util
import shutil
import sys
import tempfile
import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import GeneratorType
from typing import Any

from headrace.sdk import data, files, fluent
from headrace.sdk.autolog.inputs import dataset_of, is_dataset, params_of
from headrace.sdk.autolog.keras_callback import checkpoint_callback, logging_callback
from headrace.sdk.autolog.keras_example import example_of, output_of
from headrace.sdk.autolog.patching import Call, guard
from headrace.sdk.autolog.session import Options, Session, hide, session
from headrace.sdk.autolog.trained import log_trained
from headrace.sdk.cleaning import warn_once

NAME = "tensorflow"
BATCH_ROWS = 32
"""What Keras takes for batch_size when it is given arrays and no size."""
ESTIMATOR_EVERY = 100
"""How many steps of an estimator lie between two that are logged, as in MLflow 1.x."""
_UNLOGGED = ("self", "x", "y", "callbacks", "validation_data", "verbose")


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorflowOptions(Options):
    """What is asked for beside what all integrations take."""

    log_every_epoch: bool = True
    log_every_n_steps: int | None = None
    every_n_iter: int = ESTIMATOR_EVERY
    log_tensorboard: bool | None = None
    checkpoint: bool = False
    checkpoint_monitor: str = "val_loss"
    checkpoint_mode: str = "min"
    checkpoint_save_best_only: bool = True
    checkpoint_save_weights_only: bool = False
    checkpoint_save_freq: str | int = "epoch"
    saved_model_kwargs: Mapping[str, Any] | None = None
    keras_model_kwargs: Mapping[str, Any] | None = None


def logged_fit(call: Call, options: TensorflowOptions) -> Generator[None, Any, None]:
    """The hook around `fit`."""
    with session(NAME, options) as opened:
        if opened is None:
            return
        training = _Fit(call, opened, options)
        try:
            training.before()
            yield
            training.after()
        finally:
            training.clean()


@dataclass(eq=False)
class _Fit:
    """One fit: what is known before it and after it. Each part may fail without the others."""

    call: Call
    opened: Session
    options: TensorflowOptions
    x: Any = None
    y: Any = None
    first_batch: Any = None
    board: Path | None = None
    board_began_s: float = 0.0
    temporary: list[Path] = field(default_factory=list)
    checkpoints: Path | None = None
    stopping: Any = None

    def before(self) -> None:
        self.x, self.y = self.call.argument("x"), self.call.argument("y")
        with guard(NAME, "the arguments of fit"):
            self._log_params()
        with guard(NAME, "metrics"):
            self._add_callbacks()
        if isinstance(self.x, GeneratorType):
            self.call.replace("x", self._watched(self.x))
        if self.options.log_datasets:
            self._log_datasets()

    def after(self) -> None:
        model = self.call.args[0]
        with guard(NAME, "what early stopping did"):
            self._log_early_stopping(model)
        for folder, where in ((self.board, "tensorboard_logs"), (self.checkpoints, "checkpoints")):
            with guard(NAME, where):
                self._log_files(folder, where)
        if self.options.log_models:
            with guard(NAME, "the model"), hide():
                self._log_model(model)

    def clean(self) -> None:
        for folder in self.temporary:
            shutil.rmtree(folder, ignore_errors=True)

    # --- before -------------------------------------------------------------------------------------------------------

    def _log_params(self) -> None:
        params = params_of(self.call, _UNLOGGED)
        size = self.call.argument("batch_size") or self._batch_size()
        params["batch_size"] = str(size)
        fluent.log_params(params, run_id=self.opened.run_id)

    def _batch_size(self) -> Any:
        if is_dataset(self.x):
            size = getattr(self.x, "_batch_size", None)
            return None if size is None else int(size)
        if isinstance(self.x, GeneratorType):
            return None
        if (
            hasattr(self.x, "__getitem__")
            and hasattr(self.x, "__len__")
            and callable(getattr(self.x, "on_epoch_end", 0))
        ):
            return getattr(self.x, "batch_size", None)  # keras.utils.PyDataset
        return BATCH_ROWS

    def _add_callbacks(self) -> None:
        callback_class = _callbacks_module(self.call.args[0]).Callback
        given = self.call.argument("callbacks")
        if given is not None and not isinstance(given, list | tuple):
            if not hasattr(given, "append"):  # a single callback
                given = [given]
            else:  # a CallbackList: it runs what it was made with
                given.append(self._logger(callback_class))
                return
        callbacks = list(given or [])
        self.stopping = next((one for one in callbacks if type(one).__name__ == "EarlyStopping"), None)
        if self.stopping is not None:
            names = ("monitor", "min_delta", "patience", "baseline", "restore_best_weights")
            fluent.log_params({name: getattr(self.stopping, name, None) for name in names}, run_id=self.opened.run_id)
        with guard(NAME, "tensorboard_logs"):
            self._prepare_board(callbacks)
        with guard(NAME, "checkpoints"):
            self._prepare_checkpoints(callbacks, callback_class)
        callbacks.append(self._logger(callback_class))
        self.call.replace("callbacks", callbacks)

    def _logger(self, callback_class: type[Any]) -> Any:
        return logging_callback(
            callback_class, NAME, self.opened.run_id, self.options.log_every_epoch, self.options.log_every_n_steps
        )

    def _prepare_board(self, callbacks: list[Any]) -> None:
        if self.options.log_tensorboard is False:
            return
        self.board_began_s = time.time() - 1.0
        own = next((one for one in callbacks if type(one).__name__ == "TensorBoard"), None)
        if own is not None:
            self.board = Path(str(own.log_dir))
        elif self.options.log_tensorboard:
            if not _has_tensorboard():
                warn_once("autolog:tensorboard", "TensorBoard's files are not written: tensorboard is not installed")
                return
            self.board = self._folder()
            callbacks.append(_callbacks_module(self.call.args[0]).TensorBoard(str(self.board)))

    def _prepare_checkpoints(self, callbacks: list[Any], callback_class: type[Any]) -> None:
        options = self.options
        if options.checkpoint:
            self.checkpoints = self._folder()
            callbacks.append(
                checkpoint_callback(
                    callback_class,
                    NAME,
                    self.checkpoints,
                    options.checkpoint_monitor,
                    options.checkpoint_mode,
                    options.checkpoint_save_best_only,
                    options.checkpoint_save_weights_only,
                    options.checkpoint_save_freq,
                )
            )

    def _folder(self) -> Path:
        self.temporary.append(Path(tempfile.mkdtemp(prefix="headrace-autolog-")))
        return self.temporary[-1]

    def _watched(self, batches: Any) -> Generator[Any, Any, None]:
        """The same batches; the first is remembered, for the model's signature."""
        for batch in batches:
            if self.first_batch is None:
                self.first_batch = batch
            yield batch

    def _log_datasets(self) -> None:
        with guard(NAME, "the training data"):
            if not isinstance(self.x, GeneratorType):
                data.log_input(dataset_of(self.x, self.y), "train", run_id=self.opened.run_id)
        with guard(NAME, "the validation data"):
            given = self.call.argument("validation_data")
            if isinstance(given, tuple | list) and given:
                given = (given[0], given[1] if len(given) > 1 else None)
                data.log_input(dataset_of(*given), "eval", run_id=self.opened.run_id)
            elif given is not None and not isinstance(given, GeneratorType):
                data.log_input(dataset_of(given), "eval", run_id=self.opened.run_id)

    # --- after --------------------------------------------------------------------------------------------------------

    def _log_early_stopping(self, model: Any) -> None:
        stopping = self.stopping
        if stopping is None or not getattr(model, "stop_training", False) or not stopping.stopped_epoch:
            return
        run_id, stopped = self.opened.run_id, int(stopping.stopped_epoch)
        fluent.log_metric("stopped_epoch", stopped, run_id=run_id)
        history = getattr(model, "history", None)
        if not stopping.restore_best_weights or stopping.best_weights is None or history is None:
            return
        restored = int(stopping.best_epoch)
        fluent.log_metric("restored_epoch", restored, run_id=run_id)
        place = history.epoch.index(restored)
        values = {key: found[place] for key, found in history.history.items() if len(found) == len(history.epoch)}
        fluent.log_metrics(values, stopped + 1, run_id=run_id)

    def _log_files(self, folder: Path | None, where: str) -> None:
        """What was written in a folder since the fit began, with its structure."""
        if folder is None or not folder.is_dir():
            return
        for file in sorted(folder.rglob("*")):
            if file.is_file() and file.stat().st_mtime >= self.board_began_s:
                parent = file.parent.relative_to(folder).as_posix()
                files.log_artifact(file, where if parent == "." else f"{where}/{parent}", run_id=self.opened.run_id)

    def _log_model(self, model: Any) -> None:
        example = output = None
        if self.options.log_model_signatures or self.options.log_input_examples:
            with guard(NAME, "the model's signature"):
                example = example_of(self.x, self.first_batch, self.options.log_input_examples)
                if example is not None:
                    output = output_of(model, example)
        log_trained(
            model,
            NAME,
            self.opened.run_id,
            self.options,
            example=example,
            output=output,
            saved_model_kwargs=self.options.saved_model_kwargs,
            keras_model_kwargs=self.options.keras_model_kwargs,
        )


def _has_tensorboard() -> bool:
    """Whether Keras can write TensorBoard's files: TensorFlow does not bring what it needs any more."""
    return importlib.util.find_spec("tensorboard") is not None


def _callbacks_module(model: Any) -> Any:
    """keras.callbacks of the Keras a model is of."""
    return sys.modules["keras"].callbacks
