"""The requests of the server's benchmark, as bytes: MLflow's REST API, the same for every server."""

from __future__ import annotations

import json
import random
from typing import Any
from urllib.parse import quote

from benchmarks.client import Connection, get_request, post_request

API = "/api/2.0/mlflow"
STARTED_MS = 1_700_000_000_000
BATCH_POINTS = 1_000
# Stands in a prepared body for the number of the request, so that each request's points are new without encoding again.
_PLACE = b"7777"
_RUN = b"R" * 32


def create_experiment(connection: Connection, name: str) -> str:
    """A new experiment's id."""
    found: str = connection.ask_json(post_request(f"{API}/experiments/create", {"name": name}))["experiment_id"]
    return found


def create_run(experiment_id: str, name: str) -> bytes:
    """A run's creation."""
    body = {"experiment_id": experiment_id, "run_name": name, "start_time": STARTED_MS, "user_id": "benchmark"}
    return post_request(f"{API}/runs/create", body)


def new_run(connection: Connection, experiment_id: str, name: str) -> str:
    """A new run's id."""
    found: str = connection.ask_json(create_run(experiment_id, name))["run"]["info"]["run_id"]
    return found


def log_metric(run_id: str, step: int) -> bytes:
    """One point."""
    body = {"run_id": run_id, "key": "loss", "value": 0.5, "timestamp": STARTED_MS + step, "step": step}
    return post_request(f"{API}/runs/log-metric", body)


class Batches:
    """log-batch requests of 1,000 points, ten metrics with a hundred steps each, new ones each time."""

    def __init__(self, run_id: str) -> None:
        points = [
            {"key": f"metric_{n % 10}", "value": n / 7, "timestamp": f"170{_PLACE.decode()}000{n:03d}",
             "step": f"{_PLACE.decode()}{n // 10:03d}"}
            for n in range(BATCH_POINTS)
        ]  # fmt: skip
        body = json.dumps({"run_id": run_id, "metrics": points}, separators=(",", ":"))
        # The places stand as strings until here; on the wire they are numbers.
        for name in ("timestamp", "step"):
            body = _unquoted(body, name)
        self._prepared = post_request(f"{API}/runs/log-batch", body.encode())
        self._number = 1000

    def following(self) -> bytes:
        """The next request."""
        self._number += 1 if self._number != 7776 else 2
        return self._prepared.replace(_PLACE, b"%04d" % self._number)


def first_batch(run_id: str) -> bytes:
    """What a run logs at its start: 30 points, 10 params, 1 tag."""
    return _FIRST.replace(_RUN, run_id.encode())


def whole_run(run_id: str, number: int) -> bytes:
    """One of the runs that are searched: 20 metrics, 10 params, 1 tag; the same for every server."""
    chance = random.Random(number)
    body = {
        "run_id": run_id,
        "metrics": [
            {"key": f"metric_{n}", "value": chance.random(), "timestamp": STARTED_MS + n, "step": 1} for n in range(20)
        ],
        "params": [{"key": f"param_{n}", "value": f"value_{chance.randrange(10)}"} for n in range(10)],
        "tags": [{"key": "group", "value": f"group_{number % 5}"}],
    }
    return post_request(f"{API}/runs/log-batch", body)


FILTER = "metrics.metric_3 > 0.5 and params.param_2 = 'value_7'"


def search(experiment_id: str, max_results: int, filter_string: str = "", order_by: str = "") -> bytes:
    """A search for runs."""
    body: dict[str, Any] = {"experiment_ids": [experiment_id], "max_results": max_results}
    if filter_string:
        body["filter"] = filter_string
    if order_by:
        body["order_by"] = [order_by]
    return post_request(f"{API}/runs/search", body)


def get_run(run_id: str) -> bytes:
    """A run."""
    return get_request(f"{API}/runs/get?run_id={run_id}")


def history(connection: Connection, run_id: str, key: str) -> int:
    """All pages of a metric's history; how many points they held."""
    count = 0
    token = ""
    while True:
        page = f"&page_token={quote(token)}" if token else ""
        path = f"{API}/metrics/get-history?run_id={run_id}&metric_key={key}&max_results=25000{page}"
        found = connection.ask_json(get_request(path))
        count += len(found["metrics"])
        token = found.get("next_page_token") or ""
        if not token:
            return count


def series(run_id: str, key: str, points: int) -> list[bytes]:
    """log-batch requests that hold one metric's points, 1,000 each."""
    return [
        post_request(
            f"{API}/runs/log-batch",
            {
                "run_id": run_id,
                "metrics": [
                    {"key": key, "value": n / 7, "timestamp": STARTED_MS + n, "step": n}
                    for n in range(start, min(start + BATCH_POINTS, points))
                ],
            },
        )
        for start in range(0, points, BATCH_POINTS)
    ]


def _first(points: int, params: int) -> bytes:
    body = {
        "run_id": _RUN.decode(),
        "metrics": [
            {"key": f"metric_{n % 10}", "value": n / 7, "timestamp": STARTED_MS + n, "step": n // 10}
            for n in range(points)
        ],
        "params": [{"key": f"param_{n}", "value": f"value_{n}"} for n in range(params)],
        "tags": [{"key": "group", "value": "first"}],
    }
    return post_request(f"{API}/runs/log-batch", body)


def _unquoted(body: str, name: str) -> str:
    parts = body.split(f'"{name}":"')
    return parts[0] + "".join(f'"{name}":' + part.replace('"', "", 1) for part in parts[1:])


_FIRST = _first(30, 10)
