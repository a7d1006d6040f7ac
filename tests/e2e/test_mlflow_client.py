"""The stock MLflow client, each version in an environment of its own, against a real server."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.environments import MLFLOW_3, environment

if TYPE_CHECKING:
    from tests.e2e.conftest import Server
    from tests.e2e.scale_out import Cluster

pytestmark = [pytest.mark.e2e, pytest.mark.mlflow, pytest.mark.timeout(900)]

SESSIONS = Path(__file__).parent / "mlflow_sessions"


def session(python: Path, script: str, server: Server, folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """A script of mlflow_sessions/ as a process, in a folder of its own."""
    folder.mkdir()
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "HEADRACE_"))}
    return subprocess.Popen(
        [str(python), str(SESSIONS / script), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        env={**kept, "MLFLOW_TRACKING_URI": server.url},
    )


def finished(process: subprocess.Popen[str]) -> str:
    """What it printed last; it must have ended well."""
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err[-4000:]
    return out.splitlines()[-1]


@pytest.fixture
def mlflow_3(missing: Callable[[str], None]) -> Path:
    return environment("mlflow-3.17.2", MLFLOW_3, missing)


@pytest.fixture
def mlflow_2(missing: Callable[[str], None]) -> Path:
    return environment("mlflow-skinny-2", ["mlflow-skinny==2.22.*", "setuptools<81"], missing)


def test_a_working_day_of_the_stock_client(server: Server, mlflow_3: Path, tmp_path: Path) -> None:
    assert json.loads(finished(session(mlflow_3, "whole_session.py", server, tmp_path / "day")))["ok"]


def test_a_working_day_over_kafka_and_clickhouse(cluster: Cluster, mlflow_3: Path, tmp_path: Path) -> None:
    cluster.worker().start()
    server = cluster.server().start()
    assert json.loads(finished(session(mlflow_3, "whole_session.py", server, tmp_path / "day")))["ok"]


def test_a_client_of_the_previous_major_version(server: Server, mlflow_2: Path, tmp_path: Path) -> None:
    run_id = finished(session(mlflow_2, "basic_session.py", server, tmp_path / "old"))

    assert server.count_whole(run_id, "m", 500) == 500


def test_four_stock_clients_at_once_with_nested_runs_are_all_counted(
    server: Server, mlflow_3: Path, tmp_path: Path
) -> None:
    sessions = [session(mlflow_3, "nested_session.py", server, tmp_path / f"c{n}", str(n)) for n in range(4)]
    found = [json.loads(finished(one)) for one in sessions]

    for runs in found:
        assert len(runs) == 4
        for run_id in runs:
            server.count_whole(run_id, "m", 100)
    experiment = server.get("/api/2.0/mlflow/experiments/get-by-name", experiment_name="together")["experiment"]
    listed = server.post("/api/2.0/mlflow/runs/search", {"experiment_ids": [experiment["experiment_id"]]})["runs"]
    assert {run["info"]["run_id"] for run in listed} == {run_id for runs in found for run_id in runs}
    assert {run["info"]["status"] for run in listed} == {"FINISHED"}


def test_every_registry_call_of_the_stock_client(server: Server, mlflow_3: Path, tmp_path: Path) -> None:
    assert json.loads(finished(session(mlflow_3, "registry_session.py", server, tmp_path / "registry")))["ok"]
