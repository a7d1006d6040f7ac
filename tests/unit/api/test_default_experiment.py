"""A folder that trainers logged to before any server saw it."""

from __future__ import annotations

from pathlib import Path

from headrace.ingest import codec, events
from headrace.ingest.envelope import Envelope
from headrace.ingest.limits import experiment_id_of
from headrace.ingest.sqlite import SqliteLog

from .conftest import Server


def test_the_default_experiment_is_there_although_others_were_first(tmp_path: Path) -> None:
    log = SqliteLog(tmp_path / "log.db")
    created = events.ExperimentCreated("mine", if_absent=True)
    data = codec.encode_event(created)
    log.append(
        [Envelope("1", codec.type_of(created), "sdk", experiment_id_of("mine"), 5, data, writer="w", sequence=1)]
    )
    log.close()
    server = Server(tmp_path)
    try:
        found = server.post("experiments/search", max_results=10)["experiments"]
        assert {x["name"] for x in found} == {"mine", "Default"}
    finally:
        server.close()
