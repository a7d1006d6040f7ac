"""Tables of runs as pandas DataFrames, in the shape that MLflow's clients know."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

FRAME_COLUMNS = (
    *("run_id", "experiment_id", "status", "artifact_uri", "start_time", "end_time"),
    *("metrics.*", "params.*", "tags.*"),
)
"""The columns of MLflow's DataFrame of runs."""
_TIMES = ("start_time", "end_time")


def frame_of(table: pa.Table) -> pd.DataFrame:
    """A table of runs as a DataFrame: times in UTC; a metric that is missing is NaN, a param or tag None."""
    import pandas as pd  # 0.3 s: not at import time
    import pyarrow as pa

    columns: dict[str, Any] = {}
    for name in table.column_names:
        column = table.column(name)
        if name in _TIMES:
            ms = pd.Series(column.cast(pa.int64()).to_pylist(), dtype="Int64")
            columns[name] = pd.to_datetime(ms, unit="ms", utc=True)
        elif name.startswith("metrics."):
            columns[name] = column.to_numpy()
        elif name.startswith(("params.", "tags.")):
            # Text stays Python text, so that a missing one is None in every version of pandas.
            columns[name] = pd.Series(column.to_pylist(), dtype=object)
        else:
            columns[name] = column.to_pylist()
    return pd.DataFrame(columns)
