"""Any model behind one face: load it, and ask it for predictions with data that fit its signature."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from headrace.sdk.flavors.flavor import Predictor
from headrace.sdk.models import example, loading
from headrace.sdk.models.enforcement import Plan, SchemaMismatch
from headrace.sdk.models.mlmodel import Metadata, NoModel


class PyFuncModel:
    """A loaded model.

    metadata: what MLmodel says. plan: how data are held against the signature (see `sdk/models/enforcement.py`).
    predictor: the model itself (see `sdk/flavors/flavor.py`). folder: where its files are.
    """

    def __init__(self, metadata: Metadata, predictor: Predictor, folder: Path, *, strict: bool = False) -> None:
        self.metadata = metadata
        self.predictor = predictor
        self.folder = folder
        inputs = None if metadata.is_signature_from_type_hint else metadata.get_input_schema()
        self.plan = Plan(inputs, metadata.get_params_schema(), strict=strict)

    def predict(self, data: Any, params: Mapping[str, Any] | None = None) -> Any:
        """Predictions for data: a DataFrame, Series, array, dict, list, sparse matrix or scalar, as the model takes it.

        An Arrow table or record batch is taken as the DataFrame it makes.
        Raises SchemaMismatch for data or params that do not fit the signature; and what the model raises.
        """
        if type(data).__module__ == "pyarrow.lib" and hasattr(data, "to_pandas"):
            data = data.to_pandas()
        return self.predictor.predict(self.plan.enforce(data), self.plan.params(params))

    @property
    def model_id(self) -> str | None:
        """The id of the logged model, or None for one that was only saved."""
        return self.metadata.model_id

    @functools.cached_property
    def input_example(self) -> Any:
        """The input it was saved with as an example, as `predict` takes it, or None."""
        info = self.metadata.saved_input_example_info
        kept = example.read(self.folder, info)
        if kept is None or info is None or self.plan.inputs is None:
            return kept
        try:  # JSON knows neither float32 nor moments; the signature does
            if info.get("type") == "dataframe":
                return self.plan.from_columns({name: list(kept[name]) for name in kept.columns})
            return self.plan.from_values(kept) if info.get("type") == "ndarray" else kept
        except SchemaMismatch:
            return kept

    @property
    def input_example_params(self) -> dict[str, Any] | None:
        """The params it was saved with as an example, or None."""
        return example.read_params(self.folder, self.metadata.saved_input_example_info)

    @property
    def loader_module(self) -> str:
        """MLflow's name of its loader."""
        return str(self.metadata.pyfunc.get("loader_module", ""))

    @property
    def model_config(self) -> dict[str, Any] | None:
        """The configuration it was saved with, or None."""
        return self.metadata.pyfunc.get("config")

    def unwrap_python_model(self) -> Any:
        """The PythonModel itself, with the methods it has besides predict. Raises NoModel for another flavor."""
        if not self.loader_module.startswith("mlflow.pyfunc."):
            raise NoModel(f"this model is no Python model: it is loaded by {self.loader_module}; see get_raw_model")
        return self.predictor.model

    def get_raw_model(self) -> Any:
        """The native model: an estimator, a booster, a module."""
        return self.predictor.model

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("_") and "predictor" in vars(self) and name in self.predictor.attributes:
            return self.predictor.attributes[name]
        raise AttributeError(f"a loaded model has no {name!r}")

    def __repr__(self) -> str:
        return f"<PyFuncModel {self.model_id or self.folder} loaded by {self.loader_module}>"


def load_folder(
    folder: str | os.PathLike[str], model_config: Mapping[str, Any] | None = None, *, strict: bool = False
) -> PyFuncModel:
    """Load the model of a folder on this machine. strict: see `Plan`. Raises NoModel, MissingPackage."""
    place = Path(folder)
    described = Metadata.read(place)
    return PyFuncModel(described, loading.load_predictor(place, described, model_config), place, strict=strict)
