"""The history of an object tells each change: what, when, by whom, with which client, from what to what."""

from __future__ import annotations

import base64
from typing import Any

from tests.unit.api.conftest import V2, Server


def history(server: Server, kind: str, id: str, status: int = 200, **query: Any) -> Any:
    response = server.call("GET", "/api/headrace/v1/history", params={"kind": kind, "id": id, **query})
    assert response.status_code == status, response.text
    return response.json()


def changes(entry: Any) -> dict[str, tuple[Any, Any]]:
    return {x["field"]: (x["from"], x["to"]) for x in entry["changes"]}


def test_each_change_of_a_run_is_told(server: Server) -> None:
    run_id = server.new_run()
    server.post("runs/set-tag", run_id=run_id, key="team", value="a")
    server.post("runs/set-tag", run_id=run_id, key="team", value="b")
    server.post("runs/log-parameter", run_id=run_id, key="lr", value="0.1")
    server.refused("runs/log-parameter", run_id=run_id, key="lr", value="0.2")
    server.post("runs/delete-tag", run_id=run_id, key="team")
    server.post("runs/update", run_id=run_id, status="FINISHED", end_time=99)
    server.post("runs/delete", run_id=run_id)
    entries = history(server, "run", run_id)["entries"]
    created, *rest = entries
    assert changes(created)["status"] == (None, "RUNNING")
    assert [changes(x) for x in rest] == [
        {"tags.team": (None, "a")},
        {"tags.team": ("a", "b")},
        {"params.lr": (None, "0.1")},
        {},
        {"tags.team": ("b", None)},
        {"status": ("RUNNING", "FINISHED"), "end_time_ms": (None, 99)},
        {"lifecycle": ("active", "deleted")},
    ]
    assert [x["outcome"] for x in entries].count("refused") == 1
    assert "0.2" in next(x["reason"] for x in entries if x["outcome"] == "refused")
    assert all(x["logged_ms"] == server.clock.time_ms() for x in entries)


def test_a_history_says_who_and_with_which_client(server: Server) -> None:
    run_id = server.new_run()

    def set_tag(value: str, **headers: str) -> Any:
        body = {"run_id": run_id, "key": "k", "value": value}
        server.call("POST", f"{V2}/runs/set-tag", json=body, headers={"user-agent": "mlflow/3.17", **headers})
        return history(server, "run", run_id)["entries"][-1]

    basic = f"Basic {base64.b64encode(b'ada:secret').decode()}"
    assert set_tag("1", authorization=basic)["actor"] == "ada"
    assert set_tag("2", authorization=basic, **{"x-headrace-actor": "bob"})["actor"] == "bob"
    told = set_tag("3", authorization="Basic !!!")
    assert (told["actor"], told["source"]) == ("", "api/mlflow/3.17")
    assert "secret" not in str(history(server, "run", run_id))


def test_a_position_of_the_history_is_a_moment_to_read_as_of(server: Server) -> None:
    run_id = server.new_run()
    for value in ("1", "2", "3"):
        server.post("runs/set-tag", run_id=run_id, key="k", value=value)
    *_, second, _ = history(server, "run", run_id)["entries"]
    topic, partition, offset = second["position"].split("/")
    asked = {"run_id": run_id, "as_of": f"{topic}/{partition}/{int(offset) + 1}"}
    past = server.call("GET", f"{V2}/runs/get", params=asked).json()["run"]
    assert {x["key"]: x["value"] for x in past["data"]["tags"]}["k"] == "2"


def test_experiments_and_logged_models_have_histories(server: Server) -> None:
    experiment_id = server.post("experiments/create", name="old name")["experiment_id"]
    server.post("experiments/update", experiment_id=experiment_id, new_name="new name")
    server.post("experiments/set-experiment-tag", experiment_id=experiment_id, key="k", value="v")
    server.post("experiments/delete", experiment_id=experiment_id)
    _, *rest = history(server, "experiment", experiment_id)["entries"]
    assert [changes(x) for x in rest] == [
        {"name": ("old name", "new name")},
        {"tags.k": (None, "v")},
        {"lifecycle": ("active", "deleted")},
    ]
    model_id = server.post("logged-models", experiment_id="0", name="m")["model"]["info"]["model_id"]
    server.call("PATCH", f"{V2}/logged-models/{model_id}", json={"status": "LOGGED_MODEL_READY"})
    last = history(server, "logged_model", model_id)["entries"][-1]
    assert changes(last) == {"status": ("LOGGED_MODEL_PENDING", "LOGGED_MODEL_READY")}


def test_a_long_history_comes_in_pages(server: Server) -> None:
    run_id = server.new_run()
    for value in range(6):
        server.post("runs/set-tag", run_id=run_id, key="k", value=str(value))
    whole = history(server, "run", run_id)["entries"]
    first = history(server, "run", run_id, max_results=4)
    rest = history(server, "run", run_id, max_results=4, page_token=first["next_page_token"])
    assert first["entries"] + rest["entries"] == whole
    assert "next_page_token" not in rest


def test_the_history_of_nothing_is_refused(server: Server) -> None:
    assert "no run nobody" in history(server, "run", "nobody", 404)["message"]
    history(server, "experiment", server.new_run(), 404)
    history(server, "weather", "0", 400)
    history(server, "run", "0", 400, page_token="x")
    history(server, "run", "0", 400, max_results=0)


def test_a_history_is_told_from_its_newest_change_back(server: Server) -> None:
    run_id = server.new_run()
    for value in "123":
        server.post("runs/set-tag", run_id=run_id, key="k", value=value)
    first = history(server, "run", run_id, max_results=3, order="newest")
    assert [changes(x)["tags.k"][1] for x in first["entries"]] == ["3", "2", "1"]
    rest = history(server, "run", run_id, order="newest", page_token=first["next_page_token"])
    assert [x["type"] for x in rest["entries"]] == ["headrace.run.created"]
