"""Artifacts as files below one local folder."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import time
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from fastapi import Response
from headrace.api.errors import invalid, missing, unavailable
from headrace.api.stores.store import (
    DOWNLOAD_HEADERS,
    PARTS_MAX,
    RESERVED,
    UPLOAD_KEPT_S,
    Entry,
    Part,
    Stored,
    StoreUnavailable,
    Upload,
    checked,
    differs,
    no_direct,
    no_upload,
    served_type,
)
from starlette.concurrency import run_in_threadpool
from starlette.responses import FileResponse

_WRITE_BYTES = 1024 * 1024
_READ_BYTES = 1024 * 1024
_ID = re.compile(r"[0-9a-f]{32}")


class LocalStore:
    """The artifact store below one folder. Parts of multipart uploads wait on disk, so an upload outlives a restart."""

    multipart = True
    direct = False

    def __init__(self, root: Path) -> None:
        """Raises StoreUnavailable."""
        self.name = str(root)
        self._root = root
        self._incoming, self._uploads = (root / name for name in RESERVED)
        try:
            shutil.rmtree(self._incoming, ignore_errors=True)
            self._incoming.mkdir(parents=True)
            self._uploads.mkdir(exist_ok=True)
        except OSError as error:
            raise StoreUnavailable(f"cannot keep artifacts in {root}: {error.strerror}") from error

    def check(self) -> None:
        """The constructor made its folders, so it can be written to."""

    def forget_old_uploads(self) -> None:
        """As the protocol says."""
        for folder in self._uploads.iterdir():
            if time.time() - folder.stat().st_mtime > UPLOAD_KEPT_S:
                shutil.rmtree(folder, ignore_errors=True)

    async def write(self, path: str, chunks: AsyncIterator[bytes], sha256: str = "", size: int | None = None) -> Stored:
        """As the protocol says. Raises INVALID_PARAMETER_VALUE also when a folder is in the way."""
        return await self._receive(self._root / checked(path), path, chunks, sha256)

    async def _receive(self, target: Path, path: str, chunks: AsyncIterator[bytes], sha256: str = "") -> Stored:
        """As `write`, to a place of our own. path: what messages call it."""
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
                raise differs(path, digest.hexdigest(), sha256)
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(incoming, target)
        except (IsADirectoryError, NotADirectoryError, FileExistsError) as error:
            raise invalid(f"Invalid path: {path!r}: a file or folder of that name is in the way") from error
        except OSError as error:
            raise unavailable(f"{path!r} could not be stored: {error.strerror}") from error
        finally:
            incoming.unlink(missing_ok=True)
        return Stored(size, digest.hexdigest())

    async def response(self, path: str, headers: Mapping[str, str]) -> Response:
        """As the protocol says; the answer reads the request's range itself."""
        target = self._root / checked(path)
        if not target.is_file():
            raise missing(f"No such artifact: '{path}'")
        return FileResponse(
            target,
            media_type=served_type(path),
            filename=target.name,
            content_disposition_type="attachment",
            headers=DOWNLOAD_HEADERS,
        )

    async def read(self, path: str) -> AsyncIterator[bytes]:
        """As the protocol says."""
        target = self._root / checked(path)
        if not target.is_file():
            raise missing(f"No such artifact: '{path}'")
        async for block in _joined([target]):
            yield block

    def list(self, path: str) -> list[Entry]:
        """As the protocol says."""
        folder = self._root / checked(path) if path else self._root
        if not folder.is_dir():
            return []
        with os.scandir(folder) as found:
            entries = sorted((x for x in found if path or x.name not in RESERVED), key=lambda x: x.name)
            return [Entry(x.name, None if x.is_dir() else x.stat().st_size) for x in entries]

    def delete(self, path: str) -> None:
        """As the protocol says."""
        target = self._root / checked(path)
        if target.is_dir():
            shutil.rmtree(target)
        else:
            target.unlink(missing_ok=True)

    async def begin(self, path: str, count: int) -> Upload:
        """As the protocol says."""
        checked(path)
        upload_id = uuid.uuid4().hex
        (self._uploads / upload_id).mkdir(parents=True)
        return Upload(upload_id)

    async def put_part(
        self, path: str, upload_id: str, number: int, chunks: AsyncIterator[bytes], size: int | None = None
    ) -> str:
        """As the protocol says. The ETag is the part's SHA-256 in hex."""
        folder = self._folder(upload_id)
        if not 1 <= number <= PARTS_MAX:
            raise invalid(f"There is no part {number}")
        stored = await self._receive(folder / str(number), f"part {number}", chunks)
        return f'"{stored.sha256}"'

    async def complete(self, path: str, upload_id: str, parts: Sequence[Part]) -> Stored:
        """As the protocol says."""
        folder = self._folder(upload_id)
        ordered = sorted(parts, key=lambda part: part.number)
        files = [folder / str(part.number) for part in ordered]
        absent = [part.number for part, file in zip(ordered, files, strict=True) if not file.is_file()]
        if absent or not parts:
            raise invalid(f"The upload lacks the parts {absent}" if absent else "An upload needs at least one part")
        stored = await self.write(path, _joined(files))
        await run_in_threadpool(shutil.rmtree, folder, True)
        return stored

    async def abort(self, path: str, upload_id: str) -> None:
        """As the protocol says."""
        await run_in_threadpool(shutil.rmtree, self._folder(upload_id), True)

    async def download_url(self, path: str) -> tuple[str, int]:
        """Raises NOT_IMPLEMENTED: the server itself reads the folder."""
        raise no_direct()

    def _folder(self, upload_id: str) -> Path:
        folder = self._uploads / upload_id
        if _ID.fullmatch(upload_id) is None or not folder.is_dir():
            raise no_upload(upload_id)
        return folder


async def _joined(files: Sequence[Path]) -> AsyncIterator[bytes]:
    for file in files:
        with file.open("rb") as part:
            while chunk := await run_in_threadpool(part.read, _READ_BYTES):
                yield chunk


def _take(file: Any, digest: Any, chunk: bytes) -> None:
    file.write(chunk)
    digest.update(chunk)


def _settle(file: Any) -> None:
    file.flush()
    os.fsync(file.fileno())
