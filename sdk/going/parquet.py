"""Exports runs as a folder of Parquet files: one a kind of thing, rows written as they come."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Set
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from headrace.sdk.coming.arrival import Arrival
from headrace.sdk.coming.mlflow_json import run_of
from headrace.sdk.coming.source import SourceRun
from headrace.sdk.going.selection import Progress, Selection, fetch, files_of
from headrace.sdk.registry import models
from headrace.sdk.registry.types import version_of
from headrace.sdk.run import Experiment
from headrace.sdk.transport import sha256_of
from headrace.sdk.version import VERSION

RUNS_A_GROUP = 1_000
ROWS_A_GROUP = 1_000_000
_TEXT, _TIME = pa.string(), pa.int64()
SCHEMAS = {
    "experiments": pa.schema(
        [
            ("experiment_id", _TEXT), ("name", _TEXT), ("lifecycle_stage", _TEXT), ("artifact_location", _TEXT),
            ("creation_time_ms", _TIME), ("last_update_time_ms", _TIME), ("tags", pa.map_(_TEXT, _TEXT)),
        ]
    ),
    "runs": pa.schema(
        [
            ("run_id", _TEXT), ("experiment_id", _TEXT), ("experiment_name", _TEXT), ("run_name", _TEXT),
            ("user_id", _TEXT), ("status", _TEXT), ("lifecycle_stage", _TEXT), ("start_time_ms", _TIME),
            ("end_time_ms", _TIME), ("artifact_uri", _TEXT),
        ]
    ),
    "params": pa.schema([("run_id", _TEXT), ("key", _TEXT), ("value", _TEXT)]),
    "tags": pa.schema([("run_id", _TEXT), ("key", _TEXT), ("value", _TEXT)]),
    "datasets": pa.schema(
        [
            ("run_id", _TEXT), ("name", _TEXT), ("digest", _TEXT), ("source_type", _TEXT), ("source", _TEXT),
            ("schema", _TEXT), ("profile", _TEXT), ("tags", pa.map_(_TEXT, _TEXT)),
        ]
    ),
    "models": pa.schema([("run_id", _TEXT), ("model_id", _TEXT), ("direction", _TEXT), ("step", pa.int64())]),
    "metrics": pa.schema(
        [("run_id", _TEXT), ("key", _TEXT), ("step", pa.int64()), ("timestamp_ms", _TIME), ("value", pa.float64())]
    ),
    "registered_models": pa.schema(
        [
            ("name", _TEXT), ("description", _TEXT), ("creation_time_ms", _TIME), ("last_update_time_ms", _TIME),
            ("aliases", pa.map_(_TEXT, pa.int64())), ("tags", pa.map_(_TEXT, _TEXT)),
        ]
    ),
    "model_versions": pa.schema(
        [
            ("name", _TEXT), ("version", pa.int64()), ("stage", _TEXT), ("stage_comment", _TEXT), ("run_id", _TEXT),
            ("model_id", _TEXT), ("source", _TEXT), ("status", _TEXT), ("digest", _TEXT), ("description", _TEXT),
            ("user_id", _TEXT), ("creation_time_ms", _TIME), ("last_update_time_ms", _TIME),
            ("aliases", pa.list_(_TEXT)), ("tags", pa.map_(_TEXT, _TEXT)),
        ]
    ),
    "artifacts": pa.schema([("run_id", _TEXT), ("path", _TEXT), ("size", pa.int64()), ("sha256", _TEXT)]),
}  # fmt: skip
"""The files, `<name>.parquet`, and their columns. models.direction: `input` or `output`."""


class _File:
    """A Parquet file that rows are appended to, in groups of ROWS_A_GROUP at most."""

    def __init__(self, folder: Path, name: str) -> None:
        self.path = folder / f"{name}.parquet"
        self.schema = SCHEMAS[name]
        self.rows = 0
        self._writer = pq.ParquetWriter(self.path, self.schema, compression="zstd")
        self._held: list[pa.Table] = []
        self._count = 0

    def add(self, rows: pa.Table | list[dict[str, Any]]) -> None:
        table = rows if isinstance(rows, pa.Table) else pa.Table.from_pylist(rows, self.schema)
        self._held.append(table)
        self._count += table.num_rows
        if self._count >= ROWS_A_GROUP:
            self._flush()

    def close(self) -> None:
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        if self._count:
            self._writer.write_table(pa.concat_tables(self._held), row_group_size=ROWS_A_GROUP)
        self.rows += self._count
        self._held, self._count = [], 0


def export_parquet(
    arrival: Arrival,
    selection: Selection,
    experiments: Mapping[str, Experiment],
    folder: Path,
    files: bool,
    told: Callable[[Progress], None],
    whole: bool = False,
) -> dict[str, Any]:
    """Write the files of a selection into a new folder, and a manifest with their rows and checksums; the manifest.

    whole: with all registered models; else with those of which a selected run made a version.
    files: artifacts too, in `artifacts/<run id>/`. The folder takes its name once it is whole.
    Raises NotTaken, OSError.
    """
    part = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    part.mkdir(parents=True)
    progress = Progress()
    left: list[str] = []
    try:
        written = {name: _File(part, name) for name in SCHEMAS if files or name != "artifacts"}
        seen: set[str] = set()
        run_ids: set[str] = set()
        runs = selection.runs()
        while group := list(islice(runs, RUNS_A_GROUP)):
            _add_runs(written, group, selection.names)
            seen |= {str(run["info"]["experiment_id"]) for run in group}
            run_ids |= {str(run["info"]["run_id"]) for run in group}
            for batch in arrival.points([str(run["info"]["run_id"]) for run in group], inherited=True):
                written["metrics"].add(pa.Table.from_batches([batch]))
                progress.points += batch.num_rows
                told(progress)
            for run in group if files else ():
                written["artifacts"].add(list(_fetched(arrival, run, part, left, progress)))
                told(progress)
            progress.runs += len(group)
            told(progress)
        made_by = None if whole else run_ids
        for model, versions in _registered(arrival, made_by):
            written["registered_models"].add([model])
            written["model_versions"].add(versions)
        written["experiments"].add([_experiment(experiments[x]) for x in sorted(seen) if x in experiments])
        manifest = {"format": "parquet", "made_by": f"headrace {VERSION}", "source": arrival.url,
                    "selection": selection.told, "left": left, "files": {}}  # fmt: skip
        for name, file in written.items():
            file.close()
            told_of = {"rows": file.rows, "size": file.path.stat().st_size, "sha256": sha256_of(file.path)}
            manifest["files"][f"{name}.parquet"] = told_of  # type: ignore[index]
        (part / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n", "utf-8")
        os.replace(part, folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return manifest


def _add_runs(written: Mapping[str, _File], group: list[dict[str, Any]], names: Mapping[str, str]) -> None:
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in ("runs", "params", "tags", "datasets", "models")}
    for given in group:
        info, run = given["info"], run_of(given)
        experiment_id = str(info.get("experiment_id", ""))
        rows["runs"].append(
            {
                "run_id": run.run_id,
                "experiment_id": experiment_id,
                "experiment_name": names.get(experiment_id),
                "run_name": run.name,
                "user_id": run.user_id,
                "status": run.status,
                "lifecycle_stage": "deleted" if run.deleted else "active",
                "start_time_ms": run.start_time_ms,
                "end_time_ms": run.end_time_ms or None,
                "artifact_uri": info.get("artifact_uri", ""),
            }
        )
        for kind, values in (("params", run.params), ("tags", run.tags)):
            rows[kind] += [{"run_id": run.run_id, "key": k, "value": v} for k, v in sorted(values.items())]
        rows["datasets"] += _datasets(run)
        rows["models"] += [
            {"run_id": run.run_id, "model_id": x.model_id, "direction": "input", "step": None}
            for x in run.inputs.models
        ]
        rows["models"] += [
            {"run_id": run.run_id, "model_id": x.model_id, "direction": "output", "step": x.step}
            for x in run.outputs.models
        ]
    for name, found in rows.items():
        written[name].add(found)


def _datasets(run: SourceRun) -> Iterator[dict[str, Any]]:
    for one in run.inputs.datasets:
        fields = ("name", "digest", "source_type", "source", "schema", "profile")
        told = {name: getattr(one.dataset, name) for name in fields}
        yield {"run_id": run.run_id, **told, "tags": list(one.tags.items())}


def _experiment(one: Experiment) -> dict[str, Any]:
    return {
        "experiment_id": one.experiment_id,
        "name": one.name,
        "lifecycle_stage": one.lifecycle_stage,
        "artifact_location": one.artifact_location,
        "creation_time_ms": one.creation_time,
        "last_update_time_ms": one.last_update_time,
        "tags": list(one.tags.items()),
    }


def _registered(arrival: Arrival, made_by: Set[str] | None) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """The rows of each registered model and its versions. made_by: only those of which these runs made a version."""
    for model in models.search_registered_models(source=arrival.reader):
        found = [version_of(one) for one in arrival.versions(model.name)]
        if made_by is not None and not any(one.run_id in made_by for one in found):
            continue
        rows = [
            {
                **{name: getattr(one, name) for name in _VERSION},
                "stage": one.current_stage,
                "creation_time_ms": one.creation_timestamp,
                "last_update_time_ms": one.last_updated_timestamp,
                "tags": list(one.tags.items()),
            }
            for one in found
        ]
        yield (
            {
                "name": model.name,
                "description": model.description,
                "creation_time_ms": model.creation_timestamp,
                "last_update_time_ms": model.last_updated_timestamp,
                "aliases": list(model.aliases.items()),
                "tags": list(model.tags.items()),
            },
            rows,
        )


_VERSION = (
    *("name", "version", "stage_comment", "run_id", "model_id", "source", "status", "digest", "description"),
    *("user_id", "aliases"),
)


def _fetched(
    arrival: Arrival, run: Mapping[str, Any], folder: Path, left: list[str], progress: Progress
) -> Iterator[dict[str, Any]]:
    run_id = str(run["info"]["run_id"])
    for path in files_of(arrival, run, left):
        target = folder / "artifacts" / run_id / path
        fetch(arrival, run_id, path, target)
        size = target.stat().st_size
        progress.files += 1
        progress.bytes += size
        with open(target, "rb") as opened:
            sha256 = hashlib.file_digest(opened, "sha256").hexdigest()
        yield {"run_id": run_id, "path": path, "size": size, "sha256": sha256}
