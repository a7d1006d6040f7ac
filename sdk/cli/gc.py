"""`headrace gc`: erases for good what has been in the bin long enough; what is left is a tombstone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click
from headrace.sdk.cli.log_progress import progress
from headrace.sdk.cli.output import agree, print_json, print_rows, say, size
from headrace.sdk.cli.target import Target, json_option, pass_target

PATH = "/api/headrace/v1/gc"
LISTS = ("runs", "experiments", "logged_models", "registered_models", "binned")
COLUMNS = ("run", "files", "file bytes", "records", "record bytes", "points")


@click.command()
@click.option(
    "--older-than", default="30d", show_default=True, help="In the bin for longer than this: 30d, 12h, 1d12h."
)
@click.option("--run-ids", default="", metavar="ID,…", help="Only these runs, at once; they have to be in the bin.")
@click.option("--experiment-ids", default="", metavar="ID,…", help="Only these experiments, with all their runs.")
@click.option("--dry-run", is_flag=True, help="Only say what would be erased.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@pass_target
def gc(
    target: Target, older_than: str, run_ids: str, experiment_ids: str, dry_run: bool, yes: bool, as_json: bool
) -> None:
    """Erase for good what was deleted: artifacts, payloads in the log, rows in the views.

    Nobody can bring it back. What is left is a tombstone that says when and by whom. First, runs that ended longer ago
    than the tag headrace.retention of their experiment says, such as 90d, are put in the bin.
    Safe to stop and to repeat.
    """
    asked = {"older_than": older_than, "run_ids": _ids(run_ids), "experiment_ids": _ids(experiment_ids)}
    reader = target.reader()

    def call(dry: bool) -> dict[str, Any]:
        answer: dict[str, Any] = reader.call("POST", PATH, json={**asked, "dry_run": dry})
        return answer

    if dry_run:
        _tell(call(True), as_json)
        return
    if not yes:
        would = call(True)
        if not any(would[name] for name in LISTS):
            _tell({**would, "dry_run": False}, as_json)
            return
        _tell(would, as_json=False, on_stderr=True)
        agree("Erase this for good?")
    _tell(_until_done(lambda: call(False)), as_json)


def _ids(text: str) -> list[str]:
    return [id for part in text.split(",") if (id := part.strip())]


def _until_done(call: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Ask for the next part until there is none, or nothing of it can be erased; all answers as one."""
    sum_: dict[str, Any] = {}
    with progress() as told:
        while True:
            answer = call()
            for name in LISTS:
                sum_[name] = [*sum_.get(name, []), *answer[name]]
            sum_ |= {name: answer[name] for name in ("left", "more", "dry_run")}
            erased = {run["run_id"] for run in sum_["runs"]}
            sum_["left"] = [left for left in sum_["left"] if left["id"] not in erased]
            sum_["notes"] = list(dict.fromkeys([*sum_.get("notes", []), *answer["notes"]]))
            told("erasing", len(sum_["runs"]), len(sum_["runs"]) + answer["more"])
            if not answer["more"] or not any(answer[name] for name in LISTS):
                return sum_


def _tell(answer: dict[str, Any], as_json: bool, on_stderr: bool = False) -> None:
    if as_json:
        print_json(answer)
        return
    runs = answer["runs"]
    if runs and not on_stderr:
        fields = ("run_id", "files", "file_bytes", "records", "record_bytes", "points")
        print_rows(COLUMNS, [[run[name] for name in fields] for run in runs])
    verb = "would be " if answer["dry_run"] else ""
    files, records, points = (sum(run[name] for run in runs) for name in ("files", "records", "points"))
    file_bytes, record_bytes = (size(sum(run[name] for run in runs)) for name in ("file_bytes", "record_bytes"))
    if answer["binned"]:
        say(f"{len(answer['binned'])} runs {verb or 'were '}put in the bin: their experiment's retention is over")
    say(
        f"{'more than ' if answer['more'] and runs else ''}{len(runs)} runs {verb or 'were '}erased:"
        f" {files:,} artifacts ({file_bytes}), {records:,} records of the log ({record_bytes}), {points:,} points"
    )
    if answer["experiments"] or answer["logged_models"]:
        experiments, models = len(answer["experiments"]), len(answer["logged_models"])
        say(f"{experiments} experiments and {models} logged models {verb or 'were '}erased")
    if answer["registered_models"]:
        say(f"{len(answer['registered_models'])} registered models {verb or 'were '}erased")
    for left in answer["left"]:
        say(f"left: {left['id']}: {left['reason']}")
    for note in answer["notes"]:
        say(f"note: {note}")
