"""How fast `headrace rebuild` folds a whole log anew: of a server's own log, and of Kafka into ClickHouse."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headrace.ingest.opening import open_log

from benchmarks import processes
from benchmarks.backlog import Backlog
from benchmarks.client import Connection, get_request
from benchmarks.deployment import Deployment, cpu_s, deployed, peak_mb
from benchmarks.figures import Table, spread
from benchmarks.processes import ROOT, environ

BACKLOGS = (Backlog(30_000_000, 1_000), Backlog(10_000_000, 100), Backlog(2_000_000, 10))
QUICK = 10
POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """One rebuild. folding_s, comparing_s: its phases; points_s: over all of it, as the command reports it. used_s: CPU
    time of the process that rebuilt. peak_mb: its memory."""

    points_s: float
    seconds: float
    folding_s: float
    used_s: float
    peak_mb: float


def run(folder: Path, rounds: int, quick: bool, say: Callable[[str], None]) -> Iterator[Table]:
    """The table."""
    table = Table(
        "`headrace rebuild`: fold the log anew, compare, exchange",
        [
            "log, views",
            "points",
            "points a message",
            "points/s",
            "s",
            "of it comparing",
            "CPU s",
            "peak MB",
        ],
    )
    sizes = [Backlog(x.points // QUICK, x.points_a_message) if quick else x for x in BACKLOGS]
    found: dict[tuple[str, Backlog], list[Rebuilt]] = {}
    with deployed(folder / "rebuild") as deployment:
        for number in range(rounds):
            for size in sizes:
                say(f"scale: round {number + 1}, rebuild from SQLite, {size.points:,} points")
                place = folder / f"rebuild-{number}-{size.points_a_message}"
                found.setdefault((EMBEDDED, size), []).append(_embedded(size, place))
                say(f"scale: round {number + 1}, rebuild from Kafka, {size.points:,} points")
                found.setdefault((SCALED, size), []).append(_scaled(deployment, size, place))
    for (title, size), all_ in sorted(found.items(), key=lambda item: item[0][0] != EMBEDDED):
        table.add(
            title,
            size.points,
            size.points_a_message,
            spread([one.points_s for one in all_]),
            spread([one.seconds for one in all_]),
            spread([one.seconds - one.folding_s for one in all_]),
            spread([one.used_s for one in all_]),
            spread([one.peak_mb for one in all_]),
        )
    table.notes += [
        f"{rounds} rounds. points/s over all of it, comparing included, as the command reports it. Both sets of views"
        " were equal each time, by count and checksum of every table.",
        "SQLite, chDB: the server's process, which serves the live views meanwhile. Kafka, ClickHouse: the command's"
        " own process, which has no part in ClickHouse's work, beside a worker that has nothing to do.",
    ]
    yield table


def _embedded(size: Backlog, place: Path) -> Rebuilt:
    server = processes.headrace(place / "server")
    log = open_log(str(place / "server" / "data"))
    size.fill(log)
    log.close()
    server.start()
    try:
        processes.caught_up(server)
        used_s = cpu_s([server.pid])
        with _Phases(server.url) as phases:
            result, _, _ = _command(place, "--tracking-uri", server.url, "rebuild")
        used_s = cpu_s([server.pid]) - used_s
        return _rebuilt(result, size, phases.folding_s, used_s, peak_mb(server.pid))
    finally:
        server.stop()


def _scaled(deployment: Deployment, size: Backlog, place: Path) -> Rebuilt:
    with deployment.pipeline() as pipeline:
        size.fill(pipeline.log)
        pipeline.work()
        pipeline.watch()
        flags = ("rebuild", "--log", pipeline.log_url, "--views", pipeline.views_url)
        result, used_s, peak = _command(place, *flags)
        _command(place, *flags, "--drop-old")
        return _rebuilt(result, size, math.nan, used_s, peak)


def _rebuilt(result: dict[str, Any], size: Backlog, folding_s: float, used_s: float, peak: float) -> Rebuilt:
    if not result["equal"] or result["points"] != size.points:
        raise RuntimeError(f"the views were not rebuilt as they were: {result}")
    return Rebuilt(result["points_s"], result["seconds"], folding_s, used_s, peak)


def _command(place: Path, *arguments: str) -> tuple[dict[str, Any], float, float]:
    """Run `headrace`; its JSON if it prints some, its CPU time and its peak memory in MB. Raises RuntimeError."""
    json_flag = [] if "--drop-old" in arguments else ["--json"]
    command = [sys.executable, "-m", "headrace.sdk.cli.main", *arguments, *json_flag]
    place.mkdir(parents=True, exist_ok=True)
    with (place / "rebuild.txt").open("w+") as output:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environ(place), stdout=subprocess.PIPE, stderr=output, text=True
        )
        assert process.stdout is not None
        answer = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            output.seek(0)
            raise RuntimeError(f"the rebuild failed: {output.read()[-1000:]}")
    found: dict[str, Any] = json.loads(answer) if json_flag else {}
    return found, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024 / 1e6


class _Phases:
    """Watches how long a server's rebuild folds."""

    def __init__(self, url: str) -> None:
        self.folding_s = math.nan
        self._connection = Connection(url)
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> _Phases:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _run(self) -> None:
        request = get_request("/api/headrace/v1/rebuild")
        while not self._done.wait(POLL_S):
            told = self._connection.ask_json(request)
            if told.get("phase") == "folding":
                self.folding_s = told["seconds"]


EMBEDDED, SCALED = "SQLite, chDB", "Kafka, ClickHouse"
