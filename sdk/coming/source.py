"""What an import reads from: the protocol of a source, and what it gives, in the words of Headrace."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
from headrace.ingest import events
from headrace.ingest.limits import INT64_MAX, INT64_MIN, KEY_CHARS_MAX, key_fault

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class SourceFault(Exception):
    """What is to be imported cannot be read; the message says what and why."""


class Left(NamedTuple):
    """Something that is not carried over. run_id: of the run it belongs to, or empty. why: in words."""

    run_id: str
    what: str
    why: str


class Series(NamedTuple):
    """The points of one metric, in any order. model_id: one a point, empty text for none; or None where none has one.

    Times in ms since the epoch, UTC.
    """

    key: str
    step: Integers
    timestamp_ms: Integers
    value: Floats
    model_id: list[str] | None = None


@dataclass(frozen=True, slots=True)
class SourceExperiment:
    """An experiment there. key: names it within its source."""

    key: str
    name: str
    tags: Mapping[str, str] = field(default_factory=dict)
    creation_time_ms: int = 0
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class SourceRun:
    """A run there, without its points and files. end_time_ms: 0 for none. problems: what of it is not carried over."""

    run_id: str
    name: str = ""
    user_id: str = ""
    status: str = "RUNNING"
    start_time_ms: int = 0
    end_time_ms: int = 0
    deleted: bool = False
    deleted_time_ms: int = 0
    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    inputs: events.InputsLogged = field(default_factory=events.InputsLogged)
    outputs: events.OutputsLogged = field(default_factory=events.OutputsLogged)
    problems: tuple[Left, ...] = ()


@dataclass(frozen=True, slots=True)
class SourceModel:
    """A logged model there, of MLflow 3. Times in ms since the epoch."""

    model_id: str
    name: str
    source_run_id: str = ""
    model_type: str = ""
    status: str = "LOGGED_MODEL_READY"
    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    creation_time_ms: int = 0
    update_time_ms: int = 0
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class SourceVersion:
    """A version there. source: the URI it was made from; location: where its files lie. Times in ms since the epoch."""

    version: int
    creation_time_ms: int = 0
    update_time_ms: int = 0
    user_id: str = ""
    stage: str = "None"
    description: str = ""
    source: str = ""
    location: str = ""
    run_id: str = ""
    run_link: str = ""
    model_id: str = ""
    status: str = "READY"
    status_message: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SourceRegistered:
    """A registered model there. versions: in the order of their numbers; aliases: the version of each."""

    name: str
    description: str = ""
    creation_time_ms: int = 0
    update_time_ms: int = 0
    tags: Mapping[str, str] = field(default_factory=dict)
    aliases: Mapping[str, int] = field(default_factory=dict)
    versions: tuple[SourceVersion, ...] = ()


class SourceFile(Protocol):
    """A file of a run or model there. path: below its root, as `artifact_path_fault` allows."""

    @property
    def path(self) -> str:
        """Where it lies below its root."""
        ...

    def fetch(self, target: Path) -> None:
        """Write its bytes to a local file. Raises SourceFault, OSError."""
        ...


class Source(Protocol):
    """A tracker's data. For one thread. Every method raises SourceFault."""

    system: str
    """Whose data it is; ids and writers are derived from this and from what is in it, never from where it lies."""
    left: list[Left]
    """What it met on the way and does not give; it grows while the source is read."""

    def experiments(self) -> list[SourceExperiment]:
        """All of them, deleted ones too."""
        ...

    def run_ids(self, experiment: SourceExperiment) -> list[str]:
        """The ids its runs will have here, deleted ones too; as the source names them where those are ids here."""
        ...

    def run(self, run_id: str) -> SourceRun:
        """One of the runs that run_ids named."""
        ...

    def series(self, run_id: str) -> Iterator[Series]:
        """Its metrics, each once, in key order. The whole of one is in memory at a time."""
        ...

    def files(self, run_id: str) -> Iterator[SourceFile]:
        """Its files."""
        ...

    def models(self, experiment: SourceExperiment) -> Iterator[SourceModel]:
        """The logged models of an experiment."""
        ...

    def model_files(self, model_id: str) -> Iterator[SourceFile]:
        """The files of a logged model."""
        ...

    def registered(self) -> Iterator[SourceRegistered]:
        """The registered models, with all their versions."""
        ...

    def close(self) -> None:
        """Let go of files and connections."""
        ...


class LocalFile:
    """A file on this machine."""

    def __init__(self, path: str, file: Path) -> None:
        self.path = path
        self._file = file

    def fetch(self, target: Path) -> None:
        with open(self._file, "rb") as origin:
            copy(origin, target)


class BytesFile:
    """A file that was made of what the source holds."""

    def __init__(self, path: str, data: bytes) -> None:
        self.path = path
        self._data = data

    def fetch(self, target: Path) -> None:
        target.write_bytes(self._data)


def copy(origin: BinaryIO, target: Path) -> None:
    """Copy in blocks."""
    with open(target, "wb") as file:
        while block := origin.read(1024 * 1024):
            file.write(block)


def derived_id(*parts: str) -> str:
    """An id of 32 hex digits that these words always get."""
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def usable_key(name: str) -> str:
    """A name as a key of a param, metric or tag: itself where it is one, else one that no other name gets."""
    if key_fault(name) is None:
        return name
    mended = "/".join(part for part in re.sub(r"[^/\w.\-\s:]", "_", name).split("/") if part not in ("", ".", ".."))
    mark = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    mended = f"{mended[: KEY_CHARS_MAX - 9]}-{mark}"
    return mended if key_fault(mended) is None else f"name-{mark}"


def text_of(value: Any) -> str:
    """A value of a source as text that UTF-8 can hold."""
    return str(value).encode("utf-8", "replace").decode("utf-8")


def integer(value: Any, what: str) -> int:
    """A value of a source as an int64. Raises SourceFault, naming what it is of."""
    try:
        number = int(value or 0)
    except (TypeError, ValueError, OverflowError) as error:
        raise SourceFault(f"{what} is {str(value)[:100]!r}, and not a whole number") from error
    if not INT64_MIN <= number <= INT64_MAX:
        raise SourceFault(f"{what} is {str(number)[:40]}, which no 64 bits hold")
    return number


def series_of(key: str, step: Any, timestamp_ms: Any, value: Any, model_id: list[str] | None = None) -> Series:
    """A series of columns that are lists, or arrays. Raises SourceFault for numbers that do not fit."""
    try:
        columns = (
            np.asarray(step, dtype=np.int64),
            np.asarray(timestamp_ms, dtype=np.int64),
            np.asarray(value, dtype=np.float64),
        )
    except (TypeError, ValueError, OverflowError) as error:
        raise SourceFault(f"the points of {key!r} are no numbers of 64 bits: {error}") from error
    return Series(key, *columns, model_id)


def unclamped(values: Floats) -> Floats:
    """MLflow's servers and databases keep infinities as the greatest floats: make them infinities again."""
    greatest = np.finfo(np.float64).max
    return np.where(values >= greatest, np.inf, np.where(values <= -greatest, -np.inf, values))
