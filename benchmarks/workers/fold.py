"""Folds a whole log into new views in this process, as a server without workers does, and says how long it took.

The job, as JSON in the first argument: log (a folder or a kafka:// URL), views (a folder).
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from headrace.ingest.log import LogError
from headrace.ingest.opening import open_log
from headrace.ingest.topics import FOLDED
from headrace.processors.engine import Engine
from headrace.processors.views import embedded
from headrace.processors.without_pandas import refuse_pandas

from benchmarks.workers.trainer import peak_mb

SWITCH_INTERVAL_S = 0.0005
TICK_S = 0.02
TIMEOUT_S = 900.0


def main() -> None:
    """Set up, wait for `go`, fold, answer."""
    job = json.loads(sys.argv[1])
    refuse_pandas()
    sys.setswitchinterval(SWITCH_INTERVAL_S)  # as the server does
    log = open_log(job["log"])
    views = embedded(Path(job["views"]))
    engine = Engine(log, views)
    ends = {p: end for p, end in log.end().items() if p.topic in FOLDED}
    print(json.dumps({"ready": True}), flush=True)
    sys.stdin.readline()
    started_s, used_s = time.monotonic(), time.process_time()
    engine.start()
    while any(engine.viewed.offsets().get(p, 0) < end for p, end in ends.items()):
        if time.monotonic() > started_s + TIMEOUT_S:
            raise LogError(f"not folded in {TIMEOUT_S:g} s: {engine.fault}")
        time.sleep(TICK_S)
    answer = {
        "seconds": time.monotonic() - started_s,
        "cpu_s": time.process_time() - used_s,
        "points": engine.counters.points,
        "peak_mb": peak_mb(),
    }
    engine.stop(0)
    views.close()
    log.close()
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
