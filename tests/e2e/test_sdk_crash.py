"""Trainers that are killed: everything accepted before the last flush interval arrives, once, by `sync`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from headrace.ingest import points
from headrace.ingest.log import Partition
from headrace.ingest.sqlite import SqliteLog
from headrace.sdk.settings import resolve
from headrace.sdk.sync import sync

pytestmark = pytest.mark.e2e

# Says, after each flush to the spool, up to which point it was flushed: those must never be lost.
TRAINER = """
import sys, headrace
headrace.init(sys.argv[1], spool_dir=sys.argv[2], record_environment=False, flush_interval_s=0.01, offline=sys.argv[3] == "offline")
headrace.start_run(run_name="victim")
print(headrace.active_run().info.run_id, flush=True)
step = 0
while True:
    for _ in range(500):
        headrace.log_metric("m", float(step), step)
        step += 1
    if step % 5000 == 0:
        headrace.flush(30)
        print(step, flush=True)
"""  # noqa: E501


@pytest.mark.parametrize("mode", ["online", "offline"])
def test_killed_trainers_lose_nothing_that_was_flushed_and_nothing_comes_twice(tmp_path: Path, mode: str) -> None:
    data, spool = tmp_path / "data", tmp_path / "spool"
    command = [sys.executable, "-W", "ignore", "-c", TRAINER, str(data), str(spool), mode]
    promised: dict[str, int] = {}
    children = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    for number, child in enumerate(children):
        assert child.stdout is not None
        run_id = child.stdout.readline().strip()
        for _ in range(2 + number):
            promised[run_id] = int(child.stdout.readline())
        os.kill(child.pid, signal.SIGKILL)
        rest, _ = child.communicate()
        if rest.strip():
            promised[run_id] = int(rest.split()[-1])

    report = sync(spool, settings=resolve({}, {}))
    again = sync(spool, settings=resolve({}, {}))

    assert report.complete
    assert again.events == 0
    log = SqliteLog(data / "log.db")
    records = log.read(Partition("metrics", 0), 0, 10**6, 2**40)
    log.close()
    steps: dict[str, list[int]] = {}
    sequences: dict[tuple[str, str], list[int]] = {}
    seen: set[tuple[str, str, int]] = set()
    for record in records:
        envelope = record.envelope
        identity = (envelope.writer, envelope.subject, envelope.sequence)
        if identity in seen:  # a batch sent again after a lost acknowledgement: the fold drops it by its sequence
            continue
        seen.add(identity)
        sequences.setdefault(identity[:2], []).append(envelope.sequence)
        steps.setdefault(envelope.subject, []).extend(points.decode(envelope.data)["step"].to_pylist())
    for numbers in sequences.values():
        assert numbers == list(range(1, len(numbers) + 1))
    for run_id, count in promised.items():
        assert steps[run_id] == list(range(len(steps[run_id])))
        assert len(steps[run_id]) >= count
