"""`headrace sync`: ships what dead or offline trainers left in a spool."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import click
from headrace.sdk.cli.output import Failed, messages, print_json, print_rows, say, size
from headrace.sdk.cli.target import Target, json_option, pass_target
from headrace.sdk.sync import Progress as Shipped
from headrace.sdk.sync import SyncReport
from headrace.sdk.sync import sync as ship
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

STATES = {
    "shipped": "shipped",
    "kept": "refused in part",
    "unavailable": "not shipped",
    "empty": "no target known",
    "alive": "still running",
}


@click.command()
@click.argument("directory", metavar="[DIR]", required=False, type=click.Path(path_type=Path))
@click.option("--to", metavar="URI", help="Ship to this server or folder, not to where each trainer meant to.")
@json_option
@pass_target
def sync(target: Target, directory: Path | None, to: str | None, as_json: bool) -> None:
    """Ship what dead or offline trainers left on this machine.

    DIR is a spool, or one writer's folder in it; the spool in the settings if it is left out. Trainers that are still
    running are left alone. Safe to stop and to repeat: nothing is lost and nothing arrives twice. Exit code 1 when
    something remains that is not shipped.
    """
    settings = target.settings()
    folder = directory or Path(settings.spool_dir)
    if directory is not None and not directory.is_dir():
        raise Failed(f"there is no folder {directory}")
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=messages(), transient=True) as progress:
        tasks = {}

        def moved(shipped: Shipped) -> None:
            if shipped.writer not in tasks:
                tasks[shipped.writer] = progress.add_task(shipped.writer[:12], total=shipped.bytes_total)
            progress.update(tasks[shipped.writer], completed=shipped.bytes_done)

        report = ship(folder, to or target.given, moved, settings=settings)
    remains = [writer for writer in report.writers if writer.state not in ("shipped", "alive")]
    if as_json:
        writers = [dataclasses.asdict(writer) for writer in report.writers]
        totals = {"events": report.events, "bytes": report.bytes, "artifacts": report.artifacts}
        print_json({"spool": str(folder), "complete": not remains, **totals, "writers": writers})
    else:
        _tell(folder, report)
    if remains:
        raise click.exceptions.Exit(1)


def _tell(folder: Path, report: SyncReport) -> None:
    """What became of each writer, then what to do about what remains."""
    if not report.writers:
        say(f"nothing to ship in {folder}")
        return
    rows = [
        (writer.writer, STATES[writer.state], writer.events, writer.artifacts, size(writer.bytes), writer.target)
        for writer in report.writers
    ]
    print_rows(("writer", "state", "events", "artifacts", "size", "target"), rows)
    for writer in report.writers:
        if writer.state in ("unavailable", "empty"):
            say(f"{writer.writer}: {writer.error}. It stays in {writer.directory}; run `headrace sync` again later")
        elif writer.state == "kept":
            say(
                f"{writer.writer}: the target refused {writer.refused} for good; they are kept, each with its reason,"
                f" in {writer.directory}/rejected. Delete that folder to forget them"
            )
