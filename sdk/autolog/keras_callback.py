"""The Keras callbacks of autolog: metrics of epochs and of every so many steps, the summary, checkpoints.

Keras is only imported by who trains, so the classes are made for the Keras that is there (2 or 3).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from headrace.sdk import files, fluent
from headrace.sdk.autolog.patching import blame, guard

STEP_PREFIX = "batch_"
"""Of metrics of steps when epochs are logged as well, as TensorBoard's callback names them."""
CHECKPOINT_SHARE = 0.05
"""Of the time of a fit that checkpoints may take at most."""


def _safely(integration: str, what: str, action: Callable[..., None]) -> Callable[..., None]:
    """A callback's method that never raises into fit."""

    def method(self: Any, *args: Any, **kwargs: Any) -> None:
        try:
            action(self, *args, **kwargs)
        except Exception as error:
            blame(integration, what, error)

    return method


def logging_callback(
    base: type[Any], integration: str, run_id: str, log_every_epoch: bool, log_every_n_steps: int | None
) -> Any:
    """A callback that logs to a run: params of the optimizer, summary, metrics. base: keras.callbacks.Callback.

    With steps alone the metrics of every n-th are logged at the optimizer's iteration; with epochs too they have the
    prefix `batch_`, so that a key has steps of one kind. Without steps nothing happens in a batch.
    """

    def on_train_begin(self: Any, logs: Any = None) -> None:
        with guard(integration, "the optimizer's config"):
            config = self.model.optimizer.get_config()
            fluent.log_params({f"opt_{key}": value for key, value in config.items()}, run_id=run_id)
        with guard(integration, "the model's summary"):
            lines: list[str] = []
            self.model.summary(print_fn=lambda line, *rest, **options: lines.append(str(line)))
            files.log_text("\n".join(lines), "model_summary.txt", run_id=run_id)

    def on_epoch_begin(self: Any, epoch: int, logs: Any = None) -> None:
        self.steps_before = int(self.model.optimizer.iterations)
        self.steps_at_once = int(getattr(self.model, "steps_per_execution", None) or 1)

    def on_train_batch_end(self: Any, batch: int, logs: Any = None) -> None:
        # Depends on nothing but the batch: Keras may call this from several threads, in any order.
        step = self.steps_before + batch + 1
        if step // log_every_n_steps > (step - self.steps_at_once) // log_every_n_steps:
            prefix = STEP_PREFIX if log_every_epoch else ""
            fluent.log_metrics({prefix + key: value for key, value in (logs or {}).items()}, step, run_id=run_id)

    def on_epoch_end(self: Any, epoch: int, logs: Any = None) -> None:
        if log_every_epoch:
            fluent.log_metrics(logs or {}, epoch, run_id=run_id)
            return
        step = int(self.model.optimizer.iterations)
        found = {key: value for key, value in (logs or {}).items() if key.startswith("val_")}
        fluent.log_metrics(found, step, run_id=run_id)

    methods: dict[str, Any] = {
        "on_train_begin": _safely(integration, "what is known before the first step", on_train_begin),
        "on_epoch_end": _safely(integration, "metrics of an epoch", on_epoch_end),
        "async_safe": True,
    }
    if log_every_n_steps is not None:
        methods["on_epoch_begin"] = _safely(integration, "the count of steps", on_epoch_begin)
        methods["on_train_batch_end"] = _safely(integration, "metrics of a step", on_train_batch_end)
    return type("HeadraceCallback", (base,), methods)()


def checkpoint_callback(
    base: type[Any],
    integration: str,
    folder: Path,
    monitor: str,
    mode: str,
    save_best_only: bool,
    save_weights_only: bool,
    save_freq: str | int,
) -> Any:
    """A callback that keeps the latest, or best, model in a file of `folder`, within a share of the time of the fit.

    A metric that is not there is replaced by `loss`; a checkpoint that would cost too much time is left for a later
    epoch.
    """
    suffix = ".weights.h5" if save_weights_only else ".keras"
    state: dict[str, Any] = {"best": None, "began_s": 0.0, "spent_s": 0.0, "batches": 0}

    def better(value: float) -> bool:
        best = state["best"]
        return best is None or (value > best if mode == "max" else value < best)

    def save(self: Any, logs: Any) -> None:
        logs = logs or {}
        value = float(logs.get(monitor, logs.get("loss", 0.0)))
        if save_best_only and not better(value):
            return
        now_s = time.monotonic()
        if state["spent_s"] > CHECKPOINT_SHARE * (now_s - state["began_s"]):
            return
        file = folder / f"latest_checkpoint{suffix}"
        (self.model.save_weights if save_weights_only else self.model.save)(str(file), overwrite=True)
        state["best"], state["spent_s"] = value, state["spent_s"] + time.monotonic() - now_s

    def on_train_begin(self: Any, logs: Any = None) -> None:
        state["began_s"] = time.monotonic()

    def on_epoch_end(self: Any, epoch: int, logs: Any = None) -> None:
        save(self, logs)

    def on_train_batch_end(self: Any, batch: int, logs: Any = None) -> None:
        state["batches"] += 1
        if state["batches"] % int(save_freq) == 0:
            save(self, logs)

    methods: dict[str, Any] = {"on_train_begin": on_train_begin}
    if isinstance(save_freq, int):
        methods["on_train_batch_end"] = _safely(integration, "a checkpoint", on_train_batch_end)
    else:
        methods["on_epoch_end"] = _safely(integration, "a checkpoint", on_epoch_end)
    return type("HeadraceCheckpoint", (base,), methods)()
