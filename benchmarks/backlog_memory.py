"""What a worker's memory comes to while it catches up with a million small messages; one process beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from headrace.ingest.opening import open_log

from benchmarks.backlog import Backlog
from benchmarks.deployment import deployed, peak_mb
from benchmarks.figures import Table
from benchmarks.processes import ours

BACKLOG = Backlog(10_000_000, 10, runs=1_000)
QUICK = Backlog(200_000, 10, runs=1_000)


def run(folder: Path, _: int, quick: bool, say: Callable[[str], None]) -> Iterator[Table]:
    """The table. In one round: memory is not a matter of how busy the machine is."""
    backlog = QUICK if quick else BACKLOG
    table = Table(
        f"Memory, VmHWM, at a backlog of {backlog.messages:,} messages of {backlog.points_a_message} points",
        ["by", "idle, MB", "afterwards, MB", "s", "messages/s"],
    )
    with deployed(folder / "memory") as deployment:
        say("scale: an idle worker")
        with deployment.pipeline() as pipeline:
            pipeline.log.append(backlog.beginnings())
            pipeline.work()
            pipeline.watch()
            pipeline.settle()
            idle_mb = peak_mb(pipeline.workers[0].pid)
        say(f"scale: {backlog.messages:,} small messages, a worker")
        with deployment.pipeline() as pipeline:
            backlog.fill(pipeline.log)
            pipeline.work()
            caught = pipeline.watch()
            worker_mb = peak_mb(pipeline.workers[0].pid)
            table.add("a worker", idle_mb, worker_mb, caught.end_s, backlog.messages / caught.end_s)
    say(f"scale: {backlog.messages:,} small messages, one process")
    place = folder / "memory-engine"
    with_nothing = _folded(place / "idle", Backlog(0, 10, backlog.runs))
    answer = _folded(place / "full", backlog)
    table.add(
        "engine in one process, SQLite's log, chDB",
        with_nothing["peak_mb"],
        answer["peak_mb"],
        answer["seconds"],
        backlog.messages / answer["seconds"],
    )
    table.notes.append(
        f"{backlog.runs:,} runs of ten metrics. The worker's views are on ClickHouse, a process of its own; the"
        " engine's memory has chDB in it."
    )
    yield table


def _folded(place: Path, backlog: Backlog) -> dict[str, float]:
    log = open_log(str(place / "log"))
    backlog.fill(log)
    log.close()
    worker = ours("fold", {"log": str(place / "log"), "views": str(place / "views")}, place)
    try:
        return worker.run()
    finally:
        worker.kill()
