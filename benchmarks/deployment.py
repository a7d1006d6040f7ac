"""Kafka, ClickHouse, workers and API replicas as processes on this machine, and the CPU time each of them takes.

The broker is a real one; ClickHouse is the façade of tests/, which is its engine (chDB) behind its HTTP interface.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from confluent_kafka import ConsumerGroupState
from confluent_kafka.admin import AdminClient
from headrace.ingest.kafka import KafkaLog
from headrace.ingest.topics import FOLDED, METRICS
from headrace.processors import views
from headrace.processors.views_url import parse_views_url

from benchmarks import processes
from benchmarks.processes import ROOT, Server, environ
from tests.clickhouse_server import ClickHouse
from tests.kafka_broker import KafkaBroker

PARTITIONS = 4
POLL_S = 0.02
TIMEOUT_S = 600.0
START_TIMEOUT_S = 60.0
SETTLE_S = 1.0


def cpu_s(process_ids: Sequence[int]) -> float:
    """The CPU time of processes since their start."""
    times = [psutil.Process(process_id).cpu_times() for process_id in process_ids]
    return sum(one.user + one.system for one in times)


def peak_mb(process_id: int) -> float:
    """The most memory a process was resident with, MB."""
    for line in Path(f"/proc/{process_id}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
    return float("nan")


class Program:
    """A process of ours that runs until it is stopped; its output is kept in its folder."""

    def __init__(self, command: Sequence[str], folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._output = folder / "output.txt"
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(command, stdout=output, stderr=output, cwd=ROOT, env=environ(folder))

    def ready(self, announces: str) -> None:
        """Wait until it has printed this. Raises RuntimeError with its output when it does not."""
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while announces not in self.output():
            if self._process.poll() is not None or time.monotonic() > deadline_s:
                self.stop()
                raise RuntimeError(f"a process did not start: {self.output()[-1000:]}")
            time.sleep(POLL_S)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def output(self) -> str:
        """What it printed."""
        return self._output.read_text(errors="replace")

    def stop(self) -> None:
        """SIGTERM, then SIGKILL."""
        self._process.terminate()
        try:
            self._process.wait(30.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@dataclass(slots=True)
class Caught:
    """How views caught up with a log. first_s, first: when the first messages of points were in them, and how many
    those were; end_s: when all were. Times since the watch began."""

    first_s: float
    first: int
    end_s: float
    cpu_s: Mapping[str, float]

    def rate(self, messages: int) -> float:
        """Messages a second from the first that were stored to the last; or in all, where most came at once."""
        if self.first > messages / 2:
            return messages / self.end_s
        return (messages - self.first) / (self.end_s - self.first_s)


@dataclass(slots=True)
class Pipeline:
    """One log on Kafka with its views on ClickHouse, and the workers between them."""

    deployment: Deployment
    log_url: str
    views_url: str
    log: KafkaLog
    folder: Path
    workers: list[Program] = field(default_factory=list)

    def work(self, workers: int = 1, module: str = "headrace.processors.main") -> None:
        """So many more workers, which have begun."""
        command = [sys.executable, "-m", module, "--log", self.log_url, "--views", self.views_url]
        for _ in range(workers):
            self.workers.append(Program(command, self.folder / f"worker-{len(self.workers)}"))
        for worker in self.workers:
            worker.ready("Headrace worker")

    def server(self) -> Server:
        """An API replica, not started."""
        return processes.headrace(self.folder / "api", HEADRACE_LOG=self.log_url, HEADRACE_VIEWS=self.views_url)

    def watch(self, act: Callable[[], None] = lambda: None) -> Caught:
        """Call act, and wait until the views hold all that is in the log then. Raises RuntimeError after TIMEOUT_S."""
        started_s = time.monotonic()
        before = self.cpu_s()
        begun = self._at(METRICS)
        act()
        ends = {p: end for p, end in self.log.end().items() if p.topic in FOLDED}
        first_s, first = 0.0, 0
        while True:
            at = self.log.committed()
            now_s = time.monotonic() - started_s
            if not first:
                first_s, first = now_s, sum(x for p, x in at.items() if p.topic == METRICS) - begun
            if all(at.get(p, 0) >= end for p, end in ends.items()):
                used = {name: value - before.get(name, 0.0) for name, value in self.cpu_s().items()}
                return Caught(first_s, first, now_s, used)
            if now_s > TIMEOUT_S:
                raise RuntimeError(f"the views did not catch up in {TIMEOUT_S:g} s: {self._outputs()}")
            time.sleep(POLL_S)

    def settle(self) -> None:
        """Wait until every worker has its share of the partitions."""
        client = AdminClient({"bootstrap.servers": self.deployment.broker.bootstrap})
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline_s:
            [asked] = client.describe_consumer_groups([self.log.group]).values()
            group: Any = asked.result(START_TIMEOUT_S)
            shares = [bool(one.assignment and one.assignment.topic_partitions) for one in group.members]
            if group.state == ConsumerGroupState.STABLE and shares == [True] * len(self.workers):
                time.sleep(SETTLE_S)  # they open what they were given
                return
            time.sleep(POLL_S)
        raise RuntimeError(f"the workers did not share the partitions: {self._outputs()}")

    def points(self) -> int:
        """How many points the views hold."""
        stored = views.server(self.views_url)
        try:
            [(count,)] = stored.rows("SELECT count() FROM metrics")
        finally:
            stored.close()
        return int(count)

    def cpu_s(self) -> dict[str, float]:
        """The CPU time each part has taken since its start."""
        return {
            "workers": cpu_s([worker.pid for worker in self.workers]),
            "ClickHouse": self.deployment.cpu_s(self.deployment.clickhouse.process),
            "Kafka": self.deployment.cpu_s(self.deployment.broker.process),
        }

    def close(self) -> None:
        """Stop the workers."""
        for worker in self.workers:
            worker.stop()
        self.log.close()

    def _at(self, topic: str) -> int:
        return sum(offset for p, offset in self.log.committed().items() if p.topic == topic)

    def _outputs(self) -> str:
        return "\n".join(worker.output()[-1000:] for worker in self.workers)


class Deployment:
    """A broker and a ClickHouse; each log on it has topics and views of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made = 0
        self.broker = KafkaBroker(folder / "kafka")
        self.clickhouse = ClickHouse(folder / "clickhouse")

    @contextmanager
    def pipeline(self, partitions: int = PARTITIONS) -> Iterator[Pipeline]:
        """A new log with new views."""
        self._made += 1
        log_url, views_url = self.broker.new_log(partitions), self.clickhouse.url()
        views.create(parse_views_url(views_url))
        made = Pipeline(self, log_url, views_url, KafkaLog(log_url), self._folder / f"pipeline-{self._made}")
        try:
            yield made
        finally:
            made.close()
            views.drop(parse_views_url(views_url))

    @staticmethod
    def cpu_s(process: subprocess.Popen[bytes] | None) -> float:
        """The CPU time of a process of the deployment."""
        return 0.0 if process is None else cpu_s([process.pid])


@contextmanager
def deployed(folder: Path) -> Iterator[Deployment]:
    """Broker and ClickHouse, started and ended."""
    with ExitStack() as stack:
        made = Deployment(folder)
        stack.callback(made.broker.close)
        stack.callback(made.clickhouse.close)
        made.broker.start()
        made.clickhouse.start()
        yield made
