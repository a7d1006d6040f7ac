"""Inserts that are all or nothing: however many rows, one block and so one part."""

from __future__ import annotations

from collections.abc import Sequence

from headrace.processors.schema import literal, quoted, tables

_ROWS = 1_000_000_000
ONE_PART = {
    # A block is cut, and blocks are joined, at this many rows; by size (0: no bound) neither.
    "max_insert_block_size": _ROWS,
    "min_insert_block_size_rows": _ROWS,
    "min_insert_block_size_bytes": 0,
    # Several threads would write a part each, and the server's own batching would answer before it is stored.
    "max_insert_threads": 1,
    "async_insert": 0,
}
"""Settings of every insert."""


def insert_statement(table: str, columns: Sequence[str], guard: str | None, source: str = "input({})") -> str:
    """The INSERT without its FORMAT. source: where a guarded one selects from, {} standing for the structure."""
    names = ", ".join(map(quoted, columns))
    sql = f"INSERT INTO {table} ({names})"
    if guard is None:
        return sql
    types = tables()[table].columns
    structure = ", ".join(f"{quoted(name)} {types[name]}" for name in columns)
    return f"{sql} SELECT {names} FROM {source.format(literal(structure))} WHERE {guard}"
