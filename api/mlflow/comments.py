"""Comments on registered models and their versions: create, list, update, delete. Databricks' names; MLflow's open
server has none."""

from __future__ import annotations

import uuid
from typing import Any

from fastapi import APIRouter
from headrace.api import registered
from headrace.api.errors import missing
from headrace.api.mlflow import registry_answers as answers
from headrace.api.mlflow import registry_checks as checks
from headrace.api.mlflow.model_versions import GetModelVersion, ModelVersionName
from headrace.api.mlflow.wire import Body, add, required
from headrace.api.services import Services
from headrace.ingest import model_events as m
from headrace.processors.registered_models import RegisteredModel

router = APIRouter(tags=["comments"])


class CreateComment(ModelVersionName):
    """version: of the version it is about; without it, it is about the model."""

    comment: str = ""


class UpdateComment(Body):
    id: str = ""
    comment: str = ""


class DeleteComment(Body):
    id: str = ""


async def create(s: Services, asked: CreateComment) -> dict[str, Any]:
    """Comment on a registered model or one of its versions."""
    text = checks.check_comment(required(asked.comment, "comment"))
    model = registered.model_of(await registered.current(s), checks.check_name(asked.name))
    version_id = ""
    if asked.version:
        version_id = registered.version_of(model, checks.check_version(asked.version)).version_id
    comment_id = uuid.uuid4().hex
    after = await registered.change(s, model, m.CommentCreated(comment_id, text, version_id))
    return {"comment": answers.comment(after, after.comments[comment_id])}


async def list_comments(s: Services, asked: GetModelVersion) -> dict[str, Any]:
    """The comments on a registered model and its versions, or on one version, oldest first."""
    model = registered.model_of(await s.past.registry(asked.as_of), checks.check_name(asked.name))
    number = registered.version_of(model, checks.check_version(asked.version)).version if asked.version else 0
    found = [one for one in model.comments.values() if number in (0, one.version)]
    return {"comments": [answers.comment(model, one) for one in found]}


async def update(s: Services, asked: UpdateComment) -> dict[str, Any]:
    """Change the text of a comment."""
    text = checks.check_comment(required(asked.comment, "comment"))
    after = await registered.change(s, await _holder(s, asked.id), m.CommentUpdated(asked.id, text))
    return {"comment": answers.comment(after, after.comments[asked.id])}


async def delete(s: Services, asked: DeleteComment) -> dict[str, Any]:
    """Take a comment away."""
    await registered.change(s, await _holder(s, asked.id), m.CommentDeleted(asked.id))
    return {}


async def _holder(s: Services, comment_id: str) -> RegisteredModel:
    """The model that a comment is on. Raises RESOURCE_DOES_NOT_EXIST."""
    required(comment_id, "id")
    for model in list((await registered.current(s)).models.by_name.values()):
        if comment_id in model.comments:
            return model
    raise missing(f"Comment with id={comment_id} not found")


add(router, "POST", "/comments/create", CreateComment, create, "Comment on a model or version")
add(router, "GET", "/comments/list", GetModelVersion, list_comments, "List comments")
add(router, "PATCH", "/comments/update", UpdateComment, update, "Change a comment")
add(router, "DELETE", "/comments/delete", DeleteComment, delete, "Delete a comment")
