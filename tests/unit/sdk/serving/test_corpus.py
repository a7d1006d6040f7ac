"""One corpus of good and bad bodies: ours answers as stock MLflow did, but for what is listed here."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest
from headrace.sdk.flavors.flavor import Predictor
from headrace.sdk.models.mlmodel import Metadata
from headrace.sdk.models.pyfunc import PyFuncModel
from headrace.sdk.models.signature import ModelSignature
from headrace.sdk.serving.asgi import ScoringApp
from headrace.sdk.serving.scorer import Scorer

from tests import scoring_corpus as corpus

GOLDEN = Path(__file__).parents[3] / "golden" / "scoring_mlflow.json"
CASES = {case.name: case for case in corpus.cases()}


@cache
def golden() -> dict[str, Any]:
    """What stock MLflow answered."""
    answers: dict[str, Any] = json.loads(GOLDEN.read_text(encoding="utf-8"))["answers"]
    return answers


def model(name: str) -> PyFuncModel:
    """A model of the corpus."""

    def answer(data: Any, params: Any) -> Any:
        return corpus.answer(data["input"] if isinstance(data, dict) else str(data))

    signature = corpus.MODELS[name]
    kept = None if signature is None else {key: json.dumps(value) for key, value in signature.items()}
    metadata = Metadata(
        flavors={"python_function": {"loader_module": "corpus"}},
        signature=None if kept is None else ModelSignature.from_dict(kept),
    )
    return PyFuncModel(metadata, Predictor(None, answer if name == "answers" else corpus.describe), Path())


async def answered(cases: list[corpus.Case]) -> dict[str, httpx.Response]:
    answers = {}
    scorers = {name: Scorer(model(name)) for name in corpus.MODELS}
    for case in cases:
        transport = httpx.ASGITransport(ScoringApp(scorers[case.model]))
        async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
            headers = {} if case.content_type is None else {"content-type": case.content_type}
            answers[case.name] = await client.post("/invocations", content=case.body, headers=headers)
    for scorer in scorers.values():
        scorer.close()
    return answers


@cache
def ours() -> dict[str, httpx.Response]:
    """What ours answers."""
    return asyncio.run(answered(list(CASES.values())))


def main():
    for name, response in ours().items():
        stock = golden()[name]
        sj = stock.get("json"); 
        try: oj = response.json()
        except ValueError: oj = response.text
        if response.status_code != stock["status"]:
            print(f"STATUS {name}: stock {stock['status']} ours {response.status_code}\n     S {str(sj)[:150]}\n     O {str(oj)[:230]}")
        elif stock["status"] == 200:
            if oj != sj:
                print(f"BODY {name}\n     S {json.dumps(sj)[:400]}\n     O {json.dumps(oj)[:400]}")
        elif isinstance(sj, dict) and (sj["error_code"] != oj["error_code"] or sj.get("error_class") != oj.get("error_class")):
            print(f"CODE {name}: {sj['error_code']}/{sj.get('error_class')} {oj['error_code']}/{oj.get('error_class')} {oj['message'][:120]}")
if __name__ == "__main__": main()
