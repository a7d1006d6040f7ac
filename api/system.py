"""How the whole system stands, for people: rates, how far each view is, who writes them, what all of it takes."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import msgspec
from fastapi import APIRouter, Request, Response
from headrace.api.health import VERSION
from headrace.api.rates import Rate, Sample
from headrace.api.services import Services, services
from headrace.api.structs import documented, schemas
from headrace.ingest.log import LogError, Partition
from headrace.ingest.opening import log_file
from headrace.ingest.topics import METRICS, REGISTRY, RUNS
from headrace.processors.schema import tables
from headrace.processors.views import ViewsUnavailable
from starlette.concurrency import run_in_threadpool

router = APIRouter(tags=["server"])
_TOPICS = {
    "runs": (RUNS,),
    "events": (REGISTRY, RUNS),
    "metrics": (METRICS,),
    "metric_summary": (METRICS,),
}
"""What each table of the views is folded from."""
OWNERS_MAX = 1_000


class ViewStanding(msgspec.Struct, frozen=True):
    """A view. lag: events in its topics that it does not hold yet. rows, bytes: of its table; null where it has none or
    it could not be asked."""

    name: str
    topics: tuple[str, ...]
    lag: int
    rows: int | None
    bytes: int | None


class Stored(msgspec.Struct, frozen=True):
    """What is kept where. bytes: null where that is not known."""

    what: str
    place: str
    bytes: int | None


class ViewWriter(msgspec.Struct, frozen=True):
    """A process that writes views. name: its token; claimed_ms: when it took the newest of its partitions."""

    name: str
    partitions: list[str]
    claimed_ms: int


class System(msgspec.Struct, frozen=True):
    """How it stands. samples: the last ten minutes. disk_free, disk_total: of the data folder, bytes. writers: who
    writes the views; none where it is this server alone. fault: what the views wait for."""

    version: str
    started_ms: int
    now_ms: int
    stored_by: str
    fault: str | None
    rate: Rate
    samples: list[Sample]
    views: list[ViewStanding]
    writers: list[ViewWriter]
    storage: list[Stored]
    disk_free: int
    disk_total: int


@router.get(
    "/api/headrace/v1/system",
    summary="Rates, lag of each view, workers, storage",
    openapi_extra=documented(None, *schemas(System)),
)
async def get_system(request: Request) -> Response:
    """How the system stands now; it answers while the views are down, too."""
    s = services(request)
    now = await s.rates.sample()
    ends, folded, viewed = await s.ends.now(), s.engine.folded.offsets(), s.engine.viewed.offsets()
    held, writers = await run_in_threadpool(lambda: (_held(s), _writers(s)))
    registry = ViewStanding("registry", (REGISTRY,), _lag(ends, folded, (REGISTRY,)), None, None)
    views = [
        ViewStanding(name, topics, _lag(ends, viewed, topics), *held.get(name, (None, None)))
        for name, topics in _TOPICS.items()
    ]
    free = await run_in_threadpool(shutil.disk_usage, s.settings.data_dir)
    told = System(
        VERSION,
        s.rates.started_ms,
        now.time_ms,
        "this server" if s.rebuilding is not None else "workers",
        s.engine.fault,
        s.rates.rate(now),
        [*s.rates.samples, now],
        [registry, *views],
        writers,
        _storage(s, sum(taken for _, taken in held.values()) if held else None),
        free.free,
        free.total,
    )
    return Response(msgspec.json.encode(told), media_type="application/json")


def _lag(ends: Mapping[Partition, int], at: Mapping[Partition, int], topics: tuple[str, ...]) -> int:
    return sum(max(0, ends.get(p, 0) - offset) for p, offset in at.items() if p.topic in topics)


def _held(s: Services) -> dict[str, tuple[int, int]]:
    """Rows and bytes of each table; nothing where the views cannot be asked."""
    sql = (
        "SELECT table, sum(rows), sum(bytes_on_disk) FROM system.parts"
        " WHERE active AND database = {database:String} GROUP BY table"
    )
    try:
        found = {table: (rows, taken) for table, rows, taken in s.views.rows(sql, {"database": s.views.database})}
    except ViewsUnavailable:
        return {}
    return {name: found.get(name, (0, 0)) for name in tables()}


def _writers(s: Services) -> list[ViewWriter]:
    """Who holds which partitions, where several may write. A token names its process before the first dot."""
    sql = (
        "SELECT topic, partition, argMax(owner, (epoch, owner)) AS holder, max(claimed_ms) FROM owners"
        " GROUP BY topic, partition ORDER BY topic, partition LIMIT {limit:UInt64}"
    )
    writers: dict[str, ViewWriter] = {}
    try:
        for topic, partition, holder, claimed_ms in s.views.rows(sql, {"limit": OWNERS_MAX}):
            name = holder.split(".", 1)[0]
            if name.startswith("free-"):
                continue
            known = writers.get(name) or ViewWriter(name, [], 0)
            held = [*known.partitions, f"{topic}/{partition}"]
            writers[name] = ViewWriter(name, held, max(known.claimed_ms, claimed_ms))
    except ViewsUnavailable:
        return []
    return sorted(writers.values(), key=lambda one: one.name)


def _storage(s: Services, views_bytes: int | None) -> list[Stored]:
    folder = s.settings.data_dir
    return [
        Stored("log", place_of(s.settings.log, folder / "log.db"), _log_bytes(s.settings.log, folder)),
        Stored("views", place_of(s.settings.views, folder / "views"), views_bytes),
        Stored("artifacts", place_of(s.settings.artifacts, folder / "artifacts"), None),
    ]


def place_of(url: str, default: Path) -> str:
    """Without what is secret in a URL."""
    scheme, found, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2].partition('?')[0]}" if found else str(url or default.resolve())


def _log_bytes(url: str, folder: Path) -> int | None:
    try:
        file = log_file(url) if url else folder / "log.db"
        return sum(x.stat().st_size for x in (file, file.with_name(f"{file.name}-wal")) if x.exists())
    except (LogError, OSError):
        return None
