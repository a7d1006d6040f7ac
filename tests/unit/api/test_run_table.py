"""Runs as one Arrow table: every run, param, tag and last value, as they are; and as MLflow's DataFrame."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.ipc
import pytest
from headrace.api.picked_columns import Picked
from headrace.api.run_table import COLUMNS_MAX, joined, table_of
from headrace.processors.engine import Engine
from headrace.processors.runs import RunState
from headrace.sdk.frames import FRAME_COLUMNS, frame_of

from tests.unit.api.conftest import Server
from tests.unit.api.test_run_search import Cold

ATTRIBUTES = ["run_id", "experiment_id", "run_name", "status", "user_id", "artifact_uri"]
ATTRIBUTES += ["start_time", "end_time", "lifecycle_stage"]


@pytest.fixture(scope="module", params=[Engine, Cold], ids=["in memory", "in the views"])
def filled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with three runs."""
    server = Server(tmp_path_factory.mktemp("data"), request.param)
    for name, metrics, params in (
        ("a", {"loss": 0.5, "acc": "NaN"}, {"lr": "0.1"}),
        ("b", {"loss": "Infinity"}, {"lr": "", "größe": "é"}),
        ("c", {}, {}),
    ):
        info = server.post("runs/create", experiment_id="0", run_name=name, start_time=1_700_000_000_123)["run"]["info"]
        server.post(
            "runs/log-batch",
            run_id=info["run_id"],
            metrics=[{"key": key, "value": value, "timestamp": 0} for key, value in metrics.items()],
            params=[{"key": key, "value": value} for key, value in params.items()],
        )
        if name == "b":
            server.post("runs/update", run_id=info["run_id"], status="FINISHED", end_time=1_700_000_001_000)
    yield server
    server.close()


def table(server: Server, **asked: Any) -> pa.Table:
    body = {"experiment_ids": ["0"], "order_by": ["run_name"], **asked}
    answer = server.call("POST", "/api/headrace/v1/runs/table", json=body)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/vnd.apache.arrow.stream"
    return pyarrow.ipc.open_stream(answer.content).read_all()


def refused(server: Server, **asked: Any) -> str:
    answer = server.call("POST", "/api/headrace/v1/runs/table", json={"experiment_ids": ["0"], **asked})
    assert answer.status_code == 400
    message: str = answer.json()["message"]
    return message


def test_a_table_holds_what_the_runs_hold(filled: Server) -> None:
    found = table(filled)
    keys = ["metrics.acc", "metrics.loss", "params.größe", "params.lr", "tags.mlflow.runName"]
    assert found.column_names == [*ATTRIBUTES, *keys]
    rows = found.to_pylist()
    assert [row["run_name"] for row in rows] == ["a", "b", "c"]
    assert [row["metrics.loss"] for row in rows] == [0.5, math.inf, None]
    assert math.isnan(rows[0]["metrics.acc"])
    assert rows[1]["metrics.acc"] is None
    assert [row["params.lr"] for row in rows] == ["0.1", "", None]
    assert [row["params.größe"] for row in rows] == [None, "é", None]
    assert [row["status"] for row in rows] == ["RUNNING", "FINISHED", "RUNNING"]
    assert [row["lifecycle_stage"] for row in rows] == ["active"] * 3
    assert found.column("start_time").cast(pa.int64()).to_pylist() == [1_700_000_000_123] * 3
    assert found.column("end_time").cast(pa.int64()).to_pylist() == [None, 1_700_000_001_000, None]


def test_a_table_is_searched_and_ordered_as_runs_are(filled: Server) -> None:
    found = table(filled, filter="metrics.loss IS NOT NULL", order_by=["metrics.loss DESC"], max_results=1)
    assert found.column("run_name").to_pylist() == ["b"]
    assert table(filled, experiment_ids=[]).num_rows == 0
    assert table(filled, run_view_type="DELETED_ONLY").column_names == ATTRIBUTES


@pytest.mark.parametrize(
    ("columns", "names"),
    [
        (["metrics.loss"], ["run_id", "metrics.loss"]),
        (["params.*", "status"], ["run_id", "status", "params.größe", "params.lr"]),
        (["tags.mlflow.*", "metrics.a*"], ["run_id", "metrics.acc", "tags.mlflow.runName"]),
        ([], ["run_id"]),
        (["metrics.none"], ["run_id"]),
    ],
)
def test_columns_are_picked_by_name_or_beginning(filled: Server, columns: list[str], names: list[str]) -> None:
    assert table(filled, columns=columns).column_names == names


def test_what_can_be_no_table_is_refused(filled: Server) -> None:
    assert "expected one of run_id" in refused(filled, columns=["loss"])
    assert "Invalid clause(s) in filter string" in refused(filled, filter="metrics.loss >")
    assert "max_results" in refused(filled, max_results=100_001)
    run_id = filled.post("runs/create", experiment_id="0", start_time=1)["run"]["info"]["run_id"]
    for start in range(0, COLUMNS_MAX, 1000):
        metrics = [{"key": f"m{i}", "value": i, "timestamp": 0} for i in range(start, start + 1000)]
        filled.post("runs/log-batch", run_id=run_id, metrics=metrics)
    assert f"more than {COLUMNS_MAX} columns" in refused(filled)
    assert table(filled, columns=["metrics.m1*"], filter="start_time = 1").num_columns == 1 + 1111
    filled.post("runs/delete", run_id=run_id)


def test_pages_with_different_columns_become_one_table() -> None:
    runs = [
        RunState("a", params={"y": "1"}, tags={"t": "1"}),
        RunState("b", params={"x": "2"}),
        RunState("c", tags={"t": "3"}),
    ]
    found = joined([table_of([(run, {})], Picked()) for run in runs])
    assert found.column_names == [*ATTRIBUTES, "params.x", "params.y", "tags.t"]
    assert found.column("params.x").to_pylist() == [None, "2", None]


def test_a_frame_has_the_shape_of_mlflows(filled: Server) -> None:
    found = frame_of(table(filled, columns=list(FRAME_COLUMNS)))
    runs = filled.post("runs/search", experiment_ids=["0"], order_by=["run_name"])["runs"]

    def times(ms: list[int | None]) -> pd.Series[Any]:
        return pd.to_datetime(pd.Series(ms, dtype="Int64"), unit="ms", utc=True)

    expected = pd.DataFrame(
        {
            "run_id": [run["info"]["run_id"] for run in runs],
            "experiment_id": ["0"] * 3,
            "status": ["RUNNING", "FINISHED", "RUNNING"],
            "artifact_uri": [run["info"]["artifact_uri"] for run in runs],
            "start_time": times([1_700_000_000_123] * 3),
            "end_time": times([None, 1_700_000_001_000, None]),
            "metrics.acc": [math.nan] * 3,
            "metrics.loss": [0.5, math.inf, math.nan],
            "params.größe": pd.Series([None, "é", None], dtype=object),
            "params.lr": pd.Series(["0.1", "", None], dtype=object),
            "tags.mlflow.runName": pd.Series(["a", "b", "c"], dtype=object),
        }
    )
    pd.testing.assert_frame_equal(found, expected)
    assert found["params.lr"][2] is None


def test_a_table_is_as_of_a_moment(filled: Server) -> None:
    run_id = table(filled).column("run_id").to_pylist()[0]
    before = ",".join(f"{p.topic}/{p.partition}/{end}" for p, end in filled.log.end().items())
    filled.post("runs/log-metric", run_id=run_id, key="loss", value=9, timestamp=9, step=9)
    assert table(filled, filter="metrics.loss = 9").num_rows == 1
    assert table(filled, filter="metrics.loss = 9", as_of=before).num_rows == 0
    assert table(filled, as_of=before).column("metrics.loss").to_pylist() == [0.5, math.inf, None]
    filled.post("runs/delete-tag", run_id=run_id, key="mlflow.runName")
    assert table(filled, as_of=before, columns=["run_name"]).column("run_name").to_pylist() == ["a", "b", "c"]


def test_aggregates_of_metrics_are_columns_as_filters_name_them(filled: Server) -> None:
    run_id = filled.post("runs/create", experiment_id="0", run_name="d", start_time=1)["run"]["info"]["run_id"]
    points = [("err", 0, 3.0), ("err", 1, 1.0), ("err", 2, "NaN"), ("f1", 0, 0.1), ("f1", 1, 0.9), ("f1", 2, 0.5)]
    metrics = [{"key": key, "step": step, "timestamp": step, "value": value} for key, step, value in points]
    filled.post("runs/log-batch", run_id=run_id, metrics=[*metrics, {"key": "f1.max", "value": 7, "timestamp": 0}])
    expected = {
        "metrics.err.first": 3.0,
        "metrics.err.min": 1.0,
        "metrics.err.points": 3.0,
        "metrics.err.nan": 1.0,
        'metrics."err".max': 3.0,
        "metrics.f1.at(0)": 0.1,
        "metrics.f1.at_best(err)": 0.9,
        "metrics.f1.at_best(err, max)": 0.1,
        # A metric whose own key this is.
        "metrics.f1.max": 7.0,
        'metrics."f1".max': 0.9,
    }
    columns = [*expected, "metrics.none.min", "metrics.none.at(3)"]
    [row] = table(filled, filter="run_name = 'd'", columns=columns).to_pylist()
    assert row == {"run_id": run_id, **expected}
    # Runs without it have null, and as of a moment it is what it was then.
    assert table(filled, columns=["metrics.err.min"]).column("metrics.err.min").to_pylist() == [None] * 3 + [1.0]
    end = ",".join(f"{p.topic}/{p.partition}/{end}" for p, end in filled.log.end().items())
    filled.post("runs/log-metric", run_id=run_id, key="err", value=0.5, timestamp=9, step=0)
    past = table(filled, as_of=end, columns=["metrics.err.min", "metrics.f1.at_best(err)"], filter="run_name = 'd'")
    assert past.to_pylist() == [{"run_id": run_id, "metrics.err.min": 1.0, "metrics.f1.at_best(err)": 0.9}]
    now = table(filled, columns=["metrics.err.min", "metrics.f1.at_best(err)"], filter="run_name = 'd'")
    assert now.to_pylist() == [{"run_id": run_id, "metrics.err.min": 0.5, "metrics.f1.at_best(err)": 0.1}]
    filled.post("runs/delete", run_id=run_id)


def test_an_aggregate_that_is_none_is_refused(filled: Server) -> None:
    assert "a step: a whole number" in refused(filled, columns=["metrics.loss.at(x)"])
    assert "min or max" in refused(filled, columns=["metrics.loss.at_best(acc, best)"])
    assert "Invalid metric aggregate 'median'" in refused(filled, columns=['metrics."loss".median'])
    assert "at most 20" in refused(filled, columns=[f"metrics.loss.at({step})" for step in range(21)])


def test_the_columns_that_a_table_could_have_are_told(filled: Server) -> None:
    def columns(**asked: Any) -> Any:
        answer = filled.call("POST", "/api/headrace/v1/runs/columns", json={"experiment_ids": ["0"], **asked})
        assert answer.status_code == 200, answer.text
        return answer.json()

    found = columns(filter="run_name IN ('a', 'b')")
    assert (found["runs"], found["looked_at"], found["more"]) == (2, 2, False)
    assert {
        x["name"]: (x["runs"], x["differs"], x["examples"]) for x in found["columns"] if "mlflow" not in x["name"]
    } == {
        "metrics.acc": (1, False, []),
        "metrics.loss": (2, True, []),
        "params.größe": (1, False, ["é"]),
        "params.lr": (2, True, ["", "0.1"]),
    }
    assert columns(experiment_ids=[]) == {"runs": 0, "looked_at": 0, "more": False, "columns": []}
    assert columns(max_runs=1)["looked_at"] == 1
    assert filled.call("POST", "/api/headrace/v1/runs/columns", json={"max_runs": 0}).status_code == 400
