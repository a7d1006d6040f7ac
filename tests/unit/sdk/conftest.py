"""A clean SDK for each test: no settings from outside, a spool and a target of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from headrace.ingest.codec import decode_event
from headrace.ingest.envelope import Envelope
from headrace.ingest.events import Event
from headrace.ingest.log import Partition
from headrace.ingest.sqlite import SqliteLog
from headrace.sdk import cleaning, fluent
from headrace.sdk.process import process


@pytest.fixture(autouse=True)
def _clean_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("HEADRACE_", "MLFLOW_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(cleaning, "_warned", set())


class Target:
    """A folder target and what its log holds."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def envelopes(self, topic: str) -> list[Envelope]:
        log = SqliteLog(self.folder / "log.db")
        try:
            return [record.envelope for record in log.read(Partition(topic, 0), 0, 10**6, 2**40)]
        finally:
            log.close()

    def events(self, topic: str = "runs") -> list[tuple[str, Event]]:
        return [(envelope.subject, decode_event(envelope)) for envelope in self.envelopes(topic)]


@pytest.fixture
def target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Target]:
    """The fluent calls log to a folder of this test."""
    monkeypatch.setattr(fluent, "_active_experiment_id", None)
    fluent.init(tmp_path / "data", spool_dir=str(tmp_path / "spool"), record_environment=False, flush_interval_s=0.01)
    yield Target(tmp_path / "data")
    process.close()
