"""The portable file, `*.headrace`: a ZIP archive of the log's events as frames, files, and a manifest with checksums.

`manifest.json` names every other member with its size and SHA-256. `events/NNNNNN.frames` hold whole frames of
`headrace.ingest.codec`, to be read in order: experiments and logged models, then runs, then points. `artifacts/NNNNNN`
are files; the manifest says where each belongs.
"""

from __future__ import annotations

import hashlib
import os
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec
from headrace.ingest.clock import SystemClock
from headrace.sdk.version import VERSION

SUFFIX = ".headrace"
FORMAT_VERSION = 1
MEMBER_BYTES = 32 * 1024 * 1024
"""A member of frames ends with the frame that reaches this many bytes."""
_MANIFEST = "manifest.json"
_MANIFEST_BYTES_MAX = 512 * 1024 * 1024

# What reading an archive that is damaged, cut off or made by something else raises.
_FAULTS = (
    zipfile.BadZipFile, zlib.error, KeyError, OSError, EOFError, NotImplementedError, RuntimeError, ValueError
)  # fmt: skip


class Bad(Exception):
    """The file is no portable file, or not whole; the message says why."""


class Member(msgspec.Struct, frozen=True):
    """A part of the archive. size in bytes, before compression. events: how many it holds, if it holds frames."""

    name: str
    size: int
    sha256: str
    events: int = 0


class Artifact(msgspec.Struct, frozen=True):
    """A file. place: its path in the artifact store."""

    member: str
    place: str


class Manifest(msgspec.Struct, frozen=True):
    """What a portable file holds. run_ids: of all its runs; selected: how many of these were asked for.

    experiments: their names by id; registered_models: likewise. stages: that their
    versions could be in. left: what was to be in it and is not, a line each.
    """

    format: str
    version: int
    made_by: str
    time_ms: int
    source: str
    run_ids: list[str]
    selected: int
    experiments: dict[str, str]
    events: int
    members: list[Member]
    artifacts: list[Artifact] = []
    left: list[str] = []
    registered_models: dict[str, str] = {}
    stages: list[str] = []


class Writer:
    """Writes a portable file, which takes its name only once it is whole."""

    def __init__(self, path: Path, member_bytes: int = MEMBER_BYTES) -> None:
        self._path = path
        self._member_bytes = member_bytes
        self._part = path.with_name(f".{path.name}.{os.getpid()}.part")
        self._members: list[Member] = []
        self._artifacts: list[Artifact] = []
        self._frames: list[bytes] = []
        self._size = 0
        self.events = 0

    def __enter__(self) -> Writer:
        self._zip = zipfile.ZipFile(self._part, "w", zipfile.ZIP_DEFLATED, compresslevel=4)
        return self

    def add(self, frame: bytes) -> None:
        """Append one frame."""
        self._frames.append(frame)
        self._size += len(frame)
        self.events += 1
        if self._size >= self._member_bytes:
            self._flush()

    def add_file(self, place: str, file: Path) -> int:
        """Append a file, stored as it is; its size in bytes."""
        name = f"artifacts/{len(self._artifacts):06d}"
        digest, size = hashlib.sha256(), 0
        with open(file, "rb") as origin, self._zip.open(zipfile.ZipInfo(name), "w", force_zip64=True) as target:
            while block := origin.read(1024 * 1024):
                digest.update(block)
                size += len(block)
                target.write(block)
        self._members.append(Member(name, size, digest.hexdigest()))
        self._artifacts.append(Artifact(name, place))
        return size

    def finish(
        self,
        source: str,
        run_ids: list[str],
        selected: int,
        experiments: dict[str, str],
        left: list[str],
        registered: dict[str, str] | None = None,
        stages: list[str] | None = None,
    ) -> None:
        """Write the manifest; nothing may be added after it."""
        self._flush()
        manifest = Manifest(
            "headrace", FORMAT_VERSION, f"headrace {VERSION}", SystemClock().time_ms(), source, run_ids, selected,
            experiments, self.events, self._members, self._artifacts, left, registered or {}, stages or [],
        )  # fmt: skip
        self._zip.writestr(_MANIFEST, msgspec.json.format(msgspec.json.encode(manifest), indent=1))

    def _flush(self) -> None:
        if not self._frames:
            return
        data = b"".join(self._frames)
        name = f"events/{sum(x.name.startswith('events/') for x in self._members):06d}.frames"
        self._zip.writestr(name, data)
        self._members.append(Member(name, len(data), hashlib.sha256(data).hexdigest(), len(self._frames)))
        self._frames, self._size = [], 0

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._zip.close()
            if kind is None:
                with open(self._part, "rb") as written:
                    os.fsync(written.fileno())
                os.replace(self._part, self._path)
        finally:
            self._part.unlink(missing_ok=True)


class PortableFile:
    """A portable file to read. Raises Bad when it is none."""

    def __init__(self, path: Path) -> None:
        try:
            self._zip = zipfile.ZipFile(path)
        except _FAULTS as error:
            raise Bad(f"{path} is no portable file of Headrace, or was cut off: {error}") from error
        try:
            self.manifest = self._read_manifest(path)
        except BaseException:
            self._zip.close()
            raise

    def _read_manifest(self, path: Path) -> Manifest:
        try:
            info = self._zip.getinfo(_MANIFEST)
            if info.file_size > _MANIFEST_BYTES_MAX:
                raise Bad(f"{path} has a manifest of {info.file_size} bytes")
            manifest = msgspec.json.decode(self._zip.read(info), type=Manifest)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Bad(f"{path} has a manifest that cannot be read: {error}") from error
        except _FAULTS as error:
            raise Bad(f"{path} is no portable file of Headrace, or was cut off: {error}") from error
        if manifest.format != "headrace" or manifest.version > FORMAT_VERSION:
            raise Bad(f"{path} is of the version {manifest.version}, and this Headrace reads {FORMAT_VERSION}")
        return manifest

    def close(self) -> None:
        """Close the file."""
        self._zip.close()

    def check(self) -> Iterator[int]:
        """Compare every member with its checksum, and tell the bytes as they are read. Raises Bad."""
        for member in self.manifest.members:
            digest, size = hashlib.sha256(), 0
            for block in self._blocks(member.name, member.size):
                digest.update(block)
                size += len(block)
                yield len(block)
            if (size, digest.hexdigest()) != (member.size, member.sha256):
                raise Bad(f"{member.name} is not what the manifest says: it was damaged, or changed")

    def frames(self) -> Iterator[bytes]:
        """All frames, in blocks that may end within one. Raises Bad."""
        for member in self.manifest.members:
            if member.name.startswith("events/"):
                yield from self._blocks(member.name, member.size)

    def fetch(self, artifact: Artifact, target: Path) -> None:
        """Write an artifact's bytes to a local file. Raises Bad."""
        with open(target, "wb") as file:
            for block in self._blocks(artifact.member, None):
                file.write(block)

    def _blocks(self, name: str, size: int | None) -> Iterator[bytes]:
        try:
            with self._zip.open(name) as opened:
                read = 0
                while block := opened.read(1024 * 1024):
                    read += len(block)
                    if size is not None and read > size:
                        raise Bad(f"{name} is longer than the manifest says")
                    yield block
        except _FAULTS as error:
            raise Bad(f"{name} cannot be read: {error}") from error


def counts(manifest: Manifest) -> dict[str, Any]:
    """What people want to know of a file."""
    return {
        "runs": len(manifest.run_ids),
        "experiments": len(manifest.experiments),
        "registered_models": len(set(manifest.registered_models.values())),
        "events": manifest.events,
        "artifacts": len(manifest.artifacts),
    }
