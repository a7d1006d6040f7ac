"""statsmodels: the results of a fit, pickled by statsmodels."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from headrace.sdk.flavors.flavor import Predictor, Saved, loaded, need
from headrace.sdk.models.mlmodel import pyfunc_entry
from headrace.sdk.models.unpickling import load_pickle

NAME = "statsmodels"
LOADER_MODULE = "mlflow.statsmodels"
PACKAGES = ("statsmodels",)
FILE = "model.statsmodels"


def recognizes(model: Any) -> bool:
    """Whether it is the results of a fit."""
    return "statsmodels" in sys.modules and loaded(model, "statsmodels") and hasattr(model, "params")


def save(model: Any, folder: Path, *, example: Any = None, remove_data: bool = False) -> Saved:
    """Write model.statsmodels. remove_data: without the data it was fitted to, where predicting needs none of it."""
    model.save(str(folder / FILE), remove_data=remove_data)
    entry = {"code": None, "data": FILE, "statsmodels_version": sys.modules["statsmodels"].__version__}
    modules = ("statsmodels", "numpy", "pandas", "scipy", "patsy")
    return Saved({NAME: entry, "python_function": pyfunc_entry(LOADER_MODULE, data=FILE)}, modules)


def load(folder: Path, entry: Mapping[str, Any]) -> Any:
    """The results. Raises MissingPackage, NoModel."""
    need("statsmodels", PACKAGES)
    return load_pickle(folder / str(entry.get("data") or FILE))


def predictor(folder: Path, entry: Mapping[str, Any], pyfunc_entry: Mapping[str, Any]) -> Predictor:
    """The results ready to predict. Raises MissingPackage, NoModel."""
    return wrap(load(folder, {"data": pyfunc_entry.get("data"), **entry}), pyfunc_entry)


def wrap(model: Any, pyfunc_entry: Mapping[str, Any]) -> Predictor:
    """Results in memory, ready to predict: of a DataFrame, or, for a time series, of one row with start and end."""
    series = "statsmodels.tsa.base.tsa_model" in {one.__module__ for one in type(model.model).__mro__}

    def predict(data: Any, params: dict[str, Any] | None = None) -> Any:
        if not series:
            return model.predict(data)
        if not hasattr(data, "columns") or len(data) != 1 or not {"start", "end"} <= set(data.columns):
            raise ValueError("a model of a time series takes one row with the columns start and end")
        return model.predict(start=data["start"].iloc[0], end=data["end"].iloc[0])

    return Predictor(model, predict)
