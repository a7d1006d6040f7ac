"""The artifact store: files below one folder, streamed in and out; and the routes that carry them."""

from __future__ import annotations

import hashlib
import mimetypes
import os
import shutil
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from fastapi import APIRouter, Request, Response
from headrace.api.errors import invalid, missing, unavailable
from headrace.api.services import Services, services
from headrace.ingest import events
from headrace.ingest.limits import artifact_path_fault
from headrace.ingest.topics import RUNS
from starlette.concurrency import run_in_threadpool
from starlette.responses import FileResponse

router = APIRouter(tags=["artifacts"])
SCHEME = "mlflow-artifacts:/"
_WRITE_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Stored:
    """A file that was stored. size in bytes; sha256 in hex."""

    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One name in a folder. size in bytes, None for a folder."""

    path: str
    size: int | None


class ArtifactStore:
    """Files below one folder. Paths are relative, with slashes; a path that climbs out is refused."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._incoming = root / ".incoming"
        self.uploads = root / ".uploads"
        """Where parts of multipart uploads wait until the upload is completed."""
        shutil.rmtree(self._incoming, ignore_errors=True)
        self._incoming.mkdir(parents=True)

    def locate(self, path: str) -> Path:
        """Where a path's file is or would be. Raises INVALID_PARAMETER_VALUE."""
        fault = artifact_path_fault(path)
        if fault is not None or path.split("/")[0] in (self._incoming.name, self.uploads.name):
            raise invalid(f"Invalid path: {path!r}: {fault or 'the name is reserved'}")
        return self._root / path

    async def write(self, path: str, chunks: AsyncIterator[bytes], sha256: str = "") -> Stored:
        """Store a file as it comes in; readers see the old one or the whole new one.

        sha256: what it must hash to, in hex, if given. Raises INVALID_PARAMETER_VALUE when it does not, or a folder is
        in the way; TEMPORARILY_UNAVAILABLE when the disk refuses.
        """
        return await self.receive(self.locate(path), path, chunks, sha256)

    async def receive(self, target: Path, path: str, chunks: AsyncIterator[bytes], sha256: str = "") -> Stored:
        """As `write`, to a place the caller chose. path: what messages call it."""
        incoming = self._incoming / uuid.uuid4().hex
        digest = hashlib.sha256()
        size = 0
        try:
            with incoming.open("wb") as file:
                waiting = bytearray()
                async for chunk in chunks:
                    waiting += chunk
                    if len(waiting) >= _WRITE_BYTES:
                        size += len(waiting)
                        await run_in_threadpool(_take, file, digest, bytes(waiting))
                        waiting.clear()
                size += len(waiting)
                await run_in_threadpool(_take, file, digest, bytes(waiting))
                await run_in_threadpool(_settle, file)
            if sha256 and sha256.lower() != digest.hexdigest():
                raise invalid(f"{path!r} arrived with SHA-256 {digest.hexdigest()}, not {sha256}: send it again")
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(incoming, target)
        except (IsADirectoryError, NotADirectoryError, FileExistsError) as error:
            raise invalid(f"Invalid path: {path!r}: a file or folder of that name is in the way") from error
        except OSError as error:
            raise unavailable(f"{path!r} could not be stored: {error.strerror}") from error
        finally:
            incoming.unlink(missing_ok=True)
        return Stored(size, digest.hexdigest())

    def list(self, path: str) -> list[Entry]:
        """What is in a folder, by name; nothing for a file or a path that is not there. Paths are relative to it."""
        folder = self.locate(path) if path else self._root
        if not folder.is_dir():
            return []
        with os.scandir(folder) as found:
            entries = sorted(
                (x for x in found if x.name not in (self._incoming.name, self.uploads.name)), key=lambda x: x.name
            )
            return [Entry(x.name, None if x.is_dir() else x.stat().st_size) for x in entries]

    def delete(self, path: str) -> None:
        """Delete a file or a folder; nothing happens where there is none."""
        target = self.locate(path)
        if target.is_dir():
            shutil.rmtree(target)
        else:
            target.unlink(missing_ok=True)

    def response(self, path: str) -> Response:
        """A file, as a download that no browser runs in our origin. Raises RESOURCE_DOES_NOT_EXIST."""
        target = self.locate(path)
        if not target.is_file():
            raise missing(f"No such artifact: '{path}'")
        return FileResponse(
            target,
            media_type=media_type(path),
            filename=target.name,
            content_disposition_type="attachment",
            headers={"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "sandbox; default-src 'none'"},
        )


def media_type(path: str) -> str:
    """By the name's ending."""
    return mimetypes.guess_type(path)[0] or "application/octet-stream"


def store_path(uri: str, path: str = "") -> str:
    """The store's path of a path below an artifact URI. Raises INVALID_PARAMETER_VALUE for a URI of another store."""
    if not uri.startswith(SCHEME):
        raise invalid(f"The artifacts at {uri!r} are not kept by this server; read them from there")
    below = uri.removeprefix(SCHEME).strip("/")
    return "/".join(part for part in (below, path) if part)


async def log_stored(s: Services, path: str, stored: Stored) -> None:
    """Log that a file of the store was stored, where its path is a run's: experiment/run/artifacts/path."""
    parts = path.split("/", 3)
    if len(parts) < 4 or parts[2] != "artifacts" or parts[1] == "models":
        return
    run_id, below = parts[1], parts[3]
    await s.tracking.folded(RUNS)
    if s.engine.knows(run_id):
        logged = events.ArtifactLogged(below, stored.size, stored.sha256, media_type(below))
        await s.tracking.command(run_id, logged)


@router.put("/api/headrace/v1/runs/{run_id}/artifacts/{path:path}", summary="Store an artifact of a run")
async def put_run_artifact(request: Request, run_id: str, path: str) -> Response:
    """Store the body as the run's artifact `path`. Header `X-Headrace-Sha256`: its hash in hex, checked if given."""
    s = services(request)
    run = await s.tracking.run(run_id)
    fault = artifact_path_fault(path)
    if fault is not None:
        raise invalid(f"Invalid path: {path!r}: {fault}")
    sha256 = request.headers.get("x-headrace-sha256", "")
    stored = await s.artifacts.write(store_path(run.artifact_uri, path), request.stream(), sha256)
    await s.tracking.command(run_id, events.ArtifactLogged(path, stored.size, stored.sha256, media_type(path)))
    return Response(msgspec.json.encode({"size": stored.size, "sha256": stored.sha256}), media_type="application/json")


@router.get("/api/headrace/v1/runs/{run_id}/artifacts/{path:path}", summary="Download an artifact of a run")
async def get_run_artifact(request: Request, run_id: str, path: str) -> Response:
    """The file, streamed; ranges are answered."""
    s = services(request)
    run = await s.tracking.run(run_id)
    return s.artifacts.response(store_path(run.artifact_uri, path))


def _take(file: Any, digest: Any, chunk: bytes) -> None:
    file.write(chunk)
    digest.update(chunk)


def _settle(file: Any) -> None:
    file.flush()
    os.fsync(file.fileno())


async def _proxy_put(request: Request, path: str) -> Response:
    s = services(request)
    await log_stored(s, path, await s.artifacts.write(path, request.stream()))
    return Response(b"{}", media_type="application/json")


async def _proxy_get(request: Request, path: str) -> Response:
    return services(request).artifacts.response(path)


async def _proxy_delete(request: Request, path: str) -> Response:
    await run_in_threadpool(services(request).artifacts.delete, path)
    return Response(b"{}", media_type="application/json")


async def _proxy_list(request: Request) -> Response:
    path = request.query_params.get("path", "").strip("/")
    found = await run_in_threadpool(services(request).artifacts.list, path)
    return Response(msgspec.json.encode({"files": files_of(found)} if found else {}), media_type="application/json")


def files_of(entries: list[Entry], below: str = "") -> list[dict[str, Any]]:
    """Entries as MLflow's FileInfo, their paths below `below`."""
    return [
        {"path": f"{below}/{x.path}" if below else x.path, "is_dir": x.size is None}
        | ({} if x.size is None else {"file_size": x.size})
        for x in entries
    ]


for _prefix in ("/api/2.0", "/ajax-api/2.0"):
    _base = f"{_prefix}/mlflow-artifacts"
    _shown = _prefix == "/api/2.0"
    _one = f"{_base}/artifacts/{{path:path}}"
    router.add_api_route(f"{_base}/artifacts", _proxy_list, methods=["GET"], include_in_schema=_shown, summary="List")
    router.add_api_route(_one, _proxy_put, methods=["PUT"], include_in_schema=_shown, summary="Upload")
    router.add_api_route(_one, _proxy_get, methods=["GET"], include_in_schema=_shown, summary="Download")
    router.add_api_route(_one, _proxy_delete, methods=["DELETE"], include_in_schema=_shown, summary="Delete")
