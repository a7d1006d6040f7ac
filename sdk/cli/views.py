"""`headrace views`: the tables on a ClickHouse server that the views are kept in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import click
from headrace.sdk.cli.output import Failed, agree, say
from headrace.sdk.cli.server import require

Command = TypeVar("Command", bound=Callable[..., Any])


@click.group()
def views() -> None:
    """Make, check or drop the tables of the views on a ClickHouse server.

    URL is clickhouse://[user[:password]@]host[:port]/[database]?option=value; views in a data folder need none of this.
    """


def _target(command: Command) -> Command:
    for option in (
        click.option("--print", "print_only", is_flag=True, help="Print the statements, and run none."),
        click.option("--sharded", is_flag=True, help="Spread the rows over the cluster's shards, a run on one."),
        click.option("--cluster", metavar="NAME", help="On every server of this cluster, replicated."),
        _url_option,
    ):
        command = option(command)
    return command


_url_option = click.option(
    "--views",
    "url",
    metavar="URL",
    envvar="HEADRACE_VIEWS",
    required=True,
    help="The server and database; HEADRACE_VIEWS if left out.",
)


@views.command()
@_target
def create(url: str, cluster: str | None, sharded: bool, print_only: bool) -> None:
    """Make the database, and every table that is not there."""
    target = _parsed(url, cluster, sharded)
    from headrace.processors import schema
    from headrace.processors import views as store

    if print_only:
        _print(schema.create_statements(target.target))
        return
    with _clear_errors():
        store.create(target)
        store.check(target)
    say(f"The views are ready in the database {target.database} of {target.server}.")


@views.command()
@_url_option
def check(url: str) -> None:
    """See whether every table is there, as this version has it. Exit code 1 if not."""
    target = _parsed(url, None, False)
    from headrace.processors import views as store

    with _clear_errors():
        store.check(target)
    say(f"The views in the database {target.database} of {target.server} are as this version has them.")


@views.command()
@_target
@click.option("--yes", is_flag=True, help="Do not ask.")
def drop(url: str, cluster: str | None, sharded: bool, print_only: bool, yes: bool) -> None:
    """Drop the tables of the views, with every row; `headrace rebuild` makes them anew from the log."""
    target = _parsed(url, cluster, sharded)
    from headrace.processors import schema
    from headrace.processors import views as store

    if print_only:
        _print(schema.drop_statements(target.target))
        return
    if not yes:
        agree(f"Drop every table of the views in {target.database} of {target.server}?")
    with _clear_errors():
        store.drop(target)
    say(f"The views in the database {target.database} of {target.server} are dropped.")


def _parsed(url: str, cluster: str | None, sharded: bool) -> Any:
    """The ViewsUrl, of the server's part of the package, which is an extra."""
    require("server", ("clickhouse_connect",), "headrace views")
    from headrace.processors.views_url import BadViewsUrl, parse_views_url

    try:
        found = parse_views_url(url)
        return found.on_cluster(cluster or found.cluster, sharded or found.sharded)
    except BadViewsUrl as error:
        raise Failed(str(error)) from error


@contextmanager
def _clear_errors() -> Iterator[None]:
    from headrace.processors.views import ViewsUnavailable, WrongSchema

    try:
        yield
    except (ViewsUnavailable, WrongSchema) as error:
        raise Failed(str(error)) from error


def _print(statements: list[str]) -> None:
    for statement in statements:
        click.echo(f"{statement};\n")
