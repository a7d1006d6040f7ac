"""A model's signature: the schema of its input, of its output, and its params; and how to infer it from data."""

from __future__ import annotations

import datetime as dt
import logging
import sys
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
from headrace.sdk.models.schema import (
    AnyType,
    Array,
    BadSchema,
    ColSpec,
    DataType,
    Object,
    ParamSchema,
    ParamSpec,
    Property,
    Schema,
    TensorSpec,
    Type,
    flexible,
)

logger = logging.getLogger("headrace")


@dataclass
class ModelSignature:
    """inputs and outputs: schemas, or None where nothing is known. params: what predict can be told besides."""

    inputs: Schema | None = None
    outputs: Schema | None = None
    params: ParamSchema | None = None

    def to_dict(self) -> dict[str, Any]:
        """As MLmodel keeps it: each part a JSON string or None."""
        return {
            "inputs": self.inputs.to_json() if self.inputs else None,
            "outputs": self.outputs.to_json() if self.outputs else None,
            "params": self.params.to_json() if self.params else None,
        }

    @classmethod
    def from_dict(cls, kept: Mapping[str, Any]) -> ModelSignature:
        """From what MLmodel keeps. Raises BadSchema."""
        inputs, outputs, params = kept.get("inputs"), kept.get("outputs"), kept.get("params")
        return cls(
            Schema.from_json(inputs) if inputs else None,
            Schema.from_json(outputs) if outputs else None,
            ParamSchema.from_json(params) if params else None,
        )


def infer_signature(
    model_input: Any = None, model_output: Any = None, params: Mapping[str, Any] | None = None
) -> ModelSignature:
    """The signature that fits data, as MLflow infers it.

    model_input, model_output: a DataFrame or Series (named columns), an array or sparse matrix (a tensor whose first
    length is free), a dict of arrays (named tensors), a list of dicts or a dict (columns), a list or a scalar (a column
    without a name). A part whose schema cannot be told is `anything`, with a warning. params: with their defaults.
    Raises BadSchema for params that cannot be.
    """
    return ModelSignature(
        None if model_input is None else _schema_or_any(model_input, "input"),
        None if model_output is None else _schema_or_any(model_output, "output"),
        infer_params(params) if params else None,
    )


def _schema_or_any(data: Any, part: str) -> Schema:
    try:
        return infer_schema(data)
    except Exception as error:  # of data of any kind at all
        logger.warning("the schema of the model's %s cannot be told, so anything is taken: %s", part, error)
        return Schema([ColSpec(AnyType())])


def infer_schema(data: Any) -> Schema:
    """The schema of data. Raises BadSchema."""
    pandas = sys.modules.get("pandas")
    if pandas is not None and isinstance(data, pandas.Series):
        return Schema([ColSpec(_column_type(data), data.name, _complete(data))])
    if pandas is not None and isinstance(data, pandas.DataFrame):
        return Schema([ColSpec(_column_type(data[name]), name, _complete(data[name])) for name in data.columns])
    if isinstance(data, np.ndarray):
        return Schema([_tensor(data)])
    if _is_sparse(data):
        return Schema([TensorSpec(data.data.dtype, (-1, *data.shape[1:]))])
    if isinstance(data, Mapping):
        if data and all(isinstance(values, np.ndarray) for values in data.values()):
            return Schema([_tensor(values, name) for name, values in data.items()])
        if not all(isinstance(name, str) for name in data):
            raise BadSchema("the names of columns are text")
        return Schema([ColSpec(_known(values), name, _complete(values)) for name, values in data.items()])
    if isinstance(data, list) and not data:
        return Schema([ColSpec(DataType.string)])
    if isinstance(data, list) and all(isinstance(row, Mapping) for row in data):
        columns: dict[str, list[Any]] = {}
        for row in data:
            for name, value in row.items():
                columns.setdefault(name, []).append(value)
        return Schema(
            [
                ColSpec(_items(values), name, all(row.get(name) is not None for row in data))
                for name, values in columns.items()
            ]
        )
    return Schema([ColSpec(_items(data) if isinstance(data, list) else _known(data))])


def infer_params(params: Mapping[str, Any]) -> ParamSchema:
    """The schema of params with their values as defaults. Raises BadSchema."""
    specs = []
    for name, value in params.items():
        if isinstance(value, list | np.ndarray):
            values = np.asarray(value)
            if values.ndim != 1:
                raise BadSchema(f"the param {name} has {values.ndim} dimensions; a list of values has one")
            moments = len(value) > 0 and all(isinstance(one, dt.date) for one in value)
            kind: Type = DataType.datetime if moments else _numpy_type(values.dtype)
            specs.append(ParamSpec(str(name), kind, list(deepcopy(value)), (-1,)))
        elif isinstance(value, dict):
            specs.append(ParamSpec(str(name), _known(value), deepcopy(value)))
        else:
            moment = isinstance(value, dt.date | np.datetime64)
            specs.append(
                ParamSpec(str(name), DataType.datetime if moment else _numpy_type(np.array(value).dtype), value)
            )
    return ParamSchema(specs)


def _is_sparse(data: Any) -> bool:
    sparse = sys.modules.get("scipy.sparse")
    return sparse is not None and bool(sparse.issparse(data)) and hasattr(data, "indptr")


def _tensor(values: np.ndarray[Any, Any], name: str | None = None) -> TensorSpec:
    if values.ndim == 0:
        raise BadSchema("an array with no dimension is no tensor of rows")
    return TensorSpec(flexible(values.dtype), (-1, *values.shape[1:]), name)


def missing(value: Any) -> bool:
    """Whether a value stands for none: None, NaN, pandas' NA and NaT."""
    if value is None:
        return True
    if isinstance(value, float):
        return value != value
    pandas = sys.modules.get("pandas")
    return pandas is not None and (value is pandas.NA or value is pandas.NaT)


def _complete(values: Any) -> bool:
    if isinstance(values, list) or type(values).__name__ == "Series":
        return not any(missing(one) for one in values)
    return not missing(values)


def _column_type(column: Any) -> Type:
    """The type of a pandas column."""
    if getattr(column, "ndim", 1) > 1:
        raise BadSchema(f"two columns have the name {column.columns[0]!r}")
    if column.dtype.kind == "O" and isinstance(column.dtype, np.dtype):
        column = column.infer_objects()
    if column.dtype.kind != "O":
        return _numpy_type(column.dtype)
    if type(column.dtype).__name__ == "StringDtype":
        return DataType.string
    try:
        return _items(column.to_list())
    except BadSchema:
        from pandas.api.types import is_string_dtype

        if is_string_dtype(column):
            return DataType.string
        raise


def _numpy_type(dtype: Any) -> DataType:
    """The type for a dtype of numpy or an extension dtype of pandas. Raises BadSchema."""
    kind, size = getattr(dtype, "kind", "O"), getattr(dtype, "itemsize", 0)
    match kind:
        case "b":
            return DataType.boolean
        case "i" if size <= 4:
            return DataType.integer
        case "u" if size <= 2:
            return DataType.integer
        case "i" | "u" if size <= (8 if kind == "i" else 4):
            return DataType.long
        case "f" if size <= 8:
            return DataType.float if size <= 4 else DataType.double
        case "U":
            return DataType.string
        case "S":
            return DataType.binary
        case "M":
            return DataType.datetime
    raise BadSchema(f"there is no type for {dtype}")


_SCALARS: dict[type, DataType] = {
    bool: DataType.boolean, np.bool_: DataType.boolean, int: DataType.long, np.int64: DataType.long,
    np.int32: DataType.integer, float: DataType.double, np.float64: DataType.double, np.float32: DataType.float,
    str: DataType.string, np.str_: DataType.string, bytes: DataType.binary, np.bytes_: DataType.binary,
    bytearray: DataType.binary, dt.date: DataType.datetime, dt.datetime: DataType.datetime,
    np.datetime64: DataType.datetime, object: DataType.string,
}  # fmt: skip


def _known(value: Any) -> Type:
    """The type of a value. Raises BadSchema when nothing is to be told (an array without items)."""
    found = _type(value)
    if found is None:
        raise BadSchema("an array without a value has no type")
    return found


def _items(values: Sequence[Any]) -> Type:
    found = _known(values)
    assert isinstance(found, Array | AnyType)
    if isinstance(found, AnyType):
        raise BadSchema("a list without a value has no type")
    return found.dtype


def _type(value: Any) -> Type | None:
    if missing(value) or (isinstance(value, list | dict) and not value):
        return AnyType()
    if isinstance(value, dict):
        members = [Property(name, kind := _known(one), not isinstance(kind, AnyType)) for name, one in value.items()]
        return Object(members)
    if isinstance(value, list | np.ndarray):
        merged: Type | None = None
        for item in value:
            kind_of_item = _type(item)
            if kind_of_item is not None:
                merged = kind_of_item if merged is None else merge(merged, kind_of_item)
        return None if merged is None else Array(merged)
    if type(value) in _SCALARS:
        return _SCALARS[type(value)]
    if isinstance(value, dt.date):
        return DataType.datetime
    raise BadSchema(f"a value of {type(value).__name__} has no type of a column")


def merge(first: Type, second: Type) -> Type:
    """The type of values of which some are of one, some of another. Raises BadSchema when there is none."""
    if first == second or isinstance(second, AnyType):
        if isinstance(first, Object) and isinstance(second, AnyType):
            return Object([Property(one.name, one.dtype, False) for one in first.properties])
        return first
    if isinstance(first, AnyType):
        return merge(second, first)
    if isinstance(first, Array) and isinstance(second, Array):
        return Array(merge(first.dtype, second.dtype))
    if isinstance(first, Object) and isinstance(second, Object):
        ours, theirs = ({one.name: one for one in each.properties} for each in (first, second))
        return Object(
            [
                Property(
                    name, merge(ours[name].dtype, theirs[name].dtype), ours[name].required and theirs[name].required
                )
                if name in ours and name in theirs
                else Property(name, (ours.get(name) or theirs[name]).dtype, False)
                for name in ours.keys() | theirs.keys()
            ]
        )
    raise BadSchema("the values of a list are of several types")
