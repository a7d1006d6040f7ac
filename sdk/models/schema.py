"""What a model takes and gives: columns, tensors and params, in MLflow's names and JSON.

A schema is a list of columns (`ColSpec`) or of tensors (`TensorSpec`), never of both; all of them have a name, or none.
"""

from __future__ import annotations

import datetime as dt
import enum
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


class BadSchema(ValueError):
    """A schema, or its JSON, that cannot be; the message says what is wrong."""


class DataType(enum.Enum):
    """What a column of scalars may hold; the value is the numpy dtype it has in memory."""

    boolean = "bool"
    integer = "int32"
    long = "int64"
    float = "float32"
    double = "float64"
    string = "str"
    binary = "bytes"
    datetime = "datetime64[ns]"

    def __repr__(self) -> str:
        return self.name

    def to_numpy(self) -> np.dtype[Any]:
        """The dtype of an array of it."""
        return np.dtype(self.value)

    def to_pandas(self) -> np.dtype[Any]:
        """The dtype of a pandas column of it."""
        return np.dtype(object) if self in (DataType.string, DataType.binary) else np.dtype(self.value)


@dataclass(frozen=True, slots=True)
class AnyType:
    """Anything that JSON can say, None included; nothing is checked."""


@dataclass(frozen=True, slots=True)
class Array:
    """A list whose items are all of one type."""

    dtype: Type

    def __post_init__(self) -> None:
        object.__setattr__(self, "dtype", type_of(self.dtype))


@dataclass(frozen=True, slots=True)
class SparkMLVector:
    """A vector of Spark ML: a list of doubles."""


@dataclass(frozen=True, slots=True)
class Map:
    """A dict of strings to values of one type."""

    value_type: Type

    def __post_init__(self) -> None:
        object.__setattr__(self, "value_type", type_of(self.value_type))


@dataclass(frozen=True, slots=True)
class Property:
    """A named member of an object."""

    name: str
    dtype: Type
    required: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "dtype", type_of(self.dtype))


@dataclass(frozen=True, slots=True)
class Object:
    """A dict with these members and no others, kept in the order of their names."""

    properties: Sequence[Property]

    def __post_init__(self) -> None:
        object.__setattr__(self, "properties", tuple(sorted(self.properties, key=lambda one: one.name)))


Type = DataType | Array | Object | Map | AnyType | SparkMLVector


def type_of(given: Any) -> Type:
    """A type as given, or by its name. Raises BadSchema."""
    if isinstance(given, str):
        try:
            return DataType[given]
        except KeyError:
            raise BadSchema(
                f"there is no type {given!r}; there are {', '.join(one.name for one in DataType)}"
            ) from None
    if not isinstance(given, DataType | Array | Object | Map | AnyType | SparkMLVector):
        raise BadSchema(f"{given!r} is no type of a column")
    return given


def type_to_dict(one: Type) -> dict[str, Any]:
    """A type as JSON says it."""
    match one:
        case DataType():
            return {"type": one.name}
        case Array(dtype):
            return {"type": "array", "items": type_to_dict(dtype)}
        case Object(properties):
            members = {each.name: type_to_dict(each.dtype) | {"required": each.required} for each in properties}
            return {"type": "object", "properties": members}
        case Map(value_type):
            return {"type": "map", "values": type_to_dict(value_type)}
        case SparkMLVector():
            return {"type": "sparkml_vector"}
        case _:
            return {"type": "any"}


def type_from_dict(said: Any) -> Type:
    """A type from what JSON says. Raises BadSchema."""
    if isinstance(said, str):
        return type_of(said)
    if not isinstance(said, Mapping) or not isinstance(said.get("type"), str):
        raise BadSchema(f"{said!r} names no type")
    match said["type"]:
        case "array":
            return Array(type_from_dict(said.get("items")))
        case "object":
            members = said.get("properties")
            if not isinstance(members, Mapping):
                raise BadSchema("an object's type has no properties")
            return Object(
                [Property(name, type_from_dict(one), bool(one.get("required", True))) for name, one in members.items()]
            )
        case "map":
            return Map(type_from_dict(said.get("values")))
        case "sparkml_vector":
            return SparkMLVector()
        case "any":
            return AnyType()
        case name:
            return type_of(name)


class ColSpec:
    """A column: its type, its name or None, and whether data must have it."""

    __slots__ = ("name", "required", "type")

    def __init__(self, type: Type | str, name: str | int | None = None, required: bool = True) -> None:
        self.type = type_of(type)
        self.name = name
        self.required = required

    def to_dict(self) -> dict[str, Any]:
        """As JSON says it."""
        named = {} if self.name is None else {"name": self.name}
        return type_to_dict(self.type) | named | {"required": self.required}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ColSpec) and self.to_dict() == other.to_dict()

    def __repr__(self) -> str:
        named = "" if self.name is None else f"{self.name!r}: "
        return f"{named}{said(self.type)} ({'required' if self.required else 'optional'})"


class TensorSpec:
    """A tensor: its dtype, its shape with -1 where any length goes, its name or None."""

    __slots__ = ("name", "shape", "type")
    required = True

    def __init__(self, type: Any, shape: Sequence[int], name: str | None = None) -> None:
        self.type = flexible(np.dtype(type))
        self.shape = tuple(int(length) for length in shape)
        self.name = name

    def to_dict(self) -> dict[str, Any]:
        """As JSON says it."""
        named = {} if self.name is None else {"name": self.name}
        return named | {"type": "tensor", "tensor-spec": {"dtype": self.type.name, "shape": list(self.shape)}}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TensorSpec) and self.to_dict() == other.to_dict()

    def __repr__(self) -> str:
        named = "" if self.name is None else f"{self.name!r}: "
        return f"{named}Tensor({self.type.name!r}, {self.shape})"


def flexible(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype without the length that arrays of text and bytes carry."""
    return np.dtype("str") if dtype.char == "U" else np.dtype("bytes") if dtype.char == "S" else dtype


def said(one: Type) -> str:
    """A type in words."""
    match one:
        case DataType():
            return one.name
        case Array(dtype):
            return f"array of {said(dtype)}"
        case Map(value_type):
            return f"map to {said(value_type)}"
        case Object(properties):
            return "object of " + ", ".join(each.name for each in properties)
        case SparkMLVector():
            return "vector"
        case _:
            return "anything"


class Schema:
    """The columns or tensors of data. Raises BadSchema for a mixture, or for no columns at all."""

    def __init__(self, inputs: Sequence[ColSpec | TensorSpec]) -> None:
        self.inputs = list(inputs)
        if not self.inputs:
            raise BadSchema("a schema has one column or tensor at least")
        if len({type(one) for one in self.inputs}) > 1:
            raise BadSchema("a schema holds columns or tensors, not both")
        if len({one.name is None for one in self.inputs}) > 1:
            raise BadSchema("either all columns of a schema have a name, or none")
        if self.inputs[0].name is None:
            if self.is_tensor_spec() and len(self.inputs) > 1:
                raise BadSchema("several tensors need a name each")
            if not all(one.required for one in self.inputs):
                raise BadSchema("a column without a name cannot be optional")

    def is_tensor_spec(self) -> bool:
        """Whether it is about tensors."""
        return isinstance(self.inputs[0], TensorSpec)

    def has_input_names(self) -> bool:
        """Whether its columns have names."""
        return self.inputs[0].name is not None

    def input_names(self) -> list[str | int]:
        """The names, or the numbers from 0 where there are none."""
        return [index if one.name is None else one.name for index, one in enumerate(self.inputs)]

    def required_input_names(self) -> list[str | int]:
        """Those that data must have."""
        return [name for name, one in zip(self.input_names(), self.inputs, strict=True) if one.required]

    def input_types(self) -> list[Any]:
        """The types of the columns, or the dtypes of the tensors."""
        return [one.type for one in self.inputs]

    def to_dict(self) -> list[dict[str, Any]]:
        """As JSON says it."""
        return [one.to_dict() for one in self.inputs]

    def to_json(self) -> str:
        """As MLmodel keeps it."""
        return json.dumps(self.to_dict())

    @classmethod
    def from_json(cls, text: str) -> Schema:
        """From what MLmodel keeps. Raises BadSchema."""
        return cls([_spec(one) for one in _list(text)])

    def __len__(self) -> int:
        return len(self.inputs)

    def __iter__(self) -> Iterator[ColSpec | TensorSpec]:
        return iter(self.inputs)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Schema) and self.inputs == other.inputs

    def __repr__(self) -> str:
        return repr(self.inputs)


def _list(text: str) -> list[dict[str, Any]]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise BadSchema(f"a schema is no JSON: {error}") from error
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise BadSchema("a schema's JSON is a list of objects")
    return found


def _spec(one: Mapping[str, Any]) -> ColSpec | TensorSpec:
    if one.get("type") == "tensor":
        try:
            inner = one["tensor-spec"]
            return TensorSpec(inner["dtype"], inner["shape"], one.get("name"))
        except (KeyError, TypeError, ValueError) as error:
            raise BadSchema(f"the tensor {one.get('name') or ''} of a schema lacks its dtype or shape") from error
    required = one.get("required")
    return ColSpec(type_from_dict(one), one.get("name"), True if required is None else bool(required))


@dataclass(frozen=True, slots=True)
class ParamSpec:
    """A param of predict: its type, default, and shape: None for one value, (-1,) for a list."""

    name: str
    dtype: Type
    default: Any
    shape: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "dtype", type_of(self.dtype))
        if self.dtype is DataType.binary or not isinstance(self.dtype, DataType | Object):
            raise BadSchema(f"the param {self.name} cannot be of type {said(self.dtype)}")
        if self.shape is not None:
            object.__setattr__(self, "shape", tuple(self.shape))
            if isinstance(self.default, list | np.ndarray):
                object.__setattr__(self, "default", [_plain(one) for one in self.default])
        object.__setattr__(self, "default", _plain(self.default))
        if self.shape not in (None, (-1,)):
            raise BadSchema(f"the param {self.name} is one value or a list of them; its shape cannot be {self.shape}")

    def to_dict(self) -> dict[str, Any]:
        """As JSON says it."""
        default = self.default
        if self.dtype is DataType.datetime and default is not None:
            default = [_iso(one) for one in default] if self.shape else _iso(default)
        shape = None if self.shape is None else list(self.shape)
        return {"name": self.name, "default": default, "shape": shape} | type_to_dict(self.dtype)


def _plain(value: Any) -> Any:
    """A number of numpy's as Python has it; moments keep their precision."""
    return value.item() if isinstance(value, np.generic) and not isinstance(value, np.datetime64) else value


def _iso(moment: Any) -> str:
    return moment.isoformat() if isinstance(moment, dt.date) else str(moment)


@dataclass(frozen=True)
class ParamSchema:
    """The params of predict. Raises BadSchema for two of one name."""

    params: list[ParamSpec]

    def __post_init__(self) -> None:
        names = [one.name for one in self.params]
        if len(set(names)) < len(names):
            raise BadSchema("a param is there twice")

    def to_dict(self) -> list[dict[str, Any]]:
        """As JSON says it."""
        return [one.to_dict() for one in self.params]

    def to_json(self) -> str:
        """As MLmodel keeps it."""
        return json.dumps(self.to_dict())

    @classmethod
    def from_json(cls, text: str) -> ParamSchema:
        """From what MLmodel keeps; `dtype` is what MLflow 2.6 called the type. Raises BadSchema."""
        specs = []
        for one in _list(text):
            if "name" not in one or "default" not in one:
                raise BadSchema("a param's JSON lacks its name or default")
            kind = type_from_dict(one if "type" in one else one.get("dtype"))
            shape = one.get("shape")
            specs.append(ParamSpec(str(one["name"]), kind, one["default"], None if shape is None else tuple(shape)))
        return cls(specs)

    def __len__(self) -> int:
        return len(self.params)

    def __iter__(self) -> Iterator[ParamSpec]:
        return iter(self.params)
