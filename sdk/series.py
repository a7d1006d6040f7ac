"""Series: metrics of many runs over steps or time, as one pandas DataFrame or Arrow table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from headrace.sdk.chosen_runs import chosen
from headrace.sdk.reader import reader

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

PATH = "/api/headrace/v1/series"


def series(
    run_ids: str | Sequence[str] | None = None,
    keys: str | Sequence[str] = (),
    *,
    experiment_ids: Sequence[str] | None = None,
    experiment_names: Sequence[str] | None = None,
    filter_string: str = "",
    order_by: Sequence[str] | None = None,
    max_runs: int = 100,
    x: Literal["step", "time", "relative"] = "step",
    range: tuple[float, float] | None = None,
    buckets: int = 500,
    raw: bool = False,
    group_by: str | Sequence[str] | None = None,
    aggregate: Literal["mean", "median"] = "mean",
    band: Literal["min-max", "std"] | tuple[float, float] | None = "min-max",
    as_of: str = "",
    output_format: Literal["pandas", "arrow"] = "pandas",
) -> pd.DataFrame | pa.Table:
    """Metrics of many runs in one table: a row a bucket, or with raw a row a point.

    run_ids: the runs; or the first max_runs (1,000 at most) that a search of experiments finds, of the active one
    unless others are named. keys: the metrics. x: `step`, `time` or `relative` (to the run's start). range: the lowest
    and highest x, both included; times in ms. buckets: a series with at most so many points comes point by point.
    group_by: such as "params.lr" or ["params.model", "tags.team"]; `[]` for one group of all: then rows are of groups.
    as_of: a time or a position of the log.

    Columns: run_id, key, x, x_last, first, last, min, max, count, nan; with raw run_id, key, x, step, value; with
    group_by group, key, x, x_last, value, low, high, runs, nan. In a DataFrame a time is a timestamp in UTC and a
    relative one a timedelta; in an Arrow table both are ms. docs/reference/series.md has what buckets and groups are.
    Raises ReadFailed, ValueError.
    """
    if output_format not in ("pandas", "arrow"):
        raise ValueError(f"output_format is 'pandas' or 'arrow', not {output_format!r}")
    source = reader()
    body: dict[str, Any] = {
        **chosen(source, run_ids, experiment_ids, experiment_names, filter_string, order_by, max_runs, as_of),
        "keys": [keys] if isinstance(keys, str) else list(keys),
        "x": x,
        "range": None if range is None else list(range),
        "buckets": buckets,
        "raw": raw,
        "group_by": [group_by] if isinstance(group_by, str) else None if group_by is None else list(group_by),
        "aggregate": aggregate,
        "band": list(band) if isinstance(band, tuple) else band,
        "format": "arrow",
    }
    table = plain(source.table(PATH, body))
    return table if output_format == "arrow" else _frame(table, x)


def plain(table: pa.Table) -> pa.Table:
    """The table with names as text, where they came as numbers of a dictionary."""
    import pyarrow as pa

    for place, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type):
            table = table.set_column(place, field.name, table.column(place).cast(pa.string()))
    return table


def _frame(table: pa.Table, x: str) -> pd.DataFrame:
    import pyarrow as pa

    kind = {"time": pa.timestamp("ms", "UTC"), "relative": pa.duration("ms")}.get(x)
    for name in ("x", "x_last"):
        if kind is not None and name in table.column_names:
            place = table.column_names.index(name)
            table = table.set_column(place, name, table.column(name).cast(kind))
    frame: pd.DataFrame = table.to_pandas()
    return frame
