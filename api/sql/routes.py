"""The routes of SQL: a statement and its answer, and what a statement may name."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Annotated, Any

import msgspec
import pyarrow as pa
from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse
from headrace.api.errors import invalid
from headrace.api.services import Services, services
from headrace.api.sql import answers
from headrace.api.sql.answers import Format
from headrace.api.sql.documented import VIEWS
from headrace.api.sql.limits import MEMORY_BYTES, MEMORY_BYTES_MAX, ROWS_MAX, TIMEOUT_S_MAX, Limits
from headrace.api.sql.memory import given_back
from headrace.api.sql.query import answer, compiled
from headrace.api.sql.refusal import Refusal
from headrace.api.sql.running import ClientLeft, Running, Turn
from headrace.api.sql.view import Sources
from headrace.ingest.topics import REGISTRY

router = APIRouter(tags=["sql"])


class SqlRequest(msgspec.Struct, frozen=True):
    """A statement and its limits; over one of them the statement ends with an error.

    timeout_s: how long it may run. memory_bytes_max: what the engine may use for it. rows_max: of the answer.
    """

    query: str
    format: Format = "json"
    timeout_s: Annotated[float, msgspec.Meta(gt=0, le=TIMEOUT_S_MAX)] = TIMEOUT_S_MAX
    memory_bytes_max: Annotated[int, msgspec.Meta(ge=1_000_000, le=MEMORY_BYTES_MAX)] = MEMORY_BYTES
    rows_max: Annotated[int, msgspec.Meta(ge=1, le=ROWS_MAX)] = ROWS_MAX


_decode = msgspec.json.Decoder(SqlRequest).decode
_SCHEMA = msgspec.json.schema_components([SqlRequest])[1]["SqlRequest"]
_CELLS = {"type": "array", "items": {}}
_COLUMN = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "type": {"type": "string"}},
    "required": ["name", "type"],
}
_COLUMNS = {"type": "array", "items": _COLUMN}
_VIEW = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "columns": _COLUMNS},
    "required": ["name", "columns"],
}


def _answered(schema: dict[str, Any]) -> dict[str, Any]:
    return {"schema": schema}


_ANSWER = {
    "type": "object",
    "properties": {"columns": _COLUMNS, "rows": {"type": "array", "items": _CELLS}},
    "required": ["columns", "rows"],
}
_CONTENT = {
    "application/json": _answered(_ANSWER),
    **{media.split(";")[0]: {} for name, media in answers.MEDIA_TYPES.items() if name != "json"},
}


@router.post(
    "/api/headrace/v1/sql",
    summary="Run a SELECT over the documented views, within limits",
    openapi_extra={
        "requestBody": {"required": True, "content": {"application/json": {"schema": _SCHEMA}}},
        "responses": {"200": {"content": _CONTENT}},
    },
)
async def post_sql(request: Request) -> Response:
    """The rows of one statement, after the views have caught up with what was logged before."""
    try:
        asked = _decode(await request.body())
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise invalid(f"Invalid SQL request: {error}") from error
    parts = services(request)
    await parts.tracking.caught_up()
    await parts.tracking.folded(REGISTRY)
    running: Running = request.app.state.sql
    limits = Limits(asked.timeout_s, asked.memory_bytes_max, asked.rows_max)
    try:
        pieces = await running.run(request, parts.views, limits, lambda turn: _answer(parts, asked, limits, turn))
    except Refusal as refusal:
        raise invalid(f"SQL: {refusal}") from None
    except ClientLeft:
        return Response(status_code=400)  # nobody reads it
    return StreamingResponse(pieces, media_type=answers.MEDIA_TYPES[asked.format])


@router.get(
    "/api/headrace/v1/sql/views",
    summary="The views that a statement may name, and their columns",
    openapi_extra={
        "responses": {
            "200": {
                "content": {
                    "application/json": _answered(
                        {"type": "object", "properties": {"views": {"type": "array", "items": _VIEW}}}
                    )
                }
            }
        }
    },
)
async def get_views() -> Response:
    """Name and columns of each view; types are ClickHouse's."""
    views = [
        {"name": view.name, "columns": [{"name": name, "type": kind} for name, kind in view.columns.items()]}
        for view in VIEWS.values()
    ]
    return Response(msgspec.json.encode({"views": views}), media_type="application/json")


def _answer(parts: Services, asked: SqlRequest, limits: Limits, turn: Turn) -> Iterator[bytes]:
    with given_back(parts.views):
        sources = Sources(parts.engine.registry, lambda: parts.forks.links(parts.engine.forked().copy()))
        query = compiled(parts.views, sources, asked.query, limits, turn.tag)
        turn.check()
        table = answer(parts.views, query, limits)
    pieces = answers.pieces(table, asked.format)
    try:
        # What a format cannot hold shows with the first piece, when the client can still be told.
        first = next(pieces)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
        raise Refusal(f"the answer has a column that {asked.format} cannot hold; cast it to String ({error})") from None
    return itertools.chain([first], pieces)
