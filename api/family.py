"""The runs around a run: those that it is nested in, those nested in it, what it was forked from, what from it."""

from __future__ import annotations

from typing import Final

import msgspec
from fastapi import APIRouter, Request, Response
from headrace.api.finding import RunQuery, find
from headrace.api.life_cycle import FORKED_FROM_TAG
from headrace.api.services import Services, services
from headrace.api.structs import documented, schemas
from headrace.api.syntax import Comparison, Or, Order
from headrace.ingest.topics import RUNS
from headrace.processors.runs import GONE, RunState
from starlette.concurrency import run_in_threadpool

router = APIRouter(tags=["runs"])

RELATIVES_MAX: Final = 1_000
DEPTH_MAX: Final = 100
"""A longer chain of parents is cut there."""
PARENT_TAG: Final = "mlflow.parentRunId"


class Relative(msgspec.Struct, frozen=True):
    """A run, as a link to it needs it. Times in ms since the epoch, UTC; null: it goes on. fork_step: null: no fork."""

    run_id: str
    run_name: str
    experiment_id: str
    status: str
    lifecycle_stage: str
    start_time_ms: int
    end_time_ms: int | None
    fork_step: int | None


class Family(msgspec.Struct, frozen=True):
    """ancestors: the outermost first, the parent last. children and forks: in the order they began.

    fork_step: of this run itself, with forked_from. more: whether there are other children or forks.
    """

    ancestors: list[Relative]
    children: list[Relative]
    forked_from: Relative | None
    fork_step: int | None
    forks: list[Relative]
    more: bool


@router.get(
    "/api/headrace/v1/runs/{run_id}/family",
    summary="The runs that a run is nested in, those nested in it, and its forks",
    openapi_extra=documented(None, *schemas(Family)),
)
async def get_family(request: Request, run_id: str) -> Response:
    """Runs in the bin are among them; of runs that are not there, or were erased, nothing is told."""
    s = services(request)
    run = await s.tracking.run(run_id)
    await s.tracking.folded(RUNS)
    ancestors = await run_in_threadpool(_ancestors, s, run)
    named = [Comparison("tag", tag, "=", run_id) for tag in (PARENT_TAG, FORKED_FROM_TAG)]
    # A copy, since a fold may put more into it meanwhile.
    query = RunQuery(
        list(s.engine.registry.experiments), "ALL", Or(tuple(named)), [Order("attribute", "start_time", True)]
    )
    found = await find(s, query, RELATIVES_MAX + 1, 0)
    states = await run_in_threadpool(s.engine.runs, found[:RELATIVES_MAX])
    around = [states[x] for x in found[:RELATIVES_MAX] if x in states and x != run_id]
    source = await run_in_threadpool(s.engine.run, run.forked_from) if run.forked_from else None
    family = Family(
        [_relative(x) for x in ancestors],
        [_relative(x) for x in around if x.tags.get(PARENT_TAG) == run_id],
        _relative(source) if source is not None and source.lifecycle not in GONE else None,
        run.fork_step if run.forked_from else None,
        [_relative(x) for x in around if x.forked_from == run_id],
        len(found) > RELATIVES_MAX,
    )
    return Response(msgspec.json.encode(family), media_type="application/json")


def _ancestors(s: Services, run: RunState) -> list[RunState]:
    """Of a run, the outermost first; a chain that bites its tail ends there. May read the views."""
    found: dict[str, RunState] = {run.run_id: run}
    state: RunState | None = run
    while state is not None and len(found) <= DEPTH_MAX:
        parent = state.tags.get(PARENT_TAG, "")
        state = s.engine.run(parent) if parent and parent not in found else None
        if state is not None and state.lifecycle not in GONE:
            found[state.run_id] = state
    return list(found.values())[:0:-1]


def _relative(state: RunState) -> Relative:
    return Relative(
        state.run_id,
        state.name,
        state.experiment_id,
        state.status,
        state.lifecycle,
        state.start_time_ms,
        state.end_time_ms or None,
        state.fork_step if state.forked_from else None,
    )
