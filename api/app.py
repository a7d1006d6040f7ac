"""Puts the server together: the only place where its parts meet."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from fastapi import FastAPI
from headrace.api import (
    apidocs,
    artifacts,
    changes,
    compare,
    console,
    correlations,
    errors,
    export,
    family,
    find,
    gateway,
    gc,
    health,
    life_cycle,
    lineages,
    metric_history,
    model_moments,
    multipart,
    page,
    rebuilding,
    registry_stages,
    run_columns,
    run_table,
    saved_views,
    series,
    signatures,
    system,
    telemetry,
)
from headrace.api.appender import Appender
from headrace.api.as_of import AsOf
from headrace.api.body import BodyLimit
from headrace.api.direct import Direct
from headrace.api.ends import Ends
from headrace.api.erasing import Eraser
from headrace.api.errors import HANDLERS
from headrace.api.feed import routes as feed_routes
from headrace.api.feed.feed import Feed
from headrace.api.feed.standing import Standing
from headrace.api.forks import Forks
from headrace.api.metric_columns import MetricColumns
from headrace.api.mlflow import (
    comments,
    experiments,
    history,
    lineage,
    logged_models,
    model_versions,
    registered_models,
    runs,
    server_info,
    transition_requests,
    wire,
)
from headrace.api.mlflow.documents import Documents
from headrace.api.origin import Told
from headrace.api.pages import Pages
from headrace.api.point_aggregates import PointAggregates
from headrace.api.rates import Rates
from headrace.api.registering import Registering
from headrace.api.services import Services
from headrace.api.serving import routes as endpoints
from headrace.api.serving import traffic_routes
from headrace.api.serving.data_plane import DataPlane
from headrace.api.serving.fleet import Fleet
from headrace.api.settings import Settings
from headrace.api.sql import routes as sql
from headrace.api.sql.running import Running
from headrace.api.stores.opening import open_store
from headrace.api.stores.store import ArtifactStore
from headrace.api.tracking import Tracking
from headrace.api.watchdog import Watchdog
from headrace.ingest import events, limits
from headrace.ingest.clock import Clock, SystemClock
from headrace.ingest.log import HistoryLog, Log
from headrace.ingest.past import PastLog
from headrace.ingest.topics import REGISTRY
from headrace.processors.engine import Engine
from headrace.processors.entities import Entities
from headrace.processors.erasing import Sweeper
from headrace.processors.rebuilding import ByEngine, Rebuilding
from headrace.processors.views import Views
from starlette.concurrency import run_in_threadpool

ROUTERS = (
    *(module.router for module in (runs, experiments, history, lineage, logged_models, server_info)),
    *(module.router for module in (registered_models, model_versions, transition_requests, comments)),
    *(module.router for module in (console, family)),
    *(module.router for module in (registry_stages, model_moments, lineages, signatures, traffic_routes)),
    *(
        module.router
        for module in (gateway, artifacts, multipart, run_columns, run_table, sql, feed_routes, rebuilding)
    ),
    *(module.router for module in (series, metric_history, changes, life_cycle, export, compare, correlations, gc)),
    *(module.router for module in (find, endpoints, saved_views, health, system, telemetry, apidocs, page)),
)
DESCRIPTION = "MLflow's REST API 2.0, the ingest gateway and the queries of Headrace. Errors: `{error_code, message}`."


def create_app(
    settings: Settings,
    log: HistoryLog,
    views: Views,
    clock: Clock | None = None,
    store: ArtifactStore | None = None,
    fold: Callable[[Log, Views, Clock], Entities] = Engine,
) -> FastAPI:
    """A server over this log and these views; the caller closes both after it has stopped.

    fold: makes what this process folds: an Engine, which stores too, or a Replica, where workers do.
    store: for artifacts; without one it is what the settings name. Raises StoreUnavailable when they name none.
    """
    clock = clock or SystemClock()
    store = store or open_store(settings.artifacts, settings.data_dir)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        engine = await run_in_threadpool(fold, log, views, clock)
        appender = Appender(log)
        ends = Ends(log)
        forks = Forks(engine, views)
        tracking = Tracking(ends, engine, forks, appender, clock, settings.read_wait_s)
        past = AsOf(log, engine, views, forks, tracking, clock)

        async def standing() -> Standing:
            log_ends, viewed = await ends.now(), engine.viewed.offsets()
            return Standing(sum(max(0, log_ends.get(p, 0) - x) for p, x in viewed.items()), engine.fault)

        feed = Feed(log, ends, engine, standing)
        rebuilder = Rebuilding(log, views, ByEngine(engine)) if isinstance(engine, Engine) else None
        fleet = Fleet(engine, store, appender, clock, settings)
        await run_in_threadpool(store.forget_old_uploads)
        app.state.services = Services(
            settings,
            clock,
            log,
            ends,
            views,
            engine,
            appender,
            tracking,
            forks,
            past,
            store,
            feed,
            Documents(),
            PointAggregates(views, forks.links),
            MetricColumns(engine),
            Pages(clock),
            rebuilder,
            Eraser(Sweeper(log, views), views, engine, tracking, past, store, clock),
            Registering(engine, tracking, store, clock),
            fleet,
            Rates(ends, engine, clock),
        )
        app.state.telemetry = telemetry.Telemetry(app.state.services)
        app.state.sql = Running()
        engine.start()
        appender.start()
        await tracking.folded(REGISTRY)
        changes = not isinstance(log, PastLog)
        if changes and limits.DEFAULT_EXPERIMENT_ID not in engine.registry.experiments:
            default = events.ExperimentCreated(limits.DEFAULT_EXPERIMENT_NAME, if_absent=True)
            await tracking.command(limits.DEFAULT_EXPERIMENT_ID, default)
        watchdog = Watchdog(engine, appender, clock, settings.heartbeat_misses)
        registering = app.state.services.registering
        workers = (watchdog, registering, app.state.services.rates) if changes else ()
        at_work = [asyncio.create_task(one.run()) for one in workers]
        if changes:
            fleet.start()
        try:
            yield
        finally:
            for task in at_work:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
            await fleet.stop()
            await feed.stop()
            if rebuilder is not None:
                await run_in_threadpool(rebuilder.stop)
            await run_in_threadpool(appender.stop)
            await run_in_threadpool(engine.stop)

    app = FastAPI(
        title="Headrace",
        version=health.VERSION,
        description=DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    for router in ROUTERS:
        app.include_router(router)
    for kind, handler in HANDLERS.items():
        app.add_exception_handler(kind, handler)
    app.add_middleware(Direct, table=wire.EXACT)
    app.add_middleware(DataPlane)
    app.add_middleware(BodyLimit, bytes_max=settings.body_bytes_max)
    app.add_middleware(Told)
    app.add_middleware(telemetry.Measured)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    return app


def _openapi(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema is None:
        document = FastAPI.openapi(app)
        document.setdefault("components", {}).setdefault("schemas", {}).update(wire.COMPONENTS)
        for operations in document["paths"].values():
            for operation in operations.values():
                # The framework promises its own 422 for wrong parameters; ours are in the one shape of all errors.
                operation["responses"].pop("422", None)
                operation["responses"]["default"] = errors.DOCUMENTED
        app.openapi_schema = document
    return app.openapi_schema
