"""What was written once is read for ever: a file an event type and version, never changed, only joined by others.

A new version of a type gets a new file (`<type>.v2.json`); a change that breaks an old file breaks old logs.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import msgspec
import pytest
from headrace.ingest import events, points
from headrace.ingest.codec import KNOWN_SCHEMA_VERSION, decode_envelope, decode_event, decode_frames
from headrace.ingest.envelope import Envelope
from headrace.ingest.log import Position, Record
from headrace.ingest.topics import REGISTRY, RUNS, is_of_run, topic_of
from headrace.processors import metrics, runs
from headrace.processors.outcome import APPLIED
from headrace.processors.registry import Registry

HERE = Path(__file__).parent
FILES = sorted(HERE.glob("headrace.*.json"))
_BEFORE = {
    "headrace.run.erasing": ["headrace.run.deleted"],
    "headrace.run.erased": ["headrace.run.deleted", "headrace.run.erasing"],
    "headrace.experiment.erased": ["headrace.experiment.deleted"],
    "headrace.logged-model.erased": ["headrace.logged-model.deleted"],
    "headrace.endpoint.updated": ["headrace.endpoint.created"],
    "headrace.endpoint.deleted": ["headrace.endpoint.created"],
    "headrace.saved-view.updated": ["headrace.saved-view.created"],
    "headrace.saved-view.deleted": ["headrace.saved-view.created"],
    "headrace.registered-model.erased": ["headrace.registered-model.deleted"],
    "headrace.registered-model.comment-updated": ["headrace.registered-model.comment-created"],
    "headrace.registered-model.comment-deleted": ["headrace.registered-model.comment-created"],
    "headrace.model-version.transition-approved": ["headrace.model-version.transition-requested"],
    "headrace.model-version.transition-rejected": ["headrace.model-version.transition-requested"],
    "headrace.model-version.transition-withdrawn": ["headrace.model-version.transition-requested"],
}
"""What has to come before some events."""


def envelope(file: Path) -> tuple[Envelope, Any]:
    """The envelope of a file, and its data as plain JSON."""
    held = json.loads(file.read_text(encoding="utf-8"))
    data = json.dumps(held["data"], ensure_ascii=False).encode()
    return decode_envelope(json.dumps(held["attributes"]).encode(), data), held["data"]


def test_every_event_type_and_version_has_its_file() -> None:
    versions = range(1, KNOWN_SCHEMA_VERSION + 1)
    assert {f"{kind}.v1.json" for kind in events.TYPES} <= {file.name for file in FILES}
    assert {file.name.rsplit(".v", 1)[0] for file in FILES} <= set(events.TYPES)
    assert all((HERE / f"{events.METRICS_LOGGED}.v{version}.arrow").exists() for version in versions)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_an_event_is_read_with_every_value_it_was_written_with(file: Path) -> None:
    found, data = envelope(file)
    event = decode_event(found)
    assert type(event) is events.TYPES[found.type]
    names = [field.encode_name for field in msgspec.structs.fields(type(event))]
    assert set(data) <= set(names)
    read = msgspec.to_builtins(event)
    assert {name: read[name] for name in data} == data
    assert (found.subject, found.time_ms, found.actor) == (found.subject, 1700000000001, "ada")


@pytest.mark.parametrize("kind", sorted(events.TYPES))
def test_every_field_of_today_is_in_a_file(kind: str) -> None:
    held = {name for file in FILES if file.name.startswith(f"{kind}.v") for name in envelope(file)[1]}
    assert held == {field.encode_name for field in msgspec.structs.fields(events.TYPES[kind])}


@pytest.mark.parametrize(
    "file",
    [x for x in FILES if "rejected" not in x.name and topic_of(x.name) == RUNS and is_of_run(x.name)],
    ids=lambda file: file.stem,
)
def test_the_fold_of_runs_takes_every_event(file: Path) -> None:
    found, _ = envelope(file)
    before = None
    for kind in _BEFORE.get(found.type, ()):
        earlier = msgspec.structs.replace(envelope(HERE / f"{kind}.v1.json")[0], writer="", sequence=0)
        before, _ = runs.apply(before, Record(Position(RUNS, 0, 0), 5, earlier), decode_event(earlier))
    state, outcome = runs.apply(before, Record(Position(RUNS, 0, 0), 5, found), decode_event(found))
    assert outcome.kind == APPLIED
    assert (state.run_id, state.offset, state.writers) == ("run-1", 0, {"host-1-42": 1})


@pytest.mark.parametrize("file", [x for x in FILES if topic_of(x.name) == REGISTRY], ids=lambda file: file.stem)
def test_the_fold_of_the_registry_takes_every_event(file: Path) -> None:
    registry = Registry()
    kinds = ("experiment", "logged-model", "registered-model", "model-version")
    created = [HERE / f"headrace.{kind}.created.v1.json" for kind in kinds]
    earlier = [HERE / f"{kind}.v1.json" for kind in _BEFORE.get(envelope(file)[0].type, ())]
    before = created[: created.index(file)] if file in created else created + earlier
    for offset, each in enumerate([*before, file]):
        found, _ = envelope(each)
        found = msgspec.structs.replace(found, writer="", sequence=0)
        outcome = registry.apply(Record(Position("registry", 0, offset), 5, found), decode_event(found))
        assert outcome.kind == APPLIED


def test_metric_points_are_read_to_the_bit() -> None:
    table = points.decode((HERE / "headrace.metrics.logged.v1.arrow").read_bytes())
    assert table.column("key").to_pylist() == ["loss", "loss", "val/acc", "val/acc", "ü"]
    assert table.column("step").to_pylist() == [1, -1, 2**63 - 1, -(2**63), 0]
    assert table.column("timestamp_ms").to_pylist() == [1700000000000, 1700000000001, 0, -5, 1]
    values = table.column("value").to_pylist()
    assert (values[0], values[2:4], math.copysign(1, values[4])) == (0.5, [math.inf, -math.inf], -1.0)
    assert math.isnan(values[1])
    assert table.column("model_id").to_pylist() == ["m-1", "", "", "m-1", ""]
    assert table.column("dataset_name").to_pylist()[0] == "train"


def test_metric_points_of_a_large_batch_are_read_and_folded() -> None:
    table = points.decode((HERE / "headrace.metrics.logged.v1.many.arrow").read_bytes())
    rows = metrics.rows([(Record(Position("metrics", 0, 7), 5, Envelope("", "", "", "run-1", 0, b"")), table)])
    found = {key: (summary.points, summary.last_value, summary.offset) for _, key, summary in metrics.summaries(rows)}
    assert found == {"acc": (32, 15.75, 7), "loss": (32, 7.75, 7)}


def test_frames_are_read() -> None:
    items = [item for item, _ in decode_frames((HERE / "frames.v1.bin").read_bytes())]
    assert [(x.id, x.sequence) for x in items if isinstance(x, Envelope)] == [("id-1", 3), ("id-2", 1)]
