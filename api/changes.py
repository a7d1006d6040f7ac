"""The history of an object: each change, when it came, who made it with which client, and from what to what."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from fastapi import APIRouter, Query, Request, Response
from headrace.api.errors import missing
from headrace.api.mlflow.wire import page_start
from headrace.api.model_changes import Other, kept_of, named, numbered, of_model, of_version
from headrace.api.search import encode_page_token
from headrace.api.services import Services, services
from headrace.api.structs import documented, schemas
from headrace.ingest import events
from headrace.ingest.topics import REGISTRY, RUNS
from headrace.processors import endpoints, refold, saved_views
from headrace.processors.refold import Kept
from headrace.processors.registry import Registry
from starlette.concurrency import run_in_threadpool

router = APIRouter(tags=["history"])
Kind: TypeAlias = Literal[
    "run", "experiment", "logged_model", "registered_model", "model_version", "endpoint", "saved_view"
]
PAGE_MAX = 1_000
_SUBJECTS = {"endpoint": endpoints.SUBJECT, "saved_view": saved_views.SUBJECT}
EVENTS_MAX = 100_000
"""The events of one object that are looked at; what it printed is not among them."""


class Change(msgspec.Struct, frozen=True, rename={"from_": "from"}):
    """One field that an event changed. field: such as status, params.lr or tags.team. null: it was not there."""

    field: str
    from_: Any
    to: Any


class Entry(msgspec.Struct, frozen=True):
    """One event of an object.

    position: topic/partition/offset, which `as_of` takes. logged_ms: when the log took it; time_ms: when it happened,
    by the clock of who made it. actor: on whose behalf; source: with which client. outcome: applied, refused, rejected
    or skipped, and reason says why. comment: what whoever made it had to say, such as of a transition.
    """

    position: str
    logged_ms: int
    time_ms: int
    type: str
    actor: str
    source: str
    outcome: str
    reason: str
    changes: list[Change]
    comment: str = ""


class History(msgspec.Struct, frozen=True, omit_defaults=True):
    """Oldest first, unless asked otherwise. next_page_token: of the page behind this one.

    id: of a registered model the one in the log, whatever name it was asked by; of a version that and its number.
    others: models that had the same name, which their ids ask for.
    """

    kind: str
    id: str
    entries: list[Entry]
    next_page_token: str | None = None
    others: list[Other] = []


@router.get(
    "/api/headrace/v1/history",
    summary="Each change of a run, experiment or model",
    openapi_extra=documented(None, *schemas(History)),
)
async def get_history(
    request: Request,
    kind: Kind,
    id: str,
    max_results: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 100,
    page_token: str = "",
    order: Literal["oldest", "newest"] = "oldest",
) -> Response:
    """What changed, when, by whom, from which client, from what to what; a page at a time, oldest first or newest.

    id: of a registered model its name, also one that it had before, or its id in the log; of a version `NAME/NUMBER`.
    """
    s = services(request)
    start = page_start(page_token)
    await s.tracking.caught_up()
    told = await run_in_threadpool(_page, s, kind, id, start, max_results, order == "newest")
    if not told.entries and not start:
        raise missing(f"There is no {kind.replace('_', ' ')} {id}")
    return Response(msgspec.json.encode(told), media_type="application/json")


def _page(s: Services, kind: Kind, id: str, start: int, limit: int, newest: bool) -> History:
    others: list[Other] = []
    found: Iterator[Entry]
    if kind in ("registered_model", "model_version"):
        name, number = numbered(id) if kind == "model_version" else (id, 0)
        models = s.engine.registry.models
        model, others = named(s.views, models, name, EVENTS_MAX)
        kept = kept_of(s.views, models, model, EVENTS_MAX)
        id = model.registered_model_id
        found = _told(of_version(kept, id, number) if number else of_model(kept, id))
        id = f"{id}/{number}" if kind == "model_version" else id
    elif kind == "run":
        found = _of_run(refold.history(s.views, RUNS, [id], EVENTS_MAX))
    else:
        subject = _SUBJECTS.get(kind, "") + id
        found = _of_registry(refold.history(s.views, REGISTRY, [subject], EVENTS_MAX), kind)
    entries = list(islice(reversed(list(found)) if newest else found, start, start + limit + 1))
    token = encode_page_token(start + limit) if len(entries) > limit else None
    return History(kind, id, entries[:limit], token, others)


def _told(steps: Iterable[tuple[Kept, Mapping[str, Any], Mapping[str, Any]]]) -> Iterator[Entry]:
    return (_entry(kept, _difference(before, after)) for kept, before, after in steps)


def _of_run(kept: Iterable[Kept]) -> Iterator[Entry]:
    for step in refold.steps(kept):
        before = flat(step.before) if step.before else {}
        yield _entry(step.kept, _added(step.kept) or _difference(before, flat(step.after)))


def _of_registry(kept: Iterable[Kept], kind: Kind) -> Iterator[Entry]:
    before: dict[str, Any] = {}
    for one, registry in refold.registry_states(kept):
        if not one.record.envelope.type.startswith(f"headrace.{kind.replace('_', '-')}."):
            continue
        state = _held(registry, kind, one.record.envelope.subject)
        after = flat(state) if state else {}
        yield _entry(one, _difference(before, after))
        before = after


def _held(registry: Registry, kind: Kind, id: str) -> msgspec.Struct | None:
    if kind == "endpoint":
        return registry.endpoints.get(id.removeprefix(endpoints.SUBJECT))
    if kind == "saved_view":
        return registry.saved_views.by_id.get(id.removeprefix(saved_views.SUBJECT))
    return registry.experiments.get(id) if kind == "experiment" else registry.logged_models.get(id)


def _entry(kept: Kept, changes: list[Change]) -> Entry:
    (position, logged_ms, envelope), outcome = kept.record, kept.outcome
    return Entry(
        "/".join(map(str, position)),
        logged_ms,
        envelope.time_ms,
        envelope.type,
        envelope.actor,
        envelope.source,
        outcome.kind,
        outcome.reason,
        changes,
        str(getattr(kept.event, "comment", "")),
    )


def _added(kept: Kept) -> list[Change]:
    """What an event added that no state of a run holds."""
    match kept.event:
        case events.ArtifactLogged(path=path, size=size, sha256=sha256):
            return [Change(f"artifacts.{path}", None, {"size": size, "sha256": sha256})]
    return []


_LEFT_OUT = {
    *("run_id", "model_id", "view_id", "updated_by", "partition", "offset", "created", "writers"),
    *("heartbeat_ms", "heartbeat_interval_s", "deleted_time_ms", "last_update_time_ms"),
}


def flat(state: msgspec.Struct) -> dict[str, Any]:
    """The fields of a state that a person would call its own, by name; empty ones left out."""
    found: dict[str, Any] = {}
    for name in state.__struct_fields__:
        value = getattr(state, name)
        if name in _LEFT_OUT:
            continue
        if isinstance(value, Mapping):
            found.update((f"{name}.{key}", held) for key, held in value.items())
        elif isinstance(value, events.InputsLogged):
            found.update((f"datasets.{x.dataset.name}@{x.dataset.digest}", x.tags) for x in value.datasets)
            found.update((f"models_read.{x.model_id}", True) for x in value.models)
        elif isinstance(value, events.EndpointOptions):
            found.update((f"options.{x}", getattr(value, x)) for x in value.__struct_fields__)
        elif name == "routes":
            found.update((f"routes.{x.model}", x.weight) for x in value)
        elif isinstance(value, events.OutputsLogged):
            found.update((f"models_made.{x.model_id}", {"step": x.step}) for x in value.models)
        elif value not in ("", 0):
            found[name] = value
    return found


def _difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Change]:
    return [
        Change(field, before.get(field), after.get(field))
        for field in dict.fromkeys((*before, *after))
        if before.get(field) != after.get(field)
    ]
