"""Folds what history keeps anew: the state of a run or of the registry at a moment, and each change on the way."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from headrace.ingest import codec
from headrace.ingest.envelope import Envelope
from headrace.ingest.events import Event
from headrace.ingest.log import Log, Partition, Position, Record
from headrace.ingest.merging import in_partition
from headrace.ingest.topics import RUNS
from headrace.processors import runs
from headrace.processors.outcome import APPLIED, REJECTED, Outcome
from headrace.processors.registry import Registry
from headrace.processors.runs import RunState
from headrace.processors.views import Views

_EVENTS = (
    "SELECT topic, partition, offset, logged_ms, id, type, source, subject, time_ms, actor, data, outcome, reason"
    " FROM events"
)


class Kept(NamedTuple):
    """An event as history keeps it. event: its decoded data, None where its type or data could not be read."""

    record: Record
    event: Event | None
    outcome: Outcome


class Step(NamedTuple):
    """One event and what it made of its run. before: None for the first."""

    kept: Kept
    before: RunState | None
    after: RunState


def history(views: Views, topic: str, subjects: Sequence[str], limit: int) -> list[Kept]:
    """The first `limit` events of these subjects in order, but for what they printed. Raises ViewsUnavailable."""
    sql = (
        f"{_EVENTS} WHERE topic = {{topic:String}} AND subject IN {{subjects:Array(String)}}"
        " AND type != 'headrace.run.console-written' ORDER BY partition, offset LIMIT {limit:UInt64}"
    )
    return [_kept(row) for row in views.rows(sql, {"topic": topic, "subjects": list(subjects), "limit": limit})]


def of_types(views: Views, topic: str, types: Sequence[str], limit: int) -> list[Kept]:
    """The first `limit` events of these types in order. Raises ViewsUnavailable."""
    sql = (
        f"{_EVENTS} WHERE topic = {{topic:String}} AND type IN {{types:Array(String)}}"
        " ORDER BY partition, offset LIMIT {limit:UInt64}"
    )
    return [_kept(row) for row in views.rows(sql, {"topic": topic, "types": list(types), "limit": limit})]


def run_states(views: Views, run_ids: Collection[str], ends: Sequence[int]) -> dict[str, RunState]:
    """The states of these runs at a moment, of those that had begun. Raises ViewsUnavailable.

    ends: of each partition of the topic of runs, by number, the offset of the first record after the moment. The last
    heartbeat and the writers of a state are not what they were: no reader asks for these.
    """
    if not run_ids:
        return {}
    sql = (
        f"{_EVENTS} WHERE topic = {{topic:String}} AND subject IN {{ids:Array(String)}}"
        " AND offset < {ends:Array(UInt64)}[partition + 1] ORDER BY subject, partition, offset"
    )
    rows = views.rows(sql, {"topic": RUNS, "ids": list(run_ids), "ends": list(ends)})
    found = {}
    for run_id, kept in groupby(map(_kept, rows), key=lambda one: one.record.envelope.subject):
        for step in steps(kept):
            found[run_id] = step.after
    return found


def steps(events: Iterable[Kept], state: RunState | None = None) -> Iterator[Step]:
    """What each of a run's events made of it. state: the run before the first of them."""
    for kept in events:
        before = state
        event = None if kept.outcome.kind == REJECTED else kept.event
        state, _ = runs.apply(before, kept.record, event)
        yield Step(kept, before, state)


def registry_at(log: Log, partition: Partition, end: int) -> Registry:
    """The registry as the records of its partition before `end` made it. Raises LogUnavailable."""
    registry = Registry()
    for record in in_partition(log, partition, 0, end):
        registry.apply(record, _event(record.envelope))
    return registry


def registry_states(events: Iterable[Kept]) -> Iterator[tuple[Kept, Registry]]:
    """The registry of some subjects alone, after each of its events; always the same object, which changes."""
    registry = Registry()
    for kept in events:
        if kept.outcome.kind == APPLIED:
            registry.apply(kept.record, kept.event)
        yield kept, registry


def _kept(row: Sequence[object]) -> Kept:
    topic, partition, offset, logged_ms, id, type, source, subject, time_ms, actor, data, outcome, reason = row
    assert isinstance(partition, int)
    assert isinstance(offset, int)
    assert isinstance(logged_ms, int)
    assert isinstance(time_ms, int)
    envelope = Envelope(str(id), str(type), str(source), str(subject), time_ms, str(data).encode(), actor=str(actor))
    record = Record(Position(str(topic), partition, offset), logged_ms, envelope)
    return Kept(record, _event(envelope), Outcome(str(outcome), str(reason)))


def _event(envelope: Envelope) -> Event | None:
    try:
        return codec.decode_event(envelope)
    except (codec.UnknownType, codec.Malformed):
        return None
