"""CatBoost: any of its models, in CatBoost's own file."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from headrace.sdk.flavors.flavor import Predictor, Saved, loaded, need
from headrace.sdk.models.mlmodel import NoModel, pyfunc_entry

NAME = "catboost"
LOADER_MODULE = "mlflow.catboost"
PACKAGES = ("catboost",)
KINDS = ("CatBoost", "CatBoostClassifier", "CatBoostRanker", "CatBoostRegressor")
FILE = "model.cb"


def recognizes(model: Any) -> bool:
    """Whether it is a CatBoost model."""
    return "catboost" in sys.modules and loaded(model, "catboost") and hasattr(model, "save_model")


def save(model: Any, folder: Path, *, example: Any = None, format: str = "cbm") -> Saved:
    """Write model.cb. format: cbm, json, onnx and the like, as CatBoost has them."""
    model.save_model(str(folder / FILE), format=format)
    entry = {
        "catboost_version": sys.modules["catboost"].__version__,
        "code": None,
        "data": FILE,
        "model_type": type(model).__name__,
        "save_format": format,
    }
    return Saved({NAME: entry, "python_function": pyfunc_entry(LOADER_MODULE, data=FILE)}, ("catboost", "numpy"))


def load(folder: Path, entry: Mapping[str, Any]) -> Any:
    """The model. Raises MissingPackage, NoModel."""
    catboost = need("catboost", PACKAGES)
    kind = str(entry.get("model_type") or "CatBoost")
    if kind not in KINDS:
        raise NoModel(f"there is no CatBoost model of the type {kind}; there are {', '.join(KINDS)}")
    file = folder / str(entry.get("data") or FILE)
    if not file.is_file():
        raise NoModel(f"the model's file {file} is not there")
    model = getattr(catboost, kind)()
    model.load_model(str(file), format=str(entry.get("save_format") or "cbm"))
    return model


def predictor(folder: Path, entry: Mapping[str, Any], pyfunc_entry: Mapping[str, Any]) -> Predictor:
    """The model ready to predict. Raises MissingPackage, NoModel."""
    return wrap(load(folder, {"data": pyfunc_entry.get("data"), **entry}), pyfunc_entry)


def wrap(model: Any, pyfunc_entry: Mapping[str, Any]) -> Predictor:
    """A model in memory, ready to predict."""

    def predict(data: Any, params: dict[str, Any] | None = None) -> Any:
        return model.predict(data)

    others = {"predict_proba": model.predict_proba} if hasattr(model, "predict_proba") else {}
    return Predictor(model, predict, None if _reads_more_than_numbers(model) else predict, others)


def _reads_more_than_numbers(model: Any) -> bool:
    """Whether a column is a category, a text or a list, which an array of numbers cannot hold."""
    kinds = ("get_cat_feature_indices", "get_text_feature_indices", "get_embedding_feature_indices")
    return any(len(getattr(model, kind)()) for kind in kinds if hasattr(model, kind))
