"""Reads as of a moment answer as the log had it then."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.api.conftest import V2, Server

DAY_MS = 86_400_000


def now(server: Server) -> str:
    """A moment that holds everything so far and nothing that comes: the clock goes on."""
    moment = server.clock.time_ms()
    server.clock.advance(1.0)
    return str(moment)


def get(server: Server, path: str, **query: Any) -> Any:
    response = server.call("GET", f"{V2}/{path}", params=query)
    assert response.status_code == 200, response.text
    return response.json()


def log(server: Server, run_id: str, key: str, *points: tuple[int, float]) -> None:
    metrics = [{"key": key, "value": value, "timestamp": 1_000 + step, "step": step} for step, value in points]
    server.post("runs/log-batch", run_id=run_id, metrics=metrics)


def metrics_of(run: Any) -> dict[str, Any]:
    return {x["key"]: x["value"] for x in run["data"].get("metrics", [])}


def test_a_run_is_read_as_it_was(server: Server) -> None:
    run_id = server.new_run()
    server.post("runs/set-tag", run_id=run_id, key="stage", value="first")
    log(server, run_id, "loss", (1, 0.9), (2, 0.5))
    then = now(server)
    server.post("runs/set-tag", run_id=run_id, key="stage", value="second")
    server.post("runs/log-parameter", run_id=run_id, key="lr", value="0.1")
    server.post("runs/update", run_id=run_id, status="FINISHED", end_time=5)
    log(server, run_id, "loss", (3, 0.1))
    log(server, run_id, "acc", (3, 0.8))

    past = get(server, "runs/get", run_id=run_id, as_of=then)["run"]
    assert past["info"]["status"] == "RUNNING"
    assert {x["key"]: x["value"] for x in past["data"]["tags"]}["stage"] == "first"
    assert "params" not in past["data"]
    assert metrics_of(past) == {"loss": 0.5}
    present = get(server, "runs/get", run_id=run_id, as_of=now(server))["run"]
    assert present == server.run(run_id)
    assert metrics_of(present) == {"loss": 0.1, "acc": 0.8}


def test_a_run_that_had_not_begun_is_not_there(server: Server) -> None:
    then = now(server)
    run_id = server.new_run()
    response = server.call("GET", f"{V2}/runs/get", params={"run_id": run_id, "as_of": then})
    assert response.status_code == 404
    assert then in response.json()["message"]


def test_a_run_is_read_by_position(server: Server) -> None:
    run_id = server.new_run()
    ends = {p.topic: end for p, end in server.log.end().items()}
    server.post("runs/set-tag", run_id=run_id, key="k", value="v")
    past = get(server, "runs/get", run_id=run_id, as_of=f"runs/0/{ends['runs']}")["run"]
    assert "k" not in {x["key"] for x in past["data"]["tags"]}


def test_a_deleted_run_was_active_before(server: Server) -> None:
    run_id = server.new_run()
    then = now(server)
    server.post("runs/delete", run_id=run_id)
    assert get(server, "runs/get", run_id=run_id, as_of=then)["run"]["info"]["lifecycle_stage"] == "active"
    assert server.run(run_id)["info"]["lifecycle_stage"] == "deleted"


def test_a_history_ends_at_the_moment(server: Server) -> None:
    run_id = server.new_run()
    log(server, run_id, "loss", (1, 1e300), (2, 2.0))
    then = now(server)
    log(server, run_id, "loss", (3, 3.0), (1, 1.5))
    found = get(server, "metrics/get-history", run_id=run_id, metric_key="loss", as_of=then)["metrics"]
    assert [(x["step"], x["value"]) for x in found] == [(1, 1e300), (2, 2.0)]
    bulk = get(server, "metrics/get-history-bulk", run_id=run_id, metric_key="loss", as_of=then)["metrics"]
    assert [x["step"] for x in bulk] == [1, 2]
    interval = get(server, "metrics/get-history-bulk-interval", run_ids=run_id, metric_key="loss", as_of=then)
    assert [x["step"] for x in interval["metrics"]] == [1, 2]


def test_experiments_are_read_as_they_were(server: Server) -> None:
    experiment_id = server.post("experiments/create", name="before")["experiment_id"]
    run_id = server.post("runs/create", experiment_id=experiment_id)["run"]["info"]["run_id"]
    then = now(server)
    server.post("experiments/update", experiment_id=experiment_id, new_name="after")
    server.post("experiments/set-experiment-tag", experiment_id=experiment_id, key="k", value="v")
    server.post("experiments/delete", experiment_id=experiment_id)
    past = get(server, "experiments/get", experiment_id=experiment_id, as_of=then)["experiment"]
    assert (past["name"], past["lifecycle_stage"], past.get("tags")) == ("before", "active", None)
    by_name = get(server, "experiments/get-by-name", experiment_name="before", as_of=then)["experiment"]
    assert by_name == past
    found = server.post("experiments/search", filter="name = 'before'", as_of=then)["experiments"]
    assert found == [past]
    assert get(server, "runs/get", run_id=run_id, as_of=then)["run"]["info"]["lifecycle_stage"] == "active"
    assert get(server, "runs/get", run_id=run_id)["run"]["info"]["lifecycle_stage"] == "deleted"


def test_logged_models_are_read_as_they_were(server: Server) -> None:
    run_id = server.new_run()
    created = server.post("logged-models", experiment_id="0", name="m", source_run_id=run_id)["model"]["info"]
    path = f"logged-models/{created['model_id']}"
    point = {"key": "acc", "value": 0.5, "timestamp": 1, "step": 1, "model_id": created["model_id"]}
    server.post("runs/log-batch", run_id=run_id, metrics=[point])
    then = now(server)
    server.call("PATCH", f"{V2}/{path}", json={"status": "LOGGED_MODEL_READY"})
    server.post("runs/log-batch", run_id=run_id, metrics=[{**point, "value": 0.9, "step": 2}])
    past = get(server, path, as_of=then)["model"]
    assert past["info"]["status"] == "LOGGED_MODEL_PENDING"
    assert [x["value"] for x in past["data"]["metrics"]] == [0.5]
    found = server.post("logged-models/search", experiment_ids=["0"], filter="name = 'm'", as_of=then)["models"]
    assert found == [past]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("yesterday", "no moment"),
        ("runs/0/99999999", "ends at"),
        ("runs/7/0", "no partition"),
        ("models/0/1", "no topic"),
        ("1,2", "a time already"),
    ],
)
def test_what_names_no_moment_is_refused(server: Server, text: str, why: str) -> None:
    response = server.call("GET", f"{V2}/experiments/get", params={"experiment_id": "0", "as_of": text})
    assert response.status_code == 400, response.text
    assert why in response.json()["message"]


def test_a_moment_that_lies_ahead_is_now(server: Server) -> None:
    run_id = server.new_run()
    ahead = str(server.clock.time_ms() + DAY_MS)
    assert get(server, "runs/get", run_id=run_id, as_of=ahead)["run"]["info"]["run_id"] == run_id


def test_what_changes_after_the_moment_never_shows_however_often_it_is_asked(server: Server) -> None:
    run_id = server.new_run()
    log(server, run_id, "loss", (1, 1.0))
    server.post("runs/set-tag", run_id=run_id, key="k", value="0")
    then = now(server)
    ask: Callable[[], Any] = lambda: get(server, "runs/get", run_id=run_id, as_of=then)["run"]  # noqa: E731
    before = ask()
    for step in range(2, 5):
        log(server, run_id, "loss", (step, float(step)))
        server.post("runs/set-tag", run_id=run_id, key="k", value=str(step))
        assert ask() == before
