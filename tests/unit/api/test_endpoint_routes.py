"""The routes of endpoints where no model loads: what they take and refuse, how they stand, and why nothing serves."""

from __future__ import annotations

from typing import Any

import pytest

Server = Any  # the fixture of conftest.py
PATH = "/api/headrace/v1/endpoints"


def create(server: Server, name: str, **body: Any) -> Any:
    answer = server.call("POST", PATH, json={"name": name, "model": "models:/none@champion", **body})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_an_endpoint_of_a_model_that_is_not_there_stands_and_says_why(server: Server) -> None:
    made = create(server, "a", options={"workers": 2})
    assert made["state"] == "failed"
    assert made["routes"][0]["reason"] == "there is no registered model 'none'"
    assert (made["options"]["workers"], made["options"]["queue_max"]) == (2, 256)
    asked = server.call("POST", "/endpoints/a/invocations", json={"inputs": [1]})
    assert asked.status_code == 503
    assert "there is no registered model 'none'" in asked.json()["message"]


def test_the_second_to_use_a_name_is_refused(server: Server) -> None:
    create(server, "b")
    answer = server.call("POST", PATH, json={"name": "b", "model": "models:/none/1"})
    assert (answer.status_code, answer.json()["error_code"]) == (400, "RESOURCE_ALREADY_EXISTS")


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({}, "missing required field `name`"),
        ({"name": "a b", "model": "models:/m/1"}, "Invalid endpoint name 'a b'"),
        ({"name": "c"}, "name the model by `model`"),
        ({"name": "c", "model": "m"}, "names no model"),
        ({"name": "c", "model": "models:/m/1", "routes": [{"model": "models:/m/2"}]}, "not by both"),
        ({"name": "c", "routes": [{"model": "models:/m/1", "weight": -1}]}, "Expected `float` >= 0"),
        ({"name": "c", "model": "models:/m/1", "options": {"workers": 0}}, "Expected `int` >= 1"),
        ({"name": "c", "model": "models:/m/1", "options": {"log_sample": 2}}, "Expected `float` <= 1"),
        ({"name": "c", "model": "models:/m/1", "options": {"environment": "conda"}}, "Invalid enum value 'conda'"),
    ],
)
def test_a_wrong_request_is_told_what_is_wrong(server: Server, body: dict[str, Any], why: str) -> None:
    answer = server.call("POST", PATH, json=body)
    assert (answer.status_code, answer.json()["error_code"]) == (400, "INVALID_PARAMETER_VALUE"), answer.text
    assert why in answer.json()["message"]


def test_an_update_changes_what_it_names(server: Server) -> None:
    create(server, "d", shadow="models:/none/7", options={"timeout_s": 5})
    routes = [{"model": "models:/none/1", "weight": 9}, {"model": "models:/none/2", "weight": 1}]
    answer = server.call("PATCH", f"{PATH}/d", json={"routes": routes, "options": {"log_sample": 0.5}}).json()
    assert [(x["model"], x["weight"]) for x in answer["routes"]] == [("models:/none/1", 9), ("models:/none/2", 1)]
    assert (answer["options"]["timeout_s"], answer["options"]["log_sample"]) == (5, 0.5)
    assert answer["shadow"]["model"] == "models:/none/7"
    assert server.call("PATCH", f"{PATH}/d", json={"shadow": ""}).json()["shadow"] is None


@pytest.mark.parametrize(
    ("options", "why"),
    [({"worker": 1}, "there are no options worker"), ({"workers": "two"}, "options: Expected `int`, got `str`")],
)
def test_a_wrong_option_of_an_update_is_refused(server: Server, options: dict[str, Any], why: str) -> None:
    if "e" not in server.services.engine.registry.endpoints:
        create(server, "e")
    answer = server.call("PATCH", f"{PATH}/e", json={"options": options})
    assert answer.status_code == 400
    assert why in answer.json()["message"]


def test_a_deleted_endpoint_is_gone_and_its_name_free(server: Server) -> None:
    create(server, "f")
    assert server.call("DELETE", f"{PATH}/f").status_code == 200
    assert server.call("DELETE", f"{PATH}/f").status_code == 404
    assert server.call("GET", f"{PATH}/f").status_code == 404
    assert server.call("POST", "/endpoints/f/invocations", json={}).status_code == 404
    create(server, "f")
    listed = [x["name"] for x in server.call("GET", PATH).json()["endpoints"]]
    assert listed == sorted(listed)
    assert "f" in listed


def test_the_protocols_tell_an_unknown_endpoint_each_in_its_way(server: Server) -> None:
    told = server.call("GET", "/endpoints/none/ping")
    assert (told.status_code, told.json()["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")
    told = server.call("GET", "/endpoints/none/v2/health/ready")
    assert (told.status_code, list(told.json())) == (404, ["error"])


def test_a_body_over_the_limit_is_refused_before_it_is_read(server: Server) -> None:
    create(server, "g")
    assert server.call("POST", "/endpoints/g/invocations", content=b"0" * 1_000_001).status_code == 413


def test_logs_of_an_endpoint_that_logged_nothing_are_empty(server: Server) -> None:
    create(server, "h")
    assert server.call("GET", f"{PATH}/h/logs").json() == {"predictions": []}
    assert server.call("GET", f"{PATH}/none/logs").status_code == 404


def test_metrics_tell_which_endpoints_are_not_ready(server: Server) -> None:
    create(server, "i")
    assert 'headrace_endpoint_ready{endpoint="i"} 0.0' in server.call("GET", "/metrics").text


def test_each_change_of_an_endpoint_is_in_its_history(server: Server) -> None:
    create(server, "j")
    server.call("PATCH", f"{PATH}/j", json={"model": "models:/none/2", "options": {"workers": 3}})
    server.call("DELETE", f"{PATH}/j")
    asked = {"kind": "endpoint", "id": "j"}
    entries = server.call("GET", "/api/headrace/v1/history", params=asked).json()["entries"]
    assert [x["type"].rpartition(".")[2] for x in entries] == ["created", "updated", "deleted"]
    changed = {x["field"]: (x["from"], x["to"]) for x in entries[1]["changes"]}
    assert changed == {
        "routes.models:/none@champion": (1, None),
        "routes.models:/none/2": (None, 1),
        "options.workers": (1, 3),
    }


def test_an_endpoint_is_told_as_of_a_moment_with_what_its_routes_named_then(server: Server) -> None:
    create(server, "k")
    asked = {"kind": "endpoint", "id": "k"}
    [entry] = server.call("GET", "/api/headrace/v1/history", params=asked).json()["entries"]
    topic, partition, offset = entry["position"].split("/")
    moment = f"{topic}/{partition}/{int(offset) + 1}"
    server.call("DELETE", f"{PATH}/k")
    then = server.call("GET", f"{PATH}/k", params={"as_of": moment}).json()
    assert (then["state"], then["routes"][0]["model"]) == ("past", "models:/none@champion")
    assert (then["routes"][0]["names"], then["routes"][0]["reason"]) == ("", "there is no registered model 'none'")
    listed = server.call("GET", PATH, params={"as_of": moment}).json()["endpoints"]
    assert "k" in [x["name"] for x in listed]
    assert server.call("GET", f"{PATH}/k").status_code == 404
