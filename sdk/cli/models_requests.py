"""Commands of `headrace models` for what people say: requests for transition, comments, and the stages there are."""

from __future__ import annotations

from dataclasses import asdict

import click
from headrace.sdk.cli.models import version_named
from headrace.sdk.cli.output import moment, print_json, print_rows, say
from headrace.sdk.cli.target import Target, as_of_option, json_option, pass_target
from headrace.sdk.registry import requests as asking
from headrace.sdk.registry.types import TransitionRequest

STATES = ("open", "approved", "rejected", "withdrawn", "all")


@click.group()
def requests() -> None:
    """Ask for a version to be put into a stage; approve, reject or withdraw it."""


@requests.command("list")
@click.argument("name")
@click.argument("version")
@click.option("--state", type=click.Choice(STATES), default="open", show_default=True, help="Which of them.")
@as_of_option
@json_option
@pass_target
def list_requests(target: Target, name: str, version: str, state: str, as_of: str, as_json: bool) -> None:
    """List the requests for a version, oldest first."""
    reader = target.reader()
    number = version_named(reader, name, version, as_of).version
    found = asking.list_transition_requests(name, number, state, as_of, source=reader)
    if as_json:
        print_json([asdict(one) for one in found])
        return
    rows = [
        (
            *(one.id, one.to_stage, one.state, one.user_id, moment(one.creation_timestamp), one.comment),
            *(one.decided_by, one.decision_comment),
        )
        for one in found
    ]
    print_rows(("id", "to", "state", "by", "asked (UTC)", "comment", "decided by", "decision"), rows)


@requests.command()
@click.argument("name")
@click.argument("version")
@click.argument("stage")
@click.option("--comment", default="", help="Why; it is kept in the history.")
@pass_target
def create(target: Target, name: str, version: str, stage: str, comment: str) -> None:
    """Ask for a version to be put into STAGE; print the request's id."""
    reader = target.reader()
    number = version_named(reader, name, version).version
    click.echo(asking.request_transition(name, number, stage, comment, source=reader).id)


@requests.command()
@click.argument("name")
@click.argument("version")
@click.argument("stage")
@click.option("--comment", default="", help="Why; it is kept in the history.")
@click.option("--archive-existing", is_flag=True, help="Put those that are in STAGE into Archived at the same moment.")
@click.option("--id", "request_id", default="", help="This request; else the oldest open one for STAGE.")
@pass_target
def approve(
    target: Target, name: str, version: str, stage: str, comment: str, archive_existing: bool, request_id: str
) -> None:
    """Grant a request: the version is in STAGE."""
    reader = target.reader()
    number = version_named(reader, name, version).version
    closed = asking.approve_transition_request(
        name, number, stage, archive_existing, comment, request_id, source=reader
    )
    _say(closed, name)


@requests.command()
@click.argument("name")
@click.argument("version")
@click.argument("stage")
@click.option("--comment", default="", help="Why; it is kept in the history.")
@click.option("--id", "request_id", default="", help="This request; else the oldest open one for STAGE.")
@pass_target
def reject(target: Target, name: str, version: str, stage: str, comment: str, request_id: str) -> None:
    """Turn a request down."""
    reader = target.reader()
    number = version_named(reader, name, version).version
    _say(asking.reject_transition_request(name, number, stage, comment, request_id, source=reader), name)


@requests.command()
@click.argument("name")
@click.argument("version")
@click.argument("stage")
@click.option("--comment", default="", help="Why; it is kept in the history.")
@click.option("--id", "request_id", default="", help="This request; else the oldest open one for STAGE.")
@pass_target
def withdraw(target: Target, name: str, version: str, stage: str, comment: str, request_id: str) -> None:
    """Take a request back."""
    reader = target.reader()
    number = version_named(reader, name, version).version
    _say(asking.withdraw_transition_request(name, number, stage, comment, request_id, source=reader), name)


@click.command()
@click.argument("name")
@click.argument("text", required=False)
@click.option("--version", "version", metavar="VERSION", help="On this version, in place of the model.")
@click.option("--edit", metavar="ID", default="", help="Write TEXT in place of this comment.")
@click.option("--delete", metavar="ID", default="", help="Take this comment away.")
@as_of_option
@json_option
@pass_target
def comment(
    target: Target, name: str, text: str | None, version: str | None, edit: str, delete: str, as_of: str, as_json: bool
) -> None:
    """Comment on a registered model or version; without TEXT, list the comments on it, oldest first."""
    reader = target.reader()
    if (text is not None and not edit) + bool(edit) + bool(delete) + bool(as_of) > 1 or (edit and text is None):
        raise click.UsageError("give a TEXT, or --edit ID and a TEXT, or --delete ID, or --as-of")
    if delete:
        asking.delete_comment(delete, source=reader)
        say(f"took the comment {delete} away")
        return
    number = version_named(reader, name, version, as_of).version if version else None
    if text is not None:
        if edit:
            said = asking.update_comment(edit, text, source=reader)
        else:
            said = asking.create_comment(name, text, number, source=reader)
        print_json(asdict(said)) if as_json else click.echo(said.id)
        return
    found = asking.list_comments(name, number, as_of, source=reader)
    if as_json:
        print_json([asdict(one) for one in found])
        return
    rows = [(one.id, one.version or None, one.user_id, moment(one.creation_timestamp), one.comment) for one in found]
    print_rows(("id", "version", "by", "said (UTC)", "comment"), rows)


@click.command("stages")
@click.option("--set", "given", multiple=True, metavar="STAGE", help="The stages between None and Archived, in order.")
@as_of_option
@json_option
@pass_target
def stages_(target: Target, given: tuple[str, ...], as_of: str, as_json: bool) -> None:
    """Print the stages that versions can be in, or set those between None and Archived."""
    reader = target.reader()
    if given and as_of:
        raise click.UsageError("the past cannot be set")
    found = asking.set_stages(given, source=reader) if given else asking.get_stages(as_of, source=reader)
    if as_json:
        print_json(found)
    else:
        click.echo("\n".join(found))


def _say(closed: TransitionRequest, name: str) -> None:
    say(f"{closed.state}: version {closed.version} of {name!r} to {closed.to_stage}")


COMMANDS = (requests, comment, stages_)
"""What goes into the group `models`."""
