"""The value of a body's field as the data that a model takes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from headrace.sdk.serving import faults
from headrace.sdk.serving.bodies import Read


def unsigned(read: Read) -> Any:
    """The data for a model without a signature. Raises Refused (400) for what is no frame or array."""
    if read.field == "dataframe_split":
        return split_frame(read.value)
    if read.field == "dataframe_records":
        return records_frame(read.value)
    if read.field:
        return arrays(read.value)
    return read.value


def split_frame(value: Any) -> pd.DataFrame:
    """A frame of {columns, data, index}. Raises Refused (400)."""
    if not isinstance(value, dict):
        raise faults.bad_request("dataframe_split must be an object with data, and columns and index if there are any.")
    if "data" not in value or value.keys() - {"columns", "data", "index"}:
        raise faults.bad_request("dataframe_split must have data, and beside it only columns and index.")
    try:
        return pd.DataFrame(index=value.get("index"), columns=value.get("columns"), data=value["data"])
    except Exception:
        raise faults.bad_request(
            "dataframe_split is no table: data must be an array of rows, each with a value for each of columns."
        ) from None


def records_frame(value: Any) -> pd.DataFrame:
    """A frame of a list of objects. Raises Refused (400)."""
    if not isinstance(value, list):
        raise faults.bad_request("dataframe_records must be an array of objects, one a row.")
    try:
        return pd.DataFrame(data=value)
    except Exception:
        raise faults.bad_request("dataframe_records is no table: it must be an array of objects, one a row.") from None


def arrays(value: Any) -> Any:
    """What instances and inputs hold, without a signature to say more: arrays. Raises Refused (400) for ragged ones."""
    try:
        if isinstance(value, dict):
            return {name: np.array(item) for name, item in value.items()}
        if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
            return [{name: np.array(cell) for name, cell in item.items()} for item in value]
        return np.array(value)
    except (ValueError, OverflowError):
        raise faults.bad_request("The arrays are ragged: the items of each dimension must have one length.") from None
