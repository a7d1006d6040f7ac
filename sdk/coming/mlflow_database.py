"""An MLflow database in SQLite, of any schema from MLflow 1.0 on; it is only read."""

from __future__ import annotations

import sqlite3
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from headrace.ingest import events
from headrace.ingest.limits import is_run_id
from headrace.sdk.coming import registered
from headrace.sdk.coming.local_files import files_below, folder_of
from headrace.sdk.coming.mlflow_json import MODEL_STATUS
from headrace.sdk.coming.source import (
    Left,
    LocalFile,
    Series,
    SourceExperiment,
    SourceFault,
    SourceModel,
    SourceRegistered,
    SourceRun,
    integer,
    series_of,
    text_of,
    unclamped,
)

_NEEDED = {
    "experiments": {"experiment_id", "name"},
    "runs": {"run_uuid", "experiment_id", "status"},
    "metrics": {"key", "value", "timestamp", "run_uuid"},
    "params": {"key", "value", "run_uuid"},
    "tags": {"key", "value", "run_uuid"},
}
_NOT_CARRIED = {
    "trace_info": "traces",
    "assessments": "assessments of traces",
    "webhooks": "webhooks",
}


class MlflowDatabase:
    """One SQLite file."""

    system = "mlflow"

    def __init__(self, file: Path, artifacts: Path | None = None) -> None:
        """artifacts: where what `mlflow-artifacts:/` names lies. Raises SourceFault when it is no such database."""
        self._file = file
        self._artifacts = artifacts
        self.left: list[Left] = []
        with self._clear():
            # Opened for reading only, so that nothing of the source can be changed.
            self._connection = sqlite3.connect(f"file:{quote(str(file.absolute()))}?mode=ro", uri=True, timeout=30)
            self._connection.row_factory = sqlite3.Row
            self._connection.text_factory = lambda data: data.decode("utf-8", "replace")
            names = [row[0] for row in self._connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            self._columns = {name: self._columns_of(name) for name in names}
        for table, columns in _NEEDED.items():
            lacking = columns - self._columns.get(table, set())
            if lacking:
                raise SourceFault(f"{file} is no MLflow database: its table {table} lacks {', '.join(sorted(lacking))}")
        for table, what in _NOT_CARRIED.items():
            count = self._count(table) if table in self._columns else 0
            if count:
                self.left.append(Left("", f"{count} {what}", "they are not carried over yet"))

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def experiments(self) -> list[SourceExperiment]:
        tags: dict[str, dict[str, str]] = {}
        if "experiment_tags" in self._columns:
            for row in self._rows("SELECT experiment_id, key, value FROM experiment_tags"):
                tags.setdefault(str(row[0]), {})[text_of(row[1])] = text_of(row[2] or "")
        return [
            SourceExperiment(
                str(row["experiment_id"]),
                text_of(row["name"]),
                tags.get(str(row["experiment_id"]), {}),
                integer(_got(row, "creation_time"), "creation_time"),
                _got(row, "lifecycle_stage") == "deleted",
            )
            for row in self._rows("SELECT * FROM experiments ORDER BY experiment_id")
        ]

    def run_ids(self, experiment: SourceExperiment) -> list[str]:
        found = []
        for row in self._rows(
            "SELECT run_uuid FROM runs WHERE experiment_id = ? ORDER BY run_uuid", int(experiment.key)
        ):
            if is_run_id(str(row[0])):
                found.append(str(row[0]))
            else:
                self.left.append(Left("", f"run {str(row[0])[:80]!r}", "that is no id of a run"))
        return found

    def run(self, run_id: str) -> SourceRun:
        row = next(self._rows("SELECT * FROM runs WHERE run_uuid = ?", run_id), None)
        if row is None:
            raise SourceFault(f"the run {run_id} is gone from {self._file}")
        return SourceRun(
            run_id,
            text_of(_got(row, "name") or ""),
            text_of(_got(row, "user_id") or ""),
            str(row["status"] or "RUNNING"),
            integer(_got(row, "start_time"), "start_time"),
            integer(_got(row, "end_time"), "end_time"),
            _got(row, "lifecycle_stage") == "deleted",
            integer(_got(row, "deleted_time"), "deleted_time"),
            self._pairs("params", run_id),
            self._pairs("tags", run_id),
            self._inputs(run_id),
            self._outputs(run_id),
        )

    def series(self, run_id: str) -> Iterator[Series]:
        columns = self._columns["metrics"]
        step = "step" if "step" in columns else "0"
        is_nan = "is_nan" if "is_nan" in columns else "0"
        links = self._links(run_id)
        key: str | None = None
        points = (array("q"), array("q"), array("d"))
        for row in self._rows(
            f"SELECT key, {step}, timestamp, CASE WHEN {is_nan} THEN NULL ELSE value END FROM metrics"
            " WHERE run_uuid = ? ORDER BY key",
            run_id,
        ):
            if row[0] != key:
                if key is not None:
                    yield _series(key, points, links)
                key, points = row[0], (array("q"), array("q"), array("d"))
            points[0].append(integer(row[1], f"a step of {key}"))
            points[1].append(integer(row[2], f"a time of {key}"))
            points[2].append(_number(row[3], row[0]))
        if key is not None:
            yield _series(key, points, links)

    def files(self, run_id: str) -> Iterator[LocalFile]:
        row = next(self._rows("SELECT * FROM runs WHERE run_uuid = ?", run_id), None)
        uri = str((_got(row, "artifact_uri") if row is not None else "") or "")
        return self._files(uri, run_id, run_id)

    def models(self, experiment: SourceExperiment) -> Iterator[SourceModel]:
        if "logged_models" not in self._columns:
            return
        for row in [*self._rows("SELECT * FROM logged_models WHERE experiment_id = ?", int(experiment.key))]:
            model_id = str(row["model_id"])
            yield SourceModel(
                model_id,
                text_of(row["name"]),
                text_of(row["source_run_id"] or ""),
                text_of(row["model_type"] or ""),
                MODEL_STATUS.get(row["status"], "LOGGED_MODEL_READY"),
                self._model_pairs("param", model_id),
                self._model_pairs("tag", model_id),
                integer(row["creation_timestamp_ms"], "creation_timestamp_ms"),
                integer(row["last_updated_timestamp_ms"], "last_updated_timestamp_ms"),
                row["lifecycle_stage"] == "deleted",
            )

    def model_files(self, model_id: str) -> Iterator[LocalFile]:
        row = next(self._rows("SELECT artifact_location FROM logged_models WHERE model_id = ?", model_id), None)
        return self._files(str(row[0] or "") if row is not None else "", model_id, "")

    def registered(self) -> Iterator[SourceRegistered]:
        return registered.in_tables(self._rows, self._columns, self.left)

    def _files(self, uri: str, owner: str, run_id: str) -> Iterator[LocalFile]:
        if not uri:
            return
        folder = folder_of(uri, owner, self._artifacts)
        if isinstance(folder, str):
            self.left.append(Left(run_id, f"artifacts of {owner}", folder))
        elif folder.is_dir():
            yield from files_below(folder, run_id, self.left)

    def _inputs(self, run_id: str) -> events.InputsLogged:
        if "inputs" not in self._columns or "datasets" not in self._columns:
            return events.InputsLogged()
        datasets = []
        for row in [
            *self._rows(
                "SELECT i.input_uuid, d.* FROM inputs i JOIN datasets d ON d.dataset_uuid = i.source_id"
                " WHERE i.destination_id = ? AND i.source_type = 'DATASET' ORDER BY d.name, d.digest, i.input_uuid",
                run_id,
            )
        ]:
            tags = {
                text_of(tag[0]): text_of(tag[1] or "")
                for tag in self._rows("SELECT name, value FROM input_tags WHERE input_uuid = ?", row["input_uuid"])
            }
            names = ("name", "digest", "dataset_source_type", "dataset_source", "dataset_schema", "dataset_profile")
            datasets.append(events.DatasetInput(events.Dataset(*(text_of(row[x] or "") for x in names)), tags))
        models = self._rows(
            "SELECT destination_id FROM inputs WHERE source_id = ? AND source_type = 'RUN_INPUT' ORDER BY 1", run_id
        )
        return events.InputsLogged(datasets, [events.ModelInput(str(row[0])) for row in models])

    def _outputs(self, run_id: str) -> events.OutputsLogged:
        if "inputs" not in self._columns:
            return events.OutputsLogged()
        step = "step" if "step" in self._columns["inputs"] else "0"
        made = self._rows(
            f"SELECT destination_id, {step} FROM inputs WHERE source_id = ? AND source_type = 'RUN_OUTPUT' ORDER BY 1",
            run_id,
        )
        return events.OutputsLogged([events.ModelOutput(str(row[0]), integer(row[1], "a step")) for row in made])

    def _links(self, run_id: str) -> dict[tuple[str, int, int], str]:
        """The points that belong to a logged model, by key, time and step."""
        if "logged_model_metrics" not in self._columns:
            return {}
        rows = self._rows(
            "SELECT metric_name, metric_timestamp_ms, metric_step, model_id FROM logged_model_metrics WHERE run_id = ?",
            run_id,
        )
        return {(row[0], row[1], row[2]): str(row[3]) for row in rows}

    def _pairs(self, table: str, run_id: str) -> dict[str, str]:
        rows = self._rows(f"SELECT key, value FROM {table} WHERE run_uuid = ?", run_id)
        return {text_of(row[0]): text_of("" if row[1] is None else row[1]) for row in rows}

    def _model_pairs(self, kind: str, model_id: str) -> dict[str, str]:
        rows = self._rows(f"SELECT {kind}_key, {kind}_value FROM logged_model_{kind}s WHERE model_id = ?", model_id)
        return {text_of(row[0]): text_of("" if row[1] is None else row[1]) for row in rows}

    def _count(self, table: str) -> int:
        return int(next(self._rows(f"SELECT count(*) FROM {table}"))[0])

    def _columns_of(self, table: str) -> set[str]:
        return {row[0] for row in self._connection.execute("SELECT name FROM pragma_table_info(?)", (table,))}

    def _rows(self, sql: str, *parameters: Any) -> Iterator[sqlite3.Row]:
        with self._clear():
            yield from self._connection.execute(sql, parameters)

    @contextmanager
    def _clear(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise SourceFault(f"{self._file} cannot be read as an MLflow database: {error}") from error


def _series(
    key: str, points: tuple[array[int], array[int], array[float]], links: dict[tuple[str, int, int], str]
) -> Series:
    step, timestamp_ms, value = points
    models = [links.get((key, time, at), "") for time, at in zip(timestamp_ms, step, strict=True)] if links else []
    found = series_of(key, step, timestamp_ms, value, models if any(models) else None)
    return found._replace(value=unclamped(found.value))


def _number(value: Any, key: str) -> float:
    try:
        return float("nan") if value is None else float(value)
    except (TypeError, ValueError) as error:
        raise SourceFault(f"a value of the metric {key!r} is {str(value)[:80]!r}") from error


def _got(row: sqlite3.Row, name: str) -> Any:
    """A column that this schema may lack."""
    return row[name] if name in set(row.keys()) else None
