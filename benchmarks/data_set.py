"""The data set that queries are measured on: runs with metrics of many points, made through the ingest gateway."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from headrace.ingest import codec, events
from headrace.ingest.envelope import ARROW, Envelope
from headrace.ingest.points import encode

from benchmarks import wire
from benchmarks.client import Connection, post_request

KEYS = 20
PARAMS = 10
POINTS_A_MESSAGE = 1_000
STEP_MS = 1_000
CURVES, CURVE_STEPS = 100, 1_000


@dataclass(slots=True)
class DataSet:
    """experiment_id: of the runs; small_id: of a tenth of as many. curves: runs of the small one with a metric `curve`
    of 1,000 steps; long_run_id: one with a metric `long`. middle_ms: when half of the runs were there."""

    experiment_id: str
    small_id: str
    run_ids: list[str] = field(default_factory=list)
    curves: list[str] = field(default_factory=list)
    long_run_id: str = ""
    middle_ms: int = 0
    points: int = 0
    taken_s: float = 0.0


def make(url: str, runs: int, steps: int, long_steps: int, say: Callable[[str], None]) -> DataSet:
    """Post runs of KEYS metrics with so many steps each, one with a metric of long_steps, and a tenth as many more.

    taken_s: until all of it can be searched.
    """
    connection = Connection(url, timeout_s=600.0)
    found = DataSet(
        wire.create_experiment(connection, f"{runs} runs"), wire.create_experiment(connection, f"{runs // 10} runs")
    )
    started_s = time.monotonic()
    for number in range(runs):
        run_id = uuid.uuid4().hex
        found.run_ids.append(run_id)
        post(connection, list(run_events(run_id, found.experiment_id, number, steps)))
        found.points += KEYS * steps
        if number == runs // 2:
            found.middle_ms = int(time.time() * 1000)
        if number % 500 == 499:
            say(f"queries: {number + 1:,} runs, {found.points / (time.monotonic() - started_s):,.0f} points/s")
    for number in range(runs // 10):
        run_id = uuid.uuid4().hex
        post(connection, list(run_events(run_id, found.small_id, number, 10)))
        if number < CURVES:
            found.curves.append(run_id)
            post(connection, list(point_events(run_id, ["curve"], CURVE_STEPS, "curve", number)))
    found.long_run_id = uuid.uuid4().hex
    post(connection, list(run_events(found.long_run_id, found.small_id, 0, 10)))
    post(connection, list(point_events(found.long_run_id, ["long"], long_steps, "long")))
    connection.ask_json(wire.search(found.experiment_id, 1, "metrics.metric_0.points > 0"))
    connection.ask_json(post_request("/api/headrace/v1/series", {"run_ids": [found.long_run_id], "key": "long"}))
    found.taken_s = time.monotonic() - started_s
    return found


def run_events(run_id: str, experiment_id: str, number: int, steps: int) -> Iterator[Envelope]:
    """All events of a run, as the SDK would send them."""
    chance = np.random.default_rng(number)
    params = {f"param_{n}": f"value_{chance.integers(10)}" for n in range(PARAMS)}
    params["lr"] = f"{10 ** chance.uniform(-5, -1):.2e}"
    created = events.RunCreated(
        experiment_id,
        wire.STARTED_MS + number,
        name=f"run {number}",
        user_id="benchmark",
        tags={"group": f"group_{number % 5}"},
        params=params,
    )
    yield _event(run_id, created, 1)
    yield from point_events(run_id, [f"metric_{n}" for n in range(KEYS)], steps, "w", number)
    yield _event(run_id, events.RunEnded("FINISHED", wire.STARTED_MS + number + steps * STEP_MS), 2)


def point_events(run_id: str, keys: list[str], steps: int, writer: str, number: int = 0) -> Iterator[Envelope]:
    """Points of all keys, step by step, POINTS_A_MESSAGE in each."""
    chance = np.random.default_rng(number)
    total = len(keys) * steps
    for sequence, start in enumerate(range(0, total, POINTS_A_MESSAGE), 1):
        places = np.arange(start, min(start + POINTS_A_MESSAGE, total))
        step = places // len(keys)
        columns = {
            "key": pa.DictionaryArray.from_arrays(pa.array((places % len(keys)).astype(np.int32)), pa.array(keys)),
            "step": pa.array(step),
            "timestamp_ms": pa.array(wire.STARTED_MS + number + step * STEP_MS),
            "value": pa.array(chance.random(len(places)) + 1 / (1 + step)),
        }
        data = encode(columns)
        yield Envelope(
            uuid.uuid4().hex, events.METRICS_LOGGED, "benchmark", run_id, 0, data, ARROW, 1, "", writer, sequence
        )


def _event(run_id: str, event: events.Event, sequence: int) -> Envelope:
    data = codec.encode_event(event)
    return Envelope(
        os.urandom(8).hex(), codec.type_of(event), "benchmark", run_id, wire.STARTED_MS, data, writer="w",
        sequence=sequence,
    )  # fmt: skip


def post(connection: Connection, envelopes: list[Envelope]) -> None:
    body = b"".join(map(codec.encode_frame, envelopes))
    connection.ask(post_request("/api/headrace/v1/events", body))
