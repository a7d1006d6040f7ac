"""Runs a project: all is checked first, then its run exists, then the command starts, and its end is the run's end."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from headrace.ingest import events
from headrace.ingest.limits import PARAM_VALUE_CHARS_MAX, TAG_VALUE_CHARS_MAX, is_run_id
from headrace.ingest.names import run_name as made_up_name
from headrace.sdk import environment, files, fluent
from headrace.sdk.process import process
from headrace.sdk.projects import mlproject, parameters, source
from headrace.sdk.projects.child import GRACE_S, Child
from headrace.sdk.projects.environments import Prepared, prepare
from headrace.sdk.projects.errors import BadProject, ProjectFailed
from headrace.sdk.transport import is_http

logger = logging.getLogger("headrace")

RUN_ID = "HEADRACE_PROJECT_RUN_ID"
"""In the environment of a project's processes: the run they belong to; projects they run are its children."""
FLUSH_TIMEOUT_S = 5.0
_active: set[SubmittedRun] = set()


def run(
    uri: str | os.PathLike[str],
    entry_point: str = "main",
    version: str | None = None,
    parameters: Mapping[str, Any] | None = None,
    docker_args: Mapping[str, Any] | None = None,
    experiment_name: str | None = None,
    experiment_id: str | None = None,
    backend: str = "local",
    backend_config: Any = None,
    storage_dir: str | os.PathLike[str] | None = None,
    synchronous: bool = True,
    run_id: str | None = None,
    run_name: str | None = None,
    env_manager: str | None = None,
    build_image: bool = False,
    docker_auth: Any = None,
) -> SubmittedRun:
    """Run an entry point of a project: a folder, a Git repository (`#subfolder`, version) or an archive.

    As `mlflow.projects.run`. env_manager: uv (where the project names its packages), or local (this environment).
    The run exists before the command starts, holds what it was started with and what it prints, and ends with it.
    Raises BadProject when nothing can be started; ProjectFailed when it was, and synchronous is true, and it failed.
    """
    if backend != "local":
        raise BadProject(f"there is no backend {backend!r}; projects run here with the backend local")
    if experiment_name is not None and experiment_id is not None:
        raise BadProject("give an experiment's name or its id, one of both")
    if run_id is not None and not is_run_id(run_id):
        raise BadProject(f"{run_id!r} cannot be a run's id")
    place = Path(tempfile.mkdtemp(prefix="headrace-project-"))
    try:
        plan = _plan(os.fspath(uri), entry_point, version, parameters or {}, env_manager, storage_dir, place)
        submitted = _start(plan, experiment_name, experiment_id, run_id, run_name)
    except BaseException:
        shutil.rmtree(place, ignore_errors=True)
        raise
    if synchronous and not submitted.wait():
        raise ProjectFailed(submitted.failure, submitted.run_id, submitted.exit_code or 1)
    return submitted


class _Plan:
    """All that is known before anything is started."""

    def __init__(
        self,
        found: source.Source,
        project: mlproject.Project,
        entry: mlproject.EntryPoint,
        values: parameters.Values,
        command: str,
        prepared: Prepared,
        place: Path,
    ) -> None:
        self.found = found
        self.project = project
        self.entry = entry
        self.values = values
        self.command = command
        self.prepared = prepared
        self.place = place

    def tags(self) -> dict[str, str]:
        """The tags of the run: those of MLflow, and ours."""
        kept = environment.quick_tags()
        ours = {
            "headrace.project.name": self.project.name,
            "headrace.project.uri": environment.without_password(self.found.uri),
            "headrace.project.version": self.found.version,
            "headrace.project.folder": self.found.subfolder,
            "headrace.project.command": self.command,
            "headrace.project.env_manager": self.prepared.manager,
            "headrace.project.env": self.prepared.name,
        }
        theirs = {
            "mlflow.user": kept["mlflow.user"],
            "mlflow.source.name": self.found.name,
            "mlflow.source.type": "PROJECT",
            "mlflow.project.entryPoint": self.entry.name,
            "mlflow.project.backend": "local",
            **({"mlflow.project.env": self.prepared.manager} if self.prepared.manager != "local" else {}),
        }
        tags = {**kept, **theirs, **{name: value for name, value in ours.items() if value}, **self.found.tags}
        return {name: value[:TAG_VALUE_CHARS_MAX] for name, value in tags.items()}

    def files(self) -> dict[str, bytes]:
        """The run's artifacts below `project/`."""
        kept = {one.name: one.read_bytes() for one in (self.project.file, *self.prepared.files) if one is not None}
        if self.found.diff:
            kept["uncommitted.diff"] = self.found.diff
        if self.prepared.lock:
            kept["requirements.lock"] = self.prepared.lock
        return kept


def _plan(
    uri: str,
    entry_point: str,
    version: str | None,
    given: Mapping[str, Any],
    env_manager: str | None,
    storage_dir: str | os.PathLike[str] | None,
    place: Path,
) -> _Plan:
    """Check everything and bring what is needed; nothing is started and no run is made. Raises BadProject."""
    found = source.bring(uri, version, place)
    project = mlproject.read(found.folder)
    entry = project.entry_point(entry_point)
    storage = Path(storage_dir) if storage_dir is not None else place / "storage"
    fetch = lambda remote, number: _fetched(remote, storage / f"param_{number}")  # noqa: E731
    values = parameters.values_of(entry, given, found.folder, Path.cwd(), fetch)
    command = parameters.command_of(entry, values)
    return _Plan(found, project, entry, values, command, prepare(project, env_manager), place)


def _fetched(uri: str, folder: Path) -> Path:
    """Bring a remote file here. Raises BadProject."""
    parts = urlsplit(uri)
    folder.mkdir(parents=True, exist_ok=True)
    if parts.scheme not in ("http", "https"):
        raise BadProject(f"{uri} cannot be brought here: paths are local, file://, http:// or https://")
    target = folder / (Path(parts.path).name or "file")
    try:
        with httpx.stream("GET", uri, follow_redirects=True, timeout=60.0) as response, target.open("wb") as sink:
            if response.status_code != 200:
                raise BadProject(f"{uri} cannot be had: the server answered {response.status_code}")
            for chunk in response.iter_bytes():
                sink.write(chunk)
    except httpx.HTTPError as error:
        raise BadProject(f"{uri} cannot be had: {error}") from error
    return target


def _start(
    plan: _Plan, experiment_name: str | None, experiment_id: str | None, run_id: str | None, run_name: str | None
) -> SubmittedRun:
    """Make the run and start the command; a failure between them ends the run."""
    if experiment_name is not None:
        experiment_id = fluent.create_experiment(experiment_name)
    experiment = experiment_id if experiment_id is not None else fluent.active_experiment_id()
    settings = process.settings()
    pipeline = process.pipeline()
    now_ms = time.time_ns() // 1_000_000
    tags = plan.tags()
    params = {name: value[:PARAM_VALUE_CHARS_MAX] for name, value in plan.values.given.items()}
    parent = fluent.active_run()
    parent_id = parent.info.run_id if parent is not None else os.environ.get(RUN_ID, "")
    if parent_id:
        tags["mlflow.parentRunId"] = parent_id
    if run_id is None:
        run_id = uuid.uuid4().hex
        tags["mlflow.runName"] = run_name or made_up_name()
        created = events.RunCreated(
            experiment, now_ms, tags["mlflow.runName"], tags["mlflow.user"], fluent.experiment_name_of(experiment),
            tags=tags, params=params, heartbeat_interval_s=settings.heartbeat_interval_s,
        )  # fmt: skip
        pipeline.event(run_id, created, now_ms)
    else:
        if run_name is not None:
            tags["mlflow.runName"] = run_name
        pipeline.event(run_id, events.RunResumed(settings.heartbeat_interval_s), now_ms)
        pipeline.event(run_id, events.AttributesLogged(params=params, tags=tags), now_ms)
    pipeline.open_run(run_id)
    submitted = SubmittedRun(run_id, experiment, plan.place)
    try:
        for name, data in plan.files().items():
            files.write(data, f"project/{name}", run_id, experiment)
        if not pipeline.flush(FLUSH_TIMEOUT_S):
            logger.warning("the target does not have the run %s yet; it is sent when it can be reached", run_id)
        submitted.start(plan.command, plan.found.folder, _environ(run_id, experiment, plan.prepared))
    except BaseException as error:
        submitted.end("KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED", f"it did not start: {error}")
        raise
    return submitted


def _environ(run_id: str, experiment_id: str, prepared: Prepared) -> dict[str, str]:
    """The environment of the command: with it our SDK and stock MLflow log to its run."""
    settings = process.settings()
    environ = {name: value for name, value in os.environ.items() if name not in prepared.unset}
    for name in ("HEADRACE_EXPERIMENT_NAME", "MLFLOW_EXPERIMENT_NAME"):
        environ.pop(name, None)
    environ |= {
        "HEADRACE_RUN_ID": run_id,
        "MLFLOW_RUN_ID": run_id,
        "HEADRACE_EXPERIMENT_ID": experiment_id,
        "MLFLOW_EXPERIMENT_ID": experiment_id,
        "HEADRACE_TRACKING_URI": settings.tracking_uri,
        "HEADRACE_SPOOL_DIR": settings.spool_dir,
        "HEADRACE_CAPTURE_CONSOLE": "0",
        RUN_ID: run_id,
        "PATH": os.pathsep.join((str(prepared.binaries), environ.get("PATH", os.defpath))),
        **prepared.variables,
    }
    if is_http(settings.tracking_uri):
        environ["MLFLOW_TRACKING_URI"] = settings.tracking_uri
    environ.setdefault("PYTHONUNBUFFERED", "1")
    return environ


class SubmittedRun:
    """A project that was started. failure: why it failed, as a sentence; empty while it runs and when it did not."""

    def __init__(self, run_id: str, experiment_id: str, place: Path) -> None:
        self.run_id = run_id
        self.experiment_id = experiment_id
        self.exit_code: int | None = None
        self.failure = ""
        self._place = place
        self._status = "RUNNING"
        self._cancelled = ""
        self._started_s = time.monotonic()
        self._child: Child | None = None
        self._thread: threading.Thread | None = None
        self._done = threading.Event()
        self._end_lock = threading.Lock()

    def get_status(self) -> str:
        """RUNNING, FINISHED, FAILED or KILLED."""
        return self._status

    def wait(self) -> bool:
        """Wait for its end; whether it finished well. Ctrl-C and SIGTERM end it first."""
        with _terminable():
            try:
                while not self._done.wait(0.5):
                    pass
            except BaseException as error:
                stopped = "Ctrl-C" if isinstance(error, KeyboardInterrupt) else "SIGTERM"
                self.cancel(stopped, signal.SIGINT if isinstance(error, KeyboardInterrupt) else signal.SIGTERM)
                raise
        return self._status == "FINISHED"

    def cancel(self, reason: str = "cancelled", number: int = signal.SIGTERM) -> None:
        """End its processes and those of the projects it runs, and wait until none is left. Nothing if it ended."""
        child = self._child
        if child is None or self._done.is_set():
            return
        self._cancelled = self._cancelled or reason
        for one, patience_s in ((number, GRACE_S), (signal.SIGTERM, GRACE_S / 2), (signal.SIGKILL, GRACE_S)):
            child.signal(one)
            if self._done.wait(patience_s):
                return

    def start(self, command: str, folder: Path, environ: Mapping[str, str]) -> None:
        """Start the command."""
        run_id, pipeline = self.run_id, process.pipeline()
        self._started_s = time.monotonic()

        def send(stream: str, text: str) -> None:
            pipeline.event(run_id, events.ConsoleWritten(stream, text))

        self._child = Child(command, folder, environ, send)
        # No daemon: a program that ends without waiting waits for its projects, as with MLflow.
        self._thread = threading.Thread(target=self._follow, name=f"headrace-project-{run_id[:8]}")
        _active.add(self)
        self._thread.start()

    def _follow(self) -> None:
        child = self._child
        assert child is not None
        code = child.wait()
        self.exit_code = 128 - code if code < 0 else code
        if self._cancelled:
            status, how = "KILLED", self._cancelled
        elif code == 0:
            status, how = "FINISHED", ""
        else:
            status, how = "FAILED", _told(code)
        if how:
            last = "\n".join(child.last_lines)
            self.failure = f"{how}\n{last}" if last and status == "FAILED" else how
        self.end(status, self.failure)

    def end(self, status: str, reason: str) -> None:
        """End the run with its status and reason, once."""
        with self._end_lock:
            if self._done.is_set():
                return
            self._status, self.failure = status, reason
            pipeline = process.pipeline()
            tags = {"headrace.project.duration_s": f"{time.monotonic() - self._started_s:.3f}"}
            if self.exit_code is not None:
                tags["headrace.project.exit_code"] = str(self.exit_code)
            pipeline.event(self.run_id, events.AttributesLogged(tags=tags))
            pipeline.close_run(self.run_id)
            end_ms = time.time_ns() // 1_000_000
            pipeline.event(self.run_id, events.RunEnded(status, end_ms, reason), end_ms)
            pipeline.flush(FLUSH_TIMEOUT_S)
            shutil.rmtree(self._place, ignore_errors=True)
            _active.discard(self)
            self._done.set()


def _told(code: int) -> str:
    """How a command ended, as people say it. bash tells of a signal by 128 and its number."""
    number = -code if code < 0 else code - 128
    try:
        return f"it was ended by {signal.Signals(number).name}" if number > 0 else f"exit code {code}"
    except ValueError:
        return f"exit code {code}"


class _terminable:
    """While in it, SIGTERM raises SystemExit in the main thread, unless the program has a handler of its own."""

    def __enter__(self) -> None:
        self._ours = (
            threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
        )
        if self._ours:
            signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))

    def __exit__(self, *error: object) -> None:
        if self._ours:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
