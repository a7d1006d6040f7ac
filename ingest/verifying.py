"""Checks every record of a log: that it can be read, lies where it belongs, and that no writer's sequence has a gap."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from headrace.ingest import points
from headrace.ingest.clock import Clock, SystemClock
from headrace.ingest.codec import KNOWN_SCHEMA_VERSION, Malformed, UnknownType, decode_event
from headrace.ingest.envelope import Envelope
from headrace.ingest.events import METRICS_LOGGED
from headrace.ingest.limits import is_run_id
from headrace.ingest.log import HistoryLog, Offsets, Partition, Record
from headrace.ingest.merging import in_partition
from headrace.ingest.partitioning import partition_of
from headrace.ingest.sequences import WRITERS_MAX, Sequences
from headrace.ingest.topics import DEAD_LETTERS, METRICS, RUNS, is_of_run, topic_of

FAULTS_MAX = 100
"""Faults that are told one by one; all are counted."""

UNKNOWN_MAX = 1_000
"""Unknown types that are counted apart, in one partition."""

CLOCK_BACK_MS_MAX = 60_000
"""A log's clock may step back by so much before it is a fault: several processes append, and clocks are set."""

CLOCK_AHEAD_MS_MAX = 24 * 3600 * 1000
TOLD_EVERY_RECORDS = 10_000

OFFSET, UNREADABLE, ATTRIBUTES, DATA, PLACE, TIME, SEQUENCE, GAP = (
    "offset", "unreadable", "attributes", "data", "place", "time", "sequence", "gap",
)  # fmt: skip
FAULTS: dict[str, str] = {
    OFFSET: "offsets that do not follow one another, in a log that gives them without gaps",
    UNREADABLE: "records whose attributes cannot be read",
    ATTRIBUTES: "records that lack an id, type, source or subject",
    DATA: "records of a known type whose data does not fit it",
    PLACE: "records in another topic or partition than their type and subject belong in, or of no run",
    TIME: "records logged at an impossible time",
    SEQUENCE: "records with a writer and no sequence, or a sequence and no writer",
    GAP: "records before which some of their writer are missing",
}
"""The kinds of what can be wrong."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong. place: topic/partition/offset; kind: of FAULTS; reason: what is wrong, for people."""

    place: str
    kind: str
    reason: str


@dataclass(slots=True)
class PartitionReport:
    """What is in one partition.

    first, last: offsets; first_ms, last_ms: when they were logged; all None where there is no record. types: records of
    each known type; unknown: of each type or version this Headrace does not know (`type vN`, those beyond UNKNOWN_MAX
    as `others`), which is no fault. writers: (subject, writer) pairs. skipped: offsets without a record. missing:
    events that writers counted and that are not here. repeats: records that a writer sent again, which readers drop.
    faults: how many, by kind.
    """

    topic: str
    partition: int
    records: int = 0
    bytes: int = 0
    points: int = 0
    first: int | None = None
    last: int | None = None
    first_ms: int | None = None
    last_ms: int | None = None
    types: Counter[str] = field(default_factory=Counter)
    unknown: Counter[str] = field(default_factory=Counter)
    writers: int = 0
    skipped: int = 0
    missing: int = 0
    repeats: int = 0
    faults: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class Report:
    """What is in a log. faults: the first FAULTS_MAX of all."""

    partitions: list[PartitionReport] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)

    def fault_count(self) -> int:
        """How many faults there are in all."""
        return sum(sum(one.faults.values()) for one in self.partitions)

    def records(self) -> int:
        """How many records there are in all."""
        return sum(one.records for one in self.partitions)


def verify(
    log: HistoryLog,
    on_progress: Callable[[Report], None] | None = None,
    clock: Clock | None = None,
    writers_max: int = WRITERS_MAX,
) -> Report:
    """Check every record that the log has now, partition by partition.

    Memory: a read-ahead, writers_max writers, the types there are and FAULTS_MAX faults, however long the log is.
    on_progress is called every TOLD_EVERY_RECORDS. Raises LogUnavailable.
    """
    report = Report()
    begins, ends = log.begin(), log.end()
    now_ms = (clock or SystemClock()).time_ms()
    for partition, end in sorted(ends.items()):
        # A Kafka broker keeps records of its own among ours.
        checker = _Checker(report, partition, ends, now_ms, writers_max, gapless=not log.remote)
        try:
            for record in in_partition(log, partition, begins[partition], end):
                checker.check(record)
                if checker.found.records % TOLD_EVERY_RECORDS == 0 and on_progress is not None:
                    on_progress(report)
            checker.finish(end)
        finally:
            checker.close()
    return report


class _Checker:
    """Checks the records of one partition, in order."""

    def __init__(
        self, report: Report, partition: Partition, ends: Offsets, now_ms: int, writers_max: int, gapless: bool
    ) -> None:
        self.found = PartitionReport(*partition)
        report.partitions.append(self.found)
        self._report = report
        self._partition = partition
        self._count = sum(one.topic == partition.topic for one in ends)
        self._gapless = gapless
        self._latest_ms_max = now_ms + CLOCK_AHEAD_MS_MAX
        self._latest_ms = 0
        self._sequences = Sequences(writers_max)

    def check(self, record: Record) -> None:
        """Check one record."""
        found, envelope = self.found, record.envelope
        found.records += 1
        found.bytes += len(envelope.data)
        self._offset(record)
        self._time(record)
        if self._is_unreadable(record):
            self._fault(record, UNREADABLE, "its attributes cannot be read")
            return
        self._attributes(record)
        self._place(record)
        self._data(record)
        self._sequence(record)

    def finish(self, end: int) -> None:
        """The partition was read: whether it was whole."""
        if self.found.last is not None and self.found.last + 1 != end:
            self._skipped(self.found.last + 1, end)

    def close(self) -> None:
        """Let go of files."""
        self.found.writers = self._sequences.writers
        self._sequences.close()

    def _fault(self, record: Record, kind: str, reason: str) -> None:
        self._note("/".join(map(str, record.position)), kind, reason)

    def _note(self, place: str, kind: str, reason: str) -> None:
        self.found.faults[kind] += 1
        if len(self._report.faults) < FAULTS_MAX:
            self._report.faults.append(Fault(place, kind, reason))

    def _offset(self, record: Record) -> None:
        offset, found = record.position.offset, self.found
        if found.last is None:
            # Where it begins is no fault: Kafka may have been told to forget what is old.
            found.first, found.first_ms = offset, record.timestamp_ms
        elif offset <= found.last:
            self._fault(record, OFFSET, f"it comes behind offset {found.last}")
        elif offset > found.last + 1:
            self._skipped(found.last + 1, offset)
        found.last, found.last_ms = offset, record.timestamp_ms

    def _skipped(self, first: int, end: int) -> None:
        self.found.skipped += end - first
        if not self._gapless:
            return
        place = "/".join(map(str, (*self._partition, first)))
        self._note(place, OFFSET, f"the log lacks its offsets {first} to {end - 1}")

    def _time(self, record: Record) -> None:
        time_ms = record.timestamp_ms
        if not 0 < time_ms <= self._latest_ms_max:
            self._fault(record, TIME, f"it was logged at {time_ms} ms, which no clock can have shown")
        elif time_ms < self._latest_ms - CLOCK_BACK_MS_MAX:
            back_s = (self._latest_ms - time_ms) // 1000
            self._fault(record, TIME, f"it was logged {back_s} s before what stands before it")
        else:
            self._latest_ms = max(self._latest_ms, time_ms)

    def _is_unreadable(self, record: Record) -> bool:
        # What a log gives in place of a record it cannot decode (codec.unreadable), here or where it was copied from.
        envelope = record.envelope
        stands_in = envelope.source == "log" and envelope.id.startswith("rejected:")
        return stands_in and record.position.topic != DEAD_LETTERS

    def _attributes(self, record: Record) -> None:
        envelope, dead = record.envelope, record.position.topic == DEAD_LETTERS
        lacking = [name for name in ("id", "type", "source", "subject") if not getattr(envelope, name)]
        if dead and "subject" in lacking:
            lacking.remove("subject")  # of what never had one
        if lacking:
            self._fault(record, ATTRIBUTES, f"it has no {' and no '.join(lacking)}")

    def _place(self, record: Record) -> None:
        envelope, topic = record.envelope, record.position.topic
        if topic_of(envelope.type) != topic:
            self._fault(record, PLACE, f"{envelope.type} belongs in the topic {topic_of(envelope.type)}")
            return
        belongs = partition_of(envelope.subject, self._count)
        if belongs != record.position.partition:
            self._fault(record, PLACE, f"{envelope.subject!r} belongs in partition {belongs}")
        elif topic in (RUNS, METRICS) and is_of_run(envelope.type) and not is_run_id(envelope.subject):
            self._fault(record, PLACE, f"{envelope.subject!r} is not a run's id")

    def _data(self, record: Record) -> None:
        envelope, found = record.envelope, self.found
        try:
            if _is_metrics(envelope):
                found.points += points.decode(envelope.data).num_rows
            else:
                decode_event(envelope)
        except UnknownType:
            name = f"{envelope.type} v{envelope.schema_version}"
            found.unknown[name if name in found.unknown or len(found.unknown) < UNKNOWN_MAX else "others"] += 1
        except Malformed as error:
            found.types[envelope.type] += 1
            self._fault(record, DATA, str(error))
        else:
            found.types[envelope.type] += 1

    def _sequence(self, record: Record) -> None:
        envelope, found = record.envelope, self.found
        if bool(envelope.writer) != (envelope.sequence > 0):
            self._fault(record, SEQUENCE, f"its writer is {envelope.writer!r} and its sequence {envelope.sequence}")
        elif envelope.writer:
            missing = self._sequences.note(envelope.subject, envelope.writer, envelope.sequence)
            if missing > 0:
                found.missing += missing
                which = f"{envelope.sequence - missing} to {envelope.sequence - 1}"
                self._fault(record, GAP, f"{which} of writer {envelope.writer} are missing before it")
            elif missing < 0:
                found.repeats += 1


def _is_metrics(envelope: Envelope) -> bool:
    return envelope.type == METRICS_LOGGED and envelope.schema_version <= KNOWN_SCHEMA_VERSION
