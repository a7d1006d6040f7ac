"""Tables as bodies write them, and data for models that have no signature."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from headrace.sdk.serving import faults
from headrace.sdk.serving.bodies import Read


@dataclass(frozen=True, slots=True)
class Table:
    """Columns of JSON's values, by name or place, all of one length.

    rows: that length. index: the rows' own names, if they were given. repeated: names that more than one column has.
    """

    columns: Mapping[Any, Sequence[Any]]
    rows: int
    index: Sequence[Any] | None = None
    repeated: frozenset[Any] = frozenset()


def split_table(value: Any) -> Table:
    """The table of {columns, data, index}. Raises Refused (400) when its rows are not as long as its columns."""
    names, rows, index = split_parts(value)
    if not all(isinstance(row, list) for row in rows):
        if any(isinstance(row, list | dict) for row in rows) or (names is not None and len(names) != 1):
            raise faults.bad_request("dataframe_split: data must be an array of rows, each an array.")
        rows = [[cell] for cell in rows]
    width = len(names) if names is not None else len(rows[0]) if rows else 0
    wrong = next((number for number, row in enumerate(rows) if len(row) != width), None)
    if wrong is not None:
        raise faults.bad_request(
            f"dataframe_split: row {wrong} (from 0) has {len(rows[wrong])} values; there are {width} columns."
        )
    keys = names if names is not None else list(range(width))
    columns = dict(zip(keys, zip(*rows, strict=True), strict=True)) if rows else dict.fromkeys(keys, ())
    repeated = frozenset(key for key in keys if keys.count(key) > 1) if len(columns) < len(keys) else frozenset()
    return Table(columns, len(rows), index, repeated)


def split_parts(value: Any) -> tuple[list[Any] | None, list[Any], list[Any] | None]:
    """columns, data and index of a body's dataframe_split. Raises Refused (400)."""
    if not isinstance(value, dict):
        raise faults.bad_request("dataframe_split must be an object with data, and columns and index if there are any.")
    if "data" not in value or value.keys() - {"columns", "data", "index"}:
        raise faults.bad_request("dataframe_split must have data, and beside it only columns and index.")
    names, rows, index = value.get("columns"), value["data"], value.get("index")
    if names is not None and not (isinstance(names, list) and all(isinstance(name, str | int) for name in names)):
        raise faults.bad_request("dataframe_split: columns must be an array of names.")
    if not isinstance(rows, list):
        raise faults.bad_request("dataframe_split: data must be an array of rows, each an array.")
    if index is not None and not (isinstance(index, list) and len(index) == len(rows)):
        raise faults.bad_request("dataframe_split: index must be an array with a name for each row.")
    return names, rows, index


def unsigned(read: Read) -> Any:
    """The data for a model without a signature. Raises Refused (400) for what is no frame or array."""
    if read.field == "dataframe_split":
        table = split_table(read.value)
        rows = list(zip(*table.columns.values(), strict=True))
        names = list(table.columns) if not table.repeated else read.value["columns"]
        data = rows if not table.repeated else read.value["data"]
        return pd.DataFrame(data, columns=names, index=None if table.index is None else list(table.index))
    if read.field == "dataframe_records":
        return _records_frame(read.value)
    value = read.value
    if not read.field:
        return value
    try:
        if isinstance(value, dict):
            return {name: np.array(item) for name, item in value.items()}
        if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
            if read.field == "instances":
                names = list(dict.fromkeys(name for item in value for name in item))
                return {name: np.array([item[name] for item in value if name in item]) for name in names}
            return [{name: np.array(cell) for name, cell in item.items()} for item in value]
        return np.array(value)
    except (ValueError, OverflowError, RecursionError):
        raise faults.bad_request("The arrays are ragged: the items of each dimension must have one length.") from None


def _records_frame(value: Any) -> pd.DataFrame:
    if not isinstance(value, list):
        raise faults.bad_request("dataframe_records must be an array of objects, one a row.")
    try:
        return pd.DataFrame(data=value)
    except Exception:
        raise faults.bad_request("dataframe_records is no table: it must be an array of objects, one a row.") from None
