"""Appends one point at a time to a log; its value is the moment before, by the clock all processes share.

The job, as JSON in the first argument: log (a folder or a kafka:// URL), interval_s, points.
"""

from __future__ import annotations

import json
import sys
import time
import uuid

import pyarrow as pa
from headrace.ingest import codec, events, points
from headrace.ingest.envelope import ARROW, Envelope
from headrace.ingest.opening import open_log

from benchmarks.workers.probe import KEY


def main() -> None:
    """Set up, wait for `go`, append, answer."""
    job = json.loads(sys.argv[1])
    log = open_log(job["log"])
    run_id = uuid.uuid4().hex
    created = events.RunCreated(experiment_id="0", start_time_ms=time.time_ns() // 1_000_000, name="appender")
    data = codec.encode_event(created)
    log.append([Envelope(f"{run_id}-created", codec.type_of(created), "bench", run_id, created.start_time_ms, data)])
    log.append([point(run_id, 0)])
    print(json.dumps({"run_id": run_id}), flush=True)
    sys.stdin.readline()
    due_s = time.monotonic()
    for step in range(1, job["points"] + 1):
        log.append([point(run_id, step)])
        due_s += job["interval_s"]
        time.sleep(max(0.0, due_s - time.monotonic()))
    log.close()
    print(json.dumps({"points": job["points"]}), flush=True)


def point(run_id: str, step: int) -> Envelope:
    """A message of one point."""
    now_ms = time.time_ns() // 1_000_000
    columns = {
        "key": pa.array([KEY]),
        "step": pa.array([step]),
        "timestamp_ms": pa.array([now_ms]),
        "value": pa.array([float(time.monotonic_ns())]),
    }
    return Envelope(
        f"{run_id}-{step}", events.METRICS_LOGGED, "bench", run_id, now_ms, points.encode(columns), ARROW,
        writer="appender", sequence=step + 1,
    )  # fmt: skip


if __name__ == "__main__":
    main()
