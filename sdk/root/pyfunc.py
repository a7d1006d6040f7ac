"""`headrace.pyfunc`: any model behind one face, and models of your own as a class or a function."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from headrace.sdk.models.logged import ModelInfo
from headrace.sdk.models.logged import log_model as _log
from headrace.sdk.models.mlmodel import Metadata
from headrace.sdk.models.places import load_pyfunc
from headrace.sdk.models.pyfunc import PyFuncModel
from headrace.sdk.models.python_model import PythonModel, PythonModelContext
from headrace.sdk.models.saving import save_model as _save

__all__ = ["PyFuncModel", "PythonModel", "PythonModelContext", "load_model", "log_model", "save_model"]


def save_model(
    path: str | os.PathLike[str],
    python_model: Any,
    *,
    artifacts: Mapping[str, str] | None = None,
    model_config: Mapping[str, Any] | str | None = None,
    **options: Any,
) -> Metadata:
    """Save a PythonModel, a function of the input, or a file of code that calls `headrace.models.set_model`.

    artifacts: name to a local file or folder, copied; the model finds them in its context. options: as
    `headrace.models.save_model`.
    """
    return _save(
        python_model, path, flavor="python_function", artifacts=artifacts, model_config=model_config, **options
    )


def log_model(
    name: str | None = None,
    *,
    python_model: Any,
    artifacts: Mapping[str, str] | None = None,
    model_config: Mapping[str, Any] | str | None = None,
    **options: Any,
) -> ModelInfo:
    """Log a Python model without waiting, as `save_model` saves it. options: as `headrace.models.log_model`."""
    return _log(python_model, name, flavor="python_function", artifacts=artifacts, model_config=model_config, **options)


def load_model(
    model_uri: str | os.PathLike[str],
    *,
    model_config: Mapping[str, Any] | None = None,
    strict_mlflow_compat: bool = False,
) -> PyFuncModel:
    """Load a model of any flavor, by its URI or folder. model_config: overrides of the configuration it has.

    strict_mlflow_compat: refuse all data that MLflow refuses, such as nullable columns with missing values.
    """
    return load_pyfunc(model_uri, model_config, strict_mlflow_compat=strict_mlflow_compat)
