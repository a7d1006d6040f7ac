"""The search over everything with a name: experiments, runs, models, their versions, endpoints, saved views."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated, get_args

import msgspec
from fastapi import APIRouter, Query, Request, Response
from headrace.api import hits
from headrace.api.errors import invalid
from headrace.api.finding import all_in_memory
from headrace.api.hits import ID_CHARS_MIN, Asked, Hit, Kind, Ranked
from headrace.api.services import Services, services
from headrace.api.structs import documented, schemas
from headrace.processors.registry import Registry
from starlette.concurrency import run_in_threadpool

router = APIRouter(tags=["search"])
TEXT_CHARS_MAX = 200
LIMIT_MAX = 50
_KINDS: tuple[Kind, ...] = get_args(Kind)


class Found(msgspec.Struct, frozen=True):
    """The best of each kind, the kind with the best first. more: the kinds of which there are more than these."""

    hits: list[Hit]
    more: list[Kind]


@router.get(
    "/api/headrace/v1/find",
    summary="Search over everything with a name",
    openapi_extra=documented(None, *schemas(Found)),
)
async def get_find(
    request: Request,
    q: Annotated[str, Query(max_length=TEXT_CHARS_MAX)] = "",
    kinds: str = "",
    limit: Annotated[int, Query(ge=1, le=LIMIT_MAX)] = 8,
) -> Response:
    """What has every word of `q` in its name or, from four characters on, at the beginning of its id; in no case of
    letters. What is in the bin is left out.

    kinds: with commas; all of them if empty. limit: of each kind. An empty `q` finds the newest.
    """
    s, asked, wanted = services(request), Asked(q), _wanted(kinds)
    in_memory = await all_in_memory(s)
    found = await run_in_threadpool(lambda: [(kind, _best(s, asked, kind, limit + 1, in_memory)) for kind in wanted])
    found.sort(key=lambda one: min((ranked.rank for ranked in one[1]), default=hits.INSIDE))
    told = [ranked.hit for _, of_kind in found for ranked in of_kind[:limit]]
    more = [kind for kind, of_kind in found if len(of_kind) > limit]
    return Response(msgspec.json.encode(Found(told, more)), media_type="application/json")


def _wanted(kinds: str) -> list[Kind]:
    named = [kind.strip() for kind in kinds.split(",") if kind.strip()]
    unknown = [kind for kind in named if kind not in _KINDS]
    if unknown:
        raise invalid(f"Invalid kinds: there are no {', '.join(map(repr, unknown))}; known are {', '.join(_KINDS)}")
    return [kind for kind in _KINDS if not named or kind in named]


def _best(s: Services, asked: Asked, kind: Kind, limit: int, in_memory: bool) -> list[Ranked]:
    registry = s.engine.registry
    if kind == "run" and not in_memory:
        return hits.best(stored_runs(s, asked, limit), limit)
    return hits.best(_found(s, asked, kind, registry), limit)


def _found(s: Services, asked: Asked, kind: Kind, registry: Registry) -> Iterator[Ranked]:
    match kind:
        case "experiment":
            return hits.experiments(asked, registry)
        case "run":
            ids = set(registry.experiments) - set(registry.deleted_ids())
            return hits.runs(asked, s.engine.runs_of(ids), _experiment_and_status(registry))
        case "model":
            return hits.models(asked, registry)
        case "version":
            return hits.versions(asked, registry)
        case "endpoint":
            return hits.endpoints(asked, registry)
        case "view":
            return hits.views(asked, registry, lambda path: _place(registry, path))


def stored_runs(s: Services, asked: Asked, limit: int) -> Iterator[Ranked]:
    """Runs in the views, where not all are in memory: the rank is taken there as `Asked.rank` takes it."""
    registry = s.engine.registry
    sql = (
        "SELECT run_id, name, experiment_id, start_time_ms, status FROM runs FINAL"
        " WHERE lifecycle = 'active' AND created AND NOT has({binned:Array(String)}, experiment_id)"
        " AND arrayAll(word -> position(lowerUTF8(name), word) > 0"
        "  OR (length(word) >= {least:UInt64} AND startsWith(run_id, word)), {words:Array(String)})"
        " ORDER BY multiIf(lowerUTF8(name) = {whole:String} OR run_id = {whole:String}, 0,"
        "  startsWith(lowerUTF8(name), {whole:String}), 1, 2), start_time_ms DESC, run_id LIMIT {limit:UInt64}"
    )
    parameters = {
        "binned": registry.deleted_ids(),
        "words": asked.words,
        "whole": " ".join(asked.words),
        "least": ID_CHARS_MIN,
        "limit": limit,
    }
    detail = _experiment_and_status(registry)
    for run_id, name, experiment_id, start_time_ms, status in s.views.rows(sql, parameters):
        rank = asked.rank(name, run_id)
        told = (run_id, name, experiment_id, start_time_ms)
        yield hits.run(hits.INSIDE if rank is None else rank, told, detail(experiment_id, status))


def _experiment_and_status(registry: Registry) -> Callable[[str, str], str]:
    names = {x: one.name for x, one in list(registry.experiments.items())}
    return lambda experiment_id, status: f"{names.get(experiment_id, experiment_id)} · {status.lower()}"


def _place(registry: Registry, path: str) -> str:
    """A path for people: the experiment's name where it is of one."""
    _, first, *rest = [*path.split("/"), ""]
    experiment = registry.experiments.get(rest[0]) if first == "experiments" else None
    return experiment.name if experiment is not None else path
