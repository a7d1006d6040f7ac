"""Tables in Arrow, Parquet and CSV, and predictions as Arrow."""

from __future__ import annotations

import io
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest
from headrace.sdk.serving.content import ARROW, PARQUET
from headrace.sdk.serving.scorer import Scorer

from tests.scoring import Predict, ask_all, signed
from tests.scoring_corpus import columns, describe, tensor

NUMBERS = {"inputs": columns(a="double", b="double")}
TYPED = {"inputs": columns(l="long", s="string", t="datetime", y="binary", o="double?")}


def same(data: Any, params: Any) -> Any:
    """What it was given."""
    return data


def streamed(table: pa.Table) -> bytes:
    """A table as an Arrow stream."""
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def filed(table: pa.Table) -> bytes:
    """A table as a Parquet file."""
    sink = io.BytesIO()
    pyarrow.parquet.write_table(table, sink)
    return sink.getvalue()


def ask(
    body: bytes, predict: Predict, signature: Any, array: Predict | None = None, kind: str = ARROW, accept: str = ARROW
) -> httpx.Response:
    """The answer to a table."""
    headers = {"content-type": kind, "accept": accept}
    request = {"method": "POST", "url": "/invocations", "content": body, "headers": headers}
    return ask_all(Scorer(signed(predict, signature, array)), [request])[0]


def read(response: httpx.Response) -> pa.Table:
    """The table of an answer."""
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == ARROW
    return pa.ipc.open_stream(response.content).read_all()


@pytest.mark.parametrize(("kind", "written"), [(ARROW, streamed), (PARQUET, filed)])
def test_columns_of_numbers_go_as_one_array_in_the_schemas_order(kind: str, written: Any) -> None:
    table = pa.table({"b": [10, 20], "more": ["x", "y"], "a": pa.array([1.0, None], pa.float32())})
    given: list[np.ndarray[Any, Any]] = []

    def predict(array: Any, params: Any) -> Any:
        given.append(array)
        return array[:, 1]

    answer = read(ask(written(table), same, NUMBERS, array=predict, kind=kind))
    assert answer.to_pydict() == {"predictions": [10.0, 20.0]}
    np.testing.assert_array_equal(given[0], np.array([[1, 10], [np.nan, 20]]))
    assert given[0].dtype == np.float64


def test_other_columns_go_as_a_frame_of_the_schemas_types() -> None:
    table = pa.table(
        {
            "l": pa.array([1.0, 2.0]),
            "s": pa.array(["x", "y"]).dictionary_encode(),
            "t": pa.array([0, 1], pa.timestamp("us")),
            "y": pa.array([b"\xff", b""]),
        }
    )
    answer = ask(streamed(table), describe, TYPED, accept="application/json").json()["predictions"]["given"]["frame"]
    assert {name: column[0] for name, column in answer.items()} == {
        "l": "int64",
        "s": "str",
        "t": "datetime64[ns]",
        "y": "object",
    }
    assert answer["y"][1] == ["bytes ff", "bytes "]


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("l", pa.array([1.5])),
        ("l", pa.array([None], pa.int64())),
        ("l", pa.array([2**63], pa.uint64())),
        ("l", pa.array(["x"])),
        ("t", pa.array([["x"]])),
    ],
)
def test_a_column_whose_values_would_change_is_refused_by_its_name(column: str, values: pa.Array) -> None:
    good = {"l": pa.array([1]), "s": pa.array(["x"]), "t": pa.array([0], pa.timestamp("ns")), "y": pa.array([b""])}
    response = ask(streamed(pa.table(good | {column: values})), same, TYPED)
    assert response.status_code == 400
    assert f"'{column}'" in response.json()["message"]


def test_a_missing_column_is_refused_by_its_name() -> None:
    response = ask(streamed(pa.table({"a": [1.0]})), same, NUMBERS)
    assert (response.status_code, response.json()["error_class"]) == (400, "SCHEMA_ENFORCEMENT_FAILED")
    assert "'b'" in response.json()["message"]


@pytest.mark.parametrize("kind", [ARROW, PARQUET])
@pytest.mark.parametrize("cut", [0, 1, 20, -1])
def test_bytes_that_are_no_table_are_400(kind: str, cut: int) -> None:
    table = pa.table({"a": [1.0] * 100, "b": [2.0] * 100})
    body = (streamed(table) if kind == ARROW else filed(table))[:cut]
    response = ask(body, same, NUMBERS, kind=kind)
    assert response.status_code in ((200, 400) if cut == -1 else (400,)), response.text
    assert response.status_code == 200 or response.json()["error_code"] == "BAD_REQUEST"


@pytest.mark.parametrize(
    ("prediction", "plain"),
    [
        (np.array([[1, 2], [3, 4]]), {"predictions": [[1, 2], [3, 4]]}),
        (np.array(["x", "y"]), {"predictions": ["x", "y"]}),
        (pd.DataFrame({"a": [1], 3: ["x"]}), {"a": [1], "3": ["x"]}),
        (pd.Series([1.5], name="y"), {"y": [1.5]}),
        (pd.Series([1.5]), {"0": [1.5]}),
        ({"a": np.array([1]), "b": [0.5]}, {"a": [1], "b": [0.5]}),
        ([1, 2], {"predictions": [1, 2]}),
        (pa.table({"a": [1]}), {"a": [1]}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_each_kind_of_prediction_is_a_table(prediction: Any, plain: dict[str, list[Any]]) -> None:
    response = ask(streamed(pa.table({"a": [1.0]})), lambda data, params: prediction, None)
    assert read(response).to_pydict() == plain


def test_a_prediction_that_is_no_table_is_400_and_json_is_the_way() -> None:
    body = streamed(pa.table({"a": [1.0]}))
    assert "application/json" in ask(body, lambda data, params: 1.5, None).json()["message"]
    assert ask(body, lambda data, params: 1.5, None, accept="*/*").json() == {"predictions": 1.5}


def test_a_table_for_a_tensor_is_its_rows() -> None:
    signature = {"inputs": [tensor("float32", -1, 2)]}
    table = pa.table({"x": [1.0, 3.0], "y": [2.0, 4.0]})
    assert read(ask(streamed(table), same, signature)).to_pydict() == {"predictions": [[1.0, 2.0], [3.0, 4.0]]}
