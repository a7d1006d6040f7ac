"""Lists, objects and maps within a cell, held against their type."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from headrace.sdk.models.mismatch import SchemaMismatch
from headrace.sdk.models.schema import AnyType, Array, DataType, Map, Object, SparkMLVector, Type
from headrace.sdk.models.schema import said as in_words
from headrace.sdk.models.signature import missing

_AS_THEY_ARE: dict[DataType, tuple[type, ...]] = {
    DataType.boolean: (bool, np.bool_),
    DataType.integer: (np.int32,),
    DataType.long: (int, np.int64),
    DataType.float: (np.float32,),
    DataType.double: (float, np.float64),
    DataType.string: (str,),
    DataType.binary: (bytes, str),
}


def taken(path: str, value: Any, kind: Type, required: bool = True) -> Any:
    """A value as its type wants it, in containers of its own. path: where it is, for errors. Raises SchemaMismatch."""
    match kind:
        case DataType():
            return _scalar(path, value, kind, required)
        case Array(dtype):
            return _list(path, value, dtype, required)
        case SparkMLVector():
            return _list(path, value, DataType.double, required)
        case Object():
            return _object(path, value, kind, required)
        case Map(value_type):
            return _map(path, value, value_type, required)
        case AnyType():
            return value


def _scalar(path: str, value: Any, kind: DataType, required: bool) -> Any:
    if not required and missing(value):
        return None
    if type(value) in _AS_THEY_ARE.get(kind, ()):
        return kind.to_numpy().type(value) if kind in (DataType.long, DataType.double, DataType.boolean) else value
    if not np.isscalar(value):
        raise _mismatch(path, value, kind)
    return _column(path, [value], kind).iloc[0]


def _column(path: str, values: Any, kind: DataType) -> pd.Series[Any]:
    from headrace.sdk.models import columns  # which asks this module about the cells of its columns

    try:
        column: pd.Series[Any] = columns.taken(path, pd.Series(values), kind, strict=True)
    except (ValueError, TypeError) as error:
        if isinstance(error, SchemaMismatch):
            raise SchemaMismatch(f"{path} should hold {in_words(kind)}, and holds something else") from None
        raise SchemaMismatch(f"{path} should hold {in_words(kind)}") from error
    return column


def _list(path: str, value: Any, kind: Type, required: bool) -> Any:
    empty = value is None or (isinstance(value, list | np.ndarray) and len(value) == 0)
    if empty and (not required or isinstance(kind, AnyType)):
        return value
    if not isinstance(value, list | np.ndarray):
        raise _mismatch(path, value, Array(kind))
    if not isinstance(kind, DataType):
        items = [taken(f"{path}[{index}]", one, kind, required) for index, one in enumerate(value)]
        return np.array(items) if isinstance(value, np.ndarray) else items
    if len(value) == 0:
        return value
    try:
        array = _column(path, value, kind).to_numpy(dtype=kind.to_numpy())
    except (TypeError, ValueError) as error:
        if isinstance(error, SchemaMismatch):
            raise
        raise _mismatch(path, value, Array(kind)) from None
    return array.tolist() if isinstance(value, list) else array


def _object(path: str, value: Any, kind: Object, required: bool) -> Any:
    if not required and (value is None or value == {}):
        return value
    if not isinstance(value, dict):
        raise _mismatch(path, value, kind)
    members = {one.name: one for one in kind.properties}
    lacking = [one.name for one in kind.properties if one.required and one.name not in value]
    if lacking:
        raise SchemaMismatch(f"{path} lacks {', '.join(lacking)}")
    if not value.keys() <= members.keys():
        raise SchemaMismatch(f"{path} has more than {', '.join(members)}")
    return {
        name: taken(f"{path}.{name}", one, members[name].dtype, members[name].required) for name, one in value.items()
    }


def _map(path: str, value: Any, kind: Type, required: bool) -> Any:
    if (not required or isinstance(kind, AnyType)) and (value is None or value == {}):
        return value
    if not isinstance(value, dict):
        raise _mismatch(path, value, Map(kind))
    if not all(isinstance(name, str) for name in value):
        raise SchemaMismatch(f"{path} should have text for all its keys")
    return {name: taken(f"{path}.{name}", one, kind, required) for name, one in value.items()}


def _mismatch(path: str, value: Any, kind: Type) -> SchemaMismatch:
    held = "None" if value is None else f"a {type(value).__name__}"
    return SchemaMismatch(f"{path} should be {in_words(kind)}, and is {held}")
