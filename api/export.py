"""What an export reads: the points of runs as an Arrow stream, and the log's own events as frames, byte for byte."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence, Set
from typing import Annotated, Any

import msgspec
import pyarrow as pa
import pyarrow.ipc
from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse
from headrace.api.arrow_stream import ARROW_STREAM, Sink
from headrace.api.gateway import FRAMES
from headrace.api.points import Link, Points
from headrace.api.services import Services, services
from headrace.api.structs import decoded, schemas
from headrace.ingest import codec
from headrace.ingest.log import Partition, Record
from headrace.ingest.topics import METRICS, REGISTRY, RUNS
from headrace.processors.model_registry import Models
from headrace.processors.views import Views
from msgspec.structs import replace
from starlette.concurrency import iterate_in_threadpool, run_in_threadpool

router = APIRouter(tags=["export"])

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


class PointsRequest(msgspec.Struct, frozen=True):
    """The runs whose points are asked for. inherited: also those that a forked run has from the run it goes on from."""

    run_ids: Annotated[list[str], msgspec.Meta(min_length=1, max_length=10_000)]
    inherited: bool = False


class EventsRequest(msgspec.Struct, frozen=True):
    """Whose events are asked for: of runs with all that they logged and made, of experiments, of registered models.

    registered_models: by id or name, deleted ones by id only.
    whole: also the runs that these were forked from, the experiments of all of them, and the registered models of which
    they made a version.
    data: whether the events come whole; else with their attributes only, and no data.
    """

    run_ids: Annotated[list[str], msgspec.Meta(max_length=100_000)] = []
    experiment_ids: Annotated[list[str], msgspec.Meta(max_length=100_000)] = []
    registered_models: Annotated[list[str], msgspec.Meta(max_length=100_000)] = []
    whole: bool = False
    data: bool = True


_SCHEMAS = schemas(PointsRequest, EventsRequest)
_decode_points = msgspec.json.Decoder(PointsRequest)
_decode_events = msgspec.json.Decoder(EventsRequest)


def _documented(index: int, media_type: str) -> dict[str, Any]:
    return {
        "requestBody": {"required": True, "content": {"application/json": {"schema": _SCHEMAS[index]}}},
        "responses": {"200": {"content": {media_type: {"schema": {"type": "string", "format": "binary"}}}}},
    }


@router.post(
    "/api/headrace/v1/export/points",
    summary="Every point of runs, as an Arrow stream",
    openapi_extra=_documented(0, ARROW_STREAM),
)
async def post_points(request: Request) -> Response:
    """All points of runs, after the views have caught up: run_id, key, step, timestamp_ms, value, ordered by these.

    What a REST client sent twice is one point. Unknown runs have none.
    """
    asked = decoded(_decode_points, await request.body(), "points")
    s = services(request)
    await s.tracking.caught_up()
    links = await run_in_threadpool(s.forks.links, asked.run_ids) if asked.inherited else []
    return StreamingResponse(iterate_in_threadpool(_points(s.views, asked.run_ids, links)), media_type=ARROW_STREAM)


def _points(views: Views, run_ids: list[str], links: Sequence[Link]) -> Iterator[bytes]:
    sink = Sink()
    with pa.ipc.new_stream(pa.PythonFile(sink, mode="w"), POINTS) as writer:
        yield sink.taken()
        for some, keys in _parts(views, sorted(set(run_ids)), {x.run_id for x in links}):
            points = Points(some, keys, links=[x for x in links if x.run_id in some])
            table = views.arrow(
                f"SELECT run_id, key, step, timestamp_ms, value FROM {points.sql}"
                " ORDER BY run_id, key, step, timestamp_ms, isNaN(value), value",
                points.parameters,
            ).cast(POINTS)
            for batch in table.to_batches(max_chunksize=_BATCH_ROWS):
                writer.write_batch(batch)
                yield sink.taken()
    yield sink.taken()


def _parts(views: Views, run_ids: list[str], heirs: Set[str]) -> Iterator[tuple[list[str], list[str]]]:
    """Runs, and keys (none for all), to ask for together, in the order of both; heirs one by one.

    Raises ViewsUnavailable.
    """
    held: list[str] = []
    size = 0
    for run_id in run_ids:
        keys = views.rows(
            "SELECT key, points FROM metric_summary FINAL WHERE run_id = {run_id:String} ORDER BY key",
            {"run_id": run_id},
        )
        points = sum(count for _, count in keys)
        if held and (size + points > QUERY_POINTS_MAX or run_id in heirs):
            yield held, []
            held, size = [], 0
        if run_id in heirs:
            yield [run_id], []
        elif points > QUERY_POINTS_MAX:
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
    """Every event of these runs, of the logged models they made, and of these experiments and registered models.

    Experiments and models come first, then runs, then points; each as the log has it, in the log's order. One pass over
    the log up to the moment of the request.
    """
    asked = decoded(_decode_events, await request.body(), "events")
    s = services(request)
    ends = await s.ends.now()
    await s.tracking.folded(REGISTRY, RUNS)
    run_ids, experiment_ids = frozenset(asked.run_ids), frozenset(asked.experiment_ids)
    if asked.whole:
        run_ids, experiment_ids = await run_in_threadpool(_whole, s, run_ids, experiment_ids)
    registry = s.engine.registry
    models = {x.model_id for x in list(registry.logged_models.values()) if x.source_run_id in run_ids}
    registered = _registered(registry.models, asked.registered_models, run_ids | models if asked.whole else frozenset())
    subjects = {RUNS: run_ids, METRICS: run_ids, REGISTRY: experiment_ids | models | registered}
    return StreamingResponse(_events(s, subjects, ends, asked.data), media_type=FRAMES)


def _registered(models: Models, named: Sequence[str], makers: Set[str]) -> set[str]:
    """The subjects of registered models: of those that are named by id or name, and of which makers made a version.

    makers: ids of runs and logged models.
    """
    found = [models.of_subject(one) or models.by_name.get(one) for one in named]
    for model in list(models.by_id.values()) if makers else ():
        if any(x.run_id in makers or x.model_id in makers for x in model.versions.values()):
            found.append(model)
    return {subject for model in found if model for subject in models.subjects(model.registered_model_id)}


def _whole(
    s: Services, run_ids: frozenset[str], experiment_ids: frozenset[str]
) -> tuple[frozenset[str], frozenset[str]]:
    """Runs with those that they were forked from, and experiments with those of all runs."""
    run_ids |= {link.source_run_id for link in s.forks.links(run_ids)}
    return run_ids, experiment_ids | {x.experiment_id for x in s.engine.runs(sorted(run_ids)).values()}


async def _events(
    s: Services, subjects: dict[str, frozenset[str]], ends: dict[Partition, int], data: bool
) -> AsyncIterator[bytes]:
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
                part = _frames(records, subjects[topic], ends[partition], data)
                if part:
                    yield part


def _frames(records: list[Record], subjects: frozenset[str], end: int, data: bool) -> bytes:
    return b"".join(
        codec.encode_frame(one.envelope if data else replace(one.envelope, data=b""))
        for one in records
        if one.position.offset < end and one.envelope.subject in subjects
    )
