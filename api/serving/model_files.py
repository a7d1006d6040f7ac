"""A model's files on this machine: fetched from the artifact store, held to their digest, kept in a bounded folder.

They are bytes here: what is pickled in them is unpickled by the worker alone.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import shutil
import time
import uuid
from collections.abc import Callable, Collection
from pathlib import Path
from typing import BinaryIO, Final

from headrace.api.artifacts import store_path
from headrace.api.errors import ApiError
from headrace.api.serving.process import LoadFailed
from headrace.api.serving.served import Version
from headrace.api.stores.store import ArtifactStore
from headrace.ingest.digests import digest_of
from headrace.ingest.limits import artifact_path_fault
from starlette.concurrency import run_in_threadpool

logger = logging.getLogger("headrace.serving")

FILES_MAX: Final = 10_000
FETCH_S: Final = 1800.0
_USED = ".used"
"""Beside a model's folder: when it was last taken, by its time of change."""


class ModelFiles:
    """The folder of all models that were served lately. On one event loop."""

    def __init__(
        self, folder: Path, store: ArtifactStore, bytes_max: int, in_use: Callable[[], Collection[str]]
    ) -> None:
        """folder: made when needed. bytes_max: what is not in use goes when there is more. in_use: names of folders."""
        self._folder = folder
        self._store = store
        self._bytes_max = bytes_max
        self._in_use = in_use
        self._locks: dict[str, asyncio.Lock] = {}

    async def fetched(self, version: Version) -> Path:
        """The folder with the files of a version. Raises LoadFailed."""
        name = name_of(version)
        target = self._folder / name
        lock = self._locks.setdefault(name, asyncio.Lock())
        async with lock:
            if not target.is_dir():
                try:
                    async with asyncio.timeout(FETCH_S):
                        await self._fetch(version, target)
                except TimeoutError:
                    raise LoadFailed(f"its files could not be fetched within {FETCH_S:g} s") from None
                except ApiError as error:
                    raise LoadFailed(f"its files cannot be fetched: {error.message}") from error
                except OSError as error:
                    raise LoadFailed(f"its files cannot be kept in {self._folder}: {error.strerror}") from error
                await run_in_threadpool(self._make_room, name)
            (self._folder / f"{name}{_USED}").touch()
        return target

    async def _fetch(self, version: Version, target: Path) -> None:
        root = store_path(version.location)
        await run_in_threadpool(self._folder.mkdir, parents=True, exist_ok=True)
        incoming = self._folder / f".{uuid.uuid4().hex}"
        sums: list[tuple[str, str]] = []
        try:
            for path in await run_in_threadpool(self._paths, root):
                sums.append((path, await self._copy(f"{root}/{path}", incoming / path)))
            if not sums:
                raise LoadFailed(f"there are no files at {version.location}")
            found = digest_of(sums)
            if version.digest and found != version.digest:
                raise LoadFailed(
                    f"its files are not those that were registered: their digest is {found}, and {version.digest} was"
                    " registered. They were changed since; register them anew if that was meant"
                )
            os.replace(incoming, target)
        finally:
            await run_in_threadpool(shutil.rmtree, incoming, True)

    def _paths(self, root: str) -> list[str]:
        """Every file below a folder of the store. Raises LoadFailed."""
        found: list[str] = []
        folders = [""]
        while folders:
            below = folders.pop()
            for entry in self._store.list(f"{root}/{below}".rstrip("/")):
                path = f"{below}/{entry.path}" if below else entry.path
                if artifact_path_fault(path) is not None:
                    raise LoadFailed(f"one of its files has a path that is none: {path!r}")
                (folders if entry.size is None else found).append(path)
                if len(found) + len(folders) > FILES_MAX:
                    raise LoadFailed(f"it has more than {FILES_MAX} files")
        return found

    async def _copy(self, source: str, target: Path) -> str:
        """Fetch one file; its SHA-256 in hex."""
        await run_in_threadpool(target.parent.mkdir, parents=True, exist_ok=True)
        digest = hashlib.sha256()
        with target.open("wb") as file:
            async for block in self._store.read(source):
                await run_in_threadpool(_take, file, digest, block)
        return digest.hexdigest()

    def _make_room(self, newest: str) -> None:
        """Delete what was not used for the longest time until the rest fits. Blocks."""
        for entry in self._folder.glob(".*/"):
            if entry.stat().st_mtime < time.time() - 2 * FETCH_S:
                shutil.rmtree(entry, ignore_errors=True)  # a crash left it
        kept = {newest, *self._in_use()}
        models = [entry for entry in self._folder.iterdir() if entry.is_dir() and not entry.name.startswith(".")]
        sizes = {entry: _size(entry) for entry in models}
        total = sum(sizes.values())
        for entry in sorted(models, key=lambda entry: _used(self._folder, entry.name)):
            if total <= self._bytes_max:
                return
            if entry.name in kept:
                continue
            shutil.rmtree(entry, ignore_errors=True)
            (self._folder / f"{entry.name}{_USED}").unlink(missing_ok=True)
            total -= sizes[entry]
        if total > self._bytes_max:
            logger.warning(
                "models in use take %d bytes, more than the %d that are meant for them", total, self._bytes_max
            )


def name_of(version: Version) -> str:
    """The folder of a version's files: of what they are, where that is known, so that equal files are kept once."""
    return version.digest or hashlib.sha256(f"{version.identity}\n{version.location}".encode()).hexdigest()


def _take(file: BinaryIO, digest: hashlib._Hash, block: bytes) -> None:
    file.write(block)
    digest.update(block)


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _used(folder: Path, name: str) -> float:
    try:
        return (folder / f"{name}{_USED}").stat().st_mtime
    except OSError:
        return time.time()
