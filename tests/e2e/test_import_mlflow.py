"""Imports of what real MLflow has written: its file store, its database, its server, of two major versions."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.e2e.test_import import history, run_import
from tests.e2e.test_mlflow_client import SESSIONS
from tests.environments import MLFLOW_3, environment

if TYPE_CHECKING:
    from tests.e2e.conftest import Server

pytestmark = [pytest.mark.e2e, pytest.mark.mlflow, pytest.mark.timeout(900)]


@pytest.fixture(params=["mlflow-3.17.2", "mlflow-2.22"])
def mlflow(request: pytest.FixtureRequest, missing: Callable[[str], None]) -> Path:
    """The Python of an environment with MLflow: its newest version, and the major version before."""
    if request.param == "mlflow-3.17.2":
        return environment(request.param, MLFLOW_3, missing)
    return environment(request.param, ["mlflow==2.22.*", "setuptools<81", "sqlalchemy<2.1"], missing)


def filled(mlflow: Path, folder: Path, uri: str) -> str:
    """Fill a store; the id of its first run."""
    models = ["models"] if "mlflow-3" in str(mlflow) else []
    done = subprocess.run(
        [str(mlflow), str(SESSIONS / "to_be_imported.py"), uri, *models],
        capture_output=True, text=True, check=False, cwd=folder, env=clean_environ(), timeout=400,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.splitlines()[-1]


def clean_environ() -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "HEADRACE_"))}
    return {**kept, "MLFLOW_ALLOW_FILE_STORE": "true"}


@pytest.fixture
def new_mlflow_server(mlflow: Path, tmp_path: Path) -> Iterator[Callable[[str], str]]:
    """Starts an MLflow server over a store, with its artifacts behind its proxy; its URL."""
    started: list[subprocess.Popen[bytes]] = []

    def start(store: str) -> str:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        command = [str(mlflow), "-m", "mlflow", "server", "--backend-store-uri", store, "--port", str(port)]
        settings: dict[str, Any] = {"cwd": tmp_path, "env": clean_environ(), "start_new_session": True}
        with (tmp_path / "mlflow.log").open("wb") as output:
            started.append(subprocess.Popen([*command, "--workers", "1"], stdout=output, stderr=output, **settings))
        transport = httpx.HTTPTransport(retries=8)  # its pauses grow to a minute in all
        with httpx.Client(transport=transport, timeout=60) as client:
            assert client.get(f"http://127.0.0.1:{port}/health").status_code == 200
        return f"http://127.0.0.1:{port}"

    yield start
    for process in started:
        os.killpg(process.pid, 9)
        process.wait()


def check(server: Server, first: str, report: dict[str, Any], said: str, models: bool) -> None:
    assert report["equal"], said
    assert report["totals"]["runs"] == 5
    # MLflow 3 logs the points that it links to a model once more, and its file store keeps both.
    assert report["totals"]["points"] == (310 if models and report["source"].endswith("mlruns") else 308)
    assert len(set(history(server, first, "loss"))) == 300
    odd = dict.fromkeys(str(value) for _, _, value in history(server, first, "odd"))
    # SQLite itself makes 0.0 of -0.0.
    assert [*odd] == ["nan", "inf", "-inf", "0.0" if "0.0" in odd else "-0.0", "5e-324"]
    run = server.run(first)
    assert run["inputs"]["dataset_inputs"][0]["dataset"]["name"] == "numbers"
    assert server.request("GET", f"/api/headrace/v1/runs/{first}/artifacts/notes/a b.txt").text == "hello"
    told = server.get("/api/2.0/mlflow/registered-models/get", name=f"digits-{first[:8]}")["registered_model"]
    assert (told["description"], told["aliases"]) == ("Digits.", [{"alias": "champion", "version": "1"}])
    newest = {one["current_stage"]: (one["version"], one["run_id"]) for one in told["latest_versions"]}
    assert newest == {"Production": ("1", first), "None": ("2", first)}
    assert told["latest_versions"][0]["source"] == f"{run['info']['artifact_uri']}/notes"
    assert len(report["models"]) == models
    if models:
        assert "MLmodel" in report["models"][0]["files"]


def test_what_mlflow_wrote_is_equal_here_whichever_way_it_comes(
    server: Server, mlflow: Path, tmp_path: Path, new_mlflow_server: Callable[[str], str]
) -> None:
    models = "mlflow-3" in str(mlflow)
    files = tmp_path / "mlruns"
    first = filled(mlflow, tmp_path, files.as_uri())
    code, report, said = run_import(files, server, "--deleted")
    assert code == 0, said
    check(server, first, report, said, models)

    store = f"sqlite:///{tmp_path / 'mlflow.db'}"
    first = filled(mlflow, tmp_path, store)
    code, report, said = run_import(store, server, "--deleted", "--prefix", "db/")
    assert code == 0, said
    check(server, first, report, said, models)

    url = new_mlflow_server(store)
    code, report, said = run_import(url, server, "--deleted", "--prefix", "db/")
    assert code == 0, said
    assert report["totals"]["there_already"] == 5, "by their ids they are the runs that came from the database"
    check(server, first, report, said, models)


@pytest.mark.parametrize("mlflow", ["mlflow-3.17.2"], indirect=True)
def test_a_server_that_keeps_artifacts_itself_gives_them(
    server: Server, mlflow: Path, tmp_path: Path, new_mlflow_server: Callable[[str], str]
) -> None:
    url = new_mlflow_server(f"sqlite:///{tmp_path / 'served.db'}")
    first = filled(mlflow, tmp_path, url)
    code, report, said = run_import(tmp_path / "served.db", server, "--no-artifacts")
    assert code == 0, said
    code, report, said = run_import(tmp_path / "served.db", server)
    assert {one["why"].split(" (")[0][-60:] for one in report["left"]}, "where they are, a database does not tell"
    code, report, said = run_import(url, server, "--deleted")
    assert code == 0, said
    check(server, first, report, said, True)
    assert report["totals"]["completed"] >= 1, "the files came to the runs that were there without"
