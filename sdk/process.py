"""The SDK's life in its process: the pipeline in use, what a fork inherits, and what happens at exit."""

from __future__ import annotations

import atexit

# Not used here: it must be imported before the interpreter begins to shut down, and httpx, which is imported in the
# shipper's thread, maybe as late as at exit, needs it.
import concurrent.futures.thread  # noqa: F401
import contextlib
import logging
import multiprocessing.process
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from headrace.sdk import environment, pipeline, transport
from headrace.sdk.buffer import Buffer
from headrace.sdk.pipeline import Pipeline
from headrace.sdk.settings import Settings, resolve, with_changes
from headrace.sdk.transport import check_target

logger = logging.getLogger("headrace")


class Process:
    """What the module-level functions share. buffer is None until something is logged, and again after a fork."""

    def __init__(self) -> None:
        self.buffer: Buffer | None = None
        self.before_exit: list[Callable[[], None]] = []
        self.after_fork: list[Callable[[], None]] = []
        self._arguments: dict[str, Any] = {}
        self._settings: Settings | None = None
        self._pipeline: Pipeline | None = None
        self._retired: list[Pipeline] = []
        self._abandoned: list[Any] = []
        self._lock = threading.RLock()
        self._multiprocessing_pid = 0

    def settings(self) -> Settings:
        """The settings in force; read from the environment and the file once, at the first need. Raises BadSetting."""
        with self._lock:
            if self._settings is None:
                settings = resolve(self._arguments)
                self._settings = with_changes(settings, tracking_uri=check_target(settings.tracking_uri))
            return self._settings

    def configure(self, arguments: dict[str, Any]) -> Settings:
        """Change settings. What was logged before still goes where it was meant to go. Raises BadSetting."""
        with self._lock:
            merged = {**self._arguments, **{name: value for name, value in arguments.items() if value is not None}}
            settings = resolve(merged)
            settings = with_changes(settings, tracking_uri=check_target(settings.tracking_uri))
            self._arguments = merged
            if settings != self._settings and self._pipeline is not None:
                if self._pipeline.running:
                    self._retired.append(self._pipeline)
                self._pipeline = None
                self.buffer = None
            self._settings = settings
            return settings

    def pipeline(self) -> Pipeline:
        """The pipeline in use; made at the first need, and started by the first entry. Raises BadSetting."""
        with self._lock:
            if self._pipeline is None:
                self._pipeline = Pipeline(self.settings(), actor=environment.user())
                self.buffer = self._pipeline.buffer
                self._watch_multiprocessing()
            return self._pipeline

    def pipelines(self) -> list[Pipeline]:
        """All that may still have something to ship, the one in use last."""
        return [*self._retired, *([self._pipeline] if self._pipeline else [])]

    def flush(self, timeout_s: float | None) -> bool:
        """Flush all pipelines; True when all is acknowledged."""
        deadline_s = time.monotonic() + (1e6 if timeout_s is None else timeout_s)
        return all(one.flush(max(0.0, deadline_s - time.monotonic())) for one in self.pipelines())

    def close(self) -> None:
        """End runs, ship what can be shipped within exit_timeout_s, and say what stays behind. May be called again."""
        for callback in self.before_exit:
            try:
                callback()
            except Exception:
                logger.exception("an error while ending the runs")
        with self._lock:
            closing = self.pipelines()
            self._retired, self._pipeline, self.buffer = [], None, None
        if not closing:
            return
        deadline_s = time.monotonic() + max(one.settings.exit_timeout_s for one in closing)
        for one in closing:
            left = one.close(max(0.5, deadline_s - time.monotonic()))
            if left:
                with contextlib.suppress(Exception):
                    print(f"headrace: {left}", file=sys.stderr)

    # --- forks --------------------------------------------------------------------------------------------------------

    def before_fork(self) -> None:
        """Let no thread be in the middle of what the child will find."""
        pipeline.importing.acquire()
        self._lock.acquire()
        transport.before_fork()

    def after_fork_in_parent(self) -> None:
        """Go on."""
        transport.after_fork()
        self._lock.release()
        pipeline.importing.release()

    def after_fork_in_child(self) -> None:
        """Start afresh: what the parent has not sent is the parent's, and so are its spool, lock and connections."""
        transport.after_fork()
        pipeline.importing = threading.Lock()
        self._lock = threading.RLock()
        for one in self.pipelines():
            # Its files are closed here so that the parent's lock ends with the parent; the rest (SQLite connections,
            # HTTP sockets) is only never touched again: closing them would disturb the parent.
            one.forget()
            self._abandoned.append(one)
        self._retired, self._pipeline, self.buffer = [], None, None
        for callback in self.after_fork:
            callback()

    def _watch_multiprocessing(self) -> None:
        """Children of multiprocessing that were forked leave by os._exit, past atexit; their own finalizers do run."""
        if multiprocessing.process.parent_process() is None or self._multiprocessing_pid == os.getpid():
            return
        from multiprocessing.util import Finalize  # only children of multiprocessing have use for it

        self._multiprocessing_pid = os.getpid()
        Finalize(None, self.close, exitpriority=-100)


process = Process()
atexit.register(process.close)
os.register_at_fork(
    before=process.before_fork,
    after_in_parent=process.after_fork_in_parent,
    after_in_child=process.after_fork_in_child,
)
