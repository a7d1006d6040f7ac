"""A folder of TensorBoard's event files: every folder in it that holds some is a run."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from headrace.sdk.coming.event_files import Damaged, Event, Value, double, events, fields
from headrace.sdk.coming.source import (
    BytesFile,
    Left,
    Series,
    SourceExperiment,
    SourceFault,
    SourceFile,
    SourceModel,
    SourceRegistered,
    SourceRun,
    derived_id,
    series_of,
    text_of,
    usable_key,
)

PATTERN = "*tfevents*"
_HPARAMS = "_hparams_/"
_ENDS = {1: "FINISHED", 2: "FAILED", 3: "RUNNING"}
_SUFFIXES = {b"\x89PNG": "png", b"\xff\xd8\xff": "jpg", b"GIF8": "gif"}


@dataclass(slots=True)
class _Read:
    """What the event files of one run hold, without images and texts, which are read again when they are asked for."""

    run_id: str
    scalars: dict[str, tuple[array[int], array[int], array[float]]] = field(default_factory=dict)
    params: dict[str, str] = field(default_factory=dict)
    plugins: dict[str, str] = field(default_factory=dict)
    first_s: float = 0.0
    last_s: float = 0.0
    status: str = "FINISHED"
    group: str = ""
    others: dict[tuple[str, str], int] = field(default_factory=dict)
    files: list[tuple[str, Path, int, int, int]] = field(default_factory=list)
    """Path here; event file, offset of the record, index of the value in it, and of the text in that."""


class TensorBoard:
    """One folder of runs."""

    system = "tensorboard"

    def __init__(self, root: Path) -> None:
        """Raises SourceFault when there are no event files in it."""
        self._root = root
        self._runs: dict[str, Path] = {}
        self._held: _Read | None = None
        self.left: list[Left] = []
        folders = sorted({file.parent for file in root.rglob(PATTERN) if file.is_file()})
        if not folders:
            raise SourceFault(f"{root} holds no event files (…tfevents…) of TensorBoard")
        for folder in folders:
            # By what is in it and not by where it lies, so that a copy of the folder is the same run.
            name = folder.relative_to(root).as_posix()
            self._runs[derived_id(self.system, name, _files(folder)[0].name)] = folder

    def close(self) -> None:
        """Nothing is open."""

    def experiments(self) -> list[SourceExperiment]:
        return [SourceExperiment("", self._root.resolve().name or "tensorboard")]

    def run_ids(self, experiment: SourceExperiment) -> list[str]:
        return list(self._runs)

    def run(self, run_id: str) -> SourceRun:
        read = self._read(run_id)
        folder = self._runs[run_id]
        name = folder.relative_to(self._root).as_posix()
        problems = tuple(
            Left(run_id, f"{count} values of {tag!r}", f"values of the kind {kind} are not carried over")
            for (tag, kind), count in sorted(read.others.items())
        )
        tags = {"tensorboard.run": name, **({"tensorboard.hparams.group": read.group} if read.group else {})}
        end_ms = 0 if read.status == "RUNNING" else _ms(read.last_s)
        return SourceRun(
            run_id, self._root.resolve().name if name == "." else name, "", read.status, _ms(read.first_s), end_ms,
            params=read.params, tags=tags, problems=problems,
        )  # fmt: skip

    def series(self, run_id: str) -> Iterator[Series]:
        read = self._read(run_id)
        for tag in sorted(read.scalars):
            step, timestamp_ms, value = read.scalars[tag]
            yield series_of(tag, step, timestamp_ms, value)

    def files(self, run_id: str) -> Iterator[SourceFile]:
        for path, file, offset, index, text in self._read(run_id).files:
            event = next(events(file, offset))
            yield BytesFile(path, _texts(event.values[index])[text])

    def models(self, experiment: SourceExperiment) -> Iterator[SourceModel]:
        return iter(())

    def model_files(self, model_id: str) -> Iterator[SourceFile]:
        return iter(())

    def registered(self) -> Iterator[SourceRegistered]:
        return iter(())

    def _read(self, run_id: str) -> _Read:
        """What a run holds; of the last one that was asked for it is kept. Raises SourceFault."""
        if self._held is not None and self._held.run_id == run_id:
            return self._held
        self._held = None
        read = _Read(run_id)
        for file in _files(self._runs[run_id]):
            try:
                for event in events(file):
                    self._take(read, file, event)
            except Damaged as error:
                self.left.append(Left(run_id, f"what follows in {file.relative_to(self._root)}", str(error)))
            except OSError as error:
                raise SourceFault(f"{file} cannot be read: {error.strerror}") from error
        self._held = read
        return read

    def _take(self, read: _Read, file: Path, event: Event) -> None:
        if event.wall_time > 0 and math.isfinite(event.wall_time):
            read.first_s = min(read.first_s or event.wall_time, event.wall_time)
            read.last_s = max(read.last_s, event.wall_time)
        for index, value in enumerate(event.values):
            # Writers name the plugin in the first event of a tag only.
            plugin = read.plugins.setdefault(value.tag, value.plugin) or value.plugin
            if value.tag.startswith(_HPARAMS):
                _take_hparams(read, value)
            elif value.number is not None and plugin in ("", "scalars"):
                step, timestamp_ms, number = read.scalars.setdefault(value.tag, (array("q"), array("q"), array("d")))
                step.append(event.step)
                timestamp_ms.append(_ms(event.wall_time))
                number.append(value.number)
            elif (value.kind == "image" or plugin in ("images", "text")) and _texts(value):
                folder = "text" if plugin == "text" else "images"
                for place, text in enumerate(_texts(value)):
                    suffix = "txt" if folder == "text" else _suffix(text)
                    name = f"{folder}/{usable_key(value.tag)}/{event.step:08d}-{_ms(event.wall_time)}-{place}.{suffix}"
                    read.files.append((name, file, event.offset, index, place))
            elif value.kind != "nothing" or plugin:
                kind = (value.tag, plugin or value.kind)
                read.others[kind] = read.others.get(kind, 0) + 1


def _files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.glob(PATTERN) if file.is_file())


def _texts(value: Value) -> list[bytes]:
    """The images or texts of a value; a tensor of images begins with two strings, width and height."""
    if value.kind == "tensor" and len(value.texts) > 2 and all(text.isdigit() for text in value.texts[:2]):
        return value.texts[2:]
    return value.texts


def _suffix(image: bytes) -> str:
    return next((suffix for head, suffix in _SUFFIXES.items() if image.startswith(head)), "bin")


def _ms(seconds: float) -> int:
    """Milliseconds; 0 for a time that no clock has."""
    return round(seconds * 1000) if math.isfinite(seconds) and abs(seconds) < 2**52 else 0


def _take_hparams(read: _Read, value: Value) -> None:
    """Params, group, start and end, as the plugin hparams keeps them. Raises ValueError, IndexError."""
    for number, data in fields(value.content):
        if number == 3:
            for inner, given in fields(data):
                if inner == 1:
                    entry = dict(fields(given))
                    read.params[text_of(entry.get(1, b"").decode("utf-8", "replace"))] = _param(entry.get(2, b""))
                elif inner == 4:
                    read.group = text_of(given.decode("utf-8", "replace"))
                elif inner == 5 and double(given) > 0:
                    read.first_s = double(given)
        elif number == 4:
            told = dict(fields(data))
            read.status = _ENDS.get(told.get(1, 0), read.status)
            if isinstance(told.get(2), bytes):
                read.last_s = max(read.last_s, double(told[2]))


def _param(data: bytes) -> str:
    """A `google.protobuf.Value` as text: 64 and not 64.0, since hparams has no whole numbers."""
    for number, value in fields(data):
        if number == 2:
            found = double(value)
            return str(int(found)) if found.is_integer() and abs(found) < 2**53 else repr(found)
        if number == 3:
            return text_of(value.decode("utf-8", "replace"))
        if number == 4:
            return str(bool(value))
    return ""
