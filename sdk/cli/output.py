"""How the commands speak: results on stdout, everything else on stderr; tables for people, plain lines for pipes."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

TIME_FORMAT = "%Y-%m-%d %H:%M:%S"


class Failed(click.ClickException):
    """A command could not do what was asked; the message says why and what to do. Exit code 1."""

    def show(self, file: Any = None) -> None:
        """The message as one line on stderr."""
        click.echo(f"headrace: {self.format_message()}", file=file or sys.stderr)


def say(message: str) -> None:
    """A message to the person at the terminal; never part of the result."""
    click.echo(message, err=True)


def agree(question: str) -> None:
    """Ask the person at the terminal; all but yes ends the command.

    Unlike click.confirm, which puts a blank on stdout in some versions of click, this leaves results alone.
    """
    click.echo(f"{question} [y/N]: ", nl=False, err=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise click.Abort


def messages() -> Console:
    """A rich console on stderr, for progress."""
    return Console(stderr=True, highlight=False)


def print_json(value: Any) -> None:
    """One JSON document on stdout. NaN and infinities, which JSON lacks, are "NaN", "Infinity" and "-Infinity"."""
    click.echo(json.dumps(plain(value), indent=2, ensure_ascii=False, allow_nan=False))


def plain(value: Any) -> Any:
    """The value in what JSON can say."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return value


def print_rows(columns: Sequence[str], rows: Sequence[Sequence[Any]], title: str | None = None) -> None:
    """Rows as a table when stdout is a terminal, else as lines with tabs between whole, untruncated values."""
    if not sys.stdout.isatty():
        for row in ([*columns], *rows):
            click.echo("\t".join(one_line(cell(value)) for value in row))
        return
    table = Table(title=title, title_justify="left", header_style="bold", show_edge=False, pad_edge=False)
    for position, column in enumerate(columns):
        values = [row[position] for row in rows]
        numeric = any(isinstance(value, int | float) for value in values)
        table.add_column(Text(column), justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        # Text, since a name with brackets would be read as rich's markup.
        table.add_row(*(Text(one_line(cell(value))) for value in row))
    Console(highlight=False).print(table)


def cell(value: Any) -> str:
    """A value as a person reads it; nothing for None."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def moment(time_ms: int | None) -> str | None:
    """Milliseconds since the epoch as UTC text; None for None."""
    if time_ms is None:
        return None
    try:
        return datetime.fromtimestamp(time_ms / 1000, UTC).strftime(TIME_FORMAT)
    except (OverflowError, ValueError, OSError):  # a time no calendar has: logged by a client, kept as it is
        return str(time_ms)


def duration(start_ms: int | None, end_ms: int | None) -> str | None:
    """The time between two moments, such as 1m 05s; None when one is missing."""
    if start_ms is None or end_ms is None:
        return None
    seconds = max(0, end_ms - start_ms) / 1000
    if seconds < 60:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h {minutes:02}m" if hours else f"{minutes}m {rest:02}s"


def size(count: float) -> str:
    """Bytes, such as 3.2 MB."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def one_line(text: str) -> str:
    """Line breaks, tabs and terminal controls as escapes, so that a row is a line and a name cannot move the cursor."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)
