"""Searching runs through the REST API: in memory, and in the views as where not every run is in memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from headrace.processors.engine import Engine

from tests.unit.api.conftest import Server


class Cold(Engine):
    """An engine that never has every run in memory."""

    def all_in_memory(self) -> bool:
        """Never."""
        return False


@pytest.fixture(scope="module", params=[Engine, Cold], ids=["in memory", "in the views"])
def searched(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with runs a to d."""
    server = Server(tmp_path_factory.mktemp("data"), request.param)
    for name, points in POINTS.items():
        run_id = new_run(server, name)
        metrics = [{"key": k, "step": step, "timestamp": at, "value": value} for k, step, at, value in points]
        server.post("runs/log-batch", run_id=run_id, metrics=metrics)
    yield server
    server.close()


# key, step, time, value
POINTS: dict[str, list[tuple[str, int, int, Any]]] = {
    "a": [("loss", 1, 1, 0.9), ("loss", 2, 2, 0.5), ("loss", 3, 3, 0.7), ("acc", 1, 1, 0.1), ("acc", 3, 3, 0.8)],
    "b": [("loss", 2, 5, 0.4), ("loss", 2, 6, 0.6), ("loss", 2, 6, "NaN"), ("acc", 2, 1, 0.3), ("acc", 4, 1, 0.9)],
    "c": [("loss", 1, 1, "NaN"), ("acc", 1, 1, "NaN"), ("loss.min", 0, 0, 5)],
    "d": [("loss", 5, 1, 0.1), ("acc", 5, 1, 0.2), ("acc", 6, 1, 0.2), ("loss", 6, 1, 0.3)],
}


def new_run(server: Server, name: str) -> str:
    made = server.post("runs/create", experiment_id="0", run_name=name, start_time=1_600_000_000_000)
    run_id: str = made["run"]["info"]["run_id"]
    return run_id


def search(server: Server, text: str = "", order: str = "run_name") -> str:
    found = server.post("runs/search", experiment_ids=["0"], filter=text, order_by=[order])
    return "".join(run["info"]["run_name"] for run in found.get("runs", []))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("metrics.loss.min < 0.5", "bd"),  # c has a metric of this name, 5
        ("metrics.loss.min = 5", "c"),
        ('metrics."loss".min <= 0.5', "abd"),
        ('metrics."loss.min" = 5', "c"),
        ("metrics.loss.max = 0.9", "a"),
        ("metrics.loss.first = 0.4", "b"),
        ("metrics.loss.points = 3", "ab"),
        ("metrics.loss.nan > 0", "bc"),
        ("metrics.acc.last_step >= 4", "bd"),
        ("metrics.loss.at(2) = 0.5", "a"),
        ("metrics.loss.at(2) IS NOT NULL", "ab"),
        ("metrics.loss.at(2) != 1", "ab"),  # b's is NaN, which is the last by (time, value)
        ("metrics.loss.at_best(acc) = 0.7", "a"),
        ("metrics.loss.at_best(acc) IS NULL", "bc"),  # b has none at step 4; c's acc has no best
        ("metrics.loss.at_best(acc) < 0.2", "d"),  # the first of two best
        ("metrics.acc.at_best(loss) = 0.3", "b"),  # lowest loss: 0.4 at step 2
        ("metrics.acc.at_best(loss, max) = 0.1", "a"),
        ("duration > 1d", "abcd"),
        ("duration < 1w and start_time > now - 1w", ""),
        ("start_time < '2020-09-14' and end_time IS NULL", "abcd"),
        ("run_name =~ '[a-b]'", "ab"),
    ],
)
def test_a_filter_finds(searched: Server, text: str, found: str) -> None:
    assert search(searched, text) == found


@pytest.mark.parametrize(
    ("order", "found"),
    [
        ("metrics.loss.at(2) DESC", "abcd"),  # a number, NaN, none, none
        ("metrics.loss.at_best(acc)", "dabc"),
        ("metrics.loss.max DESC", "abdc"),
        ("metrics.loss.points", "cdab"),
    ],
)
def test_runs_are_ordered_by_aggregates(searched: Server, order: str, found: str) -> None:
    answer = searched.post("runs/search", experiment_ids=["0"], order_by=[order, "run_name"])
    assert "".join(run["info"]["run_name"] for run in answer["runs"]) == found


def test_an_aggregate_of_points_follows_what_is_logged(searched: Server) -> None:
    run_id = new_run(searched, "e")
    assert search(searched, "metrics.loss.at(9) > 0") == ""
    for value in (1, 2):
        searched.post("runs/log-metric", run_id=run_id, key="loss", value=value, timestamp=value, step=9)
        assert search(searched, f"metrics.loss.at(9) = {value}") == "e"
    searched.post("runs/delete", run_id=run_id)


def test_a_search_follows_what_is_logged(searched: Server) -> None:
    text = "metrics.speed > 0 AND metrics.speed.points > 0"
    assert search(searched, text) == ""
    runs = [new_run(searched, name) for name in "xyz"]
    for n, run_id in enumerate(runs):
        searched.post("runs/log-metric", run_id=run_id, key="speed", value=n, timestamp=1, step=1)
        assert search(searched, text, "metrics.speed DESC") == "xyz"[n:0:-1]
    searched.post("runs/log-metric", run_id=runs[1], key="speed", value=9, timestamp=2, step=2)
    searched.post("runs/log-metric", run_id=runs[2], key="other", value=9, timestamp=2, step=2)
    assert search(searched, text, "metrics.speed DESC") == "yz"
    assert search(searched, "metrics.speed.points = 2") == "y"
    for run_id in runs:
        searched.post("runs/delete", run_id=run_id)


def test_a_fault_tells_its_place_and_what_was_expected_in_fields_of_their_own(searched: Server) -> None:
    body = {"experiment_ids": ["0"], "filter": "metrics.loss > 'a'"}
    answer = searched.call("POST", "/api/2.0/mlflow/runs/search", json=body)
    told = answer.json()
    assert (answer.status_code, told["position"]) == (400, 16)
    assert told["expected"] == "a number such as 0.5, 10k or 4GiB"
    assert told["message"].endswith(f"At character 16: expected {told['expected']}.")


def test_experiments_are_searched_by_the_same_grammar(searched: Server) -> None:
    searched.post("experiments/create", name="vision-1", tags=[{"key": "size", "value": "12"}])
    for text, names in (
        ("name =~ '^vis.*[0-9]$'", ["vision-1"]),
        ("name !~ 'vision'", ["Default"]),
        ("tags.size > 9.5", ["vision-1"]),
        ("tags.size in (12, 13)", ["vision-1"]),
        ("creation_time > now + 1s", []),
        ("creation_time >= '2023-11-14T22:13:20Z' and name in ('Default')", ["Default"]),
    ):
        found = searched.post("experiments/search", filter=text, max_results=10).get("experiments", [])
        assert [x["name"] for x in found] == names, text
