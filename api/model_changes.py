"""The history of a registered model or of one of its versions: found by any name it had, its changes field by field."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import msgspec
from headrace.api.errors import missing
from headrace.ingest import model_events as m
from headrace.ingest.topics import REGISTRY
from headrace.processors import refold
from headrace.processors.model_registry import Models
from headrace.processors.outcome import APPLIED
from headrace.processors.refold import Kept
from headrace.processors.registered_models import ModelVersion, RegisteredModel
from headrace.processors.views import Views

_NAMING = ("headrace.registered-model.created", "headrace.registered-model.renamed")
_LEFT_OUT = {
    *("registered_model_id", "version_id", "version", "versions", "numbers", "comments", "requests"),
    *("creation_time_ms", "last_update_time_ms"),
}


class Other(msgspec.Struct, frozen=True):
    """Another registered model that had the same name. creation_time_ms, last_update_time_ms: since the epoch, UTC."""

    id: str
    name: str
    lifecycle: str
    creation_time_ms: int
    last_update_time_ms: int


class Named(NamedTuple):
    """The model that a name or id means, and the others that had this name, the newest first."""

    model: RegisteredModel
    others: list[Other]


def named(views: Views, models: Models, name_or_id: str, events_max: int) -> Named:
    """The registered model of an id, or the newest of a name, also one that it had before or until it was deleted.

    Raises RESOURCE_DOES_NOT_EXIST, ViewsUnavailable.
    """
    by_id = models.by_id.get(name_or_id)
    if by_id is not None:
        return Named(by_id, [])
    had = _who_had(views, models, name_or_id, events_max)
    holder = models.by_name.get(name_or_id)
    if holder is not None:
        had = [holder, *(one for one in had if one.registered_model_id != holder.registered_model_id)]
    if not had:
        raise missing(f"There is no registered model {name_or_id}, and there never was one of this name or id")
    others = [
        Other(x.registered_model_id, x.name, x.lifecycle, x.creation_time_ms, x.last_update_time_ms) for x in had[1:]
    ]
    return Named(had[0], others)


def _who_had(views: Views, models: Models, name: str, events_max: int) -> list[RegisteredModel]:
    """The models that ever had a name, the one that took it last first."""
    found: dict[str, RegisteredModel] = {}
    for kept in refold.of_types(views, REGISTRY, _NAMING, events_max):
        model = models.of_subject(kept.record.envelope.subject)
        named = isinstance(kept.event, m.RegisteredModelCreated | m.RegisteredModelRenamed) and kept.event.name == name
        if named and model is not None and kept.outcome.kind == APPLIED:
            found.pop(model.registered_model_id, None)
            found[model.registered_model_id] = model
    return list(reversed(found.values()))


def numbered(name_and_version: str) -> tuple[str, int]:
    """A version's `NAME/NUMBER`. Raises RESOURCE_DOES_NOT_EXIST."""
    name, _, number = name_and_version.rpartition("/")
    if not name or not (number.isascii() and number.isdecimal()) or len(number) > 18:
        raise missing(f"There is no model version {name_and_version}: it is named NAME/NUMBER, such as iris/3")
    return name, int(number)


def kept_of(views: Views, models: Models, model: RegisteredModel, events_max: int) -> list[Kept]:
    """The events about a model, and those that set the stages there are, in order. Raises ViewsUnavailable."""
    subjects = [*models.subjects(model.registered_model_id), m.STAGES_SUBJECT]
    return refold.history(views, REGISTRY, subjects, events_max)


def of_model(kept: Iterable[Kept], model_id: str) -> Iterator[tuple[Kept, dict[str, Any], dict[str, Any]]]:
    """Each event about a model, with the fields of the model and all that belongs to it, before and after."""
    before: dict[str, Any] = {}
    for one, registry in refold.registry_states(kept):
        if one.record.envelope.subject == m.STAGES_SUBJECT:
            continue
        model = registry.models.by_id.get(model_id)
        after = _flat_model(model) if model else {}
        if not _is_nothing(one, before, after):
            yield one, before, after
        before = after


def of_version(
    kept: Iterable[Kept], model_id: str, number: int
) -> Iterator[tuple[Kept, dict[str, Any], dict[str, Any]]]:
    """Each event about one version of a model, with the version's fields before and after."""
    before: dict[str, Any] = {}
    for one, registry in refold.registry_states(kept):
        model = registry.models.by_id.get(model_id)
        version = model.versions.get(number) if model else None
        if model is None or version is None:
            continue
        after = _flat_version(model, version)
        if before != after or _is_about(one, model, version):
            yield one, before, after
        before = after


def _is_nothing(one: Kept, before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Whether an event only said that a model should exist, which did."""
    asked = isinstance(one.event, m.RegisteredModelCreated) and one.event.if_absent
    return asked and one.outcome.kind == APPLIED and before == after


def _is_about(one: Kept, model: RegisteredModel, version: ModelVersion) -> bool:
    """Whether an event that changed nothing, such as one that was refused, names this version."""
    named = getattr(one.event, "version_id", None)
    if named is None:
        request = model.requests.get(getattr(one.event, "request_id", ""))
        return request is not None and request.version == version.version
    return bool(named == version.version_id)


def _flat_model(model: RegisteredModel) -> dict[str, Any]:
    found = _flat(model)
    for number, version in model.versions.items():
        own = {**_flat(version), **_said(model, number)}
        found |= {f"versions.{number}.{name}": value for name, value in own.items()}
    return found | _said(model, 0)


def _flat_version(model: RegisteredModel, version: ModelVersion) -> dict[str, Any]:
    aliases = {f"aliases.{alias}": True for alias in model.aliases_of(version.version)}
    return {**_flat(version), **aliases, **_said(model, version.version)}


def _said(model: RegisteredModel, number: int) -> dict[str, Any]:
    """The comments on, and the requests about, the version of this number; 0 for the model itself."""
    comments = {f"comments.{x.comment_id}": x.comment for x in model.comments.values() if x.version == number}
    requests = {
        f"requests.{x.request_id}": {"stage": x.stage, "state": x.state, "actor": x.actor}
        for x in model.requests.values()
        if x.version == number
    }
    return comments | requests


def _flat(state: msgspec.Struct) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in state.__struct_fields__:
        value = getattr(state, name)
        if name in _LEFT_OUT:
            continue
        if isinstance(value, Mapping):
            found.update((f"{name}.{key}", held) for key, held in value.items())
        elif name == "datasets":
            found.update((f"datasets.{x.name}@{x.digest}", x.context) for x in value)
        elif value not in ("", 0):
            found[name] = value
    return found
