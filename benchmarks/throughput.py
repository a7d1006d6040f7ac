"""How many points a second go from a log into views: by workers from Kafka, and in one process beside them."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from headrace.ingest.opening import open_log

from benchmarks.backlog import Backlog
from benchmarks.deployment import Deployment, Pipeline, deployed
from benchmarks.figures import Cell, Table, spread
from benchmarks.processes import ours

BACKLOGS = (Backlog(2_000_000, 10), Backlog(10_000_000, 100), Backlog(20_000_000, 1_000))
FLOWS = (Backlog(300_000, 10), Backlog(3_000_000, 100), Backlog(20_000_000, 1_000))
QUICK = 10
"""A quick round has so many times fewer points."""


@dataclass(frozen=True, slots=True)
class Figures:
    """One round of one row. cpu_s: of worker or engine, ClickHouse, Kafka."""

    points_s: float
    messages_s: float
    first_s: float
    cpu_s: tuple[float, float, float]
    load: float


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a size's rows; measure gives one round's figures."""

    title: str
    measure: Callable[[Deployment, Backlog, Path], Figures]
    live: bool = False


def run(folder: Path, rounds: int, quick: bool, say: Callable[[str], None]) -> Iterator[Table]:
    """The table, and that of the growth from one worker to two."""
    found: dict[tuple[str, int], list[Figures]] = {}
    with deployed(folder / "throughput") as deployment:
        for number in range(rounds):
            for backlog, flow in zip(BACKLOGS, FLOWS, strict=True):
                for row in ROWS:
                    size = flow if row.live else backlog
                    size = Backlog(size.points // QUICK, size.points_a_message) if quick else size
                    say(f"scale: round {number + 1}, {row.title}, {size.points:,} points, {size.points_a_message} each")
                    place = folder / f"throughput-{number}-{ROWS.index(row)}-{size.points_a_message}"
                    figures = row.measure(deployment, size, place)
                    found.setdefault((row.title, size.points_a_message), []).append(figures)
    yield _table(found, rounds)
    yield _growth(found)


def _table(found: dict[tuple[str, int], list[Figures]], rounds: int) -> Table:
    table = Table(
        "From the log into the views",
        [
            "by", "points a message", "points/s", "messages/s", "s to the first",
            "CPU s a million points: worker or engine", "ClickHouse", "Kafka", "load",
        ],
    )  # fmt: skip
    for (title, size), figures in sorted(found.items(), key=lambda item: item[0][1]):
        cells: list[Cell] = [
            spread([one.points_s for one in figures]),
            spread([one.messages_s for one in figures]),
            spread([one.first_s for one in figures]),
            *[spread([one.cpu_s[part] for one in figures]) for part in range(3)],
            spread([one.load for one in figures]),
        ]
        table.add(title, size, *cells)
    table.notes += [
        f"{rounds} rounds; median (lowest–highest). Each round has a log and views of its own; 100 runs log at the"
        " same time, ten metrics a step; 4 partitions.",
        "points/s: from the first points that were in the views to the last. s to the first: from the moment the"
        " worker has started (joining the group, taking partitions over), or from the first append.",
        "backlog: all was in the log before. as it comes: appended, as fast as the log takes it, to workers that run.",
        "Broker, ClickHouse (the façade of tests/: chDB behind HTTP) and workers share the two cores.",
    ]
    return table


def _growth(found: dict[tuple[str, int], list[Figures]]) -> Table:
    """How many times one worker's rate two have."""
    table = Table("Two workers beside one", ["points a message", "backlog", "as it comes"])
    for size in sorted({size for _, size in found}):
        cells: list[Cell] = []
        for kind in ("backlog", "as it comes"):
            one, two = (
                spread([x.points_s for x in found[f"{workers}, {kind}", size]]).median for workers in (ONE, TWO)
            )
            cells.append(f"{two / one:.2f}×")
        table.add(str(size), *cells)
    table.notes.append(f"On {len(os.sched_getaffinity(0))} cores, which broker and ClickHouse share.")
    return table


def _by_workers(workers: int) -> Callable[[Deployment, Backlog, Path], Figures]:
    """A backlog, and workers that start then."""

    def measure(deployment: Deployment, backlog: Backlog, _: Path) -> Figures:
        with deployment.pipeline() as pipeline:
            backlog.fill(pipeline.log)
            pipeline.work(workers)
            return _watched(pipeline, backlog)

    return measure


def _as_it_comes(workers: int) -> Callable[[Deployment, Backlog, Path], Figures]:
    """Workers that have their partitions, and then the messages."""

    def measure(deployment: Deployment, backlog: Backlog, _: Path) -> Figures:
        with deployment.pipeline() as pipeline:
            pipeline.log.append(backlog.beginnings())
            pipeline.work(workers)
            pipeline.watch()
            pipeline.settle()
            return _watched(pipeline, backlog, lambda: backlog.append_metrics(pipeline.log))

    return measure


def _watched(pipeline: Pipeline, backlog: Backlog, act: Callable[[], None] = lambda: None) -> Figures:
    caught = pipeline.watch(act)
    stored = pipeline.points()
    if stored != backlog.points:
        raise RuntimeError(f"{stored:,} points are in the views, not {backlog.points:,}")
    millions = backlog.points / 1e6
    messages_s = caught.rate(backlog.messages)
    cpu_s = tuple(caught.cpu_s[name] / millions for name in ("workers", "ClickHouse", "Kafka"))
    return Figures(
        messages_s * backlog.points_a_message, messages_s, caught.first_s, (cpu_s[0], cpu_s[1], cpu_s[2]), _load()
    )


def _in_process(kafka: bool) -> Callable[[Deployment, Backlog, Path], Figures]:
    """The engine of a server without workers, its views in chDB."""

    def measure(deployment: Deployment, backlog: Backlog, place: Path) -> Figures:
        if kafka:
            with deployment.pipeline() as pipeline:
                backlog.fill(pipeline.log)
                return _folded(pipeline.log_url, backlog, place)
        log = open_log(str(place / "log"))
        backlog.fill(log)
        log.close()
        return _folded(str(place / "log"), backlog, place)

    return measure


def _folded(url: str, backlog: Backlog, place: Path) -> Figures:
    worker = ours("fold", {"log": url, "views": str(place / "views")}, place)
    try:
        answer = worker.run()
    finally:
        worker.kill()
    if answer["points"] != backlog.points:
        raise RuntimeError(f"{answer['points']:,} points were folded, not {backlog.points:,}")
    points_s = backlog.points / answer["seconds"]
    used = (answer["cpu_s"] / backlog.points * 1e6, math.nan, math.nan)
    return Figures(points_s, points_s / backlog.points_a_message, 0.0, used, _load())


def _load() -> float:
    return os.getloadavg()[0]


ONE, TWO = "one worker", "two workers"
ROWS = (
    Row(f"{ONE}, backlog", _by_workers(1)),
    Row(f"{TWO}, backlog", _by_workers(2)),
    Row(f"{ONE}, as it comes", _as_it_comes(1), live=True),
    Row(f"{TWO}, as it comes", _as_it_comes(2), live=True),
    Row("engine in one process, Kafka's log, chDB", _in_process(kafka=True)),
    Row("engine in one process, SQLite's log, chDB", _in_process(kafka=False)),
)
