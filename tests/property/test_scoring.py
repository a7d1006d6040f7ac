"""Whatever is sent to a scorer, the answer is JSON that says what is wrong, and never a 500."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from headrace.sdk.serving.content import TYPES
from headrace.sdk.serving.faults import Answer
from headrace.sdk.serving.scorer import Scorer
from hypothesis import given
from hypothesis import strategies as st

from tests import scoring_corpus as corpus
from tests.scoring import signed

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["1.5", "2020-01-02", "MA==", "x"])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("abxylsdtv"), inner, max_size=4),
    max_leaves=12,
)
TABLES = st.fixed_dictionaries(
    {"data": st.lists(st.lists(SCALARS, max_size=4), max_size=4) | VALUES},
    optional={"columns": st.lists(st.sampled_from("abldtsy"), max_size=5) | VALUES, "index": VALUES},
)
BODIES = st.dictionaries(
    st.sampled_from(["dataframe_split", "dataframe_records", "instances", "inputs", "params", "input", "x"]),
    VALUES | TABLES,
    max_size=3,
)
DATATYPES = st.sampled_from(["BOOL", "INT8", "INT64", "UINT64", "FP16", "FP32", "FP64", "BYTES", "BF16"])
TENSORS = st.fixed_dictionaries(
    {
        "name": st.sampled_from("abxyls") | VALUES,
        "shape": st.lists(st.integers(-1, 3), max_size=3) | VALUES,
        "datatype": DATATYPES | VALUES,
    },
    optional={"data": VALUES, "parameters": st.dictionaries(st.just("binary_data_size"), VALUES) | VALUES},
)
REQUESTS = st.fixed_dictionaries(
    {"inputs": st.lists(TENSORS, max_size=3) | VALUES}, optional={"outputs": VALUES, "id": VALUES, "parameters": VALUES}
)
MODELS = sorted(corpus.MODELS.keys() - {"answers"})


class Scorers:
    """A scorer for each model of the corpus, on a loop of its own."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.scorers = {name: Scorer(signed(corpus.describe, corpus.MODELS[name])) for name in MODELS}

    def ask(self, name: str, path: str, body: bytes, **headers: str) -> Answer:
        """The answer of a model."""
        named = {key.replace("_", "-"): value for key, value in headers.items()}
        return self.loop.run_until_complete(self.scorers[name].answer("POST", path, named, body))

    def close(self) -> None:
        """Let go of the threads and the loop."""
        for scorer in self.scorers.values():
            scorer.close()
        self.loop.close()


@pytest.fixture(scope="module")
def scorers() -> Iterator[Scorers]:
    made = Scorers()
    yield made
    made.close()


def strict(answer: Answer) -> Any:
    """The JSON of an answer, which must be some: no NaN, no trace, no 500."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    assert answer.status < 500, answer
    assert b"Traceback" not in answer.body
    return json.loads(answer.body, parse_constant=refuse)


@given(name=st.sampled_from(MODELS), body=BODIES | VALUES)
def test_any_json_is_answered(scorers: Scorers, name: str, body: Any) -> None:
    answer = scorers.ask(name, "/invocations", json.dumps(body).encode())
    said = strict(answer)
    assert answer.status == 200 or said.keys() >= {"error_code", "message"}


@given(name=st.sampled_from(MODELS), body=st.binary(max_size=200), content_type=st.sampled_from(TYPES))
def test_any_bytes_are_answered(scorers: Scorers, name: str, body: bytes, content_type: str) -> None:
    answer = scorers.ask(name, "/invocations", body, content_type=content_type)
    said = strict(answer)
    assert answer.status == 200 or said.keys() >= {"error_code", "message"}


@given(content_type=st.text(max_size=40), accept=st.text(max_size=40), encoding=st.text(max_size=8))
def test_any_headers_are_answered(scorers: Scorers, content_type: str, accept: str, encoding: str) -> None:
    body = b'{"dataframe_records": [{"a": 1, "b": 2}]}'
    strict(
        scorers.ask(
            "numbers", "/invocations", body, content_type=content_type, accept=accept, content_encoding=encoding
        )
    )


@given(name=st.sampled_from(MODELS), request=REQUESTS, binary=st.binary(max_size=20), length=st.none() | st.integers())
def test_any_request_of_the_open_inference_protocol_is_answered(
    scorers: Scorers, name: str, request: Any, binary: bytes, length: int | None
) -> None:
    text = json.dumps(request).encode()
    said = str(len(text) if length is None else length)
    answer = scorers.ask(name, "/v2/models/model/infer", text + binary, inference_header_content_length=said)
    if dict(answer.headers)[b"content-type"] == b"application/json":
        assert strict(answer).keys() & {"error", "outputs"}


@given(path=st.text(st.sampled_from("/v2modelsinferready1"), max_size=30))
def test_any_path_is_answered(scorers: Scorers, path: str) -> None:
    assert scorers.ask("numbers", f"/{path}", b"").status < 500


@given(rows=st.lists(st.tuples(st.floats(allow_nan=False), st.floats(allow_nan=False)), min_size=1, max_size=5))
def test_numbers_come_to_the_model_as_they_were_sent(scorers: Scorers, rows: list[tuple[float, float]]) -> None:
    body = {"dataframe_split": {"columns": ["b", "a"], "data": rows}}
    answer = scorers.ask("numbers", "/invocations", json.dumps(body).encode())
    frame = strict(answer)["predictions"]["given"]["frame"]
    assert frame["a"][1] == [f"float {a}" for _, a in rows]
    assert frame["b"][1] == [f"float {b}" for b, _ in rows]
