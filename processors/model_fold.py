"""What each event of a registered model makes of it: its name, description, tags, aliases and comments. Pure."""

from __future__ import annotations

from typing import NamedTuple

from headrace.ingest import model_events as m
from headrace.ingest.event import Event
from headrace.ingest.model_names import alias_fault
from headrace.processors.registered_models import DELETED, Comment, ModelVersion, RegisteredModel, Stages
from msgspec.structs import replace


class Told(NamedTuple):
    """When an event happened, ms since the epoch, UTC, and on whose behalf."""

    time_ms: int
    actor: str


def fold(before: RegisteredModel, told: Told, event: Event, _: Stages) -> RegisteredModel | str:
    """The model after an event, or why it is refused."""
    match event:
        case m.RegisteredModelRenamed():
            versions = {n: _touched(version, told) for n, version in before.versions.items()}
            return replace(before, name=event.name, versions=versions, last_update_time_ms=told.time_ms)
        case m.RegisteredModelDescribed():
            return replace(before, description=event.description, last_update_time_ms=told.time_ms)
        case m.RegisteredModelTagsSet():
            return replace(before, tags={**before.tags, **event.tags})
        case m.RegisteredModelTagsDeleted():
            return replace(before, tags={k: v for k, v in before.tags.items() if k not in event.keys})
        case m.RegisteredModelDeleted():
            versions = {n: replace(version, lifecycle=DELETED) for n, version in before.versions.items()}
            return replace(
                before, lifecycle=DELETED, versions=versions, aliases={}, last_update_time_ms=told.time_ms
            )  # fmt: skip
        case m.AliasSet():
            version = before.version_of_id(event.version_id)
            if version is None:
                return no_version(before, event.version_id)
            if (fault := alias_fault(event.alias)) is not None:
                return f"Invalid alias name: '{event.alias}': {fault}"
            return replace(before, aliases={**before.aliases, event.alias: version.version})
        case m.AliasDeleted():
            return replace(before, aliases={k: v for k, v in before.aliases.items() if k != event.alias})
        case _:
            return _comment(before, told, event)


def no_version(model: RegisteredModel, version_id: str) -> str:
    """Why an event of a version is refused that is not there."""
    number = model.numbers.get(version_id)
    if number is None:
        return f"Model Version (name={model.name}, version_id={version_id}) not found"
    return f"Model Version (name={model.name}, version={number}) not found"


def _comment(before: RegisteredModel, told: Told, event: Event) -> RegisteredModel | str:
    if isinstance(event, m.CommentCreated):
        version = before.version_of_id(event.version_id) if event.version_id else None
        if event.version_id and version is None:
            return no_version(before, event.version_id)
        if event.comment_id in before.comments:
            return f"the comment {event.comment_id} exists already"
        number = version.version if version else 0
        made = Comment(event.comment_id, event.comment, number, told.actor, told.time_ms, told.time_ms)
        return replace(before, comments={**before.comments, event.comment_id: made})
    assert isinstance(event, m.CommentUpdated | m.CommentDeleted)
    comment = before.comments.get(event.comment_id)
    if comment is None:
        return f"Comment with id={event.comment_id} not found"
    if isinstance(event, m.CommentDeleted):
        return replace(before, comments={k: v for k, v in before.comments.items() if k != event.comment_id})
    changed = replace(comment, comment=event.comment, last_update_time_ms=told.time_ms)
    return replace(before, comments={**before.comments, event.comment_id: changed})


def _touched(version: ModelVersion, told: Told) -> ModelVersion:
    return replace(version, last_update_time_ms=told.time_ms)
