"""An input example of a model: written as MLflow writes it, with a ready request body beside it, and read back."""

from __future__ import annotations

import base64
import datetime as dt
import json
import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

FILE = "input_example.json"
SERVING_FILE = "serving_input_example.json"
LLM_KEYS = ("messages", "input", "prompt")
"""A dict with one of these goes to a model as it is, in requests too."""


class BadExample(ValueError):
    """An example of a kind that cannot be written as JSON."""


@dataclass(frozen=True)
class Example:
    """info: what MLmodel says of it. data, params: as pyfunc's predict takes them. json, serving: what is written."""

    info: dict[str, Any]
    data: Any
    params: dict[str, Any] | None
    json: str
    serving: str

    def write(self, folder: Path) -> None:
        """Write both files. Raises OSError."""
        (folder / FILE).write_text(self.json, encoding="utf-8")
        (folder / SERVING_FILE).write_text(self.serving, encoding="utf-8")


def of(given: Any) -> Example:
    """An example as the user gave it: data, or (data, params).

    data: a DataFrame, Series, array, dict of arrays, sparse matrix, list, dict or scalar. Raises BadExample.
    """
    pandas = sys.modules.get("pandas")
    params: dict[str, Any] | None = None
    data = given
    if isinstance(given, tuple) and len(given) == 2 and isinstance(given[1], dict):
        data, params = given
    info: dict[str, Any] = {"artifact_path": FILE}
    if pandas is not None and isinstance(data, pandas.Series):
        data = data.to_frame()
    if pandas is not None and isinstance(data, pandas.DataFrame):
        kept: Any = {"columns": list(data.columns), "data": [list(row) for row in data.itertuples(index=False)]}
        if kept["columns"] == list(range(len(kept["columns"]))):
            del kept["columns"]
        body: dict[str, Any] = {"dataframe_split": kept}
        info |= {"type": "dataframe", "pandas_orient": "split" if "columns" in kept else "values"}
    elif isinstance(data, np.ndarray) or (
        isinstance(data, dict) and data and all(isinstance(one, np.ndarray) for one in data.values())
    ):
        kept, info["type"] = data, "ndarray"
        body = {"inputs": kept}
    elif hasattr(data, "indptr") and hasattr(data, "toarray"):
        kept = {"data": data.data, "indices": data.indices, "indptr": data.indptr, "shape": list(data.shape)}
        info["type"] = f"sparse_matrix_{data.format}"
        body = {"inputs": data.toarray()}
    elif data is None or isinstance(data, list | dict | str | bytes | bool | int | float | dt.date | np.generic):
        kept, info["type"] = data, "json_object"
        llm = isinstance(data, dict) and any(key in data for key in LLM_KEYS)
        body = data if llm and isinstance(data, dict) else {"inputs": data}
    else:
        raise BadExample(
            f"an input example cannot be a {type(data).__name__}; give a DataFrame, an array, a list or a dict"
        )
    if params is not None:
        kept = {"data": kept, "params": params}
        body = body | (params if "params" not in body and _is_llm(body) else {"params": params})
        info["params"] = "true"
    info["serving_input_path"] = SERVING_FILE
    return Example(info, data, params, _json(kept), _json(body, indent=2))


def _is_llm(body: Mapping[str, Any]) -> bool:
    return any(key in body for key in LLM_KEYS) and "inputs" not in body


def read(folder: Path, info: Mapping[str, Any] | None) -> Any:
    """The data of the example in a model's folder; None where there is none. A DataFrame is read as one."""
    kept = _read(folder, info)
    if info is None or kept is None:
        return None
    data = kept["data"] if info.get("params") else kept
    match info.get("type"):
        case "dataframe":
            import pandas

            return (
                pandas.DataFrame(data["data"], columns=data.get("columns"))
                if isinstance(data, dict)
                else (pandas.DataFrame(data))
            )
        case "ndarray":
            return {name: np.asarray(one) for name, one in data.items()} if isinstance(data, dict) else np.asarray(data)
        case "sparse_matrix_csr" | "sparse_matrix_csc" as kind:
            import scipy.sparse

            make = scipy.sparse.csr_matrix if kind.endswith("csr") else scipy.sparse.csc_matrix
            return make((data["data"], data["indices"], data["indptr"]), shape=tuple(data["shape"]))
    return data


def read_params(folder: Path, info: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The params of the example in a model's folder, or None."""
    kept = _read(folder, info)
    return dict(kept["params"]) if info is not None and info.get("params") and kept is not None else None


def _read(folder: Path, info: Mapping[str, Any] | None) -> Any:
    if info is None:
        return None
    try:
        return json.loads((folder / Path(str(info.get("artifact_path") or FILE)).name).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None


def _json(value: Any, indent: int | None = None) -> str:
    try:
        return json.dumps(_plain(value), indent=indent, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise BadExample(f"the input example cannot be written as JSON: {error}") from error


def _plain(value: Any) -> Any:
    """What JSON can say: NaN becomes null, bytes base64, a moment its ISO form."""
    if isinstance(value, np.ndarray):
        value = value.tolist()
    elif isinstance(value, np.generic):
        value = value.item()
    if value is None or value is True or value is False or isinstance(value, str | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, bytes | bytearray):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if hasattr(value, "isoformat"):
        return None if value != value else value.isoformat()
    pandas = sys.modules.get("pandas")
    if pandas is not None and value is pandas.NA:
        return None
    raise TypeError(f"a {type(value).__name__} has no form in JSON")
