"""XGBoost: a Booster, or a model of its scikit-learn interface, in XGBoost's own file."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from headrace.sdk.flavors.flavor import Predict, Predictor, Saved, loaded, need
from headrace.sdk.models.mlmodel import NoModel, pyfunc_entry

NAME = "xgboost"
LOADER_MODULE = "mlflow.xgboost"
PACKAGES = ("xgboost",)
BOOSTER = "xgboost.core.Booster"


def recognizes(model: Any) -> bool:
    """Whether it is a Booster or an XGBModel."""
    return "xgboost" in sys.modules and loaded(model, "xgboost") and hasattr(model, "save_model")


def save(model: Any, folder: Path, *, example: Any = None, model_format: str = "ubj") -> Saved:
    """Write model.ubj, or model.json or model.deprecated for another model_format. Raises what XGBoost raises."""
    file = f"model.{model_format}"
    model.save_model(folder / file)
    entry = {
        "code": None,
        "data": file,
        "model_class": f"{type(model).__module__}.{type(model).__qualname__}",
        "model_format": model_format,
        "xgb_version": sys.modules["xgboost"].__version__,
    }
    modules = ("xgboost", "numpy", "scipy", *(["sklearn"] if loaded(model, "sklearn") else []))
    return Saved({NAME: entry, "python_function": pyfunc_entry(LOADER_MODULE, data=file)}, modules)


def load(folder: Path, entry: Mapping[str, Any]) -> Any:
    """The Booster or the XGBModel. Raises MissingPackage, NoModel."""
    need("xgboost", PACKAGES)
    name = str(entry.get("model_class") or BOOSTER)
    if name.partition(".")[0] != "xgboost":
        raise NoModel(f"the model's class {name} is not XGBoost's")
    file = folder / str(entry.get("data") or "model.xgb")
    if not file.is_file():
        raise NoModel(f"the model's file {file} is not there")
    module, _, kind = name.rpartition(".")
    model = getattr(need(module, PACKAGES), kind)()
    known = file.suffix in (".ubj", ".json")  # by another name XGBoost guesses, and warns that it does
    model.load_model(file if known else bytearray(file.read_bytes()))
    return model


def predictor(folder: Path, entry: Mapping[str, Any], pyfunc_entry: Mapping[str, Any]) -> Predictor:
    """The model ready to predict, whose params are those of its own predict. Raises MissingPackage, NoModel."""
    return wrap(load(folder, {"data": pyfunc_entry.get("data"), **entry}), pyfunc_entry)


def wrap(model: Any, pyfunc_entry: Mapping[str, Any]) -> Predictor:
    """A model in memory, ready to predict."""
    xgboost = need("xgboost", PACKAGES)
    if not isinstance(model, xgboost.Booster):
        numbers = _only_numbers(model.get_booster())
        others = {"predict_proba": model.predict_proba} if hasattr(model, "predict_proba") else {}
        return Predictor(model, _of_model(model, True), _of_model(model, False) if numbers else None, others)

    def predict(data: Any, params: dict[str, Any] | None = None) -> Any:
        return model.predict(xgboost.DMatrix(data), **(params or {}))

    def predict_array(data: Any, params: dict[str, Any] | None = None) -> Any:
        named = xgboost.DMatrix(data, feature_names=model.feature_names)
        return model.predict(named, **(params or {}))

    return Predictor(model, predict, predict_array if _only_numbers(model) else None)


def _of_model(model: Any, validate: bool) -> Predict:
    def predict(data: Any, params: dict[str, Any] | None = None) -> Any:
        return model.predict(data, validate_features=validate, **(params or {}))

    return predict


def _only_numbers(booster: Any) -> bool:
    return "c" not in (booster.feature_types or [])
