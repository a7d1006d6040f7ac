"""The same work against our server, MLflow's and FastTrackML, in turn, round by round."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import load, processes, wire
from benchmarks.client import Connection
from benchmarks.figures import Cell, Table, ratio, spread
from benchmarks.peers import NotInstalled
from benchmarks.processes import Server

MAKERS: tuple[Callable[[Path], Server], ...] = (processes.headrace, processes.fasttrackml, processes.mlflow)


@dataclass(slots=True)
class Subject:
    """A server under test, and what was put into it. experiment_id: for writes. ours: whether the larger sets fit."""

    server: Server
    ours: bool
    connection: Connection
    experiment_id: str = ""
    searched_id: str = ""
    searched_large_id: str = ""
    run_id: str = ""
    series_id: str = ""
    step: int = 0
    found: dict[str, list[float]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much of everything."""

    runs: int = 1_000
    runs_large: int = 10_000
    series: int = 8_000
    series_large: int = 100_000
    requests: int = 200
    seconds: float = 4.0


QUICK = Sizes(100, 300, 2_000, 5_000, 20, 0.5)


@dataclass(frozen=True, slots=True)
class Line:
    """One row. unit: what it is measured in; measure gives one round's figure. large: only ours is asked."""

    title: str
    unit: str
    measure: Callable[[Subject, Sizes], float]
    large: bool = False


def run(folder: Path, rounds: int, quick: bool, say: Callable[[str], None]) -> Iterator[Table]:
    """The table."""
    sizes = QUICK if quick else Sizes()
    table = Table("The same work on three servers", ["work", "unit"])
    with ExitStack() as stack:
        subjects: list[Subject] = []
        for maker in MAKERS:
            try:
                server = maker(folder / f"server-{maker.__name__}").start()
            except (NotInstalled, RuntimeError) as error:
                table.notes.append(str(error))
                continue
            stack.callback(server.stop)
            subject = Subject(server, maker is processes.headrace, Connection(server.url))
            subjects.append(subject)
            prepare(subject, sizes, table, say)
        for number_of_round in range(rounds):
            for line in LINES:
                for subject in subjects:
                    if line.large and not subject.ours:
                        continue
                    say(f"server: round {number_of_round + 1}, {line.title}, {subject.server.name}")
                    value = line.measure(subject, sizes)
                    subject.found.setdefault(line.title, []).append(value)
    table.columns += [subject.server.name for subject in subjects]
    table.columns += [f"to {subject.server.name}" for subject in subjects[1:]]
    for line in LINES:
        cells: list[Cell] = [
            spread(subject.found[line.title]) if line.title in subject.found else "" for subject in subjects
        ]
        faster = [
            (ratio(cell, cells[0]) if line.unit.endswith("/s") else ratio(cells[0], cell)) if cell else ""
            for cell in cells[1:]
        ]
        table.add(line.title, line.unit, *cells, *faster)
    table.notes += [
        f"{rounds} rounds, servers in turn; ms are a round's p50. Median (lowest–highest) of the rounds.",
        "All three run at the same time, each on an SQLite file or folder of its own; only one is asked at a time.",
        f"Search: {sizes.runs:,} runs × 20 metrics × 10 params (large: {sizes.runs_large:,});"
        f" filtered: {wire.FILTER}, by metrics.metric_1 descending, the first 50.",
    ]
    yield table


def prepare(subject: Subject, sizes: Sizes, table: Table, say: Callable[[str], None]) -> None:
    """Experiments, the runs to search and the series to read."""
    connection, url = subject.connection, subject.server.url
    subject.experiment_id = wire.create_experiment(connection, "writes")
    subject.searched_id = wire.create_experiment(connection, "searched")
    subject.run_id = wire.new_run(connection, subject.experiment_id, "single")
    connection.ask(wire.first_batch(subject.run_id))
    subject.series_id = wire.new_run(connection, subject.experiment_id, "series")
    say(f"server: filling {subject.server.name}")
    taken_s = load.fill(url, subject.searched_id, 4, sizes.runs)
    table.notes.append(
        f"{subject.server.name}: {sizes.runs:,} runs to search were made in {taken_s:.1f} s (4 clients)."
    )
    for request in wire.series(subject.series_id, "series", sizes.series):
        connection.ask(request)
    if subject.ours:
        subject.searched_large_id = wire.create_experiment(connection, "searched, large")
        taken_s = load.fill(url, subject.searched_large_id, 4, sizes.runs_large)
        table.notes.append(f"{subject.server.name}: {sizes.runs_large:,} runs in {taken_s:.1f} s.")
        for request in wire.series(subject.series_id, "large", sizes.series_large):
            connection.ask(request)


def p50_ms(ask: Callable[[], object], sizes: Sizes) -> float:
    """The median time of a request on one connection, after three to warm up, for some seconds at most."""
    for _ in range(3):
        ask()
    times: list[float] = []
    started_s = time.perf_counter()
    while len(times) < sizes.requests and (len(times) < 5 or time.perf_counter() - started_s < sizes.seconds):
        before_s = time.perf_counter()
        ask()
        times.append(time.perf_counter() - before_s)
    times.sort()
    return times[len(times) // 2] * 1000


def _log_metric(subject: Subject, sizes: Sizes) -> float:
    def ask() -> None:
        subject.step += 1
        subject.connection.ask(wire.log_metric(subject.run_id, subject.step))

    return p50_ms(ask, sizes)


def _batches(clients: int) -> Callable[[Subject, Sizes], float]:
    return lambda subject, sizes: load.batches(subject.server.url, subject.experiment_id, clients, sizes.seconds)


def _new_runs(subject: Subject, sizes: Sizes) -> float:
    return load.new_runs(subject.server.url, subject.experiment_id, 4, sizes.seconds)


def _search(limit: int, filter_string: str = "", order_by: str = "", large: bool = False) -> Callable[..., float]:
    """A search; the server must find what was put in."""

    def measure(subject: Subject, sizes: Sizes) -> float:
        experiment_id = subject.searched_large_id if large else subject.searched_id
        request = wire.search(experiment_id, limit, filter_string, order_by)
        held = sizes.runs_large if large else sizes.runs
        runs = subject.connection.ask_json(request).get("runs", [])
        if not filter_string and len(runs) != min(limit, held):
            raise RuntimeError(f"{subject.server.name} returned {len(runs)} runs")
        if any(len(run["data"]["metrics"]) != 20 or len(run["data"]["params"]) != 10 for run in runs):
            raise RuntimeError(f"{subject.server.name} returned runs that are not whole")
        return p50_ms(lambda: subject.connection.ask(request), sizes)

    return measure


def _history(key: str) -> Callable[[Subject, Sizes], float]:
    def measure(subject: Subject, sizes: Sizes) -> float:
        def ask() -> None:
            found = wire.history(subject.connection, subject.series_id, key)
            if found != (sizes.series if key == "series" else sizes.series_large):
                raise RuntimeError(f"{subject.server.name} returned {found} points of {key}")

        return p50_ms(ask, sizes)

    return measure


def _get_run(subject: Subject, sizes: Sizes) -> float:
    request = wire.get_run(subject.run_id)
    return p50_ms(lambda: subject.connection.ask(request), sizes)


LINES = (
    Line("log-metric, one client", "ms", _log_metric),
    Line("log-batch of 1,000 points, 1 client", "points/s", _batches(1)),
    Line("log-batch of 1,000 points, 8 clients", "points/s", _batches(8)),
    Line("create a run and log 30 points, 10 params, 1 tag, 4 clients", "runs/s", _new_runs),
    Line("filtered, ordered search", "ms", _search(50, wire.FILTER, "metrics.metric_1 DESC")),
    Line("100 latest runs", "ms", _search(100)),
    Line("up to 1,000 whole runs", "ms", _search(1_000)),
    Line("history of 8,000 points, all pages", "ms", _history("series")),
    Line("get run", "ms", _get_run),
    Line("large: filtered, ordered search", "ms", _search(50, wire.FILTER, "metrics.metric_1 DESC", True), True),
    Line("large: 100 latest runs", "ms", _search(100, large=True), True),
    Line("large: 1,000 whole runs", "ms", _search(1_000, large=True), True),
    Line("history of 100,000 points, all pages", "ms", _history("large"), True),
)
