"""Trainers that fork, pool and thread; runs whose trainers die, and runs whose trainers only pause."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.e2e.conftest import Server, Trainer

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize("how", ["fork", "fork-exit", "pool-fork", "pool-spawn", "threads", "storm"])
def test_what_forks_pools_and_threads_log_arrives_once(
    how: str,
    server: Server,
    train: Callable[..., Trainer],
    ship: Callable[..., Any],
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    trainer = train("forking", server.url, how, exit_timeout_s=30)
    out, err = trainer.finish(90)

    assert "still in" not in err, err
    expected = json.loads(out.splitlines()[-1])
    for run_id, key, count in expected:
        assert server.count_whole(run_id, key, count) == count
    for run_id in {run_id for run_id, _, _ in expected}:
        assert server.run(run_id)["info"]["status"] == "FINISHED"
    assert server.status()["counters"]["missed"] == 0
    assert ship(tmp_path / "spool")["events"] == 0  # an os._exit leaves its folder, but nothing to ship in it
    record_property("points", sum(count for _, _, count in expected))


INTERVAL_S = 0.5
MISSES = 3


def test_a_run_whose_trainer_was_killed_is_marked_failed_with_the_reason(
    new_server: Callable[..., Server],
    train: Callable[..., Trainer],
    eventually: Callable[..., Any],
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    server = new_server(heartbeat_misses=MISSES).start()
    trainer = train("counting", server.url, tmp_path / "side", 0, 20, heartbeat_interval_s=INTERVAL_S)
    run_id = trainer.line()
    eventually(lambda: server.status()["counters"]["points"] > 0)
    killed_s = trainer.kill()

    eventually(lambda: server.run(run_id)["info"]["status"] == "FAILED", MISSES * INTERVAL_S + 10)

    took_s = time.monotonic() - killed_s
    run = server.run(run_id)
    assert "no heartbeat" in run["tags"]["headrace.status_reason"]
    assert int(run["info"]["end_time"]) > 0
    record_property("marked_failed_after_s", round(took_s, 2))


def test_a_run_whose_trainer_only_paused_comes_back_and_finishes(
    new_server: Callable[..., Server], train: Callable[..., Trainer], eventually: Callable[..., Any], tmp_path: Path
) -> None:
    server = new_server(heartbeat_misses=MISSES).start()
    trainer = train("counting", server.url, tmp_path / "side", 0, 20, heartbeat_interval_s=INTERVAL_S)
    run_id = trainer.line()
    eventually(lambda: server.status()["counters"]["points"] > 0)
    os.kill(trainer.process.pid, signal.SIGSTOP)
    eventually(lambda: server.run(run_id)["info"]["status"] == "FAILED", MISSES * INTERVAL_S + 10)
    os.kill(trainer.process.pid, signal.SIGCONT)

    eventually(lambda: server.run(run_id)["info"]["status"] == "RUNNING", 10)
    assert "headrace.status_reason" not in server.run(run_id)["tags"]
    out, _ = trainer.finish()

    assert server.run(run_id)["info"]["status"] == "FINISHED"
    server.count_whole(run_id, "m", json.loads(out)["points"])


def test_a_server_that_was_away_does_not_fail_the_runs_that_lived_on(
    new_server: Callable[..., Server], train: Callable[..., Trainer], eventually: Callable[..., Any], tmp_path: Path
) -> None:
    server = new_server(heartbeat_misses=MISSES).start()
    settings = {"heartbeat_interval_s": INTERVAL_S, "retry_interval_max_s": 0.2}
    trainer = train("counting", server.url, tmp_path / "side", 0, 20, **settings)
    run_id = trainer.line()
    eventually(lambda: server.status()["counters"]["points"] > 0)
    server.kill()
    time.sleep(MISSES * INTERVAL_S + 1)  # the silence is what is tested
    server.start_again()
    eventually(lambda: server.status()["counters"]["points"] > 0)

    assert server.run(run_id)["info"]["status"] == "RUNNING"
    trainer.finish()
    assert server.run(run_id)["info"]["status"] == "FINISHED"
