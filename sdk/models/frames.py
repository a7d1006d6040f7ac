"""A DataFrame of what a program may give a model whose signature has columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from headrace.sdk.models.mismatch import SchemaMismatch
from headrace.sdk.models.schema import Array, ColSpec, Object


def frame_of(data: Any, specs: Sequence[ColSpec]) -> pd.DataFrame:
    """A Series, dict, list, array or scalar as a frame. Raises SchemaMismatch.

    A dict of scalars, or of lists of text, is one row, as in MLflow; a dict of other lists or arrays is columns.
    """
    try:
        if isinstance(data, pd.Series):
            return data.to_frame()
        if isinstance(data, Mapping):
            return _of_dict(data, specs)
        if isinstance(data, list | np.ndarray):
            return pd.DataFrame(data)
        if np.isscalar(data):
            return pd.DataFrame([data])
    except (TypeError, ValueError) as error:
        raise SchemaMismatch(f"the model takes a DataFrame, and of what was given none can be made: {error}") from None
    raise SchemaMismatch(f"the model takes a DataFrame, and was given a {type(data).__name__}")


def _of_dict(data: Mapping[Any, Any], specs: Sequence[ColSpec]) -> pd.DataFrame:
    nested = any(isinstance(one.type, Array | Object) for one in specs)
    if nested or all(_is_cell(one) for one in data.values()):
        return pd.DataFrame([dict(data)])
    deep = {name: one.tolist() if isinstance(one, np.ndarray) and one.ndim > 1 else one for name, one in data.items()}
    return pd.DataFrame(deep)


def _is_cell(value: Any) -> bool:
    if isinstance(value, list):
        return all(isinstance(one, str) for one in value)
    return value is None or np.isscalar(value) or (isinstance(value, np.ndarray) and value.shape == ())
