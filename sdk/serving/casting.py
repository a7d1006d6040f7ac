"""JSON's values as the type that a signature says, one column or tensor at a time.

As MLflow casts them: an integer or a number in text is a double, base64 is binary, ISO 8601 is a datetime. Where MLflow
changes a value silently (3.5 to 3 for a long, 2147483648 to -2147483648 for an integer, "false" to True for a boolean)
this refuses it. Errors name the column, the row and what was expected, and keep the value to themselves.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from headrace.sdk.models.schema import ColSpec, DataType, TensorSpec, Type, said
from headrace.sdk.serving import faults

_ARTICLES: dict[Type, str] = {DataType.integer: "an integer of 32 bits", DataType.long: "an integer of 64 bits"}
_FLOATS: dict[Type, np.dtype[Any]] = {DataType.double: np.dtype(np.float64), DataType.float: np.dtype(np.float32)}
_INTEGERS: dict[Type, np.dtype[Any]] = {DataType.integer: np.dtype(np.int32), DataType.long: np.dtype(np.int64)}


def column(values: Sequence[Any], spec: ColSpec, name: str | int) -> Any:
    """The values as a column of a frame: an array, or a Series for text and for what has no dtype of its own.

    values: of JSON, one a row. Raises Refused (400) for one that is not, and does not safely become, the type.
    """
    kind = spec.type
    if kind in _FLOATS:
        return _floats(values, _FLOATS[kind], name, f"a {said(kind)}")
    if kind in _INTEGERS:
        return _integers(values, _INTEGERS[kind], name, _ARTICLES[kind])
    if kind is DataType.boolean:
        return np.array(_each(values, _boolean, name, "true or false, or 1 or 0"), dtype=np.bool_)
    if kind is DataType.binary:
        return pd.Series(_each(values, _binary, name, "text in base64"), dtype=object)
    if kind is DataType.datetime:
        return _moments(values, name)
    if kind is DataType.string:
        texts = all(isinstance(value, str) for value in values)
        return pd.Series(list(values), dtype="str" if texts else object)
    return pd.Series(list(values), dtype=object)


def tensor(value: Any, spec: TensorSpec) -> np.ndarray[Any, Any]:
    """An array of the tensor's dtype; its shape is the enforcement's to check.

    value: JSON's nested arrays. Raises Refused (400) when they are ragged, or hold what is not of the dtype.
    """
    dtype, name = spec.type, spec.name
    what = "The tensor" if name is None else f"The tensor {name!r}"
    try:
        if dtype.kind in "iu":
            return _safe_integers(np.array(value), dtype)
        # What is beyond a float32 is infinite, as everywhere in numpy.
        with np.errstate(over="ignore"):
            return np.array(value, dtype=dtype)
    except (ValueError, TypeError, OverflowError, RecursionError):
        raise faults.bad_request(
            f"{what} must be an array of {dtype.name}, the items of each dimension of one length;"
            " this one is ragged, or holds something else."
        ) from None


def _floats(values: Sequence[Any], dtype: np.dtype[Any], name: str | int, expected: str) -> np.ndarray[Any, Any]:
    try:
        with np.errstate(over="ignore"):
            array = np.array(values, dtype=dtype)
        if array.ndim == 1:
            return array
    except (ValueError, TypeError, OverflowError):
        pass

    def number(value: Any) -> float:
        return float("nan") if value is None else float(value)

    with np.errstate(over="ignore"):
        return np.array(_each(values, number, name, expected), dtype=dtype)


def _integers(values: Sequence[Any], dtype: np.dtype[Any], name: str | int, expected: str) -> np.ndarray[Any, Any]:
    if all(type(value) is int for value in values):
        try:
            return np.array(values, dtype=dtype)
        except OverflowError:
            pass
    bounds = np.iinfo(dtype)

    def integer(value: Any) -> int:
        whole = int(value)
        if (isinstance(value, float) and whole != value) or not bounds.min <= whole <= bounds.max:
            raise ValueError
        return whole

    return np.array(_each(values, integer, name, expected), dtype=dtype)


def _safe_integers(array: np.ndarray[Any, Any], dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
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


def _moments(values: Sequence[Any], name: str | int) -> pd.Series[Any]:
    try:
        if any(isinstance(value, bool) for value in values):
            raise ValueError
        moments = pd.Series(pd.to_datetime(pd.Series(list(values))))
        return moments.astype("datetime64[ns]")
    except (ValueError, TypeError, OverflowError, pd.errors.OutOfBoundsDatetime):
        pass

    def moment(value: Any) -> Any:
        if isinstance(value, bool):
            raise ValueError
        parsed = pd.to_datetime(value)
        if getattr(parsed, "tzinfo", None) is not None:
            raise ValueError
        return parsed.as_unit("ns") if value is not None else pd.NaT

    said_so = _each(values, moment, name, "a time in ISO 8601, without a zone")
    return pd.Series(said_so, dtype="datetime64[ns]")


def _boolean(value: Any) -> bool:
    if value is True or value is False:
        return value
    if isinstance(value, int | float) and value in (0, 1):
        return bool(value)
    raise ValueError


def _binary(value: Any) -> bytes:
    return base64.decodebytes(bytes(value, "utf8"))


def _each(values: Sequence[Any], cast: Callable[[Any], Any], name: str | int, expected: str) -> list[Any]:
    cast_values = []
    for row, value in enumerate(values):
        try:
            cast_values.append(cast(value))
        except (ValueError, TypeError, OverflowError, AttributeError, binascii.Error, pd.errors.OutOfBoundsDatetime):
            has = "null" if value is None else _KINDS.get(type(value), "a value")
            raise faults.bad_request(
                f"The column {name!r} must hold {expected} in each row; row {row} (from 0) has {has} that is not."
                if value is not None
                else f"The column {name!r} must hold {expected} in each row; row {row} (from 0) has null."
            ) from None
    return cast_values


_KINDS: dict[type, str] = {
    bool: "a boolean", int: "an integer", float: "a number", str: "text", list: "an array", dict: "an object",
}  # fmt: skip


def expected_of(spec: ColSpec | TensorSpec) -> str:
    """What a column or tensor must hold, in words."""
    if isinstance(spec, TensorSpec):
        return f"tensor of {spec.type.name}, shape {spec.shape}"
    return said(spec.type)
