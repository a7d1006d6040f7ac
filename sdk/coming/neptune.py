"""What `neptune-exporter` has written: Parquet files of one row a value, and a folder of files.

Its layout and columns: https://github.com/neptune-ai/neptune-exporter (README, src/neptune_exporter/model.py).
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from headrace.sdk.coming.local_files import files_below
from headrace.sdk.coming.source import (
    BytesFile,
    Left,
    LocalFile,
    Series,
    SourceExperiment,
    SourceFault,
    SourceFile,
    SourceModel,
    SourceRegistered,
    SourceRun,
    derived_id,
    series_of,
    text_of,
    usable_key,
)

COLUMNS = (
    "project_id", "run_id", "attribute_path", "attribute_type", "step", "timestamp", "int_value", "float_value",
    "string_value", "bool_value", "datetime_value", "string_set_value", "file_value", "histogram_value",
)  # fmt: skip
_PART = re.compile(r"(.+)_part_(\d+)\.parquet")
_SINGLE = {"float": "float_value", "int": "int_value", "string": "string_value", "bool": "bool_value",
           "datetime": "datetime_value", "string_set": "string_set_value"}  # fmt: skip
_LINES = ("string_series", "histogram_series")
_FILES = ("file", "file_series", "file_set", "artifact")


class Neptune:
    """The data folder of an export, and its folder of files."""

    system = "neptune"

    def __init__(self, root: Path, files: Path | None = None, step_multiplier: int = 1) -> None:
        """files: `../files` beside root if None. step_multiplier: makes whole numbers of steps that have fractions.

        Raises SourceFault when there are no Parquet files of an export in it.
        """
        self._root = root
        self._files = files or root.parent / "files"
        self._multiplier = step_multiplier
        self._parts: dict[str, list[Path]] = {}
        self._of: dict[str, tuple[str, str]] = {}
        self._projects: dict[str, list[str]] = {}
        self._held: tuple[str, pa.Table] | None = None
        self.left: list[Left] = []
        for first in sorted(root.glob("*/*_part_0.parquet")) or sorted(root.glob("*_part_0.parquet")):
            self._add(first)
        if not self._projects:
            raise SourceFault(f"{root} holds no project of a neptune-exporter: no …_part_0.parquet in its folders")

    def close(self) -> None:
        """Nothing is open."""

    def experiments(self) -> list[SourceExperiment]:
        return [SourceExperiment(project, project) for project in sorted(self._projects)]

    def run_ids(self, experiment: SourceExperiment) -> list[str]:
        return sorted(self._projects[experiment.key])

    def run(self, run_id: str) -> SourceRun:
        table = self._table(run_id)
        project, name = self._of[run_id]
        values: dict[str, Any] = {}
        single = table.filter(pc.is_in(table.column("attribute_type"), pa.array(list(_SINGLE))))
        for row in single.to_pylist():
            values[row["attribute_path"]] = row[_SINGLE[row["attribute_type"]]]
        problems = [
            Left(run_id, f"{count} values of the type {kind!r}", "this type is not known here")
            for kind, count in _counts(table).items()
            if kind not in (*_SINGLE, *_LINES, *_FILES, "float_series")
        ]
        tags = {f"neptune.{path}": _text(value) for path, value in values.items() if path.startswith("sys/")}
        tags["neptune.run_id"], tags["neptune.project_id"] = name, project
        if values.get("sys/description"):
            tags["mlflow.note.content"] = _text(values["sys/description"])
        if values.get("sys/forking/parent"):
            tags["mlflow.parentRunId"] = derived_id(self.system, project, _text(values["sys/forking/parent"]))
        state = _text(values.get("sys/state") or "").lower()
        running = state in ("running", "active")
        end_ms = 0 if running else _ms(values.get("sys/modification_time"))
        trashed = bool(values.get("sys/trashed"))
        return SourceRun(
            run_id,
            _text(values.get("sys/custom_run_id") or values.get("sys/name") or name),
            _text(values.get("sys/owner") or ""),
            "RUNNING" if running else "FAILED" if values.get("sys/failed") else "FINISHED",
            _ms(values.get("sys/creation_time")),
            end_ms,
            trashed,
            end_ms if trashed else 0,
            {path: _text(value) for path, value in values.items() if not path.startswith("sys/")},
            tags,
            problems=tuple(problems),
        )

    def series(self, run_id: str) -> Iterator[Series]:
        for key, rows in self._attributes(run_id, ("float_series",)):
            step = rows.column("step").cast(pa.decimal128(18, 6)).combine_chunks()
            step = step.fill_null(pa.scalar(Decimal(0), pa.decimal128(18, 6)))
            scaled = pc.multiply(step, pa.scalar(Decimal(self._multiplier), pa.decimal128(10, 0)))
            try:
                whole = scaled.cast(pa.int64())
            except pa.ArrowInvalid:
                why = "its steps have fractions: --step-multiplier makes whole numbers of them"
                self.left.append(Left(run_id, f"metric {key!r} with {rows.num_rows} points", why))
                continue
            value = rows.column("float_value").fill_null(float("nan"))
            times = rows.column("timestamp").cast(pa.int64()).fill_null(0)
            yield series_of(key, whole.to_numpy(zero_copy_only=False), times.to_numpy(), value.to_numpy())

    def files(self, run_id: str) -> Iterator[SourceFile]:
        for key, rows in self._attributes(run_id, _LINES):
            yield BytesFile(f"{usable_key(key)}.jsonl", b"".join(_line(row) for row in rows.to_pylist()))
        folder = self._files / self._parts[run_id][0].parent.name
        if not folder.is_dir():
            folder = self._files
        for key, rows in self._attributes(run_id, _FILES):
            for row in rows.to_pylist():
                yield from self._file(run_id, folder, usable_key(key), row)

    def models(self, experiment: SourceExperiment) -> Iterator[SourceModel]:
        return iter(())

    def model_files(self, model_id: str) -> Iterator[SourceFile]:
        return iter(())

    def registered(self) -> Iterator[SourceRegistered]:
        return iter(())

    def _add(self, first: Path) -> None:
        """A run, by its first part; the exporter writes that one last, so it is whole."""
        name = _PART.fullmatch(first.name)
        assert name is not None
        numbered = ((_PART.fullmatch(x.name), x) for x in first.parent.iterdir())
        parts = sorted((int(found[2]), file) for found, file in numbered if found and found[1] == name[1])
        if [number for number, _ in parts] != list(range(len(parts))):
            raise SourceFault(f"{first} has parts with numbers {[number for number, _ in parts]}: one is missing")
        head = self._read(first, ["project_id", "run_id"])
        if not head.num_rows:
            self.left.append(Left("", f"{first.relative_to(self._root)}", "it is empty"))
            return
        project, run = str(head.column("project_id")[0]), str(head.column("run_id")[0])
        run_id = derived_id(self.system, project, run)
        self._parts[run_id] = [file for _, file in parts]
        self._of[run_id] = (project, run)
        self._projects.setdefault(project, []).append(run_id)

    def _read(self, file: Path, columns: list[str]) -> pa.Table:
        """Columns of one part. Raises SourceFault."""
        try:
            with pq.ParquetFile(file) as opened:
                lacking = [name for name in COLUMNS if name not in opened.schema_arrow.names]
                if lacking:
                    raise SourceFault(f"{file} is no part of a neptune-exporter: it lacks {', '.join(lacking)}")
                return opened.read(columns)
        except (pa.ArrowException, OSError) as error:
            raise SourceFault(f"{file} cannot be read: {str(error)[:300]}") from error

    def _table(self, run_id: str) -> pa.Table:
        """All of one run; of the last one that was asked for it is kept."""
        if self._held is None or self._held[0] != run_id:
            self._held = None
            tables = [self._read(file, list(COLUMNS[2:])) for file in self._parts[run_id]]
            try:
                self._held = (run_id, pa.concat_tables(tables))
            except pa.ArrowException as error:
                raise SourceFault(f"the parts of {self._of[run_id][1]} differ in their columns: {error}") from error
        return self._held[1]

    def _attributes(self, run_id: str, types: tuple[str, ...]) -> Iterator[tuple[str, pa.Table]]:
        """The rows of each attribute of some types, in the order of their paths."""
        table = self._table(run_id)
        table = table.filter(pc.is_in(table.column("attribute_type"), pa.array(types)))
        try:
            table = table.sort_by([("attribute_path", "ascending"), ("step", "ascending"), ("timestamp", "ascending")])
        except pa.ArrowException as error:
            raise SourceFault(f"the run {self._of[run_id][1]} cannot be ordered: {error}") from error
        paths = table.column("attribute_path").to_pylist()
        edges = [0, *(i for i in range(1, len(paths)) if paths[i] != paths[i - 1]), len(paths)]
        for start, stop in pairwise(edges):
            if stop > start:
                yield text_of(paths[start]), table.slice(start, stop - start)

    def _file(self, run_id: str, root: Path, key: str, row: dict[str, Any]) -> Iterator[SourceFile]:
        """The file, or the files, of one row."""
        given = str((row["file_value"] or {}).get("path") or "")
        what = f"{row['attribute_type']} {row['attribute_path']!r}"
        file = root / given
        if not given or not file.resolve().is_relative_to(root.resolve()):
            self.left.append(Left(run_id, what, f"its path {given[:200]!r} leads out of the folder of files"))
        elif file.is_dir():
            for one in files_below(file, run_id, self.left):
                yield LocalFile(f"{key}/{one.path}", file / one.path)
        elif not file.is_file():
            self.left.append(Left(run_id, what, f"there is no file {given[:200]!r} in {root}"))
        elif row["attribute_type"] == "file_series":
            step = format((row["step"] or Decimal(0)).normalize(), "f")
            yield LocalFile(f"{key}/step-{step}{posixpath.splitext(given)[1]}", file)
        else:
            suffix = posixpath.splitext(given)[1]
            yield LocalFile(key if key.endswith(suffix) else key + suffix, file)


def _counts(table: pa.Table) -> dict[str, int]:
    found = pc.value_counts(table.column("attribute_type"))
    return {str(one["values"]): int(one["counts"]) for one in found.to_pylist()}


def _text(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, list):
        return ",".join(sorted(text_of(one) for one in value))
    return "" if value is None else text_of(value)


def _ms(value: Any) -> int:
    return round(value.timestamp() * 1000) if isinstance(value, datetime) else 0


def _line(row: dict[str, Any]) -> bytes:
    """One value of a series of texts or histograms, as a line of JSON."""
    told: dict[str, Any] = {"step": None if row["step"] is None else float(row["step"])}
    told["timestamp_ms"] = None if row["timestamp"] is None else _ms(row["timestamp"])
    told |= row["histogram_value"] or {"value": row["string_value"]}
    return json.dumps(told, ensure_ascii=False).encode("utf-8", "replace") + b"\n"
