"""Commands of `headrace models` that change the registry: stages, aliases, tags, descriptions, copies, names."""

from __future__ import annotations

import click
from headrace.sdk.cli.models import show_made, version_named
from headrace.sdk.cli.output import agree, say
from headrace.sdk.cli.target import Target, as_of_option, json_option, pairs, pass_target
from headrace.sdk.registry import models, stages, versions


@click.command()
@click.argument("name")
@click.argument("version")
@click.argument("stage")
@click.option("--comment", default="", help="Why; it is kept in the history.")
@click.option("--archive-existing", is_flag=True, help="Put those that are in STAGE into Archived at the same moment.")
@pass_target
def transition(target: Target, name: str, version: str, stage: str, comment: str, archive_existing: bool) -> None:
    """Put a version into a stage: None, Staging, Production, Archived, or one of your own."""
    reader = target.reader()
    number = version_named(reader, name, version).version
    moved = stages.transition_model_version_stage(name, number, stage, archive_existing, comment, source=reader)
    say(f"version {moved.version} of {moved.name!r} is in {moved.current_stage}")


@click.command()
@click.argument("name")
@click.argument("alias")
@click.argument("version", required=False)
@click.option("--delete", is_flag=True, help="Take the alias away.")
@as_of_option
@pass_target
def alias(target: Target, name: str, alias: str, version: str | None, delete: bool, as_of: str) -> None:
    """Point an alias to VERSION; without one, print the version that it points to, or pointed to at a moment."""
    reader = target.reader()
    if (version is not None) + delete + bool(as_of) > 1:
        raise click.UsageError("name a VERSION, or --delete, or --as-of, and not two of them")
    if delete:
        stages.delete_registered_model_alias(name, alias, source=reader)
        say(f"{name!r} has no alias {alias!r} any more")
    elif version is None:
        click.echo(stages.get_model_version_by_alias(name, alias, as_of, source=reader).version)
    else:
        number = version_named(reader, name, version).version
        stages.set_registered_model_alias(name, alias, number, source=reader)
        say(f"{alias!r} points to version {number} of {name!r}")


@click.command()
@click.argument("name")
@click.argument("tags", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--version", "version", metavar="VERSION", help="Of this version, in place of the model.")
@click.option("--delete", "deleted", multiple=True, metavar="KEY", help="Take a tag away; may be repeated.")
@pass_target
def tag(target: Target, name: str, tags: tuple[str, ...], version: str | None, deleted: tuple[str, ...]) -> None:
    """Set tags of a registered model or version, or take them away."""
    given = pairs("KEY=VALUE", tags)
    if not given and not deleted:
        raise click.UsageError("name tags as KEY=VALUE, or --delete KEY")
    reader = target.reader()
    number = version_named(reader, name, version).version if version else 0
    for key, value in given.items():
        if number:
            versions.set_model_version_tag(name, number, key, value, source=reader)
        else:
            models.set_registered_model_tag(name, key, value, source=reader)
    for key in deleted:
        if number:
            versions.delete_model_version_tag(name, number, key, source=reader)
        else:
            models.delete_registered_model_tag(name, key, source=reader)
    say(f"set {len(given)} and took away {len(deleted)} tags")


@click.command()
@click.argument("name")
@click.argument("description")
@click.option("--version", "version", metavar="VERSION", help="Of this version, in place of the model.")
@pass_target
def describe(target: Target, name: str, description: str, version: str | None) -> None:
    """Write the description of a registered model or version, as Markdown, in place of the one it has."""
    reader = target.reader()
    if version:
        number = version_named(reader, name, version).version
        versions.describe_model_version(name, number, description, source=reader)
    else:
        models.describe_registered_model(name, description, source=reader)
    say(f"described {name!r}{f' version {version}' if version else ''}")


@click.command()
@click.argument("name")
@click.argument("version")
@click.argument("new_name")
@json_option
@pass_target
def copy(target: Target, name: str, version: str, new_name: str, as_json: bool) -> None:
    """Make a version the next one of another registered model, with its files, run, tags and description."""
    reader = target.reader()
    number = version_named(reader, name, version).version
    show_made(versions.copy_model_version(f"models:/{name}/{number}", new_name, source=reader), as_json)


@click.command()
@click.argument("name")
@click.argument("new_name")
@pass_target
def rename(target: Target, name: str, new_name: str) -> None:
    """Give a registered model another name. Versions, aliases and history stay its own."""
    models.rename_registered_model(name, new_name, source=target.reader())
    say(f"{name!r} is {new_name!r} now")


@click.command()
@click.argument("name")
@click.argument("version", required=False)
@click.option("--yes", is_flag=True, help="Do not ask.")
@pass_target
def delete(target: Target, name: str, version: str | None, yes: bool) -> None:
    """Delete a registered model with its versions, or one version. Histories stay, numbers are not used again."""
    reader = target.reader()
    if version is None:
        found = models.get_registered_model(name, source=reader)
        what = f"{found.name!r} with all its versions"
    else:
        number = version_named(reader, name, version).version
        what = f"version {number} of {name!r}"
    if not yes:
        agree(f"Delete {what}?")
    if version is None:
        models.delete_registered_model(name, source=reader)
    else:
        versions.delete_model_version(name, number, source=reader)
    say(f"deleted {what}")


COMMANDS = (transition, alias, tag, describe, copy, rename, delete)
"""What goes into the group `models`."""
