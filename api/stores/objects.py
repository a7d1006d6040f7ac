"""Artifacts as objects of S3 and stores like it, Google Cloud Storage or Azure Blob Storage, through obstore."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from email.utils import format_datetime
from typing import Any
from urllib.parse import quote

import obstore
from fastapi import Response
from headrace.api.errors import ApiError, invalid, missing, unavailable
from headrace.api.stores.s3_uploads import S3Uploads
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
    media_type,
    no_direct,
    no_multipart,
    served_type,
)
from obstore.exceptions import BaseError
from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse

logger = logging.getLogger("headrace.api")

BLOCK_BYTES = 8 * 1024 * 1024
"""A part of an upload, and what a download reads at once: a few of them are in memory for each file on its way."""
_HASH_BYTES = 1024 * 1024
_AT_ONCE = 2
_URL_FOR = timedelta(hours=1)
_CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f]")
_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")


class ObjectStore:
    """The artifact store on an object store: paths are keys below its prefix, folders are what keys share.

    A file and a folder may have one name there; nothing stands in the way of a write.
    """

    def __init__(
        self,
        name: str,
        store: Any,
        *,
        prompt: Any = None,
        public: Any = None,
        uploads: S3Uploads | None = None,
        prefix: str = "",
    ) -> None:
        """store: obstore's, at the prefix. prompt: the same with short timeouts, for what moves no file.

        public: the same as clients reach it, where they may. uploads: of the bucket the store is in, with keys below
        prefix.
        """
        self.name = name
        self.multipart = uploads is not None
        self.direct = public is not None
        self._store = store
        self._prompt = prompt or store
        self._public = public
        self._uploads = uploads
        self._prefix = prefix

    def check(self) -> None:
        """As the protocol says: lists what is there."""
        try:
            next(iter(obstore.list(self._prompt, chunk_size=1)), None)
        except (BaseError, OSError, ValueError) as error:
            raise StoreUnavailable(f"cannot use the artifact store {self.name}: {_said(error)}") from None

    def forget_old_uploads(self) -> None:
        """As the protocol says."""
        if self._uploads is None:
            return
        try:
            count = self._uploads.forget_older(self._prefix, UPLOAD_KEPT_S)
        except Exception as error:
            logger.warning("could not look for old uploads in %s: %s", self.name, error)
        else:
            if count:
                logger.info("dropped %d old uploads in %s", count, self.name)

    async def write(self, path: str, chunks: AsyncIterator[bytes], sha256: str = "", size: int | None = None) -> Stored:
        """As the protocol says. A file of one block is one request; a longer one goes up in parts as it comes in."""
        key = _key(path)
        source = _Hashed(chunks, path, sha256)
        first = await source.block(BLOCK_BYTES)
        options: Any = {"attributes": _attributes(path), "max_concurrency": _AT_ONCE}
        with self._faults():
            if source.ended:
                await obstore.put_async(self._store, key, first, use_multipart=False, **options)
            else:
                # As large as the file needs to fit into the most parts a store takes.
                part_bytes = max(BLOCK_BYTES, -(-(size or 0) // (PARTS_MAX - 1)))
                # It aborts the upload when its source raises, and raises the same.
                await obstore.put_async(
                    self._store, key, source.rest(first), use_multipart=True, chunk_size=part_bytes, **options
                )
        return Stored(source.size, source.hexdigest())

    async def response(self, path: str, headers: Mapping[str, str]) -> Response:
        """As the protocol says. Read block by block, each of the same version of the object."""
        key = _key(path)
        meta = await self._head(path)
        size, etag = meta["size"], meta["e_tag"] or ""
        answered = {
            "Accept-Ranges": "bytes",
            "Content-Disposition": _disposition(path),
            "Last-Modified": format_datetime(meta["last_modified"], usegmt=True),
            **({"ETag": etag} if etag else {}),
            **DOWNLOAD_HEADERS,
        }
        asked = headers.get("range", "") if headers.get("if-range", etag) == etag else ""
        start, end, status = _span(asked, size)
        if status == 416:
            return Response(status_code=416, headers={"Content-Range": f"bytes */{size}", **DOWNLOAD_HEADERS})
        if status == 206:
            answered["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
        answered["Content-Length"] = str(end - start)
        blocks = self._blocks(key, start, end, etag)
        # The first is read before the answer begins, so that what fails is told by its status.
        first = await anext(blocks, b"")
        return StreamingResponse(_after(first, blocks), status, answered, media_type=served_type(path))

    async def read(self, path: str) -> AsyncIterator[bytes]:
        """As the protocol says; every block of the same version of the object."""
        meta = await self._head(path)
        async for block in self._blocks(_key(path), 0, meta["size"], meta["e_tag"] or ""):
            yield block

    async def _blocks(self, key: str, start: int, end: int, etag: str) -> AsyncIterator[bytes]:
        """The bytes of an object from start to end, the next block on its way while one is sent."""
        starts = range(start, end, BLOCK_BYTES)
        coming: asyncio.Task[bytes] | None = None
        try:
            for at in starts:
                now = coming or asyncio.create_task(self._block(key, at, end, etag))
                coming = None
                if at + BLOCK_BYTES < end:
                    coming = asyncio.create_task(self._block(key, at + BLOCK_BYTES, end, etag))
                yield await now
        finally:
            if coming is not None:
                coming.cancel()

    async def _block(self, key: str, start: int, end: int, etag: str) -> bytes:
        options: Any = {"range": (start, min(start + BLOCK_BYTES, end))} | ({"if_match": etag} if etag else {})
        with self._faults():
            found = await obstore.get_async(self._store, key, options=options)
            return bytes(await found.bytes_async())

    def list(self, path: str) -> list[Entry]:
        """As the protocol says."""
        key = _key(path) if path else ""
        with self._faults():
            found = obstore.list_with_delimiter(self._prompt, key)
        folders = {folder.rstrip("/").rsplit("/", 1)[-1] for folder in found["common_prefixes"]}
        entries = [Entry(name, None) for name in folders if path or name not in RESERVED]
        # A key that is the folder itself is how some tools keep an empty folder.
        files = [one for one in found["objects"] if one["path"] != key]
        entries += [Entry(one["path"].rsplit("/", 1)[-1], one["size"]) for one in files]
        return sorted(entries, key=lambda entry: entry.path)

    def delete(self, path: str) -> None:
        """As the protocol says."""
        key = _key(path)
        with self._faults():
            try:
                obstore.delete(self._prompt, key)
            except FileNotFoundError:
                pass  # a folder has no key of its own
            for found in obstore.list(self._prompt, key, chunk_size=1000):
                obstore.delete(self._prompt, [one["path"] for one in found])

    async def begin(self, path: str, count: int) -> Upload:
        """As the protocol says: S3's own upload, its parts at S3's own URLs where clients can reach it."""
        key = self._whole(path)
        uploads = self._multipart()
        attributes = _attributes(path)
        upload_id = await uploads.begin(key, attributes)
        if not self.direct:
            return Upload(upload_id)
        return Upload(upload_id, [uploads.part_url(key, upload_id, number) for number in range(1, count + 1)])

    async def put_part(
        self, path: str, upload_id: str, number: int, chunks: AsyncIterator[bytes], size: int | None = None
    ) -> str:
        """As the protocol says. Raises INVALID_PARAMETER_VALUE for a part whose size is not said beforehand."""
        if not 1 <= number <= PARTS_MAX:
            raise invalid(f"There is no part {number}")
        if size is None:
            raise invalid("A part needs a Content-Length")
        return await self._multipart().put_part(self._whole(path), upload_id, number, chunks, size)

    async def complete(self, path: str, upload_id: str, parts: Sequence[Part]) -> Stored:
        """As the protocol says. The hash is not known: the parts did not pass in their order, if at all."""
        if not parts:
            raise invalid("An upload needs at least one part")
        ordered = sorted(parts, key=lambda part: part.number)
        await self._multipart().complete(self._whole(path), upload_id, ordered)
        return Stored((await self._head(path))["size"], "")

    async def abort(self, path: str, upload_id: str) -> None:
        """As the protocol says."""
        await self._multipart().abort(self._whole(path), upload_id)

    async def download_url(self, path: str) -> tuple[str, int]:
        """As the protocol says. The URL is good for an hour."""
        if self._public is None:
            raise no_direct()
        size = (await self._head(path))["size"]
        with self._faults():
            return await obstore.sign_async(self._public, "GET", _key(path), _URL_FOR), size

    async def _head(self, path: str) -> Any:
        key = _key(path)
        try:
            with self._faults():
                return await obstore.head_async(self._prompt, key)
        except FileNotFoundError:
            try:  # The answer to a HEAD does not tell a lost bucket from a lost object.
                await run_in_threadpool(self.check)
            except StoreUnavailable as error:
                raise unavailable(str(error)) from None
            raise missing(f"No such artifact: '{path}'") from None

    def _whole(self, path: str) -> str:
        return f"{self._prefix}/{_key(path)}" if self._prefix else _key(path)

    def _multipart(self) -> S3Uploads:
        if self._uploads is None:
            raise no_multipart()
        return self._uploads

    @contextmanager
    def _faults(self) -> Iterator[None]:
        """Tells what the store says as TEMPORARILY_UNAVAILABLE; that an object is not there passes."""
        try:
            yield
        except FileNotFoundError as error:
            if "NoSuchBucket" not in str(error):
                raise
            raise self._unavailable(error) from None
        except (BaseError, OSError) as error:
            raise self._unavailable(error) from None

    def _unavailable(self, error: Exception) -> ApiError:
        said = f"The artifact store {self.name} failed: {_said(error)}"
        logger.warning("answering 503: %s", said)
        return unavailable(said)


class _Hashed:
    """Chunks of a file on their way: in blocks, counted and hashed, and held to their hash at the end."""

    def __init__(self, chunks: AsyncIterator[bytes], path: str, sha256: str) -> None:
        self.size = 0
        self.ended = False
        self._chunks = aiter(chunks)
        self._path = path
        self._sha256 = sha256
        self._digest = hashlib.sha256()

    def hexdigest(self) -> str:
        """Of all that went by."""
        return self._digest.hexdigest()

    async def block(self, size: int) -> bytes:
        """The next bytes, at least `size` of them but at the end, where `ended` becomes true."""
        waiting = bytearray()
        async for chunk in self._chunks:
            waiting += chunk
            if len(waiting) >= size:
                break
        else:
            self.ended = True
        block = bytes(waiting)
        await run_in_threadpool(self._digest.update, block)
        self.size += len(block)
        if self.ended and self._sha256 and self._sha256.lower() != self.hexdigest():
            raise differs(self._path, self.hexdigest(), self._sha256)
        return block

    async def rest(self, first: bytes) -> AsyncIterator[bytes]:
        """A block that was taken, and all after it."""
        yield first
        while not self.ended:
            if block := await self.block(_HASH_BYTES):
                yield block


async def _after(first: bytes, blocks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for block in blocks:
        yield block


def _key(path: str) -> str:
    """The key of a path below the store's prefix. Raises INVALID_PARAMETER_VALUE."""
    if _CONTROL_CHARACTER.search(path):
        raise invalid(f"Invalid path: {path!r}: it holds a control character")
    return checked(path)


def _attributes(path: str) -> dict[str, str]:
    """What the store says when it serves the object itself: its type, and that it is a download."""
    return {"Content-Type": media_type(path), "Content-Disposition": "attachment"}


def _disposition(path: str) -> str:
    name = path.rsplit("/", 1)[-1]
    quoted = quote(name)
    return f'attachment; filename="{name}"' if quoted == name else f"attachment; filename*=utf-8''{quoted}"


def _span(asked: str, size: int) -> tuple[int, int, int]:
    """First byte, end, and status of an answer to a Range header; one of several ranges is answered whole.

    RFC 9110, section 14: 206 for a range that is there, 416 for one beyond the end, 200 for none.
    """
    found = _RANGE.fullmatch(asked.strip())
    if found is None or not any(found.groups()):
        return 0, size, 200
    first, last = found.groups()
    if not first:
        start, end = max(0, size - int(last)), size
    else:
        start, end = int(first), min(int(last) + 1, size) if last else size
        if last and int(last) < start:
            return 0, size, 200
    return (start, end, 206) if start < end else (0, 0, 416)


def _said(error: Exception) -> str:
    """What a store's error says, in one line: its own code and message where it gave them."""
    text = str(error)
    code, message = (re.search(f"<{tag}>([^<]*)</{tag}>", text) for tag in ("Code", "Message"))
    if code:
        return f"{code[1]}: {message[1]}" if message else code[1]
    line = text.split("\n")[0]
    where = re.search(r"https?://[^/\s]+", line)
    said = line.rsplit(" - ", 1)[-1].strip()
    for sign, words in (
        ("169.254.169.254", "no credentials in the environment, and the machine has no role"),
        ("ConnectionRefused", "connection refused"),
        ("dns error", "its name is not known"),
        ("TimedOut", "it did not answer in time"),
    ):
        if sign in text:
            said = words
            break
    return f"{where[0]}: {said}" if where else said
