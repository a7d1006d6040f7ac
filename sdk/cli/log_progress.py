"""Progress of long work on a log: a bar on a terminal, else a line now and then; both with the rate."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from headrace.sdk.cli.output import messages, say
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

LINE_INTERVAL_S = 5.0


class Told(Protocol):
    """Takes how far the work is."""

    def __call__(self, what: str, done: int, total: int) -> None:
        """what: is done to so many records of so many."""
        ...


@contextmanager
def progress() -> Iterator[Told]:
    """Tell progress on stderr while the block lasts."""
    console = messages()
    started_s = time.monotonic()

    def rate(done: int) -> str:
        return f"{done / max(time.monotonic() - started_s, 1e-3):,.0f} records/s"

    if not console.is_terminal:
        told_s = started_s

        def tell_lines(what: str, done: int, total: int) -> None:
            nonlocal told_s
            if time.monotonic() - told_s >= LINE_INTERVAL_S:
                told_s = time.monotonic()
                say(f"{what}: {done:,} of {total:,} records, {rate(done)}")

        yield tell_lines
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"))
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as bars:
        task = bars.add_task("", total=None, rate="")

        def tell_bar(what: str, done: int, total: int) -> None:
            bars.update(task, description=what, completed=done, total=total, rate=rate(done))

        yield tell_bar
