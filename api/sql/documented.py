"""The documented views: what a statement may name, column by column, and the query behind each.

A view is an entry of VIEWS: to add one is to add an entry, here and in docs/reference/sql.md. Each becomes a WITH name
in front of a statement that names it. `$name` in its query is the table of the view store, by its whole name, so that
nothing a statement calls so can stand in its place. What lives in this process's memory (experiments, models) is bound
as a parameter that holds JSON. Types are told without LowCardinality, which changes nothing that can be seen.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from string import Template
from typing import Any

from headrace.api.points import Points
from headrace.api.sql import model_views
from headrace.api.sql.view import (
    PERHAPS_TIME,
    TEXTS,
    TIME,
    Made,
    Sources,
    View,
    from_memory,
    perhaps,
    time,
    values,
)
from headrace.processors.runs import GONE
from headrace.processors.schema import literal, quoted, tables

_IN_BIN = "lifecycle = 'deleted' OR has({sql_binned:Array(String)}, experiment_id)"

_RUNS = f"""
    SELECT run_id, name, experiment_id, user_id, status, status_reason,
        {time("start_time_ms")} AS start_time, {perhaps("end_time_ms")} AS end_time,
        if(end_time_ms = 0, NULL, (end_time_ms - start_time_ms) / 1000) AS duration_s,
        if({_IN_BIN}, 'deleted', 'active') AS lifecycle, {perhaps("deleted_time_ms")} AS deleted_time,
        forked_from, if(forked_from = '', NULL, fork_step) AS fork_step, artifact_uri, params, tags
    FROM (SELECT * FROM $runs FINAL WHERE lifecycle NOT IN ({", ".join(map(literal, GONE))}))
"""

_KEYED = """
    SELECT run_id, key, value FROM $runs FINAL ARRAY JOIN mapKeys({0}) AS key, mapValues({0}) AS value
"""

_SUMMARY = f"""
    SELECT run_id, key,
        last_value, last_step, {time("last_timestamp_ms")} AS last_time,
        first_value, first_step, {time("first_timestamp_ms")} AS first_time,
        value_min AS min, value_max AS max, points, nan_points,
        model_id, dataset_name, dataset_digest
    FROM {{source}}
"""

# Of runs that were forked, from all their points. The order is that of processors.metrics: NaN above every number.
_PLACE = "(step, timestamp_ms, isNaN(value), value, offset)"
_OF_FORKED = f"""
    SELECT run_id, key,
        argMax(value, {_PLACE}) AS last_value, max(step) AS last_step,
        argMax(timestamp_ms, {_PLACE}) AS last_timestamp_ms,
        argMin(value, {_PLACE}) AS first_value, min(step) AS first_step,
        argMin(timestamp_ms, {_PLACE}) AS first_timestamp_ms,
        ifNull(minOrNullIf(value, NOT isNaN(value)), nan) AS value_min,
        ifNull(maxOrNullIf(value, NOT isNaN(value)), nan) AS value_max,
        count() AS points, countIf(isNaN(value)) AS nan_points,
        argMax(model_id, {_PLACE}) AS model_id, argMax(dataset_name, {_PLACE}) AS dataset_name,
        argMax(dataset_digest, {_PLACE}) AS dataset_digest
    FROM {{points}} GROUP BY run_id, key
"""
_SUMMARY_COLUMNS = (
    "run_id, key, last_value, last_step, last_timestamp_ms, first_value, first_step, first_timestamp_ms,"
    " value_min, value_max, points, nan_points, model_id, dataset_name, dataset_digest"
)

_DATASETS = """
    SELECT run_id, {fields}, JSONExtractString(dataset, 'tags', 'mlflow.data.context') AS context,
        JSONExtract(dataset, 'tags', 'Map(String, String)') AS tags
    FROM (SELECT run_id, arrayJoin(JSONExtractArrayRaw(inputs, 'datasets')) AS dataset FROM $runs FINAL)
""".format(
    fields=", ".join(
        f"JSONExtractString(dataset, 'dataset', '{name}') AS {name}"
        for name in ("name", "digest", "source_type", "source", "schema", "profile")
    )
)

_EVENTS = f"""
    SELECT topic, partition, offset, subject, type, {time("time_ms")} AS time,
        {time("logged_ms")} AS logged_time, actor, source, id, outcome, reason, data
    FROM $events
"""


def _runs(sources: Sources) -> Made:
    return _RUNS, {"sql_binned": sources.registry.deleted_ids()}


def _metrics(sources: Sources) -> Made:
    points = Points((), links=sources.links())
    # Of all runs, and by the table's whole name.
    source = _whole_name(points).replace("run_id IN {points_runs:Array(String)}", "1")
    sql = f"SELECT run_id, key, step, {time('timestamp_ms')} AS time, timestamp_ms, value FROM {source}"
    return sql, {name: value for name, value in points.parameters.items() if name != "points_runs"}


def _metric_summary(sources: Sources) -> Made:
    links = sources.links()
    if not links:
        return _SUMMARY.format(source="$metric_summary FINAL"), {}
    points = Points([link.run_id for link in links], links=links, whole=True)
    forked = _OF_FORKED.format(points=_whole_name(points))
    own = f"SELECT {_SUMMARY_COLUMNS} FROM $metric_summary FINAL WHERE run_id NOT IN {{points_runs:Array(String)}}"
    return _SUMMARY.format(source=f"({own} UNION ALL SELECT {_SUMMARY_COLUMNS} FROM ({forked}))"), points.parameters


def _whole_name(points: Points) -> str:
    return points.sql.replace("FROM metrics", "FROM $metrics")


def _stored(sql: str) -> Callable[[Sources], Made]:
    return lambda _: (sql, {})


_EXPERIMENT = {
    "experiment_id": "String",
    "name": "String",
    "artifact_location": "String",
    "creation_time": TIME,
    "last_update_time": TIME,
    "lifecycle": "String",
    "tags": TEXTS,
}

_LOGGED_MODEL = {
    "model_id": "String",
    "experiment_id": "String",
    "name": "String",
    "artifact_uri": "String",
    "creation_time": TIME,
    "last_update_time": TIME,
    "source_run_id": "String",
    "model_type": "String",
    "status": "String",
    "lifecycle": "String",
    "params": TEXTS,
    "tags": TEXTS,
}


def _experiments(sources: Sources) -> Made:
    return from_memory(_EXPERIMENT, "experiments", [values(_EXPERIMENT, x) for x in sources.experiments()])


def _logged_models(sources: Sources) -> Made:
    return from_memory(_LOGGED_MODEL, "logged_models", [values(_LOGGED_MODEL, x) for x in sources.logged_models()])


_KEY_VALUE = {"run_id": "String", "key": "String", "value": "String"}

_ALL = (
    View(
        "runs",
        {
            **dict.fromkeys(("run_id", "name", "experiment_id", "user_id", "status", "status_reason"), "String"),
            "start_time": TIME,
            "end_time": PERHAPS_TIME,
            "duration_s": "Nullable(Float64)",
            "lifecycle": "String",
            "deleted_time": PERHAPS_TIME,
            "forked_from": "String",
            "fork_step": "Nullable(Int64)",
            "artifact_uri": "String",
            "params": TEXTS,
            "tags": TEXTS,
        },
        _runs,
    ),
    View("params", _KEY_VALUE, _stored(_KEYED.format("params"))),
    View("tags", _KEY_VALUE, _stored(_KEYED.format("tags"))),
    View(
        "metrics",
        {
            "run_id": "String",
            "key": "String",
            "step": "Int64",
            "time": TIME,
            "timestamp_ms": "Int64",
            "value": "Float64",
        },
        _metrics,
    ),
    View(
        "metric_summary",
        {
            "run_id": "String",
            "key": "String",
            "last_value": "Float64",
            "last_step": "Int64",
            "last_time": TIME,
            "first_value": "Float64",
            "first_step": "Int64",
            "first_time": TIME,
            "min": "Float64",
            "max": "Float64",
            "points": "UInt64",
            "nan_points": "UInt64",
            "model_id": "String",
            "dataset_name": "String",
            "dataset_digest": "String",
        },
        _metric_summary,
    ),
    View(
        "datasets",
        {
            **dict.fromkeys(
                ("run_id", "name", "digest", "source_type", "source", "schema", "profile", "context"), "String"
            ),
            "tags": TEXTS,
        },
        _stored(_DATASETS),
    ),
    View("experiments", _EXPERIMENT, _experiments),
    View("logged_models", _LOGGED_MODEL, _logged_models),
    *model_views.ALL,
    View(
        "events",
        {
            "topic": "String",
            "partition": "UInt16",
            "offset": "UInt64",
            "subject": "String",
            "type": "String",
            "time": TIME,
            "logged_time": TIME,
            **dict.fromkeys(("actor", "source", "id", "outcome", "reason", "data"), "String"),
        },
        _stored(_EVENTS),
    ),
)

VIEWS = {view.name: view for view in _ALL}
"""The documented views by name, in the order of the documentation."""


def with_clause(names: Collection[str], sources: Sources, database: str) -> tuple[str, dict[str, Any]]:
    """The WITH names in front of a statement that names these views, and the parameters that they hold."""
    if not names:
        return "", {}
    by_name = {table: f"{quoted(database)}.{quoted(table)}" for table in tables()}
    parts: list[str] = []
    parameters: dict[str, Any] = {}
    for view in VIEWS.values():
        if view.name in names:
            sql, bound = view.made(sources)
            parts.append(f"{quoted(view.name)} AS ({Template(sql).substitute(by_name)})")
            parameters |= bound
    return f"WITH {', '.join(parts)}\n", parameters
