"""`headrace rebuild` beside real servers, workers and trainers that never stop."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("confluent_kafka")
pytest.importorskip("chdb")

from headrace.ingest.log import Partition
from headrace.processors.rebuild import Rebuild
from headrace.processors.standing import ByHold

from tests.e2e.flow import message

if TYPE_CHECKING:
    from tests.e2e.conftest import Server, Trainer
    from tests.e2e.scale_out import Cluster

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(280)]

ENVIRON = {k: v for k, v in os.environ.items() if not k.startswith(("HEADRACE_", "MLFLOW_"))}


def begin(*arguments: str) -> subprocess.Popen[str]:
    """The command as a process."""
    command = [sys.executable, "-m", "headrace.sdk.cli.main", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRON)


def headrace(*arguments: str, code: int = 0) -> str:
    """What a command printed on stdout, or on stderr where it fails."""
    process = begin(*arguments)
    out, err = process.communicate(timeout=200)
    assert process.returncode == code, out + err
    return err if code else out


def rebuild(*arguments: str) -> Any:
    return json.loads(headrace(*arguments, "--json"))


def test_a_server_rebuilds_while_trainers_log_and_readers_read(
    server: Server, train: Callable[..., Trainer], tmp_path: Path
) -> None:
    trainers = [train("counting", server.url, tmp_path / f"side{n}", 0, 20) for n in range(2)]
    run_ids = [trainer.line() for trainer in trainers]
    result = rebuild("--tracking-uri", server.url, "rebuild")
    assert (result["state"], result["equal"], result["exchanged"]) == ("done", True, True)
    assert {one["table"]: one["equal"] for one in result["compared"]} == dict.fromkeys(
        ("events", "metrics", "runs", "metric_summary"), True
    )
    assert "drop-old" in headrace("--tracking-uri", server.url, "rebuild", code=1)
    for trainer in trainers:
        trainer.finish()
    for run_id in run_ids:
        assert server.run(run_id)["info"]["status"] == "FINISHED"
        points = int(server.run(run_id)["tags"]["points"])
        assert server.count_whole(run_id, "m", points) == points
    headrace("--tracking-uri", server.url, "rebuild", "--drop-old")
    assert rebuild("--tracking-uri", server.url, "rebuild", "--compare-only")["equal"]


def test_a_server_killed_in_the_middle_goes_on_with_the_rebuild(
    server: Server, train: Callable[..., Trainer], tmp_path: Path, eventually: Callable[..., Any]
) -> None:
    trainer = train("counting", server.url, tmp_path / "side", 600_000, 5_000)
    run_id = trainer.line()
    trainer.finish(120)
    assert server.request("POST", "/api/headrace/v1/rebuild").status_code == 202
    eventually(lambda: server.get("/api/headrace/v1/rebuild")["records"])
    server.kill()
    server.start_again()
    result = rebuild("--tracking-uri", server.url, "rebuild")
    assert (result["equal"], result["exchanged"]) == (True, True)
    assert server.count_whole(run_id, "m", 600_000) == 600_000


def test_the_past_is_a_folder_that_a_server_shows_and_nobody_changes(
    server: Server, new_server: Callable[..., Server], tmp_path: Path
) -> None:
    run_id = server.post("/api/2.0/mlflow/runs/create", {"experiment_id": "0"})["run"]["info"]["run_id"]
    before = server.post(
        "/api/2.0/mlflow/runs/log-metric", {"run_id": run_id, "key": "m", "value": 1.0, "timestamp": 1, "step": 1}
    )
    assert before == {}
    ends = {(one["topic"], one["partition"]): one["end"] for one in server.status()["partitions"]}
    server.post("/api/2.0/mlflow/runs/update", {"run_id": run_id, "status": "FINISHED", "end_time": 9})
    server.post(
        "/api/2.0/mlflow/runs/log-metric", {"run_id": run_id, "key": "m", "value": 2.0, "timestamp": 2, "step": 2}
    )
    past = tmp_path / "past"
    positions = [part for (topic, number), end in ends.items() for part in ("--until", f"{topic}/{number}/{end}")]
    folder = ("--tracking-uri", str(server.data_dir))
    headrace(*folder, "rebuild", *positions, "--into", str(past))
    headrace(*folder, "rebuild", *positions, "--into", str(past))  # again changes nothing
    assert "another moment" in headrace(*folder, "rebuild", "--until", "0", "--into", str(past), code=1)
    assert "not empty" in headrace(*folder, "rebuild", "--until", "0", "--into", str(server.data_dir), code=1)
    shown = new_server(past).start()
    run = shown.run(run_id)
    assert run["info"]["status"] == "RUNNING"
    assert [one["value"] for one in run["data"]["metrics"]] == [1.0]
    refused = shown.request("POST", "/api/2.0/mlflow/runs/set-tag", json={"run_id": run_id, "key": "k", "value": "v"})
    assert refused.status_code == 403
    assert "the past" in refused.json()["message"]
    assert server.run(run_id)["info"]["status"] == "FINISHED"
    assert shown.stop() == 0


def test_what_workers_store_until_the_views_are_held_is_rebuilt_too(cluster: Cluster) -> None:
    worker = cluster.worker().start()
    cluster.log.append([message(f"run-{number % 3}", number) for number in range(50)])
    cluster.catch_up()

    holds = (
        "SELECT count() FROM (SELECT argMax(owner, (epoch, owner)) AS holder FROM owners GROUP BY topic, partition)"
        " WHERE startsWith(holder, 'hold')"
    )

    class Growing:
        """The log. While the worker stores, it has stored more by the time the log's end is known."""

        grown = 0

        def __getattr__(self, name: str) -> Any:
            return getattr(cluster.log, name)

        def end(self) -> dict[Partition, int]:
            ends = cluster.log.end()
            if cluster.views.rows(holds) == [(0,)]:
                self.grown += 1
                cluster.log.append([message("run-0", 1_000 + self.grown)])
                cluster.catch_up()
            return ends

    log: Any = Growing()
    rebuild = Rebuild(log, cluster.views)
    result = ByHold(log, cluster.views).run(rebuild, exchange=False, restart=False)
    assert log.grown
    assert result.equal, result.compared
    assert worker.running


def test_views_that_workers_write_are_rebuilt_beside_them_while_it_flows(
    cluster: Cluster, train: Callable[..., Trainer], tmp_path: Path
) -> None:
    server = cluster.server().start()
    for _ in range(2):
        cluster.worker().start()
    trainers = [train("counting", server.url, tmp_path / f"side{n}", 0, 20) for n in range(2)]
    run_ids = [trainer.line() for trainer in trainers]
    where = ("rebuild", "--log", cluster.log_url, "--views", cluster.views_url)
    result = rebuild(*where)
    assert (result["equal"], result["exchanged"]) == (True, True), result
    assert "drop-old" in headrace(*where, code=1)
    for trainer in trainers:
        trainer.finish()
    cluster.catch_up()
    for run_id in run_ids:
        points = int(server.run(run_id)["tags"]["points"])
        assert server.count_whole(run_id, "m", points) == points
    headrace(*where, "--drop-old")

    cluster.views.command("INSERT INTO metrics SELECT * FROM metrics LIMIT 1")
    different = rebuild(*where)
    assert {one["table"] for one in different["compared"] if not one["equal"]} == {"metrics"}
    for run_id in run_ids:
        server.count_whole(run_id, "m", int(server.run(run_id)["tags"]["points"]))
    refused = server.request("POST", "/api/headrace/v1/rebuild")
    assert refused.status_code == 501
    assert "headrace rebuild --log" in refused.json()["message"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--log", "kafka://127.0.0.1:1"), "belong together"),
        (("--until", "yesterday", "--into", "x"), "no moment"),
        (("--until", "0"), "belong together"),
        (("--log", "kafka://127.0.0.1:1/x", "--views", "clickhouse://127.0.0.1:1/x"), "127.0.0.1:1"),
    ],
)
def test_what_is_asked_wrongly_is_told_in_a_sentence(arguments: tuple[str, ...], says: str) -> None:
    process = begin("rebuild", *arguments)
    _, err = process.communicate(timeout=20)
    assert process.returncode in (1, 2)
    assert says in err
    assert "Traceback" not in err
