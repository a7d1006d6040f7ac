"""A trainer whose spool disk fills up: it goes on, and what was held in memory follows when there is room again."""

from __future__ import annotations

import os
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

# A limit on file size fails writes the way a full disk does, in the middle of a frame, without needing a disk.
TRAINER = """
import logging, resource, signal, sys, threading
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
import headrace
warned = threading.Event()
class Handler(logging.Handler):
    def emit(self, record):
        if "cannot write the spool" in record.getMessage(): warned.set()
logging.getLogger("headrace").addHandler(Handler())
headrace.init(sys.argv[1], spool_dir=sys.argv[2], record_environment=False, flush_interval_s=0.01, offline=True,
              buffer_points_max=int(sys.argv[3]), retry_interval_max_s=0.05)
headrace.start_run()
headrace.log_metric("m", 0.0, 0)
assert headrace.flush(30)
unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (3000, unlimited[1]))
for step in range(1, 20_000):
    headrace.log_metric("m", float(step), step)
assert warned.wait(30)
for step in range(20_000, 40_000):
    headrace.log_metric("m", float(step), step)
resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
assert headrace.flush(30)
"""


@pytest.mark.parametrize(("room", "lossless"), [(100_000, True), (5_000, False)])
def test_a_full_disk_neither_stops_the_training_nor_tears_the_spool(tmp_path: Path, room: int, lossless: bool) -> None:
    command = [
        sys.executable,
        "-W",
        "ignore",
        "-c",
        TRAINER,
        str(tmp_path / "data"),
        str(tmp_path / "spool"),
        str(room),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env={**os.environ})
    assert done.returncode == 0, done.stderr
    report = sync(tmp_path / "spool", settings=resolve({}, {}))
    assert report.complete
    log = SqliteLog(tmp_path / "data" / "log.db")
    envelopes = [record.envelope for record in log.read(Partition("metrics", 0), 0, 10**6, 2**40)]
    log.close()
    assert [e.sequence for e in envelopes] == list(range(1, len(envelopes) + 1))
    steps = [step for e in envelopes for step in points.decode(e.data)["step"].to_pylist()]
    if lossless:
        assert steps == list(range(40_000))
    else:
        dropped = int(done.stderr.split(" points were dropped")[0].split()[-1].replace(",", ""))
        assert steps == sorted(set(steps))
        assert len(steps) + dropped == 40_000
