"""Prometheus metrics of the server: requests, folds, views."""

from __future__ import annotations

import time

from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse
from headrace.api.services import Services
from headrace.api.serving.metrics import EndpointMetrics
from headrace.processors.fold_metrics import FoldMetrics
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, Histogram, generate_latest
from prometheus_client.process_collector import ProcessCollector
from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Message, Receive, Scope, Send

router = APIRouter(tags=["server"])
BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Telemetry:
    """One server's metrics; its own registry, so that several servers fit in one process."""

    def __init__(self, parts: Services) -> None:
        self.registry = CollectorRegistry()
        self.requests = Histogram(
            "headrace_request_seconds",
            "Time to answer a request, seconds.",
            ("method", "route", "status"),
            buckets=BUCKETS_S,
            registry=self.registry,
        )
        self.registry.register(FoldMetrics(parts.log, parts.engine))
        self.registry.register(EndpointMetrics(parts.fleet))
        ProcessCollector(registry=self.registry)
        readers = Gauge("headrace_feed_readers", "Readers of the feed, pages among them.", registry=self.registry)
        readers.set_function(lambda: parts.feed.readers)


class Measured:
    """ASGI middleware that times requests by route."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        status = 500

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noted)
        finally:
            route = scope.get("route")
            telemetry: Telemetry | None = getattr(scope["app"].state, "telemetry", None)
            # A feed lasts as long as somebody reads it: that is no time to answer.
            if telemetry is not None and getattr(route, "name", "") != "get_events":
                path = getattr(route, "path", "other")
                telemetry.requests.labels(scope["method"], path, str(status)).observe(time.perf_counter() - started)


@router.get("/metrics", summary="Prometheus metrics", response_class=PlainTextResponse)
async def metrics(request: Request) -> Response:
    """In Prometheus' text format."""
    telemetry: Telemetry = request.app.state.telemetry
    # Off the event loop: it asks the log, which may be far.
    text = await run_in_threadpool(generate_latest, telemetry.registry)
    return Response(text, media_type=CONTENT_TYPE_LATEST)
