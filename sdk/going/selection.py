"""What is exported: which runs, and how far it has come."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headrace.ingest.limits import artifact_path_fault
from headrace.sdk.coming.arrival import Arrival

STORE = "mlflow-artifacts:/"


@dataclass(frozen=True, slots=True)
class Selection:
    """Runs in MLflow's JSON, as they are asked for; and the names of experiments by id. told: as the command had it."""

    runs: Callable[[], Iterator[dict[str, Any]]]
    names: Mapping[str, str]
    told: str


@dataclass(slots=True)
class Progress:
    """How far an export is."""

    runs: int = 0
    events: int = 0
    points: int = 0
    files: int = 0
    bytes: int = 0


def root_of(run: Mapping[str, Any]) -> str | None:
    """Where a run's artifacts lie in the server's store; None when they are kept elsewhere."""
    uri = str(run["info"].get("artifact_uri", ""))
    return uri.removeprefix(STORE).strip("/") if uri.startswith(STORE) else None


def files_of(arrival: Arrival, run: Mapping[str, Any], left: list[str]) -> Iterator[str]:
    """The paths of a run's artifacts; what is none that can be carried is written into left. Raises NotTaken."""
    run_id = str(run["info"]["run_id"])
    if root_of(run) is None:
        left.append(f"artifacts of the run {run_id}: they are in {run['info'].get('artifact_uri')}")
        return
    for path in arrival.files(run_id):
        fault = artifact_path_fault(path)
        if fault is None:
            yield path
        else:
            left.append(f"artifact {path!r} of the run {run_id}: {fault}")


def fetch(arrival: Arrival, run_id: str, path: str, target: Path) -> None:
    """Download an artifact. Raises NotTaken."""
    arrival.patiently(lambda: arrival.reader.download(run_id, path, target))
