"""`headrace history`: each change of an object, when it came, who made it, and from what to what."""

from __future__ import annotations

import click
from headrace.sdk.cli.output import moment, print_json, print_rows
from headrace.sdk.cli.target import Target, find_experiment, json_option, pass_target
from headrace.sdk.life_cycle import entries
from headrace.sdk.reader import Reader

_KINDS = {
    "run": "run",
    "experiment": "experiment",
    "model": "logged_model",
    "registered-model": "registered_model",
    "model-version": "model_version",
    "endpoint": "endpoint",
    "saved-view": "saved_view",
}


@click.command()
@click.argument("kind", type=click.Choice([*_KINDS]))
@click.argument("object_id", metavar="ID")
@json_option
@pass_target
def history(target: Target, kind: str, object_id: str, as_json: bool) -> None:
    """Show each change of a run, an experiment, a model, an endpoint or a saved view, oldest first.

    ID is a run's or logged model's id, an experiment's name or id, a registered model's name (also one it had before)
    or id, NAME/NUMBER of a version, an endpoint's name or a saved view's id. Every line has its position in the log,
    which --as-of of other commands takes.
    """
    reader = target.reader()
    if kind == "experiment":
        object_id = find_experiment(reader, object_id).experiment_id
    show_history(reader, _KINDS[kind], object_id, as_json)


def show_history(reader: Reader, kind: str, object_id: str, as_json: bool) -> None:
    """Print each change of an object. kind: as the server has it."""
    found = list(entries(reader, kind, object_id))
    if as_json:
        print_json(found)
        return
    print_rows(
        ("time (UTC)", "what", "by", "with", "field", "from", "to", "comment", "position"),
        [
            (
                *(moment(entry["logged_ms"]), _what(entry), entry["actor"], entry["source"]),
                *(change["field"], _shown(change["from"]), _shown(change["to"])),
                *(entry.get("comment", ""), entry["position"]),
            )
            for entry in found
            for change in entry["changes"] or [{"field": "", "from": None, "to": None}]
        ],
    )


def _what(entry: dict[str, str]) -> str:
    """The event in words a person uses, and why it came to nothing where it did."""
    name = entry["type"].removeprefix("headrace.").replace(".", " ").replace("-", " ")
    if entry["outcome"] == "applied":
        return name
    return f"{name} ({entry['outcome']}: {entry['reason']})"


def _shown(value: object) -> object:
    return "" if value is None else value
