"""`headrace runs`: list, show, search, export, fork, move, rename, delete and restore."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import click
from headrace.sdk.cli import export as exports
from headrace.sdk.cli.experiments import VIEWS
from headrace.sdk.cli.output import Failed, agree, duration, messages, moment, print_json, print_rows, say, size
from headrace.sdk.cli.target import ALL_RESULTS, Target, as_of_option, find_experiment, json_option, pairs, pass_target
from headrace.sdk.reader import Reader, run_of
from headrace.sdk.run import Run
from rich.progress import Progress

Command = TypeVar("Command", bound=Callable[..., Any])


@click.group()
def runs() -> None:
    """List, show, search, export and change runs. RUN is a run's id."""


def search_options(command: Command) -> Command:
    """The options that say which runs, and of when."""
    return choosing_options(as_of_option(command))


def choosing_options(command: Command) -> Command:
    """The options that say which runs."""
    for option in (
        click.option("--view", type=click.Choice([*VIEWS]), default="active", show_default=True, help="Which of them."),
        click.option(
            "--max", "most", type=click.IntRange(1), default=ALL_RESULTS, show_default="all", help="At most so many."
        ),
        click.option("--order-by", multiple=True, help="Such as 'metrics.val_accuracy DESC'; may be repeated."),
        click.option(
            "--filter", "filter_string", default="", help="Such as \"metrics.val_loss < 0.2 AND params.model = 'mlp'\"."
        ),
        click.option(
            "--experiment",
            "experiments",
            multiple=True,
            metavar="NAME|ID",
            help="Only of this experiment; may be repeated. All active ones if left out.",
        ),
    ):
        command = option(command)
    return command


class Search:
    """The runs that the options of a command ask for."""

    def __init__(
        self,
        target: Target,
        experiments: tuple[str, ...],
        filter_string: str,
        order_by: tuple[str, ...],
        most: int,
        view: str,
        as_of: str,
    ) -> None:
        self.reader: Reader = target.reader()
        if experiments:
            found = [find_experiment(self.reader, one, as_of) for one in experiments]
        else:
            # A run in the bin may be of an experiment in the bin.
            of = "ACTIVE_ONLY" if view == "active" else "ALL"
            found = list(self.reader.experiments("", of, ALL_RESULTS, (), as_of))
        self.names = {one.experiment_id: one.name for one in found}
        self._arguments = (filter_string, VIEWS[view], most, order_by, as_of)

    def runs(self) -> Iterator[Run]:
        """Each of them, in order, page by page."""
        if self.names:
            for run in self.reader.runs(list(self.names), *self._arguments):
                yield run_of(run)


@runs.command("list")
@search_options
@json_option
@pass_target
def list_runs(target: Target, /, as_json: bool, **which: Any) -> None:
    """List runs, newest first: what they are and how they ended."""
    search = Search(target, **which)
    found = list(search.runs())
    if as_json:
        print_json([told(run, search.names) for run in found])
        return
    print_rows(
        ("id", "name", "experiment", "status", "started (UTC)", "duration", "user"),
        [(*_who(run, search.names), run.info.user_id) for run in found],
    )


@runs.command("search")
@search_options
@json_option
@pass_target
def search_runs(target: Target, /, as_json: bool, **which: Any) -> None:
    """Search runs and show their metrics and params beside each other."""
    search = Search(target, **which)
    found = list(search.runs())
    if as_json:
        print_json([told(run, search.names) for run in found])
        return
    metrics = sorted({key for run in found for key in run.data.metrics})
    params = sorted({key for run in found for key in run.data.params})
    print_rows(
        (
            "id", "name", "experiment", "status", "started (UTC)", "duration",
            *(f"metrics.{key}" for key in metrics), *(f"params.{key}" for key in params),
        ),
        [
            (*_who(run, search.names), *(run.data.metrics.get(k) for k in metrics), *map(run.data.params.get, params))
            for run in found
        ],
    )  # fmt: skip


@runs.command()
@click.argument("run")
@as_of_option
@json_option
@pass_target
def show(target: Target, run: str, as_of: str, as_json: bool) -> None:
    """Show all about one run: facts, params, tags, data sets, artifacts, and each metric's last, min and max.

    Artifacts are those of now, also with --as-of.
    """
    reader = target.reader()
    found = reader.run(run, as_of)
    asked = {"run_id": run, "as_of": as_of}
    metrics = reader.call("GET", "/api/headrace/v1/metrics/summary", params=asked)["metrics"]
    artifacts = list(_artifacts(reader, run, None))
    if as_json:
        shown = told(found, {})
        del shown["experiment_name"]
        print_json({**shown, "metrics": metrics, "inputs": found.inputs, "artifacts": artifacts})
        return
    info = found.info
    print_rows(
        ("what", "value"),
        [
            ("id", info.run_id),
            ("name", info.run_name),
            ("experiment", info.experiment_id),
            ("status", info.status),
            ("stage", info.lifecycle_stage),
            ("user", info.user_id),
            ("started (UTC)", moment(info.start_time)),
            ("ended (UTC)", moment(info.end_time)),
            ("duration", duration(info.start_time, info.end_time)),
            ("artifacts", info.artifact_uri),
            *((f"params.{key}", value) for key, value in sorted(found.data.params.items())),
            *((f"tags.{key}", value) for key, value in sorted(found.data.tags.items())),
            *(("data set", _data_set(one)) for one in found.inputs.get("dataset_inputs", ())),
            *(("artifact", f"{one['path']} ({size(one['file_size'])})") for one in artifacts),
        ],
    )
    if metrics:
        click.echo()
        print_rows(
            ("metric", "last", "min", "max", "points", "last step"),
            [(m["key"], m["last"], m["min"], m["max"], m["points"], m["last_step"]) for m in metrics],
        )


@runs.command()
@search_options
@click.option(
    "--format", "format_", type=click.Choice(["csv", "parquet"]), help="The suffix of -o says it, or else it is csv."
)
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="The file; stdout if left out.")
@click.option("--metrics", "points", is_flag=True, help="Every point of every metric, a row each.")
@pass_target
def export(target: Target, /, format_: str | None, output: Path | None, points: bool, **which: Any) -> None:
    """Export runs to CSV or Parquet: a row a run, with columns params.*, metrics.* and tags.*.

    With --metrics a row a point: run_id, key, step, timestamp_ms, value.
    """
    format_ = format_ or ("parquet" if output is not None and output.suffix == ".parquet" else "csv")
    if format_ == "parquet" and output is None:
        raise Failed("Parquet is no text: name a file with -o")
    search = Search(target, **which)
    found = list(search.runs())
    with exports.Sink(format_, output) as sink:
        if points:
            with Progress(console=messages(), transient=True) as progress:
                for run in progress.track(found, description="metrics"):
                    for key in sorted(run.data.metrics):
                        sink.write(exports.points(search.reader, run.info.run_id, key, which["as_of"]))
                if not found:
                    sink.write(exports.POINTS.empty_table())
        else:
            sink.write(exports.run_table(found, search.names))
    if output is not None:
        say(f"wrote {sink.rows:,} {'points' if points else 'runs'} to {output}")


@runs.command()
@click.argument("run", nargs=-1, required=True)
@click.option("--yes", is_flag=True, help="Do not ask.")
@pass_target
def delete(target: Target, run: tuple[str, ...], yes: bool) -> None:
    """Put runs in the bin; `restore` takes them out."""
    reader = target.reader()
    found = [reader.run(one) for one in run]
    if not yes:
        names = ", ".join(repr(one.info.run_name or one.info.run_id) for one in found)
        agree(f"Delete {names}?")
    for one in found:
        reader.call("POST", "/api/2.0/mlflow/runs/delete", json={"run_id": one.info.run_id})
        say(f"deleted {one.info.run_name!r} ({one.info.run_id})")


@runs.command()
@click.argument("run", nargs=-1, required=True)
@pass_target
def restore(target: Target, run: tuple[str, ...]) -> None:
    """Take runs out of the bin."""
    reader = target.reader()
    for one in [reader.run(one) for one in run]:
        reader.call("POST", "/api/2.0/mlflow/runs/restore", json={"run_id": one.info.run_id})
        say(f"restored {one.info.run_name!r} ({one.info.run_id})")


@runs.command()
@click.argument("run")
@click.option("--step", type=int, required=True, help="The last step of RUN that is the fork's too.")
@click.option("--name", default="", help="Its name; RUN's with -fork behind it if left out.")
@click.option("--param", "params", multiple=True, metavar="KEY=VALUE", help="In place of RUN's; may be repeated.")
@click.option("--tag", "tags", multiple=True, metavar="KEY=VALUE", help="In place of RUN's; may be repeated.")
@json_option
@pass_target
def fork(
    target: Target, run: str, step: int, name: str, params: tuple[str, ...], tags: tuple[str, ...], as_json: bool
) -> None:
    """Make a run that goes on from RUN behind a step: with its params, tags and points up to there, none copied."""
    body = {"run_id": run, "step": step, "name": name, "params": pairs("--param", params), "tags": pairs("--tag", tags)}
    made = run_of(target.reader().call("POST", "/api/headrace/v1/runs/fork", json=body)["run"])
    if as_json:
        print_json(told(made, {}))
    else:
        say(f"forked {run} at step {step} as {made.info.run_name!r} ({made.info.run_id})")


@runs.command()
@click.argument("run", nargs=-1, required=True)
@click.option("--to", "experiment", required=True, metavar="NAME|ID", help="The experiment they go to.")
@pass_target
def move(target: Target, run: tuple[str, ...], experiment: str) -> None:
    """Move runs to another experiment, all or none. Their artifacts stay where they are."""
    reader = target.reader()
    there = find_experiment(reader, experiment)
    body = {"run_ids": list(run), "experiment_id": there.experiment_id}
    moved = reader.call("POST", "/api/headrace/v1/runs/move", json=body)["moved"]
    say(f"moved {len(moved)} of {len(set(run))} runs to {there.name!r}; the others were there")


@runs.command()
@click.argument("run")
@click.argument("name")
@pass_target
def rename(target: Target, run: str, name: str) -> None:
    """Give a run another name."""
    target.reader().call("POST", "/api/2.0/mlflow/runs/update", json={"run_id": run, "run_name": name})
    say(f"renamed {run} to {name!r}")


def told(run: Run, names: dict[str, str]) -> dict[str, Any]:
    """A run as --json shows it. names: of experiments, by id."""
    info = run.info
    return {
        "run_id": info.run_id,
        "run_name": info.run_name,
        "experiment_id": info.experiment_id,
        "experiment_name": names.get(info.experiment_id),
        "status": info.status,
        "lifecycle_stage": info.lifecycle_stage,
        "user_id": info.user_id,
        "start_time_ms": info.start_time,
        "end_time_ms": info.end_time,
        "artifact_uri": info.artifact_uri,
        "params": run.data.params,
        "metrics": run.data.metrics,
        "tags": run.data.tags,
    }


def _who(run: Run, names: dict[str, str]) -> tuple[Any, ...]:
    info = run.info
    return (
        info.run_id,
        info.run_name,
        names.get(info.experiment_id, info.experiment_id),
        info.status,
        moment(info.start_time),
        duration(info.start_time, info.end_time),
    )


def _data_set(given: dict[str, Any]) -> str:
    data_set = given.get("dataset", {})
    context = next((tag["value"] for tag in given.get("tags", ()) if tag["key"] == "mlflow.data.context"), "")
    return f"{data_set.get('name', '')} {data_set.get('digest', '')} {context}".strip()


def _artifacts(reader: Reader, run_id: str, path: str | None) -> Iterator[dict[str, Any]]:
    """Every file below a path, with its size in bytes."""
    for entry in reader.artifacts(run_id, path):
        if entry.get("is_dir"):
            yield from _artifacts(reader, run_id, entry["path"])
        else:
            yield {"path": entry["path"], "file_size": int(entry.get("file_size") or 0)}
