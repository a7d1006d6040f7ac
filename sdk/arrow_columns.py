"""Columns of points as Arrow, without the help of pandas. Importing this imports pyarrow."""

from __future__ import annotations

import itertools
from array import array
from typing import Any

import pyarrow as pa
from headrace.ingest import points
from headrace.ingest.envelope import ARROW

# Below this many points a dictionary costs more bytes than it saves.
_PLAIN_MAX = 16


def pack(columns: dict[str, list[Any]]) -> tuple[bytes, str]:
    """Columns as an Arrow IPC stream. Raises OverflowError, TypeError, ValueError for what does not fit."""
    return points.encode({name: _array(name, values) for name, values in columns.items()}), ARROW


def _array(name: str, values: list[Any]) -> pa.Array:
    """A column as Arrow.

    From buffers rather than by `pa.array`, which imports pandas at its first call: 0.3 s and 40 MB that a trainer has
    not asked for. Raises OverflowError, TypeError, ValueError for what does not fit the column.
    """
    kind = points.REQUIRED.get(name) or points.OPTIONAL[name]
    if kind == pa.float64():
        return _from(kind, len(values), array("d", values))
    if kind == pa.int64():
        return _from(kind, len(values), array("q", values))
    distinct = dict.fromkeys(values)
    if len(values) < _PLAIN_MAX or len(distinct) * 2 > len(values):
        return _strings(values)
    codes = dict(zip(distinct, range(len(distinct)), strict=True))
    indexes = _from(pa.int32(), len(values), array("i", map(codes.__getitem__, values)))
    return pa.DictionaryArray.from_arrays(indexes, _strings(list(distinct)), safe=False)


def _from(kind: pa.DataType, length: int, values: array[Any]) -> pa.Array:
    return pa.Array.from_buffers(kind, length, [None, pa.py_buffer(values)])


def _strings(values: list[str]) -> pa.Array:
    encoded = [value.encode() for value in values]
    offsets = array("i", itertools.accumulate(map(len, encoded), initial=0))
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(b"".join(encoded))]
    return pa.Array.from_buffers(pa.string(), len(values), buffers)
