"""A reader's place in the log: the offset to read next of each partition, as text and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from headrace.ingest.log import HistoryLog, LogError, Partition
from headrace.ingest.moments import BadMoment, Moment, parse
from headrace.ingest.tailing import starts_of
from headrace.ingest.topics import FOLDED

NOW = ("", "now")
BEGIN = "begin"
CHARS_MAX = 16_384
"""The longest cursor that is read; a partition takes some 25 characters."""


class BadCursor(ValueError):
    """This text is no place in this log; the message says why, and where one can begin."""


def fed(log: HistoryLog) -> list[Partition]:
    """The partitions whose events the feed tells."""
    return sorted((p for p in log.partitions() if p.topic in FOLDED), key=rank)


def rank(partition: Partition) -> tuple[int, int]:
    """Its place among what was logged at the same time: an experiment, its run, the run's points."""
    return (FOLDED.index(partition.topic), partition.partition)


def text_of(offsets: Mapping[Partition, int]) -> str:
    """The cursor as text, `registry/0/45,runs/0/123,metrics/0/99`, as `headrace.ingest.moments` reads it."""
    return ",".join(f"{p.topic}/{p.partition}/{offset}" for p, offset in offsets.items())


def parsed(after: str) -> Moment | str:
    """What `after` names: NOW, BEGIN or a moment. Asks no log. Raises BadCursor."""
    if len(after) > CHARS_MAX:
        raise BadCursor(f"a cursor has at most {CHARS_MAX:,} characters, and this one has {len(after):,}")
    if after in NOW or after == BEGIN:
        return after
    try:
        moment = parse([after])
    except BadMoment as error:
        raise BadCursor(f"{error}; or 'now', or 'begin'") from None
    if other := {p.topic for p in moment.offsets} - set(FOLDED):
        raise BadCursor(f"the feed does not tell the topic {min(other)}; it tells {', '.join(FOLDED)}")
    return moment


def starts(log: HistoryLog, after: Moment | str, partitions: Sequence[Partition]) -> dict[Partition, int]:
    """Where to begin in each partition. Partitions that a cursor does not name begin at its time, else at their end.

    Some twenty reads a partition where it is a time. Raises BadCursor for a position the log does not have,
    LogUnavailable.
    """
    if after in NOW:
        ends = log.end()
        return {one: ends[one] for one in partitions}
    begins = log.begin()
    if not isinstance(after, Moment):
        return {one: begins[one] for one in partitions}
    try:
        found = starts_of(log, partitions, after)
    except LogError as error:
        if type(error) is not LogError:
            raise
        raise BadCursor(str(error)) from error
    ends = log.end()
    for one, offset in after.offsets.items():
        name = f"{one.topic}/{one.partition}"
        if offset > ends[one]:
            raise BadCursor(f"{name} ends at {ends[one]}, before {offset}: this cursor is of another log")
        if offset < begins[one]:
            raise BadCursor(
                f"{name} begins at {begins[one]}: what was logged at {offset} has expired. Begin anew, with 'begin'"
                " for all that is left"
            )
    return found
