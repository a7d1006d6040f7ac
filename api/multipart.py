"""Multipart upload of artifacts: parts in any order, at once or again, joined and checked when all are there.

MLflow's protocol: `mpu/create` names a URL for each part, the client puts the parts there and tells their ETags to
`mpu/complete`. Parts wait on disk, so an upload outlives a restart of the server; one nobody completes is forgotten
after a week.
"""

from __future__ import annotations

import re
import shutil
import time
import uuid
from collections.abc import AsyncIterator
from pathlib import Path, PurePath

import msgspec
from fastapi import APIRouter, Request, Response
from headrace.api.artifacts import ArtifactStore, log_stored
from headrace.api.errors import invalid, missing
from headrace.api.mlflow.wire import Body, json_response, parse, present
from headrace.api.services import services
from starlette.concurrency import run_in_threadpool

router = APIRouter(tags=["artifacts"])
PARTS_MAX = 10_000
KEPT_S = 7 * 24 * 3600
_READ_BYTES = 1024 * 1024
_ID = re.compile(r"[0-9a-f]{32}")


class CreateUpload(Body):
    """path: the file's name. num_parts: 1 to 10,000."""

    path: str = ""
    num_parts: int = 1


class Part(msgspec.Struct):
    part_number: int
    etag: str = ""


class CompleteUpload(Body):
    path: str = ""
    upload_id: str = ""
    parts: list[Part] = []


def forget_old(store: ArtifactStore) -> None:
    """Delete the parts of uploads that nobody has touched for KEPT_S seconds."""
    store.uploads.mkdir(parents=True, exist_ok=True)
    for folder in store.uploads.iterdir():
        if time.time() - folder.stat().st_mtime > KEPT_S:
            shutil.rmtree(folder, ignore_errors=True)


async def create(request: Request, path: str = "") -> Response:
    """Begin an upload: its id, and where to put each part."""
    s = services(request)
    asked = parse(await request.body(), CreateUpload)
    if not 1 <= asked.num_parts <= PARTS_MAX:
        raise invalid(
            f"Invalid value {asked.num_parts} for parameter 'num_parts' supplied: 1 to {PARTS_MAX} are allowed"
        )
    s.artifacts.locate(_target(path, asked.path))
    upload_id = uuid.uuid4().hex
    (s.artifacts.uploads / upload_id).mkdir(parents=True)
    base = str(request.base_url).rstrip("/")
    credentials = [
        {"url": f"{base}/api/headrace/v1/uploads/{upload_id}/{number}", "part_number": number, "headers": {}}
        for number in range(1, asked.num_parts + 1)
    ]
    return json_response(present(upload_id=upload_id, credentials=credentials))


@router.put("/api/headrace/v1/uploads/{upload_id}/{part_number}", summary="Upload one part")
async def put_part(request: Request, upload_id: str, part_number: int) -> Response:
    """Store a part; sending it again replaces it. The ETag is its SHA-256 in hex."""
    s = services(request)
    folder = _folder(s.artifacts, upload_id)
    if not 1 <= part_number <= PARTS_MAX:
        raise invalid(f"There is no part {part_number}")
    stored = await s.artifacts.receive(folder / str(part_number), f"part {part_number}", request.stream())
    return Response(headers={"ETag": f'"{stored.sha256}"'})


async def complete(request: Request, path: str = "") -> Response:
    """Join the parts that are named, in their order, into the file."""
    s = services(request)
    asked = parse(await request.body(), CompleteUpload)
    folder = _folder(s.artifacts, asked.upload_id)
    parts = sorted(asked.parts, key=lambda part: part.part_number)
    files = [folder / str(part.part_number) for part in parts]
    absent = [part.part_number for part, file in zip(parts, files, strict=True) if not file.is_file()]
    if absent or not parts:
        raise invalid(f"The upload lacks the parts {absent}" if absent else "An upload needs at least one part")
    target = _target(path, asked.path)
    stored = await s.artifacts.write(target, _joined(files))
    await log_stored(s, target, stored)
    await run_in_threadpool(shutil.rmtree, folder, True)
    return json_response({})


async def abort(request: Request, path: str = "") -> Response:
    """Forget an upload and its parts."""
    s = services(request)
    asked = parse(await request.body(), CompleteUpload)
    await run_in_threadpool(shutil.rmtree, _folder(s.artifacts, asked.upload_id), True)
    return json_response({})


def _folder(store: ArtifactStore, upload_id: str) -> Path:
    folder = store.uploads / upload_id
    if _ID.fullmatch(upload_id) is None or not folder.is_dir():
        raise missing(f"There is no upload {upload_id!r}; it may have been completed or aborted")
    return folder


def _target(folder: str, file: str) -> str:
    name = PurePath(file).name
    return f"{folder.strip('/')}/{name}" if folder.strip("/") else name


async def _joined(files: list[Path]) -> AsyncIterator[bytes]:
    for file in files:
        with file.open("rb") as part:
            while chunk := await run_in_threadpool(part.read, _READ_BYTES):
                yield chunk


for _prefix in ("/api/2.0", "/ajax-api/2.0"):
    for _name, _act in (("create", create), ("complete", complete), ("abort", abort)):
        for _path in ("", "/{path:path}"):
            router.add_api_route(
                f"{_prefix}/mlflow-artifacts/mpu/{_name}{_path}",
                _act,
                methods=["POST"],
                summary=f"Multipart upload: {_name}",
                include_in_schema=_prefix == "/api/2.0",
                operation_id=f"{_prefix}-mpu-{_name}{'-path' if _path else ''}".strip("/").replace("/", "-"),
            )
