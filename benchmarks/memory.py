"""What the server needs: how long until it is ready, and its memory idle, while points pour in, and afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks import processes
from benchmarks.figures import Cell, Table, spread
from benchmarks.peers import NotInstalled
from benchmarks.processes import MemoryWatch, Server, ours, wait_s

RUNS = 100
POINTS = 10_000_000
TRAINERS = 2
MAKERS: tuple[Callable[[Path], Server], ...] = (processes.headrace, processes.fasttrackml, processes.mlflow)


def run(folder: Path, rounds: int, quick: bool, say: Callable[[str], None]) -> Iterator[Table]:
    """Both tables."""
    yield start(folder, rounds, quick, say)
    yield flood(folder, quick, say)


def start(folder: Path, rounds: int, quick: bool, say: Callable[[str], None]) -> Table:
    """Each server started in turn, on a new folder each round."""
    settle_s = 1.0 if quick else 10.0
    table = Table("A server's start", ["server", "ready, s", "idle RSS, MB", "idle PSS, MB"])
    found: dict[str, list[tuple[float, float, float]]] = {}
    for number_of_round in range(rounds):
        for maker in MAKERS:
            try:
                server = maker(folder / f"start-{maker.__name__}-{number_of_round}")
                if number_of_round and server.name not in found:
                    continue
                say(f"memory: round {number_of_round + 1}, {server.name} starts")
                server.start()
            except (NotInstalled, RuntimeError) as error:
                table.notes.append(str(error))
                continue
            wait_s(settle_s)
            found.setdefault(server.name, []).append((server.ready_s, *server.memory()))
            server.stop()
    for name, results in found.items():
        cells: list[Cell] = [spread(values) for values in zip(*results, strict=True)]
        table.add(name, *cells)
    table.notes.append(
        f"Ready: from exec to the first 200 of /health, on an empty folder. Memory {settle_s:.0f} s later, of all its"
        " processes, from smaps_rollup."
    )
    return table


def flood(folder: Path, quick: bool, say: Callable[[str], None]) -> Table:
    """Ten million points of a hundred runs from trainers flat out."""
    points = 100_000 if quick else POINTS
    say(f"memory: {points:,} points of {RUNS} runs")
    table = Table(
        f"Our server's memory while {points:,} points of {RUNS} runs flow in from {TRAINERS} trainers, flat out",
        ["moment", "RSS, MB", "PSS, MB"],
    )
    server = processes.headrace(folder / "flood-server").start()
    workers = []
    try:
        job = {
            "target": server.url, "runs": RUNS // TRAINERS, "points": points // RUNS, "rate": 0, "flush": True,
        }  # fmt: skip
        workers = [
            ours("trainer", job, folder / f"flood-{index}", HEADRACE_BUFFER_POINTS_MAX=str(points))
            for index in range(TRAINERS)
        ]
        for worker in workers:
            worker.ready()
        table.add("before", *server.memory())
        with MemoryWatch(server) as watch:
            for worker in workers:
                worker.go()
            results = [worker.result() for worker in workers]
            taken_s = max(result["durable_s"] for result in results)
            caught_up_s = processes.caught_up(server)
            wait_s(1.0 if quick else 15.0)
        share = [sample for sample in watch.samples if sample[0] <= taken_s + caught_up_s + 0.5]
        for mark in (0.25, 0.5, 0.75):
            sample = share[int(mark * (len(share) - 1))]
            table.add(f"after {mark:.0%} of the time", *sample[1:])
        table.add("peak", max(s[1] for s in watch.samples), max(s[2] for s in watch.samples))
        table.add("15 s after the last", *server.memory())
    finally:
        for worker in workers:
            worker.kill()
        server.stop()
    total = sum(result["points"] - result["dropped"] for result in results)
    table.notes.append(
        f"{total:,} points were durable after {taken_s:.1f} s ({total / taken_s:,.0f}/s);"
        f" the views had them all {caught_up_s:.1f} s later."
    )
    return table
