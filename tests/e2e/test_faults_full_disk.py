"""Full disks, for real: a spool and a data folder, each on a file system of a few megabytes."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.e2e.conftest import Server, Trainer

pytestmark = pytest.mark.e2e


@pytest.fixture
def small_disk(tmp_path: Path, missing: Callable[[str], None]) -> Iterator[Callable[[int], Path]]:
    """`small_disk(mb)`: a new folder on a file system of so many megabytes."""
    mounted: list[Path] = []

    def mount(mb: int) -> Path:
        folder = tmp_path / f"disk-{len(mounted)}"
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={mb}m", "tmpfs", str(folder)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            missing("a full disk needs the mount command")
        if done.returncode:
            missing(f"a full disk needs the right to mount a small tmpfs: {done.stderr.strip()}")
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        subprocess.run(["umount", "--lazy", str(folder)], check=False, capture_output=True)


def fill(file: Path) -> None:
    """Take all room that is left on the file's disk."""
    with contextlib.suppress(OSError), file.open("ab", buffering=0) as filler:
        for size in (1 << 20, 1 << 12, 1):
            with contextlib.suppress(OSError):
                while filler.write(b"\0" * size) == size:
                    pass


def test_a_full_spool_disk_costs_only_what_does_not_fit_and_that_is_counted(
    server: Server,
    train: Callable[..., Trainer],
    ship: Callable[..., Any],
    small_disk: Callable[[int], Path],
    record_property: Callable[[str, object], None],
) -> None:
    disk, points = small_disk(2), 600_000
    server.kill()
    settings = {"buffer_points_max": 50_000, "exit_timeout_s": 2, "adopt_orphans": False}
    trainer = train("filling", server.url, points, spool_dir=disk, **settings)
    run_id = trainer.line()
    cost = json.loads(trainer.line())
    _, err = trainer.finish()

    assert cost["calls_s"] / points < 50e-6, cost
    assert cost["peak_mb"] < 150, cost
    assert "still in" in err, err
    dropped = re.search(r"headrace: ([\d,]+) points were dropped because the buffer was full", err)
    assert dropped, err
    unwritten = re.search(r"([\d,]+) entries could not be written to the spool", err)
    assert unwritten, err
    lost = [int(found[1].replace(",", "")) for found in (dropped, unwritten)]

    server.start_again()
    fill(disk / "filler")
    report = ship(disk)  # on a disk that has not one byte left
    assert report["states"] == ["shipped"], report
    table = server.history(run_id, "m")
    steps = table.column("step").to_pylist()
    assert len(steps) == len(set(steps))
    # The end of the run may be among the unwritten entries.
    assert points <= len(steps) + sum(lost) <= points + 1
    assert server.status()["counters"]["missed"] == 0
    record_property("arrived", len(steps))
    record_property("dropped", sum(lost))


def test_a_spool_that_filled_its_disk_empties_when_the_server_is_back(
    server: Server, train: Callable[..., Trainer], small_disk: Callable[[int], Path]
) -> None:
    disk, points = small_disk(2), 300_000
    server.kill()
    settings = {"buffer_points_max": 20_000, "retry_interval_max_s": 0.2, "request_bytes_max": 300_000}
    trainer = train("filling", server.url, points, spool_dir=disk, exit_timeout_s=20, **settings)
    run_id = trainer.line()
    trainer.line()
    fill(disk / "filler")
    server.start_again()
    assert trainer.process.stdin is not None
    trainer.process.stdin.write("flush\n")
    trainer.process.stdin.flush()
    flushed = trainer.line()
    _, err = trainer.finish()

    assert flushed == "True", err
    assert "still in" not in err
    assert "could not be written" not in err
    server.count_whole(run_id, "after", 100)
    dropped = re.search(r"headrace: ([\d,]+) points were dropped because the buffer was full", err)
    assert dropped, err
    steps = server.history(run_id, "m").column("step").to_pylist()
    assert len(steps) == len(set(steps)) == points - int(dropped[1].replace(",", ""))
    assert server.status()["counters"]["missed"] == 0


def test_a_spool_disk_that_has_room_again_takes_up_where_it_stopped(
    server: Server, train: Callable[..., Trainer], small_disk: Callable[[int], Path], tmp_path: Path
) -> None:
    disk = small_disk(2)
    fill(disk / "filler")
    trainer = train(
        "counting", server.url, tmp_path / "side", 0, 20, spool_dir=disk, retry_interval_max_s=0.2, exit_timeout_s=30
    )
    run_id = trainer.line()
    assert trainer.process.stderr is not None
    assert "No space left" in trainer.process.stderr.readline()
    (disk / "filler").unlink()
    out, err = trainer.finish()

    assert "still in" not in err
    server.count_whole(run_id, "m", json.loads(out)["points"])


def test_a_full_data_disk_refuses_writes_clearly_keeps_what_it_acknowledged_and_recovers(
    new_server: Callable[..., Server],
    train: Callable[..., Trainer],
    small_disk: Callable[[int], Path],
    eventually: Callable[..., Any],
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    disk = small_disk(48)
    server = new_server(disk / "data", read_wait_s=3).start()
    run_id = server.post("/api/2.0/mlflow/runs/create", {"experiment_id": "0"})["run"]["info"]["run_id"]
    acknowledged: list[int] = []

    def log(step: int) -> Any:
        body = {
            "run_id": run_id,
            "metrics": [{"key": "m", "value": step, "timestamp": 1, "step": step}],
            "tags": [{"key": f"padding-{step % 50}", "value": "x" * 4000}],
        }
        answer = server.request("POST", "/api/2.0/mlflow/runs/log-batch", json=body)
        if answer.status_code == 200:
            acknowledged.append(step)
        return answer

    for step in range(50):
        assert log(step).status_code == 200
    server.count_whole(run_id, "m", 50)
    fill(disk / "filler")

    refused = None
    for step in range(50, 3000):
        answer = log(step)
        if answer.status_code != 200:
            refused = answer
            break
    assert refused is not None, "the disk never filled"
    assert refused.status_code in (503, 507), refused.text
    assert refused.json()["error_code"] == "TEMPORARILY_UNAVAILABLE"
    assert refused.json()["message"]
    artifact = server.request("PUT", "/api/2.0/mlflow-artifacts/artifacts/some/file.bin", content=b"x" * (1 << 20))
    assert artifact.status_code in (503, 507), artifact.text
    assert artifact.json()["error_code"] == "TEMPORARILY_UNAVAILABLE"
    assert not list((server.data_dir / "artifacts" / ".incoming").iterdir())
    trainer = train("counting", server.url, tmp_path / "side", 500, 20, retry_interval_max_s=0.2, exit_timeout_s=60)
    trained_id = trainer.line()

    # Reads go on: of what the views hold at once; where acknowledged writes wait for room, with a clear answer.
    assert server.request("GET", "/health").status_code == 200
    assert server.status()["partitions"]
    read = server.request("GET", "/api/2.0/mlflow/runs/get", params={"run_id": run_id})
    assert read.status_code in (200, 503), read.text
    record_property("read_while_full", read.status_code)
    record_property("acknowledged_while_full", len(acknowledged) - 50)

    (disk / "filler").unlink()
    eventually(lambda: log(100_000).status_code == 200, 30)
    eventually(lambda: server.request("GET", "/api/2.0/mlflow/runs/get", params={"run_id": run_id}).status_code == 200)
    trainer.finish()

    for _ in range(2):  # now, and after a restart that folds what the views do not hold
        steps = server.history(run_id, "m").column("step").to_pylist()
        assert len(steps) == len(set(steps))
        assert set(acknowledged) <= set(steps)
        server.count_whole(trained_id, "m", 500)
        assert server.stop() == 0
        server.start_again()


def test_a_disk_that_is_full_in_the_middle_of_gc_costs_nothing_and_the_next_gc_finishes(
    new_server: Callable[..., Server], small_disk: Callable[[int], Path], eventually: Callable[..., Any]
) -> None:
    disk, v2 = small_disk(64), "/api/2.0/mlflow"
    server = new_server(disk / "data", read_wait_s=5).start()
    run_ids = []
    for _ in range(4):
        run_id = server.post(f"{v2}/runs/create", {"experiment_id": "0"})["run"]["info"]["run_id"]
        server.post(f"{v2}/runs/log-parameter", {"run_id": run_id, "key": "k", "value": "x" * 4000})
        server.post(f"{v2}/runs/log-metric", {"run_id": run_id, "key": "m", "value": 0, "timestamp": 1, "step": 0})
        run_ids.append(run_id)
    kept = run_ids.pop()
    for run_id in run_ids:
        server.post(f"{v2}/runs/delete", {"run_id": run_id})
    server.count_whole(kept, "m", 1)
    fill(disk / "filler")
    refused = server.request("POST", "/api/headrace/v1/gc", json={"older_than": "0s"})
    assert (refused.status_code, refused.json()["error_code"]) == (503, "TEMPORARILY_UNAVAILABLE"), refused.text
    (disk / "filler").unlink()

    def erased() -> bool:
        answer = server.request("POST", "/api/headrace/v1/gc", json={"older_than": "0s"})
        return answer.status_code == 200 and not answer.json()["more"]

    eventually(erased, 60)
    for run_id in run_ids:
        told = server.request("GET", f"{v2}/runs/get", params={"run_id": run_id}).json()["message"]
        assert "erased at" in told
    server.count_whole(kept, "m", 1)
