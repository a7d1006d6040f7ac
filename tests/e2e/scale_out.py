"""A deployment over Kafka and ClickHouse for the end-to-end tests: workers and API replicas, each a process."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka.admin import AdminClient, NewTopic
from headrace.ingest.kafka import KafkaLog
from headrace.ingest.kafka_admin import KafkaAdmin
from headrace.ingest.kafka_settings import parse
from headrace.ingest.kafka_topics import Wanted, settings_of
from headrace.ingest.log import LogUnavailable, Partition
from headrace.ingest.topics import FOLDED, METRICS, RUNS, TOPICS
from headrace.processors import views
from headrace.processors.views import Views
from headrace.processors.views_url import parse_views_url

from tests.clickhouse_server import ClickHouse
from tests.kafka_broker import KafkaBroker

if TYPE_CHECKING:
    from tests.e2e.conftest import Server

PARTITIONS = {RUNS: 3, METRICS: 4}
"""The counts differ, so that nothing may rely on a run's having the same number in both."""
START_TIMEOUT_S = 60.0


class Worker:
    """A worker's process; what it printed is kept."""

    def __init__(self, log_url: str, views_url: str, output: Path) -> None:
        self._command = [sys.executable, "-m", "headrace.processors.main", "--log", log_url, "--views", views_url]
        self._output = output
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *arguments: str) -> Worker:
        """Start it, and wait until it has begun to work."""
        began = len(self.output())
        self.launch(*arguments)
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while "Headrace worker" not in self.output()[began:]:
            assert self.running, self.output()
            assert time.monotonic() < deadline_s, f"no worker within {START_TIMEOUT_S:g} s: {self.output()}"
            time.sleep(0.02)
        return self

    def launch(self, *arguments: str) -> None:
        """Start it."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("HEADRACE_")}
        with self._output.open("ab") as output:
            self.process = subprocess.Popen([*self._command, *arguments], stdout=output, stderr=output, env=kept)

    @property
    def running(self) -> bool:
        """Whether its process has not ended."""
        return self.process is not None and self.process.poll() is None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL, and wait for the end."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self, timeout_s: float = 30.0) -> int:
        """SIGTERM, and wait; the exit code."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(timeout_s)

    def output(self) -> str:
        """What all its processes printed."""
        return self._output.read_text(errors="replace") if self._output.exists() else ""

    def memory_peak_bytes(self) -> int:
        """The most memory it had at a time."""
        assert self.process is not None
        found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{self.process.pid}/status").read_text())
        assert found is not None
        return int(found[1]) * 1024

    def close(self) -> None:
        """End it if it runs."""
        if self.running:
            self.kill()


class Cluster:
    """One log and its views, and the processes that work on them; they are ended by close()."""

    def __init__(
        self,
        broker: KafkaBroker,
        clickhouse: ClickHouse,
        folder: Path,
        new_server: Callable[..., Server],
        partitions: Mapping[str, int] = PARTITIONS,
    ) -> None:
        self.broker = broker
        self.clickhouse = clickhouse
        self.log_url = broker.url()
        self.views_url = clickhouse.url()
        self._folder = folder
        self._new_server = new_server
        self._workers: list[Worker] = []
        self._servers = 0
        self._make_topics(partitions)
        views.create(parse_views_url(self.views_url))
        self.log = KafkaLog(self.log_url)
        self.views: Views = views.server(self.views_url)

    def _make_topics(self, partitions: Mapping[str, int]) -> None:
        """Topics as the product makes them, but for the number of partitions of each."""
        settings = parse(self.log_url)
        client = AdminClient(settings.client(lambda _: None))
        topics = [
            NewTopic(settings.topic(topic), count, 1, config=settings_of(TOPICS[topic], Wanted(), 1))
            for topic, count in partitions.items()
        ]
        for answer in client.create_topics(topics).values():
            answer.result(START_TIMEOUT_S)
        KafkaAdmin(settings).create(Wanted())

    def worker(self, views_url: str = "") -> Worker:
        """A worker that is not started. views_url: others than the cluster's."""
        output = self._folder / f"worker-{len(self._workers)}.output"
        self._workers.append(Worker(self.log_url, views_url or self.views_url, output))
        return self._workers[-1]

    def server(self, **settings: Any) -> Server:
        """An API replica with a data folder of its own; not started."""
        self._servers += 1
        folder = self._folder / f"api-{self._servers}"
        return self._new_server(folder, log=self.log_url, views=self.views_url, **settings)

    def start(self, workers: int = 0, servers: int = 0, **settings: Any) -> tuple[list[Worker], list[Server]]:
        """Start so many at once. settings: of the servers."""
        made = [self.worker() for _ in range(workers)]
        replicas = [self.server(**settings) for _ in range(servers)]
        with ThreadPoolExecutor() as threads:
            started: list[Future[Any]] = [threads.submit(one.start) for one in made]
            started += [threads.submit(one.start) for one in replicas]
            for one in started:
                one.result()
        return made, replicas

    def behind(self, ends: Mapping[Partition, int] | None = None) -> dict[Partition, tuple[int, int]]:
        """Partitions whose views are not at these ends, the log's if none are given: where they are, and the end."""
        committed = self.log.committed()
        ends = {p: end for p, end in (ends or self.log.end()).items() if p.topic in FOLDED}
        return {p: (committed.get(p, 0), end) for p, end in ends.items() if committed.get(p, 0) < end}

    def catch_up(self, timeout_s: float = 60.0) -> None:
        """Wait until the views hold what is in the log now."""
        deadline_s = time.monotonic() + timeout_s
        while behind := self._behind_if_asked():
            assert time.monotonic() < deadline_s, f"behind after {timeout_s:g} s: {behind} {self.outputs()}"
            time.sleep(0.05)

    def _behind_if_asked(self) -> object:
        try:
            return self.behind()
        except LogUnavailable as error:
            return error

    def outputs(self) -> str:
        """What all workers printed."""
        return "\n".join(worker.output()[-2000:] for worker in self._workers)

    def close(self) -> None:
        """End the workers, and let go of connections."""
        for worker in self._workers:
            worker.close()
        with contextlib.suppress(Exception):
            self.log.close()
        self.views.close()


@pytest.fixture
def new_cluster(
    tmp_path: Path, new_server: Callable[..., Server], kafka: KafkaBroker, clickhouse: ClickHouse
) -> Iterator[Callable[..., Cluster]]:
    """Makes deployments: `new_cluster(broker=, clickhouse=)`, on the session's servers if none are given."""
    made: list[Cluster] = []

    def make(broker: KafkaBroker = kafka, clickhouse: ClickHouse = clickhouse, **options: Any) -> Cluster:
        folder = tmp_path / f"cluster-{len(made)}"
        folder.mkdir()
        made.append(Cluster(broker, clickhouse, folder, new_server, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def cluster(new_cluster: Callable[..., Cluster]) -> Cluster:
    """A log and views of its own on the session's Kafka and ClickHouse; nothing works on them yet."""
    return new_cluster()
