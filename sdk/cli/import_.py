"""`headrace import`: brings runs from other trackers, and proves that they are the same here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
from headrace.sdk.cli.output import Failed, messages, plain, print_rows, say, size
from headrace.sdk.cli.target import Target, pass_target
from headrace.sdk.coming.arrival import Arrival, NotTaken
from headrace.sdk.coming.event_file import FileImport, FileReport
from headrace.sdk.coming.importing import Import
from headrace.sdk.coming.opening import KINDS, open_source
from headrace.sdk.coming.options import Options, Progress
from headrace.sdk.coming.report import DIFFERENCES_SHOWN_MAX, Report
from headrace.sdk.coming.source import SourceFault
from headrace.sdk.going.portable import SUFFIX
from headrace.sdk.reader import server_of, url_of
from headrace.sdk.settings import with_changes
from headrace.sdk.transport import is_http
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

PORTABLE = "portable"


@click.command("import")
@click.argument("source")
@click.option("--to", metavar="URI", help="The server or data folder to import into, if not --tracking-uri.")
@click.option("--kind", type=click.Choice([*KINDS, PORTABLE]), help="What SOURCE is, where it does not show.")
@click.option(
    "--experiment",
    "experiments",
    multiple=True,
    metavar="NAME[=NEW]",
    help="Only this experiment of the source, under the name NEW here; may be repeated. All if left out.",
)
@click.option("--into", metavar="NAME", default="", help="Put all runs into this one experiment.")
@click.option("--prefix", metavar="TEXT", default="", help="Put TEXT before the names of experiments here.")
@click.option("--deleted", is_flag=True, help="Deleted experiments and runs too; they are deleted here as well.")
@click.option("--no-artifacts", is_flag=True, help="Leave artifacts out.")
@click.option("--no-registry", is_flag=True, help="Leave registered models out.")
@click.option(
    "--artifacts-from",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Where files lie: what an MLflow server calls mlflow-artifacts:/, or the files folder of a Neptune export.",
)
@click.option(
    "--step-multiplier",
    type=click.IntRange(1, 10**9),
    default=1,
    show_default=True,
    help="Multiply the steps of a Neptune export, where they have fractions, to make them whole.",
)
@click.option("--report", "report_file", type=click.Path(dir_okay=False, path_type=Path), help="Write a JSON report.")
@click.option("--json", "as_json", is_flag=True, help="Print the JSON report.")
@pass_target
def import_(
    target: Target,
    source: str,
    to: str | None,
    kind: str | None,
    experiments: tuple[str, ...],
    into: str,
    prefix: str,
    deleted: bool,
    no_artifacts: bool,
    no_registry: bool,
    artifacts_from: Path | None,
    step_multiplier: int,
    report_file: Path | None,
    as_json: bool,
) -> None:
    """Import runs from MLflow (a server, an mlruns folder, a SQLite file), TensorBoard, a Neptune export,
    or a portable file (NAME.headrace) that `headrace export` has written.

    Safe to stop and to repeat: it goes on where it was, and nothing comes twice. At the end everything is read back
    and compared; the exit code is 1 when anything differs.
    """  # fmt: skip
    mapped = {one.partition("=")[0]: one.partition("=")[2] or one for one in experiments}
    options = Options(mapped, into, prefix, deleted, not no_artifacts, not no_registry)
    arrival = arrival_of(Target(to) if to else target)
    report: Report | FileReport
    try:
        with bar() as progress:
            task = progress.add_task("runs", total=None, told="")
            if kind == PORTABLE or (kind is None and source.endswith(SUFFIX)):
                refuse_choice(experiments, into, prefix)
                events = FileImport(Path(source), arrival, not no_artifacts, lambda at: show(progress, task, at))
                report = events.run()
            else:
                opened = open_source(source, kind, artifacts_from, step_multiplier)
                work = Import(opened, arrival, options, source, lambda at: show(progress, task, at))
                try:
                    report = work.run()
                finally:
                    opened.close()
    except (SourceFault, NotTaken) as error:
        raise Failed(str(error)) from error
    finally:
        arrival.close()
    tell(report, report_file, as_json)


def refuse_choice(experiments: tuple[str, ...], into: str, prefix: str) -> None:
    """A portable file comes as it is. Raises Failed when a part of it, or another place, is asked for."""
    if experiments or into or prefix:
        raise Failed("a portable file comes back as it was: choose, with --experiment and others, when you export it")


def arrival_of(target: Target) -> Arrival:
    """The server of a target; for a folder the one that runs on it, or one that is started for this command."""
    uri, settings = target.uri(), target.settings()
    if is_http(uri):
        return Arrival(uri, settings)
    if "://" in uri:
        return Arrival(url_of(with_changes(settings, tracking_uri=uri)), settings)
    Path(uri).mkdir(parents=True, exist_ok=True)
    return Arrival(server_of(Path(uri)), settings)


def bar() -> Bar:
    """A bar with counts and a rate, on stderr."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[told]}"))
    return Bar(*columns, TimeElapsedColumn(), console=messages(), transient=True)


def show(progress: Bar, task: Any, at: Progress) -> None:
    """Move the bar to where an import is."""
    elapsed_s = progress.tasks[0].elapsed or 0.0
    rate = f", {at.points / elapsed_s:,.0f}/s" if elapsed_s > 1 else ""
    told = f"{at.points:,} points{rate}, {at.files:,} files ({size(at.bytes)})"
    progress.update(task, total=at.runs_total, completed=at.runs, told=told)


def tell(report: Report | FileReport, file: Path | None, as_json: bool) -> None:
    """Write and print a report; exit code 1 when anything differs."""
    text = json.dumps(plain(report.told()), indent=1, ensure_ascii=False, allow_nan=False)
    if file is not None:
        file.write_text(text + "\n", "utf-8")
    if as_json:
        click.echo(text)
    else:
        totals = report.totals()
        print_rows(("what", "count"), [(name.replace("_", " "), count) for name, count in totals.items()])
    if report.skipped_deleted:
        say(f"{report.skipped_deleted} deleted experiments or runs were left out; --deleted takes them too")
    for one in report.left[:DIFFERENCES_SHOWN_MAX]:
        say(f"not carried over: {one.what}{f' of run {one.run_id}' if one.run_id else ''}: {one.why}")
    if len(report.left) > DIFFERENCES_SHOWN_MAX:
        say(f"… and {len(report.left) - DIFFERENCES_SHOWN_MAX} more; --report lists all")
    differences = report.differences()
    for line in differences[:DIFFERENCES_SHOWN_MAX]:
        say(f"differs: {line}")
    if len(differences) > DIFFERENCES_SHOWN_MAX:
        say(f"… and {len(differences) - DIFFERENCES_SHOWN_MAX} more; --report lists all")
    if differences:
        raise click.exceptions.Exit(1)
    what = "event, byte for byte," if isinstance(report, FileReport) else "param, tag, point and artifact"
    models = (
        f" and {len(report.registered)} registered models" if isinstance(report, Report) and report.registered else ""
    )
    say(f"equal: every {what} of {len(report.runs)} runs{models} was read back from {report.target}")
