"""Folds batches of the metrics topic: into rows of points, and the summary of each metric that changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
from headrace.ingest import codec, points
from headrace.ingest.events import METRICS_LOGGED, EventRejected, MetricsRecordErased
from headrace.ingest.log import Partition, Record
from headrace.processors import metrics
from headrace.processors.checkpoint import Checkpoints
from headrace.processors.counters import Counters
from headrace.processors.dead_letters import Letters
from headrace.processors.metrics import Summary
from headrace.processors.outcome import APPLIED, DUPLICATE, REJECTED, SKIPPED, Outcome, sequence_outcome
from headrace.processors.states import MetricStates
from headrace.processors.views import Views

POINTS_MAX = 100_000
"""A batch ends with the record that reaches this many points, so that no batch is large and none waits long."""

AHEAD_BYTES = 64 * 1024
"""So much data is decoded at once."""

_REJECTED = codec.type_of(EventRejected)
_ERASED = codec.type_of(MetricsRecordErased)


@dataclass(slots=True)
class MetricBatch:
    """What one batch of records came to. consumed: how many of the records it took. rows: of the view `metrics`, or
    None. summaries: the newest of each (run_id, key) that changed. events: what could not be read or is not known."""

    consumed: int = 0
    rows: pa.Table | None = None
    summaries: dict[tuple[str, str], Summary] = field(default_factory=dict)
    events: list[tuple[Record, Outcome]] = field(default_factory=list)


class MetricFold:
    """One thread folds; the summaries in states may be read from any."""

    def __init__(self, states: MetricStates, dead_letters: Letters, counters: Counters) -> None:
        self.states = states
        self._dead_letters = dead_letters
        self._counters = counters

    def fold(self, records: list[Record]) -> MetricBatch:
        """Fold records of one partition, in order, one at least. Raises ViewsUnavailable before anything was folded."""
        self.states.load(record.envelope.subject for record in records)
        batch = MetricBatch()
        tables: list[tuple[Record, points.Points]] = []
        size = 0
        for record, decoded in _decoded(records):
            batch.consumed += 1
            table, outcome = self._points(record, decoded)
            self._counters.count(outcome)
            if outcome.kind in (REJECTED, SKIPPED) and self._dead_letters.is_new(record):
                batch.events.append((record, outcome))
            if table is not None and table.num_rows:
                tables.append((record, table))
                size += table.num_rows
                if size >= POINTS_MAX:
                    break
        if tables:
            batch.rows = metrics.rows(tables)
            batch.summaries = self.summarize(batch.rows)
            self._counters.points += batch.rows.num_rows
        return batch

    def summarize(self, rows: pa.Table) -> dict[tuple[str, str], Summary]:
        """Take rows of points, of runs that were loaded, into their summaries; those that changed."""
        changed = {}
        for run_id, key, summary in metrics.summaries(rows):
            changed[run_id, key] = self.states.merge(run_id, key, summary)
        self.states.changes.add(dict.fromkeys(run_id for run_id, _ in changed))
        return changed

    def recover(self, views: Views, partition: Partition, at: Checkpoints) -> dict[tuple[str, str], Summary]:
        """Summaries of the points of a partition that were stored when a crash kept their summaries from it."""
        first = at.metric_summary.get(partition, 0)
        if first >= at.metrics.get(partition, 0):
            return {}
        table = views.arrow(
            f"SELECT {', '.join(metrics.SCHEMA.names)} FROM metrics"
            " WHERE partition = {partition:UInt16} AND offset >= {first:UInt64}"
            " ORDER BY run_id, key, step, timestamp_ms, isNaN(value), value, offset, item",
            {"partition": partition.partition, "first": first},
        )
        rows = metrics.encoded(table)
        self.states.load(rows.column("run_id").unique().to_pylist())
        return self.summarize(rows)

    def _points(self, record: Record, decoded: points.Points | codec.Malformed) -> tuple[points.Points | None, Outcome]:
        """The points of one record, if they are new and can be read. decoded: its data, if it is points."""
        envelope = record.envelope
        missed = 0
        if envelope.writer:
            writers = self.states.writers(envelope.subject)
            new, missed = sequence_outcome(writers.get(envelope.writer, 0), envelope.sequence)
            if not new:
                return None, Outcome(DUPLICATE)
            writers[envelope.writer] = envelope.sequence
        if envelope.type == _ERASED:
            return None, Outcome(APPLIED, "", missed)
        if envelope.type == _REJECTED:
            return None, self._dead_letters.reject(record, "its attributes cannot be read")
        if envelope.type != METRICS_LOGGED or envelope.schema_version > codec.KNOWN_SCHEMA_VERSION:
            unknown = f"{envelope.type} version {envelope.schema_version} is not known here"
            return None, Outcome(SKIPPED, unknown, missed)
        if isinstance(decoded, codec.Malformed):
            return None, self._dead_letters.reject(record, str(decoded))
        return decoded, Outcome(APPLIED, "", missed)


def _decoded(records: Sequence[Record]) -> Iterator[tuple[Record, points.Points | codec.Malformed]]:
    """Records, each with what its data is as points; some are decoded ahead of the one that is taken."""
    ahead: list[Record] = []
    size = 0
    for record in records:
        ahead.append(record)
        size += len(record.envelope.data)
        if size >= AHEAD_BYTES:
            yield from _together(ahead)
            ahead, size = [], 0
    yield from _together(ahead)


def _together(records: Sequence[Record]) -> Iterator[tuple[Record, points.Points | codec.Malformed]]:
    return zip(records, points.decode_all([record.envelope.data for record in records]), strict=True)
