"""Multipart upload of artifacts: parts in any order, at once or again, joined when all are there.

MLflow's protocol: `mpu/create` names a URL for each part, the client puts the parts there and tells their ETags to
`mpu/complete`. The URLs are the store's own where clients can reach it, else the server's. Parts wait in the store, so
an upload outlives a restart of the server; one nobody completes is forgotten after a week.
"""

from __future__ import annotations

from pathlib import PurePath
from urllib.parse import quote

import msgspec
from fastapi import APIRouter, Request, Response
from headrace.api.artifacts import content_length, log_stored, refuse_erased
from headrace.api.errors import invalid
from headrace.api.mlflow.wire import Body, json_response, parse, present
from headrace.api.services import services
from headrace.api.stores import store
from headrace.api.stores.store import PARTS_MAX

router = APIRouter(tags=["artifacts"])


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


async def create(request: Request, path: str = "") -> Response:
    """Begin an upload: its id, and where to put each part."""
    s = services(request)
    asked = parse(await request.body(), CreateUpload)
    if not 1 <= asked.num_parts <= PARTS_MAX:
        raise invalid(
            f"Invalid value {asked.num_parts} for parameter 'num_parts' supplied: 1 to {PARTS_MAX} are allowed"
        )
    target = _target(path, asked.path)
    refuse_erased(s, target)
    upload = await s.artifacts.begin(target, asked.num_parts)
    urls = upload.urls
    if urls is None:
        ours = f"{str(request.base_url).rstrip('/')}/api/headrace/v1/uploads/{quote(upload.id, safe='')}"
        urls = [f"{ours}/{number}?path={quote(target, safe='')}" for number in range(1, asked.num_parts + 1)]
    credentials = [{"url": url, "part_number": number, "headers": {}} for number, url in enumerate(urls, 1)]
    return json_response(present(upload_id=upload.id, credentials=credentials))


@router.put("/api/headrace/v1/uploads/{upload_id}/{part_number}", summary="Upload one part")
async def put_part(request: Request, upload_id: str, part_number: int, path: str = "") -> Response:
    """Store a part of the file `path`; sending it again replaces it. The answer's ETag goes to `mpu/complete`."""
    size = content_length(request)
    etag = await services(request).artifacts.put_part(path, upload_id, part_number, request.stream(), size)
    return Response(headers={"ETag": etag})


async def complete(request: Request, path: str = "") -> Response:
    """Join the parts that are named, in their order, into the file."""
    s = services(request)
    asked = parse(await request.body(), CompleteUpload)
    target = _target(path, asked.path)
    refuse_erased(s, target)
    parts = [store.Part(part.part_number, part.etag) for part in asked.parts]
    await log_stored(s, target, await s.artifacts.complete(target, asked.upload_id, parts))
    return json_response({})


async def abort(request: Request, path: str = "") -> Response:
    """Forget an upload and its parts."""
    asked = parse(await request.body(), CompleteUpload)
    await services(request).artifacts.abort(_target(path, asked.path), asked.upload_id)
    return json_response({})


def _target(folder: str, file: str) -> str:
    name = PurePath(file).name
    return f"{folder.strip('/')}/{name}" if folder.strip("/") else name


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
