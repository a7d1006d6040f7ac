"""What a fold made of an event."""

from __future__ import annotations

from typing import NamedTuple

APPLIED = "applied"
REFUSED = "refused"
REJECTED = "rejected"
DUPLICATE = "duplicate"
SKIPPED = "skipped"


class Outcome(NamedTuple):
    """applied: the state holds it. refused: a rule forbids it. rejected: it could not be read. duplicate: seen before.
    skipped: of a type this version does not know. reason: why, for people. missed: events of its writer that should
    have come before it and did not."""

    kind: str
    reason: str = ""
    missed: int = 0


def sequence_outcome(seen: int, sequence: int) -> tuple[bool, int]:
    """Whether an event is new, given the last sequence seen from its writer, and how many before it are missing."""
    return sequence > seen, max(0, sequence - seen - 1)
