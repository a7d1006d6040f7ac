"""Runs that were forked from others: whose points they have as their own, and what those come to."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence

from headrace.api.point_summaries import Summaries, point_summaries
from headrace.api.points import Cut, Link, Points
from headrace.processors.entities import Entities
from headrace.processors.metrics import Summary, merged
from headrace.processors.runs import RunState
from headrace.processors.views import Views

DEPTH_MAX = 100
"""A longer chain of forks is cut there."""
_KEPT_MAX = 2_000


class Forks:
    """Asks the engine and the views, and remembers what was inherited. For any thread."""

    def __init__(self, engine: Entities, views: Views) -> None:
        self._engine = engine
        self._views = views
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, tuple[tuple[object, ...], dict[str, Summary]]] = OrderedDict()

    def links(self, run_ids: Collection[str]) -> list[Link]:
        """What these runs inherit: for each that was forked, a link to every run of its chain. May read the views."""
        forked = self._engine.forked()
        return [link for run_id in run_ids if run_id in forked for link in self._chain(run_id, self._state)]

    def current(self, run_ids: Collection[str]) -> bool:
        """Whether what these runs inherit is remembered as it is now; else the views are asked. May read the views."""
        forked = self._engine.forked()
        return all(self._is_kept(run_id, self._stamp(self.links([run_id]))) for run_id in run_ids if run_id in forked)

    def inherited(self, run_ids: Collection[str], keys: Sequence[str] = (), cut: Cut | None = None) -> Summaries:
        """The summaries of inherited points alone, of those of these runs that inherit. keys: none for all.

        May read the views. Raises ViewsUnavailable.
        """
        found: Summaries = {}
        asked: list[Link] = []
        stamps: dict[str, tuple[object, ...]] = {}
        for run_id in run_ids:
            links = self.links([run_id])
            if not links:
                continue
            stamp = stamps[run_id] = self._stamp(links)
            if cut is None and self._is_kept(run_id, stamp):
                found[run_id] = self._kept[run_id][1]
            else:
                asked += links
        if asked:
            # All keys, where it is to be remembered.
            points = Points([], keys if cut else (), cut, asked, whole=True)
            new = point_summaries(self._views, points)
            found |= {link.run_id: new.get(link.run_id, {}) for link in asked}
            if cut is None:
                self._keep({link.run_id: (stamps[link.run_id], found[link.run_id]) for link in asked})
        return found

    def with_inherited(self, summaries: Mapping[str, Mapping[str, Summary]]) -> Summaries:
        """Summaries by run and key, each run's own joined with what it inherits. May read the views."""
        inherited = self.inherited(list(summaries))
        return {x: joined(own, inherited[x]) if x in inherited else dict(own) for x, own in summaries.items()}

    def _is_kept(self, run_id: str, stamp: tuple[object, ...]) -> bool:
        kept = self._kept.get(run_id)
        return kept is not None and kept[0] == stamp

    def _keep(self, new: Mapping[str, tuple[tuple[object, ...], dict[str, Summary]]]) -> None:
        with self._lock:
            self._kept.update(new)
            while len(self._kept) > _KEPT_MAX:
                self._kept.popitem(last=False)

    def _chain(self, run_id: str, state_of: Callable[[str], RunState | None]) -> list[Link]:
        found: list[Link] = []
        state, step_max = state_of(run_id), 0
        while state is not None and state.forked_from and len(found) < DEPTH_MAX:
            step_max = min(step_max, state.fork_step) if found else state.fork_step
            found.append(Link(run_id, state.forked_from, step_max))
            state = state_of(state.forked_from)
        return found

    def _state(self, run_id: str) -> RunState | None:
        return self._engine.cached_run(run_id) or self._engine.run(run_id)

    def _stamp(self, links: Sequence[Link]) -> tuple[object, ...]:
        """What changes when the sources get more points."""
        sources = self._engine.summaries([link.source_run_id for link in links])
        return tuple(
            (link, max((x.offset for x in sources.get(link.source_run_id, {}).values()), default=-1)) for link in links
        )


def joined(own: Mapping[str, Summary], inherited: Mapping[str, Summary]) -> dict[str, Summary]:
    """A run's own summaries with what it inherits; position and offset are its own where it has some."""
    return {**inherited, **{key: merged(inherited[key], x) if key in inherited else x for key, x in own.items()}}
