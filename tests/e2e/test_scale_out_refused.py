"""Workers and servers that cannot start: each says in a sentence what to do, soon, and shows no stack trace."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("confluent_kafka")
pytest.importorskip("chdb")

from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType
from headrace.processors.main import main

from tests.clickhouse_server import ClickHouse
from tests.kafka_broker import KafkaBroker

if TYPE_CHECKING:
    from tests.e2e.scale_out import Cluster

pytestmark = pytest.mark.e2e

WORKER = ("headrace.processors.main",)
SERVER = ("headrace.api.main", "--port", "0")
CLEAR_S = 10.0
NOBODY = "127.0.0.1:1"


@pytest.fixture
def refused(tmp_path: Path) -> Callable[..., str]:
    """`refused(program, *arguments)`: what it says as it ends; it must end soon, with one line and exit code 1."""

    def run(program: tuple[str, ...], *arguments: str) -> str:
        folder = ("--data-dir", str(tmp_path / "data")) if program is SERVER else ()
        began_s = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", *program, *folder, *arguments],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        took_s = time.monotonic() - began_s
        assert done.returncode == 1, done.stderr
        assert done.stderr.startswith("headrace: "), done.stderr
        assert done.stderr.count("\n") == 1, done.stderr
        assert took_s < CLEAR_S
        return done.stderr

    return run


both = pytest.mark.parametrize("program", [WORKER, SERVER], ids=["worker", "server"])


@both
def test_a_wrong_address_of_kafka(program: tuple[str, ...], cluster: Cluster, refused: Callable[..., str]) -> None:
    said = refused(program, "--log", f"kafka://{NOBODY}", "--views", cluster.views_url)
    assert f"no Kafka broker answers at {NOBODY}" in said
    assert "Check the address" in said


def test_topics_that_are_missing(cluster: Cluster, kafka: KafkaBroker, refused: Callable[..., str]) -> None:
    url = kafka.url()
    said = refused(WORKER, "--log", url, "--views", cluster.views_url)
    assert f"do not exist at {kafka.bootstrap}. Run `headrace topics create --log {url}`" in said


def test_a_topic_with_settings_that_lose_events(cluster: Cluster, refused: Callable[..., str]) -> None:
    topic = cluster.log.settings.topic("runs")
    entry = ConfigEntry("cleanup.policy", "compact", incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
    admin = AdminClient(cluster.log.settings.client(lambda _: None))
    for answer in admin.incremental_alter_configs([resource]).values():
        answer.result(30)
    said = refused(WORKER, "--log", cluster.log_url, "--views", cluster.views_url)
    assert f"the topic {topic} has cleanup.policy=compact, and delete is expected" in said
    assert "kafka-configs.sh" in said


def test_a_wrong_address_of_clickhouse(cluster: Cluster, refused: Callable[..., str]) -> None:
    said = refused(WORKER, "--log", cluster.log_url, "--views", f"clickhouse://{NOBODY}/views")
    assert f"ClickHouse at {NOBODY} cannot be reached; start it, or correct the views URL" in said


def test_tables_that_are_missing(cluster: Cluster, clickhouse: ClickHouse, refused: Callable[..., str]) -> None:
    url = clickhouse.url("nothing_here")
    said = refused(WORKER, "--log", cluster.log_url, "--views", url)
    assert f"run `headrace views create --views '{url}'`" in said


@both
def test_tables_of_another_version(program: tuple[str, ...], cluster: Cluster, refused: Callable[..., str]) -> None:
    cluster.views.command("ALTER TABLE runs ADD COLUMN of_the_future String")
    said = refused(program, "--log", cluster.log_url, "--views", cluster.views_url)
    assert "the table runs" in said
    assert "was made by another version of headrace; run `headrace rebuild`" in said


def test_a_port_for_metrics_that_is_taken(cluster: Cluster, refused: Callable[..., str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        place = ("--metrics-host", "127.0.0.1", "--metrics-port", port)
        said = refused(WORKER, "--log", cluster.log_url, "--views", cluster.views_url, *place)
    assert f"cannot listen on 127.0.0.1:{port}" in said


def test_a_worker_without_a_log_on_kafka_or_views_on_a_server(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--log", "folder", "--views", ""]) == 1
    assert "--log kafka://host:9092" in capsys.readouterr().err
    assert main(["--log", f"kafka://{NOBODY}", "--views", "folder"]) == 1
    assert "--views clickhouse://host:8123" in capsys.readouterr().err
