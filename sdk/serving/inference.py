"""The Open Inference Protocol V2 over REST, for one model: metadata, and requests to and from the model's own data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, cast

import msgspec
import numpy as np
import pandas as pd
from headrace.sdk.models.schema import ColSpec, DataType, Schema, TensorSpec
from headrace.sdk.serving import casting, faults, tensors
from headrace.sdk.serving.binding import frame
from headrace.sdk.serving.faults import JSON_TYPE, Answer, Refused
from headrace.sdk.serving.prediction import Bound, Prediction
from headrace.sdk.serving.quick import Rows, check_shape, dtype_of
from headrace.sdk.serving.tabular import Table
from headrace.sdk.serving.tensors import InputTensor
from headrace.sdk.version import VERSION

_encode = msgspec.json.Encoder().encode
_HEADER_LENGTH = b"inference-header-content-length"


class _Wanted(msgspec.Struct):
    name: str
    parameters: dict[str, Any] = {}


class _Request(msgspec.Struct):
    inputs: list[InputTensor]
    id: str | None = None
    parameters: dict[str, Any] = {}
    outputs: list[_Wanted] | None = None


_decode = msgspec.json.Decoder(_Request).decode


class Place(NamedTuple):
    """What a path below /v2 names. what: "", "health", "ready", "metadata" or "infer"; known: that model is here."""

    what: str
    known: bool = True


class Inference:
    """The protocol for a model under a name and version."""

    def __init__(self, prediction: Prediction, name: str, version: str) -> None:
        self._prediction = prediction
        self._name = name
        self._version = version
        outputs = prediction.model.metadata.get_output_schema()
        self._outputs = [] if outputs is None else [str(spec.name) for spec in outputs if spec.name is not None]

    def place(self, path: str) -> Place | None:
        """What a path names; None for one that is no route."""
        parts = path.strip("/").split("/")[1:]
        if not parts:
            return Place("server")
        if parts[0] == "health" and len(parts) == 2 and parts[1] in ("live", "ready"):
            return Place(parts[1])
        if parts[0] != "models" or len(parts) < 2:
            return None
        known, rest = parts[1] == self._name, parts[2:]
        if rest[:1] == ["versions"]:
            if len(rest) < 2:
                return None
            known, rest = known and rest[1] == self._version, rest[2:]
        what = {(): "metadata", ("ready",): "model ready", ("infer",): "infer"}.get(tuple(rest))
        return None if what is None else Place(what, known)

    def told(self, place: Place) -> Answer:
        """The answer to a GET. Raises Refused for a model that is not here."""
        if not place.known:
            raise self.unknown()
        bodies: dict[str, dict[str, Any]] = {
            "server": {"name": "headrace", "version": VERSION, "extensions": ["binary_tensor_data"]},
            "live": {"live": True},
            "ready": {"ready": True},
            "model ready": {"name": self._name, "ready": True},
        }
        return Answer(200, (JSON_TYPE,), _encode(bodies.get(place.what) or self._metadata()))

    def unknown(self) -> Refused:
        """A model or version that is not here."""
        return Refused(404, "", f"Here is the model {self._name!r}, version {self._version!r}, and no other.")

    def read(self, body: bytes, header_length: str | None) -> Rows | Bound:
        """What a request gives the model, with how its answer is written. Raises Refused (400)."""
        request, binary = _parts(body, header_length)
        arrays = _arrays(request, binary)
        schema = self._prediction.schema
        params = self._params(request)
        encode = partial(self._answer, request)
        rows = _stackable(arrays, schema)
        if rows is not None:
            return Rows(rows, params, encode)
        return Bound(_bound(request, arrays, schema), params, encode)

    def _params(self, request: _Request) -> dict[str, Any] | None:
        known = self._prediction.model.metadata.get_params_schema()
        names = {spec.name for spec in known} if known else set()
        return {name: value for name, value in request.parameters.items() if name in names} or None

    def _metadata(self) -> dict[str, Any]:
        metadata = self._prediction.model.metadata
        inputs, outputs = metadata.get_input_schema(), metadata.get_output_schema()
        told = [tensors.described(spec, place) for place, spec in enumerate(outputs or ())]
        if len(told) == 1 and not self._outputs:
            told[0]["name"] = "predictions"
        return {
            "name": self._name,
            "versions": [self._version],
            "platform": "headrace",
            "inputs": [tensors.described(spec, place) for place, spec in enumerate(inputs or ())],
            "outputs": told,
        }

    def _answer(self, request: _Request, prediction: Any) -> Answer:
        found = tensors.of_prediction(prediction, self._outputs)
        wanted = request.outputs
        if wanted is None:
            wanted = [_Wanted(name) for name in found]
        missing = [one.name for one in wanted if one.name not in found]
        if missing:
            raise faults.bad_request(f"The model has the outputs {', '.join(found)}; not {', '.join(missing)}.")
        all_binary = request.parameters.get("binary_data_output") is True
        outputs, blobs = [], []
        for one in wanted:
            array = found[one.name]
            said: dict[str, Any] = {"name": one.name, "datatype": tensors.datatype(array), "shape": list(array.shape)}
            # JSON has no form for half floats.
            if one.parameters.get("binary_data", all_binary or said["datatype"] == "FP16") is True:
                blobs.append(tensors.to_bytes(array))
                said["parameters"] = {"binary_data_size": len(blobs[-1])}
            else:
                said["data"] = tensors.flat_json(array)
            outputs.append(said)
        body: dict[str, Any] = {"model_name": self._name, "model_version": self._version, "outputs": outputs}
        if request.id is not None:
            body["id"] = request.id
        text = _encode(body)
        if not blobs:
            return Answer(200, (JSON_TYPE,), text)
        octets = (b"content-type", b"application/octet-stream")
        return Answer(200, (octets, (_HEADER_LENGTH, b"%d" % len(text))), b"".join([text, *blobs]))


def refused(error: Refused) -> Answer:
    """An error as the protocol has it."""
    answer = error.answer()
    return answer._replace(body=_encode({"error": error.message}))


def _parts(body: bytes, header_length: str | None) -> tuple[_Request, bytes]:
    """The JSON of a request, and the bytes that follow it."""
    length = len(body)
    if header_length is not None:
        if not (header_length.isascii() and header_length.isdigit()) or not 0 <= int(header_length) <= length:
            raise faults.bad_request(
                "Inference-Header-Content-Length must be the length of the JSON in the body, bytes."
            )
        length = int(header_length)
    try:
        return _decode(body[:length]), body[length:]
    except UnicodeDecodeError:
        raise faults.bad_request("The request is not UTF-8.") from None
    except RecursionError:
        raise faults.bad_request("The request is nested too deep.") from None
    except msgspec.ValidationError as error:
        raise faults.bad_request(f"The request is not one of the Open Inference Protocol: {error}.") from None
    except msgspec.DecodeError:
        raise faults.bad_request("The request is not JSON.") from None


def _arrays(request: _Request, binary: bytes) -> dict[str, np.ndarray[Any, Any]]:
    arrays: dict[str, np.ndarray[Any, Any]] = {}
    place = 0
    for tensor in request.inputs:
        size = tensor.parameters.get("binary_data_size")
        follows = None
        if size is not None:
            if type(size) is not int or not 0 <= size <= len(binary) - place:
                raise faults.bad_request(f"The tensor {tensor.name!r} has no so many bytes behind the JSON.")
            follows = binary[place : place + size]
            place += size
        if tensor.name in arrays:
            raise faults.bad_request(f"The tensor {tensor.name!r} is there more than once.")
        arrays[tensor.name] = tensors.read(tensor, follows)
    if place != len(binary):
        raise faults.bad_request(f"{len(binary) - place} bytes follow that are no tensor's; see binary_data_size.")
    if not arrays:
        raise faults.bad_request("The request has no inputs.")
    return arrays


def _stackable(arrays: Mapping[str, np.ndarray[Any, Any]], schema: Schema | None) -> np.ndarray[Any, Any] | None:
    """The rows for the quick way: columns of floats, or one tensor without a name. None for others."""
    if schema is None:
        return None
    if schema.is_tensor_spec():
        spec = cast(TensorSpec, schema.inputs[0])
        if schema.has_input_names() or len(arrays) != 1:
            return None
        (array,) = arrays.values()
        if array.dtype.kind not in "fiub" or spec.type.kind not in "fiub" or not spec.shape:
            return None
        array = _converted(array, spec)
        check_shape(array, spec)
        return array
    dtype = dtype_of(schema)
    if dtype is None or any(array.dtype.kind not in "fiu" for array in arrays.values()):
        return None
    names = schema.input_names()
    if len(arrays) == 1 and len(names) > 1:
        (array,) = arrays.values()
        return array.astype(dtype) if array.ndim == 2 and array.shape[1] == len(names) else None
    if any(name not in arrays for name in names):
        return None
    columns = [_column(arrays[str(name)], str(name)) for name in names]
    if len({len(column) for column in columns}) != 1:
        return None
    return np.stack(columns, axis=1).astype(dtype)


def _bound(request: _Request, arrays: Mapping[str, np.ndarray[Any, Any]], schema: Schema | None) -> Any:
    """The data as the model takes them, by its schema; without one, arrays, or a frame where content_type says pd."""
    if schema is not None and schema.is_tensor_spec():
        return _tensors(arrays, cast(list[TensorSpec], schema.inputs), schema.has_input_names())
    kinds = {tensor.parameters.get("content_type") for tensor in request.inputs}
    framed = request.parameters.get("content_type") == "pd" or kinds == {"pd"}
    if schema is None and not framed:
        texts = {name: _texts(array) for name, array in arrays.items()}
        return texts if len(texts) > 1 else next(iter(texts.values()))
    columns: dict[Any, np.ndarray[Any, Any]] = {name: _column(array, name) for name, array in arrays.items()}
    if len({len(column) for column in columns.values()}) > 1:
        raise faults.bad_request("The tensors are not of one length; each is a column.")
    if schema is None:
        return pd.DataFrame({name: _texts(column) for name, column in columns.items()})
    specs = cast(list[ColSpec], schema.inputs)
    if not schema.has_input_names():
        columns = dict(zip(range(len(specs)), columns.values(), strict=False))
        specs = [ColSpec(spec.type, place) for place, spec in enumerate(specs)]
    binary = {spec.name for spec in specs if spec.type is DataType.binary}
    values = {name: _values(column, name in binary) for name, column in columns.items()}
    return frame(Table(values, len(next(iter(values.values())))), specs)


def _tensors(arrays: Mapping[str, np.ndarray[Any, Any]], specs: Sequence[TensorSpec], named: bool) -> Any:
    if not named:
        if len(arrays) != 1:
            raise faults.not_as_signed(f"The model takes one tensor; there are {len(arrays)}.")
        return _converted(_texts(next(iter(arrays.values()))), specs[0])
    missing = [str(spec.name) for spec in specs if spec.name not in arrays]
    if missing:
        raise faults.not_as_signed(f"These tensors are missing: {', '.join(missing)}.")
    found = {str(spec.name): _converted(_texts(arrays[str(spec.name)]), spec) for spec in specs}
    for spec in specs:
        check_shape(found[str(spec.name)], spec)
    return found


def _converted(array: np.ndarray[Any, Any], spec: TensorSpec) -> np.ndarray[Any, Any]:
    if array.dtype == spec.type:
        return array
    if spec.type.kind == "f" and array.dtype.kind in "fiub":
        with np.errstate(over="ignore"):
            return array.astype(spec.type)
    return casting.tensor(array, spec)


def _column(array: np.ndarray[Any, Any], name: str) -> np.ndarray[Any, Any]:
    """One value a row: of shape (n,), or (n, 1)."""
    if array.ndim == 2 and array.shape[1] == 1:
        return array[:, 0]
    if array.ndim != 1:
        raise faults.not_as_signed(f"The tensor {name!r} is a column, of shape [n] or [n, 1]; it has {array.shape}.")
    return array


def _texts(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Items of BYTES that are UTF-8 as text."""
    if array.dtype.kind != "O":
        return array
    made = np.empty(array.size, dtype=object)
    made[:] = [_text(item) for item in array.flat]
    return made.reshape(array.shape)


def _text(item: Any) -> Any:
    try:
        return item.decode() if isinstance(item, bytes) else item
    except UnicodeDecodeError:
        return item


def _values(column: np.ndarray[Any, Any], binary: bool) -> Any:
    """Values as JSON would have them, but for binary columns, whose bytes are bytes here."""
    if column.dtype.kind != "O":
        return column
    if binary:
        return [item.encode() if isinstance(item, str) else item for item in column]
    return [_text(item) for item in column]
