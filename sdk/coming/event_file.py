"""Imports a portable file: every event as it was, under its own id, writer and sequence; what is there already stays.

Files are stored first, while the server does not know their runs: so it adds no event of its own for them.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from headrace.ingest import codec
from headrace.ingest.envelope import Envelope
from headrace.ingest.events import ExperimentCreated
from headrace.ingest.limits import artifact_path_fault
from headrace.sdk.coming.arrival import Arrival, NotTaken, Rejected, framed
from headrace.sdk.coming.options import Progress
from headrace.sdk.coming.source import Left, SourceFault
from headrace.sdk.going.portable import Bad, PortableFile
from headrace.sdk.transport import sha256_of

_CREATED = codec.type_of(ExperimentCreated)
_REQUEST_BYTES = 4 * 1024 * 1024
Hashes = npt.NDArray[np.uint64]


@dataclass(slots=True)
class FileReport:
    """What became of a portable file. sent, held: its events that were sent, and that were there before."""

    source: str
    target: str
    runs: list[str] = field(default_factory=list)
    events: int = 0
    sent: int = 0
    held: int = 0
    files: int = 0
    left: list[Left] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    skipped_deleted: int = 0

    @property
    def equal(self) -> bool:
        """Whether every event and file is there, byte for byte."""
        return not self.faults

    def totals(self) -> dict[str, int]:
        """Counts."""
        return {"runs": len(self.runs), **{x: getattr(self, x) for x in ("events", "sent", "held", "files")}}

    def differences(self) -> list[str]:
        """Every fault, a line each."""
        return self.faults

    def told(self) -> dict[str, Any]:
        """The report as JSON has it."""
        told = asdict(self)
        return {**told, "equal": self.equal, "totals": self.totals(), "left": [one._asdict() for one in self.left]}


class FileImport:
    """One import of a portable file."""

    def __init__(
        self, path: Path, arrival: Arrival, files: bool = True, told: Callable[[Progress], None] = lambda _: None
    ) -> None:
        """Raises SourceFault when it is no portable file."""
        try:
            self._file = PortableFile(path)
        except Bad as error:
            raise SourceFault(str(error)) from error
        self._arrival = arrival
        self._files = files
        self._told = told
        self.progress = Progress()
        self.report = FileReport(str(path), arrival.url)

    def run(self) -> FileReport:
        """Do it. Raises SourceFault, NotTaken; a damaged file changes nothing."""
        try:
            return self._run()
        except (Bad, codec.Malformed) as error:
            raise SourceFault(str(error)) from error
        finally:
            self._file.close()

    def _run(self) -> FileReport:
        manifest = self._file.manifest
        self.report.runs, self.report.events = list(manifest.run_ids), manifest.events
        for size in self._file.check():
            self.progress.bytes += size
            self._told(self.progress)
        known = self._experiments()
        self._check_registered()
        self._check_stages()
        if self._files:
            self._send_files()
        held = self._hashes(lambda envelope, _: _id_hash(envelope), data=False)
        self._send(held, known)
        whole = self._hashes(lambda _, frame: _hash(frame), data=True)
        for envelope, frame in framed(self._file.frames()):
            if _skipped(envelope, known) or _has(whole, _hash(frame)):
                continue
            what = f"event {envelope.id} ({envelope.type} of {envelope.subject})"
            self.report.faults.append(f"{what} is not there as it was")
        return self.report

    def _experiments(self) -> set[str]:
        """The ids of experiments that are there already. Raises NotTaken when a name has another id there."""
        known = set()
        for experiment_id, name in self._file.manifest.experiments.items():
            found = self._arrival.experiment(name)
            if found is None:
                continue
            if found.experiment_id != experiment_id:
                raise NotTaken(
                    f"the experiment {name!r} has the id {found.experiment_id} there, and {experiment_id} in the file:"
                    " rename one of them (`headrace experiments rename`)"
                )
            known.add(experiment_id)
        return known

    def _check_registered(self) -> None:
        """Raises NotTaken when the name of a registered model of the file is another's there."""
        ours = self._file.manifest.registered_models
        for name in sorted(set(ours.values())):
            held = self._arrival.registered(name)
            if held is not None and held.get("headrace", {}).get("registered_model_id") not in ours:
                raise NotTaken(
                    f"there is another registered model {name!r} already: rename one of them (`headrace models rename`)"
                )

    def _check_stages(self) -> None:
        """Raises NotTaken when versions of the file may be in stages that are none there."""
        there = {stage.lower() for stage in self._arrival.stages()} if self._file.manifest.stages else set()
        lacking = [stage for stage in self._file.manifest.stages if stage.lower() not in there]
        if lacking:
            raise NotTaken(
                f"the file has the stages {', '.join(lacking)} of its own: set them there first"
                " (`headrace models stages --set …`)"
            )

    def _send_files(self) -> None:
        with tempfile.TemporaryDirectory(prefix="headrace-import-") as folder:
            local = Path(folder) / "file"
            for artifact in self._file.manifest.artifacts:
                fault = artifact_path_fault(artifact.place)
                if fault is not None:
                    self.report.left.append(Left("", f"artifact {artifact.place!r}", fault))
                    continue
                self._file.fetch(artifact, local)
                sha256 = sha256_of(local)
                parent, _, name = artifact.place.rpartition("/")
                there = name in self._arrival.names_at(parent)
                if not there or self._arrival.sha256_at(artifact.place) != sha256:
                    self._arrival.put_at(artifact.place, local)
                    if self._arrival.sha256_at(artifact.place) != sha256:
                        self.report.faults.append(f"artifact {artifact.place} has another checksum there")
                self.report.files += 1
                self.progress.files += 1
                self._told(self.progress)

    def _send(self, held: Hashes, known: set[str]) -> None:
        frames: list[bytes] = []
        size = 0
        for envelope, frame in framed(self._file.frames()):
            if _skipped(envelope, known) or _has(held, _id_hash(envelope)):
                self.report.held += 1
                continue
            frames.append(frame)
            size += len(frame)
            self.report.sent += 1
            if size >= _REQUEST_BYTES:
                self._append(frames)
                frames, size = [], 0
                self.progress.runs_total, self.progress.runs = self.report.events, self.report.sent + self.report.held
                self._told(self.progress)
        self._append(frames)

    def _append(self, frames: list[bytes]) -> None:
        try:
            self._arrival.send(frames)
        except Rejected as error:
            # The others of the request are in the log.
            self.report.faults.append(str(error))

    def _hashes(self, hashed: Callable[[Envelope, bytes], int], data: bool) -> Hashes:
        """A hash of each event that the server has of the runs and experiments of the file, sorted; 8 bytes each."""
        manifest = self._file.manifest

        def found() -> Iterator[int]:
            for start in range(0, max(1, len(manifest.run_ids)), 50_000):
                run_ids = manifest.run_ids[start : start + 50_000]
                others = ([*manifest.experiments], [*manifest.registered_models]) if not start else ([], [])
                asked = self._arrival.events(run_ids, others[0], data=data, registered=others[1])
                for envelope, frame in asked:
                    yield hashed(envelope, frame)

        hashes = np.fromiter(found(), np.uint64)
        hashes.sort()
        return hashes


def _skipped(envelope: Envelope, known: set[str]) -> bool:
    """An experiment that is there, as the default one is everywhere, is not created once more."""
    return envelope.type == _CREATED and envelope.subject in known


def _has(hashes: Hashes, one: int) -> bool:
    place = int(np.searchsorted(hashes, np.uint64(one)))
    return place < len(hashes) and int(hashes[place]) == one


def _id_hash(envelope: Envelope) -> int:
    """Of what names an event: its type, source, subject and id."""
    return _hash("\0".join((envelope.type, envelope.source, envelope.subject, envelope.id)).encode("utf-8", "replace"))


def _hash(data: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")
