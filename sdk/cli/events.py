"""`headrace events`: what the server's feed tells, a line each."""

from __future__ import annotations

import json
import os
import shutil
import sys

import click
import msgspec
from headrace.sdk.cli.log_lines import KEYS_MAX, moment_of
from headrace.sdk.cli.output import one_line, plain
from headrace.sdk.cli.target import Target, find_experiment, pass_target
from headrace.sdk.feed import Event, following


@click.command()
@click.option(
    "--after",
    metavar="MOMENT",
    help="Begin there: now, begin, a time (ISO 8601 or ms), or a cursor.  [default: begin; with --follow now]",
)
@click.option("--follow", "-f", is_flag=True, help="Go on with what comes, until Ctrl-C.")
@click.option("--type", "types", multiple=True, help="Only of this type, such as 'run.*'; may be repeated.")
@click.option("--experiment", "experiments", multiple=True, metavar="NAME|ID", help="Only of this; may be repeated.")
@click.option("--run", "run_ids", multiple=True, metavar="RUN", help="Only of this run; may be repeated.")
@click.option("--model", "models", multiple=True, metavar="NAME", help="Only of this registered one; may be repeated.")
@click.option("--points", is_flag=True, help="With --json: each metric point, rather than a digest.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document a line, with the cursor behind it.")
@pass_target
def events(
    target: Target,
    after: str | None,
    follow: bool,
    types: tuple[str, ...],
    experiments: tuple[str, ...],
    run_ids: tuple[str, ...],
    models: tuple[str, ...],
    points: bool,
    as_json: bool,
) -> None:
    """Print the events that the server tells, and with --follow those that come.

    A line each: when it was logged (UTC), its position, its type, its subject, what it says; for metric points, how
    many, and each metric's last value. Goes on by itself when the server was away. `headrace log tail` prints the same
    of a log itself, where there is no server.
    """
    source = target.reader()
    ids = [find_experiment(source, name).experiment_id for name in experiments]
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    begin = after if after is not None else "now" if follow else "begin"
    try:
        for event in following(source, begin, types, run_ids, ids, models, points=points and as_json, follow=follow):
            click.echo(json_line(event) if as_json else text_line(event, width))
    except KeyboardInterrupt:
        pass
    except BrokenPipeError:
        # Python would write to it once more when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def json_line(event: Event) -> str:
    """All of it, but for what it does not have."""
    told = {name: value for name, value in msgspec.structs.asdict(event).items() if value is not None and value != ""}
    return json.dumps(plain(told), ensure_ascii=False, allow_nan=False)


def text_line(event: Event, width: int | None) -> str:
    """When it was logged (UTC), where it stands, its type, its subject, what it says; as `headrace log tail` has it."""
    parts = [
        moment_of(event.logged_ms),
        event.position,
        event.type.removeprefix("headrace."),
        event.subject,
        _summary(event),
    ]
    line = [one_line(part) for part in parts]
    if width is None:
        return "\t".join(line)
    joined = f"{line[0]}  {line[1]:<16}  {line[2]:<22}  {line[3]}  {line[4]}"
    return joined if len(joined) <= width else f"{joined[: width - 1]}…"


def _summary(event: Event) -> str:
    if event.metrics is None:
        said = event.data if event.data is not None else event.data_base64
        return json.dumps(said, ensure_ascii=False) if said is not None else ""
    count = sum(one["points"] for one in event.metrics.values())
    shown = [f"{key}={one['last_value']:.6g}" for key, one in list(event.metrics.items())[:KEYS_MAX]]
    more = ["…"] if len(event.metrics) > KEYS_MAX else []
    return " ".join([f"{count} point{'s' * (count != 1)}:", *shown, *more])
