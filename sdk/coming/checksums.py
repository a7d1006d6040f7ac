"""What proves equality: checksums over points, texts and files that do not depend on where they were read from."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
from headrace.ingest import events
from headrace.sdk.coming.source import Series, SourceRun

# Each NaN counts as this one: sources and readers do not keep its other bits.
_NAN_BITS = np.float64("nan").view(np.int64)


class Counted(NamedTuple):
    """Some points: how many, and SHA-256 in hex over their sorted (step, timestamp_ms, bits of the value)."""

    points: int
    sha256: str


def rows(series: Series) -> npt.NDArray[np.int64]:
    """The points as rows of three int64 (step, timestamp_ms, bits of the value), sorted by all three."""
    bits = np.where(np.isnan(series.value), _NAN_BITS, np.ascontiguousarray(series.value).view(np.int64))
    order = np.lexsort((bits, series.timestamp_ms, series.step))
    return np.ascontiguousarray(np.stack([series.step[order], series.timestamp_ms[order], bits[order]], axis=1))


def counted(series: Series) -> Counted:
    """The count and checksum of a metric's points."""
    sorted_rows = rows(series)
    return Counted(len(sorted_rows), hashlib.sha256(sorted_rows.astype("<i8", copy=False).tobytes()).hexdigest())


def digest_of(value: Any) -> str:
    """SHA-256 in hex of a value that JSON can hold, whatever the order of its keys."""
    return hashlib.sha256(msgspec.json.encode(value, order="sorted")).hexdigest()


def facts(run: SourceRun) -> dict[str, Any]:
    """What is compared of a run besides points and files, in a form that has one way to be written."""
    return {
        "name": run.name,
        "user_id": run.user_id,
        "status": run.status,
        "start_time_ms": run.start_time_ms,
        "end_time_ms": run.end_time_ms,
        "deleted": run.deleted,
        "params": dict(run.params),
        "tags": dict(run.tags),
        "datasets": sorted(msgspec.json.encode(one, order="sorted").decode() for one in _inputs(run.inputs)),
        "model_inputs": sorted({one.model_id for one in run.inputs.models}),
        "model_outputs": sorted({f"{one.model_id}@{one.step}" for one in run.outputs.models}),
    }


def _inputs(inputs: events.InputsLogged) -> Iterable[events.DatasetInput]:
    """A data set is itself by name and digest, and the first one counts: as the fold has it."""
    found: dict[tuple[str, str], events.DatasetInput] = {}
    for one in inputs.datasets:
        found.setdefault((one.dataset.name, one.dataset.digest), one)
    return found.values()


def absent(there: Series, here: Series | None) -> tuple[Series | None, int]:
    """The points of there that here lacks, each as often as it lacks it; and how many here has over and above."""
    if here is None:
        return (there if len(there.step) else None), 0
    left, right = rows(there), rows(here)
    kind = np.dtype([("step", np.int64), ("timestamp_ms", np.int64), ("bits", np.int64)])
    wanted, wanted_counts = np.unique(left.view(kind).ravel(), return_counts=True)
    held, held_counts = np.unique(right.view(kind).ravel(), return_counts=True)
    both = dict(zip(held.tolist(), held_counts.tolist(), strict=True))
    lacking = [
        max(0, count - both.get(row, 0)) for row, count in zip(wanted.tolist(), wanted_counts.tolist(), strict=True)
    ]
    missing = np.repeat(wanted, lacking)
    more = len(right) - (len(left) - len(missing))
    if not len(missing):
        return None, more
    values = np.ascontiguousarray(missing["bits"]).view(np.float64)
    return Series(there.key, missing["step"].copy(), missing["timestamp_ms"].copy(), values), more


def differences(there: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    """What differs between the facts of a run in a source and here, a line each that names it."""
    found = []
    for name, wanted in there.items():
        held = here.get(name)
        if isinstance(wanted, dict) and isinstance(held, dict):
            for key in sorted({*wanted, *held}):
                if wanted.get(key) != held.get(key):
                    found.append(f"{name}.{key}: {_shown(wanted.get(key))} there, {_shown(held.get(key))} here")
        elif wanted != held:
            found.append(f"{name}: {_shown(wanted)} there, {_shown(held)} here")
    return found


def _shown(value: Any) -> str:
    text = "nothing" if value is None else repr(value)
    return text if len(text) <= 80 else f"{text[:77]}…"
