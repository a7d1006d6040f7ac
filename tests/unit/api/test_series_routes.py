"""The series route: many runs and keys, groups, raw points, JSON and Arrow; what it refuses; that nothing breaks it."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

import httpx
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.api.conftest import Server

PATH = "/api/headrace/v1/series"
ARROW = "application/vnd.apache.arrow.stream"


@pytest.fixture(scope="module")
def runs(server: Server) -> list[str]:
    """Four runs in an experiment of their own: lr 0.1, 0.1, 0.2 and none. `loss` is run number x 10 + step; the last
    run logs every third step only, and one NaN."""
    experiment_id = server.post("experiments/create", name="series")["experiment_id"]
    made = []
    for number, params in enumerate([{"lr": "0.1"}, {"lr": "0.1"}, {"lr": "0.2"}, {}]):
        started = server.post("runs/create", experiment_id=experiment_id, start_time=1000 * number)
        run_id = started["run"]["info"]["run_id"]
        metrics: list[dict[str, Any]] = [
            {"key": "loss", "value": number * 10.0 + step, "timestamp": 1000 * number + step * 100, "step": step}
            for step in (range(0, 10, 3) if number == 3 else range(10))
        ]
        metrics.append({"key": "acc", "value": "NaN", "timestamp": 1, "step": 1})
        logged = [{"key": key, "value": value} for key, value in params.items()]
        server.post("runs/log-batch", run_id=run_id, metrics=metrics, params=logged)
        made.append(run_id)
    return made


def ask(server: Server, **body: Any) -> Any:
    response = server.call("POST", PATH, json=body)
    assert response.status_code == 200, response.text
    return response.json()


def table(server: Server, **body: Any) -> pa.Table:
    response = server.call("POST", PATH, json=body, headers={"accept": ARROW})
    assert (response.status_code, response.headers["content-type"]) == (200, ARROW), response.text
    return pa.ipc.open_stream(response.content).read_all()


def refused(server: Server, **body: Any) -> str:
    response = server.call("POST", PATH, json=body)
    assert response.status_code == 400, response.text
    assert response.json()["error_code"] == "INVALID_PARAMETER_VALUE"
    return str(response.json()["message"])


def test_one_key_is_answered_as_it_was_before(server: Server, runs: list[str]) -> None:
    found = ask(server, run_ids=runs[:2], key="loss", buckets=5)
    assert [one["run_id"] for one in found["series"]] == runs[:2]
    assert found["bucketed"]
    assert found["series"][0]["first"] == [0, 2, 4, 6, 8]
    assert "groups" not in found


def test_every_key_of_every_run_is_a_series(server: Server, runs: list[str]) -> None:
    found = ask(server, run_ids=runs, keys=["acc", "loss", "none"])
    assert [(one["run_id"], one["key"]) for one in found["series"]] == [
        (run_id, key) for run_id in runs for key in ("acc", "loss", "none")
    ]
    assert [one["points"] for one in found["series"]] == [1, 10, 0] * 3 + [1, 4, 0]
    assert found["series"][0]["last"] == ["NaN"]


def test_runs_are_found_by_a_search(server: Server, runs: list[str]) -> None:
    found = ask(server, filter="params.lr = '0.1'", order_by=["start_time ASC"], keys=["loss"])
    assert [one["run_id"] for one in found["series"]] == runs[:2]
    assert len(ask(server, filter="params.lr = '0.1'", max_runs=1, keys=["loss"])["series"]) == 1
    nothing: dict[str, Any] = {"filter": "params.lr = 'none'", "keys": ["loss"]}
    assert ask(server, **nothing)["series"] == ask(server, **nothing, raw=True)["series"] == []
    assert ask(server, **nothing, group_by=["params.lr"])["groups"] == []
    assert table(server, **nothing).num_rows == table(server, **nothing, group_by=[]).num_rows == 0


def test_time_and_relative_time_are_axes(server: Server, runs: list[str]) -> None:
    assert ask(server, run_ids=[runs[1]], key="loss", x="time")["series"][0]["x"][:2] == [1000, 1100]
    assert ask(server, run_ids=[runs[1]], key="loss", x="relative", range=[100, 250])["series"][0]["x"] == [100, 200]


def test_raw_points_come_whole(server: Server, runs: list[str]) -> None:
    [found] = ask(server, run_ids=[runs[1]], key="loss", x="time", raw=True, range=[1200, 1300])["series"]
    assert found == {
        "run_id": runs[1], "key": "loss", "points": 2, "x": [1200, 1300], "step": [2, 3], "value": [12.0, 13.0],
    }  # fmt: skip
    read = table(server, run_ids=runs, keys=["loss", "acc"], raw=True)
    assert read.column_names == ["run_id", "key", "x", "step", "value"]
    assert read.num_rows == 38
    assert math.isnan(read.filter(pa.compute.equal(read["key"].cast("string"), "acc"))["value"][0].as_py())


def test_arrow_has_the_buckets_that_json_has(server: Server, runs: list[str]) -> None:
    body = {"run_ids": runs, "keys": ["loss", "acc"], "buckets": 4}
    rows = table(server, **body).to_pylist()
    series = ask(server, **body)["series"]
    names = ("x", "x_last", "first", "last", "min", "max", "count", "nan")
    plain = [
        {"run_id": one["run_id"], "key": one["key"], **dict(zip(names, row, strict=True))}
        for one in series
        for row in zip(*(one[name] for name in names), strict=True)
    ]
    for row in rows:
        row.update({name: "NaN" for name in ("first", "last") if math.isnan(row[name])})
    assert rows == plain


def test_groups_have_the_mean_and_band_of_their_runs(server: Server, runs: list[str]) -> None:
    found = ask(server, run_ids=runs, keys=["loss"], group_by=["params.lr"])
    assert [(one["by"], one["group"]) for one in found["groups"]] == [
        ({"params.lr": "0.1"}, 'params.lr="0.1"'),
        ({"params.lr": "0.2"}, 'params.lr="0.2"'),
        ({"params.lr": None}, "params.lr=null"),
    ]
    assert found["series"] == []
    first, _, last = found["groups"]
    assert sorted(first["run_ids"]) == sorted(runs[:2])
    assert (first["x"], first["runs"]) == (list(range(10)), [2] * 10)
    assert first["value"] == [5.0 + step for step in range(10)]
    assert (first["low"], first["high"]) == ([float(s) for s in range(10)], [10.0 + s for s in range(10)])
    assert last["x"] == [0, 3, 6, 9]


def test_a_run_keeps_its_value_until_its_next_point_and_counts_while_it_lasts(server: Server, runs: list[str]) -> None:
    [found] = ask(server, run_ids=[runs[0], runs[3]], keys=["loss"], group_by=[], band=None)["groups"]
    assert (found["group"], found["by"], found["low"]) == ("all runs", {}, None)
    sparse = [30, 30, 30, 33, 33, 33, 36, 36, 36, 39]
    assert found["value"] == [(step + sparse[step]) / 2 for step in range(10)]


def test_groups_of_nothing_but_nan_are_marks(server: Server, runs: list[str]) -> None:
    [found] = ask(server, run_ids=runs, keys=["acc"], group_by=[], aggregate="median", band=[10, 90])["groups"]
    assert (found["value"], found["low"], found["runs"], found["nan"]) == ([None], [None], [0], [4])


def test_traces_come_with_groups_and_groups_come_as_arrow(server: Server, runs: list[str]) -> None:
    found = ask(server, run_ids=runs, keys=["loss"], group_by=["experiment_id", "tags.x"], traces=True)
    assert (len(found["groups"]), len(found["series"])) == (1, 4)
    read = table(server, run_ids=runs, keys=["loss"], group_by=["params.lr"], aggregate="median", band="std")
    assert read.column_names == ["group", "key", "x", "x_last", "value", "low", "high", "runs", "nan"]
    assert read.num_rows == 10 + 10 + 4
    assert table(server, run_ids=["none"], keys=["loss"], group_by=["params.lr"]).num_rows == 0
    assert table(server, run_ids=["none"], keys=["loss"]).num_rows == 0


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"run_ids": ["a"]}, "keys"),
        ({"run_ids": ["a"], "key": "k", "keys": ["k"]}, "not by both"),
        ({"keys": ["k"]}, "run_ids"),
        ({"run_ids": ["a"], "filter": "params.x = 'y'", "keys": ["k"]}, "not by both"),
        ({"run_ids": ["a"], "key": "k", "range": [2, 1]}, "must rise"),
        ({"run_ids": ["a"], "key": "k", "buckets": 1}, "buckets"),
        ({"run_ids": ["a"], "key": "k", "x": "y"}, "Invalid enum"),
        ({"run_ids": ["a"], "key": "k", "band": [90, 10]}, "percentiles"),
        ({"run_ids": ["a"], "key": "k", "raw": True, "group_by": []}, "raw"),
        ({"run_ids": ["a"], "key": "k", "group_by": ["metrics.x"]}, "params.KEY"),
        ({"run_ids": ["a"], "key": "k", "format": "arrow", "group_by": [], "traces": True}, "Arrow"),
        ({"run_ids": [f"r{i}" for i in range(1000)], "keys": ["a", "b", "c"]}, "3,000 series"),
        ({"filter": "params.x ! 'y'", "keys": ["k"]}, "At character"),
    ],
)
def test_what_does_not_fit_together_is_refused_in_a_sentence(server: Server, body: dict[str, Any], says: str) -> None:
    assert says in refused(server, **body)


def test_series_as_of_a_moment_hold_what_was_logged_before_it(server: Server) -> None:
    run_id = server.new_run()
    for step in range(3):
        server.clock.advance(1000)
        server.post("runs/log-metric", run_id=run_id, key="loss", value=step, timestamp=step, step=step)
    moment = server.clock.time_ms() - 500
    as_of = datetime.fromtimestamp(moment / 1000, UTC).isoformat()
    server.post("runs/log-parameter", run_id=run_id, key="late", value="x")
    then: dict[str, Any] = {"run_ids": [run_id], "keys": ["loss"], "as_of": as_of}
    assert ask(server, **then)["series"][0]["x"] == [0, 1]
    assert ask(server, **then, group_by=["params.late"])["groups"][0]["by"] == {"params.late": None}
    found = ask(server, filter=f"attributes.run_id = '{run_id}'", keys=["loss"], as_of=as_of)
    assert found["series"][0]["points"] == 2
    assert "as_of" in refused(server, run_ids=[run_id], key="loss", as_of="some day")
    path, about = "/api/headrace/v1/metrics/", {"run_id": run_id, "as_of": as_of}
    assert server.call("GET", f"{path}summary", params=about).json()["metrics"][0]["points"] == 2
    history = server.call("GET", f"{path}history", params={**about, "key": "loss"})
    assert pa.ipc.open_stream(history.content).read_all().num_rows == 2


def test_a_forked_run_has_the_points_it_inherits(server: Server, runs: list[str]) -> None:
    forked = server.call("POST", "/api/headrace/v1/runs/fork", json={"run_id": runs[0], "step": 4}).json()["run"]
    run_id = forked["info"]["run_id"]
    server.post("runs/log-metric", run_id=run_id, key="loss", value=-1.0, timestamp=10_000, step=5)
    for held in ({}, {"raw": True}):
        [found] = ask(server, run_ids=[run_id], keys=["loss"], **held)["series"]
        assert (found["x"], found.get("last") or found["value"]) == (
            [0, 1, 2, 3, 4, 5],
            [0.0, 1.0, 2.0, 3.0, 4.0, -1.0],
        )
    [group] = ask(server, run_ids=[runs[0], run_id], keys=["loss"], group_by=[])["groups"]
    assert group["value"][4:7] == [4.0, 2.0, 6.0]
    assert group["runs"][4:7] == [2, 2, 1]


NAMES = st.sampled_from(["loss", "acc", "", "a\0b", "' OR 1=1", "{x:String}", "params.lr", "tags.", "status", "ü" * 50])
BODIES = st.fixed_dictionaries(
    {},
    optional={
        "run_ids": st.lists(NAMES | st.integers(0, 3), max_size=5),
        "experiment_ids": st.lists(NAMES, max_size=2),
        "filter": NAMES | st.sampled_from(["metrics.loss > 1", "params.lr = '0.1'"]),
        "order_by": st.lists(NAMES | st.just("metrics.loss DESC"), max_size=2),
        "max_runs": st.integers(-1, 1001),
        "key": NAMES,
        "keys": st.lists(NAMES, max_size=3),
        "x": st.sampled_from(["step", "time", "relative", "loss"]),
        "range": st.none() | st.tuples(st.floats(allow_nan=False, allow_infinity=False), st.integers(-(2**70), 2**70)),
        "buckets": st.integers(1, 2001),
        "raw": st.booleans(),
        "group_by": st.none() | st.lists(NAMES, max_size=3),
        "aggregate": st.sampled_from(["mean", "median", "mode"]),
        "band": st.sampled_from([None, "min-max", "std", "all"]) | st.tuples(st.floats(-1, 101), st.floats(-1, 101)),
        "traces": st.booleans(),
        "as_of": NAMES | st.just("2020-01-01"),
        "format": st.sampled_from(["", "json", "arrow", "csv"]),
    },
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=BODIES)
def test_no_body_breaks_the_route(server: Server, runs: list[str], body: dict[str, Any]) -> None:
    body["run_ids"] = [runs[x] if isinstance(x, int) else x for x in body.get("run_ids", [0, 3])]
    response: httpx.Response = server.call("POST", PATH, json=body)
    assert response.status_code in (200, 400), response.text


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    body=st.binary(max_size=50)
    | st.sampled_from([b"[" * 10_000, b'{"keys": "\xff"}', b'{"run_ids": ["\\ud800"]}', b"{}"])
)
def test_no_bytes_break_the_route(server: Server, body: bytes) -> None:
    assert server.call("POST", PATH, content=body).status_code == 400
