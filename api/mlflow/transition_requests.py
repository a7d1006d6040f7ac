"""Requests that a version be moved to a stage: create, list, approve, reject, withdraw. Databricks' names; MLflow's
open server has none."""

from __future__ import annotations

import uuid
from typing import Any

from fastapi import APIRouter
from headrace.api import registered
from headrace.api.errors import invalid, missing
from headrace.api.mlflow import registry_answers as answers
from headrace.api.mlflow import registry_checks as checks
from headrace.api.mlflow.model_versions import ModelVersionName
from headrace.api.mlflow.wire import add, required
from headrace.api.services import Services
from headrace.ingest import model_events as m
from headrace.processors.registered_models import OPEN, ModelVersion, RegisteredModel, TransitionRequest

router = APIRouter(tags=["transition requests"])


class CreateTransitionRequest(ModelVersionName):
    stage: str = ""
    comment: str = ""


class ListTransitionRequests(ModelVersionName):
    """state: open, approved, rejected, withdrawn, or all; what is empty is open. as_of: as elsewhere."""

    state: str = ""
    as_of: str = ""


class DecideTransitionRequest(ModelVersionName):
    """stage: of the request. id: of one request; without it, the oldest open one for that stage."""

    stage: str = ""
    comment: str = ""
    id: str = ""


class ApproveTransitionRequest(DecideTransitionRequest):
    """archive_existing_versions: the versions in that stage are Archived in the same moment."""

    archive_existing_versions: bool = False


class DeleteTransitionRequest(DecideTransitionRequest):
    """creator: who asked; without it, the oldest open one."""

    creator: str = ""


async def create(s: Services, asked: CreateTransitionRequest) -> dict[str, Any]:
    """Ask that a version be moved to a stage."""
    stage, comment = required(asked.stage, "stage"), checks.check_comment(asked.comment)
    model, version = await _version(s, asked)
    request_id = uuid.uuid4().hex
    requested = m.TransitionRequested(request_id, version.version_id, stage, comment)
    after = await registered.change(s, model, requested)
    return {"request": answers.request(after.requests[request_id])}


async def list_requests(s: Services, asked: ListTransitionRequests) -> dict[str, Any]:
    """The requests of a version, oldest first."""
    if asked.state not in ("", "open", "approved", "rejected", "withdrawn", "all"):
        raise invalid(
            f"Invalid value \"{asked.state}\" for parameter 'state' supplied: expected open, approved, rejected,"
            " withdrawn or all"
        )
    model, version = await _version(s, asked, asked.as_of)
    wanted = asked.state or OPEN
    found = [x for x in model.requests.values() if x.version == version.version and wanted in (x.state, "all")]
    return {"requests": [answers.request(one) for one in found]}


async def approve(s: Services, asked: ApproveTransitionRequest) -> dict[str, Any]:
    """Grant a request: the version is in that stage."""
    model, version = await _version(s, asked)
    request = await _open(s, model, version, asked)
    comment = checks.check_comment(asked.comment)
    approved = m.TransitionApproved(request.request_id, asked.archive_existing_versions, comment)
    return _decided(await registered.change(s, model, approved), request, version, "APPROVED_REQUEST")


async def reject(s: Services, asked: DecideTransitionRequest) -> dict[str, Any]:
    """Turn a request down."""
    model, version = await _version(s, asked)
    request = await _open(s, model, version, asked)
    rejected = m.TransitionRejected(request.request_id, checks.check_comment(asked.comment))
    return _decided(await registered.change(s, model, rejected), request, version, "REJECTED_REQUEST")


async def delete(s: Services, asked: DeleteTransitionRequest) -> dict[str, Any]:
    """Take a request back."""
    model, version = await _version(s, asked)
    request = await _open(s, model, version, asked, asked.creator)
    withdrawn = m.TransitionWithdrawn(request.request_id, checks.check_comment(asked.comment))
    return _decided(await registered.change(s, model, withdrawn), request, version, "CANCELLED_REQUEST")


async def _version(s: Services, asked: ModelVersionName, as_of: str = "") -> tuple[RegisteredModel, ModelVersion]:
    name, number = checks.check_name(asked.name), checks.check_version(asked.version)
    model = registered.model_of(await s.past.registry(as_of), name)
    return model, registered.version_of(model, number)


async def _open(
    s: Services, model: RegisteredModel, version: ModelVersion, asked: DecideTransitionRequest, creator: str = ""
) -> TransitionRequest:
    """The request that is meant. Raises RESOURCE_DOES_NOT_EXIST, INVALID_PARAMETER_VALUE."""
    if asked.id:
        found = model.requests.get(asked.id)
        if found is None or found.version != version.version:
            raise missing(f"Transition request with id={asked.id} not found")
        return found
    stages = (await registered.current(s)).models.stages
    stage = stages.canonical(required(asked.stage, "stage"))
    if stage is None:
        raise invalid(stages.fault(asked.stage))
    for one in model.requests.values():
        if (one.state, one.version, one.stage) == (OPEN, version.version, stage) and creator in ("", one.actor):
            return one
    by = f" by {creator}" if creator else ""
    raise missing(f"Open transition request{by} of version {version.version} of {model.name} to {stage} not found")


def _decided(
    after: RegisteredModel, request: TransitionRequest, before: ModelVersion, activity: str
) -> dict[str, Any]:  # fmt: skip
    """The request as it is now, and the activity that Databricks' clients expect."""
    now = after.requests[request.request_id]
    return {
        "request": answers.request(now),
        "activity": {
            "id": now.request_id,
            "activity_type": activity,
            "creation_timestamp": now.decided_time_ms,
            "last_updated_timestamp": now.decided_time_ms,
            "user_id": now.decided_by,
            "comment": now.decision,
            "from_stage": before.stage,
            "to_stage": now.stage,
        },
    }


_ALL = "/transition-requests"
add(router, "POST", f"{_ALL}/create", CreateTransitionRequest, create, "Ask for a transition")
add(router, "GET", f"{_ALL}/list", ListTransitionRequests, list_requests, "List requests for transition")
add(router, "POST", f"{_ALL}/approve", ApproveTransitionRequest, approve, "Approve a request for transition")
add(router, "POST", f"{_ALL}/reject", DecideTransitionRequest, reject, "Reject a request for transition")
add(router, "DELETE", f"{_ALL}/delete", DeleteTransitionRequest, delete, "Withdraw a request for transition")
