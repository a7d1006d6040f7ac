"""Writes `mlruns` folders as MLflow's file store does, for tests that need many points or a fault in them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

Point = tuple[int, float, int]
"""timestamp_ms, value, step: as a line has them."""


def write_experiment(root: Path, name: str = "digits", key: str = "1", **meta: Any) -> Path:
    """An experiment; its folder."""
    folder = root / key
    folder.mkdir(parents=True)
    write_meta(folder, {"name": name, "experiment_id": key, "lifecycle_stage": "active", "creation_time": 5, **meta})
    return folder


def write_run(
    experiment: Path,
    run_id: str,
    metrics: Mapping[str, Iterable[Point]] | None = None,
    params: Mapping[str, str] | None = None,
    tags: Mapping[str, str] | None = None,
    files: Mapping[str, bytes] | None = None,
    **meta: Any,
) -> Path:
    """A run; its folder."""
    folder = experiment / run_id
    folder.mkdir()
    facts = {
        "run_id": run_id, "run_name": f"name-{run_id[:4]}", "user_id": "ann", "status": 3, "start_time": 1000,
        "end_time": 9000, "lifecycle_stage": "active", **meta,
    }  # fmt: skip
    write_meta(folder, facts)
    for kind, given in (("params", params), ("tags", tags)):
        for key, value in (given or {}).items():
            write(folder / kind / key, value.encode())
    for key, points in (metrics or {}).items():
        write(folder / "metrics" / key, "".join(f"{t} {v!r} {s}\n" for t, v, s in points).encode())
    for path, data in (files or {}).items():
        write(folder / "artifacts" / path, data)
    return folder


def write_meta(folder: Path, meta: Mapping[str, Any]) -> None:
    """A meta.yaml; JSON is YAML too."""
    (folder / "meta.yaml").write_text("".join(f"{key}: {json.dumps(value)}\n" for key, value in meta.items()))


def write(file: Path, data: bytes) -> None:
    """A file, with its folders."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)
