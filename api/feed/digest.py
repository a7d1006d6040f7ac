"""What has changed, for pages that ask anew: run and experiment ids, many events in one message."""

from __future__ import annotations

import msgspec
from headrace.api.feed.entry import Entry
from headrace.ingest.topics import REGISTRY

IDS_MAX = 1000
"""So many changed runs are told by name; beyond, the message says that all may have changed."""


class Standing(msgspec.Struct, frozen=True):
    """How far the views are. behind: events of the log that they do not hold yet. fault: what they wait for, if so."""

    behind: int
    fault: str | None


class Digest:
    """Gathers what has changed until it is told."""

    def __init__(self, ids_max: int = IDS_MAX) -> None:
        self._ids_max = ids_max
        self._run_ids: set[str] = set()
        self._experiment_ids: set[str] = set()
        self._all = False

    def __bool__(self) -> bool:
        """Whether there is anything to tell."""
        return bool(self._all or self._run_ids or self._experiment_ids)

    def add(self, entry: Entry, experiment_id: str) -> None:
        """An event: of a run, or of an experiment. experiment_id: what a registry event is of, where that is known."""
        if self._all:
            return
        if entry.record.position.topic != REGISTRY:
            self._run_ids.add(entry.record.envelope.subject)
        elif experiment_id:
            self._experiment_ids.add(experiment_id)
        if len(self._run_ids) + len(self._experiment_ids) > self._ids_max:
            self.add_all()

    def add_all(self) -> None:
        """More than can be named."""
        self._all = True
        self._run_ids.clear()
        self._experiment_ids.clear()

    def taken(self) -> bytes:
        """What has changed, as JSON; gathers anew from here on."""
        told: dict[str, object] = {"all": True}
        if not self._all:
            told = {"run_ids": sorted(self._run_ids), "experiment_ids": sorted(self._experiment_ids)}
        self._all = False
        self._run_ids.clear()
        self._experiment_ids.clear()
        return msgspec.json.encode(told)
