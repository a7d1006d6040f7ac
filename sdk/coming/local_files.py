"""Files below a local folder that a source names: nothing outside of it is read, whatever links say."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from headrace.sdk.coming.source import Left, LocalFile, SourceFault

SMALL_BYTES_MAX = 16 * 1024 * 1024
"""What is read at once: a description, a param, a tag."""


def files_below(folder: Path, run_id: str, left: list[Left]) -> Iterator[LocalFile]:
    """Every file below a folder, in the order of their paths. A link that leads out of it is written into left."""
    root = folder.resolve()
    for parent, folders, names in os.walk(folder):
        folders.sort()
        for name in [*folders]:
            if (Path(parent) / name).is_symlink():
                folders.remove(name)
                left.append(Left(run_id, f"artifact {(Path(parent) / name).relative_to(folder)}", "it is a link"))
        for name in sorted(names):
            file = Path(parent) / name
            path = file.relative_to(folder).as_posix()
            if not file.resolve().is_relative_to(root):
                left.append(Left(run_id, f"artifact {path}", "it is a link that leads out of the folder"))
            elif not file.is_file():
                left.append(Left(run_id, f"artifact {path}", "it is no regular file"))
            else:
                yield LocalFile(path, file)


def folder_of(uri: str, owner: str, proxied: Path | None = None) -> Path | str:
    """The local folder of an artifact URI of a run or model, or why it is none.

    owner: the run's or model's id. MLflow puts artifacts into `<owner>/artifacts`; no other folder is read, so that no
    source can name one of its choice. proxied: where what the URIs `mlflow-artifacts:/` name lies.
    """
    parts = urlsplit(uri)
    if parts.scheme == "mlflow-artifacts":
        if proxied is None:
            return f"they are in {uri}: import from its server, or name the folder it keeps them in (--artifacts-from)"
        folder = proxied / unquote(parts.path).strip("/")
    elif parts.scheme == "file" or not parts.scheme:
        folder = Path(unquote(parts.path)) if parts.scheme else Path(uri)
    else:
        return f"they are in {uri}, and are read only through an MLflow server"
    if folder.parts[-2:] != (owner, "artifacts") or ".." in folder.parts:
        return f"{uri} is not where MLflow puts them"
    return folder


def read_small(file: Path) -> str:
    """The text of a small file. Raises SourceFault."""
    try:
        with open(file, "rb") as opened:
            data = opened.read(SMALL_BYTES_MAX + 1)
    except OSError as error:
        raise SourceFault(f"{file} cannot be read: {error.strerror}") from error
    if len(data) > SMALL_BYTES_MAX:
        raise SourceFault(f"{file} has more than {SMALL_BYTES_MAX} bytes, which is no description, param or tag")
    return data.decode("utf-8", "replace")


def texts_below(folder: Path) -> dict[str, str]:
    """Params or tags as MLflow keeps them: a file each, its path the key. Raises SourceFault."""
    if not folder.is_dir():
        return {}
    return {path: read_small(folder / path) for path in names_below(folder)}


def names_below(folder: Path) -> list[str]:
    """The paths of all regular files below a folder, relative to it, sorted."""
    if not folder.is_dir():
        return []
    return sorted(
        (Path(parent) / name).relative_to(folder).as_posix()
        for parent, _, names in os.walk(folder)
        for name in names
        if (Path(parent) / name).is_file() and not (Path(parent) / name).is_symlink()
    )
