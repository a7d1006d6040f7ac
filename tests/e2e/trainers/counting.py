"""Logs points whose value is their step, notes each in a side file, and says at its end what the logging cost.

counting.py SIDE POINTS TICK_POINTS: POINTS in all (0: until killed, or until stdin ends), TICK_POINTS every 5 ms.
Prints the run's id first. At the end, as JSON: points, loop_s (wall time of the loop), calls_s (of it, in log calls),
slowest_s (the slowest tick's calls).
"""

import json
import os
import select
import sys
import time

import headrace

side = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
total, tick = int(sys.argv[2]), int(sys.argv[3])
with headrace.start_run() as run:
    headrace.log_param("pid", os.getpid())
    print(run.info.run_id, flush=True)
    began_s = time.perf_counter()
    calls_s = slowest_s = 0.0
    step = 0
    while step < total or (not total and not select.select([sys.stdin], [], [], 0)[0]):
        before_s = time.perf_counter()
        for _ in range(tick):
            headrace.log_metric("m", float(step), step)
            step += 1
        took_s = time.perf_counter() - before_s
        calls_s += took_s
        slowest_s = max(slowest_s, took_s)
        os.write(side, b"%d %.6f\n" % (step, time.monotonic()))
        time.sleep(0.005)
    loop_s = time.perf_counter() - began_s
    headrace.set_tag("points", step)
    headrace.log_text(str(step), "points.txt")
print(json.dumps({"points": step, "loop_s": loop_s, "calls_s": calls_s, "slowest_s": slowest_s}), flush=True)
