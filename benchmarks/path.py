"""A point's path: how many a second one trainer gets into the durable log, and how soon a point can be read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks import processes
from benchmarks.figures import Table, percentile, spread
from benchmarks.processes import ours

FLOW = 50_000
PACED = 400_000
TRAINERS = 3
PROBE_INTERVAL_S = 0.1
PAUSE_S = 0.02


def run(folder: Path, rounds: int, quick: bool, say: Callable[[str], None]) -> Iterator[Table]:
    """Both tables."""
    yield durable(folder, rounds, quick, say)
    yield fresh(folder, quick, say)


def durable(folder: Path, rounds: int, quick: bool, say: Callable[[str], None]) -> Table:
    """One trainer flat out, from its first call until `flush()` says that the target has it all."""
    points = 300_000 if quick else 3_000_000
    table = Table(
        "One trainer, from the call to the durable log",
        ["target", "pace", "points a round", "points/s", "points/s the calls alone", "dropped", "trainer's peak MB"],
    )
    server = processes.headrace(folder / "path-server").start()
    found: dict[tuple[str, int], list[dict[str, Any]]] = {}
    try:
        for number_of_round in range(rounds + 1):
            for target, url in (("server", server.url), ("folder", str(folder / "path-folder"))):
                for rate in (0, PACED):
                    say(f"path: round {number_of_round}, {target}, {rate or 'flat out'}")
                    job = {"target": url, "runs": 1, "points": points, "rate": rate, "flush": True}
                    result = ours("trainer", job, folder / f"path-{target}-{number_of_round}-{rate}").run()
                    if not result["durable"]:
                        table.notes.append(f"{target}: not everything was acknowledged in time")
                    elif number_of_round:  # the first warms up
                        found.setdefault((target, rate), []).append(result)
    finally:
        server.stop()
    for (target, rate), results in sorted(found.items()):
        table.add(
            f"Headrace, {target}",
            f"{rate:,}/s" if rate else "flat out",
            points,
            spread([(one["points"] - one["dropped"]) / one["durable_s"] for one in results]),
            spread([one["points"] / one["call_s"] for one in results]),
            spread([one["dropped"] for one in results]),
            spread([one["peaks_mb"][-1] for one in results]),
        )
    table.notes.append(
        "From the first call until `flush()` says that all is acknowledged, so committed and synced to disk. points/s"
        " counts what became durable; flat out, the trainer can outrun its spool, and what does not fit into the"
        " bounded buffer (1,000,000 points by default) is dropped, counted and warned of."
    )
    return table


def fresh(folder: Path, quick: bool, say: Callable[[str], None]) -> Table:
    """A probe's points while trainers log, until another process reads them."""
    seconds = 5 if quick else 40
    points = int(seconds / PROBE_INTERVAL_S)
    table = Table(
        f"From the SDK call to being read back, while {FLOW:,} points/s of {TRAINERS} trainers flow",
        ["read by", "points", "p50 s", "p99 s", "max s"],
    )
    say(f"path: {seconds} s of probing")
    server = processes.headrace(folder / "fresh-server").start()
    workers = []
    try:
        rate = FLOW / TRAINERS
        job = {"target": server.url, "runs": 1, "points": int(rate * (seconds + 6)), "rate": rate, "flush": True}
        trainers = [ours("trainer", job, folder / f"fresh-{index}") for index in range(TRAINERS)]
        probe = ours(
            "probe", {"target": server.url, "interval_s": PROBE_INTERVAL_S, "points": points}, folder / "probe"
        )
        workers = [*trainers, probe]
        for trainer in trainers:
            trainer.ready()
        run_id = probe.ready()["run_id"]
        asked = {"url": server.url, "run_id": run_id, "points": points, "pause_s": PAUSE_S, "timeout_s": seconds + 60}
        reader = ours("reader", asked, folder / "reader")
        workers.append(reader)
        reader.ready()
        for trainer in trainers:
            trainer.go()
        processes.wait_s(2.0)  # the flow stands before the first probe
        reader.go()
        probe.go()
        read = reader.result()
        flowed = [trainer.result() for trainer in trainers]
    finally:
        for worker in workers:
            worker.kill()
        server.stop()
    titles = {"latest_s": "runs/get (latest)", "history_s": "metrics/history", "both_s": "both"}
    for name, title in titles.items():
        ordered = sorted(read[name])
        table.add(title, len(ordered), *[percentile(ordered, share) for share in (0.5, 0.99, 1.0)])
    requests = sorted(read["request_s"])
    kept = sum(one["points"] / one["call_s"] for one in flowed)
    p50_ms, p99_ms = (percentile(requests, share) * 1000 for share in (0.5, 0.99))
    table.notes += [
        f"The trainers kept {kept:,.0f} points/s.",
        f"The reader asked {len(requests)} times, {PAUSE_S * 1000:.0f} ms between two pairs; an answer took"
        f" {p50_ms:.0f} ms (p50), {p99_ms:.0f} ms (p99).",
        f"{read['missing']} points were not read in time.",
        "The SDK's flush interval is its default, 0.2 s, which is part of the figures.",
    ]
    return table
