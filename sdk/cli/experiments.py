"""`headrace experiments`: list, show, create, rename, delete and restore."""

from __future__ import annotations

from typing import Any

import click
from headrace.sdk.cli.output import agree, moment, print_json, print_rows, say
from headrace.sdk.cli.target import ALL_RESULTS, Target, as_of_option, find_experiment, json_option, pairs, pass_target
from headrace.sdk.reader import Reader
from headrace.sdk.run import Experiment

VIEWS = {"active": "ACTIVE_ONLY", "deleted": "DELETED_ONLY", "all": "ALL"}


@click.group()
def experiments() -> None:
    """List, show and change experiments. EXPERIMENT is a name or an id."""


@experiments.command("list")
@click.option("--filter", "filter_string", default="", help="Such as \"name LIKE 'digits%' AND tags.team = 'a'\".")
@click.option("--order-by", multiple=True, help="Such as 'name' or 'creation_time DESC'; may be repeated.")
@click.option("--max", "most", type=click.IntRange(1), default=ALL_RESULTS, show_default="all", help="At most so many.")
@click.option("--view", type=click.Choice([*VIEWS]), default="active", show_default=True, help="Which of them.")
@as_of_option
@json_option
@pass_target
def list_experiments(
    target: Target, filter_string: str, order_by: tuple[str, ...], most: int, view: str, as_of: str, as_json: bool
) -> None:
    """List experiments, newest first."""
    found = list(target.reader().experiments(filter_string, VIEWS[view], most, order_by, as_of))
    if as_json:
        print_json([told(experiment) for experiment in found])
        return
    rows = [
        (one.experiment_id, one.name, one.lifecycle_stage, moment(one.creation_time), moment(one.last_update_time))
        for one in found
    ]
    print_rows(("id", "name", "stage", "created (UTC)", "updated (UTC)"), rows)


@experiments.command()
@click.argument("experiment")
@as_of_option
@json_option
@pass_target
def show(target: Target, experiment: str, as_of: str, as_json: bool) -> None:
    """Show one experiment: its facts, its tags, and how many runs it has in each status."""
    reader = target.reader()
    found = find_experiment(reader, experiment, as_of)
    counts: dict[str, int] = {}
    for run in reader.runs([found.experiment_id], "", "ACTIVE_ONLY", ALL_RESULTS, (), as_of):
        counts[run["info"]["status"]] = counts.get(run["info"]["status"], 0) + 1
    if as_json:
        print_json({**told(found), "runs": counts})
        return
    rows: list[tuple[str, Any]] = [
        ("id", found.experiment_id),
        ("name", found.name),
        ("stage", found.lifecycle_stage),
        ("created (UTC)", moment(found.creation_time)),
        ("updated (UTC)", moment(found.last_update_time)),
        ("artifacts", found.artifact_location),
        *((f"runs {status}", str(count)) for status, count in sorted(counts.items())),
        *((f"tags.{key}", value) for key, value in sorted(found.tags.items())),
    ]
    print_rows(("what", "value"), rows)


@experiments.command()
@click.argument("name")
@click.option("--tag", "tags", multiple=True, metavar="KEY=VALUE", help="A tag; may be repeated.")
@json_option
@pass_target
def create(target: Target, name: str, tags: tuple[str, ...], as_json: bool) -> None:
    """Create an experiment and print its id."""
    given = pairs("--tag", tags)
    body = {"name": name, "tags": [{"key": key, "value": value} for key, value in given.items()]}
    experiment_id = target.reader().call("POST", "/api/2.0/mlflow/experiments/create", json=body)["experiment_id"]
    print_json({"experiment_id": experiment_id, "name": name}) if as_json else click.echo(experiment_id)


@experiments.command()
@click.argument("experiment")
@click.argument("new_name")
@pass_target
def rename(target: Target, experiment: str, new_name: str) -> None:
    """Rename an experiment."""
    reader = target.reader()
    found = find_experiment(reader, experiment)
    _change(reader, "update", found, new_name=new_name)
    say(f"experiment {found.experiment_id} is {new_name!r} now")


@experiments.command()
@click.argument("experiment", nargs=-1, required=True)
@click.option("--yes", is_flag=True, help="Do not ask.")
@pass_target
def delete(target: Target, experiment: tuple[str, ...], yes: bool) -> None:
    """Put experiments, with their runs, in the bin; `restore` takes them out."""
    reader = target.reader()
    found = [find_experiment(reader, one) for one in experiment]
    if not yes:
        names = ", ".join(repr(one.name) for one in found)
        agree(f"Delete {names} with all runs?")
    for one in found:
        _change(reader, "delete", one)
        say(f"deleted {one.name!r} ({one.experiment_id})")


@experiments.command()
@click.argument("experiment", nargs=-1, required=True)
@pass_target
def restore(target: Target, experiment: tuple[str, ...]) -> None:
    """Take experiments, with their runs, out of the bin."""
    reader = target.reader()
    for one in [find_experiment(reader, one) for one in experiment]:
        _change(reader, "restore", one)
        say(f"restored {one.name!r} ({one.experiment_id})")


def told(experiment: Experiment) -> dict[str, Any]:
    """An experiment as --json shows it."""
    return {
        "experiment_id": experiment.experiment_id,
        "name": experiment.name,
        "lifecycle_stage": experiment.lifecycle_stage,
        "creation_time_ms": experiment.creation_time,
        "last_update_time_ms": experiment.last_update_time,
        "artifact_location": experiment.artifact_location,
        "tags": experiment.tags,
    }


def _change(reader: Reader, what: str, experiment: Experiment, **more: str) -> None:
    body = {"experiment_id": experiment.experiment_id, **more}
    reader.call("POST", f"/api/2.0/mlflow/experiments/{what}", json=body)
