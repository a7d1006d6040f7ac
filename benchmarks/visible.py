"""How soon a point can be read while 100,000 points a second flow: through Kafka and a worker, and embedded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks import processes
from benchmarks.deployment import Deployment, deployed
from benchmarks.figures import Table, percentile
from benchmarks.path import PAUSE_S, PROBE_INTERVAL_S
from benchmarks.processes import Server, ours

FLOW = 100_000
POINTS_A_MESSAGE = 400
RUNS = 50
WARM_UP_S = 3.0
TITLES = {"latest_s": "runs/get (latest)", "history_s": "metrics/history"}


def run(folder: Path, _: int, quick: bool, say: Callable[[str], None]) -> Iterator[Table]:
    """The table. In one round: it has hundreds of points."""
    seconds = 5.0 if quick else 40.0
    table = Table(
        f"From the call, or the append, to being read back, while {FLOW:,} points/s flow",
        ["deployment", "from", "read by", "points", "p50 s", "p99 s", "max s"],
    )
    with deployed(folder / "visible") as deployment:
        for title, one in (("Kafka, a worker, an API replica", _scaled), ("embedded: one server", _embedded)):
            say(f"scale: {seconds:g} s of probing twice, {title}")
            one(title, deployment, table, folder / f"visible-{one.__name__}", seconds)
    table.notes += [
        f"The flow: {RUNS} runs in messages of {POINTS_A_MESSAGE} points, appended to the log by a process of its own,"
        " as trainers do whose SDK flushes each 0.2 s.",
        "From the SDK call: by HTTP to the API replica or server, the SDK's flush interval of 0.2 s included. From the"
        " append: straight to the log.",
    ]
    yield table


def _scaled(title: str, deployment: Deployment, table: Table, place: Path, seconds: float) -> None:
    with deployment.pipeline() as pipeline:
        pipeline.work()
        server = pipeline.server().start()
        try:
            before = pipeline.cpu_s()
            _probes(title, pipeline.log_url, server, table, place, seconds)
            used = {name: value - before[name] for name, value in pipeline.cpu_s().items()}
        finally:
            server.stop()
    shares = ", ".join(f"{name} {value / (2 * (seconds + WARM_UP_S)):.2f}" for name, value in used.items())
    table.notes.append(f"Cores in use with Kafka, on average: {shares}.")


def _embedded(title: str, _: Deployment, table: Table, place: Path, seconds: float) -> None:
    server = processes.headrace(place / "server").start()
    try:
        _probes(title, str(place / "server" / "data"), server, table, place, seconds)
    finally:
        server.stop()


def _probes(title: str, log_url: str, server: Server, table: Table, place: Path, seconds: float) -> None:
    """Both probes, one after the other."""
    count = int(seconds / PROBE_INTERVAL_S)
    for start, module, job in (
        ("SDK call", "probe", {"target": server.url}),
        ("append", "appender", {"log": log_url}),
    ):
        found = _measured(log_url, server.url, module, {**job, "points": count}, place / module, seconds)
        for name, what in TITLES.items():
            ordered = sorted(found[name])
            table.add(title, start, what, len(ordered), *[percentile(ordered, share) for share in (0.5, 0.99, 1.0)])
        asked = sorted(found["request_s"])
        table.notes.append(
            f"{title}, {start}: the flow kept {found['points_s']:,.0f} points/s; {found['missing']} points were not"
            f" read in time; an answer took {percentile(asked, 0.5) * 1000:.0f} ms (p50),"
            f" {percentile(asked, 0.99) * 1000:.0f} ms (p99)."
        )


def _measured(log_url: str, url: str, module: str, job: dict[str, Any], place: Path, seconds: float) -> dict[str, Any]:
    """What the reader reports of a probe's points, and the pace of the flow."""
    flow = {
        "log": log_url, "points_s": FLOW, "points_a_message": POINTS_A_MESSAGE, "runs": RUNS,
        "seconds": seconds + WARM_UP_S,
    }  # fmt: skip
    with ExitStack() as stack:
        flowing = ours("flow", flow, place / "flow")
        stack.callback(flowing.kill)
        flowing.ready()
        probe = ours(module, {**job, "interval_s": PROBE_INTERVAL_S}, place / "probe")
        stack.callback(probe.kill)
        asked = {"run_id": probe.ready()["run_id"], "url": url, "points": job["points"], "pause_s": PAUSE_S}
        reader = ours("reader", {**asked, "timeout_s": seconds + 60}, place / "reader")
        stack.callback(reader.kill)
        reader.ready()
        flowing.go()
        processes.wait_s(WARM_UP_S - 1.0)
        reader.go()
        probe.go()
        return {**reader.result(), **flowing.result()}
