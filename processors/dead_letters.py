"""Where events go that no fold can read: a topic of their own, with the reason, so that the flow goes on."""

from __future__ import annotations

import logging

from headrace.ingest import codec
from headrace.ingest.clock import Clock
from headrace.ingest.envelope import Envelope
from headrace.ingest.events import EventRejected
from headrace.ingest.log import Log, Record
from headrace.processors.outcome import REJECTED, Outcome

logger = logging.getLogger("headrace.engine")


class DeadLetters:
    """Appends to the dead-letter topic."""

    def __init__(self, log: Log, clock: Clock) -> None:
        self._log = log
        self._clock = clock

    def reject(self, record: Record, reason: str) -> Outcome:
        """Set a record's event aside."""
        place = "/".join(map(str, record.position))
        envelope = record.envelope
        logger.warning("event %s of %r was set aside: %s", place, envelope.subject, reason)
        letter = EventRejected(reason, place, {"type": envelope.type, "id": envelope.id}, envelope.data)
        self._log.append(
            [
                Envelope(
                    id=f"rejected:{place}",
                    type=codec.type_of(letter),
                    source="engine",
                    subject=envelope.subject,
                    time_ms=self._clock.time_ms(),
                    data=codec.encode_event(letter),
                )
            ]
        )
        return Outcome(REJECTED, reason)
