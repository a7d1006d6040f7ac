"""The whole app in this process, over real engines in a folder of the module."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from headrace.api.app import create_app
from headrace.api.services import Services
from headrace.api.settings import Settings
from headrace.ingest.clock import ManualClock
from headrace.ingest.sqlite import SqliteLog
from headrace.processors.engine import Engine
from headrace.processors.views import embedded

V2 = "/api/2.0/mlflow"


class Server:
    """An app, called from code that is not async. folder: its data. log: where its events go."""

    def __init__(self, folder: Path, fold: type[Engine] = Engine) -> None:
        self.folder = folder
        self.clock = ManualClock(1_700_000_000_000)
        self.log = SqliteLog(folder / "log.db", self.clock)
        self._views = embedded(folder / "views")
        self._runner = asyncio.Runner()
        settings = Settings(data_dir=folder, body_bytes_max=1_000_000)
        self.app = create_app(settings, self.log, self._views, self.clock, fold=fold)
        self._lifespan = self.app.router.lifespan_context(self.app)
        self.wait(self._lifespan.__aenter__())
        self._client = httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://test")

    def wait(self, coroutine: Any) -> Any:
        """Run a coroutine to its end, a minute at most."""
        return self._runner.run(asyncio.wait_for(coroutine, 60))

    def close(self) -> None:
        """Stop the app."""
        self.wait(self._client.aclose())
        self.wait(self._lifespan.__aexit__(None, None, None))
        self._runner.close()
        self._views.close()
        self.log.close()

    @property
    def services(self) -> Services:
        """The parts of the server."""
        found: Services = self.app.state.services
        return found

    def call(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Any request."""
        response: httpx.Response = self.wait(self._client.request(method, path, **options))
        return response

    def post(self, path: str, **body: Any) -> Any:
        """A POST of MLflow's API that must succeed."""
        response = self.call("POST", f"{V2}/{path}", json=body)
        assert response.status_code == 200, response.text
        return response.json()

    def refused(self, path: str, code: str = "INVALID_PARAMETER_VALUE", status: int = 400, /, **body: Any) -> str:
        """The message of a POST of MLflow's API that must be refused so."""
        response = self.call("POST", f"{V2}/{path}", json=body)
        told = response.json()
        assert (response.status_code, told["error_code"]) == (status, code), response.text
        assert set(told) in ({"error_code", "message"}, {"error_code", "message", "position", "expected"})
        message: str = told["message"]
        return message

    def new_run(self) -> str:
        """A run; its id."""
        run_id: str = self.post("runs/create", experiment_id="0")["run"]["info"]["run_id"]
        return run_id

    def run(self, run_id: str) -> Any:
        """A run as it is now."""
        return self.call("GET", f"{V2}/runs/get", params={"run_id": run_id}).json()["run"]

    def data(self, run_id: str, kind: str) -> dict[str, Any]:
        """A run's params, tags or metrics by key."""
        return {item["key"]: item["value"] for item in self.run(run_id)["data"].get(kind, [])}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """An app on an empty folder."""
    made = Server(tmp_path_factory.mktemp("data"))
    yield made
    made.close()
