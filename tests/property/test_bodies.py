"""The whole API under bodies, queries, paths and headers that no client should send: a clear refusal, never a fault."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute
from headrace.api.app import ROUTERS, create_app
from headrace.api.errors import STATUS
from headrace.api.settings import Settings
from headrace.ingest.codec import encode_frame
from headrace.ingest.envelope import Envelope
from headrace.ingest.sqlite import SqliteLog
from headrace.ingest.topics import METRICS
from headrace.processors.views import embedded
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.property import registry_bodies

ANSWER_S = 20.0
EVERYTHING = os.environ.get("HEADRACE_TEST_LOAD") == "1"
"""Whether to try every value in every place, which takes minutes, rather than one in thirteen."""
V2 = "/api/2.0/mlflow"
OURS = "/api/headrace/v1"


INFERENCE = re.compile(r"^/endpoints/[^/]+/v2(/|$)")
"""Where errors have the shape of the Open Inference Protocol."""


class Api:
    """The app in this process, called from code that is not async; every answer is held to the rules for answers."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self._runner = asyncio.Runner()
        self.log = SqliteLog(data_dir / "log.db")
        self._views = embedded(data_dir / "views")
        self.app = create_app(Settings(data_dir=data_dir), self.log, self._views)
        self._lifespan = self.app.router.lifespan_context(self.app)
        self._runner.run(self._lifespan.__aenter__())
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        self._client = httpx.AsyncClient(transport=transport, base_url="http://test")

    def close(self) -> None:
        """Stop the app."""
        self._runner.run(self._client.aclose())
        self._runner.run(self._lifespan.__aexit__(None, None, None))
        self._runner.close()
        self._views.close()
        self.log.close()

    def call(self, method: str, path: str, body: Any = None, **options: Any) -> httpx.Response:
        """Any request. It must be answered in time, with no 5xx, and a refusal in MLflow's shape with its status."""
        request = self._client.request(method, path, content=body, **options)
        response = self._runner.run(asyncio.wait_for(request, ANSWER_S))
        sent = body[:150] if isinstance(body, bytes) else body
        said = f"{method} {path[:300]} {sent!r}: {response.status_code} {response.text[:300]}"
        assert response.status_code < 500, said
        # A file's ranges are answered as HTTP has it (RFC 9110, 14.4 and 15.5.17): 416 without a body, 400 as text.
        if response.status_code >= 400 and "range" not in options.get("headers", {}):
            assert response.headers["content-type"] == "application/json", said
            told = response.json()
            if INFERENCE.search(path):
                assert set(told) == {"error"}, said
                return response
            assert set(told) - {"position", "expected"} == {"error_code", "message"}, said
            assert STATUS[told["error_code"]] == response.status_code, said
            assert isinstance(told["message"], str), said
            assert told["message"], said
        return response

    def post(self, path: str, body: Any) -> Any:
        """A POST that must succeed; its answer, decoded."""
        response = self.call("POST", path, json.dumps(body).encode())
        assert response.status_code == 200, response.text
        return response.json()

    def run(self, run_id: str) -> Any:
        """A run as it is now."""
        return self.call("GET", f"{V2}/runs/get", params={"run_id": run_id}).json()["run"]

    def metrics_end(self) -> int:
        """How many batches of points the log holds."""
        return sum(end for partition, end in self.log.end().items() if partition.topic == METRICS)


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """An app on an empty folder."""
    made = Api(tmp_path_factory.mktemp("data"))
    yield made
    made.close()


def served_routes() -> list[APIRoute]:
    """All that the app serves, but for the documentation of itself."""
    return [route for router in ROUTERS for route in router.routes if isinstance(route, APIRoute)]


def new_run(api: Api) -> str:
    """A run with a param, a tag and a metric; its id."""
    run_id: str = api.post(f"{V2}/runs/create", {})["run"]["info"]["run_id"]
    api.post(
        f"{V2}/runs/log-batch",
        {
            "run_id": run_id,
            "metrics": [{"key": "loss", "value": 1.5, "timestamp": 1, "step": 0}],
            "params": [{"key": "p0", "value": "first"}],
            "tags": [{"key": "t0", "value": "first"}],
        },
    )
    return run_id


@pytest.fixture(scope="module")
def known(api: Api) -> dict[str, str]:
    """Ids of things that exist, by the name that requests give them."""
    run_id = new_run(api)
    api.post(f"{V2}/experiments/create", {"name": "known"})
    model = api.post(f"{V2}/logged-models", {"name": "m"})["model"]["info"]["model_id"]
    upload = api.post("/api/2.0/mlflow-artifacts/mpu/create/some/folder", {"path": "f", "num_parts": 1})["upload_id"]
    assert api.call("PUT", f"/api/2.0/mlflow-artifacts/artifacts/0/{run_id}/artifacts/a.txt", b"a").status_code == 200
    api.post(f"{V2}/registered-models/create", {"name": "registered"})
    api.post(f"{V2}/model-versions/create", {"name": "registered", "source": "s3://bucket/model"})
    view = api.post(f"{OURS}/views", {"name": "known", "path": "/experiments/1"})["view_id"]
    return {"run_id": run_id, "model_id": model, "upload_id": upload, "view_id": view}


# --- bodies -----------------------------------------------------------------------------------------------------------

_POINT = {"key": "loss", "value": 0.5, "timestamp": 1700000000000, "step": 3, "model_id": "m-1", "dataset_name": "d"}
_PAIR = {"key": "k", "value": "v"}
_DATASET = {"name": "d", "digest": "x", "source_type": "s", "source": "{}", "schema": "{}", "profile": "{}"}
_MODEL_JSON = '{"artifact_path": "m", "flavors": {}, "utc_time_created": "now", "run_id": "r"}'
BODIES: dict[str, Any] = {
    **registry_bodies.BODIES,
    f"POST {OURS}/endpoints": {
        "name": "e",
        "routes": [{"model": "models:/none@champion", "weight": 1.0}],
        "shadow": "models:/none/1",
        "options": {"environment": "server", "workers": 1, "timeout_s": 5.0, "log_sample": 0.5},
    },
    f"PATCH {OURS}/endpoints/{{name}}": {"model": "models:/none/Production", "shadow": "", "options": {"workers": 2}},
    f"POST {OURS}/views": {"name": "v", "path": "/experiments/1", "query": "filter=x", "note": "n"},
    f"PATCH {OURS}/views/{{view_id}}": {"name": "n", "query": "sort=x", "note": ""},
    f"POST {V2}/experiments/create": {"name": "e", "artifact_location": "mlflow-artifacts:/9", "tags": [_PAIR]},
    f"POST {V2}/experiments/search": {
        "max_results": 3,
        "page_token": "",
        "filter": "name LIKE 'D%'",
        "order_by": ["name DESC"],
        "view_type": "ALL",
    },
    f"POST {V2}/experiments/update": {"experiment_id": "1", "new_name": "n"},
    f"POST {V2}/experiments/delete": {"experiment_id": "1"},
    f"POST {V2}/experiments/restore": {"experiment_id": "1"},
    f"POST {V2}/experiments/set-experiment-tag": {"experiment_id": "0", "key": "k", "value": "v"},
    f"POST {V2}/experiments/delete-experiment-tag": {"experiment_id": "0", "key": "k"},
    f"POST {V2}/experiments/search-datasets": {"experiment_ids": ["0"]},
    f"POST {V2}/runs/create": {
        "experiment_id": "0",
        "user_id": "u",
        "run_name": "n",
        "start_time": 1700000000000,
        "tags": [_PAIR],
    },
    f"POST {V2}/runs/update": {"run_id": "{run_id}", "status": "RUNNING", "end_time": 5, "run_name": "n"},
    f"POST {V2}/runs/delete": {"run_id": "no-such-run"},
    f"POST {V2}/runs/restore": {"run_id": "{run_id}"},
    f"POST {V2}/runs/search": {
        "experiment_ids": ["0"],
        "filter": "metrics.loss < 1 AND params.p0 = 'a' AND attributes.start_time > 0",
        "run_view_type": "ALL",
        "max_results": 5,
        "order_by": ["metrics.loss DESC", "params.p0"],
        "page_token": "b2Zmc2V0OjE=",
    },
    f"POST {V2}/runs/log-metric": {"run_id": "{run_id}", **_POINT},
    f"POST {V2}/runs/log-parameter": {"run_id": "{run_id}", **_PAIR},
    f"POST {V2}/runs/log-batch": {"run_id": "{run_id}", "metrics": [_POINT], "params": [_PAIR], "tags": [_PAIR]},
    f"POST {V2}/runs/set-tag": {"run_id": "{run_id}", **_PAIR},
    f"POST {V2}/runs/delete-tag": {"run_id": "{run_id}", "key": "k"},
    f"POST {V2}/runs/log-inputs": {
        "run_id": "{run_id}",
        "datasets": [{"dataset": _DATASET, "tags": [{"key": "mlflow.data.context", "value": "train"}]}],
        "models": [{"model_id": "m-1"}],
    },
    f"POST {V2}/runs/outputs": {"run_id": "{run_id}", "models": [{"model_id": "m-1", "step": 2}]},
    f"POST {V2}/runs/log-model": {"run_id": "{run_id}", "model_json": _MODEL_JSON},
    f"POST {V2}/logged-models": {
        "experiment_id": "0",
        "name": "m",
        "model_type": "agent",
        "source_run_id": "{run_id}",
        "params": [_PAIR],
        "tags": [_PAIR],
    },
    f"POST {V2}/logged-models/search": {
        "experiment_ids": ["0"],
        "filter": "metrics.loss < 1 AND name = 'm'",
        "datasets": [{"dataset_name": "d", "dataset_digest": "x"}],
        "max_results": 5,
        "order_by": [{"field_name": "metrics.loss", "ascending": False, "dataset_name": "d", "dataset_digest": "x"}],
        "page_token": "",
    },
    f"PATCH {V2}/logged-models/{{model_id}}": {"status": "LOGGED_MODEL_READY"},
    f"POST {V2}/logged-models/{{model_id}}/params": {"params": [_PAIR]},
    f"PATCH {V2}/logged-models/{{model_id}}/tags": {"tags": [_PAIR]},
    f"POST {OURS}/series": {"run_ids": ["{run_id}"], "key": "loss", "x": "time", "buckets": 5, "range": [0, 9]},
    f"POST {OURS}/runs/table": {
        "experiment_ids": ["0"],
        "filter": "metrics.loss.min < 1k OR params.p0 =~ '^a' OR metrics.loss.at(1) > 0 OR duration > 1h",
        "order_by": ["metrics.loss.at_best(loss) DESC", "models.name"],
        "run_view_type": "ALL",
        "max_results": 5,
        "columns": ["run_name", "metrics.*", "metrics.loss.min", "metrics.loss.at_best(loss, max)"],
        "as_of": "2030-01-01",
    },
    f"POST {OURS}/runs/columns": {
        "experiment_ids": ["0"],
        "filter": "metrics.loss < 1k",
        "run_view_type": "ALL",
        "max_runs": 5,
        "as_of": "2030-01-01",
    },
    f"POST {OURS}/runs/move": {"run_ids": ["{run_id}"], "experiment_id": "0"},
    f"POST {OURS}/runs/fork": {
        "run_id": "{run_id}",
        "step": 1,
        "name": "n",
        "experiment_id": "0",
        "params": {"p": "1"},
        "tags": {"t": "1"},
    },
    f"POST {OURS}/compare": {"run_ids": ["{run_id}"], "only_differences": False, "sections": ["params"]},
    f"POST {OURS}/correlations": {"run_ids": ["{run_id}"], "metric": "loss", "aggregate": "min", "params": ["p0"]},
    f"POST {OURS}/export/points": {"run_ids": ["{run_id}"], "inherited": True},
    f"POST {OURS}/export/events": {"run_ids": ["{run_id}"], "experiment_ids": ["0"], "whole": True, "data": False},
    f"POST {OURS}/sql": {
        "query": "SELECT 1 AS x",
        "format": "json",
        "timeout_s": 5,
        "memory_bytes_max": 100_000_000,
        "rows_max": 10,
    },
    "POST /api/2.0/mlflow-artifacts/mpu/create": {"path": "f", "num_parts": 2},
    "POST /api/2.0/mlflow-artifacts/mpu/create/{path}": {"path": "f", "num_parts": 2},
    "POST /api/2.0/mlflow-artifacts/mpu/complete": {"path": "f", "upload_id": "x", "parts": [{"part_number": 2}]},
    "POST /api/2.0/mlflow-artifacts/mpu/complete/{path}": {
        "path": "f",
        "upload_id": "{upload_id}",
        "parts": [{"part_number": 2, "etag": "e"}],
    },
    "POST /api/2.0/mlflow-artifacts/mpu/abort": {"path": "f", "upload_id": "x"},
    "POST /api/2.0/mlflow-artifacts/mpu/abort/{path}": {"path": "f", "upload_id": "x", "parts": []},
}
"""A body for every route that reads JSON; what stands in braces is filled in."""

_BINARY = (f"POST {OURS}/events", "POST /endpoints/{name}/invocations", "POST /endpoints/{name}/v2/{path}")
"""Bodies that are no JSON, or that the server hands on as they are."""
_WITHOUT = (f"POST {OURS}/rebuild", f"POST {OURS}/rebuild/back", f"POST {OURS}/gc")
"""Not damaged here: a rebuild in the middle would fold some of what the last test counts a second time, and one that
erases would take some of it away."""

RAW = [
    *("null", "true", "false", "0", "-1", "-0", "1.0", "1.5", "1e5", "NaN", "Infinity", "-Infinity", "1e999", "-1e999"),
    *("9223372036854775807", "9223372036854775808", "-9223372036854775809", "18446744073709551616", "9" * 400),
    *("9" * 5000, "1e-400", "0." + "3" * 400),
    *('""', '" "', '"0"', '"1.5"', '"nan"', '"-inf"', '"true"', '"null"', '"' + "9" * 40 + '"', '"' + "9" * 5000 + '"'),
    *('"\\u0000"', '"a\\u0000b"', '"\\ud800"', '"a\\udfff"', '"\\ud83d\\ude00"', '"\\u202e\\ufeff\\uffff"'),
    *(
        '"a\\nb\\tc\\r\\\\"',
        '"\\u001b[31m"',
        '"a/b"',
        '"../a"',
        '"/etc/passwd"',
        '".."',
        '"\'; DROP TABLE runs"',
        '"{x}"',
    ),
    *('"%"', '"' + "x" * 250 + '"', '"' + "x" * 251 + '"', '"' + "é" * 10_000 + '"', '"\\\\N"', '"`"', '"{k0:String}"'),
    *("[]", "{}", "[null]", "[[]]", '["a", 1]', "[{}]", '{"key": "a", "key": "b", "value": "c"}', '{"": ""}'),
    "[" * 500 + "]" * 500,
    '{"a":' * 500 + "1" + "}" * 500,
    "[" * 100_000,
    "[" * 3_000 + "]" * 3_000,
    '{"a":' * 20_000 + "1" + "}" * 20_000,
]
"""Pieces of JSON, and of what is nearly JSON, that go where a field's value stands."""
TREES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)
FRAGMENTS = st.sampled_from([raw for raw in RAW if len(raw) < 10_000]) | TREES.map(json.dumps)

_HOLE = "@hole@"


def places(body: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where the values of a body stand, the body itself among them."""
    items = body.items() if isinstance(body, dict) else enumerate(body) if isinstance(body, list) else ()
    return [at, *(place for name, item in items for place in places(item, (*at, name)))]


def replaced(body: Any, place: tuple[Any, ...], value: Any) -> Any:
    """A copy of the body with another value in one place."""
    if not place:
        return value
    copy = body.copy()
    copy[place[0]] = replaced(copy[place[0]], place[1:], value)
    return copy


@st.composite
def damaged(draw: st.DrawFn, body: Any) -> str:
    """The body as text with one value replaced, left out or doubled, or with its bytes cut or changed."""
    place = draw(st.sampled_from(places(body)))
    holed = json.dumps(replaced(body, place, _HOLE))
    fragment = draw(FRAGMENTS)
    text = holed.replace(f'"{_HOLE}"', fragment)
    if place and isinstance(place[-1], str) and draw(st.booleans()):
        kind = draw(st.sampled_from(["left out", "doubled"]))
        name = json.dumps(place[-1])
        other = "" if kind == "left out" else f"{name}: {fragment}, {name}: {fragment}, "
        text = re.sub(rf'{re.escape(name)}: "{_HOLE}"(, )?', lambda _: other, holed, count=1).replace(", }", "}")
    if draw(st.integers(0, 9)) == 0:
        cut = draw(st.integers(0, len(text)))
        text = text[:cut] + draw(st.text(st.characters(exclude_categories=["Cs"]), max_size=3)) + text[cut + 1 :]
    return text


def fill(text: str, known: dict[str, str]) -> str:
    """The text with the ids that are known in place."""
    for name, value in known.items():
        text = text.replace(f"{{{name}}}", value)
    return text.replace("{path}", "some/folder").replace("{name}", "e")


def some(examples: int) -> settings:
    """So many examples, however slow one is."""
    return settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


def test_every_route_with_a_body_is_tried_here() -> None:
    routes = [r for r in served_routes() if not r.path.startswith("/ajax-api")]
    every = {f"{m} {r.path}" for r in routes for m in r.methods or ()}
    served = {one for one in every if one.split()[0] in ("POST", "PATCH") or one in BODIES}
    assert {one.replace(":path}", "}") for one in served} == {*BODIES, *_BINARY, *_WITHOUT}


def test_the_bodies_are_valid_before_they_are_damaged(api: Api, known: dict[str, str]) -> None:
    for route, body in BODIES.items():
        method, path = fill(route, known).split(" ")
        response = api.call(method, path, fill(json.dumps(body), known).encode())
        assert response.status_code in (200, 202, 400, 404), (route, response.text)
        assert "Invalid value for parameter" not in response.text, (route, response.text)


@pytest.mark.parametrize("route", BODIES, ids=lambda route: route.removeprefix("POST ").removeprefix("/api/"))
def test_a_damaged_body_is_taken_or_refused_clearly(api: Api, known: dict[str, str], route: str) -> None:
    method, path = fill(route, known).split(" ")

    @some(20)
    @given(damaged(BODIES[route]))
    def check(text: str) -> None:
        api.call(method, path, fill(text, known).encode("utf-8", "surrogatepass"))

    check()
    holed = [json.dumps(replaced(BODIES[route], place, _HOLE)) for place in places(BODIES[route])]
    for text, fragment in list(product(holed, RAW))[:: 1 if EVERYTHING else 13]:
        api.call(method, path, fill(text.replace(f'"{_HOLE}"', fragment), known).encode())


@some(80)
@given(route=st.sampled_from(sorted(BODIES)), body=TREES.map(json.dumps).map(str.encode) | st.binary(max_size=200))
def test_any_tree_or_bytes_to_any_route_is_taken_or_refused_clearly(
    api: Api, known: dict[str, str], route: str, body: bytes
) -> None:
    method, path = fill(route, known).split(" ")
    api.call(method, path, body)


def test_a_refused_batch_leaves_the_run_as_it_was_and_a_taken_one_is_there_whole(api: Api) -> None:
    run_id = new_run(api)
    body = {
        "run_id": run_id,
        "metrics": [{**_POINT, "key": "a"}, {**_POINT, "key": "b"}],
        "params": [{"key": "p0", "value": "first"}, {"key": "p1", "value": "x"}],
        "tags": [_PAIR],
    }

    @some(100)
    @given(damaged(body))
    def check(text: str) -> None:
        before, end = api.run(run_id), api.metrics_end()
        response = api.call("POST", f"{V2}/runs/log-batch", text.encode("utf-8", "surrogatepass"))
        if response.status_code == 200:
            assert api.metrics_end() - end == (len(json.loads(text).get("metrics") or []) > 0)
        else:
            assert api.run(run_id) == before, text[:500]
            assert api.metrics_end() == end, text[:500]

    check()
    for broken in ({"value": "other", "key": "p0"}, {"value": "\ud800", "key": "p2"}, {"value": "x", "key": "\udfff"}):
        before, end = api.run(run_id), api.metrics_end()
        worse = {**body, "params": [{"key": "new", "value": "x"}, broken], "tags": [{"key": "new", "value": "x"}]}
        assert api.call("POST", f"{V2}/runs/log-batch", json.dumps(worse).encode()).status_code == 400
        assert (api.run(run_id), api.metrics_end()) == (before, end)


def test_an_event_nested_without_end_is_set_aside_and_the_fold_goes_on(api: Api) -> None:
    run_id = new_run(api)
    deep = b'{"x":' + b"[" * 50_000 + b"]" * 50_000 + b"}"
    events = (
        Envelope("1", "headrace.run.created", "test", run_id, 1, deep),
        Envelope("2", "headrace.run.attributes-logged", "test", run_id, 1, deep),
        Envelope("3", "headrace.run.attributes-logged", "test", run_id, 1, b'{"tags": {"after": "1"}}'),
    )
    assert api.call("POST", f"{OURS}/events", b"".join(map(encode_frame, events))).status_code == 200
    assert {"key": "after", "value": "1"} in api.run(run_id)["data"]["tags"]


def test_models_logged_the_old_way_stay_readable_however_many(api: Api) -> None:
    run_id = new_run(api)
    tag = "mlflow.log-model.history"
    model = {"artifact_path": "m", "flavors": {"x": "y" * 500}, "utc_time_created": "now", "run_id": run_id}
    for i in range(30):
        body = {"run_id": run_id, "model_json": json.dumps({**model, "i": i})}
        assert api.post(f"{V2}/runs/log-model", body) == {}
    [text] = [one["value"] for one in api.run(run_id)["data"]["tags"] if one["key"] == tag]
    assert json.loads(text)[-1]["i"] == 29
    for garbage in ("{}", "no json", "7", "[" * 5000):
        api.post(f"{V2}/runs/set-tag", {"run_id": run_id, "key": tag, "value": garbage})
        assert api.post(f"{V2}/runs/log-model", body) == {}


@some(80)
@given(st.binary(max_size=200))
def test_any_bytes_to_the_ingest_gateway_are_taken_or_refused_clearly(api: Api, body: bytes) -> None:
    assert api.call("POST", f"{OURS}/events", body).status_code == (400 if body else 200)


# --- queries and paths ------------------------------------------------------------------------------------------------

QUERIES: dict[str, dict[str, str]] = {
    **registry_bodies.QUERIES,
    f"{V2}/experiments/get": {"experiment_id": "0"},
    f"{V2}/experiments/get-by-name": {"experiment_name": "known"},
    f"{V2}/experiments/search": {"max_results": "2", "filter": "name = 'x'", "order_by": "name", "page_token": ""},
    f"{V2}/runs/get": {"run_id": "{run_id}", "run_uuid": ""},
    f"{V2}/metrics/get-history": {"run_id": "{run_id}", "metric_key": "loss", "max_results": "2", "page_token": ""},
    f"{V2}/metrics/get-history-bulk": {"run_id": "{run_id}", "metric_key": "loss", "max_results": "2"},
    f"{V2}/metrics/get-history-bulk-interval": {
        "run_ids": "{run_id}",
        "metric_key": "loss",
        "start_step": "0",
        "end_step": "9",
        "max_results": "5",
    },
    f"{V2}/artifacts/list": {"run_id": "{run_id}", "path": "a", "page_token": ""},
    f"{V2}/logged-models/{{model_id}}/artifacts/directories": {"artifact_directory_path": "a"},
    f"{OURS}/metrics/history": {"run_id": "{run_id}", "key": "loss"},
    f"{OURS}/metrics/summary": {"run_id": "{run_id}"},
    "/api/2.0/mlflow-artifacts/artifacts": {"path": "a"},
}
PAGE_TOKENS = [
    "b2Zmc2V0Oi0x",
    "b2Zmc2V0OjkwMDcxOTkyNTQ3NDA5OTI=",
    "b2Zmc2V0Ojk5OTk5OTk5OTk5OTk5OTk=",
    "AAAA",
    "====",
    "b2Zm",
]
TEXTS = [
    *(
        "",
        " ",
        "0",
        "-1",
        "1.5",
        "1e999",
        "9" * 40,
        "9" * 5000,
        "9223372036854775808",
        "-9223372036854775808",
        "nan",
        "null",
    ),
    *(
        "..",
        "../..",
        "/",
        "//",
        "a//b",
        "a/../b",
        "./a",
        "\\",
        "C:\\x",
        "a\0b",
        "\0",
        ".incoming",
        ".uploads",
        "x" * 300,
    ),
    *(
        "x" * 5000,
        "é" * 200,
        "\u202e",
        "\ufffd",
        "😀",
        "'",
        '"',
        "`",
        "%",
        "%2e%2e%2f",
        "{run_ids:Array(String)}",
        "a\nb\tc",
    ),
    *(
        "name = ",
        "name LIKE '%",
        "((((",
        "NOT " * 60,
        "metrics.`a` > 1e999",
        "' OR 1=1 --",
        "name ASC, ",
        "metrics.loss DESC",
    ),
    *PAGE_TOKENS,
]
ANY_TEXT = st.sampled_from(TEXTS) | st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@pytest.mark.parametrize("path", QUERIES, ids=lambda path: path.removeprefix("/api/"))
def test_a_damaged_query_is_taken_or_refused_clearly(api: Api, known: dict[str, str], path: str) -> None:
    query = {name: fill(value, known) for name, value in QUERIES[path].items()}
    url = fill(path, known)
    assert api.call("GET", url, params=query).status_code == 200
    for name in query:
        for text in TEXTS if EVERYTHING else TEXTS[::2]:
            api.call("GET", url, params={**query, name: text})
        api.call("GET", url, params={key: value for key, value in query.items() if key != name})
        api.call("GET", f"{url}?{name}=%ff%fe%00&{name}=%zz&{name}")

    @some(25)
    @given(st.dictionaries(st.sampled_from(sorted(query)) | st.text(max_size=5), st.lists(ANY_TEXT, max_size=3)))
    def check(given_query: dict[str, list[str]]) -> None:
        api.call("GET", url, params={**query, **given_query})

    check()


@pytest.mark.parametrize("field", ["filter", "order_by", "page_token", "run_view_type"])
def test_garbage_in_a_search_is_refused_clearly(api: Api, field: str) -> None:
    @some(30)
    @given(ANY_TEXT)
    def check(text: str) -> None:
        body = {"experiment_ids": ["0"], field: [text] if field == "order_by" else text}
        api.call("POST", f"{V2}/runs/search", json.dumps(body).encode())

    check()


SEGMENTS = [
    *(
        "..",
        ".",
        "%2e%2e",
        "%2E%2E",
        "..%2f..",
        "%252e%252e%252f",
        "%2fetc%2fpasswd",
        "..%5c",
        "%5c..%5c",
        "%00",
        "a%00b",
    ),
    *(
        "%ff%fe",
        "%c0%ae%c0%ae",
        "..%c0%af",
        "%zz",
        "%",
        "C:",
        "C%3A%5Cx",
        "~",
        "%0a",
        "%0d%0aX-Y%3A%201",
        ".incoming",
        "a b",
    ),
    *(
        ".uploads",
        "%2eincoming",
        "\u202e".encode().decode(),
        "x" * 256,
        "%F0%9F%98%80",
        ";",
        "a;b",
        "a?b",
        "a%3Fb",
        "%23",
    ),
]
BELOW = [
    ("PUT", "/api/2.0/mlflow-artifacts/artifacts/{}"),
    ("GET", "/api/2.0/mlflow-artifacts/artifacts/{}"),
    ("DELETE", "/api/2.0/mlflow-artifacts/artifacts/deep/{}"),
    ("PUT", OURS + "/runs/{run_id}/artifacts/{}"),
    ("GET", OURS + "/runs/{run_id}/artifacts/{}"),
    ("GET", OURS + "/runs/{}/artifacts/a.txt"),
    ("PUT", OURS + "/uploads/{}/1"),
    ("PUT", OURS + "/uploads/{upload_id}/{}"),
    ("POST", "/api/2.0/mlflow-artifacts/mpu/create/{}"),
    ("GET", V2 + "/logged-models/{}"),
    ("DELETE", V2 + "/logged-models/{}/tags/{}"),
    ("DELETE", V2 + "/logged-models/{model_id}/tags/{}"),
    ("GET", V2 + "/logged-models/{}/artifacts/directories"),
    ("GET", "/ui/{}"),
    ("GET", "/{}"),
]


@pytest.mark.parametrize(("method", "path"), BELOW)
def test_no_path_leads_out_of_the_store(api: Api, known: dict[str, str], method: str, path: str) -> None:
    def outside() -> set[str]:
        return {x.name for folder in (api.data_dir, api.data_dir.parent) for x in folder.iterdir()}

    before = outside()
    body = b'{"path": "f"}' if method in ("PUT", "POST") else None
    for segment in (*SEGMENTS, *(f"a/{s}/b" for s in SEGMENTS), *(f"{s}/{s}/log.db" for s in SEGMENTS)):
        response = api.call(method, fill(path, known).replace("{}", segment), body)
        assert b"root:" not in response.content
        assert b"SQLite" not in response.content
    assert outside() == before


# --- headers and methods ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "text/plain"},
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": "multipart/form-data"},
        {"content-type": "application/json; charset=utf-16"},
        {"content-type": "\x01;;;=\x7f"},
        {"content-type": ""},
        {"accept": "image/png"},
        {"accept-encoding": "br;q=nan"},
        {"host": "[::1"},
        {"host": "a b c"},
        {"host": ""},
        {"x-headrace-sha256": "ü"},
        {"range": "bytes=9-1,-,x"},
        {"range": "bytes=0-" + "9" * 400},
        {"range": "bytes=" + ",".join(f"{i}-{i}" for i in range(2000))},
        {"if-range": "\x80"},
        {"if-none-match": "x" * 10_000},
        {"expect": "202-continue"},
        {"cookie": "\xff=\xff"},
    ],
)
def test_a_strange_header_is_no_fault(api: Api, known: dict[str, str], headers: dict[str, str]) -> None:
    raw = {name: value.encode("utf-8" if name.startswith("x-") else "latin-1") for name, value in headers.items()}
    stored = f"/api/2.0/mlflow-artifacts/artifacts/0/{known['run_id']}/artifacts/a.txt"
    for method, path, body in (
        ("POST", f"{V2}/runs/search", b'{"experiment_ids": ["0"]}'),
        ("GET", f"{V2}/runs/get?run_id={known['run_id']}", None),
        ("GET", stored, None),
        ("PUT", f"{OURS}/runs/{known['run_id']}/artifacts/b.txt", b"b"),
        ("POST", "/api/2.0/mlflow-artifacts/mpu/create/x", b'{"path": "f"}'),
        ("GET", "/", None),
    ):
        api.call(method, path, body, headers=raw)


def test_a_compressed_body_is_refused_with_the_reason(api: Api) -> None:
    body = gzip.compress(b'{"experiment_ids": ["0"]}')
    response = api.call("POST", f"{V2}/runs/search", body, headers={"content-encoding": "gzip"})
    assert response.status_code == 400
    assert "compressed" in response.json()["message"]


def test_a_method_that_a_path_does_not_take_is_405_and_names_those_it_does(api: Api, known: dict[str, str]) -> None:
    taken: dict[str, set[str]] = {}
    for route in served_routes():
        taken.setdefault(route.path, set()).update(route.methods or ())
    for path, methods in taken.items():
        if "{path:path}" in path:
            continue
        url = re.sub(r"{\w+}", "1", path)
        for method in sorted({"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"} - methods):
            response = api.call(method, url)
            # `search` is also what stands where a model's id may stand.
            assert response.status_code in (404, 405) or path.endswith("/logged-models/search"), (method, url)
            if response.status_code == 405:
                assert set(response.headers["allow"].split(", ")) <= methods


def test_an_unknown_path_is_endpoint_not_found(api: Api) -> None:
    for path in ("/api/2.0/mlflow/traces/search", "/api/3.0/mlflow/traces", f"{V2}/runs/", f"{V2}//runs/get", "/api"):
        response = api.call("POST", path, b"{}")
        assert (response.status_code, response.json()["error_code"]) == (404, "ENDPOINT_NOT_FOUND")


def test_a_body_over_the_limit_is_413_by_its_length_and_without_one(api: Api) -> None:
    async def endless() -> Any:
        for _ in range(64):
            yield b" " * 1024 * 1024

    for body in (b" " * (16 * 1024 * 1024 + 1), endless()):
        response = api.call("POST", f"{V2}/runs/search", body)
        assert (response.status_code, response.json()["error_code"]) == (413, "REQUEST_ENTITY_TOO_LARGE")


def test_the_server_works_after_all_that(api: Api) -> None:
    status = api.call("GET", f"{OURS}/status").json()
    assert status["fault"] is None
    run_id = new_run(api)
    assert api.run(run_id)["data"]["metrics"][0]["value"] == 1.5
    body = {"experiment_ids": ["0"], "filter": f"attributes.run_id = '{run_id}'"}
    assert len(api.post(f"{V2}/runs/search", body)["runs"]) == 1
    assert api.call("GET", f"{V2}/metrics/get-history?run_id={run_id}&metric_key=loss").json()["metrics"]
    assert status["counters"]["rejected"] == 2, "only the two events that are nested without end"
