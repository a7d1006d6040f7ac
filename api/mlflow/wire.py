"""MLflow's wire: request structs in, JSON out, and how a handler becomes a route under both prefixes."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import msgspec
from fastapi import APIRouter, Request, Response
from headrace.api.errors import ApiError, invalid
from headrace.api.search import decode_page_token
from headrace.api.services import Services, services

S = TypeVar("S", bound=msgspec.Struct)
PREFIXES = ("/api/2.0/mlflow", "/ajax-api/2.0/mlflow")

_FIELD = re.compile(r" - at `\$\.?(.*)`$")
_MISSING = re.compile(r"Object missing required field `(.+?)`(?: - at `\$\.?(.*)`)?$")


class Body(msgspec.Struct, kw_only=True):
    """A request: the JSON body of a POST, PATCH or DELETE, the query of a GET, or of a DELETE that has one; path
    parameters join it. Unknown fields are ignored, integers may come as strings, and null is the same as absent."""


class Tag(msgspec.Struct):
    """A tag or a param."""

    key: str
    value: str = ""


def json_response(value: Any) -> Response:
    """The value as JSON."""
    return Response(msgspec.json.encode(value), media_type="application/json")


def number(value: float) -> float | str:
    """A float as MLflow's JSON has it: NaN and infinities as strings."""
    if math.isfinite(value):
        return value
    return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"


def present(**fields: Any) -> dict[str, Any]:
    """The fields that hold something: MLflow leaves out empty lists and nulls."""
    return {name: value for name, value in fields.items() if value is not None and value != [] and value != {}}


def pairs(mapping: dict[str, str]) -> list[dict[str, str]]:
    """A mapping as MLflow's list of key and value, by key."""
    return [{"key": key, "value": mapping[key]} for key in sorted(mapping)]


def absent(name: str) -> str:
    """What MLflow says of a parameter that is not there."""
    return (
        f"Missing value for required parameter '{name}'."
        " See the API docs for more information about request parameters."
    )


def required(value: str | None, name: str) -> str:
    """The value. Raises INVALID_PARAMETER_VALUE when it is missing or empty."""
    if not value:
        raise invalid(absent(name))
    return value


def page_start(token: str) -> int:
    """The offset a page begins at. Raises INVALID_PARAMETER_VALUE."""
    try:
        return decode_page_token(token)
    except ValueError as error:
        raise invalid(str(error)) from None


def parse(body: bytes, kind: type[S]) -> S:
    """A JSON body as `kind`. Raises MALFORMED_REQUEST for what is no JSON, INVALID_PARAMETER_VALUE for wrong types."""
    try:
        return msgspec.json.decode(body or b"{}", type=kind, strict=False)
    except msgspec.ValidationError:
        # Once more, leniently: bare NaN and Infinity, and null for "not given".
        return _convert(_loads(body), kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _convert(_loads(body), kind)


def _loads(body: bytes) -> Any:
    if body.startswith(b"\x1f\x8b"):
        raise ApiError("MALFORMED_REQUEST", "The request body is compressed; send it as plain JSON")
    try:
        text = body.decode()
        value = json.loads(text)
        if "\\ud" in text.lower():
            json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ApiError("MALFORMED_REQUEST", "The request body holds half a surrogate pair, which is no text") from None
    except (ValueError, RecursionError) as error:
        raise ApiError("MALFORMED_REQUEST", f"Failed to parse the request body as JSON: {error}") from None
    if not isinstance(value, dict):
        raise ApiError("MALFORMED_REQUEST", "The request body must be a JSON object")
    return value


def _convert(value: Any, kind: type[S]) -> S:
    try:
        return msgspec.convert(_without_nulls(value), kind, strict=False)
    except msgspec.ValidationError as error:
        raise invalid(_explained(str(error))) from None
    except RecursionError:
        raise ApiError("MALFORMED_REQUEST", "The request body is nested too deeply") from None


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nulls(item) for name, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value


def _explained(message: str) -> str:
    """A validation error with the words MLflow's clients know."""
    gap = _MISSING.search(message)
    if gap:
        return absent(".".join(part for part in (gap[2], gap[1]) if part))
    field = _FIELD.search(message)
    what = message[: field.start()] if field else message
    return f"Invalid value for parameter '{field[1] if field else 'body'}' supplied: {what}"


def _query(request: Request, kind: type[msgspec.Struct]) -> dict[str, Any]:
    """The query's values by name, as lists where the field is one."""
    lists = {f.encode_name for f in msgspec.structs.fields(kind) if "list" in str(f.type)}
    params = request.query_params
    return {name: params.getlist(name) if name in lists else params[name] for name in params}


def add(
    router: APIRouter,
    method: str,
    path: str,
    kind: type[S],
    handler: Callable[[Services, S], Awaitable[Any]],
    summary: str,
) -> None:
    """Serve `path` under both prefixes: the request as `kind` to the handler, its answer as JSON."""

    async def endpoint(request: Request) -> Response:
        if method == "GET" or (method == "DELETE" and request.query_params):
            asked = _convert({**_query(request, kind), **request.path_params}, kind)
        elif request.path_params:
            value = _loads(await request.body() or b"{}")
            asked = _convert({**value, **request.path_params}, kind)
        else:
            asked = parse(await request.body(), kind)
        return json_response(await handler(services(request), asked))

    endpoint.__doc__ = handler.__doc__
    for prefix in PREFIXES:
        router.add_api_route(
            f"{prefix}{path}",
            endpoint,
            methods=[method],
            summary=summary,
            include_in_schema=prefix == PREFIXES[0],
            operation_id=f"{prefix}{path}:{method}".strip("/").replace("/", "-"),
            openapi_extra=_schema(method, path, kind),
        )
        if "{" not in path:
            EXACT[method, f"{prefix}{path}"] = endpoint


def _schema(method: str, path: str, kind: type[msgspec.Struct]) -> dict[str, Any]:
    [schema], parts = msgspec.json.schema_components([kind], ref_template="#/components/schemas/{name}")
    COMPONENTS.update(parts)
    named = set(re.findall(r"{(\w+)}", path))
    where: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in sorted(named)
    ]
    if method == "GET":
        properties = parts[kind.__name__].get("properties", {})
        where += [
            {"name": name, "in": "query", "schema": field} for name, field in properties.items() if name not in named
        ]
        return {"parameters": where}
    return {"parameters": where, "requestBody": {"content": {"application/json": {"schema": schema}}}}


EXACT: dict[tuple[str, str], Callable[[Request], Awaitable[Response]]] = {}
"""The endpoints without path parameters, by method and path."""

COMPONENTS: dict[str, Any] = {}
"""Schemas that the routes refer to, for the OpenAPI document."""
