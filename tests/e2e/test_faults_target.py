"""A target that is down, fails, hangs, is slow or loses its answers: training is unaffected, all points arrive."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.e2e.conftest import Server, Trainer

pytestmark = pytest.mark.e2e

POINTS = 6_000
TICK = 20
EXIT_TIMEOUT_S = 2
SLOW_S = 0.4


class FaultyProxy:
    """Stands between trainers and a server, and misbehaves as `fault` says.

    none: passes everything on. error: 500 to everything. hang: takes the request and never answers. slow: waits before
    it passes an answer on. drop: lets the server do the work, then closes the connection in the middle of the answer,
    every other time. half: closes while the request comes in, every other time. garbage: 200 and HTML. busy: 429.
    """

    def __init__(self, server: Server, fault: str) -> None:
        self.fault = fault
        self.faults = 0
        self._server = server
        self._requests = 0
        self._ending = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """No more connections."""
        self._ending.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError), connection, connection.makefile("rb") as file:
            while not self._ending.is_set() and self._one(connection, file):
                pass

    def _one(self, connection: socket.socket, file: Any) -> bool:
        """One request; whether the connection lives on."""
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            line = file.readline()
            if not line:
                return False
            head += line
        length = re.search(rb"(?i)content-length: (\d+)", head)
        fault = self.fault
        self._requests += 1
        if fault in ("drop", "half") and self._requests % 2:
            fault = "none"
        self.faults += fault != "none"
        if fault == "half":
            file.read(min(10, int(length[1]) if length else 0))
            return False
        body = file.read(int(length[1]) if length else 0)
        if fault == "hang":
            self._ending.wait(120)
            return False
        if fault in ("error", "busy", "garbage"):
            status = {"error": b"500 Oops", "busy": b"429 Too Many Requests", "garbage": b"200 OK"}[fault]
            connection.sendall(b"HTTP/1.1 %s\r\ncontent-length: 15\r\n\r\n<html>no</html>" % status)
            return True
        with closing(socket.create_connection(("127.0.0.1", self._server.port))) as upstream:
            upstream.sendall(head.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n") + body)
            answer = b"".join(iter(lambda: upstream.recv(65536), b""))
        if fault == "slow":
            self._ending.wait(SLOW_S)
        connection.sendall(answer[: len(answer) // 2] if fault == "drop" else answer)
        return False


@pytest.fixture
def proxy(server: Server) -> Iterator[Callable[[str], FaultyProxy]]:
    made: list[FaultyProxy] = []

    def make(fault: str) -> FaultyProxy:
        made.append(FaultyProxy(server, fault))
        return made[-1]

    yield make
    for one in made:
        one.close()


def trained(trainer: Trainer) -> tuple[dict[str, float], str, float]:
    """What a trainer says of its costs, its stderr, and the seconds from the end of its loop to its exit."""
    cost = json.loads(trainer.line())
    looped_s = time.monotonic()
    _, err = trainer.finish()
    return cost, err, time.monotonic() - looped_s


def assert_unaffected(cost: dict[str, float], calm: dict[str, float]) -> None:
    """Calls cost microseconds, and the loop took what that of a trainer without a target took at the same time."""
    assert cost["points"] == calm["points"] == POINTS
    assert cost["calls_s"] / POINTS < 200e-6, cost
    assert cost["slowest_s"] < 1, cost
    assert cost["loop_s"] < 2 * calm["loop_s"] + 2, (cost, calm)


@pytest.mark.parametrize("fault", ["down", "error", "busy", "garbage", "hang"])
def test_a_target_that_takes_nothing_delays_neither_training_nor_exit_and_sync_ships_it_later(
    fault: str,
    server: Server,
    proxy: Callable[[str], FaultyProxy],
    train: Callable[..., Trainer],
    ship: Callable[..., Any],
    tmp_path: Path,
) -> None:
    between = proxy("none" if fault == "down" else fault)
    if fault == "down":
        between.close()
    trainer = train("counting", between.url, tmp_path / "side", POINTS, TICK, exit_timeout_s=EXIT_TIMEOUT_S)
    calm = train("counting", server.url, tmp_path / "calm", POINTS, TICK, spool_dir=tmp_path / "calm-spool", offline=1)
    run_id, _ = trainer.line(), calm.line()
    cost, err, exit_s = trained(trainer)

    assert_unaffected(cost, trained(calm)[0])
    assert exit_s < EXIT_TIMEOUT_S + 3
    assert re.search(r"headrace: [\d,]+ events and 1 artifacts \([\d.]+ MB\) are still in .+; `headrace sync", err), err
    assert str(tmp_path / "spool") in err

    if fault == "down":
        report = ship(tmp_path / "spool", server.url)
    else:
        between.fault = "none"
        report = ship(tmp_path / "spool")
    assert report["states"] == ["shipped"], report
    assert server.count_whole(run_id, "m", POINTS) == POINTS
    assert server.run(run_id)["info"]["status"] == "FINISHED"
    assert ship(tmp_path / "spool", server.url)["states"] == []


@pytest.mark.parametrize("fault", ["slow", "drop", "half"])
def test_answers_that_are_late_or_lost_delay_nothing_and_make_no_point_twice(
    fault: str,
    server: Server,
    proxy: Callable[[str], FaultyProxy],
    train: Callable[..., Trainer],
    tmp_path: Path,
) -> None:
    between = proxy(fault)
    trainer = train("counting", between.url, tmp_path / "side", POINTS, TICK, exit_timeout_s=60)
    calm = train("counting", server.url, tmp_path / "calm", POINTS, TICK, spool_dir=tmp_path / "calm-spool", offline=1)
    run_id, _ = trainer.line(), calm.line()
    cost, err, _ = trained(trainer)

    assert_unaffected(cost, trained(calm)[0])
    assert "still in" not in err
    assert between.faults > 2
    assert server.count_whole(run_id, "m", POINTS) == POINTS
    counters = server.status()["counters"]
    assert counters["missed"] == 0
    if fault == "drop":
        assert counters["duplicates"] > 0  # the answer was lost after the append, so it was sent again
    assert not any((tmp_path / "spool").iterdir())


def test_a_target_that_comes_back_gets_everything_without_a_restart(
    server: Server, proxy: Callable[[str], FaultyProxy], train: Callable[..., Trainer], tmp_path: Path
) -> None:
    between = proxy("none")
    settings = {"retry_interval_max_s": 0.3, "request_timeout_s": 1, "exit_timeout_s": 60}
    trainer = train("counting", between.url, tmp_path / "side", 0, TICK, **settings)
    run_id = trainer.line()
    for fault in ("error", "none", "hang", "drop", "slow", "none"):
        between.fault = fault
        time.sleep(0.5)
    out, err = trainer.finish()

    assert "still in" not in err
    server.count_whole(run_id, "m", json.loads(out)["points"])
    assert server.status()["counters"]["missed"] == 0
