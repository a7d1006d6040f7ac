"""JSON's values as the type that a signature says, a column or tensor at a time; errors are a request's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from headrace.sdk.models import columns
from headrace.sdk.models.mismatch import SchemaMismatch
from headrace.sdk.models.schema import ColSpec, TensorSpec, said
from headrace.sdk.serving import faults


def column(values: Sequence[Any], spec: ColSpec, name: str | int) -> Any:
    """The values as a column of a frame.

    values: of JSON, one a row. Raises Refused (400) for one that is not, and does not safely become, the type.
    """
    try:
        return columns.cast(name, values, spec.type, spec.required)
    except SchemaMismatch as error:
        raise faults.bad_request(f"{error}.") from None
    except RecursionError:
        raise faults.bad_request(f"the column {name!r} is nested too deep.") from None


def tensor(value: Any, spec: TensorSpec) -> np.ndarray[Any, Any]:
    """An array of the tensor's dtype; its shape is the enforcement's to check.

    value: JSON's nested arrays. Raises Refused (400) when they are ragged, or hold what is not of the dtype.
    """
    dtype, name = spec.type, spec.name
    try:
        if dtype.kind in "iu":
            return _safe_integers(np.array(value), dtype)
        # What is beyond a float32 is infinite, as everywhere in numpy.
        with np.errstate(over="ignore"):
            return np.array(value, dtype=dtype)
    except (ValueError, TypeError, OverflowError, RecursionError):
        what = "The tensor" if name is None else f"The tensor {name!r}"
        raise faults.bad_request(
            f"{what} must be an array of {dtype.name}, the items of each dimension of one length;"
            " this one is ragged, or holds something else."
        ) from None


def _safe_integers(array: np.ndarray[Any, Any], dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    """Raises ValueError or OverflowError where a value would change."""
    if array.size == 0:
        return array.astype(dtype)
    if array.dtype.kind in "OUS":
        array = np.vectorize(int, otypes=[object])(array)
    bounds = np.iinfo(dtype)
    if array.dtype.kind == "f" and not bool(np.all(array == np.floor(array))):
        raise ValueError("a fraction")
    if array.dtype.kind != "b" and not (int(array.min()) >= bounds.min and int(array.max()) <= bounds.max):
        raise OverflowError("beyond the dtype")
    return array.astype(dtype)


def expected_of(spec: ColSpec | TensorSpec) -> str:
    """What a column or tensor must hold, in words."""
    if isinstance(spec, TensorSpec):
        return f"tensor of {spec.type.name}, shape {spec.shape}"
    return said(spec.type)
