"""Times one tool's log call, each call by itself. Runs in the tool's own environment, so it needs the stdlib only.

The job, as JSON in the first argument: tool, target, points, rate (a second; 0: flat out), warmup, folder.
"""

from __future__ import annotations

import json
import sys
import time
from array import array
from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any

Log = Callable[[str, float, int], Any]
BURSTS_A_SECOND = 1000


def main() -> None:
    """Set up, wait for `go`, measure, answer."""
    job = json.loads(sys.argv[1])
    log, finish = TOOLS[job["tool"]](job)
    for step in range(job["warmup"]):
        log("warmup", 0.5, step)
    time.sleep(1.0)
    timer = timed(lambda key, value, step: None, 100_000, 0)
    print(json.dumps({"ready": True}), flush=True)
    sys.stdin.readline()
    started_ns = time.perf_counter_ns()
    taken = timed(log, job["points"], job["rate"])
    wall_s = (time.perf_counter_ns() - started_ns) / 1e9
    answer = summary(taken)
    answer["timer_us"] = summary(timer)["p50_us"]
    answer["wall_s"] = wall_s
    answer["points"] = job["points"]
    finish()
    answer["with_finish_s"] = (time.perf_counter_ns() - started_ns) / 1e9
    print(json.dumps(answer), flush=True)


def timed(log: Log, points: int, rate: float) -> array[int]:
    """Nanoseconds of each call. A rate is kept by bursts, each millisecond one, and sleep in between."""
    clock = time.perf_counter_ns
    taken = array("q", bytes(8 * points))
    burst = max(1, int(rate / BURSTS_A_SECOND)) if rate else points
    interval_s = burst / rate if rate else 0.0
    due_s = time.perf_counter()
    for start in range(0, points, burst):
        for step in range(start, min(start + burst, points)):
            before = clock()
            log("loss", 0.5, step)
            taken[step] = clock() - before
        if rate:
            due_s += interval_s
            left_s = due_s - time.perf_counter()
            if left_s > 0:
                time.sleep(left_s)
    return taken


def summary(taken: array[int]) -> dict[str, float]:
    """Percentiles in microseconds."""
    ordered = sorted(taken)
    last = len(ordered) - 1
    shares = {"p50_us": 0.5, "p99_us": 0.99, "p999_us": 0.999, "max_us": 1.0}
    return {name: ordered[min(last, int(share * len(ordered)))] / 1000 for name, share in shares.items()}


def headrace(job: dict[str, Any]) -> tuple[Log, Callable[[], Any]]:
    """Ours: a server, one that is down, or a folder, by the target."""
    tool = import_module("headrace")
    tool.init(job["target"])
    tool.set_experiment("calls")
    tool.start_run()
    return tool.log_metric, tool.end_run if job.get("down") else partial(tool.flush, 120.0)


def mlflow(job: dict[str, Any], synchronous: bool | None = None) -> tuple[Log, Callable[[], Any]]:
    """MLflow's fluent client against its own server."""
    tool = import_module("mlflow")
    tool.set_tracking_uri(job["target"])
    tool.set_experiment("calls")
    tool.start_run()
    if synchronous is None:
        return tool.log_metric, tool.end_run
    return partial(tool.log_metric, synchronous=synchronous), tool.flush_async_logging


def tensorboardx(job: dict[str, Any]) -> tuple[Log, Callable[[], Any]]:
    """TensorBoard's event file by tensorboardX."""
    writer = import_module("tensorboardX").SummaryWriter(job["folder"])
    return writer.add_scalar, writer.close


def trackio(job: dict[str, Any]) -> tuple[Log, Callable[[], Any]]:
    """trackio into its local database."""
    tool = import_module("trackio")
    run = tool.init(project="calls", auto_log_gpu=False, auto_log_cpu=False, embed=False)

    def log(key: str, value: float, step: int) -> None:
        run.log({key: value}, step)

    return log, tool.finish


TOOLS: dict[str, Callable[[dict[str, Any]], tuple[Log, Callable[[], Any]]]] = {
    "headrace": headrace,
    "mlflow": mlflow,
    "mlflow-async": partial(mlflow, synchronous=False),
    "tensorboardx": tensorboardx,
    "trackio": trackio,
}

if __name__ == "__main__":
    main()
