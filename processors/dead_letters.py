"""Where events go that no fold can read: a topic of their own, with the reason, so that the flow goes on."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Mapping
from typing import Protocol

from headrace.ingest import codec
from headrace.ingest.clock import Clock
from headrace.ingest.envelope import Envelope
from headrace.ingest.events import EventRejected
from headrace.ingest.log import Log, LogUnavailable, Partition, Record
from headrace.processors.outcome import REJECTED, Outcome

logger = logging.getLogger("headrace.engine")
WAITING_MAX = 1_000


class Letters(Protocol):
    """What a fold does with an event that it cannot read."""

    def is_new(self, record: Record) -> bool:
        """Whether history does not hold a record yet."""
        ...

    def reject(self, record: Record, reason: str) -> Outcome:
        """Set a record's event aside."""
        ...


class Silent:
    """For a fold that only follows what others fold and store: nothing is new, and no letter is sent."""

    def is_new(self, record: Record) -> bool:
        """No: whoever stores it keeps its history."""
        return False

    def reject(self, record: Record, reason: str) -> Outcome:
        """As the fold that stores it does, without a letter."""
        return Outcome(REJECTED, reason)


class DeadLetters:
    """Appends to the dead-letter topic. Any thread may reject.

    A log that cannot take a letter now does not stop the fold, which could not go back: letters wait, the oldest of
    more than WAITING_MAX give way. What they tell is in the log and in the history as well.
    """

    def __init__(self, log: Log, clock: Clock, stored: Mapping[Partition, int]) -> None:
        """stored: how far history has come, an offset a partition; records below it have had their letter."""
        self._log = log
        self._clock = clock
        self._stored = stored
        self._lock = threading.Lock()
        self._waiting: deque[Envelope] = deque(maxlen=WAITING_MAX)

    def is_new(self, record: Record) -> bool:
        """Whether history does not hold a record yet."""
        return record.position.offset >= self._stored.get(Partition(*record.position[:2]), 0)

    def flush(self) -> None:
        """Append the letters that wait, if the log takes them."""
        with self._lock:
            if not self._waiting:
                return
            try:
                self._log.append(list(self._waiting))
            except LogUnavailable as error:
                logger.warning("%d dead letters wait: %s", len(self._waiting), error)
                return
            self._waiting.clear()

    def reject(self, record: Record, reason: str) -> Outcome:
        """Set a record's event aside."""
        if not self.is_new(record):
            return Outcome(REJECTED, reason)
        place = "/".join(map(str, record.position))
        envelope = record.envelope
        logger.warning("event %s of %r was set aside: %s", place, envelope.subject, reason)
        letter = EventRejected(reason, place, {"type": envelope.type, "id": envelope.id}, envelope.data)
        with self._lock:
            self._waiting.append(
                Envelope(
                    id=f"rejected:{place}",
                    type=codec.type_of(letter),
                    source="engine",
                    subject=envelope.subject,
                    time_ms=self._clock.time_ms(),
                    data=codec.encode_event(letter),
                )
            )
        self.flush()
        return Outcome(REJECTED, reason)
