"""The Open Inference Protocol V2 over REST, by the letter; its own client is tried in tests/e2e."""

from __future__ import annotations

import json
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest
from headrace.sdk.serving.batching import Limits
from headrace.sdk.serving.scorer import Scorer

from tests.scoring import Predict, ask_all, signed
from tests.scoring_corpus import columns, tensor

NUMBERS = {"inputs": columns(a="double", b="double"), "outputs": [tensor("float64", -1, name="total")]}
MIXED = {"inputs": columns(n="long", s="string", y="binary", t="datetime", b="boolean")}
TENSOR = {"inputs": [tensor("float32", -1, 2)]}
NAMED = {"inputs": [tensor("float32", -1, 2, name="x"), tensor("int64", -1, name="y")]}


def same(data: Any, params: Any) -> Any:
    """What it was given."""
    return data


def row_sum(array: Any, params: Any) -> Any:
    """The sum of each row."""
    return np.asarray(array).sum(axis=1)


def get(path: str, method: str = "GET") -> httpx.Response:
    """The answer of the model iris, version 3."""
    return ask_all(Scorer(signed(row_sum, NUMBERS), "iris", "3"), [{"method": method, "url": path}])[0]


def infer(
    predict: Predict, signature: Any, *inputs: dict[str, Any], binary: bytes | None = None, **more: Any
) -> httpx.Response:
    """The answer to an inference. binary: what follows the JSON."""
    text = json.dumps({"inputs": inputs, **more}).encode()
    headers = {} if binary is None else {"inference-header-content-length": str(len(text))}
    scorer = Scorer(signed(predict, signature), "iris", "3")
    request = {
        "method": "POST", "url": "/v2/models/iris/infer", "content": text + (binary or b""), "headers": headers
    }  # fmt: skip
    return ask_all(scorer, [request])[0]


def a_tensor(name: str, datatype: str, shape: list[int], data: Any = None, **parameters: Any) -> dict[str, Any]:
    """A tensor of a request."""
    said = {"name": name, "datatype": datatype, "shape": shape}
    return said | ({} if data is None else {"data": data}) | ({"parameters": parameters} if parameters else {})


def test_the_server_and_the_model_say_what_they_are() -> None:
    assert get("/v2").json()["extensions"] == ["binary_tensor_data"]
    for path in ("/v2/health/live", "/v2/health/ready", "/v2/models/iris/ready", "/v2/models/iris/versions/3/ready"):
        assert get(path).status_code == 200
    for path in ("/v2/models/iris", "/v2/models/iris/versions/3"):
        assert get(path).json() == {
            "name": "iris",
            "versions": ["3"],
            "platform": "headrace",
            "inputs": [
                {"name": "a", "datatype": "FP64", "shape": [-1]},
                {"name": "b", "datatype": "FP64", "shape": [-1]},
            ],
            "outputs": [{"name": "total", "datatype": "FP64", "shape": [-1]}],
        }


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v2/models/other", 404),
        ("GET", "/v2/models/iris/versions/4/ready", 404),
        ("POST", "/v2/models/other/infer", 404),
        ("GET", "/v2/elsewhere", 404),
        ("GET", "/v2/models/iris/versions", 404),
        ("GET", "/v2/models/iris/infer", 405),
        ("POST", "/v2/models/iris", 405),
    ],
)
def test_what_is_not_here_is_an_error_of_the_protocol(method: str, path: str, status: int) -> None:
    response = get(path, method)
    assert response.status_code == status
    assert list(response.json()) == ["error"]


def test_columns_come_as_tensors_in_any_order_and_the_id_comes_back() -> None:
    response = infer(
        row_sum, NUMBERS, a_tensor("b", "INT64", [2], [10, 20]), a_tensor("a", "FP32", [2, 1], [[1], [2]]), id="7"
    )
    assert response.json() == {
        "model_name": "iris",
        "model_version": "3",
        "id": "7",
        "outputs": [{"name": "total", "datatype": "FP64", "shape": [2], "data": [11.0, 22.0]}],
    }


def test_one_matrix_is_all_columns_in_the_schemas_order() -> None:
    response = infer(row_sum, NUMBERS, a_tensor("anything", "FP64", [2, 2], [1, 10, 2, 20]))
    assert response.json()["outputs"][0]["data"] == [11.0, 22.0]


def test_requests_of_both_protocols_that_wait_are_predicted_together() -> None:
    sizes: list[int] = []

    def predict(array: Any, params: Any) -> Any:
        sizes.append(len(array))
        return array.sum(axis=1)

    second = {"inputs": [a_tensor("x", "FP64", [1, 2], [1, 2])]}
    first = {"dataframe_records": [{"a": 3, "b": 4}]}
    scorer = Scorer(signed(predict, NUMBERS, array=predict), "iris", "3", row_wise=True)
    of_second, of_first = ask_all(
        scorer,
        [
            {"method": "POST", "url": "/v2/models/iris/versions/3/infer", "json": second},
            {"method": "POST", "url": "/invocations", "json": first},
        ],
    )
    assert of_second.json()["outputs"][0]["data"] == [3.0]
    assert of_first.json() == {"predictions": [7.0]}
    assert sizes == [2]


def test_mixed_columns_become_a_frame_of_the_schemas_types() -> None:
    given: list[pd.DataFrame] = []
    response = infer(
        lambda data, params: given.append(data) or [1.0],  # type: ignore[func-returns-value]
        MIXED,
        a_tensor("n", "INT32", [1], [3]),
        a_tensor("s", "BYTES", [1], ["ü"]),
        a_tensor("t", "BYTES", [1], ["2020-01-02"]),
        a_tensor("b", "BOOL", [1], [True]),
        a_tensor("y", "BYTES", [1], binary_data_size=6),
        binary=b"\x02\x00\x00\x00\xff\x00",
    )
    assert response.status_code == 200, response.text
    (frame,) = given
    assert frame.iloc[0].tolist() == [3, "ü", b"\xff\x00", pd.Timestamp("2020-01-02"), True]
    assert [str(frame[name].dtype) for name in ("n", "t", "b")] == ["int64", "datetime64[ns]", "bool"]


@pytest.mark.parametrize(
    ("datatype", "dtype"), [("FP16", "<f2"), ("FP32", "<f4"), ("FP64", "<f8"), ("INT8", "i1"), ("UINT16", "<u2")]
)
def test_a_binary_tensor_goes_in_and_comes_out_as_binary(datatype: str, dtype: str) -> None:
    array = np.array([[1, 2], [3, 4]], dtype=dtype)
    response = infer(
        same,
        None,
        a_tensor("x", datatype, [2, 2], binary_data_size=array.nbytes),
        binary=array.tobytes(),
        parameters={"binary_data_output": True},
    )
    length = int(response.headers["inference-header-content-length"])
    (output,) = json.loads(response.content[:length])["outputs"]
    assert (output["datatype"], output["shape"]) == (datatype, [2, 2])
    assert response.content[length:] == array.tobytes()
    assert output["parameters"] == {"binary_data_size": array.nbytes}


def test_bytes_go_in_and_come_out_by_the_binary_extension() -> None:
    blob = b"\x01\x00\x00\x00\xff\x03\x00\x00\x00abc"
    wanted = [{"name": "predictions", "parameters": {"binary_data": True}}]
    response = infer(same, None, a_tensor("x", "BYTES", [2], binary_data_size=len(blob)), binary=blob, outputs=wanted)
    assert response.content.endswith(blob)


def test_tensors_by_name_and_one_without_go_as_the_signature_says() -> None:
    named = infer(same, NAMED, a_tensor("y", "INT32", [1], [5]), a_tensor("x", "FP64", [1, 2], [[1, 2]]))
    assert {one["name"]: one["datatype"] for one in named.json()["outputs"]} == {"x": "FP32", "y": "INT64"}
    one = infer(same, TENSOR, a_tensor("whatever", "FP64", [1, 2], [1, None]))
    assert one.json()["outputs"] == [{"name": "predictions", "datatype": "FP32", "shape": [1, 2], "data": [1.0, None]}]


def test_a_frame_and_a_dict_come_back_as_a_tensor_for_each_column() -> None:
    frame = pd.DataFrame({"n": [1, 2], "s": ["x", "y"]})
    response = infer(lambda data, params: frame, None, a_tensor("x", "FP32", [1], [1]))
    assert response.json()["outputs"] == [
        {"name": "n", "datatype": "INT64", "shape": [2], "data": [1, 2]},
        {"name": "s", "datatype": "BYTES", "shape": [2], "data": ["x", "y"]},
    ]
    some = infer(lambda data, params: frame, None, a_tensor("x", "FP32", [1], [1]), outputs=[{"name": "s"}])
    assert [one["name"] for one in some.json()["outputs"]] == ["s"]


def test_without_a_signature_content_type_pd_makes_a_frame() -> None:
    inputs = [a_tensor("a", "FP32", [1], [1]), a_tensor("s", "BYTES", [1], ["x"])]
    framed = infer(lambda data, params: data.assign(rows=len(data)), None, *inputs, parameters={"content_type": "pd"})
    assert [one["name"] for one in framed.json()["outputs"]] == ["a", "s", "rows"]


GOOD = a_tensor("a", "FP64", [1], [1])
BAD: dict[str, dict[str, Any]] = {
    "no inputs": {"inputs": []},
    "inputs that are none": {"inputs": 3},
    "an unknown datatype": {"inputs": [a_tensor("a", "COMPLEX", [1], [1])]},
    "too few items": {"inputs": [a_tensor("a", "FP64", [2], [1])]},
    "a negative length": {"inputs": [a_tensor("a", "FP64", [-1], [1])]},
    "a huge shape": {"inputs": [a_tensor("a", "FP64", [2**40, 2**40], [1])]},
    "no data": {"inputs": [a_tensor("a", "FP64", [1])]},
    "text for numbers": {"inputs": [a_tensor("a", "FP64", [1], ["x"])]},
    "a fraction for INT64": {"inputs": [a_tensor("a", "INT64", [1], [1.5])]},
    "beyond INT8": {"inputs": [a_tensor("a", "INT8", [1], [300])]},
    "ragged": {"inputs": [a_tensor("a", "FP64", [2, 2], [[1, 2], [3]])]},
    "missing": {"inputs": [GOOD]},
    "twice": {"inputs": [GOOD, GOOD]},
    "bytes that are not there": {"inputs": [a_tensor("a", "FP64", [1], binary_data_size=8)]},
    "a size that is no number": {"inputs": [a_tensor("a", "FP64", [1], binary_data_size="8")]},
    "an unknown output": {"inputs": [GOOD, GOOD | {"name": "b"}], "outputs": [{"name": "other"}]},
    "two lengths": {"inputs": [GOOD, a_tensor("b", "FP64", [2], [1, 2])]},
    "a matrix for a column": {"inputs": [GOOD, a_tensor("b", "FP64", [1, 2], [1, 2])]},
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_request_is_400_with_an_error(name: str) -> None:
    scorer = Scorer(signed(row_sum, NUMBERS), "iris", "3")
    (response,) = ask_all(scorer, [{"method": "POST", "url": "/v2/models/iris/infer", "json": BAD[name]}])
    assert (response.status_code, list(response.json())) == (400, ["error"]), response.text


@pytest.mark.parametrize("header", ["-1", "x", "1000000", "²"])
@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[]", b"[" * 100_000])
def test_a_body_that_is_none_is_400(header: str, body: bytes) -> None:
    scorer = Scorer(signed(row_sum, NUMBERS), "iris", "3")
    requests: list[dict[str, Any]] = [
        {"method": "POST", "url": "/v2/models/iris/infer", "content": body},
        {
            "method": "POST",
            "url": "/v2/models/iris/infer",
            "content": body,
            "headers": {"inference-header-content-length": header.encode()},
        },
    ]
    assert [answer.status_code for answer in ask_all(scorer, requests)] == [400, 400]


def test_a_body_beyond_the_bound_is_413_and_a_long_one_is_read_on_the_thread() -> None:
    big = {"inputs": [a_tensor("x", "FP64", [50_000, 2], [1.0] * 100_000)]}
    for limits, status in ((Limits(), 200), (Limits(body_bytes_max=1000), 413)):
        scorer = Scorer(signed(row_sum, NUMBERS), "iris", "3", limits)
        (response,) = ask_all(scorer, [{"method": "POST", "url": "/v2/models/iris/infer", "json": big}])
        assert response.status_code == status


def test_a_model_that_raises_is_an_error_without_the_data() -> None:
    def fail(data: Any, params: Any) -> Any:
        raise ValueError("the secret is 424242")

    response = infer(fail, None, a_tensor("x", "INT64", [1], [424242]))
    assert (response.status_code, list(response.json())) == (400, ["error"])
    assert "424242" not in response.text
