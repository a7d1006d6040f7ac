"""API replicas over one log: who comes first, what one wrote read through another, and views that are away."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("confluent_kafka")
pytest.importorskip("chdb")

if TYPE_CHECKING:
    from tests.clickhouse_server import ClickHouse
    from tests.e2e.conftest import Server, Trainer
    from tests.e2e.scale_out import Cluster

pytestmark = pytest.mark.e2e

MLFLOW = "/api/2.0/mlflow"
RACES = 300
ROUNDS = 10
READ_WAIT_S = 2.5


def log_points(server: Server, run_id: str, *steps: int) -> None:
    """Log points of a run through a replica, with their step as value."""
    points = [{"key": "loss", "value": step, "timestamp": 1, "step": step} for step in steps]
    server.post(f"{MLFLOW}/runs/log-batch", {"run_id": run_id, "metrics": points})


def new_run(server: Server, **fields: Any) -> str:
    """Create a run through a replica; its id."""
    created = server.post(f"{MLFLOW}/runs/create", {"experiment_id": "0", **fields})
    return str(created["run"]["info"]["run_id"])


def test_two_replicas_that_race_for_a_name_have_one_winner_and_one_clear_error(
    cluster: Cluster, record_property: Callable[[str, object], None]
) -> None:
    _, replicas = cluster.start(servers=2)
    wins = [0, 0]
    with ThreadPoolExecutor(2) as threads:
        for number in range(RACES):
            name = f"wanted {number}"
            asked = [
                threads.submit(one.request, "POST", f"{MLFLOW}/experiments/create", json={"name": name})
                for one in (replicas if number % 2 else reversed(replicas))
            ]
            answers = [one.result() for one in (asked if number % 2 else reversed(asked))]
            assert sorted(answer.status_code for answer in answers) == [200, 400], [x.text for x in answers]
            [lost] = [answer.json() for answer in answers if answer.status_code == 400]
            assert lost == {
                "error_code": "RESOURCE_ALREADY_EXISTS",
                "message": f"Experiment(name={name}) already exists.",
            }
            winner = answers.index(next(answer for answer in answers if answer.status_code == 200))
            wins[winner] += 1
            ids = {
                one.get(f"{MLFLOW}/experiments/get-by-name", experiment_name=name)["experiment"]["experiment_id"]
                for one in replicas
            }
            assert ids == {answers[winner].json()["experiment_id"]}
    assert min(wins) > 0
    record_property("wins", wins)


def test_what_was_written_through_one_replica_is_read_through_another_at_once(cluster: Cluster) -> None:
    _, (one, other) = cluster.start(workers=1, servers=2)
    for number in range(ROUNDS):
        one, other = other, one
        experiment = one.post(f"{MLFLOW}/experiments/create", {"name": f"e{number}"})["experiment_id"]
        found = other.get(f"{MLFLOW}/experiments/get-by-name", experiment_name=f"e{number}")["experiment"]
        assert found["experiment_id"] == experiment
        run_id = new_run(one, run_name=f"run {number}", experiment_id=experiment)
        assert other.run(run_id)["info"]["run_name"] == f"run {number}"
        other.post(f"{MLFLOW}/runs/set-tag", {"run_id": run_id, "key": "t", "value": "x"})
        assert one.run(run_id)["tags"]["t"] == "x"
        log_points(one, run_id, 1, 2, 3)
        assert other.history(run_id, "loss").column("step").to_pylist() == [1, 2, 3]
        one.post(f"{MLFLOW}/runs/update", {"run_id": run_id, "status": "FINISHED"})
        query = {"experiment_ids": [experiment], "filter": "metrics.loss = 3 and tags.t = 'x'"}
        [run] = other.post(f"{MLFLOW}/runs/search", query)["runs"]
        assert run["info"]["status"] == "FINISHED"


def test_without_clickhouse_writes_are_taken_and_reads_say_why_not_and_nothing_is_lost(
    new_cluster: Callable[..., Cluster], new_clickhouse: Callable[..., ClickHouse], train: Callable[..., Trainer]
) -> None:
    clickhouse = new_clickhouse()
    cluster = new_cluster(clickhouse=clickhouse)
    [worker], [server] = cluster.start(workers=1, servers=1, read_wait_s=READ_WAIT_S)
    run_id = new_run(server)
    log_points(server, run_id, 0)
    assert server.history(run_id, "loss").num_rows == 1
    clickhouse.kill()

    log_points(server, run_id, *range(1, 100))
    late = cluster.server(read_wait_s=READ_WAIT_S).start()
    ids = [run_id, new_run(server, run_name="meanwhile"), new_run(late, run_name="late")]
    for one in (server, late):
        log_points(one, ids[1], *(range(50) if one is server else range(50, 100)))
        log_points(one, ids[2], *(range(50) if one is server else range(50, 100)))
    fleet = train("fleet", server.url, 2)
    ids += [fleet.line(), fleet.line()]
    assert fleet.process.stdin is not None
    fleet.process.stdin.write("100 0.2\n")
    fleet.finish()

    reads: list[tuple[str, str, dict[str, Any]]] = [
        ("GET", f"{MLFLOW}/metrics/get-history", {"params": {"run_id": run_id, "metric_key": "loss"}}),
        ("GET", f"{MLFLOW}/runs/get", {"params": {"run_id": run_id}}),
        ("POST", f"{MLFLOW}/runs/search", {"json": {"experiment_ids": ["0"]}}),
    ]
    asked_s = time.monotonic()
    with ThreadPoolExecutor(len(reads)) as threads:
        asked = [threads.submit(server.request, method, path, **given) for method, path, given in reads]
        answers = [one.result() for one in asked]
    assert time.monotonic() - asked_s < READ_WAIT_S + 5
    for answer in answers:
        assert answer.status_code == 503, answer.text
        assert answer.json()["error_code"] == "TEMPORARILY_UNAVAILABLE"
        assert f"ClickHouse at 127.0.0.1:{clickhouse.port} cannot be reached" in answer.json()["message"]
    told_s = time.monotonic()
    assert worker.stop() == 0
    assert time.monotonic() - told_s < 9

    clickhouse.start_again()
    worker.start()
    cluster.catch_up()
    for one in (server, late):
        for logged in ids:
            assert one.history(logged, "loss").column("step").to_pylist() == list(range(100))
        found = one.post(f"{MLFLOW}/runs/search", {"experiment_ids": ["0"]})["runs"]
        assert {run["info"]["run_id"] for run in found} == set(ids)
        assert one.status()["fault"] is None


def test_replicas_agree_on_the_past_on_pages_and_on_forks(cluster: Cluster) -> None:
    _, (one, other) = cluster.start(workers=1, servers=2)
    experiment = one.post(f"{MLFLOW}/experiments/create", {"name": "looked back at"})["experiment_id"]
    runs = [new_run(one, experiment_id=experiment, start_time=number) for number in range(5)]
    for number, run_id in enumerate(runs):
        log_points(one, run_id, number)
    query = {"experiment_ids": [experiment], "max_results": 3, "order_by": ["metrics.loss DESC"]}
    first = one.post(f"{MLFLOW}/runs/search", query)
    last = other.get("/api/headrace/v1/history", kind="run", id=runs[4])["entries"][-1]
    then = str(last["logged_ms"] + 60_000)
    while time.time() * 1000 < last["logged_ms"] + 1_500:
        time.sleep(0.05)
    before = str(int(time.time() * 1000) - 500)

    fork = other.post("/api/headrace/v1/runs/fork", {"run_id": runs[4], "step": 4})["run"]["info"]["run_id"]
    log_points(other, runs[0], 100)
    other.post(f"{MLFLOW}/runs/delete", {"run_id": runs[1]})
    other.post("/api/headrace/v1/runs/move", {"run_ids": [runs[2]], "experiment_id": "0"})

    # The second page comes from the server that never saw the first.
    second = other.post(f"{MLFLOW}/runs/search", {**query, "page_token": first["next_page_token"]})
    assert ids(first) + ids(second) == runs[::-1]
    for server in (one, other):
        assert ids(server.post(f"{MLFLOW}/runs/search", {**query, "max_results": 9, "as_of": before})) == runs[::-1]
        assert set(ids(server.post(f"{MLFLOW}/runs/search", {**query, "max_results": 9, "as_of": then}))) == {
            *(runs[0], runs[3], runs[4]),
            fork,
        }
        [latest] = server.get(f"{MLFLOW}/runs/get", run_id=fork)["run"]["data"]["metrics"]
        assert (latest["key"], latest["value"]) == ("loss", 4.0)
        assert server.history(fork, "loss").column("step").to_pylist() == [4]
        moved = server.get("/api/headrace/v1/history", kind="run", id=runs[2])["entries"][-1]["changes"]
        assert moved == [{"field": "experiment_id", "from": experiment, "to": "0"}]


def ids(answer: Any) -> list[str]:
    """The runs of a search, in its order."""
    return [run["info"]["run_id"] for run in answer.get("runs", [])]
