"""What autolog logged, read back from the log of a test."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

import headrace
from headrace.ingest import events, points

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


@dataclass
class Logged:
    """One run, folded by hand."""

    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
    files: dict[str, int] = field(default_factory=dict)
    inputs: list[tuple[str, events.Dataset]] = field(default_factory=list)
    models: int = 0
    model_ids: list[str] = field(default_factory=list)
    status: str = "RUNNING"
    parent: str | None = None


def runs(target: Any) -> list[Logged]:
    """The runs of a test's target in the order they began, once all that was logged has arrived."""
    assert headrace.flush(60)
    found: dict[str, Logged] = {}
    for subject, event in target.events():
        run = found.setdefault(subject, Logged())
        match event:
            case events.RunCreated():
                run.tags.update(event.tags)
                run.parent = event.tags.get("mlflow.parentRunId")
            case events.AttributesLogged():
                run.params.update(event.params)
                run.tags.update(event.tags)
            case events.ArtifactLogged():
                run.files[event.path] = event.size
            case events.InputsLogged():
                run.inputs += [(one.tags.get("mlflow.data.context", ""), one.dataset) for one in event.datasets]
            case events.OutputsLogged():
                run.models += len(event.models)
                run.model_ids += [one.model_id for one in event.models]
            case events.RunEnded():
                run.status = event.status
            case _:
                pass
    for envelope in target.envelopes("metrics"):
        for row in points.decode(envelope.data).to_pylist():
            found[envelope.subject].metrics.setdefault(row["key"], []).append((row["step"], row["value"]))
    return [run for run in found.values() if run.tags]
