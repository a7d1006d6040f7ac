"""What a log call costs the thread that trains, and what the trainer's memory comes to while no server answers."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import processes
from benchmarks.figures import Cell, Table, number, spread
from benchmarks.peers import MLFLOW, TENSORBOARDX, TRACKIO, NotInstalled, Peer, installed
from benchmarks.processes import Server, Worker, environ, free_port, ours

PACED = 50_000
CALLS = Path(__file__).parent / "workers" / "calls.py"


@dataclass(frozen=True, slots=True)
class Case:
    """One row: a tool with a target. points: of one round; rate: a second, 0 is flat out."""

    title: str
    tool: str
    target: str
    points: int
    rate: int
    peer: Peer | None = None


def run(folder: Path, rounds: int, quick: bool, say: Callable[[str], None]) -> Iterator[Table]:
    """The table of call costs, then that of memory."""
    yield calls(folder, rounds, quick, say)
    yield memory(folder, quick, say)


def calls(folder: Path, rounds: int, quick: bool, say: Callable[[str], None]) -> Table:
    """Each case in turn, round by round."""
    table = Table(
        "A log call, on the caller's thread",
        ["tool, target", "pace", "calls a round", "p50 µs", "p99 µs", "p99.9 µs", "max µs", "calls/s kept"],
    )
    timers: list[float] = []
    with _servers(folder, table) as urls:
        cases = list(_cases(urls, quick))
        results: dict[Case, list[dict[str, Any]]] = {case: [] for case in cases}
        missing: dict[Case, str] = {}
        for number_of_round in range(rounds):
            for case in cases:
                if case in missing:
                    continue
                say(f"sdk: round {number_of_round + 1}, {case.title}, {_pace(case)}")
                try:
                    results[case].append(_measure(case, folder, number_of_round))
                except (NotInstalled, RuntimeError) as error:
                    missing[case] = str(error)
    for case, found in results.items():
        if not found:
            table.add(case.title, _pace(case), case.points, *["not measured"] * 5)
            table.notes.append(f"{case.title}: {missing[case].splitlines()[-1]}")
            continue
        timers += [one["timer_us"] for one in found]
        cells: list[Cell] = [spread([one[name] for one in found]) for name in ("p50_us", "p99_us", "p999_us", "max_us")]
        table.add(
            case.title, _pace(case), case.points, *cells, spread([one["points"] / one["wall_s"] for one in found])
        )
    table.notes.append(
        f"{rounds} rounds, tools in turn, each in a fresh process: median (lowest–highest) of the rounds' percentiles."
    )
    table.notes.append(
        f"Each call is timed alone; the timer with an empty call takes {number(spread(timers).median)} µs, which the"
        " figures include. The pace is kept by a burst each millisecond with sleep in between."
    )
    return table


def memory(folder: Path, quick: bool, say: Callable[[str], None]) -> Table:
    """One trainer flat out with nothing listening at its target."""
    points = 500_000 if quick else 10_000_000
    marks = [points // 10, points // 2, points]
    table = Table(
        "A trainer's peak memory while no server answers, flat out",
        ["setting", "before, MB", *[f"{mark:,} points, MB" for mark in marks], "points dropped"],
    )
    settings = {
        "default (buffer 1,000,000 points, spool 10 GiB)": {},
        "spool full at 1 MiB, buffer 1,000,000 points": {"HEADRACE_SPOOL_BYTES_MAX": str(1024**2)},
        "spool full at 1 MiB, buffer 100,000 points": {
            "HEADRACE_SPOOL_BYTES_MAX": str(1024**2),
            "HEADRACE_BUFFER_POINTS_MAX": "100000",
        },
    }
    for index, (title, variables) in enumerate(settings.items()):
        say(f"sdk: memory, {title}")
        job = {
            "target": f"http://127.0.0.1:{free_port()}", "runs": 1, "points": points, "rate": 0, "flush": False,
            "marks": marks,
        }  # fmt: skip
        found = ours("trainer", job, folder / f"down-{index}", HEADRACE_EXIT_TIMEOUT_S="0.5", **variables).run()
        table.add(title, *found["peaks_mb"][: 1 + len(marks)], found["dropped"])
    table.notes.append(
        "VmHWM of the process: interpreter, Arrow and the buffer. Dropped points are counted and warned of."
    )
    return table


@contextmanager
def _servers(folder: Path, table: Table) -> Iterator[dict[str, str]]:
    """Our server and MLflow's, as URLs by name."""
    urls = {"down": f"http://127.0.0.1:{free_port()}", "folder": str(folder / "folder-target")}
    with ExitStack() as stack:
        for name, make in (("headrace", processes.headrace), ("mlflow", processes.mlflow)):
            try:
                server: Server = make(folder / f"{name}-server").start()
            except (NotInstalled, RuntimeError) as error:
                table.notes.append(str(error))
                continue
            stack.callback(server.stop)
            urls[name] = server.url
        yield urls


def _cases(urls: dict[str, str], quick: bool) -> Iterator[Case]:
    size = 10 if quick else 1
    for rate, points in ((PACED, 250_000), (0, 1_000_000)):
        yield Case("Headrace, server up", "headrace", urls["headrace"], points // size, rate)
        yield Case("tensorboardX, event file", "tensorboardx", "", 100_000 // size, rate, TENSORBOARDX)
        yield Case("Headrace, server down", "headrace", urls["down"], points // size, rate)
        yield Case("trackio, local", "trackio", "", 50_000 // size, rate, TRACKIO)
        yield Case("Headrace, folder", "headrace", urls["folder"], points // size, rate)
    if "mlflow" in urls:
        yield Case("MLflow, its server", "mlflow", urls["mlflow"], 100 // size, 0, MLFLOW)
        yield Case("MLflow, its server, asynchronous", "mlflow-async", urls["mlflow"], 1_000 // size, 0, MLFLOW)


def _pace(case: Case) -> str:
    return f"{case.rate:,}/s" if case.rate else "flat out"


def _measure(case: Case, folder: Path, number_of_round: int) -> dict[str, Any]:
    own = folder / f"calls-{case.tool}-{number_of_round}-{case.rate}"
    own.mkdir(parents=True, exist_ok=True)
    slow = case.tool == "mlflow"
    job = {
        "tool": case.tool, "target": case.target, "points": case.points, "rate": case.rate,
        "warmup": 5 if slow else 1_000, "folder": str(own / "events"), "down": case.title.endswith("down"),
    }  # fmt: skip
    python = sys.executable if case.peer is None else str(installed(case.peer) / "python")
    variables = environ(
        own, HEADRACE_EXIT_TIMEOUT_S="0.5", HEADRACE_ADOPT_ORPHANS="false", TRACKIO_DIR=str(own / "trackio"),
        MLFLOW_DISABLE_TELEMETRY="true", DO_NOT_TRACK="true", HF_HUB_OFFLINE="1",
    )  # fmt: skip
    worker = Worker([python, str(CALLS)], job, variables)
    try:
        return worker.run()
    finally:
        worker.kill()
