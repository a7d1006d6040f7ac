"""Exports runs as a portable file: the log's own events, byte for byte, with their files."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from headrace.ingest import codec, events
from headrace.ingest import model_events as m
from headrace.ingest.limits import artifact_path_fault
from headrace.sdk.coming.arrival import Arrival, NotTaken
from headrace.sdk.going.portable import Manifest, PortableFile, Writer
from headrace.sdk.going.selection import STORE, Progress, Selection, fetch, files_of, root_of

_RUN_CREATED = codec.type_of(events.RunCreated)
_LOGGED_MODEL = codec.type_of(events.LoggedModelCreated)
_REGISTERED = (codec.type_of(m.RegisteredModelCreated), codec.type_of(m.RegisteredModelRenamed))
_EXPERIMENT = (codec.type_of(events.ExperimentCreated), codec.type_of(events.ExperimentRenamed))
RUNS_A_FILE_MAX = 100_000


def export_events(
    arrival: Arrival,
    selection: Selection,
    path: Path,
    files: bool,
    told: Callable[[Progress], None],
    registered: Sequence[str] = (),
) -> Manifest:
    """Write a portable file of a selection; what is in it. files: artifacts too. Raises NotTaken, OSError.

    Runs that selected ones were forked from are in it too, the experiments of all, and the registered models of which
    one of them made a version. registered: names of others.
    """
    progress = Progress()
    chosen: dict[str, dict[str, Any]] = {}
    for run in selection.runs():
        chosen[str(run["info"]["run_id"])] = {"info": run["info"]} if files else {}
        if len(chosen) > RUNS_A_FILE_MAX:
            raise NotTaken(f"a portable file has up to {RUNS_A_FILE_MAX} runs; choose fewer, such as by experiment")
    run_ids, experiment_ids = set(chosen), dict[str, str]()
    left: list[str] = []
    models: dict[str, str] = {}
    roots: dict[str, str] = {}
    with Writer(path) as writer:
        for envelope, frame in arrival.events(sorted(chosen), whole=True, registered=registered):
            if envelope.type == _RUN_CREATED:
                run_ids.add(envelope.subject)
            elif envelope.type in _EXPERIMENT:
                experiment_ids[envelope.subject] = _name(envelope, experiment_ids.get(envelope.subject, ""))
            elif envelope.type in _REGISTERED:
                models[envelope.subject] = _name(envelope, models.get(envelope.subject, ""))
            elif envelope.type == _LOGGED_MODEL:
                roots[envelope.subject] = _root_of_model(envelope)
            writer.add(frame)
            progress.events += 1
            if progress.events % 1_000 == 0:
                told(progress)
        if files:
            _add_files(arrival, writer, chosen, run_ids - chosen.keys(), left, progress, told)
            _add_model_files(arrival, writer, roots, left, progress, told)
        stages = arrival.stages() if models else []
        writer.finish(arrival.url, sorted(run_ids), len(chosen), experiment_ids, left, models, stages)
    written = PortableFile(path)
    written.close()
    return written.manifest


def _name(envelope: Any, before: str) -> str:
    """The name of an experiment or registered model after an event."""
    try:
        event = codec.decode_event(envelope)
    except (codec.Malformed, codec.UnknownType):
        return before
    assert isinstance(event, events.ExperimentCreated | events.ExperimentRenamed | _REGISTERED_EVENTS)
    # The first to use a name has it; a second creation was refused.
    created = isinstance(event, events.ExperimentCreated | m.RegisteredModelCreated)
    return before or event.name if created else event.name


_REGISTERED_EVENTS = m.RegisteredModelCreated | m.RegisteredModelRenamed


def _root_of_model(envelope: Any) -> str:
    """Where the files of a logged model lie, as a URI; empty where its event cannot be read."""
    try:
        event = codec.decode_event(envelope)
    except (codec.Malformed, codec.UnknownType):
        return ""
    assert isinstance(event, events.LoggedModelCreated)
    root = event.artifact_root.rstrip("/") or f"{STORE}{event.experiment_id}"
    return f"{root}/models/{envelope.subject}/artifacts"


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


def _add_model_files(
    arrival: Arrival,
    writer: Writer,
    roots: Mapping[str, str],
    left: list[str],
    progress: Progress,
    told: Callable[[Progress], None],
) -> None:
    """The files of logged models. roots: where those of each lie."""
    with tempfile.TemporaryDirectory(prefix="headrace-export-") as folder:
        local = Path(folder) / "file"
        for model_id, root in sorted(roots.items()):
            if not root.startswith(STORE):
                left.append(f"files of the logged model {model_id}: they are in {root}")
                continue
            place = root.removeprefix(STORE).strip("/")
            for path in arrival.files_at(place):
                fault = artifact_path_fault(path)
                if fault is not None:
                    left.append(f"file {path!r} of the logged model {model_id}: {fault}")
                    continue
                arrival.fetch_at(f"{place}/{path}", local)
                progress.bytes += writer.add_file(f"{place}/{path}", local)
                progress.files += 1
                told(progress)
                local.unlink()
