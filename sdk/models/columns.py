"""One column of data as its type wants it: as a program has it (`taken`), or as JSON has it (`cast`)."""

from __future__ import annotations

import base64
import binascii
import decimal
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from headrace.sdk.models import nested
from headrace.sdk.models.mismatch import SchemaMismatch
from headrace.sdk.models.schema import DataType, Type

_OBJECT = np.dtype(object)
_NUMBERS = (DataType.integer, DataType.long, DataType.float, DataType.double)
_EXACT_MAX = 2**53
"""Integers up to this have a double of their own."""


def taken(name: Any, values: pd.Series[Any], kind: Type, required: bool = True, strict: bool = False) -> Any:
    """A pandas column as it goes to the model: what MLflow takes, and pandas' nullable dtypes.

    Conversions that lose nothing are made (int32 to long); others are refused, int64 to double too, as in MLflow,
    unless all are 0 or 1. A column with NA keeps its nullable dtype, or becomes double with NaN where the schema says
    double. strict: refuse NA as MLflow does. Raises SchemaMismatch.
    """
    if not isinstance(kind, DataType):
        items = [nested.taken(str(name), one, kind, required) for one in values]
        return pd.Series(items, index=values.index, name=name, dtype=object if not items else None)
    if values.dtype == _OBJECT and kind not in (DataType.binary, DataType.string):
        values = values.infer_objects()
    dtype: Any = values.dtype
    if dtype == kind.to_pandas():
        return values
    is_text = isinstance(dtype, pd.StringDtype)
    if kind in (DataType.string, DataType.binary):
        if is_text or dtype == _OBJECT:
            return values
    elif kind is DataType.datetime:
        return _moments(name, values)
    elif dtype == _OBJECT:
        if kind is DataType.boolean:
            return values
        if kind is DataType.double:
            return _decimals(name, values)
    elif isinstance(dtype, pd.api.extensions.ExtensionDtype):
        return _nullable(name, values, kind, strict)
    elif fits(dtype, kind.to_numpy()) or (_is_long(dtype) and kind in _NUMBERS[2:] and _zeros_and_ones(values)):
        return values.astype(kind.to_numpy())
    raise _mismatch(name, values, kind)


def fits(dtype: np.dtype[Any], wanted: np.dtype[Any]) -> bool:
    """Whether every value of one dtype is one of the other's, by MLflow's rules."""
    if dtype.kind == wanted.kind:
        return dtype.itemsize <= wanted.itemsize
    if dtype.kind == "u" and wanted.kind == "i":
        return dtype.itemsize < wanted.itemsize
    return dtype.kind in "iu" and wanted == np.float64 and dtype.itemsize <= 4


def _is_long(dtype: Any) -> bool:
    return bool(dtype == np.int64)


def _zeros_and_ones(values: pd.Series[Any]) -> bool:
    array = values.to_numpy()
    return bool(((array == 0) | (array == 1)).all())


def _moments(name: Any, values: pd.Series[Any]) -> Any:
    """Of any precision, or dates in a column of objects."""
    if values.dtype.kind == "M" or values.dtype == _OBJECT:
        try:
            return values.astype("datetime64[ns]")
        except (TypeError, ValueError):
            pass
    raise _mismatch(name, values, DataType.datetime)


def _decimals(name: Any, values: pd.Series[Any]) -> Any:
    try:
        return pd.to_numeric(values, errors="raise").astype(np.float64)
    except (TypeError, ValueError, decimal.InvalidOperation):
        raise _mismatch(name, values, DataType.double) from None


def _nullable(name: Any, values: pd.Series[Any], kind: DataType, strict: bool) -> Any:
    """A column of one of pandas' nullable dtypes."""
    inner, wanted = getattr(values.dtype, "numpy_dtype", None), kind.to_numpy()
    if not isinstance(inner, np.dtype):
        raise _mismatch(name, values, kind)
    missing = bool(values.isna().any())
    if fits(inner, wanted):
        if not missing or wanted.kind == "f":
            return values.astype(wanted)
        if not strict:
            return values.astype(_NULLABLE[kind])
    elif kind is DataType.double and inner.kind in "iu" and not strict:
        known = values.dropna().to_numpy(dtype=inner)
        if not known.size or (int(known.min()) >= -_EXACT_MAX and int(known.max()) <= _EXACT_MAX):
            return values.astype(np.float64)
    raise _mismatch(name, values, kind)


_NULLABLE: dict[DataType, Any] = {
    DataType.integer: "Int32", DataType.long: "Int64", DataType.boolean: "boolean",
    DataType.float: "Float32", DataType.double: "Float64",
}  # fmt: skip


def _mismatch(name: Any, values: pd.Series[Any], kind: DataType) -> SchemaMismatch:
    """Says what the column should be, what it is, and what to do where that is known."""
    dtype: Any = values.dtype
    hint = ""
    if kind in (DataType.integer, DataType.long) and dtype == np.float64 and bool(values.isna().any()):
        known = values.dropna().to_numpy()
        if bool((known == np.trunc(known)).all()):
            hint = (
                ". It has missing values, which no array of integers holds, so pandas made it float64: give it the"
                f' dtype "{_NULLABLE[kind]}", or declare the column as double in the signature'
            )
    elif kind is DataType.double and _is_long(dtype):
        hint = ". Convert it, since not every int64 has a double: data.astype({column: float})"
    return SchemaMismatch(f"the column {name!r} should be {kind.name}, and is {dtype}{hint}")


# --- as JSON has it ---------------------------------------------------------------------------------------------------


def cast(name: Any, values: Sequence[Any] | np.ndarray[Any, Any], kind: Type, required: bool = True) -> Any:
    """Values of JSON as a column: an array, or a list for nested types. None is a missing value.

    A number may be a text ("1.5"); a whole number may have a fraction of zero; binary is base64; a moment is ISO 8601.
    Raises SchemaMismatch for what does not fit, 3.5 for a long and a missing integer among it.
    """
    if not isinstance(kind, DataType):
        return [nested.taken(str(name), one, kind, required) for one in values]
    if isinstance(values, np.ndarray) and values.ndim > 1:
        raise SchemaMismatch(f"the column {name!r} should be {kind.name}, one a row, and holds lists")
    try:
        match kind:
            case DataType.double | DataType.float:
                with np.errstate(over="ignore"):
                    array = np.array(values, dtype=kind.value)
                if array.ndim != 1:
                    raise SchemaMismatch(f"the column {name!r} should be {kind.name}, one a row, and holds lists")
                return array
            case DataType.integer | DataType.long:
                return whole(name, values, kind)
            case DataType.boolean:
                return _booleans(name, values)
            case DataType.datetime:
                moments = pd.to_datetime(pd.Series(list(values)))
                return _moments(name, moments)
            case DataType.binary:
                return np.array([_bytes(one) for one in values] or [], dtype=object)
        return _objects(values)
    except (TypeError, ValueError, OverflowError, binascii.Error) as error:
        if isinstance(error, SchemaMismatch):
            raise
        raise SchemaMismatch(f"the column {name!r} should be {kind.name}; a value of it is not") from None


def whole(name: Any, values: Sequence[Any] | np.ndarray[Any, Any], kind: DataType) -> np.ndarray[Any, Any]:
    """Values as whole numbers of the type. Raises SchemaMismatch, ValueError, TypeError."""
    wanted = kind.to_numpy()
    array = np.asarray(values)
    if array.dtype.kind not in "biuf" or array.ndim != 1:
        if any(one is None for one in values):
            raise SchemaMismatch(
                f"the column {name!r} should be {kind.name}, and a value of it is missing; declare it as double in the"
                " signature where values may be missing"
            )
        array = np.array([int(one) if isinstance(one, str) else one for one in values] or [], dtype=None)
        if not array.size:
            array = array.astype(wanted)
        if array.dtype.kind not in "biuf" or array.ndim != 1:
            raise ValueError
    if array.dtype.kind == "f":
        if not array.size:
            return array.astype(wanted)
        if not bool((array == np.trunc(array)).all()) or not bool(np.isfinite(array).all()):
            fault = "missing" if bool(np.isnan(array).any()) else "no whole number"
            raise SchemaMismatch(f"the column {name!r} should be {kind.name}, and a value of it is {fault}")
    limits = np.iinfo(wanted)
    if array.dtype.kind in "iuf" and array.size and (int(array.min()) < limits.min or int(array.max()) > limits.max):
        raise SchemaMismatch(f"the column {name!r} should be {kind.name}, and a value of it is too large for that")
    return array.astype(wanted)


def _booleans(name: Any, values: Sequence[Any] | np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    array = np.asarray(values)
    if array.dtype == bool or not array.size:
        return array.astype(bool)
    if array.dtype.kind in "iuf" and bool(((array == 0) | (array == 1)).all()):
        return array.astype(bool)
    raise SchemaMismatch(f"the column {name!r} should be boolean, true or false; a value of it is not")


def _bytes(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    return base64.decodebytes(value.encode()) if isinstance(value, str) else bytes(value, "utf8")


def _objects(values: Sequence[Any] | np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    array = np.empty(len(values), dtype=object)
    array[:] = list(values)
    return array
