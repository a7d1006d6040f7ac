"""Workers that share partitions, as processes: what becomes of the views when they join, leave, die or are cut off."""

from __future__ import annotations

import contextlib
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("confluent_kafka")
pytest.importorskip("chdb")

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from headrace.ingest import codec, events
from headrace.ingest.clock import SystemClock
from headrace.ingest.kafka_headers import encode_headers
from headrace.ingest.log import Partition
from headrace.ingest.topics import DEAD_LETTERS, METRICS
from headrace.processors import views
from headrace.processors.views import Views, embedded
from headrace.processors.views_url import parse_views_url
from headrace.processors.worker import SESSION_TIMEOUT_S

from tests.e2e.flow import Flow, check_whole, message
from tests.world import World

if TYPE_CHECKING:
    from tests.e2e.scale_out import Cluster

pytestmark = pytest.mark.e2e

BACKLOG = 1_000_000
MEMORY_MAX_BYTES = 600 * 1024**2
"""What a worker may take at most, whatever the backlog, as docs/how-to/run-at-scale.md says."""
HISTORIES = 12
CRASHING = Path(__file__).parent / "crashing_worker.py"


def owners(cluster: Cluster) -> set[str]:
    """The processes that hold partitions now."""
    sql = "SELECT topic, partition, argMax(owner, (epoch, owner)) FROM owners GROUP BY topic, partition"
    return {row[2].split(".")[0] for row in cluster.views.rows(sql)}


# --- the same views, whoever folds ------------------------------------------------------------------------------------


def test_one_worker_three_workers_and_an_engine_in_a_process_make_the_same_views_to_the_byte(
    cluster: Cluster, tmp_path: Path, eventually: Callable[..., object]
) -> None:
    """The log holds what is applied, refused, poison, unknown, repeated, missed, with writers and without."""
    world = World(cluster.views, cluster.log, SystemClock())
    lives = [list(world.history(f"r{number}")) for number in range(HISTORIES)]
    one = cluster.worker().start()
    for step in range(max(map(len, lives))):
        for life in lives:
            if step < len(life):
                life[step]()
    cluster.catch_up()
    by_one = world.bytes()
    assert one.stop() == 0
    check_dead_letters(world)

    forget_group(cluster)
    other_url = cluster.clickhouse.url()
    views.create(parse_views_url(other_url))
    three = [cluster.worker(other_url) for _ in range(3)]
    with ThreadPoolExecutor() as threads:
        list(threads.map(lambda worker: worker.start(), three))
    cluster.catch_up()
    with opened(views.server(other_url)) as stored:
        by_three = World(stored, cluster.log, world.clock).bytes()
    assert [worker.stop() for worker in three] == [0, 0, 0]

    with opened(embedded(tmp_path / "views")) as stored:
        in_process = World(stored, cluster.log, world.clock)
        in_process.settle()
        by_engine = in_process.bytes()
    assert by_one == by_engine
    assert by_three == by_engine


def check_dead_letters(world: World) -> None:
    """Each poison event is in the dead letters once, with its reason; each unknown one is kept and skipped."""
    records = world.log.read(Partition(DEAD_LETTERS, 0), 0, 10**6, 2**40)
    letters = [codec.decode_event(record.envelope) for record in records]
    told = [(x.record, x.reason) for x in letters if isinstance(x, events.EventRejected)]
    rejected = world.view("SELECT topic, partition, offset, reason FROM events WHERE outcome = 'rejected'")
    assert sorted(told) == sorted((f"{topic}/{partition}/{offset}", why) for topic, partition, offset, why in rejected)
    assert len(told) == 4 * HISTORIES
    assert all(reason for _, reason in told)
    skipped = world.view("SELECT type, count() FROM events WHERE outcome = 'skipped' GROUP BY type ORDER BY type")
    assert skipped == [("headrace.metrics.profiled", HISTORIES), ("headrace.run.paused", HISTORIES)]
    # What came behind the poison was folded.
    assert world.view("SELECT count() FROM runs FINAL WHERE status = 'FINISHED'") == [(HISTORIES,)]
    assert world.view("SELECT count() FROM metrics WHERE key = 'late'") == [(HISTORIES,)]


def forget_group(cluster: Cluster) -> None:
    """As if nobody had folded this log yet."""
    client = AdminClient({"bootstrap.servers": cluster.broker.bootstrap})
    for answer in client.delete_consumer_groups([cluster.log.group]).values():
        answer.result(30)


@contextlib.contextmanager
def opened(stored: Views) -> Iterator[Views]:
    """Close the views in the end."""
    try:
        yield stored
    finally:
        stored.close()


# --- workers that come and go -----------------------------------------------------------------------------------------


def test_workers_that_join_leave_die_and_wake_up_after_others_took_over_lose_and_double_nothing(
    cluster: Cluster, eventually: Callable[..., object]
) -> None:
    first, sleeper, third = (cluster.worker() for _ in range(3))
    first.start()
    flow = Flow(cluster.log, messages_per_s=400).start()
    try:
        sleeper.start()
        eventually(lambda: len(owners(cluster)) == 2)
        sleeper.signal(signal.SIGSTOP)
        slept_s = time.monotonic()
        third.start()
        first.kill()
        first.start()
        # Others have what it had, and have gone on from there.
        ends = cluster.log.end()
        eventually(lambda: not cluster.behind(ends), SESSION_TIMEOUT_S + 30)
        assert time.monotonic() > slept_s + SESSION_TIMEOUT_S
        sleeper.signal(signal.SIGCONT)
        eventually(lambda: len(owners(cluster)) == 3)
        assert third.stop() == 0
        eventually(lambda: len(owners(cluster)) == 2)
    finally:
        flow.stop()
    cluster.catch_up()
    assert check_whole(cluster.log, cluster.views) > 1_000
    assert first.running
    assert sleeper.running


def test_a_worker_that_is_told_to_stop_stores_and_commits_what_it_has_and_is_gone_in_seconds(cluster: Cluster) -> None:
    worker = cluster.worker().start()
    cluster.log.append([message(f"run-{number % 7}", number) for number in range(2_000)])
    while not cluster.views.rows("SELECT 1 FROM metrics LIMIT 1"):
        time.sleep(0.01)
    told_s = time.monotonic()
    assert worker.stop() == 0
    assert time.monotonic() - told_s < 6
    committed = {p: offset for p, offset in cluster.log.committed().items() if p.topic == METRICS}
    stored = cluster.views.rows("SELECT partition, max(offset) + 1 FROM metrics GROUP BY partition")
    assert committed.items() >= {Partition(METRICS, partition): end for partition, end in stored}.items()
    assert worker.output().count("\n") == 1, worker.output()


def test_a_worker_whose_kafka_client_fails_ends_with_a_sentence(cluster: Cluster) -> None:
    command = [sys.executable, str(CRASHING), "--log", cluster.log_url, "--views", cluster.views_url]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 1, ended.stderr
    expected = r"headrace: the worker's Kafka client ended: .*the group is no more.*; start the worker again\n"
    assert re.fullmatch(expected, ended.stderr), ended.stderr


# --- a long backlog ---------------------------------------------------------------------------------------------------


@pytest.mark.timeout(280)
def test_a_worker_that_finds_a_million_messages_catches_up_in_bounded_memory(
    cluster: Cluster, record_property: Callable[[str, object], None]
) -> None:
    append_backlog(cluster)
    began_s = time.monotonic()
    worker = cluster.worker().start()
    cluster.catch_up(200)
    took_s = time.monotonic() - began_s
    peak_bytes = worker.memory_peak_bytes()
    assert check_whole(cluster.log, cluster.views, 1) == BACKLOG
    record_property("messages_per_s", BACKLOG / took_s)
    record_property("peak_mb", peak_bytes / 1024**2)
    assert peak_bytes < MEMORY_MAX_BYTES


def append_backlog(cluster: Cluster) -> None:
    """As fast as can be: the messages of a run are equal, and encoded once."""
    settings = cluster.log.settings
    producer = Producer(
        settings.client(
            lambda _: None,
            partitioner="murmur2_random",
            compression_type="lz4",
            linger_ms=20,
            queue_buffering_max_messages=2_000_000,
            queue_buffering_max_kbytes=1_000_000,
        )
    )
    envelopes = [message(f"run-{number}", 0, 1) for number in range(100)]
    made = [(x.subject.encode(), x.data, encode_headers(x)) for x in envelopes]
    topic = settings.topic(METRICS)
    for _ in range(BACKLOG // len(made)):
        for key, data, headers in made:
            producer.produce(topic, data, key, headers=headers)  # type: ignore[arg-type]
        producer.poll(0)
    assert producer.flush(60) == 0
