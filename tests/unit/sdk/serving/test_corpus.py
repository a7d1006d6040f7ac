"""One corpus of good and bad bodies: ours answers as stock MLflow did, but for what is listed here."""

from __future__ import annotations

import asyncio
import json
import math
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest
from headrace.sdk.models.pyfunc import PyFuncModel
from headrace.sdk.serving.asgi import ScoringApp
from headrace.sdk.serving.scorer import Scorer

from tests import scoring_corpus as corpus
from tests.scoring import signed

GOLDEN = Path(__file__).parents[3] / "golden_sources" / "scoring.json"
CASES = {case.name: case for case in corpus.cases()}

# Every difference, by its reason; docs/reference/scoring.md says the same in words.
NEVER_500 = {"body: nested too deep", "body: a number of 5000 digits", "content type: None"}
MORE_IS_READ = {
    "content type: ", "content type: Application/JSON", "csv: typed", "csv: a tensor", "parquet: integers for doubles",
}  # fmt: skip
ARRAYS_AND_OBJECTS_ARE_READ_IN_INSTANCES = {
    f"nested, instances: {row}" for row in ("good", "optional left out", "empty")
}
"""Stock makes arrays of them that its own enforcement refuses."""
ARRAYS_ARE_LISTS_AS_IN_A_DATAFRAME = {f"nested, inputs: {row}" for row in ("good", "optional left out", "empty")}
ARROW_IS_READ = {"content type: application/vnd.apache.arrow.stream"}
"""Its body here is JSON, so ours says 400 where stock says 415."""
NOTHING_CHANGES_SILENTLY = {
    "split: a row too short", "split: an index too long", "typed: l = 3.5", "typed: l = 9223372036854775808",
    "typed: l = 1e+300", "typed: i = 3.5", "typed: i = 2147483648", 'typed: b = 2', 'typed: b = "true"',
    'typed: b = "x"', "typed: b = null", "instances: a fraction for a long", "inputs: a fraction for a long",
    "tensors, instances: a fraction for int64", "tensors, inputs: a fraction for int64",
}  # fmt: skip
"""Stock answers 200, with another value than it was sent."""
BASE64_IS_READ_IN_EVERY_FIELD = {
    f"{field}: typed {rows}" for field in ("instances", "inputs") for rows in ("records", "columns")
}
"""Stock decodes it in the two dataframe fields only."""
TEXT_IS_TEXT = {"inputs: one column, records"}
"""Stock makes an array of no dimension of each text."""
NO_NAN_IN_JSON = {"answer: nan", "answer: frame with gaps"}
ANOTHER_CODE = {'typed: t = "2020-01-02T03:04:05+01:00"'}

STATUS_DIFFERS = (
    NEVER_500 | MORE_IS_READ | ARRAYS_AND_OBJECTS_ARE_READ_IN_INSTANCES | ARROW_IS_READ | NOTHING_CHANGES_SILENTLY
)
DATA_DIFFER = ARRAYS_ARE_LISTS_AS_IN_A_DATAFRAME | BASE64_IS_READ_IN_EVERY_FIELD | TEXT_IS_TEXT | NO_NAN_IN_JSON
CODE_DIFFERS = ANOTHER_CODE


@cache
def golden() -> dict[str, Any]:
    """What stock MLflow answered."""
    answers: dict[str, Any] = json.loads(GOLDEN.read_text(encoding="utf-8"))["answers"]
    return answers


def model(name: str) -> PyFuncModel:
    """A model of the corpus."""

    def answer(data: Any, params: Any) -> Any:
        return corpus.answer(data["input"] if isinstance(data, dict) else str(data))

    return signed(answer if name == "answers" else corpus.describe, corpus.MODELS[name])


@cache
def ours() -> dict[str, httpx.Response]:
    """What ours answers."""

    async def answered() -> dict[str, httpx.Response]:
        scorers = {name: Scorer(model(name)) for name in corpus.MODELS}
        answers = {}
        for case in CASES.values():
            transport = httpx.ASGITransport(ScoringApp(scorers[case.model]))
            async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
                headers = {} if case.content_type is None else {"content-type": case.content_type}
                answers[case.name] = await client.post("/invocations", content=case.body, headers=headers)
        for scorer in scorers.values():
            scorer.close()
        return answers

    return asyncio.run(answered())


def without_nan(value: Any) -> Any:
    """With null where stock writes NaN, Infinity or NaT."""
    if isinstance(value, dict):
        return {name: without_nan(item) for name, item in value.items()}
    if isinstance(value, list):
        return [without_nan(item) for item in value]
    return None if value == "NaT" or (isinstance(value, float) and not math.isfinite(value)) else value


def test_the_corpus_was_recorded_whole() -> None:
    assert golden().keys() == CASES.keys()


@pytest.mark.parametrize("name", CASES)
def test_ours_answers_as_stock_mlflow_or_as_is_listed(name: str) -> None:
    stock, answer = golden()[name], ours()[name]
    assert (answer.status_code != stock["status"]) == (name in STATUS_DIFFERS), answer.text
    if name in STATUS_DIFFERS:
        return
    if stock["status"] == 200:
        assert (answer.json() != stock["json"]) == (name in DATA_DIFFER), answer.text
        if name in NO_NAN_IN_JSON:
            assert answer.json() == without_nan(stock["json"])
    elif "json" in stock:
        keys = ("error_code", "error_class", "sqlstate")
        differs = [answer.json().get(key) for key in keys] != [stock["json"].get(key) for key in keys]
        assert differs == (name in CODE_DIFFERS), answer.text


@pytest.mark.parametrize("name", sorted(NEVER_500))
def test_what_makes_stock_fail_does_not_make_ours_fail(name: str) -> None:
    assert golden()[name]["status"] == 500
    assert ours()[name].status_code < 500


@pytest.mark.parametrize("name", [name for name in CASES if not name.startswith("answer: ")])
def test_no_body_is_answered_500_nor_with_a_trace(name: str) -> None:
    assert ours()[name].status_code < 500
    assert "Traceback" not in ours()[name].text
    assert "stack_trace" not in ours()[name].text
