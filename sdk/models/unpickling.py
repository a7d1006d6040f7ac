"""Unpickles models, also those that MLflow pickled where MLflow is not installed; pickles those MLflow should read.

A pickle is a program: whoever made it can do anything here. Only load what you trust (see how-to/log-and-load-a-model).
"""

from __future__ import annotations

import importlib
import io
import operator
import os
import pickle
from pathlib import Path
from typing import Any

from headrace.sdk.flavors.flavor import MissingPackage
from headrace.sdk.models import python_model
from headrace.sdk.models.mlmodel import NoModel
from headrace.sdk.process import process

STANDINS: dict[tuple[str, str], Any] = {
    ("mlflow.pyfunc", "PythonModel"): python_model.PythonModel,
    ("mlflow.pyfunc", "PythonModelContext"): python_model.PythonModelContext,
    ("mlflow.pyfunc.model", "PythonModel"): python_model.PythonModel,
    ("mlflow.pyfunc.model", "PythonModelContext"): python_model.PythonModelContext,
    ("mlflow.pyfunc.model", "_FunctionPythonModel"): python_model.FunctionModel,
    ("mlflow.pyfunc.utils.data_validation", "FuncInfo"): python_model.FuncInfo,
    ("mlflow.pyfunc.utils.data_validation", "_validate_model_input"): python_model.as_given,
    ("mlflow.models.signature", "_TypeHints"): python_model.TypeHints,
    ("mlflow.models.signature", "ModelSignature"): python_model.Forgotten,
    ("mlflow.exceptions", "MlflowException"): RuntimeError,
}
"""What MLflow's pickles name of MLflow itself, and what does its work here."""


class Unpickler(pickle.Unpickler):
    """Reads what MLflow pickled by what stands for it here, and says what to install for what it cannot find."""

    def find_class(self, module: str, name: str) -> Any:
        standin = STANDINS.get((module, name))
        if standin is not None:
            return standin
        if (module, name) == ("importlib", "import_module"):
            return _import  # our own pickles name MLflow's classes by it
        try:
            return super().find_class(module, name)
        except ImportError as error:
            top = module.partition(".")[0]
            if (error.name or "").partition(".")[0] == top:
                raise MissingPackage(
                    f"the pickled model needs the module {module}, which is not here: install the package that has"
                    f" {top}, or give the code with code_paths when the model is saved",
                    name=error.name,
                ) from error
            raise


class _Module:
    """In place of a module of MLflow's: only what stands for it."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        standin = STANDINS.get((self._name, name))
        if standin is None:
            return getattr(importlib.import_module(self._name), name)
        return standin


def _import(name: str) -> Any:
    return _Module(name) if name.partition(".")[0] == "mlflow" else importlib.import_module(name)


def check_allowed(file: Path) -> None:
    """Raises NoModel where the settings allow no pickle."""
    said = os.environ.get("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "true").strip().lower()
    if not process.settings().allow_pickle or said in ("false", "0"):
        raise NoModel(
            f"{file} is a pickle, which may run any code, and the settings allow none (HEADRACE_ALLOW_PICKLE,"
            " MLFLOW_ALLOW_PICKLE_DESERIALIZATION); save the model in another format, such as skops or as code"
        )


def load_pickle(file: Path) -> Any:
    """What was pickled into a file. Raises MissingPackage for a module that is not here, NoModel for a broken file,
    or where the settings allow no pickle."""
    check_allowed(file)
    try:
        with open(file, "rb") as source:
            return Unpickler(source).load()
    except FileNotFoundError:
        raise NoModel(f"the model's file {file} is not there") from None
    except (pickle.UnpicklingError, EOFError) as error:
        raise NoModel(f"{file} is no pickle, or is cut off: {error}") from error


def loads(data: bytes) -> Any:
    """What was pickled into bytes, as `load_pickle`."""
    return Unpickler(io.BytesIO(data)).load()


class _Named:
    """Something of MLflow's by its name; unpickled it is the thing itself, wherever the pickle is read."""

    def __init__(self, module: str) -> None:
        self._module = module

    def __reduce__(self) -> Any:
        return importlib.import_module, (self._module,)


def dump_python_model(model: Any, file: Path) -> None:
    """Pickle a Python model so that MLflow reads it without us: our base class becomes MLflow's. Raises OSError."""
    import cloudpickle

    class Pickler(cloudpickle.Pickler):  # type: ignore[misc]  # it has no types
        def reducer_override(self, thing: Any) -> Any:
            if thing is python_model.PythonModel:
                return getattr, (_Named("mlflow.pyfunc.model"), "PythonModel")
            if type(thing) is python_model.FunctionModel:
                make = operator.methodcaller("_FunctionPythonModel", thing.func)
                return make, (_Named("mlflow.pyfunc.model"),)
            return super().reducer_override(thing)

    with open(file, "wb") as target:
        Pickler(target, protocol=pickle.DEFAULT_PROTOCOL).dump(model)
