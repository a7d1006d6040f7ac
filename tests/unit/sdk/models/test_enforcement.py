"""Data and params are taken, converted and refused as stock MLflow 3.17.2 was recorded to do, but for what we list."""

from __future__ import annotations

import importlib.util
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from headrace.models import BadSchema, ModelSignature, ParamSchema, Schema, SchemaMismatch, infer_signature
from headrace.sdk.models.enforcement import Plan

TESTS = Path(__file__).parents[3]


def load_cases() -> Any:
    spec = importlib.util.spec_from_file_location("cases", TESTS / "golden_sources" / "enforcement_cases.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


cases = load_cases()
RECORDED = json.loads((TESTS / "golden_sources" / "enforcement.json").read_text(encoding="utf-8"))

WE_TAKE = {
    "boolean column: boolean with NA": "stays nullable",
    "integer column: Int32 with NA": "stays nullable",
    "long column: Int64 with NA": "stays nullable",
    "long column: Int32 with NA": "becomes Int64",
    "double column: Int64": "each of its values is a double, and whoever uses the dtype expects missing ones",
    "double column: Int64 with NA": "NA becomes NaN",
}
"""What MLflow refuses and we take."""

ANOTHER_RESULT = {
    "double column: empty object": "MLflow makes int64 of a column without values",
    "array optional: not there": "MLflow forgets how many rows there are when no column is left",
}


def ours(name: str, schema: Any, make: Any) -> dict[str, Any]:
    plan = Plan(Schema.from_json(json.dumps(schema)), None)
    try:
        return {"accepted": True, "result": cases.described(plan.enforce(make()))}
    except SchemaMismatch:
        return {"accepted": False}


@pytest.mark.parametrize(("name", "schema", "make"), cases.CASES, ids=[name for name, _, _ in cases.CASES])
def test_data_are_taken_as_mlflow_takes_them(name: str, schema: Any, make: Any) -> None:
    found = json.loads(json.dumps(ours(name, schema, make)))

    if name in WE_TAKE:
        assert found["accepted"]
        assert not RECORDED["data"][name]["accepted"]
    elif name in ANOTHER_RESULT:
        assert found["accepted"]
        assert found != RECORDED["data"][name]
    else:
        assert found == RECORDED["data"][name]


@pytest.mark.parametrize("name", WE_TAKE)
def test_a_strict_plan_refuses_what_mlflow_refuses(name: str) -> None:
    schema, make = next((schema, make) for one, schema, make in cases.CASES if one == name)
    with pytest.raises(SchemaMismatch):
        Plan(Schema.from_json(json.dumps(schema)), None, strict=True).enforce(make())


@pytest.mark.parametrize("name", cases.PARAM_CASES)
def test_params_are_taken_as_mlflow_takes_them(name: str) -> None:
    plan = Plan(None, ParamSchema.from_json(json.dumps(cases.PARAMS)))
    try:
        found = {"accepted": True, "result": cases.described(plan.params(cases.PARAM_CASES[name]))}
    except SchemaMismatch:
        found = {"accepted": False}

    assert json.loads(json.dumps(found)) == RECORDED["params"][name]


# --- signatures -------------------------------------------------------------------------------------------------------


def inferred(data: Any = None, params: Any = None) -> dict[str, Any]:
    part = "inputs" if params is None else "params"
    try:
        return {"accepted": True, "result": infer_signature(data, params=params).to_dict()[part]}
    except BadSchema:
        return {"accepted": False}


@pytest.mark.parametrize("name", cases.INFERRED)
def test_a_signature_is_told_from_data_as_mlflow_tells_it(name: str) -> None:
    assert inferred(cases.INFERRED[name]()) == RECORDED["inferred"][name]


@pytest.mark.parametrize("name", cases.INFERRED_PARAMS)
def test_params_are_told_from_their_values_as_mlflow_tells_them(name: str) -> None:
    found, recorded = inferred(params=cases.INFERRED_PARAMS[name]), RECORDED["inferred params"][name]

    assert found["accepted"] == recorded["accepted"]
    if found["accepted"]:
        assert json.loads(found["result"]) == json.loads(recorded["result"])


@pytest.mark.parametrize("name", cases.INFERRED)
def test_a_signature_is_read_from_its_own_json(name: str) -> None:
    found = infer_signature(cases.INFERRED[name]())
    assert ModelSignature.from_dict(found.to_dict()).to_dict() == found.to_dict()


# --- what errors say --------------------------------------------------------------------------------------------------


def plan_of(**columns: Any) -> Plan:
    with warnings.catch_warnings():
        return Plan.of(infer_signature(pd.DataFrame(columns)))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"a": [1.0]}, "the model needs the columns 'b', which are missing"),
        ({"a": [1.0], "b": ["x"]}, "the column 'b' should be long, and is str"),
        ({"a": [1], "b": [1, 2][:1]}, None),
        ({"a": [7], "b": [2]}, "the column 'a' should be double, and is int64. Convert it"),
        ({"a": [1.0], "b": [2.0]}, "the column 'b' should be long, and is float64"),
        (
            {"a": [1.0, 2.0], "b": [2.0, np.nan]},
            "the column 'b' should be long, and is float64. It has missing values.*the dtype \"Int64\"",
        ),
    ],
)
def test_errors_name_the_column_and_what_was_expected(data: dict[str, Any], said: str | None) -> None:
    plan = plan_of(a=[1.5], b=[1])
    if said is None:
        plan.enforce(pd.DataFrame(data))
        return
    with pytest.raises(SchemaMismatch, match=said):
        plan.enforce(pd.DataFrame(data))


# --- as JSON has them -------------------------------------------------------------------------------------------------


def test_values_of_json_are_cast() -> None:
    plan = plan_of(d=[1.5], i=[1], t=["a"], w=[pd.Timestamp("2020-01-01")], b=[True])

    found = plan.from_rows(
        ["b", "t", "i", "d", "w", "more"],
        [[True, "x", 3.0, 2, "2021-05-05", 9], [False, "y", "4", None, "2021-05-06", 9]],
    )

    assert list(found.columns) == ["d", "i", "t", "w", "b"]
    assert found["d"].tolist()[0] == 2.0
    assert np.isnan(found["d"][1])
    assert found["i"].tolist() == [3, 4]
    assert [str(one) for one in found.dtypes][:2] == ["float64", "int64"]
    assert found["w"].dtype == "datetime64[ns]"
    assert plan.enforce(found) is not None


@pytest.mark.parametrize(
    ("column", "value"),
    [("i", 3.5), ("i", None), ("i", "x"), ("i", 2**70), ("i", [1]), ("d", "x"), ("d", [1.5]), ("b", 2), ("b", None),
     ("b", "true"), ("w", "rubbish")],
)  # fmt: skip
def test_what_a_cast_would_change_is_refused_by_the_name_of_its_column(column: str, value: Any) -> None:
    plan = plan_of(d=[1.5], i=[1], b=[True], w=[pd.Timestamp("2020-01-01")])
    row = {"d": 1.0, "i": 1, "b": True, "w": "2020-01-01", column: value}

    with pytest.raises(SchemaMismatch, match=f"the column '{column}' should be "):
        plan.from_records([row])


def test_rows_columns_and_records_become_one_array_where_all_are_numbers() -> None:
    plan = plan_of(a=[1.5], b=[2.5])
    wanted = np.array([[1.0, 2.0], [3.0, 4.5]])

    for found in (
        plan.from_rows(["a", "b"], [[1, 2], [3, 4.5]], array=True),
        plan.from_rows(["b", "a"], [[2, 1], [4.5, 3]], array=True),
        plan.from_rows(["b", "more", "a"], [[2, "x", "1"], [4.5, "y", "3"]], array=True),
        plan.from_rows(None, [[1, 2], [3, 4.5]], array=True),
        plan.from_columns({"b": [2, 4.5], "a": [1, 3]}, array=True),
        plan.from_records([{"a": 1, "b": 2}, {"b": 4.5, "a": 3}], array=True),
        plan.from_values({"b": [2, 4.5], "a": [1, 3]}, array=True),
        plan.from_values([{"a": 1, "b": 2}, {"b": 4.5, "a": 3}], array=True),
    ):
        assert isinstance(found, np.ndarray)
        assert found.dtype == np.float64
        assert (found == wanted).all()
    assert plan_of(a=[1.5], b=[2]).array_dtype == np.float64
    assert plan_of(a=[1.5], b=["x"]).array_dtype is None


@pytest.mark.parametrize("rows", [[[1.0], [2.0, 3.0]], [[1.0, 2.0, 3.0]], [[1.0]]])
def test_rows_of_the_wrong_length_are_refused(rows: Any) -> None:
    with pytest.raises(SchemaMismatch, match=r"row \d has \d values, and there are 2 columns"):
        plan_of(a=[1.5], b=[2.5]).from_rows(["a", "b"], rows, array=True)


def test_tensors_of_json_are_cast_to_their_dtype_and_shape() -> None:
    matrix = Plan.of(infer_signature(np.zeros((1, 2), "float32")))
    assert matrix.from_values([[1, 2], [3, 4.5]]).dtype == np.float32
    assert matrix.from_rows(["any", "name"], [[1, 2]]).shape == (1, 2)
    images = Plan.of(infer_signature(np.zeros((1, 2, 2))))
    assert images.from_values([[[1, 2], [3, 4]]]).shape == (1, 2, 2)
    assert images.from_values([[1, 2, 3, 4]]).shape == (1, 2, 2)
    several = Plan.of(infer_signature({"x": np.zeros((1, 2)), "n": np.zeros(1, "int64")}))
    found = several.from_values({"x": [[1, 2]], "n": [3.0]})
    assert found["n"].dtype == np.int64
    assert found["x"].shape == (1, 2)
    for plan, wrong in ((matrix, [[1, 2, 3]]), (matrix, [["a", "b"]]), (matrix, 1), (several, {"x": [[1, 2]]}),
                        (several, {"x": [[1, 2]], "n": [3.5]}), (several, [1])):  # fmt: skip
        with pytest.raises(SchemaMismatch):
            plan.from_values(wrong)


def test_without_a_schema_data_go_as_they_are() -> None:
    plan = Plan.of(None)
    data = object()
    assert plan.enforce(data) is data
    assert plan.params(None) is None
    assert plan.params({"a": 1}) == {}
    assert plan.from_records([{"a": 1}]).to_dict("list") == {"a": [1]}
