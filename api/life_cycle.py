"""What happens to runs beside their training: they are moved to another experiment, and forked at a step."""

from __future__ import annotations

import uuid
from typing import Annotated

import msgspec
from fastapi import APIRouter, Request, Response
from headrace.api.errors import invalid, missing
from headrace.api.mlflow import validate
from headrace.api.mlflow.wire import json_response
from headrace.api.services import services
from headrace.api.structs import decoded, documented, schemas
from headrace.ingest import events
from headrace.ingest.limits import INT64_MAX, INT64_MIN
from headrace.ingest.names import run_name
from headrace.processors.runs import DELETED, RUN_NAME_TAG

router = APIRouter(tags=["life cycle"])
RUNS_MAX = 1_000
FORKED_FROM_TAG, FORK_STEP_TAG = "headrace.forked_from", "headrace.fork_step"
_OURS = ("mlflow.", "headrace.")


class MoveRequest(msgspec.Struct, frozen=True):
    """run_ids: at most 1,000. experiment_id: where they go; it must be active."""

    run_ids: Annotated[list[str], msgspec.Meta(min_length=1, max_length=RUNS_MAX)]
    experiment_id: str


class MoveResponse(msgspec.Struct, frozen=True):
    """moved: the runs that were elsewhere before."""

    moved: list[str]


class ForkRequest(msgspec.Struct, frozen=True):
    """The new run goes on from run_id behind `step`: points up to and with it are the new run's own.

    name: made from the source's if empty. experiment_id: the source's if empty. params and tags: over the source's.
    """

    run_id: str
    step: Annotated[int, msgspec.Meta(ge=INT64_MIN, le=INT64_MAX)]
    name: str = ""
    experiment_id: str = ""
    params: dict[str, str] = {}
    tags: dict[str, str] = {}


_MOVE, _MOVED, _FORK = schemas(MoveRequest, MoveResponse, ForkRequest)
_decode_move = msgspec.json.Decoder(MoveRequest)
_decode_fork = msgspec.json.Decoder(ForkRequest)


@router.post(
    "/api/headrace/v1/runs/move", summary="Move runs to another experiment", openapi_extra=documented(_MOVE, _MOVED)
)
async def post_move(request: Request) -> Response:
    """All or none: runs in the bin, and those that are not there, refuse the whole."""
    asked, s = decoded(_decode_move, await request.body(), "move"), services(request)
    await s.tracking.active_experiment(asked.experiment_id)
    states = [await s.tracking.active_run(run_id) for run_id in dict.fromkeys(asked.run_ids)]
    moving = [state.run_id for state in states if state.experiment_id != asked.experiment_id]
    moved = events.RunMoved(asked.experiment_id)
    for refusal in await s.tracking.commands([(run_id, moved) for run_id in moving]):
        if refusal is not None:
            raise invalid(refusal)
    return json_response(MoveResponse(moving))


@router.post(
    "/api/headrace/v1/runs/fork",
    summary="A new run that goes on from another one behind a step",
    openapi_extra=documented(_FORK, {"type": "object", "properties": {"run": {"type": "object"}}}),
)
async def post_fork(request: Request) -> Response:
    """The new run as MLflow's Run: with the source's params and tags, and its points up to the step, not copied."""
    asked, s = decoded(_decode_fork, await request.body(), "fork"), services(request)
    source = await s.tracking.run(asked.run_id)
    if source.lifecycle == DELETED:
        raise invalid(f"The run {asked.run_id} must be in the 'active' state. Current state is deleted.")
    experiment = await s.tracking.active_experiment(asked.experiment_id or source.experiment_id)
    params = {validate.check_key(k, "parameter", "params"): validate.cut_param(v) for k, v in asked.params.items()}
    tags = {validate.check_key(k, "tag", "tags"): validate.cut_tag(v) for k, v in asked.tags.items()}
    name = asked.name or tags.get(RUN_NAME_TAG) or (f"{source.name}-fork" if source.name else run_name())
    kept = {key: value for key, value in source.tags.items() if not key.startswith(_OURS)}
    run_id = uuid.uuid4().hex
    created = events.RunCreated(
        experiment_id=experiment.experiment_id,
        start_time_ms=s.clock.time_ms(),
        name=name,
        user_id=source.user_id,
        tags={
            **kept,
            **tags,
            RUN_NAME_TAG: name,
            FORKED_FROM_TAG: source.run_id,
            FORK_STEP_TAG: str(asked.step),
        },
        params={**source.params, **params},
        artifact_root=experiment.artifact_location,
        forked_from=source.run_id,
        fork_step=asked.step,
    )
    refusal = await s.tracking.command(run_id, created)
    if refusal is not None:
        raise invalid(refusal)
    found = await s.tracking.runs([run_id])
    if not found:
        raise missing(f"Run with id={run_id} not found")
    return json_response({"run": s.documents.of(*found[0])})
