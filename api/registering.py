"""Takes the digest of what is registered, off the event loop: within the request where it is quick, else afterwards.

A version is PENDING_REGISTRATION until its files are complete and their digest is taken. Whoever takes it says so in an
event, and the first such event holds: so any number of servers may look at the same version. What is pending when a
server starts, and what trainers register through the log, is found in the fold.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Iterator
from typing import NamedTuple

from headrace.api.appender import AppendRefused
from headrace.api.artifacts import SCHEME
from headrace.api.errors import ApiError
from headrace.api.model_sources import is_kept_here, is_owned, location_of
from headrace.api.stores.store import ArtifactStore
from headrace.api.tracking import Tracking
from headrace.ingest import model_events as m
from headrace.ingest.clock import Clock
from headrace.ingest.digests import digest_of
from headrace.ingest.log import LogError
from headrace.processors.entities import Entities
from headrace.processors.registered_models import ModelVersion
from headrace.processors.registry import LoggedModel
from headrace.processors.views import ViewsUnavailable
from starlette.concurrency import run_in_threadpool

logger = logging.getLogger("headrace.registering")

FILES_MAX = 100_000
IN_REQUEST_S = 10.0
"""How long a request waits for the digest of what it registers."""
LOOK_INTERVAL_S = 0.5
WAIT_S_MAX = 60.0
"""A version whose files are not there is looked at again after LOOK_INTERVAL_S, then twice that, up to this."""
AT_ONCE = 2
"""So many models are read at a time for requests; one more for what is pending."""
FILES_WAIT_MS = 24 * 3600 * 1000
"""How long after a version was made its files may come."""
NOT_OWNED = "{} is not a place of the run or logged model that it names"
NO_FILES = "there were no files at {} when it was registered"
OUT_OF_REACH = "its files are not kept by this server, which therefore took no digest of them"


_PASSING = (ApiError, AppendRefused, LogError, ViewsUnavailable, OSError)
"""What is over by itself, so that a version is looked at again."""


class Digest(NamedTuple):
    """Of the files of a model. digest in hex, empty where there is none; message: why."""

    digest: str = ""
    message: str = ""
    files: int = 0
    file_bytes: int = 0


class _Again(NamedTuple):
    """When to look at a pending version again, by the monotonic clock; after how long a wait, s; why it is pending."""

    at_s: float
    wait_s: float
    why: str


class Registering:
    """Takes digests, for one server."""

    def __init__(self, engine: Entities, tracking: Tracking, store: ArtifactStore, clock: Clock) -> None:
        self._engine = engine
        self._tracking = tracking
        self._store = store
        self._clock = clock
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._again: dict[tuple[str, str], _Again] = {}

    async def digest(self, location: str) -> Digest | None:
        """The digest of the files at a location, None if it takes longer than IN_REQUEST_S: then register what is
        pending, and `run` takes it. Raises TEMPORARILY_UNAVAILABLE."""
        if not is_kept_here(location):
            return Digest(message=OUT_OF_REACH)
        try:
            async with asyncio.timeout(IN_REQUEST_S), self._turns:
                return await self._digest(location)
        except TimeoutError:
            return None

    async def run(self) -> None:
        """Finalize what is pending, one version after the other, for as long as the server lives."""
        while True:
            try:
                await self._look()
            except _PASSING as error:
                logger.warning("versions stay pending for now: %s", error)
            await asyncio.sleep(LOOK_INTERVAL_S)

    async def _look(self) -> None:
        """Finalize each pending version whose files are complete."""
        models = self._engine.registry.models
        pending = list(models.pending)
        self._again = {key: again for key, again in self._again.items() if key in models.pending}
        for key in pending:
            subject, version_id = key
            model, again = models.by_id.get(subject), self._again.get(key)
            version = model.version_of_id(version_id) if model else None
            if model is None or version is None or self._is_on_its_way(version):
                continue
            if again is not None and time.monotonic() < again.at_s:
                continue
            try:
                finalized, why = await self._finalized(version), "its files are not there yet"
            except _PASSING as error:
                finalized, why = None, str(error)
                if again is None or again.why != why:
                    logger.warning("version %s of %s stays pending: %s", version.version, model.name, why)
            if finalized is not None:
                await self._tracking.command(subject, finalized)
            elif version.status == m.PENDING:
                wait_s = min(2 * again.wait_s, WAIT_S_MAX) if again else LOOK_INTERVAL_S
                self._again[key] = _Again(time.monotonic() + wait_s, wait_s, why)

    def _is_on_its_way(self, version: ModelVersion) -> bool:
        """Whether the logged model a version was made from is still being uploaded, or is still to come."""
        model = self._logged_model(version)
        uploaded = model is not None and model.status != "LOGGED_MODEL_PENDING"
        of_logged_model = model is not None or version.source.startswith("models:/")
        return of_logged_model and not uploaded and not self._is_late(version)

    def _is_late(self, version: ModelVersion) -> bool:
        return self._clock.time_ms() > version.creation_time_ms + FILES_WAIT_MS

    def _logged_model(self, version: ModelVersion) -> LoggedModel | None:
        named = version.model_id or version.source.removeprefix("models:/")
        return self._engine.registry.logged_models.get(named)

    async def _finalized(self, version: ModelVersion) -> m.ModelVersionFinalized | None:
        """What became of a pending version, or None if its files are still on their way."""
        version_id, model = version.version_id, self._logged_model(version)
        if model is not None and model.status == "LOGGED_MODEL_UPLOAD_FAILED":
            return m.ModelVersionFinalized(version_id, m.FAILED, message=f"the upload of {model.model_id} failed")
        location = location_of(self._engine.registry, version)
        if is_kept_here(location):
            owner = model.artifact_uri if model else await self._run_root(version.run_id)
            if not owner or not is_owned(location, owner):
                return m.ModelVersionFinalized(version_id, m.FAILED, message=NOT_OWNED.format(location))
            taken = await self._digest(location)
            if taken.files:
                return m.ModelVersionFinalized(version_id, m.READY, *taken, location)
        elif not location.startswith("models:/"):
            return m.ModelVersionFinalized(version_id, m.READY, message=OUT_OF_REACH)
        message = "its files did not come within a day"
        return m.ModelVersionFinalized(version_id, m.FAILED, message=message) if self._is_late(version) else None

    async def _run_root(self, run_id: str) -> str:
        """Where a run keeps its artifacts; empty where there is no such run. Raises TEMPORARILY_UNAVAILABLE."""
        try:
            return (await self._tracking.run(run_id)).artifact_uri
        except ApiError as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return ""

    async def _digest(self, location: str) -> Digest:
        root = location.removeprefix(SCHEME).strip("/")
        paths = await run_in_threadpool(lambda: list(_below(self._store, root))) if root else []
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
