"""Appends messages of points to a log at a pace, in place of many trainers.

The job, as JSON in the first argument: log (a folder or a kafka:// URL), points_s, points_a_message, runs, seconds.
"""

from __future__ import annotations

import json
import sys

from headrace.ingest.opening import open_log

from benchmarks.backlog import Backlog


def main() -> None:
    """Set up, wait for `go`, append, answer."""
    job = json.loads(sys.argv[1])
    log = open_log(job["log"])
    backlog = Backlog(int(job["points_s"] * job["seconds"]), job["points_a_message"], job["runs"])
    log.append(backlog.beginnings())
    print(json.dumps({"ready": True}), flush=True)
    sys.stdin.readline()
    points_s = backlog.flow(log, job["points_s"], job["seconds"])
    log.close()
    print(json.dumps({"points_s": points_s}), flush=True)


if __name__ == "__main__":
    main()
