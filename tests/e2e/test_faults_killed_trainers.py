"""Trainers that die by SIGKILL at any moment: what they logged before the last flush arrives, once."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.e2e.conftest import Server, Trainer

pytestmark = pytest.mark.e2e

FLUSH_INTERVAL_S = 0.2
MARGIN_S = 1.0
"""For a machine whose two cores are shared by all trainers, the server and other tests."""
FIRST_FLUSH_S = 2.5
"""A process's first flush waits until pyarrow is imported: 0.7 s after the first call on an idle machine."""


def accepted_before(side: Path, moment_s: float) -> int:
    """How many points a trainer had logged at a moment, by its side file."""
    noted = [line.split() for line in side.read_text().splitlines()]
    return max((int(step) for step, at_s in noted if float(at_s) <= moment_s), default=0)


def promised_at(side: Path, killed_s: float) -> int:
    """How many of a killed trainer's points must not be lost."""
    noted = side.read_text().split()
    if not noted or killed_s - float(noted[1]) < FIRST_FLUSH_S:
        return 0
    return accepted_before(side, killed_s - FLUSH_INTERVAL_S - MARGIN_S)


@pytest.mark.parametrize("online", [True, False], ids=["online", "offline"])
def test_what_was_logged_before_the_last_flush_survives_sigkill_and_arrives_once(
    server: Server,
    train: Callable[..., Trainer],
    ship: Callable[..., Any],
    tmp_path: Path,
    online: bool,
    record_property: Callable[[str, object], None],
) -> None:
    chance = random.Random()
    promised: dict[str, int] = {}
    logged: dict[str, int] = {}
    for round_number in range(2 if online else 1):
        victims = []
        for number in range(4):
            side = tmp_path / f"side-{round_number}-{number}"
            victims.append((side, train("counting", server.url, side, 0, 20, offline=not online)))
        run_ids = [victim.line() for _, victim in victims]
        began_s = time.monotonic()
        moments = sorted((began_s + chance.uniform(0.1, 4.5), number) for number in range(4))
        for moment_s, number in moments:
            time.sleep(max(0.0, moment_s - time.monotonic()))
            side, victim = victims[number]
            killed_s = victim.kill()
            victim.finish(check=False)
            promised[run_ids[number]] = promised_at(side, killed_s)
            logged[run_ids[number]] = accepted_before(side, killed_s + 60)

    report = ship(tmp_path / "spool")
    again = ship(tmp_path / "spool")

    assert report["complete"], report
    assert again["events"] == 0
    arrived = {run_id: server.count_whole(run_id, "m") if known(server, run_id) else 0 for run_id in promised}
    for run_id, count in promised.items():
        assert arrived[run_id] >= count, (run_id, arrived, promised, logged)
        assert arrived[run_id] <= logged[run_id] + 20  # the tick the kill cut off
    assert server.status()["counters"]["missed"] == 0
    record_property("points_arrived", sum(arrived.values()))
    record_property("points_promised", sum(promised.values()))
    record_property("points_logged", sum(logged.values()))


def known(server: Server, run_id: str) -> bool:
    """Whether the server has heard of a run."""
    return server.request("GET", "/api/2.0/mlflow/runs/get", params={"run_id": run_id}).status_code == 200


def test_the_next_trainer_ships_what_a_killed_one_left(
    server: Server, train: Callable[..., Trainer], eventually: Callable[..., Any], tmp_path: Path
) -> None:
    server.kill()
    victim = train("counting", server.url, tmp_path / "side", 0, 20)
    run_id = victim.line()
    eventually(lambda: promised_at(tmp_path / "side", time.monotonic()))
    killed_s = victim.kill()
    victim.finish(check=False)
    promised = promised_at(tmp_path / "side", killed_s)
    server.start_again()

    follower = train("counting", server.url, tmp_path / "side2", 2000, 20)
    follower_id = follower.line()
    follower.finish()
    eventually(lambda: known(server, run_id))

    assert server.count_whole(follower_id, "m", 2000) == 2000
    assert eventually(lambda: server.count_whole(run_id, "m") >= promised) > 0
