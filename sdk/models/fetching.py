"""Brings a folder of files from where artifacts are kept to this machine: a server's store, an object store, a disk."""

from __future__ import annotations

import posixpath
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from headrace.ingest.limits import artifact_path_fault
from headrace.sdk.flavors.flavor import MissingPackage
from headrace.sdk.models.mlmodel import NoModel
from headrace.sdk.reader import Reader

FILES_MAX = 100_000
OBJECT_SCHEMES = ("s3", "s3a", "gs", "gcs", "az", "azure", "abfs", "abfss")
PROXY = "/api/2.0/mlflow-artifacts/artifacts"


def fetch(uri: str, target: Path, reader: Reader | None) -> None:
    """Bring all files below an artifact URI into an empty folder.

    uri: `mlflow-artifacts:/path` (of the reader's server), `mlflow-artifacts://host:port/path`, `http(s)://…` of a
    server's artifacts, `s3://bucket/path` and the like, `file:///path`. Raises NoModel, MissingPackage, ReadFailed.
    """
    parts = urlsplit(uri)
    if parts.scheme == "mlflow-artifacts":
        if parts.netloc:
            with closing(Reader(f"http://{parts.netloc}")) as other:
                _from_proxy(other, parts.path.strip("/"), target)
            return
        if reader is None:
            raise NoModel(f"{uri} is kept by a server, and none is set; see set_tracking_uri")
        _from_proxy(reader, parts.path.strip("/"), target)
    elif parts.scheme in ("http", "https"):
        before, found, path = parts.path.partition(PROXY)
        if not found:
            raise NoModel(f"{uri} is no address of artifacts; those of a server have {PROXY} in them")
        with closing(Reader(f"{parts.scheme}://{parts.netloc}{before}")) as other:
            _from_proxy(other, unquote(path).strip("/"), target)
    elif parts.scheme in OBJECT_SCHEMES:
        _from_objects(uri, target)
    elif parts.scheme in ("", "file"):
        source = Path(unquote(parts.path) if parts.scheme else uri)
        if not source.is_dir():
            raise NoModel(f"there is no folder {source}")
        shutil.copytree(source, target, dirs_exist_ok=True)
    else:
        raise NoModel(f"{uri} names no place that models are kept in")


def of_run(reader: Reader, run_id: str, path: str, target: Path) -> None:
    """Bring what lies below a path of a run's artifacts. Raises NoModel, ReadFailed."""

    def below(folder: str) -> list[dict[str, Any]]:
        return reader.artifacts(run_id, folder)

    for one in _walk(below, path):
        reader.download(run_id, one, target / _checked(posixpath.relpath(one, path)))


def _from_proxy(reader: Reader, root: str, target: Path) -> None:
    def below(folder: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = reader.call("GET", PROXY, params={"path": folder}).get("files", [])
        # Paths are relative to the folder that was asked for.
        return [{**one, "path": posixpath.join(folder, str(one["path"]))} for one in found]

    for one in _walk(below, root):
        reader.download_from(f"{PROXY}/{quote(one)}", target / _checked(posixpath.relpath(one, root)))


def _walk(below: Any, root: str) -> Iterator[str]:
    """All files below a folder; raises NoModel when there are none, or too many."""
    folders = [root]
    number = 0
    while folders:
        folder = folders.pop()
        for entry in below(folder):
            path = posixpath.normpath(str(entry["path"]))
            if entry.get("is_dir"):
                if path != folder:
                    folders.append(path)
                continue
            number += 1
            if number > FILES_MAX:
                raise NoModel(f"below {root} there are more than {FILES_MAX:,} files")
            yield path
    if not number:
        raise NoModel(f"there are no files at {root}")


def _checked(path: str) -> str:
    """A path that a server named, if it stays below the folder it is put in. Raises NoModel."""
    if artifact_path_fault(path) is not None:
        raise NoModel(f"the server named a file {path!r}, which is no safe path")
    return path


def _from_objects(uri: str, target: Path) -> None:
    try:
        import obstore
        from obstore.store import from_url
    except ImportError as error:
        raise MissingPackage(f'{uri} needs obstore: pip install "headrace[objects]"', name="obstore") from error
    number = 0
    try:
        store = from_url(uri)
        for batch in obstore.list(store):
            for one in batch:
                number += 1
                if number > FILES_MAX:
                    raise NoModel(f"below {uri} there are more than {FILES_MAX:,} files")
                file = target / _checked(one["path"])
                file.parent.mkdir(parents=True, exist_ok=True)
                with open(file, "wb") as opened:
                    for chunk in obstore.get(store, one["path"]):
                        opened.write(chunk)
    except (obstore.exceptions.BaseError, ValueError) as error:
        if isinstance(error, NoModel):
            raise
        raise NoModel(f"{uri} cannot be read: {str(error).splitlines()[0][:300]}") from error
    if not number:
        raise NoModel(f"there are no files at {uri}")
