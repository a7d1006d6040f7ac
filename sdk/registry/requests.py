"""Requests that a version be in another stage, comments on models and versions, and the stages there are."""

from __future__ import annotations

from collections.abc import Sequence

from headrace.sdk.reader import Moment, Reader, moment
from headrace.sdk.registry.asking import OURS, V2, call
from headrace.sdk.registry.types import Comment, TransitionRequest, comment_of, request_of

_REQUESTS = f"{V2}/transition-requests"
_COMMENTS = f"{V2}/comments"
_STAGES = f"{OURS}/registry/stages"


def request_transition(
    name: str, version: int | str, stage: str, comment: str = "", *, source: Reader | None = None
) -> TransitionRequest:
    """Ask that a version be put into a stage; somebody approves or rejects it."""
    body = {"name": name, "version": str(version), "stage": stage, "comment": comment}
    return request_of(call(source, "POST", f"{_REQUESTS}/create", json=body)["request"])


def list_transition_requests(
    name: str, version: int | str, state: str = "open", as_of: Moment | None = None, *, source: Reader | None = None
) -> list[TransitionRequest]:
    """The requests for a version, oldest first. state: open, approved, rejected, withdrawn or all."""
    asked = {"name": name, "version": str(version), "state": state, "as_of": moment(as_of)}
    answer = call(source, "GET", f"{_REQUESTS}/list", params=asked)
    return [request_of(one) for one in answer.get("requests", ())]


def approve_transition_request(
    name: str,
    version: int | str,
    stage: str,
    archive_existing_versions: bool = False,
    comment: str = "",
    request_id: str = "",
    *,
    source: Reader | None = None,
) -> TransitionRequest:
    """Grant a request: the version is in that stage. request_id: which one; without it, the oldest open one."""
    body = {
        **_decision(name, version, stage, comment, request_id),
        "archive_existing_versions": archive_existing_versions,
    }
    return request_of(call(source, "POST", f"{_REQUESTS}/approve", json=body)["request"])


def reject_transition_request(
    name: str, version: int | str, stage: str, comment: str = "", request_id: str = "", *, source: Reader | None = None
) -> TransitionRequest:
    """Turn a request down. request_id: as in `approve_transition_request`."""
    body = _decision(name, version, stage, comment, request_id)
    return request_of(call(source, "POST", f"{_REQUESTS}/reject", json=body)["request"])


def withdraw_transition_request(
    name: str, version: int | str, stage: str, comment: str = "", request_id: str = "", *, source: Reader | None = None
) -> TransitionRequest:
    """Take a request back. request_id: as in `approve_transition_request`."""
    body = _decision(name, version, stage, comment, request_id)
    return request_of(call(source, "DELETE", f"{_REQUESTS}/delete", json=body)["request"])


def _decision(name: str, version: int | str, stage: str, comment: str, request_id: str) -> dict[str, str]:
    return {"name": name, "version": str(version), "stage": stage, "comment": comment, "id": request_id}


# --- comments ---------------------------------------------------------------------------------------------------------


def create_comment(
    name: str, comment: str, version: int | str | None = None, *, source: Reader | None = None
) -> Comment:
    """Comment on a registered model, or on one of its versions."""
    body = {"name": name, "comment": comment, "version": "" if version is None else str(version)}
    return comment_of(call(source, "POST", f"{_COMMENTS}/create", json=body)["comment"])


def list_comments(
    name: str, version: int | str | None = None, as_of: Moment | None = None, *, source: Reader | None = None
) -> list[Comment]:
    """The comments on a registered model and all its versions, or on one version, oldest first."""
    asked = {"name": name, "version": "" if version is None else str(version), "as_of": moment(as_of)}
    answer = call(source, "GET", f"{_COMMENTS}/list", params=asked)
    return [comment_of(one) for one in answer.get("comments", ())]


def update_comment(comment_id: str, comment: str, *, source: Reader | None = None) -> Comment:
    """Change the text of a comment; the history has the one before."""
    body = {"id": comment_id, "comment": comment}
    return comment_of(call(source, "PATCH", f"{_COMMENTS}/update", json=body)["comment"])


def delete_comment(comment_id: str, *, source: Reader | None = None) -> None:
    """Take a comment away; the history has it."""
    call(source, "DELETE", f"{_COMMENTS}/delete", json={"id": comment_id})


# --- stages -----------------------------------------------------------------------------------------------------------


def get_stages(as_of: Moment | None = None, *, source: Reader | None = None) -> list[str]:
    """Every stage a version can be in, from None to Archived."""
    answer = call(source, "GET", _STAGES, params={"as_of": moment(as_of)})
    return [str(one) for one in answer["stages"]]


def set_stages(stages: Sequence[str], *, source: Reader | None = None) -> list[str]:
    """Set the stages between None and Archived, in order; all stages after that.

    Refused while a version is in one that would be none any more.
    """
    return [str(one) for one in call(source, "PUT", _STAGES, json={"stages": list(stages)})["stages"]]
