"""`headrace topics` on a real broker."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.kafka_broker import KafkaBroker

pytest.importorskip("confluent_kafka")


def topics(*arguments: str) -> subprocess.CompletedProcess[str]:
    """What the command did."""
    command = [sys.executable, "-m", "headrace.sdk.cli.main", "topics", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_topics_are_made_once_listed_and_found_in_order(kafka: KafkaBroker) -> None:
    url = kafka.url()
    prefix = url.rpartition("/")[2]
    names = [f"{prefix}.{name}" for name in ("runs", "metrics", "registry", "dead_letters")]
    assert topics("check", "--log", url).returncode == 1
    first = topics("create", "--log", url, "--partitions", "3", "--json")
    assert first.returncode == 0, first.stderr
    assert json.loads(first.stdout) == {"log": url, "created": names, "ok": True, "differences": []}
    second = topics("create", "--log", url)
    assert (second.returncode, second.stdout) == (0, "")
    assert second.stderr.splitlines() == [f"{name}: there already" for name in names]
    checked = topics("check", "--log", url, "--partitions", "3", "--replication-factor", "1")
    assert (checked.returncode, checked.stderr) == (0, f"The topics of {url} are as they should be.\n")
    listed = json.loads(topics("list", "--log", url, "--json").stdout)["topics"]
    assert [(one["topic"], one["partitions"], one["events"]) for one in listed] == list(
        zip(names, (3, 3, 1, 1), (0, 0, 0, 0), strict=True)
    )


def test_each_difference_is_told_with_what_to_do_and_exit_code_1(kafka: KafkaBroker) -> None:
    url = kafka.new_log(partitions=3)
    asked = ("--log", url, "--partitions", "4", "--retention", "7")
    told = topics("check", *asked)
    assert (told.returncode, told.stdout) == (1, "")
    lines = told.stderr.splitlines()
    assert len(lines) == 5  # partitions of two topics, retention of three
    assert all("is expected" in line or "are expected" in line for line in lines)
    made = topics("create", *asked, "--json")
    assert made.returncode == 1
    report = json.loads(made.stdout)
    assert (report["created"], report["ok"], len(report["differences"])) == ([], False, 5)


@pytest.mark.parametrize("command", ["create", "check", "list"])
@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("kafka://127.0.0.1:1", "no Kafka broker answers"),
        ("folder", "write kafka://host:9092"),
        ("kafka://h/ /", "topic names"),
    ],
)
def test_what_cannot_be_done_is_one_line(command: str, url: str, says: str) -> None:
    done = topics(command, "--log", url)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("headrace: ")
    assert says in done.stderr
    assert done.stderr.count("\n") == 1
