"""Takes the digest of what is registered, off the event loop: within the request where it is quick, else afterwards.

A version is PENDING_REGISTRATION until its files are complete and their digest is taken. Whoever takes it says so in an
event, and the first such event holds: so any number of servers may look at the same version. What is pending when a
server starts, and what trainers register through the log, is found in the fold.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Iterator
from typing import NamedTuple

from headrace.api.artifacts import SCHEME
from headrace.api.errors import ApiError
from headrace.api.model_sources import is_kept_here, location_of
from headrace.api.stores.store import ArtifactStore
from headrace.api.tracking import Tracking
from headrace.ingest import model_events as m
from headrace.ingest.clock import Clock
from headrace.ingest.digests import digest_of
from headrace.ingest.log import LogError
from headrace.processors.entities import Entities
from headrace.processors.registered_models import ModelVersion
from starlette.concurrency import run_in_threadpool

logger = logging.getLogger("headrace.registering")

FILES_MAX = 100_000
IN_REQUEST_S = 10.0
"""How long a request waits for the digest of what it registers."""
LOOK_INTERVAL_S = 0.5
AT_ONCE = 2
"""So many models are read at a time."""
FILES_WAIT_MS = 24 * 3600 * 1000
"""How long after a version was made its files may come."""
NO_FILES = "there were no files at {} when it was registered"
OUT_OF_REACH = "its files are not kept by this server, which therefore took no digest of them"


class Digest(NamedTuple):
    """Of the files of a model. digest in hex, empty where there is none; message: why."""

    digest: str = ""
    message: str = ""
    files: int = 0
    file_bytes: int = 0


class Registering:
    """One server's."""

    def __init__(self, engine: Entities, tracking: Tracking, store: ArtifactStore, clock: Clock) -> None:
        self._engine = engine
        self._tracking = tracking
        self._store = store
        self._clock = clock
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._wanted = asyncio.Event()
        self._faults: dict[tuple[str, str], str] = {}

    async def digest(self, location: str) -> Digest | None:
        """The digest of the files at a location, None if it takes longer than IN_REQUEST_S: then register what is
        pending, and `run` takes it. Raises TEMPORARILY_UNAVAILABLE."""
        if not is_kept_here(location):
            return Digest(message=OUT_OF_REACH)
        try:
            async with asyncio.timeout(IN_REQUEST_S):
                return await self._digest(location)
        except TimeoutError:
            self._wanted.set()
            return None

    async def run(self) -> None:
        """Finalize what is pending, for as long as the server lives."""
        while True:
            try:
                await self._look()
            except (ApiError, LogError) as error:
                logger.warning("versions stay pending for now: %s", error)
            self._wanted.clear()
            try:
                async with asyncio.timeout(LOOK_INTERVAL_S):
                    await self._wanted.wait()
            except TimeoutError:
                pass

    async def _look(self) -> None:
        """Finalize each pending version whose files are complete, one after the other."""
        pending = list(self._engine.registry.models.pending)
        self._faults = {key: fault for key, fault in self._faults.items() if key in pending}
        for key in pending:
            subject, version_id = key
            model = self._engine.registry.models.by_id.get(subject)
            version = model.version_of_id(version_id) if model else None
            if model is None or version is None:
                continue
            try:
                finalized = await self._finalized(version)
            except (ApiError, OSError) as error:
                if self._faults.get(key) != str(error):
                    logger.warning("version %s of %s stays pending: %s", version.version, model.name, error)
                    self._faults[key] = str(error)
                continue
            if finalized is not None:
                await self._tracking.command(subject, finalized)

    async def _finalized(self, version: ModelVersion) -> m.ModelVersionFinalized | None:
        """What became of a pending version, or None if its files are still on their way."""
        version_id = version.version_id
        registry = self._engine.registry
        model = registry.logged_models.get(version.model_id)
        if model is not None and model.status == "LOGGED_MODEL_UPLOAD_FAILED":
            return m.ModelVersionFinalized(version_id, m.FAILED, message=f"the upload of {version.model_id} failed")
        late = self._clock.time_ms() > version.creation_time_ms + FILES_WAIT_MS
        known = model is not None or not version.source.startswith("models:/m-")
        if known and (model is None or model.status == "LOGGED_MODEL_READY"):
            location = location_of(registry, version)
            if not is_kept_here(location):
                return m.ModelVersionFinalized(version_id, m.READY, message=OUT_OF_REACH)
            taken = await self._digest(location)
            if taken.files:
                return m.ModelVersionFinalized(version_id, m.READY, *taken)
        message = "its files did not come within a day"
        return m.ModelVersionFinalized(version_id, m.FAILED, message=message) if late else None

    async def _digest(self, location: str) -> Digest:
        async with self._turns:
            root = location.removeprefix(SCHEME).strip("/")
            paths = await run_in_threadpool(lambda: list(_below(self._store, root)))
            if not paths:
                return Digest(message=NO_FILES.format(location))
            if len(paths) > FILES_MAX:
                return Digest("", f"it has more than {FILES_MAX:,} files, of which no digest is taken", len(paths))
            files, size = [], 0
            for path in paths:
                sha256 = hashlib.sha256()
                async for block in self._store.read(f"{root}/{path}"):
                    await run_in_threadpool(sha256.update, block)
                    size += len(block)
                files.append((path, sha256.hexdigest()))
            return Digest(digest_of(files), "", len(files), size)


def _below(store: ArtifactStore, root: str) -> Iterator[str]:
    """The files below a folder, FILES_MAX + 1 at most."""
    folders = [""]
    number = 0
    while folders:
        folder = folders.pop()
        for entry in store.list(f"{root}/{folder}".rstrip("/")):
            path = f"{folder}/{entry.path}" if folder else entry.path
            if entry.size is None:
                folders.append(path)
                continue
            number += 1
            yield path
            if number > FILES_MAX:
                return
