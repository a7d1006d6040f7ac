"""The log: an append-only, durable sequence of envelopes a topic partition. Interface and errors, no implementation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from headrace.ingest.envelope import Envelope


class Partition(NamedTuple):
    """A topic partition."""

    topic: str
    partition: int


class Position(NamedTuple):
    """The place of one record."""

    topic: str
    partition: int
    offset: int


class Record(NamedTuple):
    """An envelope in its place. timestamp_ms: when the log took it, by the log's clock."""

    position: Position
    timestamp_ms: int
    envelope: Envelope


class LogError(Exception):
    """The log could not do what was asked."""


class LogUnavailable(LogError):
    """The log cannot be written or read now (full disk, lost broker, locked file); trying again may succeed."""


Offsets = Mapping[Partition, int]
"""Offsets to read next, a partition. A partition that is missing stands at 0."""


class Follower(Protocol):
    """Records of some partitions as they come, in order within each. For one thread."""

    def poll(self, records_max: int, bytes_max: int, timeout_s: float) -> list[Record]:
        """The next records of one partition, bounded as in Log.read; empty when none came within timeout_s.

        Raises LogUnavailable; asked again, it goes on where it was.
        """
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...


class Log(Protocol):
    """Appends batches, reads from an offset, tells how far it goes. Safe to share between threads and processes.

    remote: whether each question goes over the network, so that an event loop must not ask.
    """

    remote: bool

    def append(self, envelopes: Sequence[Envelope]) -> list[Position]:
        """Append a batch; when it returns, the batch is on disk and survives a crash.

        Returns each envelope's position, in the order given. Raises LogUnavailable; then a log in one file holds
        nothing of the batch, and Kafka may hold some of it: what has a writer and sequence can be sent again.
        """
        ...

    def read(self, partition: Partition, offset: int, records_max: int, bytes_max: int) -> list[Record]:
        """Records of one partition from `offset` on, in order; at least one where there is one, else an empty list.

        At most records_max of them, and no more after bytes_max of data have been reached.
        Raises LogUnavailable.
        """
        ...

    def partitions(self) -> list[Partition]:
        """Every partition there is."""
        ...

    def end(self) -> dict[Partition, int]:
        """The offset the next record of each partition will get."""
        ...

    def wait(self, beyond: Offsets, timeout_s: float) -> bool:
        """Wait until some partition goes further than `beyond`; False when timeout_s has passed first."""
        ...

    def follow(self, offsets: Offsets) -> Follower:
        """Follow the partitions that offsets names, each from its offset on. Close it before the log."""
        ...

    def close(self) -> None:
        """Let go of files and connections."""
        ...


class HistoryLog(Log, Protocol):
    """A log whose whole history can be read, and that can take over the history of another one."""

    def begin(self) -> dict[Partition, int]:
        """The offset of the first record of each partition that is still there; its end where there is none."""
        ...

    def restore(self, records: Sequence[Record]) -> list[Position]:
        """Append records of another log: each envelope unchanged, in its topic, logged when its record says.

        Partitions and offsets are given anew, in the order given; returns them. Durable, and fails, as append does.
        """
        ...
