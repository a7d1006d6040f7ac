"""Reads the probe's run until all its points are there, and says how old each was when it was read.

A point counts as read once an answer of `runs/get` shows it or a later one as the latest, and an answer of
`metrics/history` holds it. The job, as JSON in the first argument: url, run_id, points, pause_s, timeout_s.
"""

from __future__ import annotations

import json
import sys
import time

import pyarrow as pa

from benchmarks.client import Connection, get_request
from benchmarks.workers.probe import KEY


def main() -> None:
    """Set up, wait for `go`, read, answer."""
    job = json.loads(sys.argv[1])
    connection = Connection(job["url"])
    run = get_request(f"/api/2.0/mlflow/runs/get?run_id={job['run_id']}")
    history = get_request(f"/api/headrace/v1/metrics/history?run_id={job['run_id']}&key={KEY}")
    connection.ask(run)
    connection.ask(history)
    print(json.dumps({"ready": True}), flush=True)
    sys.stdin.readline()
    sent_ns: dict[int, int] = {}
    in_history_ns: dict[int, int] = {}
    latest_ns: dict[int, int] = {}
    latest = 0
    request_s: list[float] = []
    deadline_s = time.monotonic() + job["timeout_s"]
    while (latest < job["points"] or len(in_history_ns) < job["points"]) and time.monotonic() < deadline_s:
        asked_ns = time.monotonic_ns()
        found = json.loads(connection.ask(run))
        now_ns = time.monotonic_ns()
        request_s.append((now_ns - asked_ns) / 1e9)
        seen = max((int(m["step"]) for m in found["run"]["data"].get("metrics", ()) if m["key"] == KEY), default=0)
        latest_ns.update(dict.fromkeys(range(latest + 1, seen + 1), now_ns))
        latest = max(latest, seen)
        asked_ns = time.monotonic_ns()
        table = pa.ipc.open_stream(connection.ask(history)).read_all()
        now_ns = time.monotonic_ns()
        request_s.append((now_ns - asked_ns) / 1e9)
        for step, value in zip(table["step"].to_pylist(), table["value"].to_pylist(), strict=True):
            if step and step not in in_history_ns:
                in_history_ns[step] = now_ns
                sent_ns[step] = int(value)
        time.sleep(job["pause_s"])
    steps = sorted(in_history_ns.keys() & latest_ns.keys())
    answer = {
        "latest_s": [(latest_ns[step] - sent_ns[step]) / 1e9 for step in steps],
        "history_s": [(in_history_ns[step] - sent_ns[step]) / 1e9 for step in steps],
        "both_s": [(max(latest_ns[step], in_history_ns[step]) - sent_ns[step]) / 1e9 for step in steps],
        "request_s": request_s,
        "missing": job["points"] - len(steps),
    }
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
