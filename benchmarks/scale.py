"""The scale-out deployment on this machine, Kafka, Faust workers and ClickHouse, with the embedded path beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks import backlog_memory, consumers, rebuild, throughput, visible
from benchmarks.figures import Table

PARTS = {
    "scale-workers": throughput.run,
    "scale-rebuild": rebuild.run,
    "scale-visible": visible.run,
    "scale-memory": backlog_memory.run,
    "scale-consumers": consumers.run,
}


def run(folder: Path, rounds: int, quick: bool, say: Callable[[str], None]) -> Iterator[Table]:
    """All of them."""
    for name, part in PARTS.items():
        yield from part(folder / name, rounds, quick, say)
