"""`headrace models`: the registry's models and versions, and what is done with a model."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click
from headrace.sdk.cli.history import show_history
from headrace.sdk.cli.output import moment, print_json, print_rows, say
from headrace.sdk.cli.serve import predict, serve
from headrace.sdk.cli.target import ALL_RESULTS, Target, as_of_option, json_option, pairs, pass_target
from headrace.sdk.reader import Reader
from headrace.sdk.registry import models as registered
from headrace.sdk.registry import stages, versions
from headrace.sdk.registry.types import ModelVersion, RegisteredModel


@click.group()
def models() -> None:
    """The registry: models, their versions, stages and aliases; and serving a model.

    NAME is a registered model's. VERSION is a number, a stage, `latest`, or an alias with an @ before it.
    """


models.add_command(serve)
models.add_command(predict)


@models.command("list")
@click.option("--filter", "filter_string", default="", help="Such as \"name LIKE 'iris%' AND tags.team = 'a'\".")
@click.option("--order-by", multiple=True, help="Such as 'name' or 'last_updated_timestamp DESC'; may be repeated.")
@click.option("--max", "most", type=click.IntRange(1), default=ALL_RESULTS, show_default="all", help="At most so many.")
@as_of_option
@json_option
@pass_target
def list_models(
    target: Target, filter_string: str, order_by: tuple[str, ...], most: int, as_of: str, as_json: bool
) -> None:
    """List registered models with the newest version of each stage."""
    found = registered.search_registered_models(filter_string, most, order_by, as_of, source=target.reader())
    if as_json:
        print_json([told(one) for one in found])
        return
    rows = [
        (one.name, _stages(one), _aliases(one), moment(one.last_updated_timestamp), first_line(one.description))
        for one in found
    ]
    print_rows(("name", "newest versions", "aliases", "updated (UTC)", "description"), rows)


@models.command()
@click.argument("name")
@click.option("--tag", "tags", multiple=True, metavar="KEY=VALUE", help="A tag; may be repeated.")
@click.option("--description", default="", help="What it is, as Markdown.")
@json_option
@pass_target
def create(target: Target, name: str, tags: tuple[str, ...], description: str, as_json: bool) -> None:
    """Create a registered model without versions."""
    given = pairs("--tag", tags)
    made = registered.create_registered_model(name, given, description, source=target.reader())
    print_json(told(made)) if as_json else say(f"created {made.name!r}")


@models.command()
@click.argument("uri")
@click.argument("name")
@click.option("--tag", "tags", multiple=True, metavar="KEY=VALUE", help="A tag of the version; may be repeated.")
@click.option("--description", default="", help="What is new in it, as Markdown.")
@json_option
@pass_target
def register(target: Target, uri: str, name: str, tags: tuple[str, ...], description: str, as_json: bool) -> None:
    """Register a model as the next version of NAME, which is made if there is none.

    URI: runs:/RUN/PATH, models:/m-ID of a logged model, models:/NAME/VERSION, or where the files lie.
    """
    made = versions.register_model(uri, name, pairs("--tag", tags), description, source=target.reader())
    show_made(made, as_json)


@models.command("versions")
@click.argument("name", required=False)
@click.option("--stage", default="", help="Those in this stage, or that were in it: with --as-of, at that moment.")
@click.option("--filter", "filter_string", default="", help="Such as \"run_id = '…' AND tags.team = 'a'\".")
@click.option("--order-by", multiple=True, help="Such as 'version_number' or 'creation_timestamp DESC'.")
@click.option("--max", "most", type=click.IntRange(1), default=ALL_RESULTS, show_default="all", help="At most so many.")
@as_of_option
@json_option
@pass_target
def list_versions(
    target: Target,
    name: str | None,
    stage: str,
    filter_string: str,
    order_by: tuple[str, ...],
    most: int,
    as_of: str,
    as_json: bool,
) -> None:
    """List versions: of NAME, newest first; or of all models by a filter."""
    reader = target.reader()
    if stage:
        if name is None or filter_string or order_by:
            raise click.UsageError("--stage needs NAME, and goes without --filter and --order-by")
        found = stages.get_versions_in_stage(name, stage, as_of, source=reader)[:most]
    else:
        found = versions.search_model_versions(_filter(name, filter_string), most, order_by, as_of, source=reader)
    if as_json:
        print_json([asdict(one) for one in found])
        return
    rows = [
        (
            *(one.name, one.version, one.current_stage, " ".join(one.aliases), one.status, one.run_id),
            *(one.user_id, moment(one.creation_timestamp), first_line(one.description)),
        )
        for one in found
    ]
    columns = ("name", "version", "stage", "aliases", "status", "run", "by", "created (UTC)", "description")
    print_rows(columns, rows)


@models.command()
@click.argument("name")
@click.argument("version", required=False)
@as_of_option
@json_option
@pass_target
def show(target: Target, name: str, version: str | None, as_of: str, as_json: bool) -> None:
    """Show a registered model, or one of its versions, with all that belongs to it."""
    reader = target.reader()
    found: RegisteredModel | ModelVersion
    if version is None:
        found = registered.get_registered_model(name, as_of, source=reader)
        rows = [
            ("name", found.name),
            *((f"newest in {one.current_stage}", str(one.version)) for one in found.latest_versions),
            *((f"alias {alias}", str(number)) for alias, number in sorted(found.aliases.items())),
        ]
    else:
        found = version_named(reader, name, version, as_of)
        rows = [
            *(("name", found.name), ("version", str(found.version)), ("stage", found.current_stage)),
            *(("aliases", " ".join(found.aliases)), ("status", found.status), ("why", found.status_message)),
            *(("run", found.run_id), ("logged model", found.model_id), ("source", found.source)),
            *(("digest", found.digest), ("by", found.user_id)),
        ]
    if as_json:
        print_json(told(found) if isinstance(found, RegisteredModel) else asdict(found))
        return
    rows += [
        ("created (UTC)", str(moment(found.creation_timestamp))),
        ("updated (UTC)", str(moment(found.last_updated_timestamp))),
        ("description", found.description),
        *((f"tags.{key}", value) for key, value in sorted(found.tags.items())),
    ]
    print_rows(("what", "value"), rows)


@models.command()
@click.argument("name")
@click.argument("version", required=False, type=click.IntRange(1))
@json_option
@pass_target
def history(target: Target, name: str, version: int | None, as_json: bool) -> None:
    """Show each change of a registered model, or of one of its versions, oldest first.

    NAME may be one that the model had before. Models that had the same name, such as one that was deleted, are named
    with their ids, which ask for their histories.
    """
    reader = target.reader()
    kind, id = ("registered_model", name) if version is None else ("model_version", f"{name}/{version}")
    show_history(reader, kind, id, as_json)


def version_named(reader: Reader, name: str, version: str, as_of: str = "") -> ModelVersion:
    """The version that a VERSION of the command line means. Raises ReadFailed."""
    uri = f"models:/{name}{version}" if version.startswith("@") else f"models:/{name}/{version}"
    try:
        return stages.get_model_version_by_uri(uri, as_of, source=reader)
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def show_made(version: ModelVersion, as_json: bool) -> None:
    """A version that was just made, as a command tells it."""
    if as_json:
        print_json(asdict(version))
    else:
        say(f"{version.name} has the version {version.version}: {version.status} {version.status_message}".rstrip())


def told(model: RegisteredModel) -> dict[str, Any]:
    """A registered model as --json shows it."""
    return asdict(model)


def first_line(text: str) -> str:
    """What of a description goes into a table."""
    return text.strip().partition("\n")[0]


def _filter(name: str | None, filter_string: str) -> str:
    if name is None:
        return filter_string
    quote = '"' if "'" in name else "'"
    return f"name = {quote}{name}{quote}" + (f" AND ({filter_string})" if filter_string else "")


def _stages(model: RegisteredModel) -> str:
    return " ".join(f"{one.current_stage}:{one.version}" for one in model.latest_versions)


def _aliases(model: RegisteredModel) -> str:
    return " ".join(f"{alias}:{number}" for alias, number in sorted(model.aliases.items()))
