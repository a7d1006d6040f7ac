"""What the folds have counted since the start."""

from __future__ import annotations

from dataclasses import dataclass

from headrace.processors.outcome import DUPLICATE, REFUSED, REJECTED, Outcome


@dataclass(slots=True)
class Counters:
    """For metrics and for doctor. points: metric points folded; missed: gaps in the sequences of writers."""

    events: int = 0
    points: int = 0
    duplicates: int = 0
    missed: int = 0
    rejected: int = 0
    refused: int = 0

    def count(self, outcome: Outcome) -> None:
        """Take one event's outcome into account."""
        self.events += 1
        self.duplicates += outcome.kind == DUPLICATE
        self.rejected += outcome.kind == REJECTED
        self.refused += outcome.kind == REFUSED
        self.missed += outcome.missed
