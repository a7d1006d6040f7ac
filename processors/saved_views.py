"""The fold of saved views: names for what the page shows at an address, by events of the registry topic. No I/O."""

from __future__ import annotations

import re

import msgspec
from headrace.ingest import events as e
from headrace.processors.model_fold import Told
from msgspec.structs import replace

SUBJECT = "view:"
"""What the subject of a saved view's events begins with; no run, experiment or model has such an id."""
VIEWS_MAX = 10_000
NAME_CHARS_MAX = 200
PATH_CHARS_MAX = 2_000
QUERY_CHARS_MAX = 20_000
NOTE_CHARS_MAX = 5_000
_ID = re.compile(r"[0-9a-f]{8,32}")
_MOST = {"name": NAME_CHARS_MAX, "path": PATH_CHARS_MAX, "query": QUERY_CHARS_MAX, "note": NOTE_CHARS_MAX}

EVENTS = (e.SavedViewCreated, e.SavedViewUpdated, e.SavedViewDeleted)


class SavedView(msgspec.Struct, frozen=True):
    """A saved view as its events made it. Times in ms since the epoch, UTC. Never changed in place.

    path: of the page, such as `/experiments/1`; query: what it shows there, as in the address bar, without a `?`.
    """

    view_id: str
    name: str
    path: str
    query: str
    note: str
    creation_time_ms: int
    last_update_time_ms: int
    created_by: str = ""
    updated_by: str = ""


def is_view_id(text: str) -> bool:
    """Whether a text can be the id of a saved view."""
    return _ID.fullmatch(text) is not None


class SavedViews:
    """All saved views. One thread folds; any thread may read."""

    def __init__(self) -> None:
        self.by_id: dict[str, SavedView] = {}
        self._by_name: dict[tuple[str, str], str] = {}

    def fold(self, subject: str, told: Told, event: e.Event) -> str | None:
        """Change them, or say why the event is refused."""
        view_id = subject.removeprefix(SUBJECT)
        before = self.by_id.get(view_id) if subject.startswith(SUBJECT) else None
        if isinstance(event, e.SavedViewCreated):
            return self._create(subject, view_id, told, event)
        if before is None:
            return f"There is no saved view {view_id}"
        if isinstance(event, e.SavedViewUpdated):
            given = {x: value for x in ("name", "query", "note") if (value := getattr(event, x)) is not None}
            by_whom = {"last_update_time_ms": told.time_ms, "updated_by": told.actor}
            return self._put(before, replace(before, **given, **by_whom))
        del self.by_id[view_id], self._by_name[before.path, before.name]
        return None

    def _create(self, subject: str, view_id: str, told: Told, event: e.SavedViewCreated) -> str | None:
        if not subject.startswith(SUBJECT) or not is_view_id(view_id):
            return f"the subject of a saved view is {SUBJECT} and 8 to 32 hexadecimal digits"
        if view_id in self.by_id:
            return f"the saved view {view_id} exists already"
        if len(self.by_id) >= VIEWS_MAX:
            return f"There are {VIEWS_MAX:,} saved views, and at most so many are kept: delete some"
        made = (told.time_ms, told.time_ms, told.actor, told.actor)
        return self._put(None, SavedView(view_id, event.name, event.path, event.query, event.note, *made))

    def _put(self, before: SavedView | None, after: SavedView) -> str | None:
        if (fault := view_fault(after)) is not None:
            return fault
        if self._by_name.get((after.path, after.name), after.view_id) != after.view_id:
            return f"A saved view {after.name!r} of {after.path} exists already"
        if before is not None:
            del self._by_name[before.path, before.name]
        self.by_id[after.view_id] = after
        self._by_name[after.path, after.name] = after.view_id
        return None


def view_fault(view: SavedView) -> str | None:
    """What is wrong with a view's texts, or None."""
    for field, most in _MOST.items():
        if (found := len(getattr(view, field))) > most:
            return f"Invalid saved view: its {field} has {found:,} characters, and at most {most:,} are allowed"
    if not view.name.strip():
        return "Invalid saved view: it needs a name"
    if not view.path.startswith("/") or "?" in view.path or "#" in view.path:
        return "Invalid saved view: its path begins with `/` and has no `?` or `#`, as `/experiments/1`"
    return None
