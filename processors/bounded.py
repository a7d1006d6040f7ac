"""A log up to a bound that moves on: for folds that have to stop at an exact position."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from headrace.ingest.envelope import Envelope
from headrace.ingest.log import Log, Offsets, Partition, Position, Record
from headrace.ingest.polling import PollingFollower


class BoundedLog:
    """Ends at the bound, whatever comes behind it."""

    def __init__(self, log: Log, bound: Offsets, *, appends: bool = False) -> None:
        """appends: whether what is appended goes to the log behind it, or nowhere: a fold of what was folded before has
        nothing new to say."""
        self._appends = appends
        self.remote = log.remote
        self._log = log
        self._bound = {partition: bound.get(partition, 0) for partition in log.partitions()}
        self._moved = threading.Condition()

    def move(self, bound: Offsets) -> None:
        """Move the bound on; it never goes back."""
        with self._moved:
            for partition, offset in bound.items():
                self._bound[partition] = max(offset, self._bound.get(partition, 0))
            self._moved.notify_all()

    def append(self, envelopes: Sequence[Envelope]) -> list[Position]:
        return self._log.append(envelopes) if self._appends else []

    def read(self, partition: Partition, offset: int, records_max: int, bytes_max: int) -> list[Record]:
        bound = self._bound[partition]
        if offset >= bound:
            return []
        records = self._log.read(partition, offset, min(records_max, bound - offset), bytes_max)
        return [record for record in records if record.position.offset < bound]

    def partitions(self) -> list[Partition]:
        return self._log.partitions()

    def end(self) -> dict[Partition, int]:
        return dict(self._bound)

    def wait(self, beyond: Offsets, timeout_s: float) -> bool:
        with self._moved:
            return self._moved.wait_for(
                lambda: any(bound > beyond.get(p, 0) for p, bound in self._bound.items()), timeout_s
            )

    def follow(self, offsets: Offsets) -> PollingFollower:
        return PollingFollower(self, offsets)

    def close(self) -> None:
        """Nothing: the log belongs to who opened it."""
