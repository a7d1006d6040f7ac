"""One rebuild at a time on a thread of its own: begun, watched and stopped by a server's requests or by a command."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, Protocol

from headrace.ingest.log import Log, LogError, Partition
from headrace.processors.engine import Engine
from headrace.processors.rebuild import Rebuild, RebuildFailed, RebuildStopped, Result
from headrace.processors.views import Views, ViewsUnavailable

STOP_S = 60.0


class Standing(Protocol):
    """Knows who stores into the live views, and can make them stand still."""

    def run(self, rebuild: Rebuild, exchange: bool, restart: bool) -> Result:
        """Run a rebuild, as Rebuild.run does."""
        ...

    def stand_still(self, act: Callable[[Mapping[Partition, int]], None]) -> None:
        """Call act while nobody stores."""
        ...


class ByEngine:
    """Of views that an engine in this process stores into."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def run(self, rebuild: Rebuild, exchange: bool, restart: bool) -> Result:
        """Run a rebuild, as Rebuild.run does."""
        return rebuild.run(self._engine.viewed.offsets, self._engine.exchange, exchange=exchange, restart=restart)

    def stand_still(self, act: Callable[[Mapping[Partition, int]], None]) -> None:
        """Call act while the engine stands still."""
        self._engine.exchange(act)


class Rebuilding:
    """The rebuild of some views that was begun last. Its methods are for one thread at a time."""

    def __init__(self, log: Log, views: Views, standing: Standing) -> None:
        self._log = log
        self._views = views
        self._standing = standing
        self._rebuild: Rebuild | None = None
        self._thread: threading.Thread | None = None
        self._result: Result | None = None
        self._ended = ""
        self._error = ""

    def start(self, exchange: bool = True, restart: bool = False) -> None:
        """Begin, or go on with one that was stopped. Raises RebuildFailed when one runs already."""
        self._begin(lambda rebuild: self._standing.run(rebuild, exchange, restart))

    def bring_back(self) -> None:
        """Exchange back to the views from before the last rebuild. Raises RebuildFailed when one runs already."""
        self._begin(lambda rebuild: rebuild.bring_back(self._standing.stand_still))

    def drop_old(self) -> bool:
        """Drop the views from before the last rebuild; whether there were any. Raises as start does."""
        self._check_idle()
        return Rebuild(self._log, self._views).drop_old()

    def kept_beside(self) -> list[str]:
        """The databases beside the live views that a rebuild keeps. Raises ViewsUnavailable."""
        rebuild = Rebuild(self._log, self._views)
        return sorted({rebuild.old, rebuild.beside} & self._views.databases())

    def stop(self) -> None:
        """End the one that runs, and wait for that. The next start goes on where it was."""
        if self._rebuild is not None and self._thread is not None:
            self._rebuild.stop()
            self._thread.join(STOP_S)

    def status(self) -> dict[str, Any]:
        """As JSON has it: `state` (idle, running, stopped, failed, done), the progress, and what came of it."""
        if self._rebuild is None:
            return {"state": "idle"}
        running = self._thread is not None and self._thread.is_alive()
        told: dict[str, Any] = {"state": "running" if running else self._ended, **asdict(self._rebuild.progress())}
        if self._error:
            told["error"] = self._error
        if self._result is not None and not running:
            told |= {**asdict(self._result), "equal": self._result.equal}
            del told["progress"]
            for one, compared in zip(told["compared"], self._result.compared, strict=True):
                one["equal"] = compared.equal
        return told

    def _check_idle(self) -> None:
        if self._thread is not None and self._thread.is_alive():
            raise RebuildFailed("a rebuild runs already; watch it, or stop it")

    def _begin(self, act: Callable[[Rebuild], Result]) -> None:
        self._check_idle()
        rebuild = self._rebuild = Rebuild(self._log, self._views)
        self._result, self._error, self._ended = None, "", "failed"

        def run() -> None:
            try:
                self._result = act(rebuild)
                self._ended = "done"
            except RebuildStopped as error:
                self._ended, self._error = "stopped", str(error)
            except (RebuildFailed, ViewsUnavailable, LogError) as error:
                self._error = str(error)

        self._thread = threading.Thread(target=run, name="headrace-rebuild", daemon=True)
        self._thread.start()
