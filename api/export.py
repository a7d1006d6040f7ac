"""What an export reads: the points of runs as an Arrow stream, and the log's own events as frames, byte for byte."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any, TypeVar

import msgspec
import pyarrow as pa
import pyarrow.ipc
from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse
from headrace.api.errors import invalid
from headrace.api.gateway import FRAMES
from headrace.api.points import Points
from headrace.api.services import Services, services
from headrace.ingest import codec
from headrace.ingest.log import Partition, Record
from headrace.ingest.topics import METRICS, REGISTRY, RUNS
from headrace.processors.views import Views
from msgspec.structs import replace
from starlette.concurrency import iterate_in_threadpool, run_in_threadpool

router = APIRouter(tags=["export"])

ARROW_STREAM = "application/vnd.apache.arrow.stream"
POINTS = pa.schema(
    [
        ("run_id", pa.string()),
        ("key", pa.string()),
        ("step", pa.int64()),
        ("timestamp_ms", pa.int64()),
        ("value", pa.float64()),
    ]
)
"""Columns of the points of an export."""
QUERY_POINTS_MAX = 1_000_000
"""So many points are asked of the views at a time, unless one metric of one run has more."""
_BATCH_ROWS = 65_536
_READ_RECORDS, _READ_BYTES = 2_000, 4 * 1024 * 1024
T = TypeVar("T")


class PointsRequest(msgspec.Struct, frozen=True):
    """The runs whose points are asked for."""

    run_ids: Annotated[list[str], msgspec.Meta(min_length=1, max_length=10_000)]


class EventsRequest(msgspec.Struct, frozen=True):
    """Whose events are asked for: of runs with all that they logged and made, and of experiments themselves.

    data: whether the events come whole; else with their attributes only, and no data.
    """

    run_ids: Annotated[list[str], msgspec.Meta(max_length=100_000)] = []
    experiment_ids: Annotated[list[str], msgspec.Meta(max_length=100_000)] = []
    data: bool = True


_SCHEMAS, _COMPONENTS = msgspec.json.schema_components([PointsRequest, EventsRequest])


def _documented(index: int, media_type: str) -> dict[str, Any]:
    name = _SCHEMAS[index]["$ref"].rsplit("/", 1)[-1]
    return {
        "requestBody": {"required": True, "content": {"application/json": {"schema": _COMPONENTS[name]}}},
        "responses": {"200": {"content": {media_type: {"schema": {"type": "string", "format": "binary"}}}}},
    }


async def _asked(request: Request, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(await request.body(), type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise invalid(f"Invalid export request: {error}") from error


@router.post(
    "/api/headrace/v1/export/points",
    summary="Every point of runs, as an Arrow stream",
    openapi_extra=_documented(0, ARROW_STREAM),
)
async def post_points(request: Request) -> Response:
    """All points of runs, after the views have caught up: run_id, key, step, timestamp_ms, value, ordered by these.

    What a REST client sent twice is one point. Unknown runs have none.
    """
    asked = await _asked(request, PointsRequest)
    s = services(request)
    await s.tracking.caught_up()
    return StreamingResponse(iterate_in_threadpool(_points(s.views, asked.run_ids)), media_type=ARROW_STREAM)


def _points(views: Views, run_ids: list[str]) -> Iterator[bytes]:
    sink = _Sink()
    with pa.ipc.new_stream(pa.PythonFile(sink, mode="w"), POINTS) as writer:
        yield sink.taken()
        for some, keys in _parts(views, sorted(set(run_ids))):
            points = Points(some, keys)
            table = views.arrow(
                f"SELECT run_id, key, step, timestamp_ms, value FROM {points.sql}"
                " ORDER BY run_id, key, step, timestamp_ms, isNaN(value), value",
                points.parameters,
            ).cast(POINTS)
            for batch in table.to_batches(max_chunksize=_BATCH_ROWS):
                writer.write_batch(batch)
                yield sink.taken()
    yield sink.taken()


def _parts(views: Views, run_ids: list[str]) -> Iterator[tuple[list[str], list[str]]]:
    """Runs, and keys (none for all), to ask for together, in the order of both. Raises ViewsUnavailable."""
    held: list[str] = []
    size = 0
    for run_id in run_ids:
        keys = views.rows(
            "SELECT key, points FROM metric_summary FINAL WHERE run_id = {run_id:String} ORDER BY key",
            {"run_id": run_id},
        )
        points = sum(count for _, count in keys)
        if held and size + points > QUERY_POINTS_MAX:
            yield held, []
            held, size = [], 0
        if points > QUERY_POINTS_MAX:
            yield from (([run_id], some) for some in _key_parts(keys))
        elif points:
            held.append(run_id)
            size += points
    if held:
        yield held, []


def _key_parts(keys: list[tuple[Any, ...]]) -> Iterator[list[str]]:
    held: list[str] = []
    size = 0
    for key, count in keys:
        if held and size + count > QUERY_POINTS_MAX:
            yield held
            held, size = [], 0
        held.append(key)
        size += count
    yield held


@router.post(
    "/api/headrace/v1/export/events",
    summary="The log's events of runs and experiments, as frames",
    openapi_extra=_documented(1, FRAMES),
)
async def post_events(request: Request) -> Response:
    """Every event of these runs, of the logged models they made, and of these experiments, as the log has it.

    Experiments and models come first, then runs, then points; each run's in their order. One pass over the log up to
    the moment of the request.
    """
    asked = await _asked(request, EventsRequest)
    s = services(request)
    ends = await s.ends.now()
    await s.tracking.folded(REGISTRY)
    return StreamingResponse(_events(s, asked, ends), media_type=FRAMES)


async def _events(s: Services, asked: EventsRequest, ends: dict[Partition, int]) -> AsyncIterator[bytes]:
    run_ids = frozenset(asked.run_ids)
    models = {x.model_id for x in list(s.engine.registry.logged_models.values()) if x.source_run_id in run_ids}
    subjects = {RUNS: run_ids, METRICS: run_ids, REGISTRY: frozenset(asked.experiment_ids) | models}
    for topic in (REGISTRY, RUNS, METRICS):
        if not subjects[topic]:
            continue
        for partition in sorted(x for x in ends if x.topic == topic):
            offset = 0
            while offset < ends[partition]:
                records = await run_in_threadpool(s.log.read, partition, offset, _READ_RECORDS, _READ_BYTES)
                if not records:
                    break
                offset = records[-1].position.offset + 1
                part = _frames(records, subjects[topic], ends[partition], asked.data)
                if part:
                    yield part


def _frames(records: list[Record], subjects: frozenset[str], end: int, data: bool) -> bytes:
    return b"".join(
        codec.encode_frame(one.envelope if data else replace(one.envelope, data=b""))
        for one in records
        if one.position.offset < end and one.envelope.subject in subjects
    )


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
