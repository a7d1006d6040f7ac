"""The files a Keras model is kept in, of every age: .keras, HDF5, and the SavedModels of Keras 2."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from headrace.sdk.flavors.compiled import compiled
from headrace.sdk.flavors.flavor import Predictor, loaded, need
from headrace.sdk.flavors.saved_model import SavedFunction
from headrace.sdk.models.mlmodel import FILE, Metadata, NoModel
from headrace.sdk.models.signature import ModelSignature
from headrace.sdk.models.unpickling import load_pickle

CUSTOM_OBJECTS = "custom_objects.cloudpickle"
GLOBAL_CUSTOM_OBJECTS = "global_custom_objects.cloudpickle"
PACKAGES = ("keras", "tensorflow")


def is_keras(model: Any) -> bool:
    """Whether it is a Keras model, told without importing Keras."""
    return loaded(model, "keras", "tf_keras") and hasattr(model, "layers") and hasattr(model, "predict_on_batch")


def write_custom_objects(model: Any, data: Path, given: Mapping[str, Any] | None) -> bool:
    """Pickle custom objects beside a model, and those registered with Keras that it uses; whether there were any."""
    import cloudpickle

    registered = _registered(model)
    for file, objects in ((CUSTOM_OBJECTS, dict(given or {})), (GLOBAL_CUSTOM_OBJECTS, registered)):
        if objects:
            (data / file).write_bytes(cloudpickle.dumps(objects))
    return bool(given or registered)


def _registered(model: Any) -> dict[str, Any]:
    found = dict(sys.modules["keras"].saving.get_custom_objects()) if "keras" in sys.modules else {}
    try:
        description = str(model.to_json()) if found else ""
    except (NotImplementedError, TypeError, ValueError):  # a class of its own: what it uses cannot be told
        return found
    return {name: one for name, one in found.items() if name in description}


def _custom_objects(data: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for file in (GLOBAL_CUSTOM_OBJECTS, CUSTOM_OBJECTS):
        if (data / file).is_file():
            found |= load_pickle(data / file)
    return found


def read(data: Path, *, custom_objects: Mapping[str, Any] | None = None, **options: Any) -> Any:
    """A Keras model from the folder, or file, that MLmodel calls its data.

    A SavedModel that Keras 2 wrote is read by tf_keras where that is installed, else it is the bare graph, which
    predicts all the same. options: for `keras.saving.load_model`. Raises MissingPackage, NoModel.
    """
    keras = need("keras", PACKAGES)
    objects = (_custom_objects(data) if data.is_dir() else {}) | dict(custom_objects or {})
    for file in [data / "model.keras", data / "model.h5", data]:
        if file.is_file():
            return _load(keras, file, objects, options)
    for folder in (data / "model", data):
        if (folder / "saved_model.pb").is_file():
            return _saved_model(folder, objects, options)
    raise NoModel(f"{data} holds no Keras model: neither model.keras, nor model.h5, nor a SavedModel")


def _load(keras: Any, file: Path, objects: dict[str, Any], options: dict[str, Any]) -> Any:
    if file.suffix != ".keras":
        options = {"compile": False, **options}  # losses and metrics of HDF5 files are named as old versions did
    try:
        return keras.saving.load_model(file, custom_objects=objects or None, **options)
    except (TypeError, ValueError) as error:
        said = str(error).rpartition("Exception encountered: ")[2].partition("Full object config")[0].strip()
        raise NoModel(
            f"{file} cannot be read by Keras {keras.__version__}: {said} Classes and functions of your own come with a"
            " model that is saved with custom_objects={name: object}, or with code_paths"
        ) from error


def _saved_model(folder: Path, objects: dict[str, Any], options: dict[str, Any]) -> Any:
    tensorflow = need("tensorflow", ("tensorflow",))
    if (folder / "keras_metadata.pb").is_file():
        for module in ("tf_keras", "keras"):
            try:
                library = need(module, (module,))
            except ImportError:
                continue
            if int(str(library.__version__).partition(".")[0]) < 3:
                return library.models.load_model(folder, custom_objects=objects or None, **options)
    return tensorflow.saved_model.load(str(folder))


def signature_of(folder: Path) -> ModelSignature | None:
    """The signature of the model in a folder; None before it is described."""
    return Metadata.read(folder).signature if (folder / FILE).is_file() else None


def predictor(model: Any, signature: ModelSignature | None) -> Predictor:
    """A Keras model, or the graph of one, ready to predict; a DataFrame is answered with a DataFrame, as by MLflow."""
    call = compiled(model) if hasattr(model, "layers") and hasattr(model, "predict") else SavedFunction(model).of_arrays

    def predict(data: Any, params: dict[str, Any] | None = None) -> Any:
        given = call(data)
        frame = type(data).__name__ == "DataFrame" and hasattr(data, "index")
        return _framed(given, data.index) if frame else given

    def predict_array(data: Any, params: dict[str, Any] | None = None) -> Any:
        return _framed(call(data), None)

    columns = signature is not None and signature.inputs is not None and not signature.inputs.is_tensor_spec()
    one = not hasattr(model, "inputs") or len(model.inputs or [0]) == 1
    return Predictor(model, predict, predict_array if columns and one else None)


def _framed(given: Any, index: Any) -> Any:
    if getattr(given, "ndim", 3) > 2:
        return given
    import pandas as pd

    return pd.DataFrame(given, index=index)
