"""Predictions as JSON, in MLflow's shapes."""

from __future__ import annotations

import datetime
import enum
import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from headrace.sdk.serving import answers


class Colour(enum.IntEnum):
    """An int that is more than an int."""

    RED = 1


NESTED: list[Any] = []
NESTED.append(NESTED)

SHAPES = [
    (np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
    (np.array([1.5, np.nan, np.inf]), [1.5, None, None]),
    (np.array(["a", "b"]), ["a", "b"]),
    (np.array([b"0"]), ["MA==\n"]),
    (np.array(["2020-01-02"], dtype="datetime64[ns]"), [1577923200000000000]),
    (np.array([None, 1.0, "x", b"0"], dtype=object), [None, 1.0, "x", "MA==\n"]),
    (pd.DataFrame({"a": [1, 2], "b": [np.nan, 0.5]}), [{"a": 1, "b": None}, {"a": 2, "b": 0.5}]),
    (pd.DataFrame({"t": [pd.Timestamp("2020-01-02"), pd.NaT]}), [{"t": "2020-01-02T00:00:00"}, {"t": None}]),
    (pd.DataFrame({"n": pd.array([1, None], dtype="Int64")}), [{"n": 1}, {"n": None}]),
    (pd.DataFrame({"l": [[1.0, np.nan], np.array([2, 3])]}), [{"l": [1.0, None]}, {"l": [2, 3]}]),
    (pd.DataFrame(index=[0, 1]), [{}, {}]),
    (pd.Series([1, 2]), [{"0": 1}, {"0": 2}]),
    (pd.Series([1, 2], name="y"), [{"y": 1}, {"y": 2}]),
    ({"a": np.array([1, 2]), "b": "x"}, {"a": [1, 2], "b": "x"}),
    ({2: "a", None: "b", True: "c", 1.5: "d"}, {"2": "a", "true": "c", "null": "b", "1.5": "d"}),
    ([np.float32(0.5), np.int64(3), np.bool_(True)], [0.5, 3, True]),
    ((1, Colour.RED, np.str_("s")), [1, 1, "s"]),
    (b"0", "MA==\n"),
    (datetime.datetime(2020, 1, 2, tzinfo=datetime.UTC), "2020-01-02T00:00:00+00:00"),
    (datetime.date(2020, 1, 2), "2020-01-02"),
    (np.datetime64("2020-01-02"), "2020-01-02"),
    (2**70, 2**70),
    ("\ud800", "\ud800"),
    (None, None),
]


@pytest.mark.parametrize(("prediction", "plain"), SHAPES, ids=lambda value: type(value).__name__)
def test_each_kind_of_prediction_has_mlflows_shape(prediction: Any, plain: Any) -> None:
    assert json.loads(answers.body(prediction)) == {"predictions": plain}


def test_an_answer_to_a_language_models_client_is_not_wrapped() -> None:
    assert json.loads(answers.body({"choices": [float("nan")]}, wrapped=False)) == {"choices": [None]}


@pytest.mark.parametrize("prediction", [object(), NESTED, {"a": object()}, 1j], ids=lambda value: type(value).__name__)
def test_what_json_has_nothing_for_is_refused_with_its_type(prediction: Any) -> None:
    with pytest.raises(answers.NotJson, match=r"object|complex|deep"):
        answers.body(prediction)


def test_a_stacked_prediction_is_cut_where_its_requests_end() -> None:
    first, second = answers.split(np.arange(3), [1, 2])
    assert (first.tolist(), second.tolist()) == ([0], [1, 2])
    first, second = answers.split(pd.DataFrame({"a": [1, 2, 3]}), [2, 1])
    assert (first["a"].tolist(), second["a"].tolist()) == ([1, 2], [3])
    assert answers.split({"a": [1, 2], "b": np.array([3, 4])}, [1, 1])[1] == {"a": [2], "b": np.array([4])}


@pytest.mark.parametrize("prediction", [1.0, np.float64(1), "ab", np.array(1.0), {}, [1, 2, 3], {"a": [1]}], ids=repr)
def test_a_prediction_without_a_row_for_each_is_not_cut(prediction: Any) -> None:
    with pytest.raises(ValueError, match="does not have 2 rows"):
        answers.split(prediction, [1, 1])
