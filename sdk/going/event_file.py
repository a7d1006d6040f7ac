"""Exports runs as a portable file: the log's own events, byte for byte, with their files."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from headrace.ingest import codec, events
from headrace.sdk.coming.arrival import Arrival, NotTaken
from headrace.sdk.going.portable import Manifest, PortableFile, Writer
from headrace.sdk.going.selection import Progress, Selection, fetch, files_of, root_of

_RUN_CREATED = codec.type_of(events.RunCreated)
_EXPERIMENT = (codec.type_of(events.ExperimentCreated), codec.type_of(events.ExperimentRenamed))
RUNS_A_FILE_MAX = 100_000


def export_events(
    arrival: Arrival, selection: Selection, path: Path, files: bool, told: Callable[[Progress], None]
) -> Manifest:
    """Write a portable file of a selection; what is in it. files: artifacts too. Raises NotTaken, OSError.

    Runs that selected ones were forked from are in it too, and the experiments of all.
    """
    progress = Progress()
    chosen: dict[str, dict[str, Any]] = {}
    for run in selection.runs():
        chosen[str(run["info"]["run_id"])] = {"info": run["info"]} if files else {}
        if len(chosen) > RUNS_A_FILE_MAX:
            raise NotTaken(f"a portable file has up to {RUNS_A_FILE_MAX} runs; choose fewer, such as by experiment")
    run_ids, experiment_ids = set(chosen), dict[str, str]()
    left: list[str] = []
    with Writer(path) as writer:
        for envelope, frame in arrival.events(sorted(chosen), whole=True):
            if envelope.type == _RUN_CREATED:
                run_ids.add(envelope.subject)
            elif envelope.type in _EXPERIMENT:
                experiment_ids[envelope.subject] = _name(envelope, experiment_ids.get(envelope.subject, ""))
            writer.add(frame)
            progress.events += 1
            if progress.events % 1_000 == 0:
                told(progress)
        if files:
            _add_files(arrival, writer, chosen, run_ids - chosen.keys(), left, progress, told)
        writer.finish(arrival.url, sorted(run_ids), len(chosen), experiment_ids, left)
    written = PortableFile(path)
    written.close()
    return written.manifest


def _name(envelope: Any, before: str) -> str:
    """An experiment's name after an event."""
    try:
        event = codec.decode_event(envelope)
    except (codec.Malformed, codec.UnknownType):
        return before
    assert isinstance(event, events.ExperimentCreated | events.ExperimentRenamed)
    # The first to use a name has it; a second creation was refused.
    return before or event.name if isinstance(event, events.ExperimentCreated) else event.name


def _add_files(
    arrival: Arrival,
    writer: Writer,
    chosen: dict[str, dict[str, Any]],
    others: set[str],
    left: list[str],
    progress: Progress,
    told: Callable[[Progress], None],
) -> None:
    for run_id in others:
        found = arrival.run(run_id)
        if found is not None:
            chosen[run_id] = {"info": found["info"]}
    with tempfile.TemporaryDirectory(prefix="headrace-export-") as folder:
        local = Path(folder) / "file"
        for run_id, run in sorted(chosen.items()):
            for path in files_of(arrival, run, left):
                fetch(arrival, run_id, path, local)
                progress.bytes += writer.add_file(f"{root_of(run)}/{path}", local)
                progress.files += 1
                told(progress)
                local.unlink()
            progress.runs += 1
            told(progress)
