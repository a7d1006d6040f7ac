"""Metric messages as trainers send them, put into a log beforehand or at a pace: the same for every log."""

from __future__ import annotations

import random
import time
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import pyarrow as pa
from headrace.ingest import codec, events, points
from headrace.ingest.envelope import ARROW, Envelope
from headrace.ingest.log import Log

KEYS = 10
STARTED_MS = 1_700_000_000_000
APPENDED_AT_ONCE = 2_000
# Noise, as losses are: a constant would compress to nothing.
_chance = random.Random(0)
_VALUES = np.array(array("d", (_chance.gauss(1.0, 0.1) for _ in range(2**20))))
_NAMES = pa.array([f"metric_{number}" for number in range(KEYS)])


@dataclass(frozen=True, slots=True)
class Backlog:
    """points in messages of points_a_message, of runs that log at the same time, ten metrics a step."""

    points: int
    points_a_message: int
    runs: int = 100

    @property
    def messages(self) -> int:
        """How many messages of points there are."""
        return self.points // self.points_a_message

    def run_ids(self) -> list[str]:
        """Ids as ours are: 32 hexadecimal digits. The same each time, so that logs are equal."""
        chance = random.Random(self.runs)
        return [f"{chance.getrandbits(128):032x}" for _ in range(self.runs)]

    def beginnings(self) -> list[Envelope]:
        """The runs' creations."""
        found = []
        for number, run_id in enumerate(self.run_ids()):
            created = events.RunCreated(experiment_id="0", start_time_ms=STARTED_MS, name=f"run {number}")
            data = codec.encode_event(created)
            found.append(Envelope(f"{run_id}-created", codec.type_of(created), "bench", run_id, STARTED_MS, data))
        return found

    def metrics(self) -> Iterator[Envelope]:
        """The messages of points, the runs taking turns. At one turn all runs log the same."""
        run_ids = self.run_ids()
        data = b""
        for message in range(self.messages):
            turn, run = divmod(message, self.runs)
            if run == 0:
                data = points.encode(_columns(turn * self.points_a_message, self.points_a_message))
            yield Envelope(
                f"{run_ids[run]}-{turn}",
                events.METRICS_LOGGED,
                "bench",
                run_ids[run],
                STARTED_MS + turn,
                data,
                ARROW,
                writer=f"writer-{run}",
                sequence=turn + 1,
            )

    def fill(self, log: Log) -> None:
        """Append all of it."""
        log.append(self.beginnings())
        self.append_metrics(log)

    def append_metrics(self, log: Log) -> None:
        """Append the messages of points, as fast as the log takes them."""
        messages = self.metrics()
        while batch := list(islice(messages, APPENDED_AT_ONCE)):
            log.append(batch)

    def flow(self, log: Log, points_s: float, seconds: float) -> float:
        """Append the messages of points at a pace, for some seconds or to their end; the pace that was kept."""
        messages = self.metrics()
        at_once = max(1, round(points_s / self.points_a_message / 50))
        started_s = time.monotonic()
        sent = 0
        while (now_s := time.monotonic() - started_s) < seconds:
            due_s = sent / points_s
            if due_s > now_s:
                time.sleep(due_s - now_s)
            batch: Sequence[Envelope] = list(islice(messages, at_once))
            if not batch:
                break
            log.append(batch)
            sent += len(batch) * self.points_a_message
        return sent / (time.monotonic() - started_s)


def _columns(first: int, count: int) -> dict[str, pa.Array]:
    """Points first to first + count of a run."""
    numbers = np.arange(first, first + count)
    return {
        "key": _NAMES.take(pa.array(numbers % KEYS)),
        "step": pa.array(numbers // KEYS),
        "timestamp_ms": pa.array(STARTED_MS + numbers // KEYS),
        "value": pa.array(_VALUES[numbers % len(_VALUES)]),
    }
