"""The server's start, its refusals to start, and its end by SIGTERM."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

if TYPE_CHECKING:
    from tests.e2e.conftest import Server, Trainer

pytestmark = pytest.mark.e2e


def refused(*arguments: object, timeout_s: float = 30.0) -> tuple[int, str, float]:
    """A server that must not come up: its exit code, its stderr, and the seconds it took."""
    started_s = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "headrace.api.main", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    return done.returncode, done.stderr, time.monotonic() - started_s


def is_one_line(message: str) -> bool:
    """Whether it is for people: one line, no traceback."""
    return message.startswith("headrace: ") and message.count("\n") == 1


def test_health_answers_soon_after_the_start(server: Server, record_property: Callable[[str, object], None]) -> None:
    assert server.request("GET", "/health").status_code == 200
    assert server.ready_s < 10  # the bar is 3 s on an idle machine
    record_property("ready_s", round(server.ready_s, 2))


def test_a_second_server_on_the_same_data_folder_is_refused_and_the_first_goes_on(
    server: Server, tmp_path: Path
) -> None:
    (tmp_path / "link").symlink_to(server.data_dir)
    for folder in (server.data_dir, tmp_path / "link"):
        code, message, took_s = refused("--data-dir", folder, "--port", 0)

        assert code == 1
        assert took_s < 5
        assert is_one_line(message), message
        assert str(server.data_dir) in message
        assert server.url in message
        assert str(server.pid) in message
    assert server.request("GET", "/health").status_code == 200
    assert json.loads((server.data_dir / "server.json").read_text())["pid"] == server.pid
    server.post("/api/2.0/mlflow/experiments/create", {"name": "still works"})


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, message, _ = refused("--data-dir", tmp_path / "data", "--port", port)

    assert code == 1
    assert is_one_line(message), message
    assert f"cannot listen on 127.0.0.1:{port}" in message


def test_a_port_that_cannot_be_is_named(tmp_path: Path) -> None:
    code, message, _ = refused("--data-dir", tmp_path / "data", "--port", "70000")

    assert code == 1
    assert is_one_line(message), message
    assert "70000" in message


def test_a_data_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("not a folder")

    code, message, _ = refused("--data-dir", tmp_path / "data", "--port", 0)

    assert code == 1
    assert is_one_line(message), message
    assert str(tmp_path / "data") in message
    assert (tmp_path / "data").read_text() == "not a folder"


def test_a_data_folder_that_is_not_writable_is_named(tmp_path: Path, missing: Callable[[str], None]) -> None:
    # Root may write anywhere, but not below /proc.
    folder = Path("/proc/headrace-data") if os.geteuid() == 0 else tmp_path / "data"
    if os.geteuid() == 0:
        if not Path("/proc/self").exists():
            missing("a folder that root cannot write needs /proc")
    else:
        folder.mkdir(mode=0o500)

    code, message, _ = refused("--data-dir", folder, "--port", 0)

    assert code == 1
    assert is_one_line(message), message
    assert str(folder) in message


@pytest.mark.parametrize("name", ["log.db", "views", "artifacts"])
def test_a_data_folder_with_something_else_in_it_is_refused_and_left_alone(tmp_path: Path, name: str) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / name).write_text("this is not Headrace's. " * 100)

    code, message, _ = refused("--data-dir", data, "--port", 0)

    assert code == 1
    assert is_one_line(message), message
    assert str(data / name) in message
    assert (data / name).read_text() == "this is not Headrace's. " * 100


def test_sigterm_answers_what_is_under_way_and_the_restart_shows_all_of_it(server: Server) -> None:
    run_id = server.post("/api/2.0/mlflow/runs/create", {"experiment_id": "0"})["run"]["info"]["run_id"]
    acknowledged: list[int] = []
    cut_off: list[int] = []
    flowing = threading.Event()

    def log(start: int) -> None:
        with httpx.Client() as client:
            for step in range(start, 100_000, 4):
                point = {"run_id": run_id, "key": "m", "value": step, "timestamp": 1, "step": step}
                try:
                    answer = client.post(f"{server.url}/api/2.0/mlflow/runs/log-metric", json=point, timeout=30)
                except httpx.TransportError:
                    cut_off.append(step)
                    return
                assert answer.status_code == 200, answer.text
                acknowledged.append(step)
                if len(acknowledged) > 100:
                    flowing.set()

    threads = [threading.Thread(target=log, args=(start,)) for start in range(4)]
    for thread in threads:
        thread.start()
    assert flowing.wait(60)
    began_s = time.monotonic()
    code = server.stop()
    took_s = time.monotonic() - began_s
    for thread in threads:
        thread.join()

    assert code == 0
    assert took_s < 10
    assert not (server.data_dir / "server.json").exists()
    server.start_again()
    steps = server.history(run_id, "m").column("step").to_pylist()
    assert len(steps) == len(set(steps))
    assert set(acknowledged) <= set(steps) <= set(acknowledged) | set(cut_off)


def test_sigterm_while_a_trainer_logs_loses_nothing(
    server: Server, train: Callable[..., Trainer], tmp_path: Path, eventually: Callable[..., Any]
) -> None:
    trainer = train("counting", server.url, tmp_path / "side", 0, 20)
    run_id = trainer.line()
    eventually(lambda: server.status()["counters"]["points"] > 1000)

    assert server.stop() == 0
    server.start_again()
    out, _ = trainer.finish()

    server.count_whole(run_id, "m", json.loads(out)["points"])


def test_sigint_stops_it_too(server: Server) -> None:
    assert server.process is not None
    server.process.send_signal(signal.SIGINT)

    assert server.process.wait(20) == 0


def test_sigterm_with_an_idle_and_a_live_connection_is_over_in_seconds(server: Server) -> None:
    with (
        socket.create_connection(("127.0.0.1", server.port)),
        httpx.stream("GET", f"{server.url}/api/headrace/v1/events", params={"experiment_ids": "0"}, timeout=30) as live,
    ):
        began_s = time.monotonic()
        code = server.stop()
        took_s = time.monotonic() - began_s

    assert live.status_code < 500
    assert code == 0
    assert took_s < 10, took_s
