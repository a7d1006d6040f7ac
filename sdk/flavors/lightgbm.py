"""LightGBM: a Booster in its own text file, or a model of the scikit-learn interface, pickled or in skops' format."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from headrace.sdk.flavors import sklearn
from headrace.sdk.flavors.flavor import Predictor, Saved, loaded, need
from headrace.sdk.models.mlmodel import NoModel, pyfunc_entry

NAME = "lightgbm"
LOADER_MODULE = "mlflow.lightgbm"
PACKAGES = ("lightgbm",)
BOOSTER = "lightgbm.basic.Booster"

SKOPS_TRUSTED_TYPES = (
    "collections.OrderedDict",
    "lightgbm.basic.Booster",
    "lightgbm.sklearn.LGBMClassifier",
    "lightgbm.sklearn.LGBMRanker",
    "lightgbm.sklearn.LGBMRegressor",
)


def recognizes(model: Any) -> bool:
    """Whether it is a Booster or an LGBMModel."""
    return "lightgbm" in sys.modules and loaded(model, "lightgbm") and hasattr(model, "predict")


def save(
    model: Any,
    folder: Path,
    *,
    example: Any = None,
    serialization_format: str = "cloudpickle",
    skops_trusted_types: list[str] | None = None,
) -> Saved:
    """Write model.lgb for a Booster, else model.pkl or model.skops. Raises ValueError for an unknown format."""
    entry: dict[str, Any] = {
        "code": None,
        "lgb_version": sys.modules["lightgbm"].__version__,
        "model_class": f"{type(model).__module__}.{type(model).__qualname__}",
        "serialization_format": serialization_format,
        "skops_trusted_types": None,
    }
    modules: tuple[str, ...] = ("lightgbm", "numpy", "scipy")
    if entry["model_class"] == BOOSTER:
        entry["data"] = "model.lgb"
        model.save_model(folder / "model.lgb")
    else:
        trusted = sorted({*SKOPS_TRUSTED_TYPES, *(skops_trusted_types or ())})
        entry["skops_trusted_types"] = trusted if serialization_format == "skops" else None
        entry["data"], more = sklearn.write(model, folder, serialization_format, trusted)
        modules += ("sklearn", *more)
    return Saved({NAME: entry, "python_function": pyfunc_entry(LOADER_MODULE, data=entry["data"])}, modules)


def load(folder: Path, entry: Mapping[str, Any]) -> Any:
    """The Booster or the LGBMModel. Raises MissingPackage, NoModel."""
    lightgbm = need("lightgbm", PACKAGES)
    file = folder / str(entry.get("data") or "model.lgb")
    if not file.is_file():
        raise NoModel(f"the model's file {file} is not there")
    if str(entry.get("model_class") or BOOSTER) == BOOSTER:
        return lightgbm.Booster(model_file=str(file))
    return sklearn.read(file, entry)


def predictor(folder: Path, entry: Mapping[str, Any], pyfunc_entry: Mapping[str, Any]) -> Predictor:
    """The model ready to predict. Raises MissingPackage, NoModel."""
    return wrap(load(folder, {"data": pyfunc_entry.get("data"), **entry}), pyfunc_entry)


def wrap(model: Any, pyfunc_entry: Mapping[str, Any]) -> Predictor:
    """A model in memory, ready to predict."""

    def predict(data: Any, params: dict[str, Any] | None = None) -> Any:
        return model.predict(data)

    # The scikit-learn interface warns of arrays where it was fitted with names.
    booster = not hasattr(model, "fit") and not model.pandas_categorical
    others = {"predict_proba": model.predict_proba} if hasattr(model, "predict_proba") else {}
    return Predictor(model, predict, predict if booster else None, others)
