"""Runs and points as Arrow tables, and the CSV or Parquet file they are written to."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from headrace.sdk.reader import Reader
from headrace.sdk.run import Run

POINTS = pa.schema(
    [
        ("run_id", pa.string()),
        ("key", pa.string()),
        ("step", pa.int64()),
        ("timestamp_ms", pa.int64()),
        ("value", pa.float64()),
    ]
)
"""Columns of an export of points."""

INFO: tuple[tuple[str, pa.DataType], ...] = (
    ("run_id", pa.string()),
    ("run_name", pa.string()),
    ("experiment_id", pa.string()),
    ("experiment_name", pa.string()),
    ("status", pa.string()),
    ("lifecycle_stage", pa.string()),
    ("user_id", pa.string()),
    ("start_time_ms", pa.int64()),
    ("end_time_ms", pa.int64()),
    ("artifact_uri", pa.string()),
)
"""The first columns of an export of runs."""


def run_table(runs: Sequence[Run], names: Mapping[str, str]) -> pa.Table:
    """A row a run: the columns of INFO, then params.*, metrics.* and tags.*, each kind in key order.

    A param, metric or tag a run lacks is null. names: of experiments, by id.
    """
    columns: dict[str, pa.Array] = {}
    for name, kind in INFO:
        if name == "experiment_name":
            values = [names.get(run.info.experiment_id) for run in runs]
        else:
            field = name.removesuffix("_ms")
            values = [getattr(run.info, field) for run in runs]
        columns[name] = pa.array(values, kind)
    for part, kind in (("params", pa.string()), ("metrics", pa.float64()), ("tags", pa.string())):
        logged = [getattr(run.data, part) for run in runs]
        for key in sorted({key for one in logged for key in one}):
            columns[f"{part}.{key}"] = pa.array([one.get(key) for one in logged], kind)
    return pa.table(columns)


def points(reader: Reader, run_id: str, key: str, as_of: str = "") -> pa.Table:
    """Every point of one metric of a run, as of a moment, in the columns of POINTS. Raises ReadFailed."""
    history = reader.metric_history(run_id, key, as_of)
    count = history.num_rows
    columns = [
        pa.repeat(pa.scalar(run_id, pa.string()), count),
        pa.repeat(pa.scalar(key, pa.string()), count),
        *(history.column(name) for name in ("step", "timestamp_ms", "value")),
    ]
    return pa.table(columns, schema=POINTS)


class Sink:
    """The file of an export, table after table of one schema; it takes its name only once it is whole."""

    def __init__(self, format_: str, path: Path | None) -> None:
        """path: None for stdout."""
        self._format = format_
        self._path = path
        self._part = path.with_name(f".{path.name}.{os.getpid()}.part") if path is not None else None
        self._writer: Any = None
        self._schema: pa.Schema | None = None
        self.rows = 0

    def __enter__(self) -> Sink:
        self._file: Any = self._part.open("wb") if self._part is not None else sys.stdout.buffer
        return self

    def write(self, table: pa.Table) -> None:
        """Append the rows of a table. Raises ValueError for another schema than before: CSVWriter would crash on it."""
        if self._writer is None:
            self._schema = table.schema
            kind = pa.csv.CSVWriter if self._format == "csv" else pa.parquet.ParquetWriter
            self._writer = kind(self._file, table.schema)
        if not table.schema.equals(self._schema):
            raise ValueError(f"a file has one schema, and {table.schema.names} is not it")
        self._writer.write_table(table)
        self.rows += table.num_rows

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._writer is not None:
                self._writer.close()
            if self._part is None:
                self._file.flush()
                return
            self._file.close()
            if kind is None:
                assert self._path is not None
                os.replace(self._part, self._path)
        finally:
            if self._part is not None:
                self._part.unlink(missing_ok=True)
