"""What a few words find among everything with a name: matched, ranked and told as places of the page. No I/O."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from heapq import nsmallest
from typing import Literal, NamedTuple, TypeAlias
from urllib.parse import quote

import msgspec
from headrace.processors.registered_models import ModelVersion
from headrace.processors.registry import DELETED, Registry
from headrace.processors.runs import RunState

Kind: TypeAlias = Literal["experiment", "run", "model", "version", "endpoint", "view"]
ID_CHARS_MIN = 4
"""So much of an id has to be typed for it to match: fewer hexadecimal digits begin many ids."""
_VERSION_PARTS = re.compile("[/@]")
EXACT, BEGIN, WORD, INSIDE = range(4)
"""How well a name matches, best first: it is it, begins with it, has a word that does, has it inside."""


class Hit(msgspec.Struct, frozen=True):
    """Something that was found.

    path: its place on the page, such as `/experiments/1`. detail: what tells it from others of its name. time_ms: when
    it last changed, or when a run began.
    """

    kind: Kind
    id: str
    name: str
    detail: str
    path: str
    time_ms: int


class Ranked(NamedTuple):
    """A hit and its place: the best and then the newest first."""

    rank: int
    newest: int
    hit: Hit


class Asked:
    """The words of a question; each has to be in a name or begin an id, in any case of letters."""

    def __init__(self, text: str) -> None:
        self.words = text.casefold().split()
        self._whole = " ".join(self.words)
        self._begins = re.compile(rf"(?:^|[\W_]){re.escape(self._whole)}") if self._whole else None

    def rank(self, name: str, *ids: str) -> int | None:
        """How well a name or one of the ids matches, or None. ids: in lower case."""
        folded = name.casefold()
        if not self.words:
            return BEGIN
        if folded == self._whole or self._whole in ids:
            return EXACT
        for word in self.words:
            if word not in folded and not (len(word) >= ID_CHARS_MIN and any(x.startswith(word) for x in ids)):
                return None
        if folded.startswith(self._whole):
            return BEGIN
        return WORD if self._begins is not None and self._begins.search(folded) else INSIDE


def best(found: Iterable[Ranked], limit: int) -> list[Ranked]:
    """The `limit` best, in order."""
    return nsmallest(limit, found, key=lambda one: (one.rank, one.newest, one.hit.id))


def experiments(asked: Asked, registry: Registry) -> Iterator[Ranked]:
    """Of those that are not in the bin."""
    for one in list(registry.experiments.values()):
        rank = None if one.lifecycle == DELETED else asked.rank(one.name, one.experiment_id)
        if rank is not None:
            yield _ranked(
                rank, "experiment", one.experiment_id, one.name, "", one.last_update_time_ms, "experiments"
            )  # fmt: skip


def runs(asked: Asked, held: Iterable[RunState], detail: Callable[[str, str], str]) -> Iterator[Ranked]:
    """Of runs that are not in the bin. detail: of an experiment's id and a status."""
    for one in held:
        rank = None if one.lifecycle != "active" else asked.rank(one.name, one.run_id)
        if rank is not None:
            told = (one.run_id, one.name, one.experiment_id, one.start_time_ms)
            yield run(rank, told, detail(one.experiment_id, one.status))


def run(rank: int, told: tuple[str, str, str, int], detail: str) -> Ranked:
    """A run. told: its id, name, experiment and start."""
    run_id, name, experiment_id, start_time_ms = told
    path = f"/experiments/{quote(experiment_id, safe='')}/runs/{quote(run_id, safe='')}"
    return Ranked(rank, -start_time_ms, Hit("run", run_id, name or run_id, detail, path, start_time_ms))


def models(asked: Asked, registry: Registry) -> Iterator[Ranked]:
    """Registered models."""
    for one in list(registry.models.by_name.values()):
        rank = asked.rank(one.name, one.registered_model_id)
        if rank is not None:
            count = len(list(one.live_versions()))
            detail = f"{count} version{'' if count == 1 else 's'}"
            yield _ranked(rank, "model", one.name, one.name, detail, one.last_update_time_ms, "models")


def versions(asked: Asked, registry: Registry) -> Iterator[Ranked]:
    """Versions of registered models: by words of the model's name and, behind them, the number, an alias or the stage;
    as `NAME/3` or `NAME@ALIAS`; or by the run or logged model that is behind them."""
    for model in list(registry.models.by_name.values()):
        for one in model.live_versions():
            aliases = model.aliases_of(one.version)
            rank = _rank_of_version(asked, model.name, one, aliases)
            if rank is not None:
                detail = ", ".join([*([one.stage] if one.stage != "None" else []), *(f"@{x}" for x in aliases)])
                id, path = f"{model.name}/{one.version}", f"/models/{quote(model.name, safe='')}/versions/{one.version}"
                hit = Hit("version", id, f"{model.name} v{one.version}", detail, path, one.last_update_time_ms)
                yield Ranked(rank, -one.version, hit)


def _rank_of_version(asked: Asked, name: str, one: ModelVersion, aliases: list[str]) -> int | None:
    words = [word for text in asked.words for word in _VERSION_PARTS.split(text) if word]
    called = {str(one.version), f"v{one.version}", one.stage.casefold(), *(alias.casefold() for alias in aliases)}
    if len(words) > 1 and words[-1] in called:
        return Asked(" ".join(words[:-1])).rank(name)
    [word] = asked.words if len(asked.words) == 1 else [""]
    behind = len(word) >= ID_CHARS_MIN and any(id.startswith(word) for id in (one.run_id, one.model_id))
    return INSIDE if behind else None


def endpoints(asked: Asked, registry: Registry) -> Iterator[Ranked]:
    """Endpoints, by name."""
    for one in list(registry.endpoints.values()):
        rank = asked.rank(one.name)
        if rank is not None:
            detail = ", ".join(route.model for route in one.routes[:3])
            yield _ranked(rank, "endpoint", one.name, one.name, detail, one.last_update_time_ms, "endpoints")


def views(asked: Asked, registry: Registry, detail: Callable[[str], str]) -> Iterator[Ranked]:
    """Saved views, by name. detail: of a path."""
    for one in list(registry.saved_views.by_id.values()):
        rank = asked.rank(one.name, one.view_id)
        if rank is not None:
            shown = f"{one.query}&view={one.view_id}" if one.query else f"view={one.view_id}"
            place = f"{one.path}?{shown}"
            hit = Hit("view", one.view_id, one.name, detail(one.path), place, one.last_update_time_ms)
            yield Ranked(rank, -one.last_update_time_ms, hit)


def _ranked(rank: int, kind: Kind, id: str, name: str, detail: str, time_ms: int, at: str) -> Ranked:
    return Ranked(rank, -time_ms, Hit(kind, id, name, detail, f"/{at}/{quote(id, safe='')}", time_ms))
