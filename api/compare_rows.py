"""What runs have in common and where they differ: facts of many runs as rows, a value a run."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Literal, TypeAlias

import msgspec
import numpy as np
from headrace.api.structs import Value, json_value
from headrace.processors.metrics import Summary
from headrace.processors.runs import RunState

Section: TypeAlias = Literal["attributes", "params", "metrics", "tags", "code", "environment", "packages", "datasets"]
Runs: TypeAlias = Sequence[tuple[RunState, Mapping[str, Summary]]]

_CODE: Final = {
    "mlflow.source.git.commit": "commit",
    "mlflow.source.git.branch": "branch",
    "mlflow.source.git.repoURL": "repository",
    "mlflow.source.git.dirty": "uncommitted changes",
    "mlflow.source.name": "source",
    "mlflow.source.type": "source type",
    "headrace.entry_point": "entry point",
    "headrace.command": "command",
    "headrace.folder": "folder",
    "mlflow.project.entryPoint": "project entry point",
}
_ENVIRONMENT: Final = {
    "headrace.python": "python",
    "headrace.platform": "platform",
    "headrace.host": "host",
}
_NAMED_ELSEWHERE: Final = {*_CODE, *_ENVIRONMENT, "mlflow.runName", "mlflow.user", "headrace.pid"}
"""Tags that other sections have, or that say nothing about what was run."""


class Spread(msgspec.Struct, frozen=True):
    """How the numbers of a metric's row lie; infinities and NaN left out. std: of the population."""

    runs: int
    min: float
    max: float
    mean: float
    std: float


class Row(msgspec.Struct, frozen=True):
    """One fact: what each run has, in the order of the runs, null for what it lacks.

    aggregate: of a metric: last, min or max; else empty. spread: of a metric of which any run has a number.
    """

    section: Section
    key: str
    aggregate: str
    differs: bool
    values: list[Value]
    spread: Spread | None


def rows(runs: Runs, packages: Sequence[Mapping[str, str]], sections: Sequence[Section]) -> Iterator[Row]:
    """Every row of these sections, section by section and in it by key. packages: of each run, version by name."""
    states = [state for state, _ in runs]
    facts: dict[Section, Sequence[Mapping[str, Value]]] = {
        "attributes": [_attributes(state) for state in states],
        "params": [state.params for state in states],
        "tags": [{k: v for k, v in state.tags.items() if k not in _NAMED_ELSEWHERE} for state in states],
        "code": [_renamed(state.tags, _CODE) for state in states],
        "environment": [_renamed(state.tags, _ENVIRONMENT) for state in states],
        "packages": packages,
        "datasets": [_datasets(state) for state in states],
    }
    for section in sections:
        if section == "metrics":
            yield from _metrics([summaries for _, summaries in runs])
            continue
        held = facts[section]
        # The order of attributes, code and environment is their own; everything else goes by name.
        keys = dict.fromkeys(key for facts_of_run in held for key in facts_of_run)
        for key in keys if section in ("attributes", "code", "environment") else sorted(keys):
            values = [facts_of_run.get(key) for facts_of_run in held]
            yield Row(section, key, "", differs(values), values, None)


def differs(values: Sequence[Value]) -> bool:
    """Whether not all have the same; what is missing differs from what is there."""
    return any(value != values[0] for value in values[1:])


def _attributes(state: RunState) -> dict[str, Value]:
    ended = state.end_time_ms or None
    return {
        "run_name": state.name,
        "experiment_id": state.experiment_id,
        "status": state.status,
        "user_id": state.user_id,
        "start_time_ms": state.start_time_ms,
        "end_time_ms": ended,
        "duration_ms": None if ended is None else ended - state.start_time_ms,
        "lifecycle_stage": state.lifecycle,
    }


def _renamed(tags: Mapping[str, str], names: Mapping[str, str]) -> dict[str, Value]:
    return {name: tags[tag] for tag, name in names.items() if tag in tags}


def _datasets(state: RunState) -> dict[str, Value]:
    """Digests by name and context; several of one name are listed."""
    found: dict[str, list[str]] = {}
    for item in state.inputs.datasets:
        context = item.tags.get("mlflow.data.context", "")
        found.setdefault(f"{item.dataset.name} ({context})" if context else item.dataset.name, []).append(
            item.dataset.digest
        )
    return {name: ", ".join(sorted(digests)) for name, digests in found.items()}


def _metrics(summaries: Sequence[Mapping[str, Summary]]) -> Iterator[Row]:
    for key in sorted({key for of_run in summaries for key in of_run}):
        kept = [of_run.get(key) for of_run in summaries]
        for aggregate in ("last", "min", "max"):
            field = "last_value" if aggregate == "last" else f"value_{aggregate}"
            numbers: list[float | None] = [None if x is None else getattr(x, field) for x in kept]
            if aggregate != "last":
                # NaN: the run has no number for it.
                numbers = [None if x is None or math.isnan(x) else x for x in numbers]
            values = [json_value(x) for x in numbers]
            yield Row("metrics", key, aggregate, differs(values), values, _spread(numbers))


def _spread(numbers: Sequence[float | None]) -> Spread | None:
    finite = np.array([x for x in numbers if x is not None and math.isfinite(x)])
    if not len(finite):
        return None
    # Scaled, so that no sum of great numbers goes beyond what a number can be.
    scale = float(np.max(np.abs(finite))) or 1.0
    scaled = finite / scale
    mean, std = float(np.mean(scaled)) * scale, float(np.std(scaled)) * scale
    return Spread(len(finite), float(np.min(finite)), float(np.max(finite)), mean, std)
