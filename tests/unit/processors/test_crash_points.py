"""Wherever a process dies, the next one ends with the views that a fresh rebuild gives."""

from __future__ import annotations

import contextlib
import random
import signal
import subprocess
import sys
from concurrent.futures import FIRST_COMPLETED, Future, wait
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from headrace.ingest.log import Log
from headrace.ingest.sqlite import SqliteLog
from headrace.processors.views import Views

World = Any  # the fixture of conftest.py
INSERTS = 8


class Crash(Exception):
    """The process died here, as far as the engine can tell."""


class CrashingViews:
    """Ends the store at its n-th insert, before it or after it took effect."""

    def __init__(self, inner: Views, at: int, late: bool) -> None:
        self.inner, self.at, self.late = inner, at, late
        self.count = 0
        self.crashed: Future[str] = Future()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def insert(self, table: str, rows: pa.Table, guard: str | None = None) -> None:
        self.count += 1
        if self.count != self.at or self.late:
            self.inner.insert(table, rows, guard)
        if self.count == self.at:
            self.crashed.set_result(table)
            raise Crash


@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("at", range(1, INSERTS + 1))
def test_a_crash_at_any_insert_changes_nothing_in_the_end(world: World, at: int, late: bool) -> None:
    views = CrashingViews(world.views, at, late)
    with world.engine(views) as engine:
        for run in ("r1", "r2"):
            for append in world.history(run):
                append()
            wait([engine.stored(), views.crashed], 30, FIRST_COMPLETED)
            if views.crashed.done():
                break
        assert views.crashed.done()
        for append in world.history("r3"):
            append()
    world.settle()
    held = world.snapshot()
    counts = [world.view(f"SELECT count() FROM {table}") for table in ("events", "metrics")]
    assert held == world.rebuilt()
    assert counts == [world.view(f"SELECT count() FROM {table}") for table in ("events", "metrics")]


def test_a_crash_while_recovering_changes_nothing_in_the_end(world: World) -> None:
    for append in world.history():
        append()
    views = CrashingViews(world.views, 3, late=True)
    with world.engine(views):
        assert views.crashed.result(30) == "metrics"
    with contextlib.suppress(Crash), world.engine(CrashingViews(world.views, 1, late=True)):
        pass
    world.settle()
    assert world.snapshot() == world.rebuilt()


ENGINE = """
import sys
from pathlib import Path
from headrace.ingest.sqlite import SqliteLog
from headrace.processors.engine import Engine
from headrace.processors.views import embedded
engine = Engine(SqliteLog(Path(sys.argv[1])), embedded(Path(sys.argv[2])))
engine.start()
print("ready", flush=True)
for line in sys.stdin:
    engine.stored().result(60)
    print("stored", flush=True)
"""

DUMP = """
import sys
from pathlib import Path
from headrace.processors.views import embedded
views = embedded(Path(sys.argv[1]))
for sql in sys.stdin.read().splitlines():
    for row in views.rows(sql):
        print(ascii(row))
"""

DUMPED = [
    "SELECT * FROM runs FINAL ORDER BY ALL",
    "SELECT * FROM events ORDER BY ALL",
    "SELECT * FROM metrics ORDER BY partition, offset, item",
    "SELECT * FROM metric_summary FINAL ORDER BY run_id, key",
    "SELECT count(), countIf(isNaN(value)), sum(cityHash64(run_id, key, step, value, offset, item)) FROM metrics",
]


def start(log: Path, views: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", ENGINE, str(log), str(views)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def kill(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.communicate()


def settle(log: Path, views: Path) -> list[str]:
    """Fold to the end of the log, stop, and tell all that the views hold."""
    process = start(log, views)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("settle\n")
    process.stdin.flush()
    assert process.stdout.readline() == "stored\n"
    kill(process)
    done = subprocess.run(
        [sys.executable, "-c", DUMP, str(views)], input="\n".join(DUMPED), text=True, capture_output=True, check=True
    )
    return done.stdout.splitlines()


def test_an_engine_that_is_killed_at_random_moments_ends_with_the_views_of_a_rebuild(
    world: World, tmp_path: Path
) -> None:
    draw = random.Random(7)
    path = tmp_path / "log.db"
    log: Log = SqliteLog(path)
    world.log = log
    for kills in range(2):
        process = start(path, tmp_path / "views")
        for number in range(draw.randrange(1, 5)):
            for append in world.history(f"r{kills}-{number}"):
                append()
        kill(process)
    log.close()
    survived = settle(path, tmp_path / "views")
    rebuilt = settle(path, tmp_path / "fresh")
    assert len(survived) > 100
    assert survived == rebuilt
