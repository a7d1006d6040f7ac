"""A trainer that logs many points through our SDK and says how long it took until they were durable.

The job, as JSON in the first argument: target, runs, points (of each run), rate (a second; 0: flat out), flush (whether
to wait until the target has all), marks (numbers of points at which to note the peak memory).
"""

from __future__ import annotations

import json
import random
import sys
import time
from array import array
from pathlib import Path
from typing import Any

import headrace
from headrace.sdk.process import process

KEYS = [f"metric_{number}" for number in range(10)]
# Noise, as losses are: a constant would compress to nothing.
_chance = random.Random(0)
VALUES = array("d", (_chance.gauss(1.0, 0.1) for _ in range(2**20)))
BURSTS_A_SECOND = 200


def main() -> None:
    """Set up, wait for `go`, log, answer."""
    job = json.loads(sys.argv[1])
    headrace.init(job["target"])
    headrace.set_experiment("benchmark")
    # One run and one point before, so that threads, modules and the connection are there.
    with headrace.start_run(run_name="warm-up"):
        headrace.log_metric("warmup", 0.0)
    if job["flush"]:
        headrace.flush(60.0)
    else:
        time.sleep(1.0)
    peaks = [peak_mb()]
    print(json.dumps({"ready": True}), flush=True)
    sys.stdin.readline()
    started_s = time.perf_counter()
    peaks += logged(job)
    call_s = time.perf_counter() - started_s
    durable = headrace.flush(300.0) if job["flush"] else False
    answer: dict[str, Any] = {
        "points": job["runs"] * job["points"],
        "call_s": call_s,
        "durable": durable,
        "durable_s": time.perf_counter() - started_s,
        "peaks_mb": [*peaks, peak_mb()],
        "dropped": process.pipeline().buffer.dropped,
    }
    print(json.dumps(answer), flush=True)


def logged(job: dict[str, Any]) -> list[float]:
    """Log all runs, one after the other; the peak memory at each mark, MB."""
    marks = list(job.get("marks", ()))
    peaks: list[float] = []
    rate = job["rate"]
    burst = max(1, int(rate / BURSTS_A_SECOND)) if rate else 100_000
    done = 0
    due_s = time.perf_counter()
    for _ in range(job["runs"]):
        with headrace.start_run():
            for start in range(0, job["points"], burst):
                count = min(burst, job["points"] - start)
                burst_of(start, count)
                done += count
                if rate:
                    due_s += count / rate
                    left_s = due_s - time.perf_counter()
                    if left_s > 0:
                        time.sleep(left_s)
                while marks and done >= marks[0]:
                    marks.pop(0)
                    peaks.append(peak_mb())
    return peaks


def burst_of(start: int, count: int) -> None:
    """Points start to start + count of the active run: ten metrics a step."""
    log = headrace.log_metric
    mask = len(VALUES) - 1
    for number in range(start, start + count):
        log(KEYS[number % 10], VALUES[number & mask], number // 10)


def peak_mb() -> float:
    """The most memory this process was resident with, MB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
    return float("nan")


if __name__ == "__main__":
    main()
