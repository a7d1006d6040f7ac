"""Runs the server in this process: `python -m headrace.api.main`, or `headrace server`."""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import uvicorn
from headrace.api import settings as server_settings
from headrace.api.app import create_app
from headrace.api.feed.stream import ABORT
from headrace.api.settings import Settings
from headrace.api.stores.opening import open_store
from headrace.api.stores.store import StoreUnavailable
from headrace.ingest.clock import Clock
from headrace.ingest.log import HistoryLog, Log, LogError
from headrace.ingest.opening import log_file, open_log
from headrace.ingest.past import PastLog, is_past
from headrace.processors import views
from headrace.processors.engine import Engine
from headrace.processors.entities import Entities
from headrace.processors.ownership import Ownership
from headrace.processors.replica import GroupLog, Replica
from headrace.processors.views import Views
from headrace.processors.without_pandas import refuse_pandas
from headrace.sdk.serving.ready import ReadyServer
from starlette.types import ASGIApp, Receive, Scope, Send

LOCK_FILE = "server.lock"
ADDRESS_FILE = "server.json"
DRAIN_S = 10
SWITCH_INTERVAL_S = 0.0005


class CannotStart(Exception):
    """The server cannot start; the message says why and what to do."""


@contextmanager
def owned(data_dir: Path) -> Iterator[None]:
    """Hold a data folder for this process. Raises CannotStart when another server has it."""
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        lock = (data_dir / LOCK_FILE).open("a+")
    except OSError as error:
        raise CannotStart(f"cannot use the data folder {data_dir}: {error.strerror}") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise CannotStart(
                f"another server has the data folder {data_dir.resolve()}{_holder(data_dir)}; stop it, use it, or"
                " choose another --data-dir"
            ) from None
        yield


def _holder(data_dir: Path) -> str:
    try:
        found = json.loads((data_dir / ADDRESS_FILE).read_text())
        return f" (process {found['pid']}, {found['url']})"
    except (OSError, ValueError, KeyError):
        return ""


def listen(settings: Settings) -> socket.socket:
    """A listening socket. Raises CannotStart."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((settings.host, settings.port))
    except (OSError, OverflowError) as error:
        bound.close()
        raise CannotStart(f"cannot listen on {settings.host}:{settings.port}: {error}") from error
    bound.listen(2048)
    return bound


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then drain and stop. Takes the process over. Raises CannotStart."""
    refuse_pandas()
    # Requests and folds share the interpreter; the default of 5 ms is longer than most requests take.
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    with owned(settings.data_dir), listen(settings) as bound:
        host, port = bound.getsockname()[:2]
        url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        address = settings.data_dir / ADDRESS_FILE
        try:
            artifacts = open_store(settings.artifacts, settings.data_dir)
            artifacts.check()
        except StoreUnavailable as error:
            raise CannotStart(str(error)) from error
        log, stored, fold = _opened(settings)
        app = create_app(settings, log, stored, store=artifacts, fold=fold)
        server = _Server(
            uvicorn.Config(
                _with_abort(app),
                log_level="warning",
                access_log=False,
                timeout_graceful_shutdown=DRAIN_S,
                timeout_keep_alive=75,
            ),
            on_ready=lambda: _announce(address, url, settings),
            on_stop=lambda: app.state.services.feed.close(),
        )
        try:
            server.run(sockets=[bound])
        finally:
            address.unlink(missing_ok=True)
            if server.started and app.state.sql.busy:
                # An SQL statement that the engine cannot stop reads the views: to close them under it would crash.
                log.close()
                os._exit(0)
            stored.close()
            log.close()
        if not server.started:
            raise CannotStart(f"the server on {settings.data_dir} did not start; the lines above say why")


def _opened(settings: Settings) -> tuple[HistoryLog, Views, Callable[[Log, Views, Clock], Entities]]:
    """The log, the views, and what folds one into the other here. Raises CannotStart."""
    log: HistoryLog | None = None
    try:
        past = not settings.log and is_past(settings.data_dir)
        log = PastLog(log_file(str(settings.data_dir))) if past else open_log(settings.log or str(settings.data_dir))
        stored = views.open_views(settings.views or settings.data_dir / "views")
        if settings.views and log.remote:
            with suppress(views.ViewsUnavailable):  # it starts all the same, and says so
                stored.check_schema()
            return log, stored, _replica
        if not settings.views:
            _of_this_version(stored)
            return log, stored, Engine
        stored.check_schema()
        # Another server may have the same views: the last one to start stores, the others are refused.
        return log, stored, _owning_engine
    except (LogError, views.ViewsUnavailable, views.WrongSchema, views.BadViewsUrl, OSError) as error:
        if log is not None:
            log.close()
        where = f"cannot use the data folder {settings.data_dir}: " if not settings.log and not settings.views else ""
        raise CannotStart(f"{where}{error}") from error


def _of_this_version(stored: Views) -> None:
    """Make the views anew, of the log beside them, where they are another version's. Raises ViewsUnavailable."""
    try:
        stored.check_schema()
    except views.WrongSchema as error:
        print(
            f"headrace: {error.args[0].split(';')[0]}; they are folded anew from the log", file=sys.stderr, flush=True
        )
        stored.remake()


def _owning_engine(log: Log, stored: Views, clock: Clock) -> Engine:
    return Engine(log, stored, clock, Ownership(stored))


def _replica(log: Log, stored: Views, clock: Clock) -> Replica:
    assert isinstance(log, GroupLog)
    return Replica(log, stored)


class _Server(ReadyServer):
    """Says when it begins to stop, too."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None], on_stop: Callable[[], None]) -> None:
        super().__init__(config, on_ready)
        self._on_stop = on_stop

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # Open pages listen for ever: without this they would hold up the drain for its whole time.
        self._on_stop()
        await super().shutdown(sockets)


def _with_abort(app: ASGIApp) -> ASGIApp:
    """Hands the application a way to let go of a connection whose client does not read; uvicorn's own is a bound method
    of what has the transport."""

    async def extended(scope: Scope, receive: Receive, send: Send) -> None:
        transport = getattr(getattr(send, "__self__", None), "transport", None)
        if scope["type"] == "http" and transport is not None:
            scope.setdefault("extensions", {})[ABORT] = transport.abort
        await app(scope, receive, send)

    return extended


def _announce(address: Path, url: str, settings: Settings) -> None:
    written = address.with_suffix(".new")
    written.write_text(json.dumps({"url": url, "pid": os.getpid()}))
    written.replace(address)
    print(f"Headrace is on {url}, its data in {settings.data_dir.resolve()}", flush=True)


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="headrace server", description=__doc__)
    parser.add_argument("--host")
    parser.add_argument("--port", type=int)
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--log")
    parser.add_argument("--views")
    parser.add_argument("--artifacts")
    given = parser.parse_args(arguments)
    try:
        serve(server_settings.load(**vars(given)))
    except (CannotStart, ValueError) as error:
        print(f"headrace: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
