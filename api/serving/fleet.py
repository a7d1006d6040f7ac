"""All endpoints of this server: they follow the registry as it is folded, and share files, environments and turns."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Collection
from pathlib import Path
from typing import Any, Final

from headrace.api.appender import Appender
from headrace.api.serving import model_files
from headrace.api.serving.endpoint import EndpointServer
from headrace.api.serving.environments import Environments
from headrace.api.serving.model_files import ModelFiles
from headrace.api.serving.predictions import Predictions
from headrace.api.serving.process import Answer, LoadFailed
from headrace.api.serving.resolving import resolve
from headrace.api.serving.served import Prepared, Served, Version
from headrace.api.serving.stats import Stats
from headrace.api.settings import Settings
from headrace.api.stores.store import ArtifactStore
from headrace.ingest.clock import Clock
from headrace.ingest.events import EndpointOptions
from headrace.processors.endpoints import Endpoint
from headrace.processors.entities import Entities
from headrace.sdk.serving.faults import Refused

logger = logging.getLogger("headrace.serving")

BUSY_S: Final = 2.0
"""Endpoints that were asked within this are busy: what loads meanwhile gives way."""


class Fleet:
    """The endpoints, by name, on the event loop that started it."""

    def __init__(
        self, engine: Entities, store: ArtifactStore, appender: Appender, clock: Clock, settings: Settings
    ) -> None:
        folder = Path(settings.endpoint_cache) if settings.endpoint_cache else settings.data_dir / "serving"
        # Workers have working directories of their own.
        folder = folder.resolve()
        self.endpoints: dict[str, EndpointServer] = {}
        self.followers = 0
        """Streams of traffic under way."""
        self.predictions = Predictions(appender, clock)
        self._engine = engine
        self._settings = settings
        self._files = ModelFiles(folder / "models", store, settings.endpoint_cache_bytes_max, self._folders_in_use)
        self._environments = Environments(
            folder / "environments", bool(settings.endpoint_uv), in_use=self._environments_in_use
        )
        self._turns = asyncio.Semaphore(max(1, (os.cpu_count() or 2) // 2))
        self._changed = asyncio.Event()
        self._following: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closing: set[asyncio.Task[None]] = set()

    @property
    def enabled(self) -> bool:
        """Whether this server runs workers at all."""
        return self._settings.endpoint_workers_max > 0

    def missing(self, name: str) -> EndpointServer:
        """Why there is no such endpoint here. Raises Refused."""
        if name not in self._engine.registry.endpoints:
            raise Refused(404, "RESOURCE_DOES_NOT_EXIST", f"There is no endpoint {name!r}; create it first.")
        if self._following is None:
            why = "This server runs no workers (HEADRACE_ENDPOINT_WORKERS_MAX=0, or it shows the past)."
        else:
            why = f"The endpoint {name} is being started; ask again in a moment."
        raise Refused(503, "TEMPORARILY_UNAVAILABLE", why)

    def start(self) -> None:
        """Begin to follow the registry."""
        if not self.enabled:
            return
        self._loop = asyncio.get_running_loop()
        self._engine.on_registry.append(self._wake)
        self._changed.set()
        self._following = self._loop.create_task(self._follow())
        self.predictions.start()

    async def stop(self) -> None:
        """Drain every endpoint and end all workers."""
        if self._following is None:
            return
        self._engine.on_registry.remove(self._wake)
        self._following.cancel()
        endpoints, self.endpoints = list(self.endpoints.values()), {}
        await asyncio.gather(*(endpoint.close() for endpoint in endpoints), *self._closing, return_exceptions=True)
        await self.predictions.stop()

    def _wake(self) -> None:
        """On the fold's thread."""
        assert self._loop is not None
        try:
            self._loop.call_soon_threadsafe(self._changed.set)
        except RuntimeError:
            pass  # the loop has ended

    async def _follow(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            try:
                self.refresh()
            except Exception:
                # One endpoint that cannot be followed must not end the following of all.
                logger.exception("the endpoints could not follow the registry")

    def refresh(self) -> None:
        """Do what the registry says now; nothing where that was done."""
        if self._following is None:
            return
        wanted = dict(self._engine.registry.endpoints)
        for name in [name for name in self.endpoints if name not in wanted]:
            task = asyncio.get_running_loop().create_task(self.endpoints.pop(name).close())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)
        for name, state in wanted.items():
            server = self.endpoints.get(name)
            if server is None:
                server = self.endpoints[name] = EndpointServer(
                    state, self._resolve, self._make, self._told, self._settings.endpoint_previous_s
                )
            server.follow(state)

    def _resolve(self, uri: str) -> Version:
        return resolve(self._engine.registry, uri, self._settings.endpoint_models)

    def _make(self, version: Version, options: EndpointOptions, stats: Stats) -> Served:
        return Served(
            version,
            options,
            stats,
            self._prepare,
            self._turns,
            self._is_busy(),
            self._settings.endpoint_load_s,
            self._settings.body_bytes_max,
        )

    def _is_busy(self) -> bool:
        """Whether anybody would notice that a model loads."""
        since_s = asyncio.get_running_loop().time() - BUSY_S
        return any(served.asked_s > since_s for endpoint in self.endpoints.values() for served in endpoint.serveds)

    async def _prepare(self, version: Version, options: EndpointOptions) -> Prepared:
        """Raises LoadFailed."""
        self._check_room()
        folder = await self._files.fetched(version)
        program, environment = await self._environments.program(folder, options.environment)
        return Prepared(program, folder, environment)

    def _check_room(self) -> None:
        most = self._settings.endpoint_workers_max
        for only_needed in (False, True):
            count = sum(served.options.workers for endpoint in self.endpoints.values() for served in endpoint.serveds)
            if count <= most:
                return
            if not only_needed:
                for endpoint in self.endpoints.values():
                    endpoint.forget_previous()
        raise LoadFailed(
            f"the endpoints of this server would have {count} workers, and it runs {most} at most; delete endpoints, or"
            " raise HEADRACE_ENDPOINT_WORKERS_MAX"
        )

    def _folders_in_use(self) -> Collection[str]:
        return {
            model_files.name_of(served.version) for endpoint in self.endpoints.values() for served in endpoint.serveds
        }

    def _environments_in_use(self) -> Collection[str]:
        return {served.environment for endpoint in self.endpoints.values() for served in endpoint.serveds}

    def _told(
        self,
        endpoint: Endpoint,
        served: Served,
        head: Any,
        body: bytes,
        answer: Answer,
        seconds: float,
        request_id: str,
        shadow: bool,
    ) -> None:
        self.predictions.add(endpoint, served.version, head, body, answer, seconds, request_id, shadow)
