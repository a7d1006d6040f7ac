"""Trainers that log straight to Kafka: killed, cut off, forked; every point is in the log, counted by its sequence."""

from __future__ import annotations

import contextlib
import json
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from headrace.ingest import points
from headrace.ingest.opening import open_log

from tests.kafka_broker import KafkaBroker

if TYPE_CHECKING:
    from tests.e2e.conftest import Server, Trainer

pytest.importorskip("confluent_kafka")
pytestmark = pytest.mark.e2e


def counted(url: str) -> dict[tuple[str, str], list[float]]:
    """The values of each run's metrics in a log, as a fold has them: what came before is dropped by its sequence.

    The sequences of each writer and run must have no gap.
    """
    values: dict[tuple[str, str], list[float]] = {}
    last: Counter[tuple[str, str]] = Counter()
    with contextlib.closing(open_log(url)) as log:
        partitions = [partition for partition in log.partitions() if partition.topic == "metrics"]
        for partition in partitions:
            for record in log.read(partition, 0, 10**7, 2**40):
                envelope = record.envelope
                writer = (envelope.subject, envelope.writer)
                assert envelope.sequence <= last[writer] + 1, f"{record.position} leaves a gap"
                if envelope.sequence > last[writer]:
                    last[writer] = envelope.sequence
                    for row in points.decode(envelope.data).to_pylist():
                        values.setdefault((envelope.subject, row["key"]), []).append(row["value"])
    return values


def test_killed_trainers_lose_nothing_that_was_spooled_and_nothing_counts_twice(
    kafka: KafkaBroker, train: Callable[..., Trainer], ship: Callable[..., Any], tmp_path: Path
) -> None:
    url = kafka.new_log()
    trainers = [train("counting", url, tmp_path / f"side-{n}", 0, 50) for n in range(3)]
    run_ids = [trainer.line() for trainer in trainers]
    killed_s = []
    for number, trainer in enumerate(trainers):
        while len((tmp_path / f"side-{number}").read_bytes()) < 5_000:
            time.sleep(0.05)
        killed_s.append(trainer.kill())
    report = ship(tmp_path / "spool")
    again = ship(tmp_path / "spool")

    assert report["complete"]
    assert set(report["states"]) == {"shipped"}
    assert again["events"] == 0
    values = counted(url)
    for number, run_id in enumerate(run_ids):
        side = [line.split() for line in (tmp_path / f"side-{number}").read_text().splitlines()]
        accepted = max(int(step) for step, at_s in side if float(at_s) < killed_s[number] - 1)
        found = values[run_id, "m"]
        assert found == list(range(len(found)))
        assert len(found) >= accepted > 0


def test_a_broker_that_dies_and_comes_back_costs_a_trainer_nothing(
    new_kafka: Callable[..., KafkaBroker], train: Callable[..., Trainer], tmp_path: Path
) -> None:
    broker = new_kafka()
    url = broker.new_log()
    trainer = train("counting", url, tmp_path / "side", 30_000, 10, exit_timeout_s=60, request_timeout_s=3)
    run_id = trainer.line()
    while not counted(url):
        time.sleep(0.1)
    broker.kill()
    time.sleep(2)
    broker.start_again()
    _, err = trainer.finish(90)

    assert "no Kafka broker answers" in err
    assert counted(url) == {(run_id, "m"): list(range(30_000))}


@pytest.mark.parametrize("how", ["fork", "fork-exit", "pool-fork", "storm"])
def test_what_forks_and_pools_log_arrives_once(
    how: str, kafka: KafkaBroker, train: Callable[..., Trainer], ship: Callable[..., Any], tmp_path: Path
) -> None:
    url = kafka.new_log()
    out, err = train("forking", url, how, exit_timeout_s=30).finish(90)
    assert "still in" not in err, err
    values = counted(url)
    for run_id, key, count in json.loads(out.splitlines()[-1]):
        assert values[run_id, key] == list(range(count)), (how, key)
    assert ship(tmp_path / "spool")["events"] == 0


def test_a_spool_is_synced_to_kafka_wherever_it_was_meant_for(
    kafka: KafkaBroker, train: Callable[..., Trainer], ship: Callable[..., Any], tmp_path: Path
) -> None:
    url = kafka.new_log()
    trainer = train("counting", "http://127.0.0.1:1", tmp_path / "side", 5_000, 500, offline=True)
    run_id = trainer.line()
    trainer.finish()
    unknown = ship(tmp_path / "spool", f"{url}-none")
    assert not unknown["complete"]
    assert "headrace topics create" in unknown["errors"][0]
    report = ship(tmp_path / "spool", url)
    assert report["complete"]
    assert report["states"] == ["kept"], "Kafka takes no files"
    assert counted(url)[run_id, "m"] == list(range(5_000))
    [reason] = (tmp_path / "spool").glob("*/rejected/*.txt")
    assert "HEADRACE_ARTIFACTS_URI" in reason.read_text()


def test_files_go_to_the_server_that_reads_the_same_log(
    kafka: KafkaBroker, train: Callable[..., Trainer], new_server: Callable[..., Server], tmp_path: Path
) -> None:
    url = kafka.new_log()
    server = new_server(log=url).start()
    trainer = train("counting", url, tmp_path / "side", 2_000, 200, artifacts_uri=server.url, exit_timeout_s=30)
    run_id = trainer.line()
    _, err = trainer.finish()
    assert "still in" not in err
    assert server.count_whole(run_id, "m", 2_000) == 2_000
    assert server.run(run_id)["tags"]["points"] == "2000"
    listed = server.get("/api/2.0/mlflow/artifacts/list", run_id=run_id)
    assert [file["path"] for file in listed["files"]] == ["points.txt"]
