"""Takes what was erased out of the log and the views: everything of some runs, and of the registry below tombstones.

Each step may be broken off anywhere and done again. What the log keeps gives, folded from the start, the very views
that are left here: of a run the events that put it in the bin, out of it and away; of all else place, writer, sequence.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from headrace.ingest import codec
from headrace.ingest import events as e
from headrace.ingest import model_events as m
from headrace.ingest.erasing import ERASED_TYPES, ErasableLog, Held
from headrace.ingest.log import Log, Partition
from headrace.ingest.merging import in_partition
from headrace.ingest.topics import DEAD_LETTERS, METRICS, REGISTRY, RUNS
from headrace.processors.outcome import REFUSED
from headrace.processors.registry import Registry
from headrace.processors.runs import GONE
from headrace.processors.views import Views

KEPT = tuple(codec.type_of(event) for event in (e.RunDeleted, e.RunRestored, e.RunErasing, e.RunErased))
"""The types of a run's events that stay: they have nothing of its content, and say what became of it."""
SCAN_RECORDS = 20_000
"""So many offsets are looked through at a time."""
ERASE_RECORDS, ERASE_BYTES = 200, 8 * 1024 * 1024
"""A transaction that erases ends with the record that reaches one of the two, so that appends wait for milliseconds."""
SETTLE_S = 30.0
IDS_A_QUERY = 5_000

_EVENTS = "topic IN ('runs', 'metrics') AND subject IN {ids:Array(String)} AND type NOT IN {kept:Array(String)}"
_BELOW = (
    "topic = 'registry' AND has({ids:Array(String)}, subject)"
    " AND offset < {ends:Array(UInt64)}[indexOf({ids:Array(String)}, subject)]"
)


@dataclass(slots=True)
class Count:
    """Records of the log, the bytes of their data, and points, of one run."""

    records: int = 0
    record_bytes: int = 0
    points: int = 0


class Sweeper:
    """Of one log and the views of it. Every method blocks."""

    def __init__(self, log: Log, views: Views) -> None:
        self._log = log
        self._views = views

    @property
    def log_erases(self) -> bool:
        """Whether the log can take the data out of its records."""
        return isinstance(self._log, ErasableLog)

    # --- runs ---------------------------------------------------------------------------------------------------------

    def count(self, run_ids: Collection[str]) -> dict[str, Count]:
        """What the log and the views hold of these runs. Raises LogUnavailable, ViewsUnavailable."""
        found = {run_id: Count() for run_id in run_ids}
        for _, held in self._of_runs(run_ids):
            found[held.subject].records += 1
            found[held.subject].record_bytes += held.bytes
        for run_id, points in self._points(run_ids):
            found[run_id].points = points
        return found

    def runs_in_log(self, run_ids: Collection[str]) -> dict[str, Count]:
        """Take these runs' data out of the log; nothing where it cannot do that. Raises LogUnavailable."""
        found = {run_id: Count() for run_id in run_ids}
        log = self._log
        if not isinstance(log, ErasableLog):
            return found
        for partition, batch in _batches(self._of_runs(run_ids)):
            log.erase(partition, [held.offset for held in batch])
            for held in batch:
                found[held.subject].records += 1
                found[held.subject].record_bytes += held.bytes
        for letter, held in self._letters([""]):
            if letter.attributes.get("subject") in run_ids:
                log.erase(Partition(DEAD_LETTERS, 0), [held.offset])
        log.settle(SETTLE_S)
        return found

    def runs_in_views(self, run_ids: Collection[str]) -> dict[str, int]:
        """Take these runs' rows out of the views; how many points each had. Raises ViewsUnavailable."""
        points = dict(self._points(run_ids))
        ids = {"ids": list(run_ids)}
        # Points before their summaries: what a crash in between leaves says no less than there is.
        self._views.delete("metrics", "run_id IN {ids:Array(String)}", ids)
        self._views.delete("metric_summary", "run_id IN {ids:Array(String)}", ids)
        self._views.delete("events", _EVENTS, {**ids, "kept": list(KEPT)})
        condition = "run_id IN {ids:Array(String)} AND lifecycle NOT IN {gone:Array(String)}"
        self._views.delete("runs", condition, {**ids, "gone": list(GONE)})
        return points

    def with_late_rows(self, gone: Collection[str]) -> set[str]:
        """The erased runs of which the views hold something again, that came past every check. Raises
        ViewsUnavailable."""
        found: set[str] = set()
        ids = list(gone)
        for first in range(0, len(ids), IDS_A_QUERY):
            parameters = {"ids": ids[first : first + IDS_A_QUERY], "kept": list(KEPT)}
            rows = self._views.rows(f"SELECT DISTINCT subject FROM events WHERE {_EVENTS}", parameters)
            rows += self._views.rows(
                "SELECT DISTINCT run_id FROM metrics WHERE run_id IN {ids:Array(String)}", parameters
            )
            found |= {row[0] for row in rows}
        return found

    def _points(self, run_ids: Collection[str]) -> list[tuple[Any, ...]]:
        sql = "SELECT run_id, count() FROM metrics WHERE run_id IN {ids:Array(String)} GROUP BY run_id"
        return self._views.rows(sql, {"ids": list(run_ids)})

    def _of_runs(self, run_ids: Collection[str]) -> Iterator[tuple[Partition, Held]]:
        """The records of these runs that hold anything, those of each partition in order."""
        log = self._log
        if not isinstance(log, ErasableLog):
            return
        wanted = frozenset(run_ids)
        for partition, end in sorted(log.end().items()):
            if partition.topic not in (RUNS, METRICS, DEAD_LETTERS):
                continue
            for first in range(0, end, SCAN_RECORDS):
                for held in log.held(partition, wanted, first, min(end, first + SCAN_RECORDS)):
                    if held.type not in ERASED_TYPES and held.type not in KEPT:
                        yield partition, held

    def _letters(self, subjects: Collection[str]) -> Iterator[tuple[e.EventRejected, Held]]:
        """The dead letters with these subjects; those of the gateway have none, and tell it among the attributes."""
        log = self._log
        assert isinstance(log, ErasableLog)
        partition = Partition(DEAD_LETTERS, 0)
        end = self._log.end()[partition]
        for first in range(0, end, SCAN_RECORDS):
            for held in log.held(partition, subjects, first, min(end, first + SCAN_RECORDS)):
                [record] = self._log.read(partition, held.offset, 1, 1)
                try:
                    letter = codec.decode_event(record.envelope)
                except (codec.Malformed, codec.UnknownType):
                    continue
                if isinstance(letter, e.EventRejected):
                    yield letter, held

    # --- the registry -------------------------------------------------------------------------------------------------

    def registry(self, erased: Mapping[str, int]) -> None:
        """Take experiments, logged and registered models out, as far as they are not yet.

        erased: the offset of the tombstone of each; what its id holds behind that stays. Raises LogUnavailable,
        ViewsUnavailable.
        """
        below = {"ids": list(erased), "ends": list(erased.values())}
        if not erased or not self._views.rows(f"SELECT 1 FROM events WHERE {_BELOW} LIMIT 1", below):
            return
        log, partition = self._log, Partition(REGISTRY, 0)
        own, others = registry_offsets(log, erased)
        # What others said of a name that was held goes first, and its rows before its records: once the holder's own
        # records are taken out, it is not found any more.
        condition = "topic = 'registry' AND offset IN {offsets:Array(UInt64)}"
        if others:
            self._views.delete("events", condition, {"offsets": others})
        if isinstance(log, ErasableLog):
            for letter, held in self._letters((*erased, "")):
                if _is_below(letter, held, erased):
                    log.erase(Partition(DEAD_LETTERS, 0), [held.offset])
            for offsets in (others, own):
                for first in range(0, len(offsets), ERASE_RECORDS):
                    log.erase(partition, offsets[first : first + ERASE_RECORDS])
            log.settle(SETTLE_S)
        self._views.delete("events", _BELOW, below)


def _is_below(letter: e.EventRejected, held: Held, erased: Mapping[str, int]) -> bool:
    """Whether a dead letter is about something erased, before it was."""
    end = erased.get(held.subject or str(letter.attributes.get("subject", "")))
    topic, _, offset = letter.record.rpartition("/")
    return end is not None and (not topic or (topic == f"{REGISTRY}/0" and offset.isdecimal() and int(offset) < end))


def registry_offsets(log: Log, erased: Mapping[str, int]) -> tuple[list[int], list[int]]:
    """The records to erase, in order: of the erased themselves below their tombstones; and of others that asked for a
    name something erased had then, or for stages that it kept, which changed nothing, and without it would."""
    own: list[int] = []
    others: list[int] = []
    partition = Partition(REGISTRY, 0)
    registry = Registry()
    for record in in_partition(log, partition, 0, max(erased.values(), default=0)):
        envelope, offset = record.envelope, record.position.offset
        try:
            event = codec.decode_event(envelope)
        except (codec.Malformed, codec.UnknownType):
            event = None
        if offset < erased.get(envelope.subject, 0):
            if envelope.type not in ERASED_TYPES:
                own.append(offset)
        elif isinstance(event, e.ExperimentCreated | e.ExperimentRenamed):
            holder = registry.by_name.get(event.name)
            if holder is not None and offset < erased.get(holder.experiment_id, 0):
                others.append(offset)
        elif isinstance(event, m.RegisteredModelCreated | m.RegisteredModelRenamed):
            model = registry.models.by_name.get(event.name)
            if model is not None and offset < erased.get(model.registered_model_id, 0):
                others.append(offset)
        outcome = registry.apply(record, event)
        if isinstance(event, m.StagesSet) and outcome.kind == REFUSED:
            others.append(offset)  # for a version that may be among what is erased
    return own, others


def _batches(found: Iterable[tuple[Partition, Held]]) -> Iterator[tuple[Partition, list[Held]]]:
    """Records of one partition at a time, in as few transactions as may be."""
    batch: list[Held] = []
    size, of = 0, None
    for partition, held in found:
        if of is not None and (partition != of or len(batch) >= ERASE_RECORDS or size >= ERASE_BYTES):
            yield of, batch
            batch, size = [], 0
        of = partition
        batch.append(held)
        size += held.bytes
    if of is not None and batch:
        yield of, batch
