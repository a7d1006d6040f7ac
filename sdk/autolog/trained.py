"""Logs the model at the end of a training, with its signature; nothing is waited for."""

from __future__ import annotations

import importlib
from typing import Any

from headrace.sdk.autolog.session import Options


def log_trained(
    model: Any,
    flavor: str,
    run_id: str,
    options: Options,
    *,
    name: str = "model",
    example: Any = None,
    output: Any = None,
    **more: Any,
) -> str | None:
    """Log a fitted model to the run of its training; returns its model id.

    example: a few rows as `predict` takes them; output: what the model answers to them; None where it is not known.
    more: options of the flavor; those that are None are left out. Raises what `headrace.models.log_model` raises.
    """
    models = importlib.import_module(
        "headrace.sdk.models.logged"
    )  # brings numpy and pandas: not before a model is there
    signature: Any = False
    if options.log_model_signatures and example is not None and output is not None:
        signature = importlib.import_module("headrace.sdk.models.signature").infer_signature(example, output)
    given = {**(options.save_options or {}), **more}
    logged = models.log_model(
        model,
        name,
        flavor=flavor,
        run_id=run_id,
        registered_model_name=options.registered_model_name if name == "model" else None,
        signature=signature,
        input_example=example if options.log_input_examples else None,
        **{key: value for key, value in given.items() if value is not None},
    )
    model_id: str | None = logged.model_id
    return model_id


def log_trained_folder(folder: str, run_id: str, options: Options) -> str | None:
    """Log what an estimator exported to the run of its training; returns its model id.

    Without a signature, as MLflow 1.x did: its inputs are named in the SavedModel itself.
    """
    saved_model = importlib.import_module("headrace.sdk.flavors.saved_model").SavedModel
    return log_trained(saved_model(folder, ("serve",), "predict"), "tensorflow", run_id, options)
