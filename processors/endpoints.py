"""The fold of endpoints: which models each serves, by events of the registry topic. No I/O."""

from __future__ import annotations

import re
from typing import NamedTuple

import msgspec
from headrace.ingest import events as e
from msgspec.structs import replace

SUBJECT = "endpoint:"
"""What the subject of an endpoint's events begins with; no run, experiment or model has such an id."""
NAME_CHARS_MAX = 63
ROUTES_MAX = 20
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_SCHEME = "models:/"

EVENTS = (e.EndpointCreated, e.EndpointUpdated, e.EndpointDeleted)


class Endpoint(msgspec.Struct, frozen=True):
    """An endpoint as its events made it. Times in ms since the epoch, UTC. Never changed in place."""

    name: str
    creation_time_ms: int
    last_update_time_ms: int
    routes: list[e.EndpointRoute]
    shadow: str = ""
    options: e.EndpointOptions = e.EndpointOptions()

    @property
    def uris(self) -> list[str]:
        """Every model it names, each once, the shadow last."""
        return list(dict.fromkeys([*(route.model for route in self.routes), *([self.shadow] if self.shadow else [])]))


class Target(NamedTuple):
    """What a `models:/` URI names: a registered model by version, alias or stage; or a logged model by model_id."""

    name: str = ""
    version: str = ""
    alias: str = ""
    stage: str = ""
    model_id: str = ""


def subject_of(name: str) -> str:
    """The subject of an endpoint's events."""
    return SUBJECT + name


def name_fault(name: str) -> str | None:
    """What is wrong with an endpoint's name, or None. It is a part of URLs."""
    if len(name) > NAME_CHARS_MAX:
        return f"it has {len(name)} characters, and at most {NAME_CHARS_MAX} are allowed"
    if _NAME.fullmatch(name) is None:
        return "it holds letters, digits, `.`, `_` and `-`, and begins with a letter or digit"
    return None


def target_of(uri: str) -> Target:
    """What a URI names. Raises ValueError, whose message says how it should be."""
    rest = uri.removeprefix(_SCHEME)
    if rest == uri or not rest:
        raise ValueError(f"{uri!r} names no model: write models:/NAME@ALIAS, models:/NAME/STAGE or models:/NAME/3")
    if "/" not in rest and "@" not in rest and re.fullmatch(r"m-[0-9a-f]{32}", rest):
        return Target(model_id=rest)
    name, slash, last = rest.rpartition("/")
    if slash and name and last and "@" not in last:
        return Target(name, version=last) if last.isascii() and last.isdigit() else Target(name, stage=last)
    name, at, alias = rest.rpartition("@")
    if at and name and alias:
        return Target(name, alias=alias)
    raise ValueError(f"{uri!r} says no version: write models:/NAME@ALIAS, models:/NAME/STAGE or models:/NAME/3")


def fold(held: dict[str, Endpoint], subject: str, time_ms: int, event: e.Event) -> str | None:
    """Change the endpoints, by name, or say why the event is refused."""
    name = subject.removeprefix(SUBJECT)
    before = held.get(name)
    if isinstance(event, e.EndpointCreated):
        if before is not None:
            return f"Endpoint {name!r} already exists."
        fault = name_fault(name) if subject.startswith(SUBJECT) else f"its subject does not begin with {SUBJECT}"
        if fault is not None:
            return f"Invalid endpoint name {name!r}: {fault}"
        after = Endpoint(name, time_ms, time_ms, event.routes, event.shadow, event.options)
        return _put(held, after)
    if before is None or not subject.startswith(SUBJECT):
        return f"No endpoint {name!r} exists"
    if isinstance(event, e.EndpointUpdated):
        changes = {
            field: value for field in ("routes", "shadow", "options") if (value := getattr(event, field)) is not None
        }
        return _put(held, replace(before, last_update_time_ms=time_ms, **changes))
    del held[name]
    return None


def _put(held: dict[str, Endpoint], after: Endpoint) -> str | None:
    if not 1 <= len(after.routes) <= ROUTES_MAX:
        return f"An endpoint has 1 to {ROUTES_MAX} routes, not {len(after.routes)}"
    if not any(route.weight > 0 for route in after.routes):
        return "At least one route must have a weight over 0"
    models = [route.model for route in after.routes]
    if len(set(models)) < len(models):
        return "Two routes name the same model: give one of them both weights"
    try:
        for uri in after.uris:
            target_of(uri)
    except ValueError as error:
        return str(error)
    held[after.name] = after
    return None
