"""Every command, option and server setting is documented."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import click
import pytest
from headrace.sdk.cli.main import main
from headrace.sdk.cli.server import server

DOCS = Path(__file__).parents[3] / "docs" / "reference"
SHARED = {"list", "search", "export"}


def commands(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            yield from commands(inner, f"{path} {name}")


ALL = dict(commands(main, "headrace"))


def section(page: str, path: str) -> str:
    """The text below a command's heading, up to the next heading."""
    for heading in (f"## {path}\n", f"### {path}\n"):
        if f"\n{heading}" in page:
            return page.split(f"\n{heading}", 1)[1].split("\n## ", 1)[0].split("\n### ", 1)[0]
    return ""


@pytest.mark.parametrize("path", ALL)
def test_each_command_and_option_is_in_the_page(path: str) -> None:
    page = (DOCS / "cli.md").read_text("utf-8")
    text = page.split("\n## ", 1)[0] if path == "headrace" else section(page, path)
    assert text.strip(), f"cli.md has no section {path}"
    if path.startswith("headrace runs ") and path.split()[-1] in SHARED:
        text += section(page, "headrace runs")
    for parameter in ALL[path].params:
        if isinstance(parameter, click.Option):
            for name in (*parameter.opts, *parameter.secondary_opts):
                assert f"`{name}" in text or f" {name}" in text, f"{path} {name} is not in cli.md"


@pytest.mark.parametrize("path", ALL)
def test_each_command_and_option_says_what_it_does(path: str) -> None:
    command = ALL[path]
    assert command.help
    assert all(option.help for option in command.params if isinstance(option, click.Option))


def test_each_server_setting_is_a_flag_and_is_documented_with_its_default() -> None:
    settings = pytest.importorskip("headrace.api.settings").Settings
    page = (DOCS / "server-settings.md").read_text("utf-8")
    flags = {parameter.name: parameter.opts[0] for parameter in server.params}
    assert set(flags) == {field.name for field in fields(settings)}
    for field in fields(settings):
        row = f"| `{field.name}` | `{flags[field.name]}` | `HEADRACE_{field.name.upper()}` | `{field.default}` |"
        assert row in page
