"""Models of one function, and a client of a scorer in this process."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
from headrace.sdk.flavors.flavor import Predictor
from headrace.sdk.models.mlmodel import Metadata
from headrace.sdk.models.pyfunc import PyFuncModel
from headrace.sdk.models.signature import ModelSignature
from headrace.sdk.serving.asgi import ScoringApp
from headrace.sdk.serving.batching import Limits
from headrace.sdk.serving.scorer import Scorer

Predict = Callable[..., Any]
"""(data, params) -> prediction."""


def signed(predict: Predict, signature: Mapping[str, Any] | None = None, array: Predict | None = None) -> PyFuncModel:
    """A loaded model that predicts by a function.

    signature: inputs, outputs and params as MLmodel has them, each a list. array: what predicts a 2-d array.
    """
    kept = None if signature is None else {key: json.dumps(value) for key, value in signature.items()}
    metadata = Metadata(
        flavors={"python_function": {"loader_module": "tests.scoring"}},
        signature=None if kept is None else ModelSignature.from_dict(kept),
    )
    return PyFuncModel(metadata, Predictor(None, predict, array), Path())


def ask_all(scorer: Scorer, requests: Sequence[Mapping[str, Any]]) -> list[httpx.Response]:
    """The answers to requests that are sent at once; each has httpx's method, url and the rest."""

    async def together() -> list[httpx.Response]:
        transport = httpx.ASGITransport(ScoringApp(scorer))
        async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
            return await asyncio.gather(*(client.request(**request) for request in requests))

    try:
        return asyncio.run(together())
    finally:
        scorer.close()


def ask(
    method: str,
    path: str,
    predict: Predict,
    signature: Mapping[str, Any] | None = None,
    limits: Limits | None = None,
    **request: Any,
) -> httpx.Response:
    """The answer of a scorer of its own to one request."""
    scorer = Scorer(signed(predict, signature), "doubling", "7", limits)
    return ask_all(scorer, [{"method": method, "url": path, **request}])[0]
