"""Load from several client processes at once."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from typing import Any

from benchmarks import wire
from benchmarks.client import Connection

FORK = multiprocessing.get_context("fork")
START_TIMEOUT_S = 300.0


def batches(url: str, experiment_id: str, clients: int, seconds: float) -> float:
    """Points a second that clients get through log-batch, 1,000 in a request, each on a run of its own."""
    return _total(clients, _send_batches, url, experiment_id, seconds)


def new_runs(url: str, experiment_id: str, clients: int, seconds: float) -> float:
    """Runs a second that clients create, each with its first batch."""
    return _total(clients, _create_runs, url, experiment_id, seconds)


def fill(url: str, experiment_id: str, clients: int, runs: int) -> float:
    """Make the runs that are searched; seconds."""
    started_s = time.monotonic()
    _total(clients, _fill, url, experiment_id, clients, runs)
    return time.monotonic() - started_s


def _total(clients: int, work: Callable[..., float], *arguments: Any) -> float:
    """The sum of what the clients report; they begin together. Raises RuntimeError when one fails."""
    barrier = FORK.Barrier(clients)
    answers: Queue[tuple[float, str]] = FORK.Queue()
    processes = [
        FORK.Process(target=_guarded, args=(work, index, barrier, answers, *arguments), daemon=True)
        for index in range(clients)
    ]
    for process in processes:
        process.start()
    found = [answers.get(timeout=START_TIMEOUT_S + 600.0) for _ in processes]
    for process in processes:
        process.join()
    faults = [fault for _, fault in found if fault]
    if faults:
        raise RuntimeError(faults[0])
    return sum(value for value, _ in found)


def _guarded(
    work: Callable[..., float], index: int, barrier: Barrier, answers: Queue[tuple[float, str]], *arguments: Any
) -> None:
    try:
        answers.put((work(index, barrier, *arguments), ""))
    except Exception as error:
        barrier.abort()
        answers.put((0.0, f"{type(error).__name__}: {error}"))


def _send_batches(index: int, barrier: Barrier, url: str, experiment_id: str, seconds: float) -> float:
    connection = Connection(url)
    prepared = wire.Batches(wire.new_run(connection, experiment_id, f"client {index}"))
    connection.ask(prepared.following())
    barrier.wait(START_TIMEOUT_S)
    started_s = time.perf_counter()
    sent = 0
    while (taken_s := time.perf_counter() - started_s) < seconds:
        connection.ask(prepared.following())
        sent += wire.BATCH_POINTS
    return sent / taken_s


def _create_runs(index: int, barrier: Barrier, url: str, experiment_id: str, seconds: float) -> float:
    connection = Connection(url)
    create = wire.create_run(experiment_id, f"client {index}")
    barrier.wait(START_TIMEOUT_S)
    started_s = time.perf_counter()
    made = 0
    while (taken_s := time.perf_counter() - started_s) < seconds:
        run_id = connection.ask_json(create)["run"]["info"]["run_id"]
        connection.ask(wire.first_batch(run_id))
        made += 1
    return made / taken_s


def _fill(index: int, barrier: Barrier, url: str, experiment_id: str, clients: int, runs: int) -> float:
    connection = Connection(url)
    for number in range(index, runs, clients):
        run_id = wire.new_run(connection, experiment_id, f"run {number}")
        connection.ask(wire.whole_run(run_id, number))
    return 0.0
