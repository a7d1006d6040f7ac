"""Comparing runs: what differs between them, and which params go together with a metric, as DataFrames."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from headrace.sdk.chosen_runs import chosen
from headrace.sdk.reader import reader

if TYPE_CHECKING:
    import pandas as pd

COMPARE_PATH = "/api/headrace/v1/compare"
CORRELATIONS_PATH = "/api/headrace/v1/correlations"
_NUMBERS = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}


def compare(
    run_ids: Sequence[str] | None = None,
    *,
    experiment_ids: Sequence[str] | None = None,
    experiment_names: Sequence[str] | None = None,
    filter_string: str = "",
    order_by: Sequence[str] | None = None,
    max_runs: int = 100,
    only_differences: bool = True,
    sections: Sequence[str] = (),
    packages: bool | None = None,
    as_of: str = "",
) -> pd.DataFrame:
    """What differs between runs: a row a fact, a column a run, None where a run lacks it.

    run_ids: two or more; or the first max_runs (1,000 at most) that a search of experiments finds, of the active one
    unless others are named. only_differences: False for all rows. sections: only these, of attributes, params, metrics,
    code, environment, packages, datasets, tags. packages: whether installed packages take part; None: of up to 50
    runs. as_of: a time or a position of the log.

    The index has section, key, and for metrics aggregate (last, min, max). Raises ReadFailed, ValueError.
    """
    import pandas as pd

    source = reader()
    body: dict[str, Any] = {
        **chosen(source, run_ids, experiment_ids, experiment_names, filter_string, order_by, max_runs, as_of),
        "only_differences": only_differences,
        "sections": list(sections),
        "packages": packages,
    }
    answer = source.call("POST", COMPARE_PATH, json=body)
    names = ["section", "key", "aggregate"]
    index = pd.MultiIndex.from_tuples([tuple(row[name] for name in names) for row in answer["rows"]], names=names)
    rows = [_values(row) for row in answer["rows"]]
    columns = [run["run_id"] for run in answer["runs"]]
    return pd.DataFrame(rows, index=index, columns=columns, dtype=object)


def _values(row: dict[str, Any]) -> list[Any]:
    """A row's values, what JSON has no numbers for as numbers."""
    if row["section"] != "metrics":
        return list(row["values"])
    return [_NUMBERS.get(value, value) if isinstance(value, str) else value for value in row["values"]]


def correlations(
    metric: str,
    run_ids: Sequence[str] | None = None,
    *,
    aggregate: Literal["last", "min", "max", "first"] = "last",
    params: Sequence[str] = (),
    experiment_ids: Sequence[str] | None = None,
    experiment_names: Sequence[str] | None = None,
    filter_string: str = "",
    order_by: Sequence[str] | None = None,
    max_runs: int = 10_000,
    as_of: str = "",
) -> pd.DataFrame:
    """Which params go together with a metric: a row a param, the most important first.

    metric: by its last, min, max or first value. params: only these; none for all. The runs are as of compare, 10,000
    at most.

    Columns: kind (number, category, constant), runs (that have both), missing (that have the metric alone), values (how
    many different ones), pearson, pearson_log, spearman, eta, importance; NaN where one is not defined. What they are
    is in docs/reference/compare.md. `attrs` has how many runs took part (runs), lacked the metric (without), or had no
    finite value of it (not_finite). Raises ReadFailed, ValueError.
    """
    import pandas as pd

    source = reader()
    body: dict[str, Any] = {
        **chosen(source, run_ids, experiment_ids, experiment_names, filter_string, order_by, max_runs, as_of),
        "metric": metric,
        "aggregate": aggregate,
        "params": list(params),
    }
    answer = source.call("POST", CORRELATIONS_PATH, json=body)
    measures = ("pearson", "pearson_log", "spearman", "eta", "importance")
    columns = ("param", "kind", "runs", "missing", "values", *measures)
    found = pd.DataFrame(answer["correlations"], columns=list(columns)).set_index("param")
    for measure in measures:
        found[measure] = found[measure].astype("float64")
    found.attrs.update({name: answer[name] for name in ("metric", "aggregate", "runs", "without", "not_finite")})
    return found
