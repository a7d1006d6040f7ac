"""Model endpoints of a server, from Python: make and change them, see how they stand, ask them (how-to/endpoints.md).

headrace.endpoints.create("iris", "models:/iris@champion", wait_s=60)
headrace.endpoints.invoke("iris", [[5.1, 3.5, 1.4, 0.2]])
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from headrace.sdk.reader import Moment, Reader, moment, reader

PATH = "/api/headrace/v1/endpoints"
WAIT_MAX_S = 600.0
_ANSWER_S = 30.0
"""Beyond what the server is asked to wait."""


def create(
    name: str,
    model: str = "",
    *,
    routes: Mapping[str, float] | None = None,
    shadow: str = "",
    options: Mapping[str, Any] | None = None,
    wait_s: float = 0.0,
    source: Reader | None = None,
) -> dict[str, Any]:
    """Create an endpoint; how it stands then.

    model: the `models:/` URI that it serves; or several as routes, each with its weight. shadow: gets a copy of the
    traffic. options: such as {"workers": 2, "log_sample": 0.1}. wait_s: until it has loaded, so long at most.
    Raises ReadFailed with the server's sentence.
    """
    source = source or reader()
    body: dict[str, Any] = {"name": name, "shadow": shadow, "options": dict(options or {})}
    body |= _models(model, routes)
    made = source.call("POST", PATH, json=body)
    return get(name, wait_s=wait_s, source=source) if wait_s else made


def update(
    name: str,
    model: str = "",
    *,
    routes: Mapping[str, float] | None = None,
    shadow: str | None = None,
    options: Mapping[str, Any] | None = None,
    wait_s: float = 0.0,
    source: Reader | None = None,
) -> dict[str, Any]:
    """Change what is given of an endpoint, and nothing else; how it stands then. shadow: empty for none.

    Raises ReadFailed with the server's sentence.
    """
    source = source or reader()
    body = _models(model, routes)
    if shadow is not None:
        body["shadow"] = shadow
    if options is not None:
        body["options"] = dict(options)
    changed = source.call("PATCH", _path(name), json=body)
    return get(name, wait_s=wait_s, source=source) if wait_s else changed


def get(name: str, *, wait_s: float = 0.0, as_of: Moment | None = None, source: Reader | None = None) -> dict[str, Any]:
    """An endpoint and how it stands: `state`, and behind each of its `routes` what serves and what loads.

    wait_s: until nothing loads any more, so long at most. as_of: what it was at a moment (a time, or a position of the
    log), and what its routes named then. Raises ReadFailed.
    """
    wait_s = min(wait_s, WAIT_MAX_S)
    asked = {"wait_s": wait_s, "as_of": moment(as_of)}
    return (source or reader()).call("GET", _path(name), params=asked, timeout=wait_s + _ANSWER_S)


def list_all(*, as_of: Moment | None = None, source: Reader | None = None) -> list[dict[str, Any]]:
    """All endpoints, as `get` tells them, by name. as_of: those of a moment. Raises ReadFailed."""
    asked = {"as_of": moment(as_of)}
    found: list[dict[str, Any]] = (source or reader()).call("GET", PATH, params=asked)["endpoints"]
    return found


def delete(name: str, *, source: Reader | None = None) -> None:
    """Delete an endpoint; requests that were begun are answered. Raises ReadFailed."""
    (source or reader()).call("DELETE", _path(name))


def logs(name: str, max_results: int = 100, *, source: Reader | None = None) -> list[dict[str, Any]]:
    """The newest logged requests and answers, newest first, as the fields of `headrace.prediction.logged` with
    `time_ms` and `position`. Raises ReadFailed."""
    answer = (source or reader()).call("GET", f"{_path(name)}/logs", params={"max_results": max_results})
    return [
        {"time_ms": one["time_ms"], "position": one["position"], **one["prediction"]} for one in answer["predictions"]
    ]


def invoke(
    name: str,
    data: Any,
    params: Mapping[str, Any] | None = None,
    *,
    timeout_s: float = 60.0,
    source: Reader | None = None,
) -> Any:
    """Predictions for data: a pandas DataFrame, numpy array, list or dict of columns.

    Raises ReadFailed with the endpoint's sentence.
    """
    return ask(name, body_of(data, params), timeout_s=timeout_s, source=source)["predictions"]


def ask(
    name: str,
    body: bytes,
    content_type: str = "application/json",
    *,
    timeout_s: float = 60.0,
    source: Reader | None = None,
) -> dict[str, Any]:
    """The whole answer to a body of MLflow's scoring protocol. Raises ReadFailed."""
    path = f"/endpoints/{quote(name, safe='')}/invocations"
    headers = {"Content-Type": content_type}
    return (source or reader()).call("POST", path, content=body, headers=headers, timeout=timeout_s + _ANSWER_S)


def body_of(data: Any, params: Mapping[str, Any] | None = None) -> bytes:
    """Data as a JSON body of MLflow's scoring protocol. Raises TypeError for what JSON has nothing for."""
    more = "" if params is None else f', "params": {json.dumps(dict(params))}'
    if hasattr(data, "to_json") and hasattr(data, "columns"):
        return f'{{"dataframe_split": {data.to_json(orient="split", date_format="iso")}{more}}}'.encode()
    return f'{{"inputs": {json.dumps(data, default=_plain)}{more}}}'.encode()


def _plain(value: Any) -> Any:
    """An array or a number of numpy's as JSON takes it."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"a {type(value).__name__} cannot be sent as JSON; give a DataFrame, an array, a list or a dict")


def _models(model: str, routes: Mapping[str, float] | None) -> dict[str, Any]:
    body: dict[str, Any] = {"model": model} if model else {}
    if routes is not None:
        body["routes"] = [{"model": uri, "weight": weight} for uri, weight in routes.items()]
    return body


def _path(name: str) -> str:
    return f"{PATH}/{quote(name, safe='')}"
