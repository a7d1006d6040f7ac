"""Asking a server about its registry: one request, all pages of one, and texts as MLflow's JSON has them.

Each function of the registry asks the server of the tracking URI in force, behind a flush of what was logged here;
`source` names another reader. All raise ReadFailed with the server's own message: RESOURCE_DOES_NOT_EXIST for a name,
version or alias that is not there, RESOURCE_ALREADY_EXISTS for a name that is taken, INVALID_PARAMETER_VALUE
for the rest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from headrace.sdk.reader import Reader, reader

V2 = "/api/2.0/mlflow"
OURS = "/api/headrace/v1"
PAGE = 1_000
ALL_RESULTS = 2**31


def call(source: Reader | None, method: str, path: str, **arguments: Any) -> dict[str, Any]:
    """A JSON request and its answer."""
    return (source or reader()).call(method, path, **arguments)


def pages(
    source: Reader | None, path: str, name: str, asked: Mapping[str, Any], max_results: int | None
) -> Iterator[dict[str, Any]]:
    """What a GET lists under a name, page by page, up to max_results. asked: parameters; empty ones are left out."""
    asked_one = source or reader()
    left = ALL_RESULTS if max_results is None else max_results
    token = ""
    while left > 0:
        params = {**asked, "max_results": min(left, PAGE), **({"page_token": token} if token else {})}
        answer = asked_one.call("GET", path, params={key: value for key, value in params.items() if value})
        page = answer.get(name, [])
        yield from page
        left -= len(page)
        token = answer.get("next_page_token") or ""
        if not token:
            return


def pairs(given: Mapping[str, Any] | None) -> list[dict[str, str]]:
    """Texts by key as MLflow's list of them."""
    return [{"key": key, "value": str(value)} for key, value in (given or {}).items()]
