"""Two hundred clients that log at once, beside one that sends bodies as large as allowed."""

from __future__ import annotations

import asyncio
import multiprocessing
import random
import time
from collections.abc import Callable, Iterator
from multiprocessing.queues import Queue
from pathlib import Path
from typing import NamedTuple

from benchmarks import processes, wire
from benchmarks.client import Connection, Failed, post_request
from benchmarks.figures import Table, percentile
from benchmarks.peers import NotInstalled
from benchmarks.processes import Server

CLIENTS = 200
PROCESSES = 2
INTERVAL_S = 1.0
POINTS = 100
METRICS = 10
KEY = "metric_0"
FORK = multiprocessing.get_context("fork")


class Logged(NamedTuple):
    """What some clients did. sent: requests that were answered, by run."""

    times_s: list[float]
    errors: list[str]
    sent: dict[str, int]


def run(folder: Path, rounds: int, quick: bool, say: Callable[[str], None]) -> Iterator[Table]:
    """One minute for each server, one after the other; rounds are not used, a minute has enough requests."""
    seconds = 5.0 if quick else 60.0
    table = Table(
        f"{CLIENTS} clients log {POINTS} points each {INTERVAL_S:.0f} s for {seconds:.0f} s",
        ["server", "requests", "errors", "points missing", "p50 ms", "p99 ms", "max ms", "large bodies sent"],
    )
    for maker in (processes.headrace, processes.fasttrackml):
        try:
            server = maker(folder / f"crowd-{maker.__name__}").start()
        except (NotInstalled, RuntimeError) as error:
            table.notes.append(str(error))
            continue
        try:
            say(f"crowd: {server.name}")
            _measure(server, seconds, table)
        finally:
            server.stop()
    table.notes.append(
        "Beside them one client sends log-batch bodies of 1,000 points with names of 250 characters, without a pause."
    )
    yield table


def _measure(server: Server, seconds: float, table: Table) -> None:
    connection = Connection(server.url)
    experiment_id = wire.create_experiment(connection, "crowd")
    run_ids = [wire.new_run(connection, experiment_id, f"client {number}") for number in range(CLIENTS)]
    large_id = wire.new_run(connection, experiment_id, "large")
    answers: Queue[Logged | int] = FORK.Queue()
    started_s = time.monotonic() + 1.0
    workers = [
        FORK.Process(target=_clients, args=(server.port, run_ids[i::PROCESSES], started_s, seconds, answers))
        for i in range(PROCESSES)
    ]
    workers.append(FORK.Process(target=_large, args=(server.url, large_id, started_s, seconds, answers)))
    for worker in workers:
        worker.start()
    found = [answers.get(timeout=seconds + 300.0) for _ in workers]
    for worker in workers:
        worker.join()
    logged = [one for one in found if isinstance(one, Logged)]
    times = sorted(value for one in logged for value in one.times_s)
    errors = [error for one in logged for error in one.errors]
    missing = sum(
        max(0, count * POINTS // METRICS - wire.history(connection, run_id, KEY))
        for one in logged
        for run_id, count in one.sent.items()
    )
    shares = [percentile(times, share) * 1000 for share in (0.5, 0.99, 1.0)]
    large = sum(one for one in found if isinstance(one, int))
    table.add(server.name, len(times), len(errors), missing * METRICS, *shares, large)
    if errors:
        table.notes.append(f"{server.name}: the first error was {errors[0]}")


def _clients(port: int, run_ids: list[str], started_s: float, seconds: float, answers: Queue[Logged | int]) -> None:
    logged = Logged([], [], dict.fromkeys(run_ids, 0))

    async def all_clients() -> None:
        await asyncio.gather(*(_client(port, run_id, started_s, seconds, logged) for run_id in run_ids))

    asyncio.run(all_clients())
    answers.put(logged)


async def _client(port: int, run_id: str, started_s: float, seconds: float, logged: Logged) -> None:
    """One client; a request that fails is counted and not sent again."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    due_s = started_s + random.random() * INTERVAL_S
    number = 0
    while due_s < started_s + seconds:
        await asyncio.sleep(max(0.0, due_s - time.monotonic()))
        request = _batch(run_id, number)
        before_s = time.perf_counter()
        try:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
            body = await reader.readexactly(length)
            if int(head[9:12]) == 200:
                logged.times_s.append(time.perf_counter() - before_s)
                logged.sent[run_id] += 1
            else:
                logged.errors.append(f"{head[9:12].decode()} {body[:200]!r}")
        except (OSError, asyncio.IncompleteReadError, IndexError) as error:
            logged.errors.append(f"{type(error).__name__}: {error}")
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        number += 1
        due_s += INTERVAL_S
    writer.close()


def _batch(run_id: str, number: int) -> bytes:
    first = number * POINTS
    points = [
        {"key": f"metric_{n % METRICS}", "value": n / 7, "timestamp": wire.STARTED_MS + n, "step": n // METRICS}
        for n in range(first, first + POINTS)
    ]
    return post_request(f"{wire.API}/runs/log-batch", {"run_id": run_id, "metrics": points})


def _large(url: str, run_id: str, started_s: float, seconds: float, answers: Queue[Logged | int]) -> None:
    connection = Connection(url)
    sent = 0
    while time.monotonic() < started_s + seconds:
        now_ms = wire.STARTED_MS + sent
        points = [{"key": f"{n % 100:0250d}", "value": 0.5, "timestamp": now_ms, "step": n} for n in range(1_000)]
        try:
            connection.ask(post_request(f"{wire.API}/runs/log-batch", {"run_id": run_id, "metrics": points}))
            sent += 1
        except (Failed, OSError):
            connection.close()
    answers.put(sent)
