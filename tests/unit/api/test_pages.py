"""The pages of a search are one answer, whatever is written while they are read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from headrace.api.pages import KEPT_S

from tests.unit.api.conftest import Server

ORDER = ["metrics.loss ASC", "params.n DESC"]


@pytest.fixture
def experiment_id(server: Server, request: pytest.FixtureRequest) -> str:
    found: str = server.post("experiments/create", name=request.node.name)["experiment_id"]
    return found


def new_run(server: Server, experiment_id: str, loss: float) -> str:
    run_id: str = server.post("runs/create", experiment_id=experiment_id)["run"]["info"]["run_id"]
    server.clock.advance(0.001)
    log(server, run_id, loss)
    return run_id


def log(server: Server, run_id: str, loss: float) -> None:
    point = {"key": "loss", "value": loss, "timestamp": server.clock.time_ms(), "step": 0}
    server.post("runs/log-batch", run_id=run_id, metrics=[point])
    server.clock.advance(0.001)


def ids(answer: Any) -> list[str]:
    return [run["info"]["run_id"] for run in answer.get("runs", [])]


def pages(server: Server, experiment_id: str, size: int, **more: Any) -> Iterator[list[str]]:
    token = ""
    while True:
        answer = server.post(
            "runs/search", experiment_ids=[experiment_id], max_results=size, order_by=ORDER, page_token=token, **more
        )
        yield ids(answer)
        token = answer.get("next_page_token", "")
        if not token:
            return


def disturb(server: Server, experiment_id: str, runs: list[str], nth: int = 1) -> None:
    """What would shift every later page: new best runs, changed values, deleted ones."""
    new_run(server, experiment_id, -1.0)
    log(server, runs[-1], -2.0)
    log(server, runs[0], 99.0)
    server.post("runs/delete", run_id=runs[nth])


@pytest.mark.parametrize("forgotten", [False, True])
def test_pages_hold_while_runs_are_written(server: Server, experiment_id: str, forgotten: bool) -> None:
    runs = [new_run(server, experiment_id, float(loss)) for loss in range(10)]
    seen: list[str] = []
    for number, found in enumerate(pages(server, experiment_id, 3)):
        seen += found
        if number < 3:
            disturb(server, experiment_id, runs, number + 4)
        if forgotten:
            server.clock.advance(KEPT_S + 1)
    assert seen == runs


def test_pages_as_of_a_moment_show_runs_as_they_were(server: Server, experiment_id: str) -> None:
    runs = [new_run(server, experiment_id, float(loss)) for loss in range(5)]
    then = str(server.clock.time_ms())
    server.clock.advance(1)
    disturb(server, experiment_id, runs)
    answer = server.post("runs/search", experiment_ids=[experiment_id], max_results=3, order_by=ORDER, as_of=then)
    rest = server.post(
        "runs/search",
        experiment_ids=[experiment_id],
        max_results=3,
        order_by=ORDER,
        as_of=then,
        page_token=answer["next_page_token"],
    )
    assert ids(answer) + ids(rest) == runs
    shown = [x["data"]["metrics"][0]["value"] for x in answer["runs"] + rest["runs"]]
    assert shown == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert "next_page_token" not in rest


def test_a_search_as_of_a_moment_filters_by_what_was(server: Server, experiment_id: str) -> None:
    runs = [new_run(server, experiment_id, float(loss)) for loss in range(4)]
    then = str(server.clock.time_ms())
    server.clock.advance(1)
    log(server, runs[0], 50.0)
    new_run(server, experiment_id, 0.5)
    server.post("runs/delete", run_id=runs[1])

    def found(**asked: Any) -> list[str]:
        return ids(server.post("runs/search", experiment_ids=[experiment_id], order_by=ORDER, **asked))

    assert found(filter="metrics.loss < 2", as_of=then) == runs[:2]
    assert found(filter="metrics.loss.at(0) < 2", as_of=then) == runs[:2]
    assert found(filter="metrics.loss.max > 10", as_of=then) == []
    assert found(filter="metrics.loss.max > 10") == [runs[0]]
    assert found(as_of="1000") == []


def test_a_token_of_another_search_is_refused(server: Server, experiment_id: str) -> None:
    for loss in range(3):
        new_run(server, experiment_id, float(loss))
    asked = {"experiment_ids": [experiment_id], "max_results": 1}
    token = server.post("runs/search", **asked)["next_page_token"]
    told = server.refused("runs/search", **asked, filter="metrics.loss > 1", page_token=token)
    assert told.startswith("Invalid page token")
    for wrong in ("x", "bnVsbA==", token[:-4], "e30=", "WyJhIiwiYiIsLTEsbnVsbCwwXQ=="):
        assert server.refused("runs/search", **asked, page_token=wrong).startswith("Invalid page token")


def test_the_same_search_sees_what_was_written_in_between(server: Server, experiment_id: str) -> None:
    runs = [new_run(server, experiment_id, float(loss)) for loss in range(3)]
    asked = {"experiment_ids": [experiment_id], "order_by": ORDER, "filter": "metrics.loss < 5"}
    assert ids(server.post("runs/search", **asked)) == runs
    assert ids(server.post("runs/search", **asked)) == runs
    log(server, runs[0], 4.0)
    assert ids(server.post("runs/search", **asked)) == [runs[1], runs[2], runs[0]]
    server.post("runs/delete", run_id=runs[1])
    assert ids(server.post("runs/search", **asked)) == [runs[2], runs[0]]


def test_a_search_by_the_time_that_goes_on_is_searched_anew(server: Server, experiment_id: str) -> None:
    run_id = new_run(server, experiment_id, 1.0)
    asked = {"experiment_ids": [experiment_id], "filter": "attributes.duration < 1h"}
    assert ids(server.post("runs/search", **asked)) == [run_id]
    server.clock.advance(3_600)
    assert ids(server.post("runs/search", **asked)) == []
