"""What each event of a model's version makes of the model: versions, their stages, and requests for these. Pure."""

from __future__ import annotations

from headrace.ingest import model_events as m
from headrace.ingest.event import Event
from headrace.ingest.model_names import ARCHIVED
from headrace.processors.model_fold import Told, no_version
from headrace.processors.registered_models import (
    APPROVED,
    DELETED,
    OPEN,
    REJECTED,
    WITHDRAWN,
    ModelVersion,
    RegisteredModel,
    Stages,
    TransitionRequest,
)
from msgspec.structs import replace

_OF_REQUESTS = (m.TransitionApproved, m.TransitionRejected, m.TransitionWithdrawn)
OF_VERSIONS = (
    m.ModelVersionCreated,
    m.ModelVersionFinalized,
    m.ModelVersionDescribed,
    m.ModelVersionTagsSet,
    m.ModelVersionTagsDeleted,
    m.ModelVersionDeleted,
    m.StageTransitioned,
    m.TransitionRequested,
    *_OF_REQUESTS,
)
"""The classes of events that are folded here."""


def fold(before: RegisteredModel, told: Told, event: Event, stages: Stages) -> RegisteredModel | str:
    """The model after an event of one of its versions, or why it is refused."""
    if isinstance(event, m.ModelVersionCreated):
        return _create(before, told, event)
    if isinstance(event, _OF_REQUESTS):
        return _decide(before, told, event, stages)
    version_id: str = event.version_id  # type: ignore[attr-defined]
    version = before.version_of_id(version_id)
    if version is None:
        return no_version(before, version_id)
    match event:
        case m.ModelVersionFinalized():
            if version.status != m.PENDING:
                return f"version {version.version} of {before.name} is {version.status} already"
            after = replace(
                version,
                status=event.status,
                status_message=event.message,
                digest=event.digest,
                files=event.files,
                file_bytes=event.file_bytes,
                storage_location=event.storage_location or version.storage_location,
                last_update_time_ms=told.time_ms,
            )
        case m.ModelVersionDescribed():
            after = replace(version, description=event.description, last_update_time_ms=told.time_ms)
        case m.ModelVersionTagsSet():
            after = replace(version, tags={**version.tags, **event.tags})
        case m.ModelVersionTagsDeleted():
            after = replace(version, tags={k: v for k, v in version.tags.items() if k not in event.keys})
        case m.ModelVersionDeleted():
            return _delete(before, told, version)
        case m.StageTransitioned():
            return _move(before, told, version, event.stage, event.archive_existing, event.comment, stages)
        case _:
            assert isinstance(event, m.TransitionRequested)
            return _request(before, told, version, event, stages)
    return replace(before, versions={**before.versions, version.version: after})


def _create(before: RegisteredModel, told: Told, event: m.ModelVersionCreated) -> RegisteredModel | str:
    if event.version_id in before.numbers:
        return f"the version {event.version_id} of {before.name} exists already"
    last = next(reversed(before.versions), 0)
    if 0 < event.version <= last or event.version < 0:
        return f"Model Version (name={before.name}, version={event.version}) already exists, or a higher one does"
    number = event.version or last + 1
    made = ModelVersion(
        version_id=event.version_id,
        version=number,
        creation_time_ms=told.time_ms,
        last_update_time_ms=told.time_ms,
        source=event.source,
        storage_location=event.storage_location or event.source,
        run_id=event.run_id,
        run_link=event.run_link,
        model_id=event.model_id,
        description=event.description,
        user_id=event.user_id or told.actor,
        status=event.status,
        status_message=event.status_message,
        digest=event.digest,
        files=event.files,
        file_bytes=event.file_bytes,
        tags=event.tags,
        datasets=event.datasets,
        code=event.code,
    )
    return replace(
        before,
        versions={**before.versions, number: made},
        numbers={**before.numbers, event.version_id: number},
        last_update_time_ms=told.time_ms,
    )


def _delete(before: RegisteredModel, told: Told, version: ModelVersion) -> RegisteredModel:
    requests = {
        k: _closed(r, WITHDRAWN, told, "the version was deleted") if _asks(r, version) else r
        for k, r in before.requests.items()
    }
    gone = replace(version, lifecycle=DELETED, last_update_time_ms=told.time_ms)
    return replace(
        before,
        versions={**before.versions, version.version: gone},
        aliases={alias: at for alias, at in before.aliases.items() if at != version.version},
        requests=requests,
        last_update_time_ms=told.time_ms,
    )


def _move(
    before: RegisteredModel, told: Told, version: ModelVersion, asked: str, archive: bool, why: str, stages: Stages
) -> RegisteredModel | str:
    stage = stages.canonical(asked)
    if stage is None:
        return stages.fault(asked)
    if archive and stage not in stages.between:
        return (
            f"Model version transition cannot archive existing model versions because '{asked}' is not an Active stage."
            f" Valid stages are {list(stages.between)}"
        )
    moved = {version.version: _in_stage(version, told, stage, why)}
    if archive:
        for other in before.live_versions():
            if other.stage == stage and other.version != version.version:
                reason = f"archived when version {version.version} was moved to {stage}"
                moved[other.version] = _in_stage(other, told, ARCHIVED, reason)
    return replace(before, versions={**before.versions, **moved}, last_update_time_ms=told.time_ms)


def _in_stage(version: ModelVersion, told: Told, stage: str, why: str) -> ModelVersion:
    return replace(version, stage=stage, stage_comment=why, last_update_time_ms=told.time_ms)


def _request(
    before: RegisteredModel, told: Told, version: ModelVersion, event: m.TransitionRequested, stages: Stages
) -> RegisteredModel | str:
    stage = stages.canonical(event.stage)
    if stage is None:
        return stages.fault(event.stage)
    if event.request_id in before.requests:
        return f"the request {event.request_id} exists already"
    if any(_asks(r, version) and r.stage == stage and r.actor == told.actor for r in before.requests.values()):
        return (
            f"A request of {told.actor or 'the same user'} to move version {version.version} of {before.name} to"
            f" {stage} already exists"
        )
    made = TransitionRequest(event.request_id, version.version, stage, event.comment, told.actor, told.time_ms)
    return replace(before, requests={**before.requests, event.request_id: made})


def _decide(before: RegisteredModel, told: Told, event: Event, stages: Stages) -> RegisteredModel | str:
    assert isinstance(event, _OF_REQUESTS)
    request = before.requests.get(event.request_id)
    if request is None:
        return f"Transition request with id={event.request_id} not found"
    if request.state != OPEN:
        return f"the request {event.request_id} was {request.state} already, by {request.decided_by or 'somebody'}"
    if not isinstance(event, m.TransitionApproved):
        state = REJECTED if isinstance(event, m.TransitionRejected) else WITHDRAWN
        closed = _closed(request, state, told, event.comment)
        return replace(before, requests={**before.requests, request.request_id: closed})
    version = before.versions[request.version]
    after = _move(before, told, version, request.stage, event.archive_existing, event.comment, stages)
    if isinstance(after, str):
        return after
    requests = {
        k: _closed(r, APPROVED, told, event.comment) if _asks(r, version) and r.stage == request.stage else r
        for k, r in before.requests.items()
    }
    return replace(after, requests=requests)


def _asks(request: TransitionRequest, version: ModelVersion) -> bool:
    """Whether a request for this version is open."""
    return request.state == OPEN and request.version == version.version


def _closed(request: TransitionRequest, state: str, told: Told, comment: str) -> TransitionRequest:
    return replace(
        request, state=state, decided_by=told.actor, decided_time_ms=told.time_ms, decision=comment
    )  # fmt: skip
