"""Summaries of metrics made from points: as of a moment, and of what a run inherits."""

from __future__ import annotations

from headrace.api.points import Points
from headrace.processors.metrics import Summary
from headrace.processors.views import Views

Summaries = dict[str, dict[str, Summary]]
"""By run and key."""

# The order of processors.metrics: by step, time and value, NaN above every number.
_PLACE = "(step, timestamp_ms, isNaN(value), value, offset)"
_SQL = f"""
    SELECT run_id, key,
        argMax((value, step, timestamp_ms, model_id, dataset_name, dataset_digest), {_PLACE}) AS newest,
        argMin((value, step, timestamp_ms), {_PLACE}) AS oldest,
        minOrNullIf(value, NOT isNaN(value)), maxOrNullIf(value, NOT isNaN(value)),
        count(), countIf(isNaN(value)), any(partition), max(offset)
    FROM {{points}}
    GROUP BY run_id, key
"""
_NAN = float("nan")


def point_summaries(views: Views, points: Points) -> Summaries:
    """The summary of each metric among these points, which are read whole. Raises ViewsUnavailable."""
    found: Summaries = {}
    for run_id, key, newest, oldest, least, greatest, count, nan, partition, offset in views.rows(
        _SQL.format(points=points.sql), points.parameters
    ):
        value, step, timestamp_ms, model_id, dataset_name, dataset_digest = newest
        first_value, first_step, first_timestamp_ms = oldest
        found.setdefault(run_id, {})[key] = Summary(
            value,
            step,
            timestamp_ms,
            first_value,
            first_step,
            first_timestamp_ms,
            _NAN if least is None else least,
            _NAN if greatest is None else greatest,
            count,
            nan,
            model_id,
            dataset_name,
            dataset_digest,
            partition,
            offset,
        )
    return found
