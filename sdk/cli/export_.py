"""`headrace export`: takes runs out, as Parquet or as a file that imports back to equal state."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from headrace.sdk.cli.experiments import VIEWS
from headrace.sdk.cli.import_ import arrival_of
from headrace.sdk.cli.output import Failed, messages, print_json, print_rows, say, size
from headrace.sdk.cli.runs import choosing_options
from headrace.sdk.cli.target import ALL_RESULTS, Target, find_experiment, pass_target
from headrace.sdk.coming.arrival import Arrival, NotTaken
from headrace.sdk.going.event_file import export_events
from headrace.sdk.going.parquet import export_parquet
from headrace.sdk.going.portable import SUFFIX, counts
from headrace.sdk.going.selection import Progress, Selection
from headrace.sdk.registry import models
from headrace.sdk.run import Experiment
from rich.progress import Progress as Bar
from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn


@click.command("export")
@click.argument("run", nargs=-1)
@choosing_options
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path),
    help=f"A new file NAME{SUFFIX}, to be imported elsewhere, or a new folder for Parquet files.",
)
@click.option(
    "--format", "format_", type=click.Choice(["events", "parquet"]), help="What to write, where the name does not tell."
)
@click.option("--artifacts", is_flag=True, help="Artifacts too.")
@click.option("--json", "as_json", is_flag=True, help="Print what was written as one JSON document.")
@pass_target
def export_(
    target: Target,
    /,
    run: tuple[str, ...],
    output: Path,
    format_: str | None,
    artifacts: bool,
    as_json: bool,
    **which: Any,
) -> None:
    """Export runs: RUN by id, or those that the options choose; all active ones if nothing is said.

    To a portable file: the events of the log, byte for byte, from which `headrace import` makes equal state anywhere.
    Or to Parquet: experiments, runs, params, tags, data sets, registered models with their versions and every point of
    every metric, for any other tool. Registered models are all of them, or those of which a chosen run made a version.
    """  # fmt: skip
    if output.exists():
        raise Failed(f"{output} exists; name one that does not, since nothing is overwritten")
    arrival = arrival_of(target)
    format_ = format_ or ("events" if output.suffix == SUFFIX else "parquet")
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    try:
        selection, experiments = select(arrival, run, which)
        whole = not run and not which["experiments"] and not which["filter_string"] and which["most"] == ALL_RESULTS
        with Bar(*columns, console=messages(), transient=True) as bar:
            task = bar.add_task("runs")

            def told(at: Progress) -> None:
                counted = f"{at.runs:,} runs, {at.points or at.events:,} {'points' if at.points else 'events'}"
                bar.update(task, description=f"{counted}, {at.files:,} files ({size(at.bytes)})")

            if format_ == "events":
                names = [one.name for one in models.search_registered_models(source=arrival.reader)] if whole else []
                manifest = export_events(arrival, selection, output, artifacts, told, names)
                written: dict[str, Any] = counts(manifest)
                left = manifest.left
            else:
                found = export_parquet(arrival, selection, experiments, output, artifacts, told, whole)
                written = {name: one["rows"] for name, one in found["files"].items()}
                left = found["left"]
    except NotTaken as error:
        raise Failed(str(error)) from error
    finally:
        arrival.close()
    for line in left:
        say(f"not carried over: {line}")
    if as_json:
        print_json({"output": str(output), "format": format_, "written": written, "left": left})
    else:
        print_rows(("what", "count"), list(written.items()))
        say(f"wrote {output}")


def select(
    arrival: Arrival, run_ids: tuple[str, ...], which: dict[str, Any]
) -> tuple[Selection, dict[str, Experiment]]:
    """What the arguments of the command choose, and the experiments there are. Raises Failed, NotTaken."""
    reader = arrival.reader
    experiments = {one.experiment_id: one for one in reader.experiments("", "ALL", ALL_RESULTS, ())}
    names = {key: one.name for key, one in experiments.items()}
    if run_ids:
        chosen = any(which[name] for name in ("experiments", "filter_string", "order_by")) or which["view"] != "active"
        if chosen or which["most"] != ALL_RESULTS:
            raise Failed("name runs or say which to search for, not both")
        return Selection(lambda: _named(arrival, run_ids), names, " ".join(run_ids)), experiments
    if which["experiments"]:
        of = [find_experiment(reader, one).experiment_id for one in which["experiments"]]
    else:
        of = [key for key, one in experiments.items() if which["view"] != "active" or one.lifecycle_stage == "active"]

    def found() -> Iterator[dict[str, Any]]:
        if of:
            yield from reader.runs(
                of, which["filter_string"], VIEWS[which["view"]], which["most"], which["order_by"] or ()
            )

    return Selection(found, names, str({key: value for key, value in which.items() if value})), experiments


def _named(arrival: Arrival, run_ids: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    for run_id in dict.fromkeys(run_ids):
        found = arrival.run(run_id)
        if found is None:
            raise NotTaken(f"there is no run {run_id}")
        yield found
