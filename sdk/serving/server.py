"""`headrace models serve`: the scorer of one model on HTTP, in one process or several. Needs the extra `server`."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import uvicorn
from headrace.sdk.models.places import load_pyfunc
from headrace.sdk.serving.asgi import ScoringApp
from headrace.sdk.serving.batching import Limits
from headrace.sdk.serving.ready import ReadyServer
from headrace.sdk.serving.scorer import Scorer

VARIABLE = "HEADRACE_SERVING"
DRAIN_S = 10
KEEP_ALIVE_S = 75
BACKLOG = 2048
_OPTIONS: dict[str, Any] = {
    "lifespan": "on", "ws": "none", "log_level": "warning", "access_log": False, "server_header": False,
    "backlog": BACKLOG, "timeout_keep_alive": KEEP_ALIVE_S, "timeout_graceful_shutdown": DRAIN_S,
}  # fmt: skip


class CannotServe(Exception):
    """The server did not get ready; the message says what to look at."""


class Serving(msgspec.Struct, frozen=True):
    """What is served, and how.

    model_uri: as `headrace.pyfunc.load_model` takes it. name, version: of the Open Inference Protocol's routes.
    row_wise: see Scorer.
    """

    model_uri: str
    name: str
    version: str
    limits: Limits
    row_wise: bool | None = None


def scoring_app(serving: Serving) -> ScoringApp:
    """The application, its model loaded. Raises what loading raises."""
    model = load_pyfunc(serving.model_uri)
    return ScoringApp(Scorer(model, serving.name, serving.version, serving.limits, serving.row_wise))


def app_of_environment() -> ScoringApp:
    """The application in a process that uvicorn started: what it serves is in the environment."""
    return scoring_app(msgspec.json.decode(os.environ[VARIABLE], type=Serving))


def serve(serving: Serving, host: str, port: int, workers: int, on_ready: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM, which drain for DRAIN_S. on_ready: is told the URL once it can be asked.

    port: 0 takes a free one. Raises OSError when the address is taken, and what loading the model raises.
    """
    if workers == 1:
        serve_app(scoring_app(serving), host, port, on_ready)
        return
    with listening(host, port) as listener:
        os.environ[VARIABLE] = msgspec.json.encode(serving).decode()
        # Loaded here too, so that a model that cannot be loaded is one clear error and not workers that die for ever.
        Scorer(load_pyfunc(serving.model_uri)).close()
        on_ready(_url(host, listener))
        app = "headrace.sdk.serving.server:app_of_environment"
        uvicorn.run(app, factory=True, workers=workers, fd=listener.fileno(), **_OPTIONS)


def serve_app(app: ScoringApp, host: str, port: int, on_ready: Callable[[str], None]) -> None:
    """Serve an application in this process, as `serve`. Raises OSError, and CannotServe when it does not get ready."""
    with listening(host, port) as listener:
        server = ReadyServer(uvicorn.Config(app, **_OPTIONS), lambda: on_ready(_url(host, listener)))
        server.run([listener])
    if not server.started:
        raise CannotServe("the model does not get ready; what it said stands above")


def _url(host: str, listener: socket.socket) -> str:
    return f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}"


@contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """A socket that listens. Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
        listener.set_inheritable(True)
        yield listener
