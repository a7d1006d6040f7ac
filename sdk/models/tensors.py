"""Arrays held against the tensors of a schema: as a program has them (`taken`), or as JSON has them (`cast`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from headrace.sdk.models.mismatch import SchemaMismatch
from headrace.sdk.models.schema import TensorSpec, flexible


def taken(data: Any, specs: Sequence[TensorSpec]) -> Any:
    """The array, or the dict of arrays, that the model takes.

    A dtype must be the schema's, a length too where that is not -1. A DataFrame becomes an array: of its numbers, or of
    the lists or arrays in its cells. Raises SchemaMismatch.
    """
    if isinstance(data, pd.Series):
        data = data.to_frame()
    if specs[0].name is None:
        return _unnamed(data, specs[0])
    if isinstance(data, np.ndarray) and len(specs) == 1:
        data = {specs[0].name: data}
    if not isinstance(data, Mapping | pd.DataFrame):
        names = ", ".join(str(one.name) for one in specs)
        raise SchemaMismatch(f"the model takes a dict of the arrays {names}, and was given a {type(data).__name__}")
    lacking = [str(one.name) for one in specs if one.name not in data]
    if lacking:
        raise SchemaMismatch(f"the model needs the tensors {', '.join(lacking)}, which are missing")
    given = {one.name: data[one.name] for one in specs}
    if isinstance(data, pd.DataFrame):
        return {one.name: _of_column(given[one.name], one) for one in specs}
    for one in specs:
        if not isinstance(given[one.name], np.ndarray):
            raise SchemaMismatch(
                f"the tensor {one.name!r} should be an array, and is a {type(given[one.name]).__name__}"
            )
    return {one.name: checked(given[one.name], one) for one in specs}


def _unnamed(data: Any, spec: TensorSpec) -> Any:
    if isinstance(data, pd.DataFrame):
        if data.empty:
            raise SchemaMismatch("the data have no rows")
        if len(data.columns) == 1:
            return _of_column(data[data.columns[0]], spec)
        if spec.shape != (-1, len(data.columns)):
            raise SchemaMismatch(
                f"the model takes an array of shape {spec.shape}, and was given {len(data.columns)} columns"
            )
        return checked(data.to_numpy(), spec)
    if isinstance(data, np.ndarray) or (hasattr(data, "indptr") and hasattr(data, "shape")):
        return checked(data, spec)
    raise SchemaMismatch(
        f"the model takes an array of {spec.type} of shape {spec.shape}, and was given a {type(data).__name__}"
    )


def checked(array: Any, spec: TensorSpec) -> Any:
    """The array, or sparse matrix, if it fits. Raises SchemaMismatch."""
    dtype = array.dtype
    shape = tuple(array.shape)
    if spec.shape == (-1,) and spec.type == np.dtype(object):
        return array
    if len(spec.shape) > 1 and -1 in spec.shape[1:] and len(shape) == 1 and dtype == np.dtype(object):
        return array  # rows of several lengths
    lengths = zip(spec.shape, shape, strict=False)
    if len(spec.shape) != len(shape) or any(wanted not in (-1, length) for wanted, length in lengths):
        raise SchemaMismatch(f"{_called(spec)} should have the shape {spec.shape}, and has {shape}")
    if flexible(dtype) != spec.type:
        raise SchemaMismatch(f"{_called(spec)} should be of {spec.type}, and is of {dtype}; convert it: .astype(…)")
    return array


def _of_column(column: pd.Series[Any], spec: TensorSpec) -> np.ndarray[Any, Any]:
    """An array of a column's cells: scalars and lists are cast, arrays keep their dtype and are checked."""
    if spec.shape[0] != -1 or -1 in spec.shape[1:]:
        raise SchemaMismatch(f"{_called(spec)} has the shape {spec.shape}, which no column of a DataFrame can have")
    if not len(column):
        raise SchemaMismatch("the data have no rows")
    first = column.iloc[0]
    try:
        if np.isscalar(first):
            if spec.shape not in ((-1,), (-1, 1)):
                raise SchemaMismatch(f"{_called(spec)} should have the shape {spec.shape}; the column holds numbers")
            return np.array(column, dtype=spec.type).reshape(spec.shape)
        if isinstance(first, list) and first and np.isscalar(first[0]):
            array = np.vstack(column.tolist()).reshape(spec.shape).astype(spec.type)
        elif isinstance(first, np.ndarray):
            array = checked(np.vstack(column.tolist()).reshape(spec.shape), spec)
        else:
            raise SchemaMismatch(f"{_called(spec)} is made of numbers, flat lists or arrays in the cells of a column")
    except ValueError as error:
        if isinstance(error, SchemaMismatch):
            raise
        raise SchemaMismatch(
            f"{_called(spec)} should have the shape {spec.shape} and be of {spec.type}; the cells do not fit"
        ) from None
    if len(array) != len(column):
        raise SchemaMismatch(f"{_called(spec)} should have the shape {spec.shape}; the cells do not fit")
    return array


def cast(value: Any, spec: TensorSpec) -> np.ndarray[Any, Any]:
    """Nested lists of JSON, one item a row, as the tensor. Raises SchemaMismatch for what does not fit, 3.5 for an
    integer among it."""
    try:
        array = np.asarray(value)
        if spec.type.kind in "iu" and array.dtype.kind == "f" and not bool((array == np.trunc(array)).all()):
            raise SchemaMismatch(f"{_called(spec)} should be of {spec.type}; a value of it is no whole number")
        if array.dtype != spec.type:
            array = array.astype(spec.type) if array.dtype.kind in "biuf" else np.array(value, dtype=spec.type)
    except (TypeError, ValueError, OverflowError) as error:
        if isinstance(error, SchemaMismatch):
            raise
        raise SchemaMismatch(
            f"{_called(spec)} should be of {spec.type} and have the shape {spec.shape}; a value of it does not fit"
        ) from None
    inner = spec.shape[1:]
    flat = array.ndim == 2 or array.shape[1:2] == (1,)
    if flat and array.shape[1:] != inner and -1 not in inner and array.size == len(array) * int(np.prod(inner)):
        array = array.reshape((len(array), *inner))  # flat rows, or the one column of a frame
    return np.asarray(checked(array, spec))


def _called(spec: TensorSpec) -> str:
    return "the array" if spec.name is None else f"the tensor {spec.name!r}"
