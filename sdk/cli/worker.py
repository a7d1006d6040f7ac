"""`headrace worker`: folds the log on Kafka into the views on ClickHouse, beside any number of others."""

from __future__ import annotations

import importlib

import click
from headrace.sdk.cli.output import Failed
from headrace.sdk.cli.server import require

WORKER_PACKAGES = ("clickhouse_connect", "confluent_kafka", "faust", "prometheus_client")


@click.command()
@click.option(
    "--log", envvar="HEADRACE_LOG", required=True, help="The log: kafka://host:9092[/prefix], or HEADRACE_LOG."
)
@click.option(
    "--views",
    envvar="HEADRACE_VIEWS",
    required=True,
    help="The views: clickhouse://host[:port]/[database], or HEADRACE_VIEWS.",
)
@click.option("--metrics-host", default="", help="The address of --metrics-port.  [default: all]")
@click.option(
    "--metrics-port",
    type=click.IntRange(0, 65535),
    default=0,
    help="Where /metrics and /health answer.  [default: nowhere]",
)
def worker(log: str, views: str, metrics_host: str, metrics_port: int) -> None:
    """Fold the log on Kafka into the views on ClickHouse, until Ctrl-C or SIGTERM.

    Several workers share the partitions; one that joins, leaves or dies loses and doubles nothing.
    """
    require("kafka", WORKER_PACKAGES, "a worker")
    # By name: the worker is an extra, and only this command knows of it.
    processors = importlib.import_module("headrace.processors.main")
    try:
        processors.work(log, views, metrics_host, metrics_port)
    except processors.CannotStart as error:
        raise Failed(str(error)) from error
