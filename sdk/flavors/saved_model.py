"""A TensorFlow SavedModel as a function: of a DataFrame, as `tf.estimator` exports are asked, or of arrays."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from headrace.sdk.flavors.flavor import need
from headrace.sdk.models.mlmodel import NoModel


@dataclass(frozen=True)
class SavedModel:
    """A SavedModel that is in a folder already, as `tf.estimator`'s `export_saved_model` leaves it.

    tags: of its graph. signature_def_key: which of its functions predicts.
    """

    folder: str | Path
    tags: Sequence[str] = ("serve",)
    signature_def_key: str = "predict"

    def copy(self, target: Path) -> None:
        """Copy it. Raises NoModel when there is none."""
        source = Path(self.folder)
        if not (source / "saved_model.pb").is_file() and not (source / "saved_model.pbtxt").is_file():
            raise NoModel(f"{source} holds no SavedModel")
        shutil.copytree(source, target)


class SavedFunction:
    """A function of a loaded SavedModel, its inputs cast to what it declares.

    model: what `tf.saved_model.load` gave. key: which signature; None takes the model's own call, or `serving_default`.
    Raises NoModel where it is not there.
    """

    def __init__(self, model: Any, key: str | None = None) -> None:
        self.model = model  # the function holds its variables weakly
        self._tf = need("tensorflow", ("tensorflow",))
        signatures = getattr(model, "signatures", {})
        if key is None:
            key = "serving_default" if "serving_default" in signatures else next(iter(signatures), None)
        if key not in signatures:
            raise NoModel(f"the SavedModel has no signature {key!r}; it has {', '.join(signatures) or 'none'}")
        self.function = signatures[key]
        self.inputs = {
            name: (spec.dtype, tuple(spec.shape) if spec.shape.rank is not None else None)
            for name, spec in self.function.structured_input_signature[1].items()
        }

    def __call__(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Arrays, or anything that becomes one, by the names of the inputs, to arrays by the names of the outputs.

        Values of inputs there are not are left out. Raises ValueError for an input that is missing or cannot be cast.
        """
        lacking = [name for name in self.inputs if name not in values]
        if lacking:
            raise ValueError(f"the input lacks {', '.join(lacking)}; the model takes {', '.join(self.inputs)}")
        given = self.function(**{name: self._tensor(name, values[name]) for name in self.inputs})
        return {name: given[name].numpy() for name in sorted(given)}  # TensorFlow has them in no order

    def of_arrays(self, data: Any) -> Any:
        """The same by place or by name, and the one output without its name, as a Keras model is asked."""
        if not isinstance(data, Mapping):
            if type(data).__name__ == "DataFrame" and hasattr(data, "columns"):
                named = len(self.inputs) > 1 and set(self.inputs) <= set(data.columns)
                data = {name: data[name].to_numpy() for name in self.inputs} if named else data.to_numpy()
            if not isinstance(data, Mapping):
                several = isinstance(data, list | tuple) and len(self.inputs) > 1
                data = dict(zip(self.inputs, data if several else [data], strict=True))
        given = self(data)
        return next(iter(given.values())) if len(given) == 1 else given

    def _tensor(self, name: str, value: Any) -> Any:
        dtype, shape = self.inputs[name]
        array = np.asarray(value)
        if array.dtype.kind == "O" and dtype != self._tf.string:
            array = np.array(list(array))
        if dtype != self._tf.string and array.dtype != dtype.as_numpy_dtype:
            try:
                array = array.astype(dtype.as_numpy_dtype)
            except (TypeError, ValueError) as error:
                raise ValueError(f"the input {name} is of {dtype.name}: {error}") from None
        if shape is not None and array.ndim == len(shape) - 1 and shape[-1] in (1, None):
            array = array[..., np.newaxis]
        try:
            tensor = self._tf.constant(array, dtype)
        except (TypeError, ValueError) as error:
            raise ValueError(f"the input {name} is of {dtype.name}: {error}") from None
        if shape is not None and not self._tf.TensorShape(shape).is_compatible_with(tensor.shape):
            said = ", ".join("any" if length is None else str(length) for length in shape)
            raise ValueError(f"the input {name} has the shape {tuple(tensor.shape)}; the model takes ({said})")
        return tensor


def columns_of(given: dict[str, Any]) -> dict[str, Any]:
    """Outputs as the columns of a DataFrame, as MLflow makes them: of one value a row, or of a list a row."""
    found: dict[str, Any] = {}
    for name, array in given.items():
        flat = array.ndim != 1 and all(len(row) == 1 for row in array)
        found[name] = array.ravel() if flat else array.tolist()
    return found


def is_module(model: Any) -> bool:
    """Whether it is a `tf.Module`, told without importing TensorFlow."""
    named = {(one.__module__, one.__name__) for one in type(model).__mro__}
    return "tensorflow" in sys.modules and ("tensorflow.python.module.module", "Module") in named
