"""The documented views: what a statement may name, column by column, and the query behind each.

A view is an entry of VIEWS: to add one is to add an entry, here and in docs/reference/sql.md. Each becomes a WITH name
in front of a statement that names it. `$name` in its query is the table of the view store, by its whole name, so that
nothing a statement calls so can stand in its place. What lives in this process's memory (experiments, logged models) is
bound as a parameter that holds JSON. Types are told without LowCardinality, which changes nothing that can be seen.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from string import Template
from typing import Any, TypeAlias

import msgspec
from headrace.api.points import Link, Points
from headrace.processors.registry import Experiment, LoggedModel, Registry
from headrace.processors.runs import GONE
from headrace.processors.schema import literal, quoted, tables

PARAMETER_CHARS_MAX = 30_000
"""A server takes parameters of 131,072 bytes at most, and a character may have four."""


@dataclass(frozen=True, slots=True)
class Sources:
    """What the views are made of beside the tables. links: asks which runs have points of others as their own.

    Asking may read the views, and is left until a view needs it.
    """

    registry: Registry
    links: Callable[[], Sequence[Link]] = tuple

    def experiments(self) -> list[Experiment]:
        """All experiments, those in the bin too."""
        return list(self.registry.experiments.values())

    def logged_models(self) -> list[LoggedModel]:
        """All logged models, those in the bin too."""
        return list(self.registry.logged_models.values())


Made: TypeAlias = tuple[str, dict[str, Any]]
"""A view's query, and what its parameters hold."""


@dataclass(frozen=True, slots=True)
class View:
    """A documented view. columns: name to type. made: its query, and what the parameters in it hold."""

    name: str
    columns: dict[str, str]
    made: Callable[[Sources], Made]


_TIME = "DateTime64(3, 'UTC')"
_PERHAPS_TIME = f"Nullable({_TIME})"
_TEXTS = "Map(String, String)"


def _time(column: str) -> str:
    return f"fromUnixTimestamp64Milli({column}, 'UTC')"


def _perhaps(column: str) -> str:
    return f"if({column} = 0, NULL, {_time(column)})"


_IN_BIN = "lifecycle = 'deleted' OR has({sql_binned:Array(String)}, experiment_id)"

_RUNS = f"""
    SELECT run_id, name, experiment_id, user_id, status, status_reason,
        {_time("start_time_ms")} AS start_time, {_perhaps("end_time_ms")} AS end_time,
        if(end_time_ms = 0, NULL, (end_time_ms - start_time_ms) / 1000) AS duration_s,
        if({_IN_BIN}, 'deleted', 'active') AS lifecycle, {_perhaps("deleted_time_ms")} AS deleted_time,
        forked_from, if(forked_from = '', NULL, fork_step) AS fork_step, artifact_uri, params, tags
    FROM (SELECT * FROM $runs FINAL WHERE lifecycle NOT IN ({", ".join(map(literal, GONE))}))
"""

_KEYED = """
    SELECT run_id, key, value FROM $runs FINAL ARRAY JOIN mapKeys({0}) AS key, mapValues({0}) AS value
"""

_SUMMARY = f"""
    SELECT run_id, key,
        last_value, last_step, {_time("last_timestamp_ms")} AS last_time,
        first_value, first_step, {_time("first_timestamp_ms")} AS first_time,
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
    SELECT topic, partition, offset, subject, type, {_time("time_ms")} AS time,
        {_time("logged_ms")} AS logged_time, actor, source, id, outcome, reason, data
    FROM $events
"""


def _runs(sources: Sources) -> Made:
    return _RUNS, {"sql_binned": sources.registry.deleted_ids()}


def _metrics(sources: Sources) -> Made:
    points = Points((), links=sources.links())
    # Of all runs, and by the table's whole name.
    source = _whole_name(points).replace("run_id IN {points_runs:Array(String)}", "1")
    sql = f"SELECT run_id, key, step, {_time('timestamp_ms')} AS time, timestamp_ms, value FROM {source}"
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


def _from_memory(columns: dict[str, str], name: str, found: Sequence[Experiment | LoggedModel]) -> Made:
    """A query over JSON arrays of arrays, whose items are a row's values in the order of the columns.

    Times come as milliseconds and become times here. Each parameter holds what a server takes in one.
    """
    kinds = {column: "Int64" if kind == _TIME else kind for column, kind in columns.items()}
    row = ", ".join(f"{column} {kind}" for column, kind in kinds.items())
    chosen = ", ".join(
        f"{_time(f'row.{column}')} AS {column}" if kind == _TIME else f"row.{column} AS {column}"
        for column, kind in columns.items()
    )
    fields = [f"{column}_ms" if column.endswith("_time") else column for column in columns]
    rows = [msgspec.json.encode([getattr(one, field) for field in fields]).decode() for one in found]
    bound = {f"sql_{name}_{number}": f"[{chunk}]" for number, chunk in enumerate(_chunks(rows))}
    parsed = ", ".join(f"JSONExtract({{{parameter}:String}}, 'Array(Tuple({row}))')" for parameter in bound)
    return f"SELECT {chosen} FROM (SELECT arrayJoin(arrayConcat({parsed})) AS row)", bound


def _chunks(rows: Sequence[str]) -> list[str]:
    """The rows joined by commas, in texts that are not longer than a parameter may be, but for a row that is."""
    chunks: list[list[str]] = [[]]
    size = 0
    for row in rows:
        if size + len(row) > PARAMETER_CHARS_MAX and chunks[-1]:
            chunks.append([])
            size = 0
        chunks[-1].append(row)
        size += len(row) + 1
    return [",".join(chunk) for chunk in chunks]


_EXPERIMENT = {
    "experiment_id": "String",
    "name": "String",
    "artifact_location": "String",
    "creation_time": _TIME,
    "last_update_time": _TIME,
    "lifecycle": "String",
    "tags": _TEXTS,
}

_LOGGED_MODEL = {
    "model_id": "String",
    "experiment_id": "String",
    "name": "String",
    "artifact_uri": "String",
    "creation_time": _TIME,
    "last_update_time": _TIME,
    "source_run_id": "String",
    "model_type": "String",
    "status": "String",
    "lifecycle": "String",
    "params": _TEXTS,
    "tags": _TEXTS,
}


def _experiments(sources: Sources) -> Made:
    return _from_memory(_EXPERIMENT, "experiments", sources.experiments())


def _logged_models(sources: Sources) -> Made:
    return _from_memory(_LOGGED_MODEL, "logged_models", sources.logged_models())


_KEY_VALUE = {"run_id": "String", "key": "String", "value": "String"}

_ALL = (
    View(
        "runs",
        {
            **dict.fromkeys(("run_id", "name", "experiment_id", "user_id", "status", "status_reason"), "String"),
            "start_time": _TIME,
            "end_time": _PERHAPS_TIME,
            "duration_s": "Nullable(Float64)",
            "lifecycle": "String",
            "deleted_time": _PERHAPS_TIME,
            "forked_from": "String",
            "fork_step": "Nullable(Int64)",
            "artifact_uri": "String",
            "params": _TEXTS,
            "tags": _TEXTS,
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
            "time": _TIME,
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
            "last_time": _TIME,
            "first_value": "Float64",
            "first_step": "Int64",
            "first_time": _TIME,
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
            "tags": _TEXTS,
        },
        _stored(_DATASETS),
    ),
    View("experiments", _EXPERIMENT, _experiments),
    View("logged_models", _LOGGED_MODEL, _logged_models),
    View(
        "events",
        {
            "topic": "String",
            "partition": "UInt16",
            "offset": "UInt64",
            "subject": "String",
            "type": "String",
            "time": _TIME,
            "logged_time": _TIME,
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
