"""Series for charts: a metric of many runs in buckets that keep what they hold, and its full history as Arrow."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Annotated, Any, Literal, TypeAlias

import msgspec
import pyarrow as pa
import pyarrow.ipc
from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse
from headrace.api.errors import invalid
from headrace.api.services import services
from headrace.ingest.limits import INT64_MAX, INT64_MIN
from headrace.processors.views import Views
from starlette.concurrency import run_in_threadpool

router = APIRouter(tags=["series"])

Axis: TypeAlias = Literal["step", "time", "relative"]
Value: TypeAlias = float | str | None

ARROW_STREAM = "application/vnd.apache.arrow.stream"
HISTORY = pa.schema([("step", pa.int64()), ("timestamp_ms", pa.int64()), ("value", pa.float64())])
"""Columns of a metric's history."""
_BATCH_ROWS = 65_536


class SeriesRequest(msgspec.Struct, frozen=True):
    """Which metric of which runs, and how fine.

    x: step, time (ms since the epoch, UTC) or relative (ms since the run's start).
    buckets: a run with at most so many points in the range comes point by point.
    range: the lowest and highest x that take part, both included; null for all.
    """

    run_ids: Annotated[list[str], msgspec.Meta(min_length=1, max_length=100)]
    key: str
    x: Axis = "step"
    buckets: Annotated[int, msgspec.Meta(ge=2, le=2000)] = 500
    range: tuple[float, float] | None = None


class Series(msgspec.Struct, frozen=True):
    """One run's series; all lists have one item a bucket, x rising.

    points: how many lie in the range. x and x_last: of a bucket's first and last point. first and last: their values.
    min and max: over the numbers, infinities among them; null where there are none. nan: how many of count are NaN.
    NaN and infinities are the strings "NaN", "Infinity" and "-Infinity". Without bucketed, each bucket is one point;
    a point logged several times by the SDK is one bucket, and count says how often.
    """

    run_id: str
    points: int
    bucketed: bool
    x: list[int]
    x_last: list[int]
    first: list[Value]
    last: list[Value]
    min: list[Value]
    max: list[Value]
    count: list[int]
    nan: list[int]


class SeriesResponse(msgspec.Struct, frozen=True):
    """One series a run, in the order they were asked for. bucketed: whether any is."""

    series: list[Series]
    bucketed: bool


class MetricSummary(msgspec.Struct, frozen=True):
    """One metric of a run: its last point by (step, time, value), and the extremes over its numbers (null: none)."""

    key: str
    last: Value
    last_step: int
    last_timestamp_ms: int
    min: Value
    max: Value
    points: int
    nan: int


_decode = msgspec.json.Decoder(SeriesRequest).decode
_SCHEMAS, _COMPONENTS = msgspec.json.schema_components([SeriesRequest, SeriesResponse, MetricSummary])


def _inline(schema: Any) -> Any:
    """A JSON schema with its references put in place, so that it stands alone in the OpenAPI document."""
    if isinstance(schema, dict):
        if "$ref" in schema:
            return _inline(_COMPONENTS[schema["$ref"].rsplit("/", 1)[-1]])
        return {name: _inline(part) for name, part in schema.items()}
    return [_inline(part) for part in schema] if isinstance(schema, list) else schema


@router.post(
    "/api/headrace/v1/series",
    summary="A metric of up to 100 runs in buckets that keep their first, last, min and max",
    openapi_extra={
        "requestBody": {"required": True, "content": {"application/json": {"schema": _inline(_SCHEMAS[0])}}},
        "responses": {"200": {"content": {"application/json": {"schema": _inline(_SCHEMAS[1])}}}},
    },
)
async def post_series(request: Request) -> Response:
    """Series of one metric, after the views have caught up with what was logged before."""
    try:
        asked = _decode(await request.body())
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise invalid(f"Invalid series request: {error}") from error
    if asked.range is not None and not asked.range[0] <= asked.range[1]:
        raise invalid(f"Invalid series request: range must rise, and {list(asked.range)} does not")
    parts = services(request)
    await parts.tracking.caught_up()
    body = await run_in_threadpool(lambda: msgspec.json.encode(series(parts.views, asked)))
    return Response(body, media_type="application/json")


@router.get(
    "/api/headrace/v1/metrics/history",
    summary="Every point of one metric of a run, as an Arrow IPC stream",
    responses={200: {"content": {ARROW_STREAM: {}}}},
)
async def get_history(request: Request, run_id: str, key: str) -> Response:
    """Columns step int64, timestamp_ms int64, value float64, ordered by all three, NaN above every number."""
    parts = services(request)
    await parts.tracking.run(run_id)
    await parts.tracking.caught_up()
    table = await run_in_threadpool(history, parts.views, run_id, key)
    return StreamingResponse(_stream(table), media_type=ARROW_STREAM)


@router.get(
    "/api/headrace/v1/metrics/summary",
    summary="Each metric of a run: last value, extremes, number of points",
    openapi_extra={
        "responses": {
            "200": {
                "content": {
                    "application/json": {
                        "schema": {
                            "type": "object",
                            "properties": {"metrics": {"type": "array", "items": _inline(_SCHEMAS[2])}},
                        }
                    }
                }
            }
        }
    },
)
async def get_summary(request: Request, run_id: str) -> Response:
    """What a run's own page shows of its metrics, in key order."""
    parts = services(request)
    await parts.tracking.run(run_id)
    await parts.tracking.caught_up()
    metrics = await run_in_threadpool(summary, parts.views, run_id)
    return Response(msgspec.json.encode({"metrics": metrics}), media_type="application/json")


# --- reads of the views; each blocks on I/O ---------------------------------------------------------------------------

# Only what came without a writer can have been sent twice by its client; see schema.sql.
_POINTS = """
    SELECT run_id, step, timestamp_ms, value FROM metrics
    WHERE run_id IN {run_ids:Array(String)} AND key = {key:String} AND writer != ''
    UNION ALL
    SELECT DISTINCT run_id, step, timestamp_ms, value FROM metrics
    WHERE run_id IN {run_ids:Array(String)} AND key = {key:String} AND writer = ''
"""

_PLACED: Mapping[Axis, str] = {
    "step": "SELECT run_id, step AS x, timestamp_ms AS tie, value FROM points",
    "time": "SELECT run_id, timestamp_ms AS x, step AS tie, value FROM points",
    "relative": """
        SELECT run_id, timestamp_ms - start_ms AS x, step AS tie, value
        FROM points INNER JOIN (
            SELECT run_id, argMax(start_time_ms, offset) AS start_ms
            FROM runs WHERE run_id IN {run_ids:Array(String)} GROUP BY run_id
        ) AS starts USING run_id
    """,
}

# (x, tie, value) as one number that sorts as they do, NaN highest: several times faster than comparing tuples.
_PLACE = """
    toInt256(x) * toInt256('340282366920938463463374607431768211456')
    + toInt256(tie) * toInt256('18446744073709551616')
    + toInt256(multiIf(isNaN(value), 18446744073709551615,
                       value < 0, bitNot(reinterpretAsUInt64(value)),
                       bitOr(reinterpretAsUInt64(value), 9223372036854775808)))
"""

_BUCKET = "floor((toFloat64(x) - toFloat64(lo)) * ({buckets:Float64} / greatest(toFloat64(hi) - toFloat64(lo), 1)))"


def series(views: Views, asked: SeriesRequest) -> SeriesResponse:
    """The series that were asked for: one query for all runs.

    A run's buckets cut its own extent within the range into equal parts, so its series is the same whatever other
    runs are asked for with it, and the same each time. Unknown runs and metrics have no points.
    Raises ViewsUnavailable.
    """
    parameters: dict[str, Any] = {
        "run_ids": list(dict.fromkeys(asked.run_ids)),
        "key": asked.key,
        "buckets": float(asked.buckets),
    }
    where = ""
    if asked.range is not None:
        where = "WHERE x BETWEEN {lo:Int64} AND {hi:Int64}"
        parameters["lo"], parameters["hi"] = (_int64(asked.range[0], math.ceil), _int64(asked.range[1], math.floor))
    table = views.arrow(
        f"""
        WITH
            points AS ({_POINTS}),
            placed AS (SELECT * FROM ({_PLACED[asked.x]}) {where}),
            extents AS (SELECT run_id, count() AS n, min(x) AS lo, max(x) AS hi FROM placed GROUP BY run_id)
        SELECT
            run_id, min(x) AS x_first, max(x) AS x_last,
            argMin(value, place) AS value_first, argMax(value, place) AS value_last,
            minOrNullIf(value, NOT isNaN(value)) AS value_min, maxOrNullIf(value, NOT isNaN(value)) AS value_max,
            count() AS points, countIf(isNaN(value)) AS nan_points, min(place) AS first_place
        FROM (
            SELECT run_id, x, value, {_PLACE} AS place,
                if(n <= {{buckets:Float64}},
                   (x, tie, reinterpretAsInt64(value)),
                   (toInt64(least({{buckets:Float64}} - 1, {_BUCKET})), toInt64(0), toInt64(0))) AS bucket
            FROM placed INNER JOIN extents USING run_id
        )
        GROUP BY run_id, bucket
        ORDER BY run_id, first_place
        """,
        parameters,
    )
    by_run = {one.run_id: one for one in _split(table.drop_columns(["first_place"]), asked.buckets)}
    found = [by_run.get(run_id) or _empty(run_id) for run_id in parameters["run_ids"]]
    return SeriesResponse(found, any(one.bucketed for one in found))


def history(views: Views, run_id: str, key: str) -> pa.Table:
    """Every point of a metric: step, timestamp_ms, value, ordered by all three. Raises ViewsUnavailable."""
    table = views.arrow(
        f"SELECT step, timestamp_ms, value FROM ({_POINTS}) ORDER BY step, timestamp_ms, isNaN(value), value",
        {"run_ids": [run_id], "key": key},
    )
    return table.cast(HISTORY)


def summary(views: Views, run_id: str) -> list[MetricSummary]:
    """What is kept of each metric of a run, in key order. Raises ViewsUnavailable."""
    rows = views.rows(
        "SELECT key, last_value, last_step, last_timestamp_ms, value_min, value_max, points, nan_points"
        " FROM metric_summary FINAL WHERE run_id = {run_id:String} ORDER BY key",
        {"run_id": run_id},
    )
    return [
        MetricSummary(key, _json(last), step, timestamp_ms, _number(least), _number(greatest), points, nan_points)
        for key, last, step, timestamp_ms, least, greatest, points, nan_points in rows
    ]


def _split(table: pa.Table, buckets: int) -> Iterator[Series]:
    """One series for each run of a table that is ordered by run."""
    run_ids = table.column("run_id").to_pylist()
    edges = [0, *(i for i in range(1, len(run_ids)) if run_ids[i] != run_ids[i - 1]), len(run_ids)]
    first, last, least, most = (
        _values(table.column(name)) for name in ("value_first", "value_last", "value_min", "value_max")
    )
    x_first, x_last, count, nan = (
        table.column(name).to_pylist() for name in ("x_first", "x_last", "points", "nan_points")
    )
    for start, stop in pairwise(edges):
        if start == stop:
            continue
        part = slice(start, stop)
        points = sum(count[part])
        yield Series(
            run_ids[start],
            points,
            points > buckets,
            x_first[part],
            x_last[part],
            first[part],
            last[part],
            least[part],
            most[part],
            count[part],
            nan[part],
        )


def _empty(run_id: str) -> Series:
    return Series(run_id, 0, False, [], [], [], [], [], [], [], [])


def _values(column: pa.ChunkedArray) -> list[Value]:
    return [_json(value) for value in column.to_pylist()]


def _json(value: float | None) -> Value:
    """A value as JSON can have it."""
    if value is None or math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _number(value: float) -> Value:
    return None if math.isnan(value) else _json(value)


def _int64(value: float, rounded: Any) -> int:
    if math.isinf(value):
        return INT64_MAX if value > 0 else INT64_MIN
    return max(INT64_MIN, min(INT64_MAX, int(rounded(value))))


def _stream(table: pa.Table) -> Iterator[bytes]:
    """A table as an Arrow IPC stream, one batch at a time."""
    sink = _Sink()
    with pa.ipc.new_stream(pa.PythonFile(sink, mode="w"), table.schema) as writer:
        for batch in table.to_batches(max_chunksize=_BATCH_ROWS):
            writer.write_batch(batch)
            yield sink.taken()
    yield sink.taken()


class _Sink:
    """A file that gives away what was written to it."""

    closed = False

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: bytes | memoryview) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        pass

    def close(self) -> None:
        pass

    def taken(self) -> bytes:
        """Everything written since it was last asked."""
        data = b"".join(self._parts)
        self._parts.clear()
        return data
