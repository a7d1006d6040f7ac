"""`headrace.pytorch.autolog`: what `Trainer.fit` of PyTorch Lightning does, with MLflow's names."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from headrace.sdk import files, fluent
from headrace.sdk.autolog import imports, patching
from headrace.sdk.autolog.inputs import EXAMPLE_ROWS
from headrace.sdk.autolog.patching import Call, blame, guard
from headrace.sdk.autolog.session import Options, Session, hide, session
from headrace.sdk.autolog.trained import log_trained

NAME = "pytorch"
LIBRARIES = ("lightning.pytorch", "pytorch_lightning")


@dataclass(frozen=True, slots=True, kw_only=True)
class LightningOptions(Options):
    """What is asked for beside what all integrations take."""

    log_every_n_epoch: int = 1
    log_every_n_step: int | None = None
    checkpoint: bool = False


def autolog(
    log_every_n_epoch: int = 1,
    log_every_n_step: int | None = None,
    log_models: bool = True,
    log_datasets: bool = True,
    disable: bool = False,
    exclusive: bool = False,
    disable_for_unsupported_versions: bool = False,
    silent: bool = False,
    registered_model_name: str | None = None,
    extra_tags: Mapping[str, Any] | None = None,
    checkpoint: bool = False,
    checkpoint_monitor: str = "val_loss",
    checkpoint_mode: str = "min",
    checkpoint_save_best_only: bool = True,
    checkpoint_save_weights_only: bool = False,
    checkpoint_save_freq: str | int = "epoch",
    log_model_signatures: bool = True,
    log_input_examples: bool = False,
) -> None:
    """Log every `Trainer.fit` of Lightning until `autolog(disable=True)`: params, metrics, summary, the module.

    checkpoint: log the best file of the trainer's own ModelCheckpoint callback; the other checkpoint options are
    taken for MLflow's sake, since that callback has them. log_datasets too: a loader's data have no form one knows.
    Raises ValueError for intervals below 1. Imports nothing.
    """
    if log_every_n_epoch < 1 or (log_every_n_step is not None and log_every_n_step < 1):
        raise ValueError("metrics can be logged every 1 or more epochs or steps")
    undo()
    if disable:
        return
    options = LightningOptions(
        log_models=log_models,
        exclusive=exclusive,
        silent=silent,
        registered_model_name=registered_model_name,
        log_input_examples=log_input_examples,
        log_model_signatures=log_model_signatures,
        extra_tags=extra_tags,
        log_every_n_epoch=log_every_n_epoch,
        log_every_n_step=log_every_n_step,
        checkpoint=checkpoint,
    )

    def hook(library: ModuleType) -> None:
        patching.patch(NAME, library.Trainer, "fit", lambda call: _fit(library, call, options))

    for library in LIBRARIES:
        imports.when_imported(library, NAME, hook)


def undo() -> None:
    """Leave Lightning as it was."""
    imports.forget(NAME)
    patching.restore(NAME)


def _fit(library: ModuleType, call: Call, options: LightningOptions) -> Generator[None, Any, None]:
    with session(NAME, options) as opened:
        if opened is None:
            return
        trainer, module = call.args[0], call.argument("model")
        seen: dict[str, Any] = {}
        callback = stop = unhook = None
        with guard(NAME, "what is known before the fit"):
            stop = next((one for one in trainer.callbacks if type(one).__name__ == "EarlyStopping"), None)
            if stop is not None:
                names = ("monitor", "mode", "patience", "min_delta", "stopped_epoch")
                fluent.log_params({name: getattr(stop, name) for name in names}, run_id=opened.run_id)
            callback = _callback(library, opened, options)
            trainer.callbacks.append(callback)
            if options.log_models:
                unhook = _watch(module, seen)
        try:
            yield
        finally:
            if unhook is not None:
                unhook()
            if callback is not None and callback in trainer.callbacks:
                trainer.callbacks.remove(callback)
        with hide():
            _after(library, trainer, module, stop, seen, opened, options)


def _after(
    library: ModuleType,
    trainer: Any,
    module: Any,
    stop: Any,
    seen: dict[str, Any],
    opened: Session,
    options: LightningOptions,
) -> None:
    if stop is not None and stop.stopped_epoch:
        with guard(NAME, "what early stopping did"):
            told = {
                "stopped_epoch": stop.stopped_epoch,
                "restored_epoch": stop.stopped_epoch - max(1, stop.patience),
                "best_score": float(stop.best_score),
                "wait_count": stop.wait_count,
            }
            fluent.log_metrics(told, run_id=opened.run_id)
    with guard(NAME, "the model's summary"):
        summary = library.utilities.model_summary.ModelSummary(module, max_depth=-1)
        files.log_text(str(summary), "model_summary.txt", run_id=opened.run_id)
    if options.checkpoint:
        with guard(NAME, "the checkpoint"):
            best = getattr(trainer.checkpoint_callback, "best_model_path", "")
            if best:
                files.log_artifact(best, "restored_model_checkpoint", run_id=opened.run_id)
    if options.log_models:
        with guard(NAME, "the model"):
            example, output = seen.get("input"), seen.get("output")
            log_trained(
                module,
                NAME,
                opened.run_id,
                options,
                example=example,
                output=output,
                serialization_format="pickle",
            )


def _watch(module: Any, seen: dict[str, Any]) -> Callable[[], None]:
    """Keep a few rows of the first input and output that are single tensors; returns what ends the watch."""

    def hook(_: Any, inputs: tuple[Any, ...], output: Any) -> None:
        try:
            if "input" not in seen and len(inputs) == 1 and hasattr(inputs[0], "detach") and hasattr(output, "detach"):
                seen["input"] = inputs[0][:EXAMPLE_ROWS].detach().cpu().numpy()
                seen["output"] = output[:EXAMPLE_ROWS].detach().cpu().numpy()
        except Exception as error:
            blame(NAME, "an example of the input", error)

    handle = module.register_forward_hook(hook)
    remove: Callable[[], None] = handle.remove
    return remove


def _callback(library: ModuleType, opened: Session, options: LightningOptions) -> Any:
    """Logs params of the optimizer at the start and metrics of epochs and steps; a metric is of one of the two."""
    of_steps: set[str] = set()
    of_epochs: set[str] = set()

    def log(trainer: Any, step: int, found: dict[str, Any]) -> None:
        if not trainer.sanity_checking and trainer.is_global_zero:
            fluent.log_metrics({name: float(value) for name, value in found.items()}, step, run_id=opened.run_id)

    def on_train_start(self: Any, trainer: Any, module: Any) -> None:
        with guard(NAME, "params"):
            params = {"epochs": trainer.max_epochs}
            if trainer.optimizers:
                optimizer = trainer.optimizers[0]
                inner = getattr(optimizer, "_optimizer", None) or optimizer
                params = {**params, "optimizer_name": type(inner).__name__, **getattr(inner, "defaults", {})}
            fluent.set_tag("Mode", "training", run_id=opened.run_id)
            fluent.log_params(params, run_id=opened.run_id)

    def on_train_epoch_end(self: Any, trainer: Any, module: Any) -> None:
        with guard(NAME, "metrics of an epoch"):
            found = {name: value for name, value in trainer.callback_metrics.items() if name not in of_steps}
            of_epochs.update(found)
            if (trainer.current_epoch + 1) % options.log_every_n_epoch == 0:
                log(trainer, trainer.current_epoch, found)

    def on_train_batch_end(self: Any, trainer: Any, module: Any, *rest: Any) -> None:
        with guard(NAME, "metrics of a step"):
            every = options.log_every_n_step or 1
            if (trainer.global_step // max(1, len(trainer.optimizers)) + 1) % every == 0:
                metrics = trainer.callback_metrics
                found = {
                    name: value
                    for name, value in metrics.items()
                    if name not in of_epochs and f"{name}_step" not in metrics
                }
                of_steps.update(found)
                log(trainer, trainer.global_step, found)

    methods: dict[str, Any] = {"on_train_start": on_train_start, "on_train_epoch_end": on_train_epoch_end}
    if options.log_every_n_step is not None:
        methods["on_train_batch_end"] = on_train_batch_end
    return type("HeadraceCallback", (library.Callback,), methods)()
