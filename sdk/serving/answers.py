"""What a model predicted, as the JSON that MLflow's scoring server answers with.

    ndarray            nested lists; datetime64[ns] as integers, nanoseconds since the epoch
    DataFrame          a list of records; Series: records of one column, "0" when it has no name
    dict, list, str …  as they are; bytes in base64 with a newline after every 76 characters and at the end
    datetime           ISO 8601

Where MLflow writes what is no JSON (NaN, Infinity), this writes null; pandas' NaT and NA are null too.
"""

from __future__ import annotations

import base64
import datetime
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import pandas as pd

DEPTH_MAX = 100
_encode = msgspec.json.Encoder().encode
_PLAIN_KINDS = frozenset("fiub")


class NotJson(Exception):
    """What the model predicted cannot be written as JSON; the message names its type."""


def body(prediction: Any, wrapped: bool = True) -> bytes:
    """The answer's body: {"predictions": …}, or the prediction alone when it is not wrapped. Raises NotJson."""
    if wrapped and type(prediction) is np.ndarray and prediction.dtype.kind in _PLAIN_KINDS:
        return _encode({"predictions": prediction.tolist()})
    try:
        plain = jsonable(prediction)
        return encoded({"predictions": plain} if wrapped else plain)
    except RecursionError:
        raise NotJson("The model's prediction is nested too deep to be written as JSON.") from None


def encoded(plain: Any) -> bytes:
    """JSON of plain values; lone surrogates are escaped."""
    try:
        return _encode(plain)
    except UnicodeEncodeError:
        return json.dumps(_without_nan(plain)).encode()


def split(prediction: Any, rows: Sequence[int]) -> list[Any]:
    """The parts of a prediction for stacked requests, rows[i] rows each.

    prediction: with as many rows as they have together. Raises ValueError when it has not, or has no rows at all.
    """
    total = sum(rows)
    parts = _parts(prediction, total, rows)
    if parts is None:
        raise ValueError(f"a {type(prediction).__name__} does not have {total} rows")
    return parts


def _parts(prediction: Any, total: int, rows: Sequence[int]) -> list[Any] | None:
    if isinstance(prediction, dict):
        columns = {name: _parts(values, total, rows) for name, values in prediction.items()}
        if not columns or None in columns.values():
            return None
        return [{name: parts[index] for name, parts in columns.items() if parts} for index in range(len(rows))]
    if not isinstance(prediction, np.ndarray | pd.DataFrame | pd.Series | list):
        return None
    if isinstance(prediction, np.ndarray) and prediction.ndim == 0:
        return None
    if len(prediction) != total:
        return None
    cut = prediction.iloc if isinstance(prediction, pd.DataFrame | pd.Series) else prediction
    parts = []
    start = 0
    for count in rows:
        parts.append(cut[start : start + count])
        start += count
    return parts


def jsonable(value: Any, depth: int = 0) -> Any:
    """The value in dicts, lists, str, int, float, bool and None. Raises NotJson for what JSON has nothing for."""
    kind = type(value)
    if kind is float or kind is int or kind is str or kind is bool or value is None:
        return value
    if depth > DEPTH_MAX:
        raise NotJson("The model's prediction is nested too deep to be written as JSON.")
    if isinstance(value, np.ndarray):
        return _array(value, depth)
    if isinstance(value, pd.DataFrame):
        return records(value, depth)
    if isinstance(value, pd.Series):
        return records(pd.DataFrame(value), depth)
    if isinstance(value, Mapping):
        return {_key(name): jsonable(item, depth + 1) for name, item in value.items()}
    if isinstance(value, list | tuple | pd.api.extensions.ExtensionArray | pd.Index):
        return [jsonable(item, depth + 1) for item in value]
    return _scalar(value, depth)


def records(frame: pd.DataFrame, depth: int = 0) -> list[dict[str, Any]]:
    """A dict a row. Of columns with one name the last counts."""
    names = [_key(name) for name in frame.columns]
    if not names:
        return [{} for _ in range(len(frame))]
    columns = [_column(frame.iloc[:, index], depth) for index in range(len(names))]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def _column(column: pd.Series[Any], depth: int) -> list[Any]:
    if isinstance(column.dtype, np.dtype) and column.dtype.kind in _PLAIN_KINDS:
        plain: list[Any] = column.to_numpy().tolist()
        return plain
    return [jsonable(item, depth + 1) for item in column]


def _array(array: np.ndarray[Any, Any], depth: int) -> Any:
    if array.dtype.kind in _PLAIN_KINDS:
        return array.tolist()
    if array.dtype.kind == "S":
        # A bytes array's tolist cuts trailing zeros as numpy does everywhere.
        return jsonable(array.tolist(), depth)
    if array.dtype.kind == "M" and array.dtype != np.dtype("datetime64[ns]"):
        array = array.astype("datetime64[us]") if np.datetime_data(array.dtype)[0] not in ("ps", "fs", "as") else array
    return jsonable(array.tolist(), depth + 1)


def _scalar(value: Any, depth: int) -> Any:
    if isinstance(value, bytes | bytearray | memoryview):
        return base64.encodebytes(bytes(value)).decode("ascii")
    if isinstance(value, np.datetime64):
        return None if np.isnat(value) else str(np.datetime_as_string(value))
    if value is pd.NaT or value is pd.NA:
        return None
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, np.floating):
        return float(value)
    if isinstance(value, np.generic):
        return jsonable(value.item(), depth + 1)
    if isinstance(value, str):
        return str(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    for name in ("model_dump", "tolist"):  # pydantic's models; tensors of the frameworks
        method = getattr(value, name, None)
        if callable(method) and not isinstance(value, type):
            return jsonable(method(), depth + 1)
    raise NotJson(f"The model predicted a {type(value).__name__}, which cannot be written as JSON.")


def _key(name: Any) -> str:
    """A key as Python's json writes it."""
    if isinstance(name, str):
        return str(name)
    if name is None:
        return "null"
    if isinstance(name, bool | np.bool_):
        return "true" if name else "false"
    if isinstance(name, int | np.integer):
        return str(int(name))
    if isinstance(name, float | np.floating):
        return repr(float(name))
    return str(name)


def _without_nan(plain: Any) -> Any:
    if isinstance(plain, dict):
        return {name: _without_nan(item) for name, item in plain.items()}
    if isinstance(plain, list):
        return [_without_nan(item) for item in plain]
    return None if isinstance(plain, float) and not math.isfinite(plain) else plain
