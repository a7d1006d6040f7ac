"""A consumer group without Kafka: a log in memory that keeps a group's offsets, and members that act as told."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping
from typing import Any

from headrace.ingest.clock import Clock
from headrace.ingest.log import Partition
from headrace.ingest.memory import MemoryLog
from headrace.ingest.topics import FOLDED
from headrace.processors.partitions import Partitions
from headrace.processors.views import Views

BATCH = 7


class GroupLog(MemoryLog):
    """The log protocol over lists, with the offsets that a group has committed."""

    group = "views"

    def __init__(self, clock: Clock | None = None, partitions: Mapping[str, int] | None = None) -> None:
        super().__init__(clock, partitions)
        self._committed: dict[Partition, int] = {}
        self._committing = threading.Lock()

    def committed(self, group: str = "") -> dict[Partition, int]:
        """The offsets that were committed last."""
        with self._committing:
            return dict(self._committed)

    def commit(self, offsets: Mapping[Partition, int]) -> None:
        """Commit, as the owner of the partitions."""
        with self._committing:
            self._committed |= offsets

    def folded(self) -> list[Partition]:
        """The partitions that are folded into views."""
        return [p for p in self.partitions() if p.topic in FOLDED]


class Member:
    """A worker's folds, with a consumer that brings what the test says, and commits what the views hold."""

    def __init__(self, log: GroupLog, views: Views, clock: Clock | None = None, owner: str = "") -> None:
        self.log = log
        self.partitions = Partitions(log, views, owner, clock)
        self.partitions.on_stored(self._commit)
        self.assigned: set[Partition] = set()
        self._next: dict[Partition, int] = {}
        self.partitions.start()

    def assign(self, *partitions: Partition) -> None:
        """What the group hands to this member: all there are if none is named. It begins where the group stands."""
        self.assigned = set(partitions or self.log.folded())
        self._next = {p: self.log.committed().get(p, 0) for p in self.assigned}
        self.partitions.assign(self.assigned)

    def unassign(self) -> None:
        """Take everything away."""
        self.assigned = set()
        self.partitions.assign(())

    def bring(self, partition: Partition, count: int = 2**31) -> int:
        """Bring the next records of a partition; how many came."""
        brought = 0
        while brought < count:
            records = self.log.read(partition, self._next.get(partition, 0), min(BATCH, count - brought), 2**40)
            if not records:
                break
            self.partitions.put(records)
            self._next[partition] = records[-1].position.offset + 1
            brought += len(records)
        return brought

    def bring_all(self) -> None:
        """Bring all there is of what is assigned."""
        for partition in self.assigned:
            self.bring(partition)

    def skip(self, partition: Partition, count: int) -> None:
        """Lose records on the way."""
        self._next[partition] = self._next.get(partition, 0) + count

    def viewed(self) -> dict[Partition, int]:
        """How far the views of its open partitions are."""
        return self.partitions.stages()["viewed"]

    def stop(self, drain_s: float = 5.0) -> None:
        """End it."""
        self.partitions.stop(drain_s)

    def _commit(self, offsets: Mapping[Partition, int]) -> None:
        self.log.commit({p: offset for p, offset in offsets.items() if p in self.assigned})


def ends(log: GroupLog, *partitions: Partition) -> dict[Partition, int]:
    """The ends of these, or of all that have records and are folded."""
    wanted: Collection[Any] = partitions or log.folded()
    return {p: offset for p, offset in log.end().items() if p in wanted and offset}
