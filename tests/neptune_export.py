"""Writes what `neptune-exporter` writes, by its documented schema, for tests."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

SCHEMA = pa.schema(
    [
        ("project_id", pa.string()),
        ("run_id", pa.string()),
        ("attribute_path", pa.string()),
        ("attribute_type", pa.string()),
        ("step", pa.decimal128(18, 6)),
        ("timestamp", pa.timestamp("ms", tz="UTC")),
        ("int_value", pa.int64()),
        ("float_value", pa.float64()),
        ("string_value", pa.string()),
        ("bool_value", pa.bool_()),
        ("datetime_value", pa.timestamp("ms", tz="UTC")),
        ("string_set_value", pa.list_(pa.string())),
        ("file_value", pa.struct([("path", pa.string())])),
        (
            "histogram_value",
            pa.struct([("type", pa.string()), ("edges", pa.list_(pa.float64())), ("values", pa.list_(pa.float64()))]),
        ),
    ]
)


def row(path: str, kind: str, value: Any, step: str | None = None, time_ms: int | None = None) -> dict[str, Any]:
    """One value."""
    column = {"float_series": "float", "string_series": "string", "file_series": "file", "file_set": "file",
              "histogram_series": "histogram"}.get(kind, kind)  # fmt: skip
    return {
        "attribute_path": path,
        "attribute_type": kind,
        "step": None if step is None else Decimal(step),
        "timestamp": None if time_ms is None else datetime.fromtimestamp(time_ms / 1000, UTC),
        f"{column}_value": value,
    }


def write_part(folder: Path, run: str, part: int, rows: list[dict[str, Any]], project: str = "team/digits") -> Path:
    """One part of a run; the file."""
    folder.mkdir(parents=True, exist_ok=True)
    whole = [{"project_id": project, "run_id": run, **one} for one in rows]
    file = folder / f"{run}-0123456789abcdef_part_{part}.parquet"
    pq.write_table(pa.Table.from_pylist(whole, SCHEMA), file, compression="snappy")
    return file


def write_run(data: Path, files: Path, run: str = "DIG-1") -> None:
    """A run with an attribute of every type, in two parts, and its files."""
    project = "team_digits-fedcba9876543210"
    moment = datetime(2025, 1, 2, 3, 4, 5, tzinfo=UTC)
    write_part(
        data / project, run, 0,
        [
            row("sys/name", "string", "brave"),
            row("sys/custom_run_id", "string", f"my-{run}"),
            row("sys/owner", "string", "ann"),
            row("sys/creation_time", "datetime", moment),
            row("sys/modification_time", "datetime", moment.replace(minute=9)),
            row("sys/tags", "string_set", ["b", "a"]),
            row("sys/failed", "bool", False),
            row("params/lr", "float", 0.1),
            row("params/layers", "int", 3),
            row("params/opt (kind)", "string", "adam"),
            row("params/bias", "bool", True),
            *[row("train/loss", "float_series", 1 / (step + 1), f"{step}.000000", 1000 + step) for step in range(50)],
        ],
    )  # fmt: skip
    write_part(
        data / project, run, 1,
        [
            *[row("train/loss", "float_series", float("nan"), str(step), 1000 + step) for step in range(50, 60)],
            row("train/fraction", "float_series", 1.0, "0.5", 1),
            row("logs/stdout", "string_series", "hello", "0", 7),
            row("logs/stdout", "string_series", "world ü", "1", 8),
            row("weights", "histogram_series", {"type": "COUNTING", "edges": [0.0, 1.0], "values": [2.0]}, "1", 9),
            row("files/model", "file", {"path": f"{run}/files/model.bin"}),
            row("images", "file_series", {"path": f"{run}/images/1.png"}, "1", 9),
            row("source", "file_set", {"path": f"{run}/source"}),
            row("evil", "file", {"path": "../../secret"}),
            row("gone", "file", {"path": f"{run}/gone"}),
            row("odd", "gpu_series", None),
        ],
    )  # fmt: skip
    root = files / project / run
    for path, content in {"files/model.bin": b"model", "images/1.png": b"png", "source/a/b.py": b"code"}.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)
    (files.parent / "secret").write_bytes(b"not yours")
