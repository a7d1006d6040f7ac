"""The routes that carry artifacts to and from the store, and what they tell the log."""

from __future__ import annotations

import re
from typing import Any

import msgspec
from fastapi import APIRouter, Request, Response
from headrace.api.errors import invalid
from headrace.api.services import Services, services
from headrace.api.stores.store import Entry, Stored, media_type, shown
from headrace.ingest import events
from headrace.ingest.limits import artifact_path_fault
from headrace.ingest.topics import REGISTRY, RUNS
from starlette.concurrency import run_in_threadpool

router = APIRouter(tags=["artifacts"])
SCHEME = "mlflow-artifacts:/"
DIRECT_BYTES_MIN = 8 * 1024 * 1024
"""Files from this size on are downloaded from a direct store itself; below it, one answer of ours is quicker."""


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


FILE: dict[str, Any] = {
    "response_class": Response,
    "responses": {200: {"description": "The file", "content": {"*/*": {"schema": {"type": "string"}}}}},
}
"""What a route that answers with a file tells of it."""


@router.put("/api/headrace/v1/runs/{run_id}/artifacts/{path:path}", summary="Store an artifact of a run")
async def put_run_artifact(request: Request, run_id: str, path: str) -> Response:
    """Store the body as the run's artifact `path`. Header `X-Headrace-Sha256`: its hash in hex, checked if given."""
    s = services(request)
    run = await s.tracking.run(run_id)
    fault = artifact_path_fault(path)
    if fault is not None:
        raise invalid(f"Invalid path: {path!r}: {fault}")
    sha256 = request.headers.get("x-headrace-sha256", "")
    target = store_path(run.artifact_uri, path)
    stored = await s.artifacts.write(target, request.stream(), sha256, content_length(request))
    await s.tracking.command(run_id, events.ArtifactLogged(path, stored.size, stored.sha256, media_type(path)))
    return Response(msgspec.json.encode({"size": stored.size, "sha256": stored.sha256}), media_type="application/json")


@router.get("/api/headrace/v1/runs/{run_id}/artifacts/{path:path}", summary="Download an artifact of a run", **FILE)
async def get_run_artifact(request: Request, run_id: str, path: str, inline: bool = False) -> Response:
    """The file, streamed; ranges are answered. inline: to be shown by a browser, in a sandbox, not saved."""
    s = services(request)
    run = await s.tracking.run(run_id)
    found = await s.artifacts.response(store_path(run.artifact_uri, path), request.headers)
    return shown(found) if inline else found


@router.put("/api/headrace/v1/logged-models/{model_id}/artifacts/{path:path}", summary="Store a logged model's file")
async def put_model_artifact(request: Request, model_id: str, path: str) -> Response:
    """Store the body as the model's file `path`. Header `X-Headrace-Sha256`: as for a run's.

    Header `X-Headrace-Model-Files`: this is the last of so many files; the model is ready, or, with fewer, has failed.
    """
    s = services(request)
    await s.tracking.folded(REGISTRY)
    erased = s.engine.registry.erased.get(model_id)
    if erased is not None:
        raise invalid(f"The logged model {model_id} was {erased.told}, and takes nothing more")
    model = await s.tracking.logged_model(model_id, deleted=True)
    fault = artifact_path_fault(path)
    if fault is not None:
        raise invalid(f"Invalid path: {path!r}: {fault}")
    files = request.headers.get("x-headrace-model-files", "0")
    if not re.fullmatch("[0-9]{1,9}", files):
        raise invalid(f"X-Headrace-Model-Files is a number of files, not {files!r}")
    root = store_path(model.artifact_uri)
    sha256 = request.headers.get("x-headrace-sha256", "")
    stored = await s.artifacts.write(f"{root}/{path}", request.stream(), sha256, content_length(request))
    if int(files) and model.status == "LOGGED_MODEL_PENDING":
        complete = await run_in_threadpool(_holds, s, root, int(files))
        status = "LOGGED_MODEL_READY" if complete else "LOGGED_MODEL_UPLOAD_FAILED"
        await s.tracking.change_logged_model(model_id, events.LoggedModelFinalized(status))
    return Response(msgspec.json.encode({"size": stored.size, "sha256": stored.sha256}), media_type="application/json")


@router.get("/api/headrace/v1/logged-models/{model_id}/artifacts/{path:path}", summary="Download its file", **FILE)
async def get_model_artifact(request: Request, model_id: str, path: str, inline: bool = False) -> Response:
    """The file, streamed; ranges are answered. inline: as of a run's."""
    s = services(request)
    model = await s.tracking.logged_model(model_id)
    found = await s.artifacts.response(store_path(model.artifact_uri, path), request.headers)
    return shown(found) if inline else found


def _holds(s: Services, root: str, files: int) -> bool:
    """Whether a folder of the store has so many files in it and below it; no more of it than that is looked at."""
    folders = [root]
    while folders and files > 0:
        folder = folders.pop()
        for entry in s.artifacts.list(folder):
            if entry.size is None:
                folders.append(f"{folder}/{entry.path}")
            else:
                files -= 1
    return files <= 0


@router.get("/get-artifact", summary="Download an artifact, by MLflow's old address", **FILE)
@router.get("/ajax-api/2.0/mlflow/get-artifact", include_in_schema=False)
async def get_artifact(request: Request, path: str = "", run_uuid: str = "", run_id: str = "") -> Response:
    """The file, as for a run's own address."""
    return await get_run_artifact(request, run_id or run_uuid, path)


def content_length(request: Request) -> int | None:
    """The length of a body, bytes, where the client says it."""
    said = request.headers.get("content-length", "")
    return int(said) if re.fullmatch("[0-9]{1,18}", said) else None


def refuse_erased(s: Services, path: str) -> None:
    """Raises INVALID_PARAMETER_VALUE where a path of the store is of a run that was erased."""
    parts = path.split("/", 3)
    if len(parts) > 2 and parts[2] == "artifacts" and parts[1] in s.engine.gone():
        raise invalid(f"The run {parts[1]} was erased, and takes nothing more")


async def _proxy_put(request: Request, path: str) -> Response:
    s = services(request)
    refuse_erased(s, path)
    await log_stored(s, path, await s.artifacts.write(path, request.stream(), size=content_length(request)))
    return Response(b"{}", media_type="application/json")


async def _proxy_get(request: Request, path: str) -> Response:
    return await services(request).artifacts.response(path, request.headers)


async def _proxy_delete(request: Request, path: str) -> Response:
    await run_in_threadpool(services(request).artifacts.delete, path)
    return Response(b"{}", media_type="application/json")


async def _proxy_presigned(request: Request, path: str) -> Response:
    """Where the file can be read from the store itself; without a size where the client had better ask us."""
    url, size = await services(request).artifacts.download_url(path)
    answer = {"url": url, "headers": {}} | ({"file_size": size} if size >= DIRECT_BYTES_MIN else {})
    return Response(msgspec.json.encode(answer), media_type="application/json")


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
    router.add_api_route(_one, _proxy_get, methods=["GET"], include_in_schema=_shown, summary="Download", **FILE)
    router.add_api_route(_one, _proxy_delete, methods=["DELETE"], include_in_schema=_shown, summary="Delete")
    _from = f"{_base}/presigned/{{path:path}}"
    router.add_api_route(_from, _proxy_presigned, methods=["GET"], include_in_schema=_shown, summary="Presigned URL")
