"""An MLflow server, over its REST API 2.0: what its stores hold, wherever its artifacts are."""

from __future__ import annotations

import json
import os
import random
import time
from array import array
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import httpx
from headrace.ingest.limits import is_run_id
from headrace.sdk.coming.mlflow_json import model_of, pairs, run_of
from headrace.sdk.coming.registered import of_json, shown
from headrace.sdk.coming.source import (
    Left,
    Series,
    SourceExperiment,
    SourceFault,
    SourceModel,
    SourceRegistered,
    SourceRun,
    integer,
    series_of,
    text_of,
    unclamped,
)

T = TypeVar("T")
V2, AJAX = "/api/2.0/mlflow", "/ajax-api/2.0/mlflow"
PAGE_POINTS = 25_000
PATIENCE_S = 60.0
"""How long a server that answers with 5xx, or not at all, is asked again."""
_PAUSE_MAX_S = 5.0
_PAGES_MAX = 1_000_000
_DEPTH_MAX = 64


class MlflowServer:
    """One server. Its credentials come from the URL or from MLFLOW_TRACKING_USERNAME, _PASSWORD and _TOKEN."""

    system = "mlflow"

    def __init__(
        self,
        url: str,
        environ: Mapping[str, str] = os.environ,
        patience_s: float = PATIENCE_S,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """Raises SourceFault when the URL is none."""
        user, password = environ.get("MLFLOW_TRACKING_USERNAME"), environ.get("MLFLOW_TRACKING_PASSWORD")
        token = environ.get("MLFLOW_TRACKING_TOKEN")
        try:
            parsed = httpx.URL(url)
            if not parsed.host:
                raise httpx.InvalidURL("it names no host")
            auth = (parsed.username, parsed.password) if parsed.username else None
            self.url = str(parsed.copy_with(username=None, password=None)).rstrip("/")
        except httpx.InvalidURL as error:
            raise SourceFault(f"{url} is no URL: {error}") from error
        self.left: list[Left] = []
        self._patience_s = patience_s
        self._keys: dict[str, list[str]] = {}
        self._client = httpx.Client(
            base_url=self.url,
            timeout=httpx.Timeout(60.0, connect=5.0),
            auth=auth or ((user, password or "") if user else None),
            headers={"user-agent": "headrace-import", **({"authorization": f"Bearer {token}"} if token else {})},
            transport=transport,
        )

    def close(self) -> None:
        """Close connections."""
        self._client.close()

    def experiments(self) -> list[SourceExperiment]:
        body = {"max_results": 1000, "view_type": "ALL"}
        found = []
        for one in self._pages("POST", f"{V2}/experiments/search", "experiments", body):
            key = str(one["experiment_id"])
            created = integer(one.get("creation_time"), f"the creation of the experiment {key}")
            deleted = one.get("lifecycle_stage") == "deleted"
            found.append(SourceExperiment(key, text_of(one["name"]), pairs(one.get("tags", ())), created, deleted))
        return sorted(found, key=lambda one: one.key)

    def run_ids(self, experiment: SourceExperiment) -> list[str]:
        body = {"experiment_ids": [experiment.key], "max_results": 1000, "run_view_type": "ALL"}
        found = []
        for one in self._pages("POST", f"{V2}/runs/search", "runs", body):
            run_id = str(one.get("info", {}).get("run_id", ""))
            if is_run_id(run_id):
                found.append(run_id)
            else:
                self.left.append(Left("", f"run {run_id[:80]!r}", "that is no id of a run"))
        return sorted(set(found))

    def run(self, run_id: str) -> SourceRun:
        given = self._call("GET", f"{V2}/runs/get", params={"run_id": run_id}).get("run")
        if not isinstance(given, dict):
            raise SourceFault(f"{self.url} gave no run for {run_id}")
        run = run_of(given)
        if run.run_id != run_id:
            raise SourceFault(f"{self.url} gave another run for {run_id}")
        self._keys = {run_id: sorted({str(one["key"]) for one in given.get("data", {}).get("metrics", ())})}
        return run

    def series(self, run_id: str) -> Iterator[Series]:
        if run_id not in self._keys:
            self.run(run_id)
        for key in self._keys[run_id]:
            step, timestamp_ms, value = array("q"), array("q"), array("d")
            params = {"run_id": run_id, "metric_key": key, "max_results": str(PAGE_POINTS)}
            try:
                for one in self._pages("GET", f"{V2}/metrics/get-history", "metrics", params):
                    step.append(int(one.get("step") or 0))
                    timestamp_ms.append(int(one.get("timestamp") or 0))
                    value.append(float(one.get("value", 0.0)))
            except (TypeError, ValueError, AttributeError, OverflowError) as error:
                raise SourceFault(f"{self.url} gave a point of {key!r} that is none: {error}") from error
            found = series_of(key, step, timestamp_ms, value)
            yield found._replace(value=unclamped(found.value))

    def files(self, run_id: str) -> Iterator[_RemoteFile]:
        def entries(path: str) -> list[dict[str, Any]]:
            params = {"run_id": run_id, **({"path": path} if path else {})}
            return [*self._pages("GET", f"{V2}/artifacts/list", "files", params)]

        for path in self._walk(entries, "", 0):
            yield _RemoteFile(self, path, "/get-artifact", {"run_uuid": run_id, "path": path})

    def models(self, experiment: SourceExperiment) -> Iterator[SourceModel]:
        try:
            body = {"experiment_ids": [experiment.key], "max_results": 50}
            found = [*self._pages("POST", f"{V2}/logged-models/search", "models", body)]
        except SourceFault as error:
            if getattr(error.__cause__, "response", None) is None:
                raise
            return  # a server of before MLflow 3 has none
        yield from map(model_of, found)

    def model_files(self, model_id: str) -> Iterator[_RemoteFile]:
        base = f"{AJAX}/logged-models/{model_id}/artifacts"

        def entries(path: str) -> list[dict[str, Any]]:
            params = {"artifact_directory_path": path} if path else {}
            address = f"{V2}/logged-models/{model_id}/artifacts/directories"
            return [*self._pages("GET", address, "files", params)]

        for path in self._walk(entries, "", 0):
            yield _RemoteFile(self, path, f"{base}/files", {"artifact_file_path": path})

    def registered(self) -> Iterator[SourceRegistered]:
        try:
            found = [*self._pages("GET", f"{V2}/registered-models/search", "registered_models", {"max_results": 100})]
        except SourceFault as error:
            if getattr(error.__cause__, "response", None) is None:
                raise
            return  # a server of before MLflow 1.4, or without a registry, has none
        for model in found:
            name = str(model.get("name"))
            quote = '"' if "'" in name else "'"
            asked = {"filter": f"name = {quote}{name}{quote}", "max_results": 200}
            versions = self._pages("GET", f"{V2}/model-versions/search", "model_versions", asked)
            yield from shown(of_json(model, versions), self.left)

    def fetch(self, address: str, params: dict[str, str], target: Path) -> None:
        """Download a file. Raises SourceFault, OSError."""

        def ask() -> None:
            with self._client.stream("GET", address, params=params, follow_redirects=False) as answer:
                if not answer.is_success:
                    answer.read()
                answer.raise_for_status()
                with open(target, "wb") as file:
                    for block in answer.iter_bytes(1024 * 1024):
                        file.write(block)

        self._patiently(f"{address} {params}", ask)

    def _walk(self, entries: Callable[[str], list[dict[str, Any]]], path: str, depth: int) -> Iterator[str]:
        if depth > _DEPTH_MAX:
            raise SourceFault(f"{self.url} lists artifacts that lie more than {_DEPTH_MAX} folders deep")
        for one in entries(path):
            found = str(one.get("path", ""))
            # A folder that lists itself, or one above, would never end.
            if not found.startswith(f"{path}/" if path else "") or found == path:
                raise SourceFault(f"{self.url} lists {found[:200]!r} below {path[:200]!r}")
            if one.get("is_dir"):
                yield from self._walk(entries, found, depth + 1)
            else:
                yield found

    def _pages(self, method: str, path: str, name: str, asked: dict[str, Any]) -> Iterator[dict[str, Any]]:
        token = ""
        for _ in range(_PAGES_MAX):
            given = {**asked, **({"page_token": token} if token else {})}
            answer = self._call(method, path, **({"json": given} if method == "POST" else {"params": given}))
            page = answer.get(name, [])
            if not isinstance(page, list) or not all(isinstance(one, dict) for one in page):
                raise SourceFault(f"{self.url}{path} gave no list of {name}")
            yield from page
            before, token = token, str(answer.get("next_page_token") or "")
            if not token or token == before:
                return

    def _call(self, method: str, path: str, **arguments: Any) -> dict[str, Any]:
        def ask() -> dict[str, Any]:
            answer = self._client.request(method, path, **arguments)
            answer.raise_for_status()
            # Not msgspec: MLflow writes NaN as a bare word.
            found = json.loads(answer.content)
            if not isinstance(found, dict):
                raise ValueError("it is no object")
            return found

        return self._patiently(path, ask)

    def _patiently(self, what: str, ask: Callable[[], T]) -> T:
        """Ask, and ask again while the server cannot answer, for as long as the patience lasts. Raises SourceFault."""
        deadline_s = time.monotonic() + self._patience_s
        pause_s = 0.1
        while True:
            try:
                return ask()
            except httpx.HTTPStatusError as error:
                status = error.response.status_code
                fault: Exception = error
                told = f"{self.url} answered {status} to {what}: {error.response.text[:300]}"
                if status < 500 and status not in (408, 429):
                    raise SourceFault(told) from error
            except httpx.HTTPError as error:
                fault = error
                told = f"{self.url} did not answer {what}: {type(error).__name__}: {error}"
            except (ValueError, RecursionError) as error:
                raise SourceFault(f"{self.url} gave an answer to {what} that is no JSON: {error}") from error
            if time.monotonic() + pause_s >= deadline_s:
                raise SourceFault(f"{told} (asked for {self._patience_s:g} s)") from fault
            time.sleep(pause_s * random.uniform(0.5, 1.0))
            pause_s = min(pause_s * 2, _PAUSE_MAX_S)


class _RemoteFile:
    """A file that the server gives."""

    def __init__(self, server: MlflowServer, path: str, address: str, params: dict[str, str]) -> None:
        self.path = path
        self._server = server
        self._address = address
        self._params = params

    def fetch(self, target: Path) -> None:
        self._server.fetch(self._address, self._params, target)
