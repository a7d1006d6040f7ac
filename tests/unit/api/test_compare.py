"""The compare and correlations routes: what they find, what they refuse, and that no body breaks them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from headrace.api.compare import SECTIONS, compared
from headrace.api.compare_rows import Runs
from headrace.api.errors import ApiError
from headrace.api.packages import BYTES_MAX
from headrace.processors.runs import RunState
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.api.conftest import Server

COMPARE = "/api/headrace/v1/compare"
CORRELATIONS = "/api/headrace/v1/correlations"


def new_run(
    server: Server,
    experiment_id: str,
    params: dict[str, str],
    metrics: dict[str, list[float | str]],
    tags: dict[str, str] | None = None,
) -> str:
    started = server.post("runs/create", experiment_id=experiment_id, start_time=1000)
    run_id: str = started["run"]["info"]["run_id"]
    points = [
        {"key": key, "value": value, "timestamp": step, "step": step}
        for key, values in metrics.items()
        for step, value in enumerate(values)
    ]
    pairs = [[{"key": key, "value": value} for key, value in held.items()] for held in (params, tags or {})]
    server.post("runs/log-batch", run_id=run_id, metrics=points, params=pairs[0], tags=pairs[1])
    return run_id


@pytest.fixture(scope="module")
def pair(server: Server) -> list[str]:
    """Two runs that differ in lr, commit, data set, packages and loss; the second alone has dropout."""
    experiment_id = server.post("experiments/create", name="pair")["experiment_id"]
    made = []
    for number in (1, 2):
        tags = {
            "mlflow.source.git.commit": f"c{number}",
            "mlflow.source.git.branch": "main",
            "headrace.python": "3.11",
            "team": "a",
        }
        params = {"lr": f"0.{number}", "epochs": "3", **({"dropout": "0.5"} if number == 2 else {})}
        run_id = new_run(server, experiment_id, params, {"loss": [3.0, float(number)], "nan": ["NaN"]}, tags)
        data = {"name": "digits", "digest": f"d{number}", "source_type": "x", "source": "y"}
        context = [{"key": "mlflow.data.context", "value": "training"}]
        server.post("runs/log-inputs", run_id=run_id, datasets=[{"tags": context, "dataset": data}])
        path = f"/api/headrace/v1/runs/{run_id}/artifacts/environment/requirements.txt"
        text = f"# Python\nnumpy==1.{number}\npandas==2.0\n"
        assert server.call("PUT", path, content=text.encode()).status_code == 200
        made.append(run_id)
    return made


def compare(server: Server, **body: Any) -> Any:
    response = server.call("POST", COMPARE, json=body)
    assert response.status_code == 200, response.text
    return response.json()


def refused(server: Server, path: str, **body: Any) -> str:
    response = server.call("POST", path, json=body)
    assert response.status_code == 400, response.text
    return str(response.json()["message"])


def test_only_what_differs_is_told(server: Server, pair: list[str]) -> None:
    found = compare(server, run_ids=pair)
    assert [one["run_id"] for one in found["runs"]] == pair
    told = {(row["section"], row["key"], row["aggregate"]): row["values"] for row in found["rows"]}
    names = told.pop(("attributes", "run_name", ""))
    assert names == [one["run_name"] for one in found["runs"]]
    assert told == {
        ("params", "dropout", ""): [None, "0.5"],
        ("params", "lr", ""): ["0.1", "0.2"],
        ("metrics", "loss", "last"): [1.0, 2.0],
        ("metrics", "loss", "min"): [1.0, 2.0],
        ("code", "commit", ""): ["c1", "c2"],
        ("packages", "numpy", ""): ["1.1", "1.2"],
        ("datasets", "digits (training)", ""): ["d1", "d2"],
    }
    everything = compare(server, run_ids=pair, only_differences=False)
    assert (everything["equal"], len(everything["rows"])) == (0, len(found["rows"]) + found["equal"])
    assert [row["differs"] for row in everything["rows"]].count(True) == len(found["rows"])


def test_all_rows_have_every_section_and_the_spread_of_metrics(server: Server, pair: list[str]) -> None:
    rows = {
        (r["section"], r["key"], r["aggregate"]): r
        for r in compare(server, run_ids=pair, only_differences=False)["rows"]
    }
    assert rows["code", "branch", ""]["values"] == ["main", "main"]
    assert rows["environment", "python", ""]["differs"] is False
    assert rows["packages", "pandas", ""]["values"] == ["2.0", "2.0"]
    assert rows["tags", "team", ""]["values"] == ["a", "a"]
    assert rows["attributes", "status", ""]["values"] == ["RUNNING", "RUNNING"]
    assert rows["metrics", "nan", "last"]["values"] == ["NaN", "NaN"]
    assert rows["metrics", "nan", "min"]["values"] == [None, None]
    assert rows["metrics", "nan", "min"]["spread"] is None
    assert rows["metrics", "loss", "last"]["spread"] == {"runs": 2, "min": 1.0, "max": 2.0, "mean": 1.5, "std": 0.5}
    assert "mlflow.runName" not in {key for _, key, _ in rows}


def test_sections_and_packages_can_be_picked_and_runs_that_are_not_there_are_named(
    server: Server, pair: list[str]
) -> None:
    found = compare(server, run_ids=[*pair, "none"], sections=["params", "packages"], packages=False)
    assert {row["section"] for row in found["rows"]} == {"params"}
    assert found["missing"] == ["none"]


def test_runs_are_compared_as_they_were(server: Server, pair: list[str]) -> None:
    server.clock.advance(10)
    as_of = datetime.fromtimestamp(server.clock.time_ms() / 1000, UTC).isoformat()
    server.clock.advance(10)
    server.post("runs/set-tag", run_id=pair[0], key="late", value="x")
    now, then = compare(server, run_ids=pair), compare(server, run_ids=pair, as_of=as_of)
    assert [row for row in now["rows"] if row not in then["rows"]] == [
        {"section": "tags", "key": "late", "aggregate": "", "differs": True, "values": ["x", None], "spread": None}
    ]


def test_a_list_of_packages_that_is_no_list_is_left_out(server: Server, pair: list[str]) -> None:
    run_id = server.new_run()
    path = f"/api/headrace/v1/runs/{run_id}/artifacts/environment/requirements.txt"
    for content in (b"\xff\xfe no list", b"a==1\n" * (BYTES_MAX // 4)):
        assert server.call("PUT", path, content=content).status_code == 200
        found = compare(server, run_ids=[pair[0], run_id], sections=["packages"])
        assert [row["values"][1] for row in found["rows"]] == [None, None]


def test_a_comparison_needs_two_runs(server: Server, pair: list[str]) -> None:
    assert "two runs" in refused(server, COMPARE, run_ids=[pair[0], pair[0]])
    assert "run_ids" in refused(server, COMPARE)
    assert "sections" in refused(server, COMPARE, run_ids=pair, sections=["all"])
    assert "50 runs" in refused(server, COMPARE, run_ids=[server.new_run() for _ in range(51)], packages=True)


def test_a_comparison_that_would_be_too_large_is_refused() -> None:
    runs: Runs = [(RunState(name, params={f"p{i}": name * 6000 for i in range(5000)}), {}) for name in "ab"]
    with pytest.raises(ApiError, match="50 MB of text: compare fewer runs"):
        compared(["a", "b"], runs, [{}, {}], SECTIONS, True)


# --- correlations -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trials(server: Server) -> str:
    """Twelve runs: acc falls with the logarithm of lr; opt decides a part of it; one lacks acc, one has it as NaN."""
    experiment_id = server.post("experiments/create", name="trials")["experiment_id"]
    for number in range(12):
        params = {
            "lr": f"1e-{number % 4 + 1}",
            "seed": "7",
            "opt": "adam" if number % 2 else "sgd",
            "note": f"n{number}",
        }
        acc: list[float | str] = [0.0, number % 4 + (0.5 if number % 2 else 0.0)]
        metrics: dict[str, list[float | str]] = {"acc": ["NaN"] if number == 10 else acc}
        new_run(server, str(experiment_id), params if number else {"lr": "0.1"}, {} if number == 11 else metrics)
    return str(experiment_id)


def correlations(server: Server, **body: Any) -> Any:
    response = server.call("POST", CORRELATIONS, json=body)
    assert response.status_code == 200, response.text
    return response.json()


def test_params_are_ordered_by_how_much_they_tell_of_the_metric(server: Server, trials: str) -> None:
    found = correlations(server, experiment_ids=[trials], metric="acc")
    assert (found["runs"], found["without"], found["not_finite"]) == (10, 1, 1)
    by_name = {one["param"]: one for one in found["correlations"]}
    assert [one["param"] for one in found["correlations"]] == ["lr", "opt", "note", "seed"]
    lr, opt, note, seed = (by_name[name] for name in ("lr", "opt", "note", "seed"))
    assert (lr["kind"], lr["runs"], lr["missing"], lr["values"]) == ("number", 10, 0, 4)
    assert lr["pearson_log"] < -0.97 < lr["pearson"]
    assert lr["importance"] > 0.9
    assert (opt["kind"], opt["runs"], opt["missing"]) == ("category", 9, 1)
    assert 0 < opt["eta"] < 1
    # A different text in every run tells of nothing.
    assert (note["kind"], note["eta"], note["importance"]) == ("category", 1.0, None)
    assert (seed["kind"], seed["importance"]) == ("constant", None)


def test_params_and_the_aggregate_can_be_picked(server: Server, trials: str) -> None:
    found = correlations(server, experiment_ids=[trials], metric="acc", aggregate="first", params=["lr", "none"])
    assert [(one["param"], one["runs"], one["pearson"]) for one in found["correlations"]] == [
        ("lr", 10, None),
        ("none", 0, None),
    ]
    assert correlations(server, experiment_ids=[trials], metric="none")["runs"] == 0


def test_a_wrong_request_is_refused(server: Server, trials: str) -> None:
    assert "metric" in refused(server, CORRELATIONS, experiment_ids=[trials])
    assert "Invalid enum" in refused(server, CORRELATIONS, experiment_ids=[trials], metric="a", aggregate="mean")
    assert "run_ids" in refused(server, CORRELATIONS, metric="a")


NAMES = st.sampled_from(["loss", "lr", "", "a\0b", "' OR 1=1", "{x:String}", "tags", "params", "ü" * 50])
BODIES = st.fixed_dictionaries(
    {},
    optional={
        "run_ids": st.lists(NAMES | st.integers(0, 1), max_size=4),
        "experiment_ids": st.lists(NAMES, max_size=2),
        "filter": NAMES | st.just("metrics.loss > 1"),
        "order_by": st.lists(NAMES, max_size=2),
        "max_runs": st.integers(-1, 10_001),
        "as_of": NAMES | st.just("2020-01-01"),
        "only_differences": st.booleans(),
        "sections": st.lists(NAMES, max_size=3),
        "packages": st.sampled_from([None, True, False]),
        "metric": NAMES,
        "aggregate": NAMES | st.sampled_from(["last", "first"]),
        "params": st.lists(NAMES, max_size=3),
    },
)


@pytest.mark.parametrize("path", [COMPARE, CORRELATIONS])
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=BODIES)
def test_no_body_breaks_a_route(server: Server, pair: list[str], path: str, body: dict[str, Any]) -> None:
    body["run_ids"] = [pair[x] if isinstance(x, int) else x for x in body.get("run_ids", [0, 1])]
    assert server.call("POST", path, json=body).status_code in (200, 400)
    assert server.call("POST", path, content=str(body).encode()).status_code == 400
