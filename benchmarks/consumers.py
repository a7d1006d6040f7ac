"""What Faust costs a message, and an experiment: a confluent-kafka consumer in its place."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.backlog import Backlog
from benchmarks.deployment import Deployment, deployed
from benchmarks.figures import Table, spread
from benchmarks.processes import ours

SIZES = (Backlog(400_000, 10), Backlog(4_000_000, 100), Backlog(20_000_000, 1_000))
QUICK = 4
MODULES = {"faust": "headrace.processors.main", "confluent": "benchmarks.workers.confluent_worker"}
TITLES = {"faust": "Faust (the product)", "confluent": "confluent-kafka (the experiment)"}


def run(folder: Path, rounds: int, quick: bool, say: Callable[[str], None]) -> Iterator[Table]:
    """The table."""
    table = Table(
        "A consumer at the worker's seam",
        [
            "consumer", "points a message", "messages/s, thrown away", "its CPU µs a message",
            "messages/s into the views, as they come", "points/s", "worker's CPU µs a message",
        ],
    )  # fmt: skip
    found: dict[tuple[str, int], list[tuple[float, ...]]] = {}
    with deployed(folder / "consumers") as deployment:
        for number in range(rounds):
            for size in SIZES:
                size = Backlog(size.points // QUICK, size.points_a_message) if quick else size
                for consumer in MODULES:
                    say(f"scale: round {number + 1}, {consumer}, {size.messages:,} messages of {size.points_a_message}")
                    place = folder / f"consumers-{number}-{consumer}-{size.points_a_message}"
                    alone = _thrown_away(consumer, deployment, size, place)
                    folded = _as_it_comes(consumer, deployment, size)
                    found.setdefault((consumer, size.points_a_message), []).append((*alone, *folded))
    for (consumer, points), rows in sorted(found.items(), key=lambda item: item[0][1]):
        columns = [spread(values) for values in zip(*rows, strict=True)]
        table.add(TITLES[consumer], points, *columns)
    table.notes += [
        f"{rounds} rounds. Thrown away: each record is made of its message and counted, nothing else; the messages are"
        " in the log before. As they come: appended to a worker that runs, as fast as the log takes them.",
        "CPU: of the consumer's process, librdkafka's threads included. The experiment is"
        " `benchmarks/workers/confluent_worker.py`: the same folds behind the same calls.",
    ]
    yield table


def _thrown_away(consumer: str, deployment: Deployment, size: Backlog, place: Path) -> tuple[float, float]:
    with deployment.pipeline() as pipeline:
        size.fill(pipeline.log)
        worker = ours("consume", {"consumer": consumer, "log": pipeline.log_url, "messages": size.messages}, place)
        try:
            answer = worker.run()
        finally:
            worker.kill()
    return answer["messages"] / answer["seconds"], answer["cpu_s"] / answer["messages"] * 1e6


def _as_it_comes(consumer: str, deployment: Deployment, size: Backlog) -> tuple[float, float, float]:
    with deployment.pipeline() as pipeline:
        pipeline.log.append(size.beginnings())
        pipeline.work(module=MODULES[consumer])
        pipeline.watch()
        pipeline.settle()
        caught = pipeline.watch(lambda: size.append_metrics(pipeline.log))
        if pipeline.points() != size.points:
            raise RuntimeError(f"{pipeline.points():,} points are in the views, not {size.points:,}")
    messages_s = caught.rate(size.messages)
    return messages_s, messages_s * size.points_a_message, caught.cpu_s["workers"] / size.messages * 1e6
