"""Registered models, versions, comments and requests as MLflow's REST API answers them; what is ours is `headrace`."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import msgspec
from headrace.api.mlflow.wire import pairs, present
from headrace.ingest.model_events import READY
from headrace.processors.registered_models import Comment, ModelVersion, RegisteredModel, TransitionRequest

ERASED_RUN = "the run it was made by was erased"


def registered_model(model: RegisteredModel, gone: Collection[str]) -> dict[str, Any]:
    """MLflow's RegisteredModel. gone: the runs that were erased."""
    return present(
        name=model.name,
        creation_timestamp=model.creation_time_ms,
        last_updated_timestamp=model.last_update_time_ms,
        user_id=model.user_id or None,
        description=model.description,
        latest_versions=[model_version(model, version, gone) for version in model.latest_versions().values()],
        tags=pairs(model.tags),
        aliases=[{"alias": alias, "version": str(at)} for alias, at in sorted(model.aliases.items())],
        headrace={"registered_model_id": model.registered_model_id},
    )


def model_version(model: RegisteredModel, version: ModelVersion, gone: Collection[str]) -> dict[str, Any]:
    """MLflow's ModelVersion. gone: the runs that were erased."""
    return present(
        name=model.name,
        version=str(version.version),
        creation_timestamp=version.creation_time_ms,
        last_updated_timestamp=version.last_update_time_ms,
        user_id=version.user_id or None,
        current_stage=version.stage,
        description=version.description,
        source=version.source,
        run_id=version.run_id,
        run_link=version.run_link,
        model_id=version.model_id or None,
        status=version.status,
        status_message=None if version.status == READY else version.status_message or None,
        tags=pairs(version.tags),
        aliases=model.aliases_of(version.version),
        headrace=present(
            registered_model_id=model.registered_model_id,
            version_id=version.version_id,
            storage_location=version.storage_location,
            stage_comment=version.stage_comment or None,
            digest_message=version.status_message or None if version.status == READY else None,
            digest=version.digest or None,
            files=version.files or None,
            file_bytes=version.file_bytes or None,
            datasets=[msgspec.to_builtins(one) for one in version.datasets],
            code=version.code,
            run=ERASED_RUN if version.run_id in gone else None,
        ),
    )


def comment(model: RegisteredModel, one: Comment) -> dict[str, Any]:
    """Databricks' CommentObject, and the number of the version it is about, if it is about one."""
    return present(
        id=one.comment_id,
        name=model.name,
        version=str(one.version) if one.version else None,
        comment=one.comment,
        user_id=one.actor,
        creation_timestamp=one.creation_time_ms,
        last_updated_timestamp=one.last_update_time_ms,
    )


def request(one: TransitionRequest, available: bool = True) -> dict[str, Any]:
    """Databricks' TransitionRequest, with what became of it. available: whether it can be decided still."""
    open_ = one.state == "open" and available
    return present(
        id=one.request_id,
        version=str(one.version),
        to_stage=one.stage,
        comment=one.comment or None,
        user_id=one.actor,
        creation_timestamp=one.creation_time_ms,
        state=one.state,
        decided_by=one.decided_by or None,
        decision_timestamp=one.decided_time_ms or None,
        decision_comment=one.decision or None,
        available_actions=["APPROVE_TRANSITION_REQUEST", "REJECT_TRANSITION_REQUEST", "CANCEL_TRANSITION_REQUEST"]
        if open_
        else [],
    )
