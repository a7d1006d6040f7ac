"""`headrace runs compare`, `series` and `correlate`: many runs beside each other."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click
from headrace.sdk.cli import export as exports
from headrace.sdk.cli.output import Failed, print_json, print_rows, say
from headrace.sdk.cli.runs import Search, search_options
from headrace.sdk.cli.target import Target, json_option, pass_target
from headrace.sdk.compare import COMPARE_PATH, CORRELATIONS_PATH
from headrace.sdk.series import PATH as SERIES_PATH
from headrace.sdk.series import plain

SECTIONS = ("attributes", "params", "metrics", "code", "environment", "packages", "datasets", "tags")
RUNS_MAX, CORRELATED_MAX = 1_000, 10_000
"""So many runs one request takes; of more that a search finds, the first."""


def _chosen(target: Target, run: tuple[str, ...], most: int, which: dict[str, Any]) -> dict[str, Any]:
    """The part of a request that names runs: by their ids, or by the options of a search. most: the request takes.

    Raises Failed where there can be none.
    """
    if run:
        return {"run_ids": list(run), "as_of": which["as_of"]}
    search = Search(target, **which)
    if which["view"] == "active" and search.names:
        return {
            "experiment_ids": list(search.names),
            "filter": which["filter_string"],
            "order_by": list(which["order_by"]),
            "max_runs": min(which["most"], most),
            "as_of": which["as_of"],
        }
    ids = [found.info.run_id for found in search.runs()]
    if not ids:
        raise Failed("no run matches")
    return {"run_ids": ids, "as_of": which["as_of"]}


@click.command()
@click.argument("run", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="What all runs have in common too.")
@click.option("--section", "sections", multiple=True, type=click.Choice(SECTIONS), help="Only this; may be repeated.")
@search_options
@json_option
@pass_target
def compare(
    target: Target,
    /,
    run: tuple[str, ...],
    everything: bool,
    sections: tuple[str, ...],
    as_json: bool,
    **which: Any,
) -> None:
    """Compare runs, by their ids or by a search: what differs in params, metrics, code, environment, data sets."""
    body = {
        **_chosen(target, run, RUNS_MAX, which),
        "only_differences": not everything,
        "sections": list(sections),
    }
    answer = target.reader().call("POST", COMPARE_PATH, json=body)
    if as_json:
        print_json(answer)
        return
    if answer["missing"]:
        say(f"no such run: {', '.join(answer['missing'])}")
    print_rows(
        ("section", "what", *(one["run_id"] for one in answer["runs"])),
        [(row["section"], f"{row['key']} {row['aggregate']}".strip(), *row["values"]) for row in answer["rows"]],
    )
    if not everything:
        say(f"{answer['equal']:,} more are the same in all runs; --all shows them")


def _band(text: str) -> str | list[float] | None:
    """A band as the request says it. Raises Failed for a text that is none."""
    if text in ("min-max", "std", "none"):
        return None if text == "none" else text
    try:
        low, high = map(float, text.split(","))
    except ValueError:
        raise Failed(f"--band is min-max, std, none or two percentiles such as 10,90, not {text!r}") from None
    return [low, high]


@click.command()
@click.argument("run", nargs=-1)
@click.option("--key", "keys", multiple=True, required=True, help="A metric; may be repeated.")
@click.option(
    "--x", type=click.Choice(["step", "time", "relative"]), default="step", show_default=True, help="What x is."
)
@click.option("--range", "between", type=float, nargs=2, help="Only x from LOWEST to HIGHEST; times in ms.")
@click.option("--buckets", type=click.IntRange(2, 2000), default=500, show_default=True, help="Rows a series, at most.")
@click.option("--raw", is_flag=True, help="Every point, a row each.")
@click.option("--group-by", multiple=True, help="Groups of runs: params.lr, status, …, may be repeated; or all.")
@click.option(
    "--band",
    default="min-max",
    show_default=True,
    metavar="min-max|std|P,Q|none",
    help="Of a group; two percentiles such as 10,90.",
)
@click.option(
    "--aggregate", type=click.Choice(["mean", "median"]), default="mean", show_default=True, help="Of a group."
)
@click.option(
    "--format", "format_", type=click.Choice(["csv", "parquet"]), help="The suffix of -o says it, or else it is csv."
)
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="The file; stdout if left out.")
@search_options
@pass_target
def series(
    target: Target,
    /,
    run: tuple[str, ...],
    keys: tuple[str, ...],
    x: str,
    between: tuple[float, float] | None,
    buckets: int,
    raw: bool,
    group_by: tuple[str, ...],
    aggregate: str,
    band: str,
    format_: str | None,
    output: Path | None,
    **which: Any,
) -> None:
    """Metrics of many runs over steps or time, as CSV or Parquet: buckets, points, or groups of runs."""
    format_ = format_ or ("parquet" if output is not None and output.suffix == ".parquet" else "csv")
    if format_ == "parquet" and output is None:
        raise Failed("Parquet is no text: name a file with -o")
    body = {
        **_chosen(target, run, RUNS_MAX, which),
        "keys": list(keys),
        "x": x,
        "range": between,
        "buckets": buckets,
        "raw": raw,
        "group_by": [] if group_by == ("all",) else list(group_by) or None,
        "aggregate": aggregate,
        "band": _band(band),
        "format": "arrow",
    }
    with exports.Sink(format_, output) as sink:
        sink.write(plain(target.reader().table(SERIES_PATH, body)))
    if output is not None:
        say(f"wrote {sink.rows:,} rows to {output}")
    else:
        sys.stdout.flush()


@click.command()
@click.argument("metric")
@click.option(
    "--aggregate",
    type=click.Choice(["last", "min", "max", "first"]),
    default="last",
    show_default=True,
    help="Which value of the metric.",
)
@click.option("--param", "params", multiple=True, help="Only this param; may be repeated.")
@search_options
@json_option
@pass_target
def correlate(
    target: Target, /, metric: str, aggregate: str, params: tuple[str, ...], as_json: bool, **which: Any
) -> None:
    """Which params go together with a METRIC, the most important first."""
    body = {
        **_chosen(target, (), CORRELATED_MAX, which),
        "metric": metric,
        "aggregate": aggregate,
        "params": list(params),
    }
    answer = target.reader().call("POST", CORRELATIONS_PATH, json=body)
    if as_json:
        print_json(answer)
        return
    columns = (
        "param", "kind", "runs", "values", "importance", "pearson", "pearson_log", "spearman", "eta",
    )  # fmt: skip
    print_rows(columns, [tuple(one[column] for column in columns) for one in answer["correlations"]])
    say(
        f"{answer['runs']:,} runs have a finite {metric}; {answer['without']:,} have none,"
        f" of {answer['not_finite']:,} it is NaN or infinite"
    )


COMMANDS = (compare, series, correlate)
"""What `headrace runs` has of them."""
