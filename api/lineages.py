"""Lineage: from data sets and code through runs and logged models to versions and endpoints, now or at a moment."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, Literal, TypeAlias

import msgspec
from fastapi import APIRouter, Request, Response
from headrace.api.errors import invalid, missing
from headrace.api.lineage_graph import Graph, Key, Runs, Walk
from headrace.api.points import Cut
from headrace.api.services import Services, services
from headrace.api.structs import documented, schemas
from headrace.processors.registry import Registry
from headrace.processors.runs import GONE, RunState
from starlette.concurrency import run_in_threadpool

router = APIRouter(tags=["lineage"])
Kind: TypeAlias = Literal["dataset", "run", "logged_model", "registered_model", "model_version", "endpoint"]
READERS_MAX: Final = 500
"""Of so many runs that read a data set, the newest, at most."""
TEXTS_MAX: Final = 200
_ID_CHARS_MAX: Final = 2_000


@router.get(
    "/api/headrace/v1/lineage",
    summary="What led to a run, model, version or endpoint, and what came of it",
    openapi_extra=documented(None, *schemas(Graph)),
)
async def get_lineage(request: Request, kind: Kind, id: str, as_of: str = "") -> Response:
    """Nodes and edges from data sets and code to endpoints, 500 nodes at most, the nearest first.

    id: of a registered model its name, of a version NAME/NUMBER, of a data set NAME@DIGEST. as_of: a time or positions
    of the log.
    """
    s = services(request)
    if not id or len(id) > _ID_CHARS_MAX:
        raise invalid(f"Invalid value for parameter 'id': it has 1 to {_ID_CHARS_MAX:,} characters")
    cut = await s.past.cut(as_of)
    if cut is None:
        await s.tracking.caught_up()
    registry = await s.past.registry(as_of)
    graph = await run_in_threadpool(_walked, s, registry, cut, kind, id)
    return Response(msgspec.json.encode(graph), media_type="application/json")


def _walked(s: Services, registry: Registry, cut: Cut | None, kind: Kind, id: str) -> Graph:
    def runs(run_ids: Collection[str]) -> dict[str, RunState]:
        found = s.engine.runs(list(run_ids)) if cut is None else s.past.states(cut, list(run_ids))
        return {run_id: run for run_id, run in found.items() if run.lifecycle not in GONE}

    def readers(texts: Collection[str]) -> list[str]:
        sql = (
            "SELECT run_id FROM runs FINAL WHERE multiSearchAny(inputs, {texts:Array(String)})"
            " ORDER BY start_time_ms DESC LIMIT {limit:UInt64}"
        )
        asked = {"texts": [text for text in texts if text][:TEXTS_MAX], "limit": READERS_MAX}
        return [row[0] for row in s.views.rows(sql, asked)] if asked["texts"] else []

    walk = Walk(registry, runs, readers)
    graph = walk.graph(_start(registry, runs, kind, id))
    if kind == "dataset" and not graph.edges:
        raise missing(f"No run read a data set {id}")
    return graph


def _start(registry: Registry, runs: Runs, kind: Kind, id: str) -> list[Key]:
    """Where to begin. Raises RESOURCE_DOES_NOT_EXIST."""
    if kind == "dataset":
        return [(kind, id)]
    if kind in ("registered_model", "model_version"):
        name, slash, number = (id, "", "") if kind == "registered_model" else id.rpartition("/")
        model = registry.models.by_name.get(name)
        if model is not None and kind == "registered_model":
            return [("model_version", f"{name}/{one.version}") for one in list(model.live_versions())[::-1]]
        short = slash and number.isascii() and number.isdigit() and len(number) < 19
        if model is not None and short and model.version(int(number)) is not None:
            return [("model_version", f"{name}/{int(number)}")]
    elif kind == "endpoint" and id in registry.endpoints:
        return [("endpoint", id)]
    elif kind == "logged_model" and id in registry.logged_models:
        return [("logged_model", id)]
    elif kind == "run" and runs([id]):
        return [("run", id)]
    raise missing(f"There is no {kind.replace('_', ' ')} {id}")
