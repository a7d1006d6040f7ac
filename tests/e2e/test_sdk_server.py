"""The SDK against a real server: down, killed and back, and everything read back once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.e2e
pytest.importorskip("chdb")

TRAINER = """
import sys, headrace
headrace.init(sys.argv[1], spool_dir=sys.argv[2], record_environment=False, flush_interval_s=0.02, exit_timeout_s=60,
              retry_interval_max_s=0.2)
headrace.set_experiment("served")
with headrace.start_run() as run:
    print(run.info.run_id, flush=True)
    headrace.log_param("p", 1)
    for step in range(50_000):
        headrace.log_metric("m", float(step), step)
        if step % 10_000 == 0:
            headrace.log_text(str(step), f"texts/{step}.txt")
            print(step, flush=True)
            sys.stdin.readline()
"""

READER = """
import json, sys, headrace
headrace.init(sys.argv[1], spool_dir=sys.argv[2])
frame = headrace.search_runs(experiment_names=["served"])
history = headrace.get_metric_history(sys.argv[3], "m")
folder = headrace.download_artifacts(sys.argv[3], "texts")
import pathlib
print(json.dumps({
    "status": frame["status"].tolist(), "p": frame["params.p"].tolist(), "last": frame["metrics.m"].tolist(),
    "steps": history["step"].to_pylist() == list(range(50_000)),
    "texts": sorted(path.read_text() for path in pathlib.Path(folder).iterdir()),
}))
"""


def start_server(data: Path, port: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-W", "ignore", "-m", "headrace.api.main", "--data-dir", str(data), "--port", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            told = json.loads((data / "server.json").read_text())
        except (OSError, ValueError):
            told = {}
        if told.get("pid") == server.pid:
            return server
        assert server.poll() is None, "the server ended"
    raise AssertionError("the server did not come up")


def test_a_server_killed_in_the_middle_costs_the_trainer_nothing_and_no_point(tmp_path: Path) -> None:
    data, spool = tmp_path / "data", tmp_path / "spool"
    server = start_server(data, 0)
    url = json.loads((data / "server.json").read_text())["url"]
    port = int(url.rsplit(":", 1)[1])
    trainer = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", TRAINER, url, str(spool)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert trainer.stdin is not None
    assert trainer.stdout is not None
    try:
        run_id = trainer.stdout.readline().strip()
        for part in range(5):
            trainer.stdout.readline()
            if part == 1:
                os.kill(server.pid, signal.SIGKILL)
                server.wait()
            trainer.stdin.write("\n")
            trainer.stdin.flush()
        server = start_server(data, port)
        trainer.communicate(timeout=90)
        assert trainer.returncode == 0
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", READER, url, str(spool), run_id],
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout) == {
            "status": ["FINISHED"],
            "p": ["1"],
            "last": [49_999.0],
            "steps": True,
            "texts": ["0", "10000", "20000", "30000", "40000"],
        }
        assert list(spool.iterdir()) == []
    finally:
        trainer.kill()
        trainer.communicate()
        server.terminate()
        server.wait(30)
