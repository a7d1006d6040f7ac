"""What the registry holds, as the program sees it: registered models, their versions, requests and comments."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class ModelVersion:
    """A version of a registered model. Times in milliseconds since the epoch, UTC.

    source: where its files lie. run_id: of the run that made it, empty for none; model_id: of the logged model it is.
    status: PENDING_REGISTRATION, READY or FAILED_REGISTRATION, and status_message says why. digest: over its files,
    empty where the server cannot reach them. stage_comment: why it is in its stage.
    """

    name: str
    version: int
    creation_timestamp: int = 0
    last_updated_timestamp: int = 0
    user_id: str = ""
    current_stage: str = "None"
    description: str = ""
    source: str = ""
    run_id: str = ""
    run_link: str = ""
    model_id: str = ""
    status: str = "READY"
    status_message: str = ""
    digest: str = ""
    stage_comment: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    aliases: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class RegisteredModel:
    """A registered model. Times in milliseconds since the epoch, UTC. latest_versions: the newest of each stage.

    registered_model_id: the same through every renaming.
    """

    name: str
    creation_timestamp: int = 0
    last_updated_timestamp: int = 0
    description: str = ""
    latest_versions: list[ModelVersion] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)
    aliases: dict[str, int] = field(default_factory=dict)
    registered_model_id: str = ""


@dataclass(frozen=True)
class TransitionRequest:
    """That somebody asks for a version to be in a stage, and what became of it. Times in ms since the epoch, UTC.

    state: open, approved, rejected or withdrawn. decided_by, decision_timestamp, decision_comment: who closed it.
    """

    id: str
    version: int
    to_stage: str
    comment: str = ""
    user_id: str = ""
    creation_timestamp: int = 0
    state: str = "open"
    decided_by: str = ""
    decision_timestamp: int = 0
    decision_comment: str = ""


@dataclass(frozen=True)
class Comment:
    """What somebody said of a registered model, or of one of its versions (0: of the model). Times in ms, UTC."""

    id: str
    comment: str
    version: int = 0
    user_id: str = ""
    creation_timestamp: int = 0
    last_updated_timestamp: int = 0


def version_of(given: Mapping[str, Any]) -> ModelVersion:
    """A model version of MLflow's JSON. Raises KeyError, ValueError when it is none."""
    ours = given.get("headrace", {})
    return ModelVersion(
        str(given["name"]),
        int(given["version"]),
        int(given.get("creation_timestamp") or 0),
        int(given.get("last_updated_timestamp") or 0),
        given.get("user_id") or "",
        given.get("current_stage") or "None",
        given.get("description") or "",
        given.get("source") or "",
        given.get("run_id") or "",
        given.get("run_link") or "",
        given.get("model_id") or "",
        given.get("status") or "READY",
        given.get("status_message") or "",
        ours.get("digest") or "",
        ours.get("stage_comment") or "",
        texts(given.get("tags", ())),
        [str(one) for one in given.get("aliases", ())],
    )


def model_of(given: Mapping[str, Any]) -> RegisteredModel:
    """A registered model of MLflow's JSON. Raises KeyError, ValueError when it is none."""
    return RegisteredModel(
        str(given["name"]),
        int(given.get("creation_timestamp") or 0),
        int(given.get("last_updated_timestamp") or 0),
        given.get("description") or "",
        [version_of(one) for one in given.get("latest_versions", ())],
        texts(given.get("tags", ())),
        {str(one["alias"]): int(one["version"]) for one in given.get("aliases", ())},
        given.get("headrace", {}).get("registered_model_id", ""),
    )


def request_of(given: Mapping[str, Any]) -> TransitionRequest:
    """A request for transition of the server's JSON. Raises KeyError, ValueError when it is none."""
    return TransitionRequest(
        str(given["id"]),
        int(given["version"]),
        str(given["to_stage"]),
        given.get("comment") or "",
        given.get("user_id") or "",
        int(given.get("creation_timestamp") or 0),
        given.get("state") or "open",
        given.get("decided_by") or "",
        int(given.get("decision_timestamp") or 0),
        given.get("decision_comment") or "",
    )


def comment_of(given: Mapping[str, Any]) -> Comment:
    """A comment of the server's JSON. Raises KeyError, ValueError when it is none."""
    return Comment(
        str(given["id"]),
        given.get("comment") or "",
        int(given.get("version") or 0),
        given.get("user_id") or "",
        int(given.get("creation_timestamp") or 0),
        int(given.get("last_updated_timestamp") or 0),
    )


def texts(given: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """MLflow's list of `{key, value}` as a dict."""
    return {str(one["key"]): one.get("value") or "" for one in given}
