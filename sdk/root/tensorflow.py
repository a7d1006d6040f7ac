"""`headrace.tensorflow`: Keras models on TensorFlow, `tf.Module`s and SavedModels as models."""

from __future__ import annotations

import os
from typing import Any

from headrace.sdk.autolog.tensorflow import autolog
from headrace.sdk.flavors.saved_model import SavedModel
from headrace.sdk.models import places
from headrace.sdk.models.logged import ModelInfo
from headrace.sdk.models.logged import log_model as _log
from headrace.sdk.models.mlmodel import Metadata
from headrace.sdk.models.saving import save_model as _save

__all__ = ["SavedModel", "autolog", "load_model", "log_model", "save_model"]


def save_model(model: Any, path: str | os.PathLike[str], **options: Any) -> Metadata:
    """Save a Keras model, a `tf.Module`, or a `SavedModel` that is on disk already.

    options: as `headrace.models.save_model`, and layout, columns, classes, custom_objects, saved_model_kwargs,
    keras_model_kwargs (see `sdk/flavors/tensorflow.py`).
    """
    return _save(model, path, flavor="tensorflow", **options)


def log_model(model: Any, name: str | None = None, **options: Any) -> ModelInfo:
    """Log a model without waiting. options: as `headrace.models.log_model`, and those of `save_model`."""
    return _log(model, name, flavor="tensorflow", **options)


def load_model(model_uri: str | os.PathLike[str], **options: Any) -> Any:
    """The Keras model, the module, or the function of a SavedModel. options: saved_model_kwargs, keras_model_kwargs."""
    return places.load_model(model_uri, "tensorflow", **options)
