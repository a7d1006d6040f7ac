"""Takes what a consumer brings from Kafka and throws it away: the rate of the consumer alone.

The job, as JSON in the first argument: consumer (faust or confluent), log (a kafka:// URL), messages (of points).
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import time
from collections.abc import Callable, Collection
from typing import Any

from headrace.ingest.kafka_settings import parse
from headrace.ingest.log import Partition, Record
from headrace.ingest.topics import METRICS
from headrace.processors.without_pandas import refuse_pandas
from headrace.processors.worker import Worker

from benchmarks.workers.confluent_worker import SWITCH_INTERVAL_S, ConfluentWorker

SKIPPED = 0.1
"""The share of the messages before the clock begins: joining the group is over then."""


class Counting:
    """Stands in for the folds. done is called when all messages have come."""

    def __init__(self, messages: int, done: Callable[[], None]) -> None:
        self._messages = messages
        self._done = done
        self.count = self.begun = 0
        self.started_s = self.used_s = self.seconds = self.cpu_s = 0.0

    def put(self, records: Collection[Record]) -> bool:
        """Count them."""
        self.count += sum(record.position.topic == METRICS for record in records)
        if not self.begun and self.count >= SKIPPED * self._messages:
            self.begun, self.started_s, self.used_s = self.count, time.monotonic(), time.process_time()
        if self.count >= self._messages:
            self.seconds, self.cpu_s = time.monotonic() - self.started_s, time.process_time() - self.used_s
            self._done()
        return True

    def needed_from(self, _: Partition) -> int:
        """All."""
        return 0

    def nothing(self, *_: Any) -> None:
        """What folds would do."""

    start = stop = assign = on_room = on_stored = nothing


async def faust(url: str, messages: int) -> Counting:
    """With Faust, as the worker has it."""
    stopping = asyncio.Event()
    counting: Any = Counting(messages, stopping.set)
    await Worker(parse(url), counting).run(stopping)
    found: Counting = counting
    return found


def confluent(url: str, messages: int) -> Counting:
    """With confluent-kafka."""
    stopping = threading.Event()
    counting: Any = Counting(messages, stopping.set)
    ConfluentWorker(parse(url), counting).run(stopping)
    found: Counting = counting
    return found


def main() -> None:
    """Set up, wait for `go`, consume, answer."""
    job = json.loads(sys.argv[1])
    refuse_pandas()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    print(json.dumps({"ready": True}), flush=True)
    sys.stdin.readline()
    if job["consumer"] == "faust":
        counted = asyncio.run(faust(job["log"], job["messages"]))
    else:
        counted = confluent(job["log"], job["messages"])
    messages = counted.count - counted.begun
    print(json.dumps({"messages": messages, "seconds": counted.seconds, "cpu_s": counted.cpu_s}), flush=True)


if __name__ == "__main__":
    main()
