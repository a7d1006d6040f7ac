"""`headrace sql`: a SELECT over the server's documented views, printed or written to a file."""

from __future__ import annotations

import json
import os
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import click
import pyarrow as pa
from headrace.sdk.cli.output import Failed, plain, print_rows, say
from headrace.sdk.cli.target import Target, pass_target
from headrace.sdk.sql import PATH, answered, table_of

FORMATS = ("table", "csv", "json", "parquet", "arrow")
_SUFFIXES = {".csv": "csv", ".json": "json", ".parquet": "parquet", ".arrow": "arrow"}
_BINARY = ("parquet", "arrow")


@click.command()
@click.argument("query", required=False)
@click.option(
    "--format", "format_", type=click.Choice(FORMATS), help="The suffix of -o says it, or else it is a table."
)
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="The file; stdout if left out.")
@click.option("--views", "list_views", is_flag=True, help="List the views and their columns instead.")
@click.option("--timeout", "timeout_s", type=float, help="Let it run so long at most, seconds.")
@click.option("--memory", "memory_bytes_max", type=int, help="Let the engine use so much at most, bytes.")
@click.option("--rows", "rows_max", type=int, help="Fail when there are more rows than this.")
@pass_target
def sql(
    target: Target, /, query: str | None, format_: str | None, output: Path | None, list_views: bool, **limits: Any
) -> None:
    """Run a SELECT over the documented views. QUERY: the statement, or - to read it from stdin."""
    reader = target.reader()
    if list_views:
        views = reader.call("GET", f"{PATH}/views")["views"]
        rows = [(view["name"], column["name"], column["type"]) for view in views for column in view["columns"]]
        print_rows(("view", "column", "type"), rows)
        return
    if query is None:
        raise Failed("there is no statement; write one in quotes, or - to read it from stdin")
    if query == "-":
        query = sys.stdin.read()
    format_ = format_ or (_SUFFIXES.get(output.suffix, "csv") if output is not None else "table")
    if output is None and format_ in _BINARY and sys.stdout.isatty():
        raise Failed(f"{format_} is no text: name a file with -o")
    if output is None and format_ == "table":
        table = table_of(reader, query, limits)
        columns = [[_shown(value) for value in column] for column in _values(table)]
        print_rows(table.column_names, list(zip(*columns, strict=True)))
        return
    with answered(reader, query, format_, limits) as response:
        if output is None:
            for block in response.iter_bytes():
                sys.stdout.buffer.write(block)
            sys.stdout.buffer.flush()
            return
        # The file takes its name only once it is whole.
        part = output.with_name(f".{output.name}.{os.getpid()}.part")
        try:
            with part.open("wb") as file:
                for block in response.iter_bytes():
                    file.write(block)
            os.replace(part, output)
        finally:
            part.unlink(missing_ok=True)
    say(f"wrote {output}")


def _values(table: pa.Table) -> list[list[Any]]:
    found = []
    for column in table.columns:
        try:
            found.append(column.to_pylist(maps_as_pydicts="lossy"))
        except (OverflowError, ValueError):  # a time that no calendar of Python's has
            found.append(column.cast(pa.int64()).to_pylist())
    return found


def _shown(value: Any) -> Any:
    """A value as `print_rows` takes it; what has parts as JSON."""
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="milliseconds").removesuffix("+00:00")
    if isinstance(value, dict | list):
        return json.dumps(plain(value), ensure_ascii=False, default=str)
    return value
