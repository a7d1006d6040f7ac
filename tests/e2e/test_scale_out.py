"""Twenty trainers, two workers, two API replicas, Kafka, ClickHouse: whatever is killed, each point is there once."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("confluent_kafka")
pytest.importorskip("chdb")

if TYPE_CHECKING:
    from tests.clickhouse_server import ClickHouse
    from tests.e2e.conftest import Trainer
    from tests.e2e.scale_out import Cluster
    from tests.kafka_broker import KafkaBroker

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(280)]

KEYS = ("loss", "accuracy", "rate", "norm")  # of trainers/fleet.py
PHASES = 5
STEPS_A_PHASE = 5_000
PHASE_S = 6.0


def test_whatever_is_killed_while_two_million_points_flow_each_is_in_the_views_exactly_once(
    new_cluster: Callable[..., Cluster],
    new_kafka: Callable[..., KafkaBroker],
    new_clickhouse: Callable[..., ClickHouse],
    train: Callable[..., Trainer],
    record_property: Callable[[str, object], None],
) -> None:
    broker, clickhouse = new_kafka(), new_clickhouse()
    cluster = new_cluster(broker, clickhouse)
    began_s = time.monotonic()
    workers, servers = cluster.start(workers=2, servers=2)
    settings = {"retry_interval_max_s": 1, "exit_timeout_s": 120}
    sizes = {servers[0].url: 5, servers[1].url: 5, cluster.log_url: 10}
    fleets = [train("fleet", target, size, **settings) for target, size in sizes.items()]
    run_ids = [fleet.line() for fleet, size in zip(fleets, sizes.values(), strict=True) for _ in range(size)]

    def flow() -> None:
        """Have every trainer log a fifth of its points; it does so while this goes on."""
        for fleet in fleets:
            assert fleet.process.stdin is not None
            fleet.process.stdin.write(f"{STEPS_A_PHASE} {PHASE_S}\n")
            fleet.process.stdin.flush()

    flow()
    workers[0].kill()
    workers[0].start()
    flow()
    servers[0].kill()
    servers[0].start_again()
    flow()
    broker.kill()
    broker.start_again()
    flow()
    clickhouse.kill()
    clickhouse.start_again()
    flow()
    for fleet in fleets:
        fleet.finish(150)
    logged_s = time.monotonic()
    cluster.catch_up(60)

    steps = PHASES * STEPS_A_PHASE
    [[checksum]] = cluster.views.rows(
        f"SELECT groupBitXor(cityHash64(toInt64(number), toFloat64(number))) FROM numbers({steps})"
    )
    points = cluster.views.rows(
        "SELECT run_id, key, count(), sum(step), groupBitXor(cityHash64(step, value)) FROM metrics GROUP BY run_id, key"
    )
    whole = (steps, steps * (steps - 1) // 2, checksum)
    assert sorted(points) == sorted((run_id, key, *whole) for run_id in run_ids for key in KEYS)
    summaries = cluster.views.rows("SELECT run_id, key, points, first_value, last_value FROM metric_summary FINAL")
    assert sorted(summaries) == sorted((run_id, key, steps, 0, steps - 1) for run_id in run_ids for key in KEYS)
    runs = cluster.views.rows("SELECT run_id, status FROM runs FINAL")
    assert sorted(runs) == sorted((run_id, "FINISHED") for run_id in run_ids)
    # What trainers said: a run that fell silent while all was down was marked as failed, with a reason, and came back.
    history = (
        "SELECT subject FROM events WHERE topic = 'runs' AND type = {type:String} AND outcome = 'applied'"
        " AND JSONExtractString(data, 'reason') = ''"
    )
    for kind in ("headrace.run.created", "headrace.run.ended"):
        assert sorted(row[0] for row in cluster.views.rows(history, {"type": kind})) == sorted(run_ids)
    for server in servers:
        assert server.running
        assert server.status()["counters"]["missed"] == 0
    assert all(worker.running for worker in workers), cluster.outputs()
    record_property("flow_s", logged_s - began_s)
    record_property("catch_up_s", time.monotonic() - logged_s)
