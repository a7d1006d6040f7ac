"""Loads what was saved: the native model, or the predictor of any model, whoever wrote it."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from headrace.sdk.flavors import known
from headrace.sdk.flavors.flavor import MissingPackage, Predictor
from headrace.sdk.models.mlmodel import PYFUNC, Metadata, NoModel


def load_native(folder: Path, flavor: str | None = None, **options: Any) -> Any:
    """The model as its framework has it. flavor: which of the model's; its first own one when not given.

    options: the flavor's own.

    Raises NoModel, UnknownFlavor, MissingPackage.
    """
    described = Metadata.read(folder)
    if flavor is None:
        flavor = next((name for name in described.flavors if name in known.NAMES and name != PYFUNC), PYFUNC)
    if flavor not in described.flavors:
        raise NoModel(f"{folder} has the flavors {', '.join(described.flavors)}, not {flavor}")
    entry = described.flavors[flavor]
    add_code(folder, entry)
    return known.named(flavor).load(folder, entry, **options)


def load_predictor(folder: Path, described: Metadata, model_config: Mapping[str, Any] | None = None) -> Predictor:
    """The model ready to predict, by the loader its python_function flavor names.

    model_config: overrides of the configuration it was saved with. Raises NoModel, MissingPackage.
    """
    entry = dict(described.pyfunc)
    if model_config:
        entry["config"] = {**(entry.get("config") or {}), **model_config}
    add_code(folder, entry)
    loader = str(entry.get("loader_module", ""))
    flavor = known.of_loader(loader)
    if flavor is not None:
        return flavor.predictor(folder, described.flavors.get(flavor.NAME, {}), entry)
    return _foreign(folder, loader, entry)


def add_code(folder: Path, entry: Mapping[str, Any]) -> None:
    """Let the user's code that came with the model be imported, before all else."""
    code = entry.get("code")
    if not code:
        return
    path = str((folder / str(code)).resolve())
    if not Path(path).is_relative_to(folder.resolve()):
        raise NoModel(f"the model's code lies outside of its folder, in {code}")
    if path not in sys.path:
        sys.path.insert(0, path)
        importlib.invalidate_caches()


def _foreign(folder: Path, loader: str, entry: Mapping[str, Any]) -> Predictor:
    """A model of a loader we have not: by that module itself, where it can be imported, as MLflow's contract says."""
    try:
        module = importlib.import_module(loader)
    except ImportError as error:
        top = loader.partition(".")[0]
        if (error.name or "").partition(".")[0] not in (top, loader):
            raise MissingPackage(f"the model's loader {loader} needs {error.name}: {error}", name=error.name) from error
        flavor = loader.removeprefix("mlflow.").partition(".")[0]
        hint = (
            f"it is of MLflow's flavor {flavor}: {known.how_to_load(flavor)}; its requirements.txt names the rest"
            if top == "mlflow"
            else (f"install the package that has {top}, or save the model with it in code_paths")
        )
        raise MissingPackage(f"the model is loaded by {loader}, which is not here: {hint}", name=error.name) from error
    data = str(folder / str(entry["data"])) if entry.get("data") else str(folder)
    load = module._load_pyfunc
    takes_config = "model_config" in inspect.signature(load).parameters
    model = load(data, entry.get("config")) if takes_config else load(data)
    method = getattr(model, str(entry.get("predict_fn") or "predict"))
    takes_params = "params" in inspect.signature(method).parameters

    def predict(given: Any, params: dict[str, Any] | None = None) -> Any:
        return method(given, params=params) if takes_params else method(given)

    return Predictor(model, predict)
