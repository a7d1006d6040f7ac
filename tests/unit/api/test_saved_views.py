"""The routes of saved views: saved, listed, changed, deleted, with a history, as of a moment."""

from __future__ import annotations

from typing import Any

import pytest

Server = Any  # the fixture of conftest.py
PATH = "/api/headrace/v1/views"


def save(server: Server, name: str, path: str, query: str = "", actor: str = "ada") -> Any:
    body = {"name": name, "path": path, "query": query}
    answer = server.call("POST", PATH, json=body, headers={"X-Headrace-Actor": actor})
    assert answer.status_code == 200, answer.text
    return answer.json()


def names(server: Server, **query: str) -> list[str]:
    return [view["name"] for view in server.call("GET", PATH, params=query).json()["views"]]


def test_a_view_is_there_when_its_saving_is_answered(server: Server) -> None:
    made = save(server, " By loss ", "/experiments/1", "?sort=-metrics.loss")
    assert (made["name"], made["query"], made["created_by"]) == ("By loss", "sort=-metrics.loss", "ada")
    assert server.call("GET", f"{PATH}/{made['view_id']}").json() == made
    assert names(server, path="/experiments/1") == ["By loss"]
    assert names(server, path="/experiments/2") == []


def test_the_second_to_use_a_name_at_a_path_is_refused(server: Server) -> None:
    save(server, "Twice", "/experiments/3")
    answer = server.call("POST", PATH, json={"name": "Twice", "path": "/experiments/3"})
    assert (answer.status_code, answer.json()["error_code"]) == (400, "RESOURCE_ALREADY_EXISTS")
    save(server, "Twice", "/experiments/4")


def test_a_change_and_a_deletion_are_in_the_history_with_who_made_them(server: Server) -> None:
    made = save(server, "Old", "/experiments/5", "a=1")
    at = f"{PATH}/{made['view_id']}"
    changed = server.call("PATCH", at, json={"name": "New"}, headers={"X-Headrace-Actor": "bob"}).json()
    assert (changed["name"], changed["query"], changed["updated_by"]) == ("New", "a=1", "bob")
    assert server.call("DELETE", at).json() == {}
    assert server.call("GET", at).status_code == 404
    asked = {"kind": "saved_view", "id": made["view_id"]}
    told = server.call("GET", "/api/headrace/v1/history", params=asked).json()["entries"]
    assert [(one["type"].rsplit(".", 1)[1], one["actor"]) for one in told] == [
        ("created", "ada"),
        ("updated", "bob"),
        ("deleted", ""),
    ]
    assert told[1]["changes"] == [{"field": "name", "from": "Old", "to": "New"}]
    before = server.call("GET", at, params={"as_of": told[1]["position"]})
    assert before.json()["name"] == "Old"


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({}, "missing required field `name`"),
        ({"name": "a"}, "missing required field `path`"),
        ({"name": "", "path": "/"}, "it needs a name"),
        ({"name": "a", "path": "x"}, "its path begins with `/`"),
        ({"name": "a", "path": "/", "query": "x" * 20_001}, "at most 20,000 are allowed"),
        ({"name": 1, "path": "/"}, "Expected `str`"),
    ],
)
def test_a_wrong_request_is_told_what_is_wrong(server: Server, body: dict[str, Any], why: str) -> None:
    answer = server.call("POST", PATH, json=body)
    assert (answer.status_code, answer.json()["error_code"]) == (400, "INVALID_PARAMETER_VALUE"), answer.text
    assert why in answer.json()["message"]


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
def test_a_view_that_is_not_there_is_404(server: Server, method: str) -> None:
    answer = server.call(method, f"{PATH}/0123456789ab", json={"name": "a"} if method == "PATCH" else None)
    assert (answer.status_code, answer.json()["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")
