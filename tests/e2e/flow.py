"""Messages of points that come to a log on and on, each of which shows if it is folded twice or not at all."""

from __future__ import annotations

import threading

import pyarrow as pa
from headrace.ingest import codec, events, points
from headrace.ingest.envelope import ARROW, Envelope
from headrace.ingest.log import Log
from headrace.ingest.topics import METRICS, RUNS
from headrace.processors.views import Views

POINTS = 10
RUNS_COUNT = 20
BATCH = 25


def message(run_id: str, number: int, count: int = POINTS) -> Envelope:
    """Some points of a run, without a writer: nobody drops it when it comes twice."""
    steps = list(range(number * count, (number + 1) * count))
    columns = {
        "key": pa.array(["loss"] * count),
        "step": pa.array(steps),
        "timestamp_ms": pa.array(steps),
        "value": pa.array(steps, pa.float64()),
    }
    return Envelope(f"m{number}", events.METRICS_LOGGED, "test", run_id, 5, points.encode(columns), ARROW)


def tag(run_id: str, number: int) -> Envelope:
    """A run's event, without a writer."""
    event = events.AttributesLogged({}, {"number": str(number)})
    return Envelope(f"t{number}", codec.type_of(event), "test", run_id, 5, codec.encode_event(event))


class Flow:
    """A thread that appends. Start it, and stop it."""

    def __init__(self, log: Log, messages_per_s: float) -> None:
        self._log = log
        self._pause_s = BATCH / messages_per_s
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def start(self) -> Flow:
        """Begin."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """End; when this returns all of it is in the log."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        number = 0
        while not self._stopping.wait(self._pause_s):
            number += 1
            runs = [f"run-{x % RUNS_COUNT}" for x in range(number, number + BATCH)]
            self._log.append([message(run, number) for run in runs] + [tag(runs[0], number)])


def check_whole(log: Log, views: Views, points_a_message: int = POINTS) -> int:
    """Assert that the views hold every message of the log once; how many messages of points there are."""
    ends = {p: end for p, end in log.end().items() if end and p.topic in (RUNS, METRICS)}
    found = {}
    for topic, table, each in ((METRICS, "metrics", points_a_message), (RUNS, "events", 1)):
        where = "" if topic == METRICS else f" WHERE topic = '{topic}'"
        sql = f"SELECT partition, count(), uniqExact(offset), max(offset) FROM {table}{where} GROUP BY partition"
        found[topic] = {(n, count, different, last) for n, count, different, last in views.rows(sql)}
        assert found[topic] == {(p.partition, end * each, end, end - 1) for p, end in ends.items() if p.topic == topic}
    [[summed]] = views.rows("SELECT sum(points) FROM metric_summary FINAL")
    messages = sum(end for p, end in ends.items() if p.topic == METRICS)
    assert summed == messages * points_a_message
    return messages
