"""Registered models and their versions, as their events made them. Values only; the folds beside make new ones."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from headrace.ingest.model_events import PENDING, DatasetUsed
from headrace.ingest.model_names import ARCHIVED, DEFAULT_STAGES, NONE

ACTIVE, DELETED = "active", "deleted"
OPEN, APPROVED, REJECTED, WITHDRAWN = "open", "approved", "rejected", "withdrawn"
REQUEST_STATES = (OPEN, APPROVED, REJECTED, WITHDRAWN)


class Stages(msgspec.Struct, frozen=True):
    """The stages a version can be in. between: those between None and Archived, in the order they are passed."""

    between: tuple[str, ...] = DEFAULT_STAGES

    @property
    def all(self) -> tuple[str, ...]:
        """Every stage, in order."""
        return (NONE, *self.between, ARCHIVED)

    def canonical(self, stage: str) -> str | None:
        """A stage as it is written, whatever the case it was asked for in; None if there is no such stage."""
        return next((one for one in self.all if one.lower() == stage.lower()), None)

    def fault(self, stage: str) -> str:
        """What to tell who asked for a stage that is none."""
        return f"Invalid Model Version stage: {stage}. Value must be one of {', '.join(self.all)}."


class Comment(msgspec.Struct, frozen=True):
    """What somebody said about a model, or about its version of that number where it is not 0. Times in ms, UTC."""

    comment_id: str
    comment: str
    version: int
    actor: str
    creation_time_ms: int
    last_update_time_ms: int


class TransitionRequest(msgspec.Struct, frozen=True):
    """That somebody asks for a version to be in a stage, and what became of it. Times in ms since the epoch, UTC.

    state: one of REQUEST_STATES. actor: who asks; decided_by, decided_time_ms, decision: who closed it, when, and the
    comment they gave.
    """

    request_id: str
    version: int
    stage: str
    comment: str
    actor: str
    creation_time_ms: int
    state: str = OPEN
    decided_by: str = ""
    decided_time_ms: int = 0
    decision: str = ""


class ModelVersion(msgspec.Struct, frozen=True):
    """A version of a registered model. Times in ms since the epoch, UTC. Never changed in place.

    version: its number, from 1. version_id: what events call it. model_id: the logged model it was made from, or empty.
    storage_location: where its files lie. status, status_message: whether it is ready, and why not. digest: of its
    files (`headrace.ingest.digests`), empty where they are out of the server's reach. stage_comment: of the last
    transition. datasets, code: what its run read, and that run's tags of source and project.
    """

    version_id: str
    version: int
    creation_time_ms: int
    last_update_time_ms: int
    source: str
    storage_location: str
    run_id: str = ""
    run_link: str = ""
    model_id: str = ""
    description: str = ""
    user_id: str = ""
    stage: str = NONE
    stage_comment: str = ""
    status: str = PENDING
    status_message: str = ""
    digest: str = ""
    files: int = 0
    file_bytes: int = 0
    lifecycle: str = ACTIVE
    tags: dict[str, str] = {}
    datasets: list[DatasetUsed] = []
    code: dict[str, str] = {}


class RegisteredModel(msgspec.Struct, frozen=True):
    """A registered model and all that belongs to it. Times in ms since the epoch, UTC. Never changed in place.

    versions: by number, rising, deleted ones too. numbers: of versions, by version_id. aliases: the numbers they point
    to. comments: by comment_id; requests: by request_id, closed ones too; both in the order they came.
    """

    registered_model_id: str
    name: str
    creation_time_ms: int
    last_update_time_ms: int
    description: str = ""
    user_id: str = ""
    lifecycle: str = ACTIVE
    tags: dict[str, str] = {}
    aliases: dict[str, int] = {}
    versions: dict[int, ModelVersion] = {}
    numbers: dict[str, int] = {}
    comments: dict[str, Comment] = {}
    requests: dict[str, TransitionRequest] = {}

    def version(self, number: int) -> ModelVersion | None:
        """A version that was not deleted."""
        found = self.versions.get(number)
        return found if found is not None and found.lifecycle == ACTIVE else None

    def version_of_id(self, version_id: str) -> ModelVersion | None:
        """A version that was not deleted, by its version_id."""
        return self.version(self.numbers.get(version_id, 0))

    def live_versions(self) -> Iterator[ModelVersion]:
        """The versions that were not deleted, by rising number."""
        return (version for version in self.versions.values() if version.lifecycle == ACTIVE)

    def latest_versions(self) -> dict[str, ModelVersion]:
        """The highest version in each stage that has one."""
        return {version.stage: version for version in self.live_versions()}

    def latest(self) -> ModelVersion | None:
        """The highest version."""
        return next((self.versions[n] for n in reversed(self.versions) if self.versions[n].lifecycle == ACTIVE), None)

    def aliases_of(self, number: int) -> list[str]:
        """The aliases that point to a version, sorted."""
        return sorted(alias for alias, at in self.aliases.items() if at == number)
