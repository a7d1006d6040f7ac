"""How far each view has come, asked of the views themselves: there is no second store that could disagree."""

from __future__ import annotations

from dataclasses import dataclass

from headrace.ingest.log import Partition
from headrace.ingest.topics import METRICS, RUNS
from headrace.processors.views import Views


@dataclass(frozen=True, slots=True)
class Checkpoints:
    """The offset to read next, a partition, for each view."""

    events: dict[Partition, int]
    runs: dict[Partition, int]
    metrics: dict[Partition, int]
    metric_summary: dict[Partition, int]


def read(views: Views) -> Checkpoints:
    """What the views hold now."""
    events = "SELECT topic, partition, max(offset) FROM events GROUP BY topic, partition"
    return Checkpoints(
        events={Partition(topic, partition): last + 1 for topic, partition, last in views.rows(events)},
        runs=_of_table(views, "runs", RUNS),
        metrics=_of_points(views),
        metric_summary=_of_table(views, "metric_summary", METRICS),
    )


def _of_table(views: Views, table: str, topic: str) -> dict[Partition, int]:
    found = views.rows(f"SELECT partition, max(offset) FROM {table} GROUP BY partition")
    return {Partition(topic, partition): last + 1 for partition, last in found}


def _of_points(views: Views) -> dict[Partition, int]:
    # Grouped as the table's projection is, so that it is answered from that, without reading points.
    found: dict[Partition, int] = {}
    sql = "SELECT partition, max(offset) FROM metrics GROUP BY partition, run_id, writer"
    for partition, last in views.rows(sql):
        key = Partition(METRICS, partition)
        found[key] = max(found.get(key, 0), last + 1)
    return found
