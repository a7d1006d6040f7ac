"""Where a worker tells how it is: /metrics for Prometheus and /health for probes, on a port of their own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server
from wsgiref.types import StartResponse

from headrace.ingest.log import Log
from headrace.processors.fold_metrics import FoldMetrics, Folds
from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.process_collector import ProcessCollector


class Exposition:
    """A small HTTP server on a thread. url: where it answers, empty when it does not."""

    def __init__(self, log: Log, folds: Folds, host: str, port: int) -> None:
        """port: 0 opens none. Raises OSError when the port cannot be had."""
        self.url = ""
        self._server = None
        if not port:
            return
        registry = CollectorRegistry()
        registry.register(FoldMetrics(log, folds))
        ProcessCollector(registry=registry)
        self._metrics = make_wsgi_app(registry)
        self._folds = folds
        self._server = make_server(host, port, self._answer, handler_class=_Quiet)
        self.url = f"http://{host or '0.0.0.0'}:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, name="headrace-metrics", daemon=True).start()

    def close(self) -> None:
        """End it."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()

    def _answer(self, environ: dict[str, Any], start: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/metrics":
            answer: Callable[..., Iterable[bytes]] = self._metrics
            return answer(environ, start)
        if environ["PATH_INFO"] == "/health":
            # A worker that waits for the views is well: restarting it would not bring them back.
            start("200 OK", [("Content-Type", "text/plain; charset=utf-8")])
            return [(self._folds.fault or "OK").encode()]
        start("404 Not Found", [("Content-Type", "text/plain; charset=utf-8")])
        return [b"/metrics and /health are here"]


class _Quiet(WSGIRequestHandler):
    """Logs no requests."""

    def log_message(self, format: str, *args: Any) -> None:
        pass
