"""TensorFlow: Keras models, `tf.Module`s, and SavedModels that answer a DataFrame as `tf.estimator`'s exports do."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from headrace.sdk.flavors import keras_files
from headrace.sdk.flavors.estimator_layout import write_estimator_layout
from headrace.sdk.flavors.flavor import Predictor, Saved, need
from headrace.sdk.flavors.saved_model import SavedFunction, SavedModel, columns_of, is_module
from headrace.sdk.models.mlmodel import NoModel, pyfunc_entry

NAME = "tensorflow"
LOADER_MODULE = "mlflow.tensorflow"
PACKAGES = ("tensorflow",)

KERAS, MODULE, ESTIMATOR = "keras", "tf2-module", "tf1-estimator"
"""What MLflow calls the kinds of model; the last is what it takes a description for that names none."""


def recognizes(model: Any) -> bool:
    """Whether it is a Keras model on TensorFlow, a `tf.Module`, or a `SavedModel` of this package's."""
    if keras_files.is_keras(model):
        keras = sys.modules.get("keras")
        return "tensorflow" in sys.modules and (
            keras is None or not hasattr(keras.backend, "backend") or keras.backend.backend() == "tensorflow"
        )
    return isinstance(model, SavedModel) or is_module(model)


def save(
    model: Any,
    folder: Path,
    *,
    example: Any = None,
    layout: str | None = None,
    columns: Sequence[str] | None = None,
    classes: Sequence[Any] | None = None,
    custom_objects: Mapping[str, Any] | None = None,
    saved_model_kwargs: Mapping[str, Any] | None = None,
    keras_model_kwargs: Mapping[str, Any] | None = None,
) -> Saved:
    """Write the model in the layout of its kind.

    layout: "estimator" writes a Keras classifier as `tf.estimator` exports one, so that it takes a DataFrame and
    answers with one (see `estimator_layout`); columns are then the names of its features, as in the example if there is
    one, and classes the labels, by default the numbers from 0. custom_objects: name to class or function that
    reading a Keras file needs. saved_model_kwargs: for `tf.saved_model.save`; keras_model_kwargs: for `model.save`.
    Raises ValueError, NoModel.
    """
    if layout not in (None, "estimator"):
        raise ValueError(f"there is no layout {layout!r} of TensorFlow models; there is 'estimator'")
    if isinstance(model, SavedModel):
        model.copy(folder / "tfmodel")
        return _estimator(model.tags, model.signature_def_key)
    if layout == "estimator":
        write_estimator_layout(model, folder / "tfmodel", columns, classes, example)
        return _estimator(("serve",), "predict")
    if keras_files.is_keras(model):
        return _save_keras(model, folder, custom_objects, dict(keras_model_kwargs or {}))
    if is_module(model):
        _tensorflow().saved_model.save(model, str(folder / "tf2model"), **(saved_model_kwargs or {}))
        entry = {"code": None, "model_type": MODULE, "saved_model_dir": "tf2model"}
        return Saved({NAME: entry, "python_function": pyfunc_entry(LOADER_MODULE)}, ("tensorflow",))
    raise ValueError(
        f"a {type(model).__name__} is no TensorFlow model that can be saved: give a Keras model, a tf.Module, or"
        " headrace.tensorflow.SavedModel(folder) for one that is on disk already"
    )


def _estimator(tags: Sequence[str], key: str) -> Saved:
    entry = {"code": None, "saved_model_dir": "tfmodel", "meta_graph_tags": list(tags), "signature_def_key": key}
    return Saved({NAME: entry, "python_function": pyfunc_entry(LOADER_MODULE)}, ("tensorflow",))


def _save_keras(model: Any, folder: Path, objects: Mapping[str, Any] | None, options: dict[str, Any]) -> Saved:
    tensorflow = _tensorflow()
    data = folder / "data"
    data.mkdir()
    pickled = keras_files.write_custom_objects(model, data, objects)
    save_format = str(options.get("save_format", "tf"))
    (data / "keras_module.txt").write_text("tensorflow.keras")
    (data / "save_format.txt").write_text(save_format)
    new = int(str(getattr(tensorflow.keras, "__version__", "2")).partition(".")[0]) >= 3
    ending = ".h5" if save_format == "h5" else ".keras" if new else ""
    if new:
        options.pop("save_format", None)
    model.save(str(data / f"model{ending}"), **options)
    entry = {
        "code": None,
        "data": "data",
        "keras_version": tensorflow.__version__,  # so MLflow has it
        "model_type": KERAS,
        "save_format": save_format,
    }
    modules = ("tensorflow", "keras", *(["cloudpickle"] if pickled else []))
    return Saved({NAME: entry, "python_function": pyfunc_entry(LOADER_MODULE, data="data")}, modules)


def _tensorflow() -> Any:
    return need("tensorflow", PACKAGES)


def _kind(entry: Mapping[str, Any]) -> str:
    if entry.get("model_type"):
        return str(entry["model_type"])
    return ESTIMATOR if "signature_def_key" in entry else KERAS


def load(
    folder: Path,
    entry: Mapping[str, Any],
    *,
    saved_model_kwargs: Mapping[str, Any] | None = None,
    keras_model_kwargs: Mapping[str, Any] | None = None,
) -> Any:
    """The Keras model; of a `tf.Module` what `tf.saved_model.load` reads; of an estimator its predict function.

    saved_model_kwargs: for `tf.saved_model.load`; keras_model_kwargs: for `keras.saving.load_model`.
    Raises MissingPackage, NoModel.
    """
    tensorflow = _tensorflow()
    if _kind(entry) == KERAS:
        return keras_files.read(folder / str(entry.get("data") or "data"), **(keras_model_kwargs or {}))
    if _kind(entry) == MODULE:
        return tensorflow.saved_model.load(_saved(folder, entry), **(saved_model_kwargs or {}))
    function = _estimator_function(folder, entry)
    function.function.saved_model = function.model  # the function holds its variables weakly
    return function.function


def predictor(folder: Path, entry: Mapping[str, Any], pyfunc_entry: Mapping[str, Any]) -> Predictor:
    """A Keras model as one compiled function; an estimator of a DataFrame; a module of an array. Raises as `load`."""
    kind = _kind(entry)
    if kind == KERAS:
        _tensorflow()
        data = folder / str(pyfunc_entry.get("data") or entry.get("data") or "data")
        return keras_files.predictor(keras_files.read(data, compile=False), keras_files.signature_of(folder))
    if kind == MODULE:
        return _module(_tensorflow().saved_model.load(_saved(folder, entry)))
    return _estimator_predictor(_estimator_function(folder, entry), keras_files.signature_of(folder))


def wrap(model: Any, pyfunc_entry: Mapping[str, Any]) -> Predictor | None:
    """A model in memory, ready to predict; None for one that has to be read from its folder first."""
    if keras_files.is_keras(model) and "data" in pyfunc_entry:
        return keras_files.predictor(model, None)
    return _module(model) if is_module(model) else None


def _saved(folder: Path, entry: Mapping[str, Any]) -> str:
    found = folder / str(entry.get("saved_model_dir") or "tfmodel")
    if not found.is_dir():
        raise NoModel(f"the model's SavedModel {found} is not there")
    return str(found)


def _estimator_function(folder: Path, entry: Mapping[str, Any]) -> SavedFunction:
    tags = entry.get("meta_graph_tags") or ["serve"]
    loaded = _tensorflow().saved_model.load(_saved(folder, entry), tags=list(tags))
    return SavedFunction(loaded, str(entry.get("signature_def_key") or "predict"))


def _estimator_predictor(function: SavedFunction, signature: Any) -> Predictor:
    import pandas as pd

    def predict(data: Any, params: dict[str, Any] | None = None) -> Any:
        if isinstance(data, Mapping):
            return columns_of(function(data))
        if not hasattr(data, "columns"):
            raise ValueError(f"the model takes a DataFrame or a dict with {', '.join(function.inputs)}")
        return pd.DataFrame.from_dict(columns_of(function({name: data[name] for name in data.columns})))

    names = signature.inputs.input_names() if signature is not None and signature.inputs is not None else []

    def predict_array(data: Any, params: dict[str, Any] | None = None) -> Any:
        return pd.DataFrame.from_dict(columns_of(function(dict(zip(names, data.T, strict=True)))))

    return Predictor(function.model, predict, predict_array if set(function.inputs) <= set(names) else None)


def _module(module: Any) -> Predictor:
    tensorflow = _tensorflow()
    if not callable(module):
        return _function(SavedFunction(module))

    def predict(data: Any, params: dict[str, Any] | None = None) -> Any:
        if hasattr(data, "columns"):
            data = data.to_numpy()
        elif isinstance(data, Mapping):
            data = {name: tensorflow.convert_to_tensor(one) for name, one in data.items()}
        given = module(data if isinstance(data, dict) else tensorflow.convert_to_tensor(data))
        return tensorflow.nest.map_structure(
            lambda one: one.numpy() if hasattr(one, "numpy") else np.asarray(one), given
        )

    return Predictor(module, predict)


def _function(function: SavedFunction) -> Predictor:
    def predict(data: Any, params: dict[str, Any] | None = None) -> Any:
        return function.of_arrays(data)

    return Predictor(function.model, predict)
