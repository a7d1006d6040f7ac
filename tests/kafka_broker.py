"""A real Apache Kafka broker for tests: one node in KRaft mode, from Maven Central's jars, no container needed."""

from __future__ import annotations

import fcntl
import itertools
import os
import random
import shutil
import socket
import subprocess
import tempfile
import time
import uuid
from pathlib import Path

VERSION = "4.1.0"
START_TIMEOUT_S = 60.0
_PREFIXES = itertools.count(1)

_POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>headrace</groupId>
  <artifactId>kafka-for-tests</artifactId>
  <version>1</version>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId>
      <artifactId>kafka_2.13</artifactId>
      <version>{VERSION}</version>
    </dependency>
    <dependency>
      <groupId>org.apache.logging.log4j</groupId>
      <artifactId>log4j-slf4j-impl</artifactId>
      <version>2.24.3</version>
    </dependency>
  </dependencies>
</project>
"""

PROPERTIES = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.quorum.voters": "1@127.0.0.1:{controller_port}",
    "controller.listener.names": "CONTROLLER",
    "listeners": "PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT",
    "log.dirs": "{data}",
    "num.network.threads": "2",
    "num.io.threads": "4",
    "num.recovery.threads.per.data.dir": "2",
    "log.cleaner.enable": "true",
    "log.cleaner.dedupe.buffer.size": "8388608",
    # What a broker with default settings would do too, were it not alone.
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "4",
    "group.initial.rebalance.delay.ms": "0",
    # A killed broker that comes back waits until the controller has given up the one it was: 9 s by default.
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
    # A topic that nobody created is an error, as on a broker that is run with care.
    "auto.create.topics.enable": "false",
}

_LOG4J = """Configuration:
  status: "ERROR"
  Appenders:
    Console:
      name: "STDOUT"
      PatternLayout: {pattern: "[%d] %p %m (%c)%n"}
  Loggers:
    Root:
      level: "WARN"
      AppenderRef: {ref: "STDOUT"}
"""


class Missing(Exception):
    """This machine cannot run a broker; the message says what it lacks."""


class Broker:
    """A broker that tests share. bootstrap: where clients connect, `host:port`."""

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap

    def url(self, prefix: str = "") -> str:
        """The URL of a log on this broker with topics of its own."""
        return f"kafka://{self.bootstrap}/{prefix or unique_prefix()}"

    def new_log(self, partitions: int = 3) -> str:
        """The URL of a new log on this broker, its topics made."""
        from headrace.ingest.kafka_admin import KafkaAdmin
        from headrace.ingest.kafka_settings import parse
        from headrace.ingest.kafka_topics import Wanted

        url = self.url()
        KafkaAdmin(parse(url)).create(Wanted(partitions=partitions))
        return url


class KafkaBroker(Broker):
    """A broker in a process of its own, its data in `folder`. One that is started again keeps data and port."""

    def __init__(self, folder: Path, properties: dict[str, str] | None = None, heap: str = "400m") -> None:
        """properties: of the broker, by Kafka's names, over those above; `{port}` in a value stands for the port."""
        self.folder = folder
        self.port, self._controller_port = free_ports(2)
        super().__init__(f"127.0.0.1:{self.port}")
        self.process: subprocess.Popen[bytes] | None = None
        self._heap = heap
        self._properties = {**PROPERTIES, **(properties or {})}
        self._output = folder / "output"

    def another(self, node_id: int) -> dict[str, str]:
        """The properties that make a further broker join this one's cluster."""
        return {
            "process.roles": "broker",
            "node.id": str(node_id),
            "controller.quorum.voters": f"1@127.0.0.1:{self._controller_port}",
            "listeners": "PLAINTEXT://127.0.0.1:{port}",
        }

    def start(self) -> KafkaBroker:
        """Start it and wait until it answers. Raises Missing where Java or the jars cannot be had."""
        if not (self.folder / "server.properties").exists():
            self._format()
        with self._output.open("ab") as output:
            self.process = subprocess.Popen(
                [*self._java(f"-Xmx{self._heap}", f"-Xms{self._heap}"), "kafka.Kafka", str(self._config)],
                stdout=output,
                stderr=output,
                cwd=self.folder,
            )
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while not self._answers():
            assert self.process.poll() is None, self.output()
            assert time.monotonic() < deadline_s, f"no broker within {START_TIMEOUT_S:g} s: {self.output()}"
            time.sleep(0.05)
        return self

    def start_again(self) -> KafkaBroker:
        """Start it on the same data and port."""
        return self.start()

    def kill(self) -> None:
        """SIGKILL, and wait for the end."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self, timeout_s: float = 60.0) -> None:
        """SIGTERM, and wait for the end."""
        assert self.process is not None
        self.process.terminate()
        self.process.wait(timeout_s)

    def close(self) -> None:
        """End it if it runs."""
        if self.process is not None and self.process.poll() is None:
            self.kill()

    def output(self) -> str:
        """What it printed, the last of it."""
        return self._output.read_text(errors="replace")[-4000:] if self._output.exists() else ""

    @property
    def _config(self) -> Path:
        return self.folder / "server.properties"

    def _format(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "log4j2.yaml").write_text(_LOG4J)
        places = {
            "{port}": str(self.port),
            "{controller_port}": str(self._controller_port),
            "{data}": str(self.folder / "data"),
        }
        lines = []
        for name, value in self._properties.items():
            for place, stands_for in places.items():
                value = value.replace(place, stands_for)
            lines.append(f"{name}={value}\n")
        unfinished = self.folder / "server.properties.part"
        unfinished.write_text("".join(lines))
        cluster_id = "headrace-tests-0000000"  # 16 bytes as base64
        tool = [*self._java("-XX:TieredStopAtLevel=1"), "kafka.tools.StorageTool"]
        command = [*tool, "format", "--cluster-id", cluster_id, "--config", str(unfinished)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        unfinished.rename(self._config)

    def _java(self, *options: str) -> list[str]:
        java = shutil.which("java")
        if java is None:
            raise Missing("no java; Kafka 4 needs Java 17 or later")
        logging = f"-Dlog4j2.configurationFile={self.folder / 'log4j2.yaml'}"
        # One garbage collector thread and a JIT that is content early: the machine is shared with what is tested.
        return [java, *options, "-XX:+UseSerialGC", logging, "-cp", f"{jars()}/*"]

    def _answers(self) -> bool:
        """Whether it takes requests: a broker that still loads its data does not listen yet."""
        with socket.socket() as probe:
            probe.settimeout(1.0)
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


def unique_prefix() -> str:
    """A prefix for topics that no other test uses."""
    return f"test-{os.getpid()}-{next(_PREFIXES)}-{uuid.uuid4().hex[:6]}"


def jars() -> Path:
    """The folder of Kafka's jars, downloaded once a machine however many processes ask at once. Raises Missing."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "headrace-tests"
    folder = cache / f"kafka-{VERSION}"
    if folder.is_dir():
        return folder
    maven = shutil.which("mvn")
    if maven is None:
        raise Missing(f"no mvn to download Kafka {VERSION} with, and no {folder}")
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / f"kafka-{VERSION}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.is_dir():
            return folder
        unfinished = Path(tempfile.mkdtemp(dir=cache))
        try:
            (unfinished / "pom.xml").write_text(_POM)
            goal = ["dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={unfinished}/jars"]
            done = subprocess.run(
                [maven, "-q", "-B", *goal], cwd=unfinished, capture_output=True, text=True, check=False, timeout=600
            )
            if done.returncode != 0:
                raise Missing(f"mvn could not download Kafka {VERSION}: {(done.stdout + done.stderr)[-500:]}")
            (unfinished / "jars").rename(folder)
        finally:
            shutil.rmtree(unfinished)
    return folder


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on, below those the kernel gives to clients: a broker that is down keeps its own."""
    found: list[int] = []
    draw = random.SystemRandom()
    while len(found) < count:
        port = draw.randrange(20_000, 32_000)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in found:
            found.append(port)
    return found
