"""The scorer over its ASGI application: MLflow's routes and errors."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import pytest
from headrace.sdk.serving.asgi import ScoringApp
from headrace.sdk.serving.batching import Limits
from headrace.sdk.serving.scorer import Scorer
from headrace.sdk.version import VERSION


class Function:
    """A model of one function, without a signature."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self.function = function

    def predict(self, data: Any, params: dict[str, Any] | None = None) -> Any:
        """What the function gives."""
        return self.function(data)


def ask(
    method: str, path: str, function: Callable[[Any], Any] = np.asarray, limits: Limits | None = None, **request: Any
) -> httpx.Response:
    """One request to a server of its own."""

    async def once() -> httpx.Response:
        scorer = Scorer(Function(function), "doubling", "7", limits)
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(ScoringApp(scorer)), base_url="http://server"
        ) as client:
            response = await client.request(method, path, **request)
        scorer.close()
        return response

    return asyncio.run(once())


@pytest.mark.parametrize("path", ["/ping", "/health"])
def test_a_loaded_model_is_healthy(path: str) -> None:
    response = ask("GET", path)
    assert (response.status_code, response.text) == (200, "\n")


def test_the_version_is_the_products() -> None:
    assert ask("GET", "/version").text == VERSION


@pytest.mark.parametrize(
    ("method", "path", "status", "error_code"),
    [
        ("GET", "/invocations", 405, "METHOD_NOT_ALLOWED"),
        ("POST", "/ping", 405, "METHOD_NOT_ALLOWED"),
        ("GET", "/elsewhere", 404, "ENDPOINT_NOT_FOUND"),
    ],
)
def test_another_route_or_method_is_told_so(method: str, path: str, status: int, error_code: str) -> None:
    response = ask(method, path)
    assert (response.status_code, response.json()["error_code"]) == (status, error_code)


def test_inputs_are_scored_also_without_a_content_type() -> None:
    response = ask("POST", "/invocations", lambda data: data * 2, content=b'{"inputs": [[1, 2]]}')
    assert response.json() == {"predictions": [[2, 4]]}


def test_a_body_beyond_the_bound_is_413() -> None:
    response = ask("POST", "/invocations", limits=Limits(body_bytes_max=10), content=b"x" * 11)
    assert (response.status_code, response.json()["error_code"]) == (413, "REQUEST_ENTITY_TOO_LARGE")


def test_a_model_that_raises_is_400_without_its_trace_or_the_data() -> None:
    def fail(data: Any) -> Any:
        raise ValueError("the secret is 424242")

    response = ask("POST", "/invocations", fail, json={"inputs": [424242]})
    assert (response.status_code, response.json()["error_code"]) == (400, "BAD_REQUEST")
    assert "424242" not in response.text
    assert "Traceback" not in response.text


def test_a_language_models_body_passes_through_and_its_answer_is_not_wrapped() -> None:
    response = ask("POST", "/invocations", lambda data: data, json={"messages": [{"role": "user"}], "n": 1})
    assert response.json() == {"messages": [{"role": "user"}], "n": 1}


@pytest.mark.parametrize(
    "body",
    [
        b"", b" ", b"[]", b"1", b'"x"', b"null", b"{", b"{}", b"\xff", b'{"inputs": "\xff"}', b"[" * 100_000,
        b'{"inputs": ' + b"1" * 5000 + b"}", b'{"inputs": [[1], [1, 2]]}', b'{"inputs": [1], "instances": [1]}',
        b'{"dataframe_split": 1}', b'{"dataframe_split": {"columns": ["a"]}}', b'{"dataframe_records": {}}',
        b'{"dataframe_split": {"columns": ["a"], "data": [[1, 2]]}}', b'{"inputs": [1], "params": 3}',
        b'{"dataframe_split": {"data": [[1]], "more": 1}}',
    ],
)  # fmt: skip
def test_a_bad_body_is_400_and_never_500(body: bytes) -> None:
    response = ask("POST", "/invocations", content=body, headers={"content-type": "application/json"})
    assert (response.status_code, response.json()["error_code"]) == (400, "BAD_REQUEST"), response.text


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/json; format=pandas-split", "application/json; charset=latin-1"]
)
def test_another_content_type_is_415(content_type: str) -> None:
    response = ask("POST", "/invocations", content=b"{}", headers={"content-type": content_type})
    assert response.status_code == 415
