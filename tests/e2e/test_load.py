"""Many clients at once, two of them greedy, and files of gigabytes: nothing fails, nothing is lost, memory stays flat.

`HEADRACE_TEST_LOAD=1` gives 200 clients a minute and the file 5 GB. Latencies are printed (`pytest -s`), not asserted.
This file is also the program that the clients run: `python test_load.py URL CLIENTS GREEDY SECONDS PAUSE_S`.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import numpy as np
import psutil
import pytest

if TYPE_CHECKING:
    from tests.e2e.conftest import Server

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]
FULL = os.environ.get("HEADRACE_TEST_LOAD") == "1"
CLIENTS, SECONDS, PROCESSES = (200, 60.0, 4) if FULL else (24, 5.0, 2)
PAUSE_S = float(os.environ.get("HEADRACE_TEST_LOAD_PAUSE_S", "0"))
"""How long a client rests between two batches, seconds: a trainer's own work."""
FILE_BYTES = (5 if FULL else 1) * 1024**3
RSS_GROWTH_BYTES_MAX = 100 * 1024**2
POINTS = (1, 1, 10, 10, 30, 100, 300)
"""Sizes of batches, drawn evenly."""
LONG_KEYS = [f"{i:03}/" + "k" * 246 for i in range(1000)]
INPUTS_BYTES = 15 * 1024**2
_MLFLOW = "/api/2.0/mlflow/"


class Client:
    """One keep-alive connection, as lean as the standard library has it, that notes how long answers take, ms."""

    def __init__(self, url: str) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
        self.took_ms: list[float] = []
        self.errors: list[str] = []

    def call(self, method: str, path: str, body: bytes | None = None, note: bool = True) -> bytes:
        """The answer; one that is not 200 is noted as an error."""
        began_s = time.perf_counter()
        self._connection.request(method, path, body, {"Content-Type": "application/json"})
        response = self._connection.getresponse()
        answer = response.read()
        if note:
            self.took_ms.append((time.perf_counter() - began_s) * 1000)
        if response.status != 200:
            self.errors.append(f"{method} {path}: {response.status} {answer[:300]!r}")
        return answer

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def new_run(self) -> str:
        """A run's id."""
        run_id: str = json.loads(self.call("POST", _MLFLOW + "runs/create", b"{}", note=False))["run"]["info"]["run_id"]
        return run_id


def log_batches(client: Client, run_id: str, going: Callable[[], bool], pause_s: float) -> int:
    """Log batches of all sizes whose points count up in step and value; how many points were answered."""
    chosen = random.Random(run_id)
    logged = 0
    # Not all in the same instant, where they rest between batches.
    time.sleep(chosen.random() * pause_s)
    while going():
        end = logged + chosen.choice(POINTS)
        points = ",".join(f'{{"key":"x","value":{i},"timestamp":1700000000000,"step":{i}}}' for i in range(logged, end))
        client.call("POST", _MLFLOW + "runs/log-batch", f'{{"run_id":"{run_id}","metrics":[{points}]}}'.encode())
        logged = end
        time.sleep(pause_s)
    return logged


def log_largest(client: Client, run_id: str, going: Callable[[], bool], pause_s: float) -> int:
    """Log as many metrics with keys as long as one batch may hold, again and again; how many batches."""
    batches = 0
    while going():
        points = [{"key": key, "value": batches, "timestamp": 1, "step": batches} for key in LONG_KEYS]
        client.call("POST", _MLFLOW + "runs/log-batch", json.dumps({"run_id": run_id, "metrics": points}).encode())
        batches += 1
        time.sleep(pause_s)
    return batches


def log_inputs(client: Client, run_id: str, going: Callable[[], bool], pause_s: float) -> int:
    """Log a data set with a description of nearly as many bytes as a body may have, once a second; how many times."""
    dataset = {"name": "d", "digest": "x", "source_type": "s", "source": "s", "profile": "p" * INPUTS_BYTES}
    body = json.dumps({"run_id": run_id, "datasets": [{"dataset": dataset}]}).encode()
    times = 0
    while going():
        client.call("POST", _MLFLOW + "runs/log-inputs", body)
        times += 1
        time.sleep(max(pause_s, 1.0))
    return times


def stand_by(client: Client, run_id: str, going: Callable[[], bool], pause_s: float) -> int:
    """Look at a run and search for a few, 20 times a second; how many times."""
    times = 0
    search = json.dumps({"experiment_ids": ["0"], "filter": "metrics.x > 1", "max_results": 10}).encode()
    while going():
        client.call("GET", f"{_MLFLOW}runs/get?run_id={run_id}")
        client.call("POST", _MLFLOW + "runs/search", search)
        times += 1
        time.sleep(max(pause_s, 0.05))
    return times


def clients_main(url: str, clients: int, greedy: bool, seconds: float, pause_s: float) -> None:
    """Run clients in threads and print as JSON what each did. Begins when it is told so on stdin."""
    kinds = [log_batches] * clients + ([log_largest, log_inputs, stand_by] if greedy else [])
    made = [Client(url) for _ in kinds]
    run_ids = [client.new_run() for client in made]
    counts = [0] * len(kinds)
    print("ready", flush=True)
    sys.stdin.readline()
    end_s = time.monotonic() + seconds

    def act(i: int) -> None:
        try:
            counts[i] = kinds[i](made[i], run_ids[i], lambda: time.monotonic() < end_s, pause_s)
        except Exception as error:
            made[i].errors.append(repr(error))

    threads = [threading.Thread(target=act, args=(i,)) for i in range(len(kinds))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    said = zip(kinds, made, run_ids, counts, strict=True)
    print(
        json.dumps(
            [
                {"kind": k.__name__, "run_id": r, "count": n, "took_ms": c.took_ms, "errors": c.errors}
                for k, c, r, n in said
            ]
        )
    )


def run_clients(server: Server) -> list[dict[str, Any]]:
    """What all clients of all processes did."""
    commands = [
        [sys.executable, __file__, server.url, str(CLIENTS // PROCESSES), str(i == 0), str(SECONDS), str(PAUSE_S)]
        for i in range(PROCESSES)
    ]
    processes = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for command in commands
    ]
    try:
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        outputs = [process.communicate(timeout=SECONDS + 120)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    return [client for output in outputs for client in json.loads(output)]


def tell(clients: list[dict[str, Any]], server: Server) -> None:
    """Print the latencies."""
    points = sum(client["count"] for client in clients if client["kind"] == "log_batches")
    rss = psutil.Process(server.pid).memory_info().rss / 1024**2
    print(
        f"\n{CLIENTS} clients, {SECONDS:g} s, pause {PAUSE_S:g} s: {points / SECONDS:,.0f} points/s; RSS {rss:,.0f} MiB"
    )
    for kind in dict.fromkeys(client["kind"] for client in clients):
        took = np.array([ms for client in clients if client["kind"] == kind for ms in client["took_ms"]])
        p50, p99, most = np.percentile(took, (50, 99, 100))
        rate = len(took) / SECONDS
        print(f"  {kind:12} {rate:8,.1f}/s  p50 {p50:7.1f}  p99 {p99:7.1f}  max {most:7.1f} ms")


def test_no_point_of_many_clients_is_lost_or_doubled_while_two_are_greedy(server: Server) -> None:
    clients = run_clients(server)
    tell(clients, server)

    assert [error for client in clients for error in client["errors"]] == []
    for client in clients:
        run_id, count = client["run_id"], client["count"]
        assert count > 0, client["kind"]
        if client["kind"] == "log_batches":
            table = server.history(run_id, "x")
            expected = np.arange(count)
            assert np.array_equal(np.sort(table.column("step").to_numpy()), expected), (run_id, count, table.num_rows)
            assert np.array_equal(np.sort(table.column("value").to_numpy()), expected.astype(float)), run_id
        elif client["kind"] == "log_largest":
            found = server.get("/api/headrace/v1/metrics/summary", run_id=run_id)["metrics"]
            assert {(one["key"], one["points"], one["last"]) for one in found} == {
                (key, count, float(count - 1)) for key in LONG_KEYS
            }
        elif client["kind"] == "log_inputs":
            [dataset] = server.run(run_id)["inputs"]["dataset_inputs"]
            assert len(dataset["dataset"]["profile"]) == INPUTS_BYTES
    assert server.status()["fault"] is None


# --- large files ------------------------------------------------------------------------------------------------------


def blocks(digest: Any) -> Iterator[bytes]:
    """FILE_BYTES of data in blocks, no two alike, each also given to the digest."""
    noise = random.Random(0).randbytes(1024**2 - 8)
    for i in range(FILE_BYTES // 1024**2):
        block = i.to_bytes(8, "little") + noise
        digest.update(block)
        yield block


class Watched:
    """While it is entered: how far a server's memory grows, and that it answers small requests."""

    def __init__(self, server: Server) -> None:
        self._client = Client(server.url)
        self._run_id = self._client.new_run()
        self._process = psutil.Process(server.pid)
        self._before = self._process.memory_info().rss
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.growth_bytes = 0

    def __enter__(self) -> Watched:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self._client.close()

    def _watch(self) -> None:
        while not self._ended.wait(0.02):
            self._client.call("GET", f"{_MLFLOW}runs/get?run_id={self._run_id}")
            self.growth_bytes = max(self.growth_bytes, self._process.memory_info().rss - self._before)

    def tell(self, what: str, seconds: float) -> None:
        """Print the figures, and hold them to the rules."""
        p50, p99, most = np.percentile(np.array(self._client.took_ms), (50, 99, 100))
        print(
            f"\n{what}: {FILE_BYTES / 1024**2 / seconds:,.0f} MiB/s; memory + {self.growth_bytes / 1024**2:,.0f} MiB;"
            f" runs/get meanwhile ({len(self._client.took_ms)}) p50 {p50:.1f} p99 {p99:.1f} max {most:.1f} ms"
        )
        assert self._client.errors == []
        assert self.growth_bytes < RSS_GROWTH_BYTES_MAX


def test_a_file_of_gigabytes_goes_in_and_out_in_flat_memory_while_others_are_answered(server: Server) -> None:
    run_id = server.post(_MLFLOW + "runs/create", {})["run"]["info"]["run_id"]
    path = f"/api/2.0/mlflow-artifacts/artifacts/0/{run_id}/artifacts/large.bin"
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=300)
    sent, received = hashlib.sha256(), hashlib.sha256()
    # What the first requests of a server load once is no growth of this file's making.
    server.request("PUT", path, content=b"x" * 1024**2)
    server.request("GET", path)

    began_s = time.monotonic()
    with Watched(server) as watched:
        connection.request("PUT", path, blocks(sent), {"Content-Length": str(FILE_BYTES)})
        response = connection.getresponse()
        assert (response.status, response.read()) == (200, b"{}")
    watched.tell("upload", time.monotonic() - began_s)

    began_s = time.monotonic()
    with Watched(server) as watched:
        connection.request("GET", path)
        response = connection.getresponse()
        assert response.status == 200
        while chunk := response.read(1024**2):
            received.update(chunk)
    watched.tell("download", time.monotonic() - began_s)

    connection.close()
    assert received.hexdigest() == sent.hexdigest()
    listed = server.get("/api/2.0/mlflow/artifacts/list", run_id=run_id)["files"]
    assert listed == [{"path": "large.bin", "is_dir": False, "file_size": FILE_BYTES}]


if __name__ == "__main__":
    clients_main(sys.argv[1], int(sys.argv[2]), sys.argv[3] == "True", float(sys.argv[4]), float(sys.argv[5]))
