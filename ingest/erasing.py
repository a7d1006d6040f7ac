"""Taking the data out of records that stay where they are: what a log does that can, and what is left of a record."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

from headrace.ingest import codec
from headrace.ingest.envelope import Envelope
from headrace.ingest.events import Event, LetterErased, MetricsRecordErased, RegistryRecordErased, RunRecordErased
from headrace.ingest.log import Partition, Position
from headrace.ingest.topics import DEAD_LETTERS, METRICS, REGISTRY, RUNS

_LEFT: dict[str, Event] = {
    RUNS: RunRecordErased(),
    METRICS: MetricsRecordErased(),
    REGISTRY: RegistryRecordErased(),
    DEAD_LETTERS: LetterErased(),
}
ERASED_TYPES = frozenset(codec.type_of(event) for event in _LEFT.values())
"""The types of records whose data was taken out."""
SOURCE = "gc"


class Held(NamedTuple):
    """A record, without its data. bytes: of its data."""

    offset: int
    subject: str
    type: str
    bytes: int


@runtime_checkable
class ErasableLog(Protocol):
    """A log that can overwrite what it holds. Safe beside appends and reads, which go on."""

    def held(self, partition: Partition, subjects: Collection[str], first: int, end: int) -> list[Held]:
        """The records of these subjects from offset first up to end, in order. Raises LogUnavailable."""
        ...

    def erase(self, partition: Partition, offsets: Sequence[int]) -> None:
        """Replace records by what `left_of` leaves of them: offset, key and time stay. All of them, or none.

        On disk when it returns. Appends wait meanwhile, so offsets are few. Raises LogUnavailable.
        """
        ...

    def settle(self, timeout_s: float) -> None:
        """See that the bytes of what was erased are in no file of the log any more. Raises LogUnavailable."""
        ...


def left_of(position: Position, envelope: Envelope) -> Envelope:
    """What is left of a record: who it was about, when, and its writer and sequence, so that it can still be told
    from what is sent again and no gap comes about."""
    left = _LEFT[position.topic]
    return Envelope(
        f"erased:{'/'.join(map(str, position))}",
        codec.type_of(left),
        SOURCE,
        envelope.subject,
        envelope.time_ms,
        codec.encode_event(left),
        writer=envelope.writer,
        sequence=envelope.sequence,
    )
