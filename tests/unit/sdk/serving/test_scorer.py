"""The scorer over its ASGI application: MLflow's routes and errors."""

from __future__ import annotations

import asyncio
import gzip
import threading
import zlib
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest
from headrace.sdk.serving.batching import Limits
from headrace.sdk.serving.scorer import Scorer
from headrace.sdk.version import VERSION

from tests.scoring import ask, ask_all, signed
from tests.scoring_corpus import columns, tensor

NUMBERS = {"inputs": columns(a="double", b="double")}
TENSOR = {"inputs": [tensor("float32", -1, 2)]}


def same(data: Any, params: Any) -> Any:
    """What it was given."""
    return data


def row(a: Any, b: Any) -> dict[str, Any]:
    """A request for a row of NUMBERS."""
    return {
        "method": "POST",
        "url": "/invocations",
        "json": {"dataframe_split": {"columns": ["a", "b"], "data": [[a, b]]}},
    }


@pytest.mark.parametrize("path", ["/ping", "/health"])
def test_a_loaded_model_is_healthy(path: str) -> None:
    response = ask("GET", path, same)
    assert (response.status_code, response.text) == (200, "\n")


def test_the_version_is_the_products() -> None:
    assert ask("GET", "/version", same).text == VERSION


@pytest.mark.parametrize(
    ("method", "path", "status", "error_code"),
    [
        ("GET", "/invocations", 405, "METHOD_NOT_ALLOWED"),
        ("POST", "/ping", 405, "METHOD_NOT_ALLOWED"),
        ("GET", "/elsewhere", 404, "ENDPOINT_NOT_FOUND"),
    ],
)
def test_another_route_or_method_is_told_so(method: str, path: str, status: int, error_code: str) -> None:
    response = ask(method, path, same)
    assert (response.status_code, response.json()["error_code"]) == (status, error_code)


def test_inputs_are_scored_also_without_a_content_type() -> None:
    response = ask("POST", "/invocations", lambda data, params: data * 2, content=b'{"inputs": [[1, 2]]}')
    assert response.json() == {"predictions": [[2, 4]]}


def test_a_body_beyond_the_bound_is_413() -> None:
    response = ask("POST", "/invocations", same, limits=Limits(body_bytes_max=10), content=b"x" * 11)
    assert (response.status_code, response.json()["error_code"]) == (413, "REQUEST_ENTITY_TOO_LARGE")


def test_a_model_that_raises_is_400_without_its_trace_or_the_data() -> None:
    def fail(data: Any, params: Any) -> Any:
        raise ValueError("the secret is 424242")

    response = ask("POST", "/invocations", fail, json={"inputs": [424242]})
    assert (response.status_code, response.json()["error_code"]) == (400, "BAD_REQUEST")
    assert "424242" not in response.text
    assert "Traceback" not in response.text


def test_a_language_models_body_passes_through_and_its_answer_is_not_wrapped() -> None:
    response = ask("POST", "/invocations", same, json={"messages": [{"role": "user"}], "n": 1})
    assert response.json() == {"messages": [{"role": "user"}], "n": 1}


@pytest.mark.parametrize(
    "body",
    [
        b"", b" ", b"[]", b"1", b'"x"', b"null", b"{", b"{}", b"\xff", b'{"inputs": "\xff"}', b"[" * 100_000,
        b'{"inputs": ' + b"1" * 5000 + b"}", b'{"inputs": [[1], [1, 2]]}', b'{"inputs": [1], "instances": [1]}',
        b'{"dataframe_split": 1}', b'{"dataframe_split": {"columns": ["a"]}}', b'{"dataframe_records": {}}',
        b'{"dataframe_split": {"columns": ["a"], "data": [[1, 2]]}}',
        b'{"dataframe_split": {"data": [[1]], "more": 1}}',
    ],
)  # fmt: skip
def test_a_bad_body_is_400_and_never_500(body: bytes) -> None:
    response = ask("POST", "/invocations", same, content=body, headers={"content-type": "application/json"})
    assert (response.status_code, response.json()["error_code"]) == (400, "BAD_REQUEST"), response.text


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/json; format=pandas-split", "application/json; charset=latin-1"]
)
def test_another_content_type_is_415(content_type: str) -> None:
    response = ask("POST", "/invocations", same, content=b"{}", headers={"content-type": content_type})
    assert response.status_code == 415


def test_rows_that_wait_together_are_predicted_once_in_the_schemas_order() -> None:
    shapes: list[tuple[int, ...]] = []

    def total(array: Any, params: Any) -> Any:
        shapes.append(array.shape)
        return array @ [1, 10]

    scorer = Scorer(signed(same, NUMBERS, array=total), row_wise=True)
    turned = {"dataframe_split": {"columns": ["b", "a"], "data": [[1, 2], [3, 4]]}}
    answers = ask_all(scorer, [row(1, 2), {"method": "POST", "url": "/invocations", "json": turned}, row(5, 6)])
    assert [answer.json()["predictions"] for answer in answers] == [[21.0], [12.0, 34.0], [65.0]]
    assert shapes == [(4, 2)]


def test_a_row_that_the_model_fails_on_does_not_fail_its_neighbours() -> None:
    def careful(array: Any, params: Any) -> Any:
        if (array < 0).any():
            raise ValueError("negative")
        return array.sum(axis=1)

    scorer = Scorer(signed(same, NUMBERS, array=careful), row_wise=True)
    good, failed, wrong, also_good = ask_all(scorer, [row(1, 2), row(-1, 2), row("x", 2), row(3, 4)])
    assert (good.json(), also_good.json()) == ({"predictions": [3.0]}, {"predictions": [7.0]})
    assert failed.status_code == wrong.status_code == 400
    assert "'a'" in wrong.json()["message"]


def test_a_users_own_code_is_never_given_the_rows_of_two_requests() -> None:
    scorer = Scorer(signed(lambda data, params: [len(data)], NUMBERS))
    assert [answer.json() for answer in ask_all(scorer, [row(1, 2), row(3, 4)])] == [{"predictions": [1]}] * 2


def test_requests_with_other_params_are_predicted_apart() -> None:
    def add(array: Any, params: Any) -> Any:
        return array.sum(axis=1) + params["more"]

    more = [{"name": "more", "type": "long", "default": 0, "shape": None}]
    scorer = Scorer(signed(same, {**NUMBERS, "params": more}, array=add), row_wise=True)
    requests = [row(1, 2) | {"json": {**row(1, 2)["json"], "params": {"more": number}}} for number in (1, 1, 5)]
    assert [answer.json()["predictions"] for answer in ask_all(scorer, requests)] == [[4.0], [4.0], [8.0]]
    assert scorer.metrics.requests["invocations", 200] == 3


def test_tensors_that_wait_together_are_stacked_and_one_of_another_shape_is_refused_alone() -> None:
    sizes: list[int] = []

    def predict(array: Any, params: Any) -> Any:
        sizes.append(len(array))
        return array * 2

    scorer = Scorer(signed(predict, TENSOR), row_wise=True)
    bodies = [{"inputs": [[1, 2]]}, {"instances": [[3, 4], [5, 6]]}, {"inputs": [[1, 2, 3]]}]
    one, two, wrong = ask_all(scorer, [{"method": "POST", "url": "/invocations", "json": body} for body in bodies])
    assert (one.json()["predictions"], two.json()["predictions"]) == ([[2, 4]], [[6, 8], [10, 12]])
    assert (wrong.status_code, wrong.json()["error_class"]) == (400, "SCHEMA_ENFORCEMENT_FAILED")
    assert sizes == [3]


def test_the_metrics_count_requests_and_batches() -> None:
    scorer = Scorer(signed(same, NUMBERS, array=lambda array, params: array), "iris", "3", row_wise=True)
    *_, metrics = ask_all(scorer, [row(1, 2), row(3, 4)]) + ask_all(scorer, [{"method": "GET", "url": "/metrics"}])
    lines = metrics.text.splitlines()
    assert 'headrace_scoring_requests_total{model="iris",version="3",route="invocations",status="200"} 2' in lines
    assert 'headrace_scoring_batches_total{model="iris",version="3"} 1' in lines
    assert 'headrace_scoring_batched_requests_total{model="iris",version="3"} 2' in lines


def test_the_quick_way_and_the_whole_way_give_a_model_the_same() -> None:
    frame = pd.DataFrame({"a": [1.0, 3.0], "b": [2.0, 4.0]})
    bodies = [
        {"dataframe_split": {"columns": ["a", "b"], "data": [[1, 2], [3, 4]]}},
        {"dataframe_split": {"columns": ["a", "b"], "data": [[1, 2], [3, "4"]]}},
        {"dataframe_records": [{"a": 1, "b": 2}, {"a": 3, "b": 4}]},
        {"inputs": {"a": [1, 3], "b": [2, 4]}},
        {"instances": [{"a": 1, "b": 2}, {"a": 3, "b": 4, "c": 5}]},
    ]
    given: list[pd.DataFrame] = []
    scorer = Scorer(signed(lambda data, params: given.append(data), NUMBERS))
    ask_all(scorer, [{"method": "POST", "url": "/invocations", "json": body} for body in bodies])
    assert len(given) == len(bodies)
    for one in given:
        pd.testing.assert_frame_equal(one, frame)


@pytest.mark.parametrize(("encoding", "packed"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_a_compressed_body_is_read_within_the_bound(encoding: str, packed: Callable[[bytes], bytes]) -> None:
    headers = {"content-encoding": encoding}
    body = packed(b'{"inputs": [1, 2]}')
    assert ask("POST", "/invocations", same, content=body, headers=headers).json() == {"predictions": [1, 2]}
    for wrong, limits, status in (
        (packed(b"1" * 100_000), Limits(body_bytes_max=1_000), 413),
        (body[:-5], Limits(), 400),
        (b"no such thing", Limits(), 400),
    ):
        answer = ask("POST", "/invocations", same, limits=limits, content=wrong, headers=headers)
        assert answer.status_code == status
    other = {"content-encoding": "br"}
    assert ask("POST", "/invocations", same, content=body, headers=other).status_code == 415


def test_a_prediction_beyond_the_timeout_is_504_and_the_next_request_is_answered() -> None:
    release = threading.Event()

    def hang_on_1(data: Any, params: Any) -> Any:
        if data.tolist() == [1]:
            release.wait()
        return data

    async def both() -> list[int]:
        scorer = Scorer(signed(hang_on_1), limits=Limits(timeout_s=0.3))
        statuses = [
            (await scorer.answer("POST", "/invocations", {}, body)).status
            for body in (b'{"inputs": [1]}', b'{"inputs": [2]}')
        ]
        release.set()
        scorer.close()
        return statuses

    assert asyncio.run(both()) == [504, 200]


def test_a_full_queue_is_429_with_a_time_to_come_again() -> None:
    limits = Limits(queue_requests_max=1)
    scorer = Scorer(signed(same), limits=limits)
    answers = ask_all(scorer, [{"method": "POST", "url": "/invocations", "json": {"inputs": [1]}}] * 3)
    assert sorted(answer.status_code for answer in answers) == [200, 429, 429]
    assert {answer.headers.get("retry-after") for answer in answers if answer.status_code == 429} == {"1"}


def test_columns_of_several_kinds_of_numbers_go_as_one_array_where_the_model_takes_one() -> None:
    given: list[Any] = []

    def predict(array: Any, params: Any) -> Any:
        given.append(array)
        return array[:, 1]

    mixed = {"inputs": columns(a="long", b="float", c="integer")}
    scorer = Scorer(signed(same, mixed, array=predict), row_wise=True)
    split = {"columns": ["c", "b", "a"], "data": [[1, 0.5, 3.0], [4, 2, 6]]}
    bodies = [
        {"dataframe_split": split},
        {"dataframe_records": [{"a": 7, "b": 8, "c": 9, "d": 1}]},
        {"dataframe_records": [{"a": 7.5, "b": 8, "c": 9}]},
        {"dataframe_records": [{"a": 7, "b": 8, "c": 2**31}]},
    ]
    one, other, fraction, large = ask_all(
        scorer, [{"method": "POST", "url": "/invocations", "json": body} for body in bodies]
    )
    assert (one.json(), other.json()) == ({"predictions": [0.5, 2.0]}, {"predictions": [8.0]})
    assert [array.tolist() for array in given] == [[[3, 0.5, 1], [6, 2, 4], [7, 8, 9]]]
    assert ("'a'" in fraction.json()["message"], "'c'" in large.json()["message"]) == (True, True)


@pytest.mark.parametrize(("loader", "sizes"), [("mlflow.sklearn", [2]), ("mlflow.statsmodels", [1, 1])])
def test_rows_of_a_framework_are_stacked_but_for_time_series(loader: str, sizes: list[int]) -> None:
    found: list[int] = []

    def predict(array: Any, params: Any) -> Any:
        found.append(len(array))
        return array[:, 0]

    model = signed(same, NUMBERS, array=predict)
    model.metadata.pyfunc["loader_module"] = loader
    answers = ask_all(Scorer(model), [row(1, 2), row(3, 4)])
    assert [answer.json()["predictions"] for answer in answers] == [[1.0], [3.0]]
    assert found == sizes
