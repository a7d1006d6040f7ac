"""Prometheus metrics of the server: requests, folds, views."""

from __future__ import annotations

import time
from collections.abc import Iterator

from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse
from headrace.api.services import Services, services
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector
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
        self.registry.register(_Folds(parts))
        ProcessCollector(registry=self.registry)


class _Folds(Collector):
    """Reads the engine when it is asked."""

    def __init__(self, parts: Services) -> None:
        self._parts = parts

    def collect(self) -> Iterator[Metric]:
        engine = self._parts.engine
        for name, help_text in (
            ("events", "Events of the runs and registry topics folded since the start."),
            ("points", "Metric points stored in the views since the start."),
            ("duplicates", "Events dropped because their writer had sent them before."),
            ("missed", "Events that writers sent and that never came: gaps in their sequences."),
            ("rejected", "Events set aside in the dead letters."),
            ("refused", "Events a rule refused, such as a changed param."),
        ):
            yield CounterMetricFamily(f"headrace_{name}", help_text, value=getattr(engine.counters, name))
        offset = GaugeMetricFamily("headrace_offset", "Offset to read next.", labels=("topic", "partition", "stage"))
        stages = (
            ("log", self._parts.log.end()),
            ("folded", engine.folded.offsets()),
            ("viewed", engine.viewed.offsets()),
        )
        for stage, offsets in stages:
            for partition, value in offsets.items():
                offset.add_metric((partition.topic, str(partition.partition), stage), value)
        yield offset
        fault = GaugeMetricFamily("headrace_views_fault", "1 while the views cannot be written, else 0.")
        fault.add_metric((), engine.fault is not None)
        yield fault


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
            if telemetry is not None:
                path = getattr(route, "path", "other")
                telemetry.requests.labels(scope["method"], path, str(status)).observe(time.perf_counter() - started)


@router.get("/metrics", summary="Prometheus metrics", response_class=PlainTextResponse)
async def metrics(request: Request) -> Response:
    """In Prometheus' text format."""
    telemetry: Telemetry = request.app.state.telemetry
    services(request)
    return Response(generate_latest(telemetry.registry), media_type=CONTENT_TYPE_LATEST)
