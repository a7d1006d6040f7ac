from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
from headrace.ingest import events, points
from headrace.ingest.codec import Malformed
from headrace.ingest.envelope import Envelope
from headrace.sdk.buffer import ARTIFACT
from headrace.sdk.pipeline import Pipeline
from headrace.sdk.settings import Settings, resolve
from headrace.sdk.sync import sync
from headrace.sdk.transport import Artifact, Receipt, Unavailable


class MemoryTarget:
    """A target in memory that can be down."""

    def __init__(self) -> None:
        self.envelopes: list[Envelope] = []
        self.order: list[str] = []
        self.files: dict[str, bytes] = {}
        self.up = threading.Event()
        self.up.set()
        self.asked = threading.Event()

    def send(self, frames: bytes, items: Sequence[Envelope | Malformed]) -> Receipt:
        self.asked.set()
        if not self.up.is_set():
            raise Unavailable("down")
        found = [item for item in items if isinstance(item, Envelope)]
        self.envelopes += found
        self.order += [item.type for item in found]
        return Receipt(len(found))

    def put_artifact(self, artifact: Artifact, file: Path) -> None:
        if not self.up.is_set():
            raise Unavailable("down")
        self.files[artifact.path] = file.read_bytes()
        self.order.append("artifact")

    def close(self) -> None:
        pass

    def values(self) -> list[float]:
        metrics = [e for e in self.envelopes if e.type == events.METRICS_LOGGED]
        return [value for e in metrics for value in points.decode(e.data)["value"].to_pylist()]


def settings_of(tmp_path: Path, **changes: object) -> Settings:
    quick = {
        "flush_interval_s": 0.01,
        "retry_interval_min_s": 0.01,
        "retry_interval_max_s": 0.05,
        "exit_timeout_s": 0.2,
    }
    named = {"tracking_uri": str(tmp_path / "data"), "spool_dir": str(tmp_path / "spool"), "adopt_orphans": False}
    return resolve({**quick, **named, **changes}, {})


def put(pipeline: Pipeline, value: float) -> None:
    buffer = pipeline.buffer
    if len(buffer.entries) < buffer.limit or buffer.admit():
        buffer.entries.append(("r", "k", 0, 0, value))


def test_what_is_put_reaches_the_target_and_the_spool_is_gone_afterwards(tmp_path: Path) -> None:
    target = MemoryTarget()
    pipeline = Pipeline(settings_of(tmp_path), lambda: target)
    pipeline.event("r", events.RunCreated("0", 1))
    for value in range(100):
        put(pipeline, float(value))
    assert pipeline.flush(10)
    assert target.values() == [float(value) for value in range(100)]
    assert pipeline.close(5) == ""
    assert list((tmp_path / "spool").iterdir()) == []


def test_nothing_starts_before_something_is_put(tmp_path: Path) -> None:
    pipeline = Pipeline(settings_of(tmp_path))
    assert not pipeline.running
    assert pipeline.flush(0) is True
    assert pipeline.close(0) == ""
    assert not (tmp_path / "spool").exists()


def test_a_target_that_is_down_holds_nothing_up_and_gets_everything_once_when_it_is_back(tmp_path: Path) -> None:
    target = MemoryTarget()
    target.up.clear()
    pipeline = Pipeline(settings_of(tmp_path), lambda: target)
    for value in range(500):
        put(pipeline, float(value))
    assert target.asked.wait(10)
    assert pipeline.flush(0.05) is False
    target.up.set()
    assert pipeline.flush(10)
    assert target.values() == [float(value) for value in range(500)]
    assert [e.sequence for e in target.envelopes] == list(range(1, len(target.envelopes) + 1))
    pipeline.close(5)


def test_closing_with_the_target_down_is_bounded_says_what_is_left_and_sync_ships_it(tmp_path: Path) -> None:
    target = MemoryTarget()
    target.up.clear()
    settings = settings_of(tmp_path)
    pipeline = Pipeline(settings, lambda: target)
    put(pipeline, 1.0)
    artifact = pipeline.stage.write(b"text", "r", "0", "a.txt")
    pipeline.buffer.put("r", ARTIFACT, 0, artifact)
    left = pipeline.close(0.3)
    assert "1 events and 1 artifacts" in left
    assert "headrace sync" in left
    target.up.set()
    report = sync(settings.spool_dir, settings=settings, transport=lambda uri, s: target)
    assert (report.events, report.artifacts, report.complete) == (1, 1, True)
    assert target.values() == [1.0]
    assert target.files == {"a.txt": b"text"}
    assert list((tmp_path / "spool").iterdir()) == []


def test_an_artifact_waits_for_the_events_it_follows(tmp_path: Path) -> None:
    target = MemoryTarget()
    pipeline = Pipeline(settings_of(tmp_path), lambda: target)
    pipeline.event("r", events.RunCreated("0", 1))
    pipeline.buffer.put("r", ARTIFACT, 0, pipeline.stage.write(b"x", "r", "0", "a"))
    assert pipeline.flush(10)
    assert target.order == ["headrace.run.created", "artifact"]
    pipeline.close(5)


def test_a_spool_that_cannot_be_written_drops_and_counts_beyond_the_bound(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "spool").write_text("a file where the folder should be")
    pipeline = Pipeline(settings_of(tmp_path, buffer_points_max=100), MemoryTarget)
    for value in range(1000):
        put(pipeline, float(value))
    assert len(pipeline.buffer.entries) <= 100
    left = pipeline.close(1.0)
    assert "points were dropped" in left
    assert "could not be written" in left
    assert "cannot make the spool" in caplog.text


def test_offline_only_writes_the_spool(tmp_path: Path) -> None:
    target = MemoryTarget()
    pipeline = Pipeline(settings_of(tmp_path, offline=True), lambda: target)
    put(pipeline, 1.0)
    assert pipeline.flush(10)
    assert "headrace sync" in pipeline.close(1)
    assert target.envelopes == []


def test_open_runs_have_heartbeats_until_they_are_closed(tmp_path: Path) -> None:
    target = MemoryTarget()
    pipeline = Pipeline(settings_of(tmp_path, heartbeat_interval_s=0.01), lambda: target)
    pipeline.open_run("r")
    pipeline.event("r", events.RunCreated("0", 1))
    while target.order.count("headrace.run.heartbeat") < 2:
        pipeline.flush(1.0)
    pipeline.close_run("r")
    pipeline.close(5)


def test_the_next_process_ships_what_a_dead_one_left(tmp_path: Path) -> None:
    target = MemoryTarget()
    target.up.clear()
    first = Pipeline(settings_of(tmp_path), lambda: target)
    put(first, 1.0)
    first.close(0.2)
    settings = settings_of(tmp_path, adopt_orphans=True)
    second = Pipeline(settings)
    put(second, 2.0)
    assert second.flush(10)
    adoption = second._adoption._thread
    adoption.join(10)
    assert not first.directory.exists()
    assert second.close(5) == ""


def test_an_artifact_the_target_does_not_take_now_holds_up_no_other_run(tmp_path: Path) -> None:
    class Choosy(MemoryTarget):
        def put_artifact(self, artifact: Artifact, file: Path) -> None:
            if artifact.run_id == "unknown":
                raise Unavailable("no such run")
            super().put_artifact(artifact, file)

    target = Choosy()
    pipeline = Pipeline(settings_of(tmp_path), lambda: target)
    for run_id, path in (("unknown", "a"), ("r", "b"), ("unknown", "c"), ("r", "d")):
        pipeline.buffer.put(run_id, ARTIFACT, 0, pipeline.stage.write(b"x", run_id, "0", path))
    assert pipeline.flush(0.5) is False
    assert list(target.files) == ["b", "d"]
    assert "2 artifacts" in pipeline.close(0.2)
