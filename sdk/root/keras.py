"""`headrace.keras`: Keras 3 models by MLflow's flavor of that name, on any backend."""

from __future__ import annotations

import os
from typing import Any

from headrace.sdk.autolog.tensorflow import autolog
from headrace.sdk.models import places
from headrace.sdk.models.logged import ModelInfo
from headrace.sdk.models.logged import log_model as _log
from headrace.sdk.models.mlmodel import Metadata
from headrace.sdk.models.saving import save_model as _save

__all__ = ["autolog", "load_model", "log_model", "save_model"]


def save_model(model: Any, path: str | os.PathLike[str], **options: Any) -> Metadata:
    """Save a Keras model.

    options: as `headrace.models.save_model`, and save_exported_model, custom_objects, save_model_kwargs.
    """
    return _save(model, path, flavor="keras", **options)


def log_model(model: Any, name: str | None = None, **options: Any) -> ModelInfo:
    """Log a model without waiting. options: as `headrace.models.log_model`, and those of `save_model`."""
    return _log(model, name, flavor="keras", **options)


def load_model(model_uri: str | os.PathLike[str], **options: Any) -> Any:
    """The Keras model. options: for `keras.saving.load_model`, custom_objects among them."""
    return places.load_model(model_uri, "keras", **options)
