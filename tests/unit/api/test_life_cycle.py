"""Runs move between experiments and are forked at a step."""

from __future__ import annotations

from typing import Any

from tests.unit.api.conftest import V2, Server

V1 = "/api/headrace/v1"


def post(server: Server, path: str, status: int = 200, **body: Any) -> Any:
    response = server.call("POST", f"{V1}/{path}", json=body)
    assert response.status_code == status, response.text
    return response.json()


def log(server: Server, run_id: str, key: str, *points: tuple[int, float]) -> None:
    metrics = [{"key": key, "value": value, "timestamp": 1_000 + step, "step": step} for step, value in points]
    server.post("runs/log-batch", run_id=run_id, metrics=metrics)


def steps(server: Server, run_id: str, key: str, **query: Any) -> list[tuple[int, float]]:
    asked = {"run_id": run_id, "metric_key": key, **query}
    found = server.call("GET", f"{V2}/metrics/get-history", params=asked).json().get("metrics", [])
    return sorted((x["step"], x["value"]) for x in found)


def search(server: Server, experiment_id: str, **asked: Any) -> list[str]:
    answer = server.post("runs/search", experiment_ids=[experiment_id], **asked)
    return [run["info"]["run_id"] for run in answer.get("runs", [])]


def fork(server: Server, run_id: str, step: int, **more: Any) -> str:
    found: str = post(server, "runs/fork", run_id=run_id, step=step, **more)["run"]["info"]["run_id"]
    return found


def test_a_moved_run_is_found_where_it_is_and_was_where_it_was(server: Server) -> None:
    here, there = (server.post("experiments/create", name=x)["experiment_id"] for x in ("from here", "to there"))
    run_id, other = (server.post("runs/create", experiment_id=here)["run"]["info"]["run_id"] for _ in range(2))
    uri = server.run(run_id)["info"]["artifact_uri"]
    then = str(server.clock.time_ms())
    server.clock.advance(1)

    assert post(server, "runs/move", run_ids=[run_id, run_id], experiment_id=there) == {"moved": [run_id]}
    assert post(server, "runs/move", run_ids=[run_id], experiment_id=there) == {"moved": []}

    assert server.run(run_id)["info"]["experiment_id"] == there
    assert server.run(run_id)["info"]["artifact_uri"] == uri, "its files stay where they are"
    assert (search(server, here), search(server, there)) == ([other], [run_id])
    assert set(search(server, here, as_of=then)) == {run_id, other}
    assert search(server, there, as_of=then) == []


def test_a_move_that_cannot_be_done_moves_nothing(server: Server) -> None:
    there = server.post("experiments/create", name="there")["experiment_id"]
    run_id, deleted = server.new_run(), server.new_run()
    server.post("runs/delete", run_id=deleted)
    assert "deleted" in post(server, "runs/move", 400, run_ids=[run_id, deleted], experiment_id=there)["message"]
    post(server, "runs/move", 404, run_ids=[run_id, "nobody"], experiment_id=there)
    post(server, "runs/move", 404, run_ids=[run_id], experiment_id="12345")
    post(server, "runs/move", 400, run_ids=[], experiment_id=there)
    server.post("experiments/delete", experiment_id=there)
    post(server, "runs/move", 400, run_ids=[run_id], experiment_id=there)
    assert server.run(run_id)["info"]["experiment_id"] == "0"


def test_a_fork_goes_on_from_its_source_without_its_later_points(server: Server) -> None:
    source = server.new_run()
    server.post("runs/log-batch", run_id=source, params=[{"key": "lr", "value": "0.1"}, {"key": "seed", "value": "1"}])
    server.post("runs/set-tag", run_id=source, key="team", value="a")
    log(server, source, "loss", *((step, 10.0 - step) for step in range(6)))
    log(server, source, "late", (5, 1.0))

    child = fork(server, source, 3, name="second try", params={"lr": "0.01"}, tags={"why": "lower rate"})

    info, data = server.run(child)["info"], server.run(child)["data"]
    assert (info["run_name"], info["status"], info["experiment_id"]) == ("second try", "RUNNING", "0")
    assert {x["key"]: x["value"] for x in data["params"]} == {"lr": "0.01", "seed": "1"}
    tags = {x["key"]: x["value"] for x in data["tags"]}
    assert (tags["team"], tags["why"], tags["headrace.forked_from"], tags["headrace.fork_step"]) == (
        *("a", "lower rate"),
        *(source, "3"),
    )
    assert {x["key"]: (x["step"], x["value"]) for x in data["metrics"]} == {"loss": (3, 7.0)}
    assert steps(server, child, "loss") == [(step, 10.0 - step) for step in range(4)]
    assert steps(server, child, "late") == []

    log(server, child, "loss", (4, 0.5))
    assert steps(server, child, "loss") == [*((step, 10.0 - step) for step in range(4)), (4, 0.5)]
    assert server.data(child, "metrics") == {"loss": 0.5}
    assert steps(server, source, "loss") == [(step, 10.0 - step) for step in range(6)], "the source is as it was"


def test_searches_see_what_a_fork_inherits(server: Server) -> None:
    experiment_id = server.post("experiments/create", name="forks")["experiment_id"]
    source = server.post("runs/create", experiment_id=experiment_id)["run"]["info"]["run_id"]
    log(server, source, "loss", (1, 0.9), (2, 0.1), (3, 0.5))
    child = fork(server, source, 2)
    grandchild = fork(server, child, 1)
    log(server, child, "loss", (3, 0.3))

    def found(expression: str) -> set[str]:
        return set(search(server, experiment_id, filter=expression))

    assert found("metrics.loss = 0.3") == {child}
    assert found("metrics.loss = 0.9") == {grandchild}
    assert found("metrics.loss.min = 0.1") == {source, child}
    assert found("metrics.loss.at(2) = 0.1") == {source, child}
    assert search(server, experiment_id, order_by=["metrics.loss"]) == [child, source, grandchild]
    summary = server.call("GET", f"{V1}/metrics/summary", params={"run_id": child}).json()["metrics"]
    assert [(x["key"], x["last"], x["min"], x["max"], x["points"]) for x in summary] == [("loss", 0.3, 0.1, 0.9, 3)]
    series = post(server, "series", run_ids=[child, grandchild], key="loss")["series"]
    assert [x["x"] for x in series] == [[1, 2, 3], [1]]


def test_what_the_source_logs_late_below_the_step_is_the_forks_too(server: Server) -> None:
    source = server.new_run()
    log(server, source, "loss", (5, 5.0))
    child = fork(server, source, 5)
    assert server.data(child, "metrics") == {"loss": 5.0}
    log(server, source, "loss", (4, 4.0), (6, 6.0))
    log(server, source, "acc", (1, 0.5))
    assert steps(server, child, "loss") == [(4, 4.0), (5, 5.0)]
    assert server.data(child, "metrics") == {"loss": 5.0, "acc": 0.5}


def test_a_fork_as_of_a_moment_has_what_its_source_had_then(server: Server) -> None:
    source = server.new_run()
    log(server, source, "loss", (1, 1.0))
    child = fork(server, source, 9)
    then = str(server.clock.time_ms())
    server.clock.advance(1)
    log(server, source, "loss", (2, 2.0))
    log(server, child, "loss", (3, 3.0))
    assert steps(server, child, "loss", as_of=then) == [(1, 1.0)]
    past = server.call("GET", f"{V2}/runs/get", params={"run_id": child, "as_of": then}).json()["run"]
    assert [x["value"] for x in past["data"]["metrics"]] == [1.0]


def test_what_cannot_be_forked_is_refused(server: Server) -> None:
    source = server.new_run()
    post(server, "runs/fork", 404, run_id="nobody", step=1)
    post(server, "runs/fork", 400, run_id=source)
    post(server, "runs/fork", 400, run_id=source, step="x")
    post(server, "runs/fork", 400, run_id=source, step=2**70)
    post(server, "runs/fork", 400, run_id=source, step=1, params={"": "x"})
    post(server, "runs/fork", 404, run_id=source, step=1, experiment_id="777")
    server.post("runs/delete", run_id=source)
    assert "deleted" in post(server, "runs/fork", 400, run_id=source, step=1)["message"]
