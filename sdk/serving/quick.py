"""The quick way of small JSON bodies: to an array in the schema's order with no frame on the way, ready to be stacked.

It takes columns that are all double or all float; columns that are all numbers, for a model that takes them as one
array; and a tensor without a name. What it does not know, or what is wrong
in any way, it leaves to `binding`, which has the whole protocol and says what is wrong: so both ways answer alike.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Generic, NamedTuple, TypeVar, cast

import msgspec
import numpy as np
from headrace.sdk.models.enforcement import Plan
from headrace.sdk.models.schema import DataType, Schema, TensorSpec, Type
from headrace.sdk.serving import casting, faults
from headrace.sdk.serving.faults import Answer

BYTES_MAX = 256 * 1024
"""Longer bodies are read on the prediction's thread, not in the event loop."""
_DTYPES: dict[Type, np.dtype[Any]] = {DataType.double: np.dtype(np.float64), DataType.float: np.dtype(np.float32)}


Number = TypeVar("Number", bound=float)


class _Split(msgspec.Struct, Generic[Number], forbid_unknown_fields=True):
    data: list[list[Number]]
    columns: list[str] | None = None


class _Columns(msgspec.Struct, Generic[Number]):
    """Of all the fields that mean something; those of a type it does not have make it fail."""

    dataframe_split: _Split[Number] | None = None
    dataframe_records: list[dict[str, Number]] | None = None
    instances: list[dict[str, Number]] | None = None
    inputs: list[dict[str, Number]] | dict[str, list[Number]] | None = None
    params: dict[str, Any] | None = None
    messages: None = None
    prompt: None = None
    input: None = None


class _Tensor(msgspec.Struct):
    inputs: list[Any] | None = None
    instances: list[Any] | None = None
    params: dict[str, Any] | None = None
    dataframe_split: None = None
    dataframe_records: None = None
    messages: None = None
    prompt: None = None
    input: None = None


class Rows(NamedTuple):
    """array: rows by columns of the schema, or the tensor. params: as they were sent. encode: writes the answer."""

    array: np.ndarray[Any, Any]
    params: dict[str, Any] | None
    encode: Callable[[Any], Answer]


Reader = Callable[[bytes], Rows | None]
"""The rows of a body, or None when it is not for the quick way. Raises Refused for a tensor of the wrong shape."""


def reader(plan: Plan, takes_array: bool, encode: Callable[[Any], Answer]) -> Reader | None:
    """The quick way for bodies of a model, or None.

    plan: of its signature. takes_array: whether it takes columns as one array. encode: writes the answers.
    """
    schema = plan.inputs
    if schema is None:
        return None
    if schema.is_tensor_spec():
        return None if schema.has_input_names() else _tensor_reader(cast(TensorSpec, schema.inputs[0]), encode)
    names = [str(name) for name in schema.input_names()]
    dtype = dtype_of(schema)
    if dtype is not None:
        return _column_reader(
            names, msgspec.json.Decoder(_Columns[float]).decode, partial(np.array, dtype=dtype), encode
        )
    plain = schema.has_input_names() and all(spec.required for spec in schema.inputs)
    if plain and takes_array and plan.array_dtype is not None:
        # As they are in JSON, so that the plan sees a fraction where an integer should be.
        decode = msgspec.json.Decoder(_Columns[int | float]).decode
        return _column_reader(names, decode, partial(plan.from_rows, None, array=True), encode)
    return None


def dtype_of(schema: Schema) -> np.dtype[Any] | None:
    """float64 or float32 where all columns are double or float, named and required; None for other schemas."""
    kinds = set(schema.input_types())
    if len(kinds) != 1 or not schema.has_input_names() or not all(spec.required for spec in schema.inputs):
        return None
    return _DTYPES.get(kinds.pop())


def _column_reader(
    names: list[str],
    decode: Callable[[bytes], _Columns[Any]],
    to_array: Callable[[Any], Any],
    encode: Callable[[Any], Answer],
) -> Reader:
    width = len(names)

    def read(body: bytes) -> Rows | None:
        try:
            found = decode(body)
            table = _table(found, names)
            array = None if table is None else to_array(table)
        except (msgspec.DecodeError, ValueError, KeyError, IndexError, OverflowError, RecursionError):
            return None
        if not isinstance(array, np.ndarray) or array.ndim != 2 or array.shape[1] != width:
            return None
        return Rows(array, found.params, encode)

    return read


def _table(found: _Columns[Any], names: list[str]) -> Sequence[Sequence[float]] | None:
    """Rows in the schema's order; None, KeyError or ValueError where they are not so simple."""
    split = found.dataframe_split
    if split is not None:
        if found.dataframe_records is not None or found.instances is not None or found.inputs is not None:
            return None
        return split.data if split.columns == names else _reordered(split, names)
    given = [one for one in (found.dataframe_records, found.instances, found.inputs) if one is not None]
    if len(given) != 1:
        return None
    (records,) = given
    if isinstance(records, dict):
        return list(zip(*(records[name] for name in names), strict=True))
    return [[record[name] for name in names] for record in records]


def _reordered(split: _Split[Any], names: list[str]) -> Sequence[Sequence[float]] | None:
    given = split.columns or []
    places = {name: index for index, name in enumerate(given)}
    width = len(given)
    if len(places) != width or any(len(row) != width for row in split.data):
        return None
    order = [places[name] for name in names]
    return [[row[index] for index in order] for row in split.data]


def _tensor_reader(spec: TensorSpec, encode: Callable[[Any], Answer]) -> Reader | None:
    if spec.type.kind not in "fiub" or not spec.shape:
        return None
    decode = msgspec.json.Decoder(_Tensor).decode

    def read(body: bytes) -> Rows | None:
        try:
            found = decode(body)
        except (msgspec.DecodeError, ValueError, RecursionError):
            return None
        if (found.inputs is None) == (found.instances is None):
            return None
        array = casting.tensor(found.inputs if found.inputs is not None else found.instances, spec)
        check_shape(array, spec)
        return Rows(array, found.params, encode)

    return read


def check_shape(array: np.ndarray[Any, Any], spec: TensorSpec) -> None:
    """Raises Refused (400) when an array is not of the shape that the signature says."""
    fits = array.ndim == len(spec.shape) and all(
        wanted in (-1, length) for wanted, length in zip(spec.shape, array.shape, strict=True)
    )
    if not fits:
        name = "" if spec.name is None else f" {spec.name!r}"
        raise faults.not_as_signed(
            f"The tensor{name} must have the shape {spec.shape}, where -1 is any length; this one has {array.shape}."
        )
