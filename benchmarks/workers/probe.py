"""A trainer that logs one point at a time; its value is the moment of the call, by the clock all processes share.

The job, as JSON in the first argument: target, interval_s, points.
"""

from __future__ import annotations

import json
import sys
import time

import headrace

KEY = "sent_ns"


def main() -> None:
    """Set up, wait for `go`, log, answer."""
    job = json.loads(sys.argv[1])
    headrace.init(job["target"])
    headrace.set_experiment("benchmark")
    with headrace.start_run(run_name="probe") as run:
        headrace.log_metric(KEY, float(time.monotonic_ns()), 0)
        headrace.flush(60.0)
        print(json.dumps({"run_id": run.info.run_id}), flush=True)
        sys.stdin.readline()
        due_s = time.monotonic()
        for step in range(1, job["points"] + 1):
            headrace.log_metric(KEY, float(time.monotonic_ns()), step)
            due_s += job["interval_s"]
            time.sleep(max(0.0, due_s - time.monotonic()))
    headrace.flush(60.0)
    print(json.dumps({"points": job["points"]}), flush=True)


if __name__ == "__main__":
    main()
