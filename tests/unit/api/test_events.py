"""`GET /events` in a whole app: what it answers, and what it refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from tests.unit.api.conftest import Server

PATH = "/api/headrace/v1/events"
JSON = {"Accept": "application/json"}


def told(server: Server, headers: dict[str, str] | None = None, **query: Any) -> Any:
    answer = server.call("GET", PATH, params=query, headers={**JSON, **(headers or {})})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_an_answer_goes_on_from_the_last_and_last_event_id_overrules_after(server: Server) -> None:
    first = told(server, after="begin", types="run.*")
    run_id = server.new_run()
    second = told(server, after=first["next"], types="run.*")
    assert [(one["type"], one["subject"]) for one in second["events"]] == [("headrace.run.created", run_id)]
    assert second["events"][0]["experiment_id"] == "0"
    assert second["caught_up"]
    third = told(server, {"Last-Event-ID": second["next"]}, after="begin", types="run.*")
    assert third["events"] == []


def test_a_run_that_was_created_a_moment_ago_is_known_to_be_of_its_experiment(server: Server) -> None:
    experiment_id = server.post("experiments/create", name="of its own")["experiment_id"]
    for _ in range(20):
        cursor = told(server)["next"]
        run_id = server.post("runs/create", experiment_id=experiment_id)["run"]["info"]["run_id"]
        found = told(server, after=cursor, experiment_ids=[experiment_id])["events"]
        assert [one["subject"] for one in found] == [run_id]


def test_a_run_that_moves_takes_its_events_along(server: Server) -> None:
    to = server.post("experiments/create", name="where it goes")["experiment_id"]
    run_id = server.new_run()
    assert len(told(server, after="begin", run_ids=run_id)["events"]) == 1
    cursor = told(server)["next"]
    moved = server.call("POST", "/api/headrace/v1/runs/move", json={"run_ids": [run_id], "experiment_id": to})
    assert moved.status_code == 200, moved.text
    server.post("runs/set-tag", run_id=run_id, key="k", value="v")
    there = told(server, after=cursor, experiment_ids=to)["events"]
    assert [one["type"] for one in there] == ["headrace.run.moved", "headrace.run.attributes-logged"]
    assert {one["experiment_id"] for one in there} == {to}
    left = told(server, after=cursor, experiment_ids="0", types="run.*")["events"]
    assert [one["type"] for one in left] in ([], ["headrace.run.moved"])


def test_no_reader_is_left_behind(server: Server) -> None:
    told(server, after="begin")
    server.call("GET", PATH, params={"after": "nonsense"}, headers=JSON)
    assert server.services.feed.readers == 0


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ({"after": "nonsense"}, "is no moment"),
        ({"after": "runs/0/999999"}, "of another log"),
        ({"types": "run.*.x"}, "has a \\* before its end".replace("\\", "")),
        ({"run_ids": ",".join(f"r{n}" for n in range(1001))}, "at most 1000 can be"),
        ({"limit": 0}, "'limit'"),
        ({"wait_s": 61}, "'wait_s'"),
        ({"digest": "true"}, "is for server-sent events"),
    ],
)
def test_what_cannot_be_is_refused_with_its_reason(server: Server, query: dict[str, Any], reason: str) -> None:
    answer = server.call("GET", PATH, params=query, headers=JSON)
    assert (answer.status_code, answer.json()["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
    assert reason in answer.json()["message"]


TEXT = st.text(max_size=30)
CURSOR = st.one_of(
    TEXT,
    st.from_regex(r"(runs|metrics|registry|x)/\d{1,20}/\d{1,20}(,(runs|metrics)/\d/\d){0,2}", fullmatch=True),
    st.integers(-(10**20), 10**20).map(str),
    st.datetimes().map(str),
)


@given(CURSOR, TEXT, TEXT, TEXT, st.one_of(TEXT, st.integers(-5, 10**20).map(str)))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_asked_is_answered_or_refused(
    server: Server, after: str, types: str, run_ids: str, experiment_ids: str, limit: str
) -> None:
    query = {"after": after, "types": types, "run_ids": run_ids, "experiment_ids": experiment_ids, "limit": limit}
    answer = server.call("GET", PATH, params={**query}, headers=JSON)
    assert answer.status_code in (200, 400), answer.text
    query["limit"] = "5"
    answer = server.call("GET", PATH, params={**query}, headers=JSON)
    assert answer.status_code in (200, 400), answer.text
