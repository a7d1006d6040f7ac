"""What a training was given: its arguments as params, its data as data sets, a few rows as an example."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from typing import Any

from headrace.sdk import data
from headrace.sdk.autolog.patching import Call

EXAMPLE_ROWS = 5
"""Rows of an input example and of what a signature is taken from, as in MLflow."""
DENSE_CELLS_MAX = 10_000_000


def params_of(call: Call, left_out: tuple[str, ...]) -> dict[str, str]:
    """The arguments of a call as params, the function's defaults included; arrays are told by type and shape."""
    found: dict[str, str] = {}
    for name, value in call.bound().items():
        parameter = call.signature.parameters[name]
        if name in left_out or parameter.kind is parameter.VAR_POSITIONAL:
            continue
        if parameter.kind is parameter.VAR_KEYWORD:
            found.update({key: told(one) for key, one in value.items() if key not in left_out})
        else:
            found[name] = told(value)
    return found


def told(value: Any) -> str:
    """A value as a param's text; an array, a table or a tensor by its type and shape."""
    shape = getattr(value, "shape", None)
    if shape is not None and tuple(shape) != ():
        return f"{type(value).__name__}{tuple(shape)}"
    return str(value)


def is_table(value: Any) -> bool:
    """Whether it is a pandas DataFrame (or one that works like it)."""
    return hasattr(value, "dtypes") and hasattr(value, "columns") and hasattr(value, "iloc")


def is_dataset(value: Any) -> bool:
    """Whether it is a tf.data.Dataset."""
    return hasattr(value, "element_spec") and hasattr(value, "batch")


def rows_of(value: Any, rows: int = EXAMPLE_ROWS) -> Any:
    """The first rows of arrays, tensors, tables, or of a dict of them, as numpy or pandas; a copy.

    Raises TypeError for what has no rows.
    """
    import numpy as np  # comes with pandas: not at import time

    if isinstance(value, Mapping):
        return {str(key): rows_of(one, rows) for key, one in value.items()}
    if is_table(value):
        return value.head(rows).copy()
    if hasattr(value, "iloc"):  # a Series
        return np.array(value.iloc[:rows])
    if hasattr(value, "toarray"):  # a sparse matrix
        return value[:rows].toarray()
    if hasattr(value, "__getitem__") and not isinstance(value, str | bytes):
        return np.array(value[:rows])
    raise TypeError(f"no rows can be taken of {type(value).__name__}")


def dataset_of(features: Any, targets: Any = None) -> data.Dataset:
    """A training's data as a data set: arrays, tensors, tables, sparse matrices, dicts of them, a tf.data.Dataset.

    Nothing is drawn from a tf.data.Dataset: its digest covers what it yields, by shape and type, and how much of it.
    Raises TypeError for anything else.
    """
    if is_dataset(features):
        return _of_tf_dataset(features)
    if is_table(features):
        return data.from_pandas(features)
    if isinstance(features, list | tuple) and features and hasattr(features[0], "shape"):
        features = {f"input_{place}": one for place, one in enumerate(features)}
    if not isinstance(features, Mapping) and not hasattr(features, "shape") and not isinstance(features, list):
        raise TypeError(f"{type(features).__name__} is no data set that autolog knows")
    if isinstance(targets, list | tuple) and targets and hasattr(targets[0], "shape"):
        targets = {f"output_{place}": one for place, one in enumerate(targets)}
    return data.from_numpy(_dense(features), targets=_dense(targets))


def _dense(value: Any) -> Any:
    """Sparse matrices as arrays. Raises TypeError for one that would fill the memory."""
    if isinstance(value, Mapping):
        return {str(key): _dense(one) for key, one in value.items()}
    if not hasattr(value, "toarray"):
        return value
    if math.prod(value.shape) > DENSE_CELLS_MAX:
        raise TypeError(f"a sparse matrix of {value.shape} has too many cells to be described")
    return value.toarray()


def _of_tf_dataset(dataset: Any) -> data.Dataset:
    spec = dataset.element_spec
    features, targets = (spec[0], spec[1]) if isinstance(spec, tuple) and len(spec) > 1 else (spec, None)
    cardinality = int(dataset.cardinality())
    schema: dict[str, Any] = {"features": _specs(features)}
    if targets is not None:
        schema["targets"] = _specs(targets)
    digest = hashlib.md5(repr((schema, cardinality)).encode(), usedforsecurity=False).hexdigest()[:8]
    return data.Dataset(
        "dataset", digest, source='{"tags": {}}', schema=schema, profile={"features_cardinality": cardinality}
    )


def _specs(spec: Any) -> dict[str, Any]:
    named = spec.items() if isinstance(spec, Mapping) else [(None, spec)]
    return {
        "mlflow_tensorspec": [
            {
                "type": "tensor",
                **({"name": str(name)} if name is not None else {}),
                "tensor-spec": {
                    "dtype": one.dtype.name,
                    "shape": [-1 if size is None else int(size) for size in (one.shape.as_list() or [])],
                },
            }
            for name, one in named
            if hasattr(one, "dtype") and hasattr(one, "shape") and one.shape.rank is not None
        ]
    }
