"""Runs a worker in this process: `headrace worker`, or `python -m headrace.processors.main`."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys
import threading

from headrace.ingest.kafka import KafkaLog
from headrace.ingest.kafka_settings import is_kafka
from headrace.ingest.log import LogError
from headrace.processors import views
from headrace.processors.exposition import Exposition
from headrace.processors.partitions import Partitions
from headrace.processors.views_url import is_views_url
from headrace.processors.without_pandas import refuse_pandas
from headrace.processors.worker import Worker, WorkerEnded

SWITCH_INTERVAL_S = 0.0005
LET_GO_S = 2.0
"""How long Faust's tasks may take to heed that they are cancelled."""


class CannotStart(Exception):
    """The worker cannot start; the message says why and what to do."""


def work(log_url: str, views_url: str, metrics_host: str = "", metrics_port: int = 0) -> None:
    """Fold until SIGTERM or SIGINT, then store what was folded and leave the group. Takes the process over.

    log_url: kafka://…; views_url: clickhouse://…. metrics_port: where /metrics and /health answer; 0 for nowhere.
    Raises CannotStart.
    """
    if not is_kafka(log_url):
        raise CannotStart("a worker needs a log on Kafka: --log kafka://host:9092 (an embedded log is its server's)")
    if not is_views_url(views_url):
        raise CannotStart("a worker needs views on a server: --views clickhouse://host:8123/headrace")
    refuse_pandas()
    _silence_clients()
    # Faust's event loop shares the interpreter with the folds.
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    log: KafkaLog | None = None
    stored: views.Views | None = None
    exposition: Exposition | None = None
    loop = asyncio.new_event_loop()
    failure: WorkerEnded | None = None
    is_stuck = False
    try:
        log = KafkaLog(log_url)
        stored = views.server(views_url)
        stored.check_schema()
        partitions = Partitions(log, stored)
        try:
            exposition = Exposition(log, partitions, metrics_host, metrics_port)
        except OSError as error:
            raise CannotStart(f"cannot listen on {metrics_host}:{metrics_port}: {error}") from error
        is_stuck, failure = loop.run_until_complete(_run(log, partitions, exposition))
        is_stuck = not _let_go(loop) or is_stuck
    except (LogError, views.ViewsUnavailable, views.WrongSchema, views.BadViewsUrl) as error:
        raise CannotStart(str(error)) from error
    finally:
        if exposition is not None:
            exposition.close()
        if stored is not None:
            stored.close()
        if log is not None:
            log.close()
    if is_stuck:
        # Its threads wait for brokers that do not answer. All that was folded is stored: nothing waits for them.
        if failure is not None:
            print(f"headrace: {failure}", file=sys.stderr, flush=True)
        sys.stdout.flush()
        os._exit(1 if failure is not None else 0)
    loop.close()
    if failure is not None:
        raise CannotStart(str(failure)) from failure


def _let_go(loop: asyncio.AbstractEventLoop) -> bool:
    """End what is left on the loop, as asyncio.run does but for a bounded time; whether all of it ended."""
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    pending: set[asyncio.Task[object]] = set()
    if left:
        _, pending = loop.run_until_complete(asyncio.wait(left, timeout=LET_GO_S))
    return not pending


def _silence_clients() -> None:
    """Faust and its Kafka client write of what passes by itself, in stack traces at times. We say what matters: what
    the worker waits for, and why it ended."""
    for name in ("faust", "mode", "aiokafka", "asyncio"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    told = threading.excepthook

    def tell_of_ours(failed: threading.ExceptHookArgs) -> None:
        if failed.thread is not None and failed.thread.name.startswith("headrace"):
            told(failed)

    threading.excepthook = tell_of_ours


async def _run(log: KafkaLog, partitions: Partitions, exposition: Exposition) -> tuple[bool, WorkerEnded | None]:
    """Work; whether threads are left that will not end by themselves, and what ended it where no signal did."""
    stopping = asyncio.Event()
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    worker = Worker(log.settings, partitions)
    at = f", metrics on {exposition.url}" if exposition.url else ""
    print(f"Headrace worker {os.getpid()} folds {log.settings.name}{at}", flush=True)
    failure = None
    try:
        await worker.run(stopping)
    except WorkerEnded as error:
        failure = error
    return worker.is_stuck, failure


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="headrace worker", description=__doc__)
    parser.add_argument("--log", default=os.environ.get("HEADRACE_LOG", ""))
    parser.add_argument("--views", default=os.environ.get("HEADRACE_VIEWS", ""))
    parser.add_argument("--metrics-host", default="")
    parser.add_argument("--metrics-port", type=int, default=0)
    given = parser.parse_args(arguments)
    try:
        work(given.log, given.views, given.metrics_host, given.metrics_port)
    except CannotStart as error:
        print(f"headrace: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
