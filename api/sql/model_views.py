"""The views of the registry and of what endpoints answered: registered models, their versions, predictions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from headrace.api.sql.view import TEXTS, TIME, Made, Sources, View, from_memory, time
from headrace.processors.registered_models import RegisteredModel

_MODEL = {
    "registered_model_id": "String",
    "name": "String",
    "creation_time": TIME,
    "last_update_time": TIME,
    "description": "String",
    "user_id": "String",
    "lifecycle": "String",
    "versions": "UInt64",
    "latest_version": "Int64",
    "aliases": "Map(String, Int64)",
    "tags": TEXTS,
}

_VERSION = {
    "registered_model_id": "String",
    "name": "String",
    "version": "Int64",
    "creation_time": TIME,
    "last_update_time": TIME,
    "stage": "String",
    "stage_comment": "String",
    "description": "String",
    "user_id": "String",
    "run_id": "String",
    "run_link": "String",
    "model_id": "String",
    "source": "String",
    "storage_location": "String",
    "status": "String",
    "status_message": "String",
    "digest": "String",
    "files": "Int64",
    "file_bytes": "Int64",
    "lifecycle": "String",
    "aliases": "Array(String)",
    "tags": TEXTS,
}

_PREDICTION = {
    "endpoint": "String",
    "time": TIME,
    "model": "String",
    "version": "Int64",
    "run_id": "String",
    "model_id": "String",
    "request_id": "String",
    "status": "Int64",
    "latency_ms": "Float64",
    "content_type": "String",
    "request": "String",
    "request_encoding": "String",
    "request_bytes": "Int64",
    "response": "String",
    "response_encoding": "String",
    "response_bytes": "Int64",
    "shadow": "Bool",
    "actor": "String",
}

_OF_DATA = {
    "String": "JSONExtractString(data, '{0}')",
    "Int64": "JSONExtractInt(data, '{0}')",
    "Float64": "JSONExtractFloat(data, '{0}')",
    "Bool": "JSONExtract(data, '{0}', 'Bool')",
}
_ELSEWHERE = {
    "time": time("time_ms"),
    "version": "toInt64OrZero(JSONExtractString(data, 'version'))",
    "actor": "actor",
}
_PREDICTIONS = "SELECT {} FROM $events WHERE topic = 'runs' AND type = 'headrace.prediction.logged'".format(
    ", ".join(f"{_ELSEWHERE.get(name) or _OF_DATA[kind].format(name)} AS {name}" for name, kind in _PREDICTION.items())
)


def _models(sources: Sources) -> Made:
    return from_memory(_MODEL, "registered_models", [_row(model) for model in sources.registered_models()])


def _row(model: RegisteredModel) -> list[Any]:
    live = list(model.live_versions())
    counted = {"versions": len(live), "latest_version": live[-1].version if live else 0}
    return _values(_MODEL, model, counted)


def _versions(sources: Sources) -> Made:
    rows = [row for model in sources.registered_models() for row in _rows(model)]
    return from_memory(_VERSION, "model_versions", rows)


def _rows(model: RegisteredModel) -> Iterator[list[Any]]:
    owner = {"registered_model_id": model.registered_model_id, "name": model.name}
    for version in model.versions.values():
        yield _values(_VERSION, version, {**owner, "aliases": model.aliases_of(version.version)})


def _values(columns: dict[str, str], one: object, known: dict[str, Any]) -> list[Any]:
    """A row of the fields of one, but for what is known."""
    return [
        known[column] if column in known else getattr(one, f"{column}_ms" if kind == TIME else column)
        for column, kind in columns.items()
    ]


ALL = (
    View("registered_models", _MODEL, _models),
    View("model_versions", _VERSION, _versions),
    View("predictions", _PREDICTION, lambda _: (_PREDICTIONS, {})),
)
"""In the order of the documentation."""
