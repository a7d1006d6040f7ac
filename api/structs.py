"""Requests and answers of our own routes as msgspec structs: decoded, and described in the OpenAPI document."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeAlias, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt
from headrace.api.errors import invalid

Value: TypeAlias = float | str | None
"""A number as JSON can have it: NaN and infinities are texts; null: none."""

T = TypeVar("T")


def decoded(decoder: msgspec.json.Decoder[T], body: bytes, what: str) -> T:
    """A request's body. what: its name in messages. Raises INVALID_PARAMETER_VALUE."""
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise invalid(f"Invalid {what} request: {error}") from error


def schemas(*types: Any) -> list[Any]:
    """The JSON schema of each type, standing alone."""
    found, components = msgspec.json.schema_components(types)

    def inline(schema: Any) -> Any:
        if isinstance(schema, dict):
            if "$ref" in schema:
                return inline(components[schema["$ref"].rsplit("/", 1)[-1]])
            return {name: inline(part) for name, part in schema.items()}
        return [inline(part) for part in schema] if isinstance(schema, list) else schema

    return [inline(schema) for schema in found]


def documented(request: Any | None, *answers: Any, media: Sequence[str] = ()) -> dict[str, Any]:
    """openapi_extra of a route. request: the schema of its JSON body; answers: of its JSON answers; media: other types
    that it answers with."""
    answer = answers[0] if len(answers) == 1 else {"anyOf": list(answers)}
    content = {"application/json": {"schema": answer}, **{name: {} for name in media}}
    extra: dict[str, Any] = {"responses": {"200": {"content": content}}}
    if request is not None:
        extra["requestBody"] = {"required": True, "content": {"application/json": {"schema": request}}}
    return extra


def json_value(value: float | None) -> Value:
    """A number as JSON can have it."""
    if value is None or math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def json_values(column: npt.NDArray[np.float64], nan: Value = "NaN") -> list[Value]:
    """Numbers as JSON can have them. nan: what stands for NaN."""
    values: list[Value] = column.tolist()
    for place in np.flatnonzero(~np.isfinite(column)).tolist():
        values[place] = nan if math.isnan(column[place]) else json_value(column[place])
    return values
