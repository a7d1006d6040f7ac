"""The feed of a real server: readers that are cut off, that do not read, that come late; and over Kafka."""

from __future__ import annotations

import json
import random
import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.feed_reader import EVENTS, FeedReader

if TYPE_CHECKING:
    from tests.e2e.conftest import Server, Trainer
    from tests.e2e.scale_out import Cluster

pytestmark = pytest.mark.e2e

KILLS = 3
TRAINERS = 3
SLOW = 100
POINTS = 100_000
MEMORY_SHARE_MAX = 0.25
"""Of what the readers that do not read have asked for."""


def ends(server: Server) -> dict[str, int]:
    """How far the log goes, as the feed says."""
    answer = server.request("GET", EVENTS, headers={"Accept": "application/json"})
    assert answer.status_code == 200, answer.text
    places = [place.rsplit("/", 1) for place in answer.json()["next"].split(",")]
    return {partition: int(offset) for partition, offset in places}


def since(server: Server, after: str) -> set[str]:
    """The positions of what was logged from a moment on, an answer a time."""
    found: list[str] = []
    while True:
        params = {"after": after, "limit": 50}
        answer = server.request("GET", EVENTS, params=params, headers={"Accept": "application/json"}).json()
        found += [one["position"] for one in answer["events"]]
        after = answer["next"]
        if answer["caught_up"]:
            assert len(set(found)) == len(found)
            return set(found)


def asked_bytes(server: Server) -> int:
    """How much a reader of everything is sent, points and all."""
    size, after = 0, "begin"
    while True:
        params = {"after": after, "limit": 1000, "points": "true"}
        answer = server.request("GET", EVENTS, params=params, headers={"Accept": "application/json"})
        size, after = size + len(answer.content), answer.json()["next"]
        if answer.json()["caught_up"]:
            return size


def whole(server: Server) -> dict[str, list[int]]:
    """Every offset of every partition that has any."""
    return {partition: list(range(end)) for partition, end in ends(server).items() if end}


def test_a_reader_gets_every_event_once_though_the_server_is_killed_again_and_again(
    server: Server, train: Callable[..., Trainer], tmp_path: Path, eventually: Callable[..., Any]
) -> None:
    chance = random.Random()
    settings = {"retry_interval_max_s": 0.3, "exit_timeout_s": 60}
    with closing(FeedReader(server.url, after="begin")) as reader:
        trainers = [train("counting", server.url, tmp_path / f"side-{n}", 0, 10, **settings) for n in range(TRAINERS)]
        run_ids = [trainer.line() for trainer in trainers]
        for _ in range(KILLS):
            time.sleep(chance.uniform(0.3, 1.5))
            server.kill()
            server.start_again()
        told = [json.loads(trainer.finish(90)[0])["points"] for trainer in trainers]
        eventually(lambda: reader.offsets() == whole(server))
        assert reader.points() == dict(zip(run_ids, told, strict=True))
        assert reader.connections > KILLS


@contextmanager
def not_reading(server: Server, count: int) -> Iterator[list[socket.socket]]:
    """Readers that ask for all there is, points and all, and never read."""
    with ExitStack() as stack:
        made = []
        for _ in range(count):
            one = stack.enter_context(socket.socket())
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            one.connect(("127.0.0.1", server.port))
            one.sendall(f"GET {EVENTS}?after=begin&points=true HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            made.append(one)
        yield made


def memory_bytes(server: Server) -> int:
    """What the server's process holds now."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{server.pid}/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


def cpu_s(server: Server) -> float:
    """Processor time of the server so far."""
    fields = Path(f"/proc/{server.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100


def is_at_rest(server: Server) -> bool:
    """Whether the server does next to nothing for a second."""
    before_s = cpu_s(server)
    time.sleep(1)
    return cpu_s(server) - before_s < 0.2


def trained(server: Server, train: Callable[..., Trainer], side: Path) -> float:
    """A training of many points, counted; the processor time it took the server, seconds."""
    before_s = cpu_s(server)
    trainer = train("counting", server.url, side, POINTS, 200, exit_timeout_s=60)
    run_id = trainer.line()
    trainer.finish(120)
    server.count_whole(run_id, "m", POINTS)
    return cpu_s(server) - before_s


def test_a_hundred_readers_that_never_read_cost_bounded_memory_and_do_not_hold_up_a_trainer_or_the_end(
    server: Server,
    train: Callable[..., Trainer],
    tmp_path: Path,
    eventually: Callable[..., Any],
    record_property: Callable[[str, object], None],
) -> None:
    alone_s = trained(server, train, tmp_path / "side-0")
    bytes_max = MEMORY_SHARE_MAX * SLOW * asked_bytes(server)
    eventually(lambda: is_at_rest(server))
    before = memory_bytes(server)
    with not_reading(server, SLOW):
        eventually(lambda: "headrace_feed_readers 100.0" in server.request("GET", "/metrics").text)
        eventually(lambda: is_at_rest(server))
        grown = memory_bytes(server) - before
        with closing(FeedReader(server.url, after="now")) as reader:
            eventually(lambda: reader.connections)
            beside_s = trained(server, train, tmp_path / "side-1")
            eventually(lambda: sum(reader.points().values()) == POINTS)
        began_s = time.monotonic()
        assert server.stop() == 0
        took_s = time.monotonic() - began_s
    record_property("grown_mb", grown / 1e6)
    record_property("cpu_s", [alone_s, beside_s])
    print(
        f"\n{SLOW} readers that never read: {grown / 1e6:.0f} MB of at most {bytes_max / 1e6:.0f}; server's CPU for"
        f" {POINTS:,} points alone {alone_s:.1f} s, beside them {beside_s:.1f} s; end in {took_s:.1f} s"
    )
    assert grown < bytes_max
    assert took_s < 8, took_s
    assert "without completing" not in server.output()
    assert "Traceback" not in server.output()


def test_over_kafka_a_reader_gets_every_event_of_all_partitions_once_though_the_server_is_killed(
    cluster: Cluster, train: Callable[..., Trainer], tmp_path: Path, eventually: Callable[..., Any]
) -> None:
    _, [server, other] = cluster.start(workers=1, servers=2)
    settings = {"retry_interval_max_s": 0.3, "exit_timeout_s": 60}
    with closing(FeedReader(server.url, after="begin")) as reader:
        trainers = [train("counting", other.url, tmp_path / f"side-{n}", 4000, 10, **settings) for n in range(TRAINERS)]
        run_ids = [trainer.line() for trainer in trainers]
        eventually(lambda: reader.points())
        server.kill()
        server.start_again()
        for trainer in trainers:
            trainer.finish(90)
        eventually(lambda: reader.offsets() == whole(other))
        assert reader.points() == dict.fromkeys(run_ids, 4000)
        times = sorted(message.data["logged_ms"] for message in reader.messages)
        half = times[len(times) // 2]
        later = {message.position for message in reader.messages if message.data["logged_ms"] >= half}
    assert since(other, str(half)) == later
    with closing(FeedReader(other.url, after="begin", run_ids=run_ids[0], types="run.*")) as reader:
        eventually(lambda: any(message.data["type"] == "headrace.run.ended" for message in reader.messages))
        assert {message.data["subject"] for message in reader.messages} == {run_ids[0]}
    with closing(FeedReader(other.url, after="begin", digest="true", experiment_ids="0")) as reader:
        eventually(lambda: {x for m in reader.messages for x in m.data.get("run_ids", ())} == set(run_ids))
