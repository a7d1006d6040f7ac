"""Reading back: runs, experiments, metric histories and artifacts, from a server or from a folder.

A folder has no views of its own, so a read of one needs a server on it: the one that runs, or one of our own that is
started for the rest of this process.
"""

from __future__ import annotations

import atexit
import json
import logging
import os
import posixpath
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import quote

from headrace.ingest.kafka_settings import is_kafka
from headrace.ingest.limits import artifact_path_fault
from headrace.sdk import environment, pipeline
from headrace.sdk.fluent import active_experiment_id, active_run, current_run_id
from headrace.sdk.frames import FRAME_COLUMNS, frame_of
from headrace.sdk.process import process
from headrace.sdk.run import Experiment, Run, RunData, RunInfo
from headrace.sdk.settings import Settings
from headrace.sdk.transport import is_http, shown
from headrace.sdk.version import VERSION

if TYPE_CHECKING:
    import httpx
    import pandas as pd
    import pyarrow as pa

logger = logging.getLogger("headrace")

Moment: TypeAlias = str | int | datetime
"""A moment of the log: a time (ISO 8601, ms since the epoch, or a datetime, UTC where it has no zone), or positions
such as `runs/0/123`."""

FLUSH_TIMEOUT_S = 5.0
SERVER_START_TIMEOUT_S = 30.0
TABLE_RUNS_MAX = 100_000
"""The server puts so many runs into one table."""
_PAGE = 1000
ACTIVE_ONLY, DELETED_ONLY, ALL = 1, 2, 3
_VIEWS = {1: "ACTIVE_ONLY", 2: "DELETED_ONLY", 3: "ALL"}


class ReadFailed(Exception):
    """The server did not answer a read as asked; the message is its own, status its HTTP status (0: no answer)."""

    def __init__(self, message: str, status: int = 0, error_code: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.error_code = error_code


class NoServer(ReadFailed):
    """No server is named that could be asked."""


class Reader:
    """Reads from one server."""

    def __init__(self, url: str, client: httpx.Client | None = None) -> None:
        import httpx  # not at import time: a trainer that only logs does without

        self._httpx = httpx
        self._url = url.rstrip("/")
        self._client = client or httpx.Client(timeout=httpx.Timeout(60.0, connect=5.0))
        who = environment.user().encode()
        self._client.headers.update({b"user-agent": f"headrace/{VERSION}".encode(), b"x-headrace-actor": who})

    def runs(
        self,
        experiment_ids: Sequence[str],
        filter_string: str,
        view: str,
        max_results: int,
        order_by: Sequence[str],
        as_of: str = "",
    ) -> Iterator[dict[str, Any]]:
        """Runs in MLflow's JSON, page by page; all pages are of one moment. as_of: of this one."""
        token = None
        left = max_results
        while left > 0:
            body: dict[str, Any] = {
                "experiment_ids": list(experiment_ids),
                "filter": filter_string,
                "run_view_type": view,
                "max_results": min(left, _PAGE),
                "order_by": list(order_by),
                "as_of": as_of,
            }
            if token:
                body["page_token"] = token
            answer = self.call("POST", "/api/2.0/mlflow/runs/search", json=body)
            page = answer.get("runs", [])
            yield from page
            left -= len(page)
            token = answer.get("next_page_token")
            if not token:
                return

    def run_table(
        self,
        experiment_ids: Sequence[str],
        filter_string: str,
        view: str,
        max_results: int,
        order_by: Sequence[str],
        as_of: str = "",
        columns: Sequence[str] | None = None,
    ) -> pa.Table:
        """Runs as a table with a row a run. columns: those to pick; None for all. as_of: of this moment."""
        body = {
            "experiment_ids": list(experiment_ids),
            "filter": filter_string,
            "run_view_type": view,
            "max_results": max_results,
            "order_by": list(order_by),
            "as_of": as_of,
            "columns": None if columns is None else list(columns),
        }
        try:
            response = self._response("POST", "/api/headrace/v1/runs/table", json=body)
        except ReadFailed as error:
            if error.error_code != "ENDPOINT_NOT_FOUND":
                raise
            said = f"the server at {self._url} is older and gives no tables; ask for output_format='list'"
            raise ReadFailed(said, error.status, error.error_code) from error
        return arrow_table(response.content)

    def experiments(
        self, filter_string: str, view: str, max_results: int, order_by: Sequence[str], as_of: str = ""
    ) -> Iterator[Experiment]:
        """Experiments, page by page. as_of: of this moment."""
        token = None
        left = max_results
        while left > 0:
            body: dict[str, Any] = {"filter": filter_string, "view_type": view, "max_results": min(left, _PAGE)}
            body |= {"order_by": list(order_by), "as_of": as_of}
            if token:
                body["page_token"] = token
            answer = self.call("POST", "/api/2.0/mlflow/experiments/search", json=body)
            page = answer.get("experiments", [])
            yield from map(_experiment, page)
            left -= len(page)
            token = answer.get("next_page_token")
            if not token:
                return

    def experiment_by_name(self, name: str, as_of: str = "") -> Experiment | None:
        """The experiment of this name, or None. as_of: at this moment."""
        asked = {"experiment_name": name, "as_of": as_of}
        try:
            answer = self.call("GET", "/api/2.0/mlflow/experiments/get-by-name", params=asked)
        except ReadFailed as error:
            if error.status == 404:
                return None
            raise
        return _experiment(answer["experiment"])

    def run(self, run_id: str, as_of: str = "") -> Run:
        """One run. as_of: at this moment."""
        return run_of(self.call("GET", "/api/2.0/mlflow/runs/get", params={"run_id": run_id, "as_of": as_of})["run"])

    def metric_history(self, run_id: str, key: str, as_of: str = "") -> pa.Table:
        """All points of one metric of one run, in the order of the log. as_of: at this moment."""
        asked = {"run_id": run_id, "key": key, "as_of": as_of}
        response = self._response("GET", "/api/headrace/v1/metrics/history", params=asked)
        return arrow_table(response.content)

    def artifacts(self, run_id: str, path: str | None) -> list[dict[str, Any]]:
        """Files and folders right below a path of a run's artifacts, as `path`, `is_dir`, `file_size`."""
        params = {"run_id": run_id, **({"path": path} if path else {})}
        files: list[dict[str, Any]] = self.call("GET", "/api/2.0/mlflow/artifacts/list", params=params).get("files", [])
        return files

    def download(self, run_id: str, path: str, target: Path) -> None:
        """One file of a run, as `download_from`."""
        self.download_from(f"/api/headrace/v1/runs/{quote(run_id)}/artifacts/{quote(path)}", target)

    def download_from(self, address: str, target: Path) -> None:
        """What an address of the server answers with, streamed to a local path. A broken download leaves nothing.

        Raises ReadFailed.
        """
        url = self._url + address
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f"{target.name[:200]}.{os.getpid()}.part")
        try:
            with self._client.stream("GET", url) as response:
                if not response.is_success:
                    response.read()
                    raise _failure(response)
                with open(part, "wb") as file:
                    for block in response.iter_bytes(1024 * 1024):
                        file.write(block)
            os.replace(part, target)
        except self._httpx.HTTPError as error:
            raise ReadFailed(f"{self._url}: {type(error).__name__}: {error}") from error
        finally:
            part.unlink(missing_ok=True)

    def table(self, path: str, body: dict[str, Any]) -> pa.Table:
        """A JSON request that is answered with a table. Raises ReadFailed."""
        return arrow_table(self._response("POST", path, json=body).content)

    def close(self) -> None:
        """Let go of its connections."""
        self._client.close()

    def ready(self) -> None:
        """Ask whether the server answers. Raises ReadFailed."""
        self._response("GET", "/health")

    def call(self, method: str, path: str, **arguments: Any) -> dict[str, Any]:
        """A JSON request and its answer. Raises ReadFailed."""
        try:
            answer = self._response(method, path, **arguments).json()
        except ValueError as error:
            raise ReadFailed(f"{self._url}{path} gave an answer that is no JSON") from error
        return answer if isinstance(answer, dict) else {}

    @contextmanager
    def streamed(self, method: str, path: str, **arguments: Any) -> Iterator[httpx.Response]:
        """A request whose answer is read as it comes. Raises ReadFailed."""
        try:
            with self._client.stream(method, self._url + path, **arguments) as response:
                if not response.is_success:
                    response.read()
                    raise _failure(response)
                yield response
        except self._httpx.HTTPError as error:
            raise ReadFailed(f"{self._url}: {type(error).__name__}: {error}") from error

    def _response(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        try:
            response = self._client.request(method, self._url + path, **arguments)
        except self._httpx.HTTPError as error:
            raise ReadFailed(f"{self._url}: {type(error).__name__}: {error}") from error
        if not response.is_success:
            raise _failure(response)
        return response


def _failure(response: httpx.Response) -> ReadFailed:
    try:
        body = response.json()
        return ReadFailed(str(body["message"]), response.status_code, str(body.get("error_code", "")))
    except (ValueError, KeyError, TypeError):
        return ReadFailed(f"the server answered {response.status_code}", response.status_code)


# --- the server of a folder -------------------------------------------------------------------------------------------

_servers: dict[str, subprocess.Popen[bytes]] = {}
_servers_lock = threading.Lock()


def server_of(folder: Path) -> str:
    """The URL of a server on this data folder: the one that runs, else one started here and stopped at exit.

    Raises ReadFailed, naming what to install, when there can be none.
    """
    with _servers_lock:
        url = _live_server(folder)
        if url is not None:
            return url
        if find_spec("chdb") is None or find_spec("fastapi") is None:
            raise ReadFailed(
                f"reading back from the folder {folder} needs the server's packages:"
                ' pip install "headrace[server]" (logging to it does not)'
            )
        command = [sys.executable, "-m", "headrace.api.main", "--data-dir", str(folder), "--port", "0"]
        log = tempfile.TemporaryFile()  # noqa: SIM115 it lives as long as the child
        child = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True)
        if not _servers:
            atexit.register(stop_servers)
        _servers[str(folder)] = child
        deadline_s = time.monotonic() + SERVER_START_TIMEOUT_S
        while time.monotonic() < deadline_s:
            url = _live_server(folder)
            if url is not None:
                return url
            if child.poll() is not None:
                break
            time.sleep(0.05)
        child.terminate()
        log.seek(0)
        said = log.read()[-2000:].decode("utf-8", "replace").strip()
        raise ReadFailed(f"no server came up on the folder {folder}: {said}")


def stop_servers() -> None:
    """Stop the servers this process has started."""
    while _servers:
        _, child = _servers.popitem()
        child.terminate()
        try:
            child.wait(10)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _live_server(folder: Path) -> str | None:
    try:
        told = json.loads((folder / "server.json").read_text("utf-8"))
        os.kill(int(told["pid"]), 0)
        url = str(told["url"])
        Reader(url).ready()
    except (OSError, ValueError, KeyError, TypeError, ReadFailed):
        return None
    return url


process.after_fork.append(_servers.clear)

_readers: dict[str, Reader] = {}


def url_of(settings: Settings) -> str:
    """The server that reads ask. Raises NoServer when events go straight to Kafka and no server is named."""
    uri = settings.tracking_uri
    if is_kafka(uri):
        if not settings.artifacts_uri:
            raise NoServer(
                f"{shown(uri)} can be written and not read; name a server as the tracking URI, or with artifacts_uri"
                " (HEADRACE_ARTIFACTS_URI)"
            )
        return settings.artifacts_uri
    return uri if is_http(uri) else server_of(Path(uri))


def reader() -> Reader:
    """A reader for the tracking URI in force, behind a flush, so that what was logged here can be read here."""
    if not process.flush(FLUSH_TIMEOUT_S):
        logger.warning("the target does not have everything yet that was logged here; this read may miss the latest")
    url = url_of(process.settings())
    if url not in _readers:
        _readers[url] = Reader(url)
    return _readers[url]


def _close() -> None:
    """Let go of all connections; a later read opens its own."""
    while _readers:
        _readers.popitem()[1].close()


process.after_fork.append(_readers.clear)
process.before_exit.append(_close)


def arrow_table(stream: bytes) -> pa.Table:
    """The table of an Arrow IPC stream."""
    # Two threads that import pyarrow at a time, from different ends, see halves of it.
    with pipeline.importing:
        import pyarrow.ipc
    return pyarrow.ipc.open_stream(stream).read_all()


def moment(as_of: Moment | None) -> str:
    """A moment as requests name it; empty for None, which is now."""
    return as_of.isoformat() if isinstance(as_of, datetime) else "" if as_of is None else str(as_of)


# --- MLflow's names ---------------------------------------------------------------------------------------------------


def get_run(run_id: str, as_of: Moment | None = None) -> Run:
    """A run with its latest metrics, params and tags; as_of: as it was then. Raises ReadFailed when there is none."""
    return reader().run(run_id, moment(as_of))


def get_experiment_by_name(name: str, as_of: Moment | None = None) -> Experiment | None:
    """The experiment of this name, or None. as_of: of that moment."""
    return reader().experiment_by_name(name, moment(as_of))


def search_experiments(
    view_type: int = ACTIVE_ONLY,
    max_results: int | None = None,
    filter_string: str | None = None,
    order_by: Sequence[str] | None = None,
    as_of: Moment | None = None,
) -> list[Experiment]:
    """Experiments that match MLflow's filter, newest first unless order_by says otherwise. as_of: as they were then."""
    which = (filter_string or "", _VIEWS[view_type], max_results or 2**31, order_by or ())
    return list(reader().experiments(*which, moment(as_of)))


def search_runs(
    experiment_ids: Sequence[str] | None = None,
    filter_string: str = "",
    run_view_type: int = ACTIVE_ONLY,
    max_results: int = TABLE_RUNS_MAX,
    order_by: Sequence[str] | None = None,
    output_format: str = "pandas",
    search_all_experiments: bool = False,
    experiment_names: Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
    as_of: Moment | None = None,
) -> pd.DataFrame | pa.Table | list[Run]:
    """Runs that match a filter, as a pandas DataFrame with MLflow's columns, an Arrow table, or a list of Run.

    The active experiment is searched unless ids, names or all experiments are asked for. Columns: run_id,
    experiment_id, status, artifact_uri, start_time, end_time (UTC), then metrics.*, params.* and tags.*; a metric a
    run lacks is NaN, a param or tag None. An Arrow table has run_name, user_id and lifecycle_stage too, what is missing
    is null there, and NaN is NaN. columns: only these, such as ["run_name", "metrics.loss", "params.*"], and run_id.
    as_of: runs as they were then.
    Raises ReadFailed, ValueError for an unknown output_format, or for more than 100,000 results in a table.
    """
    if output_format not in ("pandas", "arrow", "list"):
        raise ValueError(f"output_format is 'pandas', 'arrow' or 'list', not {output_format!r}")
    if experiment_ids and experiment_names:
        raise ValueError("search_runs takes experiment_ids or experiment_names, not both")
    if output_format == "list" and columns is not None:
        raise ValueError("columns are picked for output_format 'pandas' or 'arrow'")
    if output_format != "list" and max_results > TABLE_RUNS_MAX:
        raise ValueError(f"a table has at most {TABLE_RUNS_MAX} runs; ask for fewer, or for output_format='list'")
    source = reader()
    if experiment_names:
        named = [source.experiment_by_name(name, moment(as_of)) for name in experiment_names]
        ids = [experiment.experiment_id for experiment in named if experiment is not None]
    elif experiment_ids:
        ids = [str(experiment_id) for experiment_id in experiment_ids]
    elif search_all_experiments:
        ids = [one.experiment_id for one in source.experiments("", "ACTIVE_ONLY", 2**31, (), moment(as_of))]
    else:
        ids = [active_experiment_id()]
    which = (ids, filter_string, _VIEWS[run_view_type], max_results, order_by or (), moment(as_of))
    if output_format == "list":
        return [run_of(run) for run in source.runs(*which)] if ids else []
    if output_format == "pandas" and columns is None:
        columns = FRAME_COLUMNS
    table = source.run_table(*which, columns)
    return frame_of(table) if output_format == "pandas" else table


def get_metric_history(run_id: str, key: str, as_of: Moment | None = None) -> pa.Table:
    """All points of one metric by step and time, as of a moment if one is named: columns step, timestamp_ms, value."""
    return reader().metric_history(run_id, key, moment(as_of))


def get_artifact_uri(artifact_path: str | None = None, run_id: str | None = None) -> str:
    """Where the run's artifacts (or one of them) lie at the target."""
    run_id = current_run_id(run_id)
    active = active_run()
    uri = active.info.artifact_uri if active is not None and active.info.run_id == run_id else ""
    uri = uri or get_run(run_id).info.artifact_uri
    return f"{uri}/{artifact_path}" if artifact_path else uri


def list_artifacts(run_id: str | None = None, artifact_path: str | None = None) -> list[dict[str, Any]]:
    """Files and folders right below a path of a run's artifacts: path, is_dir, file_size (bytes)."""
    return reader().artifacts(current_run_id(run_id), artifact_path)


def download_artifacts(
    run_id: str | None = None, artifact_path: str | None = None, dst_path: str | os.PathLike[str] | None = None
) -> str:
    """Download a file, or a folder with all in it, of a run's artifacts; returns the local path.

    dst_path: a local folder, made if there is none; a new temporary one when not given. Raises ReadFailed.
    """
    run_id = current_run_id(run_id)
    source = reader()
    folder = Path(os.fspath(dst_path) if dst_path is not None else tempfile.mkdtemp(prefix="headrace-"))
    files = list(_files(source, run_id, artifact_path))
    if not files and artifact_path:
        files = [artifact_path]
    for path in files:
        # The paths come from a server: one that climbs out of the folder must not be followed.
        if artifact_path_fault(path) is not None:
            raise ReadFailed(f"the server named an artifact {path!r}, which is no safe path")
        source.download(run_id, path, folder / path)
    folder.mkdir(parents=True, exist_ok=True)
    return str(folder / artifact_path) if artifact_path else str(folder)


def _files(source: Reader, run_id: str, path: str | None) -> Iterator[str]:
    for entry in source.artifacts(run_id, path):
        inner = posixpath.normpath(str(entry["path"]))
        if not entry.get("is_dir"):
            yield inner
        elif inner != path:
            yield from _files(source, run_id, inner)


# --- from MLflow's JSON -----------------------------------------------------------------------------------------------


def _experiment(data: dict[str, Any]) -> Experiment:
    return Experiment(
        str(data["experiment_id"]),
        data.get("name", ""),
        data.get("artifact_location", ""),
        data.get("lifecycle_stage", "active"),
        {tag["key"]: tag.get("value", "") for tag in data.get("tags", ())},
        _integer(data.get("creation_time")),
        _integer(data.get("last_update_time")),
    )


def run_of(data: dict[str, Any]) -> Run:
    """A run from MLflow's JSON."""
    info, logged = data["info"], data.get("data", {})
    return Run(
        RunInfo(
            info.get("run_id") or info["run_uuid"],
            str(info.get("experiment_id", "")),
            info.get("run_name", ""),
            info.get("user_id", ""),
            info.get("status", "RUNNING"),
            _integer(info.get("start_time")) or 0,
            _integer(info.get("end_time")) or None,
            info.get("artifact_uri", ""),
            info.get("lifecycle_stage", "active"),
        ),
        RunData(
            {metric["key"]: float(metric.get("value", 0.0)) for metric in logged.get("metrics", ())},
            {param["key"]: param.get("value", "") for param in logged.get("params", ())},
            {tag["key"]: tag.get("value", "") for tag in logged.get("tags", ())},
        ),
        data.get("inputs", {}),
    )


def _integer(value: Any) -> int | None:
    return None if value is None else int(value)
