"""A version of a model is swapped in, and back, while an endpoint answers 1,000 requests a second.

Each request is timed from when it was due, whatever waits before it. The model is a logistic regression on iris.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
from headrace.sdk import endpoints
from headrace.sdk.reader import Reader

from benchmarks import processes
from benchmarks.figures import Table, percentile, spread

RATE = 1_000
CONNECTIONS = 32
BEFORE_S, BETWEEN_S, AFTER_S = 10.0, 10.0, 5.0
SWAP_WAIT_S = 60.0
SETTLED_S = 1.0
BODY = '{"inputs": [[5.1, 3.5, 1.4, 0.2]]}'
NAME = "iris"


class Answer(NamedTuple):
    """Of one request: when it was due, how long it took from then, in seconds; its status and version."""

    due_s: float
    taken_s: float
    status: int
    version: str

    @property
    def end_s(self) -> float:
        """When it came."""
        return self.due_s + self.taken_s


def run(folder: Path, rounds: int, quick: bool, say: Callable[[str], None]) -> Iterator[Table]:
    """One table: latencies before, during and after the swap and the way back; failures; from event to traffic."""
    rate = 200 if quick else RATE
    measured = []
    for number in range(rounds):
        say(f"swap, round {number + 1} of {rounds}")
        measured.append(_round(folder / f"round-{number}", rate, BEFORE_S / 5 if quick else BEFORE_S))
    table = Table(f"A version swapped in at {rate:,} requests/s", ["what", "Headrace"])
    for what in measured[0]:
        table.add(what, spread([one[what] for one in measured]))
    table.notes.append(
        "Open loop: latency from when a request was due. During: from the event until 1 s after the first answer of the"
        " other version. Beyond loading: from the request that moves the alias to the first answer of the new version,"
        " less what fetching, starting, loading and warming took."
    )
    yield table


def _round(folder: Path, rate: int, before_s: float) -> dict[str, float]:
    # The framework takes a while to import: only here.
    import headrace.sklearn
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression

    x, y = load_iris(return_X_y=True)
    server = processes.headrace(folder).start()
    worker = None
    try:
        with httpx.Client(base_url=server.url, timeout=120) as client:
            for c in (1.0, 0.1):
                saved = folder / f"model-{c:g}"
                headrace.sklearn.save_model(LogisticRegression(C=c, max_iter=500).fit(x, y), saved, input_example=x[:1])
                _register(client, saved)
            _point_to(client, 1)
            reader = Reader(server.url, client)
            told = endpoints.create(NAME, f"models:/{NAME}@champion", wait_s=120, source=reader)
            assert told["state"] == "ready", told
            seconds = before_s + SWAP_WAIT_S / 2 + BETWEEN_S + AFTER_S
            results = folder / "answers.tsv"
            job = {"port": server.port, "path": f"/endpoints/{NAME}/invocations", "body": BODY, "rate": rate}
            job |= {"seconds": seconds, "connections": CONNECTIONS, "results": str(results)}
            worker = processes.ours("steady", job, folder)
            started_s = worker.ready()["started_s"]
            time.sleep(before_s)
            moved_s = time.monotonic()
            _point_to(client, 2)
            loading_s = _serves(reader, "2")
            time.sleep(BETWEEN_S)
            back_s = time.monotonic()
            _point_to(client, 1)
            counted = worker.result()
        answers = [
            Answer(float(due), float(taken), int(status), version)
            for due, taken, status, version in (line.split("\t") for line in results.read_text().splitlines())
        ]
    finally:
        if worker is not None:
            worker.kill()
        server.stop()
    return _figures(answers, counted, started_s, moved_s, back_s, loading_s)


def _figures(
    answers: list[Answer], counted: dict[str, Any], started_s: float, moved_s: float, back_s: float, loading_s: float
) -> dict[str, float]:
    new_s = min(x.end_s for x in answers if x.version == f"{NAME}/2")
    old_s = min(x.end_s for x in answers if x.version == f"{NAME}/1" and x.due_s > back_s)
    before = _p99_ms(answers, started_s + 1, moved_s)
    during = _p99_ms(answers, moved_s, new_s + SETTLED_S)
    back = _p99_ms(answers, back_s, old_s + SETTLED_S)
    failed = counted["asked"] - sum(x.status == 200 for x in answers)
    return {
        "requests": float(counted["asked"]),
        "failed": float(failed),
        "p99 before, ms": before,
        "p99 during the swap, ms": during,
        "during / before": during / before,
        "p99 on the way back, ms": back,
        "loading, s": loading_s,
        "event to traffic, s": new_s - moved_s,
        "event to traffic beyond loading, s": new_s - moved_s - loading_s,
        "event to traffic on the way back, s": old_s - back_s,
    }


def _p99_ms(answers: list[Answer], first_s: float, end_s: float) -> float:
    return 1000 * percentile(sorted(x.taken_s for x in answers if first_s <= x.due_s < end_s), 0.99)


def _serves(reader: Reader, version: str) -> float:
    """Wait until a version serves; what loading it took, seconds."""
    serving = endpoints.get(NAME, wait_s=SWAP_WAIT_S, source=reader)["routes"][0]["serving"]
    assert serving["version"] == version, serving
    loaded: float = serving["load_s"]
    return loaded


def _register(client: httpx.Client, folder: Path) -> None:
    made = client.post("/api/2.0/mlflow/runs/create", json={"experiment_id": "0"}).raise_for_status().json()
    run_id = made["run"]["info"]["run_id"]
    for file in (x for x in folder.rglob("*") if x.is_file()):
        path = f"/api/headrace/v1/runs/{run_id}/artifacts/model/{file.relative_to(folder).as_posix()}"
        client.put(path, content=file.read_bytes()).raise_for_status()
    client.post("/api/2.0/mlflow/registered-models/create", json={"name": NAME})
    version = {"name": NAME, "source": f"runs:/{run_id}/model", "run_id": run_id}
    client.post("/api/2.0/mlflow/model-versions/create", json=version).raise_for_status()


def _point_to(client: httpx.Client, version: int) -> None:
    moved = {"name": NAME, "alias": "champion", "version": str(version)}
    client.post("/api/2.0/mlflow/registered-models/alias", json=moved).raise_for_status()
