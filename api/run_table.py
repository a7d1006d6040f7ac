"""Runs as one table: a search answered as an Arrow stream with a row a run, made of columns and never of JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal, TypeAlias, cast

import msgspec
import pyarrow as pa
from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse
from headrace.api.arrow_stream import ARROW_STREAM, stream
from headrace.api.errors import invalid
from headrace.api.filter import parse, parse_order_by
from headrace.api.finding import RunQuery, find, point_columns
from headrace.api.picked_columns import ATTRIBUTES, KINDS, Picked
from headrace.api.points import Cut
from headrace.api.search import SUMMARY_COLUMNS
from headrace.api.services import Services, services
from headrace.api.structs import decoded, schemas
from headrace.api.syntax import PointColumns
from headrace.processors.metrics import Summary
from headrace.processors.runs import RunState
from starlette.concurrency import run_in_threadpool

router = APIRouter(tags=["runs"])

RUNS_MAX: Final = 100_000
COLUMNS_MAX: Final = 10_000
CELLS_MAX: Final = 50_000_000
BYTES_MAX: Final = 500_000_000
_PAGE: Final = 2_000

Runs: TypeAlias = Sequence[tuple[RunState, Mapping[str, Summary]]]

_TIME = pa.timestamp("ms", "UTC")
_FIELDS: Final[Mapping[str, tuple[str, pa.DataType]]] = {
    **{name: (name, pa.string()) for name in ATTRIBUTES},
    "run_name": ("name", pa.string()),
    "start_time": ("start_time_ms", _TIME),
    "end_time": ("end_time_ms", _TIME),
    "lifecycle_stage": ("lifecycle", pa.string()),
}
"""The field behind each attribute, and what it is."""
_SUMMARY_FIELDS: Final = {name: Summary._fields.index(column) for name, column in SUMMARY_COLUMNS.items()}


class TableRequest(msgspec.Struct, frozen=True):
    """Which runs, in which order, as in runs/search, and which columns.

    columns: names such as run_name, metrics.loss or params.lr, or the beginning of names and a star, such as metrics.*
    or tags.mlflow.*, or aggregates of metrics as filters name them, such as metrics.loss.min or
    metrics.loss.at_best(acc); null for all but aggregates. run_id is always there. as_of: a time or positions of the
    log; now if empty.
    """

    experiment_ids: Annotated[list[str], msgspec.Meta(max_length=10_000)]
    filter: str = ""
    order_by: list[str] = []
    run_view_type: Literal["ACTIVE_ONLY", "DELETED_ONLY", "ALL"] = "ACTIVE_ONLY"
    max_results: Annotated[int, msgspec.Meta(ge=1, le=RUNS_MAX)] = RUNS_MAX
    columns: Annotated[list[str], msgspec.Meta(max_length=COLUMNS_MAX)] | None = None
    as_of: str = ""


_decoder = msgspec.json.Decoder(TableRequest)
[_SCHEMA] = schemas(TableRequest)


@router.post(
    "/api/headrace/v1/runs/table",
    summary="Runs by filter, in order, as an Arrow IPC stream with one row a run",
    openapi_extra={
        "requestBody": {"required": True, "content": {"application/json": {"schema": _SCHEMA}}},
        "responses": {"200": {"content": {ARROW_STREAM: {}}}},
    },
)
async def post_table(request: Request) -> Response:
    """Columns: the run's attributes, then metrics.* (float64: the last value or the aggregate that was asked for),
    params.* and tags.* (text), each in key order. What a run lacks is null; a metric that is NaN is NaN."""
    asked = decoded(_decoder, await request.body(), "table")
    expression, order = parse(asked.filter, "runs"), parse_order_by(asked.order_by, "runs")
    query = RunQuery(asked.experiment_ids, asked.run_view_type, expression, order)
    s, picked = services(request), Picked.of(asked.columns)
    table = await _table(s, query, asked.max_results, picked, await s.past.cut(asked.as_of))
    return StreamingResponse(stream(table), media_type=ARROW_STREAM)


async def _table(s: Services, query: RunQuery, limit: int, picked: Picked, cut: Cut | None) -> pa.Table:
    """The whole table, made a page of runs at a time, so that no more of them are held as Python's objects."""
    run_ids = await find(s, query, limit, 0, cut) if query.experiment_ids else []
    of_points = await point_columns(s, query, picked.of_points, cut) if run_ids and picked.of_points else {}
    pages: list[pa.Table] = []
    names: set[str] = set()
    for start in range(0, len(run_ids), _PAGE):
        asked = run_ids[start : start + _PAGE]
        runs = await (s.tracking.runs(asked) if cut is None else run_in_threadpool(s.past.runs, cut, asked))
        pages.append(await run_in_threadpool(table_of, runs, picked, of_points))
        names.update(pages[-1].column_names)
        _check_size(len(names), len(run_ids), sum(page.nbytes for page in pages))
    return joined(pages or [table_of([], picked)])


def _check_size(columns: int, rows: int, bytes: int) -> None:
    if columns > COLUMNS_MAX:
        raise invalid(
            f"The table would have more than {COLUMNS_MAX} columns: name those you need in `columns`, such as"
            ' ["metrics.loss", "params.*"], or search fewer runs.'
        )
    if columns * rows > CELLS_MAX or bytes > BYTES_MAX:
        raise invalid(
            f"The table would have more than {CELLS_MAX} cells or {BYTES_MAX} bytes ({rows} rows, {columns} columns or"
            " more): name the columns you need in `columns`, or fewer runs with `filter` or `max_results`."
        )


def table_of(runs: Runs, picked: Picked, of_points: PointColumns | None = None) -> pa.Table:
    """Runs as rows, in the order given, with the columns that any of them has. of_points: aggregates made of points."""
    columns: dict[str, pa.Array] = {}
    states = [state for state, _ in runs]
    for name, (field, kind) in _FIELDS.items():
        if name in picked:
            values: list[Any] = [getattr(state, field) for state in states]
            # A time that is not known is written as 0.
            columns[name] = pa.array([x or None for x in values] if kind is _TIME else values, kind)
    columns |= _metrics(runs, picked, of_points or {})
    for kind in ("params", "tags"):
        if picked.any_of(kind):
            texts: list[dict[str, str]] = [getattr(state, kind) for state in states]
            for key in picked.keys(kind, texts):
                columns[f"{kind}.{key}"] = pa.array([of_run.get(key) for of_run in texts], pa.string())
    return pa.table(columns)


def _metrics(runs: Runs, picked: Picked, of_points: PointColumns) -> dict[str, pa.Array]:
    summaries = [found for _, found in runs]
    columns: dict[str, pa.Array] = {}
    if picked.any_of("metrics"):
        for key in picked.keys("metrics", summaries):
            last = [None if (one := of_run.get(key)) is None else one[0] for of_run in summaries]
            columns[f"metrics.{key}"] = pa.array(last, pa.float64())
    for name, (key, aggregate) in picked.aggregates.items():
        if aggregate.of_points:
            of_run = of_points.get((key, aggregate), {})
            values = [of_run.get(state.run_id) for state, _ in runs]
        else:
            values = _aggregated(summaries, key, _SUMMARY_FIELDS[aggregate.name], aggregate.literal)
        if any(value is not None for value in values):
            columns[name] = pa.array(values, pa.float64())
    return {name: columns[name] for name in sorted(columns)}


def _aggregated(summaries: Sequence[Mapping[str, Summary]], key: str, field: int, literal: str) -> list[float | None]:
    """One field of the summaries of a metric. literal: a run with a metric of this key shows that one's last value."""
    values: list[float | None] = []
    for of_run in summaries:
        if literal and (whole := of_run.get(literal)) is not None:
            values.append(whole[0])
        else:
            values.append(None if (one := of_run.get(key)) is None else float(cast(float, one[field])))
    return values


def joined(pages: Sequence[pa.Table]) -> pa.Table:
    """Tables one after the other, with the columns of all, in the order that each has them."""
    names = {name: None for page in pages for name in page.column_names}
    of_kind = {kind: sorted(x for x in names if x.startswith(f"{kind}.")) for kind in KINDS}
    ordered = [x for x in ATTRIBUTES if x in names] + [x for kind in KINDS for x in of_kind[kind]]
    return pa.concat_tables(pages, promote_options="default").select(ordered)
