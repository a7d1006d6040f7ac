"""Writers that send again what a broker did not confirm: nothing is lost, and nothing is hidden behind a gap."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable

import pytest
from headrace.ingest.envelope import Envelope
from headrace.ingest.log import LogUnavailable

from tests.kafka_broker import KafkaBroker

pytest.importorskip("confluent_kafka")
from headrace.ingest.kafka import KafkaLog

WRITERS, BATCH = 4, 3000


def test_what_is_sent_again_never_comes_behind_what_followed_it(new_kafka: Callable[..., KafkaBroker]) -> None:
    """A fold drops what is not above the last sequence it saw of a writer: a record that came late would be lost."""
    broker = new_kafka()
    assert broker.process is not None
    pid = broker.process.pid
    url = broker.new_log(partitions=2)
    stop = threading.Event()
    confirmed, failed = [0] * WRITERS, [0] * WRITERS
    with contextlib.closing(KafkaLog(url, delivery_timeout_s=1)) as log:

        def write(writer: int) -> None:
            while not stop.is_set():
                numbers = range(confirmed[writer] + 1, confirmed[writer] + 1 + BATCH)
                try:
                    log.append([event(writer, number) for number in numbers])
                    confirmed[writer] += BATCH
                except LogUnavailable:
                    failed[writer] += 1

        def progress(more: int) -> None:
            goals, deadline_s = [count + more for count in confirmed], time.monotonic() + 60
            while any(count < goal for count, goal in zip(confirmed, goals, strict=True)):
                assert time.monotonic() < deadline_s
                time.sleep(0.01)

        threads = [threading.Thread(target=write, args=(writer,), daemon=True) for writer in range(WRITERS)]
        for thread in threads:
            thread.start()
        for pause_s in (0.9, 1.0, 1.1, 1.2, 1.5, 2.0, 2.1, 3.0):
            progress(BATCH)
            os.kill(pid, signal.SIGSTOP)
            time.sleep(pause_s)
            os.kill(pid, signal.SIGCONT)
        broker.kill()
        broker.start_again()
        progress(BATCH)
        stop.set()
        for thread in threads:
            thread.join(60)
        last = [0] * WRITERS
        with contextlib.closing(log.follow(dict.fromkeys(log.partitions(), 0))) as follower:
            left = sum(log.end().values())
            while left:
                records = follower.poll(1000, 2**30, 30)
                assert records
                left -= len(records)
                for record in records:
                    writer, sequence = int(record.envelope.writer), record.envelope.sequence
                    assert sequence <= last[writer] + 1, f"{record.position}: {sequence} follows {last[writer]}"
                    last[writer] = max(last[writer], sequence)
    assert sum(failed) > 0
    assert all(seen >= count for seen, count in zip(last, confirmed, strict=True))


def event(writer: int, number: int) -> Envelope:
    return Envelope(
        f"{writer}/{number}",
        "headrace.run.heartbeat",
        "t",
        f"r{writer}",
        0,
        b"x" * 300,
        writer=str(writer),
        sequence=number,
    )
