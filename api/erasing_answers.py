"""What a gc is asked for, and what it answers."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from headrace.api.errors import invalid
from headrace.api.quantities import duration_ms

LISTED_MAX = 1_000
"""So many of a kind are told, or put in the bin, by one call."""
EVER_MS = 10**14
"""Longer than anything has lain anywhere: 3,000 years."""


@dataclass(slots=True)
class Gone:
    """One run, and what was erased of it. late: it had been erased before, and something came after that."""

    run_id: str
    files: int = 0
    file_bytes: int = 0
    records: int = 0
    record_bytes: int = 0
    points: int = 0
    late: bool = False


@dataclass(slots=True)
class Left:
    """What was not erased, and why."""

    id: str
    reason: str


@dataclass(slots=True)
class Erased:
    """What a call did, or would do. binned: runs that were put in the bin, their experiment's retention being over."""

    runs: list[Gone] = field(default_factory=list)
    experiments: list[str] = field(default_factory=list)
    logged_models: list[str] = field(default_factory=list)
    registered_models: list[str] = field(default_factory=list)
    binned: list[str] = field(default_factory=list)
    left: list[Left] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    more: bool = False
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be erased: what has been in the bin for longer than older_than_ms; or else the named, at once."""

    older_than_ms: float = 0.0
    run_ids: Collection[str] = ()
    experiment_ids: Collection[str] = ()

    @property
    def named(self) -> bool:
        """Whether only what is named is to be erased."""
        return bool(self.run_ids or self.experiment_ids)


def older_than_ms(text: str) -> float:
    """The time that --older-than names, ms. Raises INVALID_PARAMETER_VALUE."""
    found = duration_ms(text) if not text[-1:].isdigit() or text == "0" else None
    if found is None or found < 0:
        raise invalid(
            f"Invalid value {text!r} for parameter 'older_than' supplied: it is a duration such as 30d, 12h or 1d12h"
        )
    return min(found, EVER_MS)
