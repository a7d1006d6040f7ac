"""Keras 3 by MLflow's keras flavor: a .keras file on any backend, or a SavedModel made by `model.export`."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from headrace.sdk.flavors import keras_files
from headrace.sdk.flavors.flavor import Predictor, Saved, need
from headrace.sdk.models.mlmodel import pyfunc_entry

NAME = "keras"
LOADER_MODULE = "mlflow.keras"
PACKAGES = ("keras", "tensorflow")


def recognizes(model: Any) -> bool:
    """Whether it is a Keras model that does not run on TensorFlow; those that do go by the flavor tensorflow."""
    return keras_files.is_keras(model)


def save(
    model: Any,
    folder: Path,
    *,
    example: Any = None,
    save_exported_model: bool = False,
    custom_objects: Mapping[str, Any] | None = None,
    save_model_kwargs: Mapping[str, Any] | None = None,
) -> Saved:
    """Write data/model.keras, or, for save_exported_model, the SavedModel data/model with one endpoint, `serve`.

    custom_objects: name to class or function that reading the file needs; they are pickled beside it, which MLflow's
    keras flavor does not read (its tensorflow flavor does). save_model_kwargs: for `model.save`.
    """
    data = folder / "data"
    data.mkdir()
    keras = sys.modules["keras"]
    (data / "keras_module.txt").write_text("keras")
    if save_exported_model:
        model.export(data / "model", verbose=False)
    else:
        model.save(data / "model.keras", **(save_model_kwargs or {}))
    modules = ["keras", *(["tensorflow"] if keras.backend.backend() == "tensorflow" else [keras.backend.backend()])]
    if keras_files.write_custom_objects(model, data, custom_objects):
        modules.append("cloudpickle")
    entry = {
        "data": "data",
        "keras_backend": keras.backend.backend(),
        "keras_version": keras.__version__,
        "save_exported_model": save_exported_model,
    }
    return Saved({NAME: entry, "python_function": pyfunc_entry(LOADER_MODULE)}, tuple(modules))


def load(folder: Path, entry: Mapping[str, Any], **options: Any) -> Any:
    """The Keras model; of an exported one, and of one saved by Keras 2 in a SavedModel, what TensorFlow reads of it.

    options: for `keras.saving.load_model`, custom_objects among them. Raises MissingPackage, NoModel.
    """
    return keras_files.read(folder / str(entry.get("data") or "data"), **options)


def predictor(folder: Path, entry: Mapping[str, Any], pyfunc_entry: Mapping[str, Any]) -> Predictor:
    """The model as one compiled function. Raises MissingPackage, NoModel."""
    need("keras", PACKAGES)
    data = folder / str(entry.get("data") or pyfunc_entry.get("data") or "data")
    return keras_files.predictor(keras_files.read(data, compile=False), keras_files.signature_of(folder))


def wrap(model: Any, pyfunc_entry: Mapping[str, Any]) -> Predictor:
    """A model in memory, ready to predict."""
    return keras_files.predictor(model, None)
