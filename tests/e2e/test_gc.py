"""`headrace gc` on real servers: killed in the middle, beside trainers at full speed, and to trainers that write on."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

if TYPE_CHECKING:
    from tests.e2e.conftest import Server, Trainer
    from tests.e2e.scale_out import Cluster

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(280)]

SECRET = "sEcReT-kq8x2v9z"
ENVIRON = {k: v for k, v in os.environ.items() if not k.startswith(("HEADRACE_", "MLFLOW_"))}
V2 = "/api/2.0/mlflow"


def begin(server: Server, *arguments: str) -> subprocess.Popen[str]:
    """The command as a process."""
    command = [sys.executable, "-m", "headrace.sdk.cli.main", "--tracking-uri", server.url, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRON)


def gc(server: Server, *arguments: str) -> Any:
    """What `headrace gc` printed; it must succeed."""
    process = begin(server, "gc", "--yes", "--json", *arguments)
    out, err = process.communicate(timeout=200)
    assert process.returncode == 0, err
    return json.loads(out)


def binned_run(server: Server, experiment_id: str = "0") -> str:
    """A run in the bin, with secrets in its param, tag, metric, artifact and name."""
    created = server.post(f"{V2}/runs/create", {"experiment_id": experiment_id, "run_name": SECRET})
    run_id: str = created["run"]["info"]["run_id"]
    metrics = [{"key": SECRET, "value": step, "timestamp": step, "step": step} for step in range(500)]
    both = [{"key": "k", "value": SECRET}]
    server.post(f"{V2}/runs/log-batch", {"run_id": run_id, "metrics": metrics, "params": both, "tags": both})
    path = f"/api/headrace/v1/runs/{run_id}/artifacts/dir/file.txt"
    assert server.request("PUT", path, content=SECRET.encode() * 1000).status_code == 200
    server.post(f"{V2}/runs/delete", {"run_id": run_id})
    return run_id


def with_secret(folder: Path) -> list[str]:
    """The files below a folder that hold the secret."""
    found = []
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(FileNotFoundError):  # merged away meanwhile
                if SECRET.encode() in (Path(place) / name).read_bytes():
                    found.append(name)
    return found


def killed_in_the_middle(server: Server, pause_s: float) -> bool:
    """Kill a server so long after it was asked to erase all in the bin; whether it was in the middle of it."""
    broken = threading.Event()

    def ask() -> None:
        try:
            httpx.post(f"{server.url}/api/headrace/v1/gc", json={"older_than": "0s"}, timeout=60)
        except httpx.TransportError:
            broken.set()

    thread = threading.Thread(target=ask)
    thread.start()
    time.sleep(pause_s)  # a kill at any moment is the point of it
    server.kill()
    thread.join()
    return broken.is_set()


def test_a_server_killed_again_and_again_in_the_middle_ends_with_every_secret_gone(
    server: Server, eventually: Callable[..., Any]
) -> None:
    experiment = server.post(f"{V2}/experiments/create", {"name": f"old {SECRET}"})["experiment_id"]
    run_ids = [binned_run(server, experiment if number % 3 else "0") for number in range(24)]
    kept = server.post(f"{V2}/runs/create", {"experiment_id": "0", "run_name": "kept"})["run"]["info"]["run_id"]
    server.post(f"{V2}/runs/log-metric", {"run_id": kept, "key": "m", "value": 0, "timestamp": 1, "step": 0})
    server.post(f"{V2}/experiments/delete", {"experiment_id": experiment})
    assert with_secret(server.data_dir)
    killed = 0
    for pause_s in (0.1, 0.3, 0.5, 0.8, 1.2):
        killed += killed_in_the_middle(server, pause_s)
        server.start_again()
    assert killed >= 2
    done = gc(server, "--older-than", "0s")
    assert done["left"] == []
    assert gc(server, "--older-than", "0s")["runs"] == []
    for run_id in run_ids:
        answer = server.request("GET", f"{V2}/runs/get", params={"run_id": run_id})
        assert answer.status_code == 404
        assert "erased at" in answer.json()["message"]
    assert server.request("GET", f"{V2}/experiments/get", params={"experiment_id": experiment}).status_code == 404
    assert server.count_whole(kept, "m", 1) == 1
    process = begin(server, "rebuild", "--compare-only", "--json")
    assert json.loads(process.communicate(timeout=200)[0])["equal"]
    eventually(lambda: not with_secret(server.data_dir), 150)


def test_gc_beside_trainers_loses_none_of_their_points_and_keeps_no_append_waiting_for_long(
    server: Server, train: Callable[..., Trainer], tmp_path: Path
) -> None:
    run_ids = [binned_run(server) for _ in range(20)]
    trainers = [train("counting", server.url, tmp_path / f"side{n}", 0, 20) for n in range(2)]
    living = [trainer.line() for trainer in trainers]
    tagged = server.post(f"{V2}/runs/create", {"experiment_id": "0"})["run"]["info"]["run_id"]
    waits_s: list[float] = []
    done = threading.Event()

    def log_on() -> None:
        with httpx.Client(base_url=server.url, timeout=60) as client:
            while not done.is_set():
                before_s = time.monotonic()
                body = {"run_id": tagged, "key": "k", "value": str(len(waits_s))}
                assert client.post(f"{V2}/runs/set-tag", json=body).status_code == 200
                waits_s.append(time.monotonic() - before_s)

    thread = threading.Thread(target=log_on)
    thread.start()
    erased = gc(server, "--older-than", "0s")
    done.set()
    thread.join()
    assert waits_s
    assert sorted(run["run_id"] for run in erased["runs"]) == sorted(run_ids)
    assert max(waits_s) < 10, sorted(waits_s)[-5:]
    for trainer in trainers:
        trainer.finish()
    for run_id in living:
        points = int(server.run(run_id)["tags"]["points"])
        assert server.count_whole(run_id, "m", points) == points
    process = begin(server, "rebuild", "--compare-only", "--json")
    assert json.loads(process.communicate(timeout=200)[0])["equal"]


def test_a_trainer_whose_run_is_erased_while_it_logs_ends_well_and_leaves_nothing(
    server: Server, train: Callable[..., Trainer], tmp_path: Path, eventually: Callable[..., Any]
) -> None:
    trainer = train("counting", server.url, tmp_path / "side", 0, 20)
    run_id = trainer.line()
    eventually(lambda: server.request("GET", f"{V2}/runs/get", params={"run_id": run_id}).status_code == 200)
    server.post(f"{V2}/runs/delete", {"run_id": run_id})
    assert [run["run_id"] for run in gc(server, "--run-ids", run_id)["runs"]] == [run_id]
    trainer.finish()
    gc(server)
    answer = server.post("/api/headrace/v1/sql", {"query": "SELECT count() AS n FROM metrics", "format": "json"})
    assert "0" in json.dumps(answer)
    rows = server.get("/api/headrace/v1/history", kind="run", id=run_id)["entries"]
    assert {row["type"] for row in rows} == {"headrace.run.deleted", "headrace.run.erasing", "headrace.run.erased"}
    assert gc(server)["runs"] == []


def test_where_workers_write_the_views_all_but_the_log_on_kafka_is_erased_and_gc_says_so(cluster: Cluster) -> None:
    server = cluster.server().start()
    cluster.worker().start()
    experiment = server.post(f"{V2}/experiments/create", {"name": "old"})["experiment_id"]
    run_ids = [binned_run(server), binned_run(server, experiment)]
    kept = server.post(f"{V2}/runs/create", {"experiment_id": "0"})["run"]["info"]["run_id"]
    server.post(f"{V2}/runs/log-metric", {"run_id": kept, "key": "m", "value": 0, "timestamp": 1, "step": 0})
    server.post(f"{V2}/experiments/delete", {"experiment_id": experiment})
    done = gc(server, "--older-than", "0s")
    assert sorted(run["run_id"] for run in done["runs"]) == sorted(run_ids)
    assert done["experiments"] == [experiment]
    assert [run["records"] for run in done["runs"]] == [0, 0]
    assert "Kafka" in done["notes"][0]
    cluster.catch_up()
    for table in ("metrics", "metric_summary"):
        assert cluster.views.rows(f"SELECT DISTINCT run_id FROM {table}") == [(kept,)]
    assert server.request("GET", f"{V2}/runs/get", params={"run_id": run_ids[0]}).status_code == 404
    assert server.count_whole(kept, "m", 1) == 1
    assert gc(server, "--older-than", "0s")["runs"] == []
