"""Logs as fast as it can, numbers that do not compress, until a spool is full and its buffer too.

filling.py POINTS: prints the run's id, then, as JSON, points, calls_s, and peak_mb (growth of its memory at most);
waits for a line on stdin, and, if it is "flush", flushes, says whether that worked, and logs 100 points more.
"""

import json
import random
import resource
import sys
import time

import headrace


def memory_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


with headrace.start_run() as run:
    print(run.info.run_id, flush=True)
    headrace.log_metric("first", 1.0)
    headrace.flush(1.0)
    before_mb = memory_mb()
    began_s = time.perf_counter()
    calls_s = 0.0
    for step in range(int(sys.argv[1])):
        value = random.random()
        before_s = time.perf_counter()
        headrace.log_metric("m", value, step)
        calls_s += time.perf_counter() - before_s
        if step % 2000 == 0:
            time.sleep(0.01)
    print(json.dumps({"points": step + 1, "calls_s": calls_s, "peak_mb": memory_mb() - before_mb}), flush=True)
    if sys.stdin.readline().strip() == "flush":
        print(headrace.flush(20), flush=True)
        for step in range(100):
            headrace.log_metric("after", float(step), step)
