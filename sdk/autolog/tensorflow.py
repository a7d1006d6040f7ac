"""`headrace.tensorflow.autolog`: what `fit` of Keras, or an estimator of TensorFlow up to 2.15, does is logged.

The arguments, names of params, metrics and files are MLflow's; docs/reference/autolog.md says where we differ and why.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any

from headrace.sdk.autolog import estimator, imports, patching
from headrace.sdk.autolog.keras_fit import ESTIMATOR_EVERY, NAME, TensorflowOptions, logged_fit


def autolog(
    log_models: bool = True,
    log_datasets: bool = True,
    disable: bool = False,
    exclusive: bool = False,
    disable_for_unsupported_versions: bool = False,
    silent: bool = False,
    registered_model_name: str | None = None,
    log_input_examples: bool = False,
    log_model_signatures: bool = True,
    saved_model_kwargs: Mapping[str, Any] | None = None,
    keras_model_kwargs: Mapping[str, Any] | None = None,
    extra_tags: Mapping[str, Any] | None = None,
    log_every_epoch: bool = True,
    log_every_n_steps: int | None = None,
    checkpoint: bool = False,
    checkpoint_monitor: str = "val_loss",
    checkpoint_mode: str = "min",
    checkpoint_save_best_only: bool = True,
    checkpoint_save_weights_only: bool = False,
    checkpoint_save_freq: str | int = "epoch",
    every_n_iter: int | None = None,
    log_tensorboard: bool | None = None,
) -> None:
    """Log every `fit` of Keras, and what estimators train and export, until `autolog(disable=True)`.

    every_n_iter: MLflow 1's name of log_every_n_steps; of an estimator's events, those of every n-th step (100).
    log_tensorboard: True has TensorBoard's files written and logged; None logs those of your callback; False none.
    disable_for_unsupported_versions changes nothing: what a version does not have is left alone.
    Raises ValueError for a number of steps below 1, TypeError for one that is no int. Imports nothing.
    """
    every = log_every_n_steps if log_every_n_steps is not None else every_n_iter
    if every is not None and int(every) < 1:
        raise ValueError(f"metrics can be logged every 1 or more steps, not every {every}")
    undo()
    if disable:
        return
    options = TensorflowOptions(
        log_models=log_models,
        log_datasets=log_datasets,
        exclusive=exclusive,
        silent=silent,
        registered_model_name=registered_model_name,
        log_input_examples=log_input_examples,
        log_model_signatures=log_model_signatures,
        extra_tags=extra_tags,
        log_every_epoch=log_every_epoch or every is None,
        log_every_n_steps=None if every is None else int(every),
        every_n_iter=int(every or ESTIMATOR_EVERY),
        log_tensorboard=log_tensorboard,
        checkpoint=checkpoint,
        checkpoint_monitor=checkpoint_monitor,
        checkpoint_mode=checkpoint_mode,
        checkpoint_save_best_only=checkpoint_save_best_only,
        checkpoint_save_weights_only=checkpoint_save_weights_only,
        checkpoint_save_freq=checkpoint_save_freq,
        saved_model_kwargs=saved_model_kwargs,
        keras_model_kwargs=keras_model_kwargs,
    )

    def hook_fit(keras: ModuleType) -> None:
        patching.patch(NAME, keras.Model, "fit", lambda call: logged_fit(call, options))

    imports.when_imported("keras", NAME, hook_fit)
    estimator.hook(options)


def undo() -> None:
    """Leave Keras and TensorFlow as they were."""
    imports.forget(NAME)
    patching.restore(NAME)
