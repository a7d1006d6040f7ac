"""SQL over a server's documented views, as pandas or pyarrow; see docs/reference/sql.md."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from headrace.sdk.reader import Reader, arrow_table, reader

if TYPE_CHECKING:
    import httpx
    import pandas as pd
    import pyarrow as pa

ANSWER_TIMEOUT_S = 90.0
"""Longer than a server lets a statement wait and run."""
PATH = "/api/headrace/v1/sql"


def sql(
    query: str,
    *,
    output_format: str = "pandas",
    timeout_s: float | None = None,
    memory_bytes_max: int | None = None,
    rows_max: int | None = None,
) -> pd.DataFrame | pa.Table:
    """The rows of one SELECT over the documented views, as a pandas DataFrame or ("arrow") a pyarrow Table.

    timeout_s, memory_bytes_max, rows_max: limits, the server's where they are left out; over one of them the statement
    fails, and nothing is cut. In a DataFrame a map is a dict, and a time has its zone.
    Raises ReadFailed with the server's sentence, ValueError for an unknown output_format.
    """
    if output_format not in ("pandas", "arrow"):
        raise ValueError(f"output_format is 'pandas' or 'arrow', not {output_format!r}")
    limits = {"timeout_s": timeout_s, "memory_bytes_max": memory_bytes_max, "rows_max": rows_max}
    table = table_of(reader(), query, limits)
    return table if output_format == "arrow" else table.to_pandas(maps_as_pydicts="lossy")


def table_of(source: Reader, query: str, limits: dict[str, Any]) -> pa.Table:
    """The rows of a statement. limits: by the fields' names, None for the server's. Raises ReadFailed."""
    with answered(source, query, "arrow", limits) as response:
        return arrow_table(response.read())


@contextmanager
def answered(source: Reader, query: str, format: str, limits: dict[str, Any]) -> Iterator[httpx.Response]:
    """The answer of a statement in a format of the server's, to be read. Raises ReadFailed."""
    given = {name: value for name, value in limits.items() if value is not None}
    body = {"query": query, "format": format, **given}
    with source.streamed("POST", PATH, json=body, timeout=ANSWER_TIMEOUT_S) as response:
        yield response
