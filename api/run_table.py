"""Runs as one table: a search answered as an Arrow stream with a row a run, made of columns and never of JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec
import pyarrow as pa
from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse
from headrace.api.arrow_stream import ARROW_STREAM, stream
from headrace.api.errors import invalid
from headrace.api.filter import parse, parse_order_by
from headrace.api.finding import RunQuery, find
from headrace.api.points import Cut
from headrace.api.services import Services, services
from headrace.api.structs import decoded, schemas
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
_ATTRIBUTES: Final[dict[str, tuple[str, pa.DataType]]] = {
    "run_id": ("run_id", pa.string()),
    "experiment_id": ("experiment_id", pa.string()),
    "run_name": ("name", pa.string()),
    "status": ("status", pa.string()),
    "user_id": ("user_id", pa.string()),
    "artifact_uri": ("artifact_uri", pa.string()),
    "start_time": ("start_time_ms", _TIME),
    "end_time": ("end_time_ms", _TIME),
    "lifecycle_stage": ("lifecycle", pa.string()),
}
"""Columns that every run has, and the fields behind them."""
_KINDS: Final[dict[str, pa.DataType]] = {"metrics": pa.float64(), "params": pa.string(), "tags": pa.string()}


class TableRequest(msgspec.Struct, frozen=True):
    """Which runs, in which order, as in runs/search, and which columns.

    columns: names such as run_name, metrics.loss or params.lr, or the beginning of names and a star, such as metrics.*
    or tags.mlflow.*; null for all. run_id is always there. as_of: a time or positions of the log; now if empty.
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
    """Columns: the run's attributes, then metrics.* (float64, the last value), params.* and tags.* (text), each in key
    order. What a run lacks is null; a metric that is NaN is NaN."""
    asked = decoded(_decoder, await request.body(), "table")
    expression, order = parse(asked.filter, "runs"), parse_order_by(asked.order_by, "runs")
    query = RunQuery(asked.experiment_ids, asked.run_view_type, expression, order)
    s, picked = services(request), Picked.of(asked.columns)
    table = await _table(s, query, asked.max_results, picked, await s.past.cut(asked.as_of))
    return StreamingResponse(stream(table), media_type=ARROW_STREAM)


async def _table(s: Services, query: RunQuery, limit: int, picked: Picked, cut: Cut | None) -> pa.Table:
    """The whole table, made a page of runs at a time, so that no more of them are held as Python's objects."""
    run_ids = await find(s, query, limit, 0, cut) if query.experiment_ids else []
    pages: list[pa.Table] = []
    names: set[str] = set()
    for start in range(0, len(run_ids), _PAGE):
        asked = run_ids[start : start + _PAGE]
        runs = await (s.tracking.runs(asked) if cut is None else run_in_threadpool(s.past.runs, cut, asked))
        pages.append(await run_in_threadpool(table_of, runs, picked))
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


@dataclass(frozen=True, slots=True)
class Picked:
    """Which columns are wanted: these, and those that begin so. names: None for all."""

    names: frozenset[str] | None = None
    beginnings: tuple[str, ...] = ()

    @classmethod
    def of(cls, columns: Sequence[str] | None) -> Picked:
        """From the columns of a request. Raises INVALID_PARAMETER_VALUE for what can be no column."""
        if columns is None:
            return cls()
        for name in columns:
            kind, dot, key = name.partition(".")
            if not (name == "*" or name in _ATTRIBUTES or (kind in _KINDS and dot and key)):
                raise invalid(
                    f"Invalid value {name!r} for parameter 'columns' supplied: expected one of"
                    f" {', '.join(_ATTRIBUTES)}, or metrics.<key>, params.<key>, tags.<key>, or the beginning of one"
                    " and a star"
                )
        whole = frozenset(name for name in columns if not name.endswith("*"))
        return cls(whole | {"run_id"}, tuple({name.removesuffix("*") for name in columns if name.endswith("*")}))

    def __contains__(self, name: str) -> bool:
        return self.names is None or name in self.names or name.startswith(self.beginnings)

    def any_of(self, kind: str) -> bool:
        """Whether any column of a kind, such as tags, can be wanted."""
        if self.names is None or "" in self.beginnings:
            return True
        return any(x.startswith(f"{kind}.") for x in (*self.names, *self.beginnings))


def table_of(runs: Runs, picked: Picked) -> pa.Table:
    """Runs as rows, in the order given, with the columns that any of them has."""
    columns: dict[str, pa.Array] = {}
    states = [state for state, _ in runs]
    for name, (field, kind) in _ATTRIBUTES.items():
        if name in picked:
            values: list[Any] = [getattr(state, field) for state in states]
            # A time that is not known is written as 0.
            columns[name] = pa.array([x or None for x in values] if kind is _TIME else values, kind)
    if picked.any_of("metrics"):
        summaries = [found for _, found in runs]
        for key in _keys(summaries, "metrics", picked):
            values = [None if (one := of_run.get(key)) is None else one[0] for of_run in summaries]
            columns[f"metrics.{key}"] = pa.array(values, pa.float64())
    for kind in ("params", "tags"):
        if picked.any_of(kind):
            texts: list[dict[str, str]] = [getattr(state, kind) for state in states]
            for key in _keys(texts, kind, picked):
                columns[f"{kind}.{key}"] = pa.array([of_run.get(key) for of_run in texts], pa.string())
    return pa.table(columns)


def _keys(of_runs: Iterable[Mapping[str, Any]], kind: str, picked: Picked) -> list[str]:
    return sorted(key for key in set().union(*of_runs) if f"{kind}.{key}" in picked)


def joined(pages: Sequence[pa.Table]) -> pa.Table:
    """Tables one after the other, with the columns of all, in the order that each has them."""
    names = {name: None for page in pages for name in page.column_names}
    of_kind = {kind: sorted(x for x in names if x.startswith(f"{kind}.")) for kind in _KINDS}
    ordered = [x for x in _ATTRIBUTES if x in names] + [x for kind in _KINDS for x in of_kind[kind]]
    return pa.concat_tables(pages, promote_options="default").select(ordered)
