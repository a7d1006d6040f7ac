"""A data folder that shows the past: its log takes nothing more."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from headrace.ingest.envelope import Envelope
from headrace.ingest.log import LogError, Partition, Position
from headrace.ingest.sqlite import SqliteLog

PAST_FILE = "past.json"
"""Marks a data folder as a view of the past, and says of which moment."""


class ItIsPast(LogError):
    """This log shows the past, which nobody can change."""


class PastLog(SqliteLog):
    """The log of such a folder, for a server on it."""

    def append(self, envelopes: Sequence[Envelope]) -> list[Position]:
        """Raises ItIsPast."""
        raise ItIsPast("this data folder shows the past, which nobody can change; log to the live server")

    def erase(self, partition: Partition, offsets: Sequence[int]) -> None:
        """Raises ItIsPast."""
        raise ItIsPast("this data folder shows the past, which nobody can change; remove the folder")


def is_past(folder: Path) -> bool:
    """Whether a data folder shows the past."""
    return (folder / PAST_FILE).exists()
