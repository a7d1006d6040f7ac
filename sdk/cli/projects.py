"""`headrace projects`: the environments that projects run in."""

from __future__ import annotations

import click
from headrace.sdk.cli.output import Failed, moment, print_json, print_rows, say, size
from headrace.sdk.cli.target import json_option
from headrace.sdk.projects.environments import kept, remove


@click.group()
def projects() -> None:
    """What `headrace run` keeps."""


@projects.command()
@click.option("--remove", "names", multiple=True, metavar="NAME", help="Delete those whose name begins so.")
@click.option("--remove-all", is_flag=True, help="Delete all of them.")
@json_option
def envs(names: tuple[str, ...], remove_all: bool, as_json: bool) -> None:
    """List the environments that were made for projects, the one used last first, or delete some."""
    if names or remove_all:
        if any(not name for name in names):
            raise Failed("--remove takes the beginning of a name; --remove-all deletes all")
        gone = remove([""] if remove_all else list(names))
        if not gone and not remove_all:
            raise Failed(f"no environment has a name that begins with {' or '.join(names)}")
        say(f"deleted {len(gone)} environments")
        return
    found = kept()
    if as_json:
        told = ("name", "python", "packages", "size_bytes", "used_s")
        print_json([{"path": str(one.path), **{name: getattr(one, name) for name in told}} for one in found])
        return
    rows = [(one.name, one.python, one.packages, size(one.size_bytes), moment(int(one.used_s * 1000))) for one in found]
    print_rows(("name", "python", "packages", "size", "last used (UTC)"), rows)
