"""Searching, charting and looking back in 10,000 runs with 100 million points, beside the peers where they can."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil

from benchmarks import data_set, load, processes, wire
from benchmarks.client import Connection, post_request
from benchmarks.data_set import DataSet
from benchmarks.figures import Table, percentile
from benchmarks.peers import NotInstalled
from benchmarks.processes import MemoryWatch, Server, environ

FILTER = "metrics.metric_3 > 0.5 and params.param_2 = 'value_7'"
ORDER = "metrics.metric_1 DESC"
USERS = 20
V1 = "/api/headrace/v1"


def run(folder: Path, rounds: int, quick: bool, say: Callable[[str], None]) -> Iterator[Table]:
    """Both tables: ours on the whole data set, and the peers' searches on a tenth of the runs."""
    runs, steps, long_steps = (500, 20, 10_000) if quick else (10_000, 500, 100_000)
    server = processes.headrace(folder / "headrace").start()
    with ExitStack() as stack:
        stack.callback(server.stop)
        watch = stack.enter_context(MemoryWatch(server))
        made = data_set.make(server.url, runs, steps, long_steps, say)
        loaded_mb = server.memory()[0]
        table = Table(
            f"Queries of {runs:,} runs with {made.points:,} points", ["work", "p50 ms", "p99 ms", "CPU ms", "requests"]
        )
        for title, ask, limit in _lines(server, made):
            say(f"queries: {title}")
            table.add(title, *measured(server, ask, 20 if quick else limit))
        say("queries: growth")
        for title, experiment_id in (("1,000", made.small_id), ("10,000", made.experiment_id)):
            numbers = itertools.count(1_000)
            connection = Connection(server.url)
            figures = measured(server, lambda c=connection, e=experiment_id, n=numbers: c.ask(another(e, next(n))), 200)  # type: ignore[misc]
            table.add(f"the search of {title} runs", *figures)
        say(f"queries: {USERS} users")
        table.add(f"the same under {USERS} concurrent users", *_crowd(server.url, made, 2.0 if quick else 20.0))
        say("queries: DataFrame")
        for title, columns in (("all columns", None), ("20 metrics", ["metrics.*"])):
            took_ms = _frame(server, made, columns, rounds)
            table.add(f"all {runs:,} runs to a DataFrame, {title}", took_ms, "", "", rounds)
        table.notes += [
            f"The data set was made through the ingest gateway in {made.taken_s:,.0f} s:"
            f" {made.points / made.taken_s:,.0f} points/s by one client, until all of it could be searched.",
            f"{data_set.KEYS} metrics with {steps} steps and {data_set.PARAMS + 1} params a run. Search: {FILTER},"
            f" by {ORDER}, the first 100; the threshold is another one each time, where nothing else is said.",
            "CPU: the server's processor time a request, without what it does beside.",
            f"Server memory (RSS): {loaded_mb:,.0f} MB when the data set was in,"
            f" {max(x[1] for x in watch.samples):,.0f} MB at most through all of it.",
        ]
        yield table
    yield _peers(folder, 100 if quick else 1_000, 20 if quick else 200, say)


def measured(server: Server, ask: Callable[[], object], requests: int) -> tuple[float, float, float, int]:
    """p50 and p99 of a request, ms; processor time of the server a request, ms; and how many there were."""
    for _ in range(3):
        ask()
    process = psutil.Process(server.pid)
    before, times = process.cpu_times(), []
    for _ in range(requests):
        started_s = time.perf_counter()
        ask()
        times.append((time.perf_counter() - started_s) * 1000)
    after = process.cpu_times()
    times.sort()
    cpu_ms = (after.user + after.system - before.user - before.system) / requests * 1000
    return percentile(times, 0.5), percentile(times, 0.99), cpu_ms, requests


def _lines(server: Server, made: DataSet) -> list[tuple[str, Callable[[], object], int]]:
    connection = Connection(server.url)

    def search(experiment_id: str = made.experiment_id, **more: Any) -> Callable[[], object]:
        request = search_request(experiment_id, **more)
        return lambda: connection.ask(request)

    def others(**more: Any) -> Callable[[], object]:
        """The search with another threshold each time, which nobody has asked for yet."""
        numbers = itertools.count()
        return lambda: connection.ask(another(made.experiment_id, next(numbers), **more))

    def moments() -> Callable[[], object]:
        """As of another millisecond each time."""
        numbers = itertools.count(made.middle_ms)
        return lambda: connection.ask(search_request(made.experiment_id, as_of=str(next(numbers))))

    def series(**body: Any) -> Callable[[], object]:
        request = post_request(f"{V1}/series", body)
        return lambda: connection.ask(request)

    def statement(query: str) -> Callable[[], object]:
        request = post_request(f"{V1}/sql", {"query": query})
        return lambda: connection.ask(request)

    now_ms = str(int(time.time() * 1000))
    long_series = {"run_ids": [made.long_run_id], "key": "long", "buckets": 1_000}
    return [
        ("filtered, ordered search, 100 runs back", others(), 500),
        ("the same one again and again", search(), 500),
        ("no filter, 100 latest runs", search(filter="", order_by=[]), 500),
        ("by an aggregate: metrics.metric_1.min", search(order_by=["metrics.metric_1.min"]), 200),
        ("metrics.metric_1.at(100) > 0.5", search(filter="metrics.metric_1.at(100) > 0.5"), 100),
        ("by metrics.metric_1.at_best(metric_2)", search(order_by=["metrics.metric_1.at_best(metric_2)"]), 100),
        ("a regular expression: params.lr =~ 'e-0[34]$'", search(filter="params.lr =~ 'e-0[34]$'"), 200),
        ("as of the middle of the data set", others(as_of=str(made.middle_ms)), 200),
        ("as of another moment each time", moments(), 200),
        ("as of now", others(as_of=now_ms), 200),
        ("one series of 100,000 points as 1,000 buckets", series(**long_series), 100),
        ("100 runs × 1,000 points on one chart", series(run_ids=made.curves, key="curve", buckets=1_000), 50),
        (
            "100 runs as 5 groups, median and band",
            series(run_ids=made.curves, key="curve", group_by=["tags.group"], aggregate="median"),
            50,
        ),
        ("SQL: count of points by metric", statement("SELECT key, count() FROM metric_summary GROUP BY key"), 50),
    ]


def search_request(experiment_id: str, **more: Any) -> bytes:
    """The search that is measured."""
    body = {"experiment_ids": [experiment_id], "max_results": 100, "filter": FILTER, "order_by": [ORDER], **more}
    return post_request(f"{wire.API}/runs/search", body)


def another(experiment_id: str, number: int, **more: Any) -> bytes:
    """The same with a threshold of its own."""
    return search_request(experiment_id, filter=FILTER.replace("0.5", f"{0.5 + number / 1e9:.9f}"), **more)


def _crowd(url: str, made: DataSet, seconds: float) -> tuple[float, float, str, int]:
    """Each user asks another question each time."""
    times: list[float] = []
    faults: list[str] = []
    until_s = time.monotonic() + seconds

    def user(first: int) -> None:
        connection = Connection(url)
        numbers = itertools.count(first)
        while time.monotonic() < until_s:
            request = another(made.experiment_id, next(numbers))
            started_s = time.perf_counter()
            try:
                connection.ask(request)
            except Exception as error:
                faults.append(str(error))
                return
            times.append((time.perf_counter() - started_s) * 1000)

    threads = [threading.Thread(target=user, args=((number + 2) * 100_000,)) for number in range(USERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if faults:
        raise RuntimeError(f"{len(faults)} of {USERS} users failed: {faults[0]}")
    times.sort()
    return percentile(times, 0.5), percentile(times, 0.99), "", len(times)


_FRAME = """
import json, sys, time
import headrace
headrace.set_tracking_uri(sys.argv[1])
columns = json.loads(sys.argv[3])
headrace.search_runs(experiment_ids=[sys.argv[2]], max_results=10)
times = []
for _ in range(int(sys.argv[4])):
    started = time.perf_counter()
    frame = headrace.search_runs(experiment_ids=[sys.argv[2]], columns=columns)
    times.append(time.perf_counter() - started)
print(json.dumps([sorted(times)[len(times) // 2] * 1000, *frame.shape]))
"""


def _frame(server: Server, made: DataSet, columns: list[str] | None, rounds: int) -> float:
    command = [sys.executable, "-c", _FRAME, server.url, made.experiment_id, json.dumps(columns), str(rounds)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environ(server.folder))
    took_ms, rows, _ = json.loads(done.stdout)
    if rows != len(made.run_ids):
        raise RuntimeError(f"the DataFrame has {rows} rows")
    return float(took_ms)


def _peers(folder: Path, runs: int, requests: int, say: Callable[[str], None]) -> Table:
    """The one query that all three can do, on the same runs; the peers take hours to be filled with more."""
    table = Table(f"The same search of {runs:,} runs on three servers", ["server", "p50 ms", "p99 ms", "filled in, s"])
    for maker in (processes.headrace, processes.fasttrackml, processes.mlflow):
        try:
            server = maker(folder / f"peer-{maker.__name__}").start()
        except (NotInstalled, RuntimeError) as error:
            table.notes.append(str(error))
            continue
        with ExitStack() as stack:
            stack.callback(server.stop)
            connection = Connection(server.url)
            experiment_id = wire.create_experiment(connection, "searched")
            say(f"queries: filling {server.name}")
            filled_s = load.fill(server.url, experiment_id, 4, runs)
            request = wire.search(experiment_id, 100, FILTER, ORDER)
            p50, p99, _, _ = measured(server, lambda c=connection, r=request: c.ask(r), requests)  # type: ignore[misc]
            table.add(server.name, p50, p99, filled_s)
    table.notes.append(f"20 metrics of one point and 10 params a run. Search: {FILTER}, by {ORDER}, the first 100.")
    return table
