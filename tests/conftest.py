"""Real stores for tests of any kind."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

from tests.clickhouse_container import clickhouse_container, new_clickhouse_container  # noqa: F401
from tests.clickhouse_server import clickhouse, new_clickhouse  # noqa: F401
from tests.kafka_broker import Broker, KafkaBroker, Missing
from tests.missing import report

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    # As in the background of a script. What the tests start must hear an interrupt all the same.
    signal.signal(signal.SIGINT, signal.default_int_handler)


LATE = (
    *("autolog_examples", "cli", "compare", "demo", "endpoints", "export", "fuzz_api", "import", "import_mlflow"),
    *(
        "import_others",
        "log_commands",
        "mlflow_integrations",
        "models",
        "models_serve",
        "models_serve_triton",
        "projects",
    ),
    *("sql", "tutorial"),
)
"""Files of tests/e2e that hold no time limit a busy machine would miss: they fill what the others leave free, as
those of the page do."""


def row_of(nodeid: str) -> str:
    """Which tests come one after the other on one worker: those that start processes, but for LATE, else a file's."""
    file = nodeid.split("::", 1)[0]
    name = Path(file).stem.removeprefix("test_")
    is_late = name in LATE or name.startswith("page")
    return "processes" if file.startswith("tests/e2e/") and not is_late else file


class ByRow(LoadScopeScheduling):  # type: ignore[misc]
    """Gives each free worker the next row."""

    def _split_scope(self, nodeid: str) -> str:
        return row_of(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByRow:
    """How tests are spread over several workers."""
    config.option.loadscopereorder = False
    return ByRow(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest row first, then what starts no processes, then LATE."""
    items.sort(key=lambda item: (row_of(item.nodeid) != "processes", item.nodeid.startswith("tests/e2e/")))


@dataclass
class S3Server:
    """A server that speaks S3, in a process of its own. log: its lines, one a request."""

    url: str
    log: Path
    process: subprocess.Popen[bytes]
    environ: dict[str, str] = field(
        default_factory=lambda: {
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_REGION": "eu-west-1",
        }
    )
    """What a client of it has in its environment."""

    def bucket(self, name: str) -> str:
        """Make a bucket; its name."""
        place = {"LocationConstraint": "eu-west-1"}
        body = f"<CreateBucketConfiguration>{''.join(f'<{k}>{v}</{k}>' for k, v in place.items())}"
        answer = httpx.put(f"{self.url}/{name}", content=f"{body}</CreateBucketConfiguration>")
        assert answer.status_code == 200, answer.text
        return name

    def uploads(self, bucket: str) -> int:
        """How many multipart uploads are under way in a bucket."""
        return httpx.get(f"{self.url}/{bucket}?uploads").text.count("<UploadId>")

    def requests(self) -> str:
        """The requests it got, one a line."""
        return self.log.read_text(errors="replace")

    def stop(self) -> None:
        """End it."""
        self.process.kill()
        self.process.wait()


@pytest.fixture(scope="session")
def new_s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., S3Server]]:
    """Starts S3 servers (moto): `new_s3(**environ)`; all are ended with the session."""
    pytest.importorskip("moto")
    started: list[S3Server] = []

    def start(**environ: str) -> S3Server:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        log = tmp_path_factory.mktemp("s3") / "log"
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
        with log.open("wb") as output:
            process = subprocess.Popen(command, stdout=output, stderr=output, env=_environ(environ))
        started.append(S3Server(f"http://127.0.0.1:{port}", log, process))
        deadline_s = time.monotonic() + 60
        while True:
            try:
                httpx.get(f"{started[-1].url}/moto-api/")
                return started[-1]
            except httpx.TransportError:
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline_s, "moto did not start"
                time.sleep(0.05)

    yield start
    for server in started:
        server.stop()


@pytest.fixture(scope="session")
def s3(new_s3: Callable[..., Any]) -> S3Server:
    """An S3 server for the whole session."""
    server: S3Server = new_s3()
    return server


@pytest.fixture(scope="session")
def new_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., KafkaBroker]]:
    """Starts brokers: `new_kafka(**server_properties)`, by Kafka's names; all are ended with the session."""
    started: list[KafkaBroker] = []

    def start(**properties: str) -> KafkaBroker:
        started.append(KafkaBroker(tmp_path_factory.mktemp("kafka"), properties))
        try:
            return started[-1].start()
        except Missing as missing:
            report(str(missing))
            raise

    yield start
    for broker in started:
        broker.close()


@pytest.fixture(scope="session")
def kafka(new_kafka: Callable[..., KafkaBroker]) -> KafkaBroker:
    """A broker for the whole session. Tests share it: each takes a url() of its own, and none kills it."""
    return new_kafka()


@pytest.fixture(scope="session")
def kafka_container() -> Iterator[Broker]:
    """A broker from Apache Kafka's official image, for the whole session; skips where no container engine answers."""
    pytest.importorskip("confluent_kafka")
    from tests.kafka_container import KafkaContainer, engine_fault

    fault = engine_fault()
    if fault:
        pytest.skip(f"NOT TESTED HERE: Kafka's official image; {fault}")
    broker = KafkaContainer()
    yield broker.start()
    broker.close()


def _environ(changes: dict[str, str]) -> dict[str, str]:
    import os

    return {**os.environ, **changes}
