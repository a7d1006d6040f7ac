"""Tensors of the Open Inference Protocol V2: JSON's and the binary extension's, to and from numpy.

https://github.com/kserve/open-inference-protocol, and its binary tensor data extension: a tensor's bytes follow the
JSON in the order of the tensors, little-endian, row by row; each item of BYTES has its length before it, 4 bytes.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import pandas as pd
from headrace.sdk.models.schema import ColSpec, DataType, TensorSpec
from headrace.sdk.serving import faults

DTYPES: dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype("?"), "UINT8": np.dtype("u1"), "UINT16": np.dtype("<u2"), "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"), "INT8": np.dtype("i1"), "INT16": np.dtype("<i2"), "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"), "FP16": np.dtype("<f2"), "FP32": np.dtype("<f4"), "FP64": np.dtype("<f8"),
}  # fmt: skip
NAMES = {dtype: name for name, dtype in DTYPES.items()}
BYTES = "BYTES"
_OF_COLUMN = {
    DataType.boolean: "BOOL", DataType.integer: "INT32", DataType.long: "INT64", DataType.float: "FP32",
    DataType.double: "FP64",
}  # fmt: skip
_LENGTH = struct.Struct("<I")


class InputTensor(msgspec.Struct):
    """A tensor of a request. data: flat or nested, in row-major order; none where the bytes follow."""

    name: str
    shape: list[int]
    datatype: str
    data: Any = None
    parameters: dict[str, Any] = {}


def read(tensor: InputTensor, follows: bytes | None) -> np.ndarray[Any, Any]:
    """The array of a tensor; of BYTES an array of objects, bytes from the binary extension and str from JSON.

    follows: the tensor's own bytes, where it is sent so. Raises Refused (400) when data and shape do not fit.
    """
    dtype = DTYPES.get(tensor.datatype)
    if dtype is None and tensor.datatype != BYTES:
        raise faults.bad_request(
            f"The tensor {tensor.name!r} is of no datatype that is known; there are {', '.join(DTYPES)} and BYTES."
        )
    if any(length < 0 for length in tensor.shape):
        raise faults.bad_request(f"The tensor {tensor.name!r} has a negative length in its shape.")
    items = math.prod(tensor.shape)
    if follows is not None:
        flat = _items(follows, tensor.name) if dtype is None else _numbers(follows, dtype, tensor.name)
    else:
        flat = _of_json(tensor, dtype)
    if flat.size != items:
        raise faults.bad_request(f"The tensor {tensor.name!r} has {flat.size} items; its shape says {items}.")
    return flat.reshape(tensor.shape)


def _numbers(data: bytes, dtype: np.dtype[Any], name: str) -> np.ndarray[Any, Any]:
    if len(data) % dtype.itemsize:
        raise faults.bad_request(f"The tensor {name!r} has {len(data)} bytes, no multiple of {dtype.itemsize}.")
    return np.frombuffer(data, dtype)


def _items(data: bytes, name: str) -> np.ndarray[Any, Any]:
    items = []
    place = 0
    while place < len(data):
        if place + 4 > len(data):
            raise faults.bad_request(f"The tensor {name!r} ends in the middle of an item's length.")
        (length,) = _LENGTH.unpack_from(data, place)
        place += 4 + length
        if place > len(data):
            raise faults.bad_request(f"The tensor {name!r} ends in the middle of an item.")
        items.append(data[place - length : place])
    return _objects(items)


def _of_json(tensor: InputTensor, dtype: np.dtype[Any] | None) -> np.ndarray[Any, Any]:
    if not isinstance(tensor.data, list):
        raise faults.bad_request(f"The tensor {tensor.name!r} has no data: an array, or binary_data_size.")
    try:
        if dtype is None:
            return _objects(_flat(tensor.data))
        array = np.array(tensor.data)
        if array.size and not _fits(array, dtype):
            raise ValueError
        with np.errstate(over="ignore"):
            return array.astype(dtype).ravel()
    except (ValueError, TypeError, OverflowError, RecursionError):
        raise faults.bad_request(
            f"The tensor {tensor.name!r} must hold items of {tensor.datatype}, flat or nested as its shape says."
        ) from None


def _fits(array: np.ndarray[Any, Any], dtype: np.dtype[Any]) -> bool:
    """Whether JSON's numbers are of the datatype, none changed but for a float's last digits."""
    if dtype.kind == "b":
        return array.dtype.kind == "b" or (array.dtype.kind in "iu" and bool(np.isin(array, (0, 1)).all()))
    if dtype.kind == "f":
        return array.dtype.kind in "iuf" or (
            array.dtype.kind == "O" and all(_number_or_null(one) for one in array.flat)
        )
    bounds = np.iinfo(dtype)
    return array.dtype.kind in "iu" and int(array.min()) >= bounds.min and int(array.max()) <= bounds.max


def _number_or_null(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _flat(data: list[Any], depth: int = 0) -> list[Any]:
    if depth > 32:
        raise ValueError("nested too deep")
    flat: list[Any] = []
    for item in data:
        if isinstance(item, list):
            flat += _flat(item, depth + 1)
        elif isinstance(item, str):
            flat.append(item)
        else:
            raise TypeError("no text")
    return flat


def _objects(items: Sequence[Any]) -> np.ndarray[Any, Any]:
    array = np.empty(len(items), dtype=object)
    array[:] = items
    return array


def of_prediction(prediction: Any, names: Sequence[str]) -> dict[str, np.ndarray[Any, Any]]:
    """A prediction as named arrays of datatypes that the protocol has.

    A frame's columns and a dict's keys are tensors; one array is the signature's one output, or "predictions".
    names: of the signature's outputs. Raises Refused (400) for what no tensor holds.
    """
    if isinstance(prediction, pd.Series):
        prediction = pd.DataFrame(prediction)
    if isinstance(prediction, pd.DataFrame):
        return {str(name): _array(prediction[name].to_numpy(), str(name)) for name in prediction.columns}
    if isinstance(prediction, Mapping):
        return {str(name): _array(values, str(name)) for name, values in prediction.items()}
    name = names[0] if len(names) == 1 else "predictions"
    return {name: _array(prediction, name)}


def _array(values: Any, name: str) -> np.ndarray[Any, Any]:
    try:
        array = np.atleast_1d(np.asarray(values))
    except ValueError:
        array = np.empty(0, dtype="V1")
    if array.dtype.kind == "M":
        array = np.datetime_as_string(array)
    if array.dtype.kind in "US":
        return array.astype(object)
    if array.dtype.kind == "O" and all(isinstance(item, str | bytes) for item in array.flat):
        return array
    if array.dtype.kind == "O" and array.ndim == 1 and array.size:
        try:
            array = np.array([np.asarray(item) for item in array])
        except ValueError:
            pass
    if array.dtype.newbyteorder("<") not in NAMES:
        raise faults.bad_request(
            f"The model's output {name!r} is no tensor (a {type(values).__name__}); ask /invocations for it."
        )
    return array


def datatype(array: np.ndarray[Any, Any]) -> str:
    """Of an array that `of_prediction` gave."""
    return BYTES if array.dtype.kind == "O" else NAMES[array.dtype.newbyteorder("<")]


def flat_json(array: np.ndarray[Any, Any]) -> list[Any]:
    """The items for JSON. Raises Refused (400) for bytes that are no UTF-8, which JSON cannot say."""
    if array.dtype.kind != "O":
        plain: list[Any] = array.ravel().tolist()
        return plain
    try:
        return [item.decode() if isinstance(item, bytes) else item for item in array.flat]
    except UnicodeDecodeError:
        raise faults.bad_request("An output holds bytes that are no UTF-8; ask for it as binary data.") from None


def to_bytes(array: np.ndarray[Any, Any]) -> bytes:
    """The items as the binary extension sends them."""
    if array.dtype.kind != "O":
        return array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
    items = [item.encode() if isinstance(item, str) else item for item in array.flat]
    return b"".join(part for item in items for part in (_LENGTH.pack(len(item)), item))


def described(spec: ColSpec | TensorSpec, place: int) -> dict[str, Any]:
    """A column or tensor of a signature, for a model's metadata."""
    name = str(spec.name) if spec.name is not None else f"input-{place}"
    if isinstance(spec, TensorSpec):
        kind = NAMES.get(spec.type.newbyteorder("<"), BYTES)
        return {"name": name, "datatype": kind, "shape": list(spec.shape)}
    kind = _OF_COLUMN.get(spec.type, BYTES) if isinstance(spec.type, DataType) else BYTES
    return {"name": name, "datatype": kind, "shape": [-1]}
