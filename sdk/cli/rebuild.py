"""`headrace rebuild`: folds the log anew beside the live views, compares, exchanges; or builds a view of the past."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol

import click
from headrace.ingest.log import LogError
from headrace.sdk.cli.log_progress import progress
from headrace.sdk.cli.output import Failed, print_json, print_rows, say
from headrace.sdk.cli.server import SERVER_PACKAGES, require
from headrace.sdk.cli.target import Target, json_option, pass_target
from headrace.sdk.reader import Reader
from headrace.sdk.transport import is_http

PATH = "/api/headrace/v1/rebuild"
TICK_S = 0.25


class _Rebuilding(Protocol):
    """What the command does to a rebuild, wherever it runs: `headrace.processors.rebuilding.Rebuilding` is one."""

    def start(self, exchange: bool, restart: bool) -> None: ...

    def bring_back(self) -> None: ...

    def drop_old(self) -> bool: ...

    def stop(self) -> None: ...

    def status(self) -> dict[str, Any]: ...


@click.command()
@click.option("--log", help="With --views: the log on Kafka, where workers write the views.")
@click.option("--views", help="With --log: the views on ClickHouse.")
@click.option("--compare-only", is_flag=True, help="Rebuild and compare, but leave readers the views they have.")
@click.option("--restart", is_flag=True, help="Begin from nothing, not where an earlier rebuild was stopped.")
@click.option("--stop", is_flag=True, help="Stop the rebuild that a server runs; the next one goes on there.")
@click.option("--bring-back", is_flag=True, help="Exchange back to the views from before the last rebuild.")
@click.option("--drop-old", is_flag=True, help="Drop the views from before the last rebuild.")
@click.option(
    "--until",
    multiple=True,
    metavar="TIME|POSITION",
    help="Build a view of the past, in --into: a time (ISO 8601 or ms), or topic/partition/offset; may be repeated.",
)
@click.option("--into", type=click.Path(file_okay=False, path_type=Path), help="The data folder that --until makes.")
@json_option
@pass_target
def rebuild(
    target: Target,
    log: str | None,
    views: str | None,
    compare_only: bool,
    restart: bool,
    stop: bool,
    bring_back: bool,
    drop_old: bool,
    until: tuple[str, ...],
    into: Path | None,
    as_json: bool,
) -> None:
    """Fold the whole log into new views beside the live ones, compare the two, and exchange them.

    Reads and writes go on meanwhile. The views from before are kept until --drop-old. Ctrl-C stops it, and it goes on
    where it was when it is run again. The server at --tracking-uri does it, or on the data folder there; views that
    workers write are named by --log and --views.
    """
    if bool(until) != (into is not None):
        raise click.UsageError("--until and --into belong together: the moment, and the folder to make of it")
    if into is not None:
        _past(target, log, until, into, as_json)
        return
    if (log is None) != (views is None):
        raise click.UsageError("--log and --views belong together")
    with ExitStack() as stack:
        place: _Rebuilding
        if log is not None and views is not None:
            place = stack.enter_context(_alone(log, views))
        else:
            place = _Served(target.reader())
        if stop:
            place.stop()
        elif drop_old:
            say("dropped" if place.drop_old() else "there were none")
        else:
            begin = place.bring_back if bring_back else lambda: place.start(not compare_only, restart)
            _tell(_watched(place, begin), as_json)


def _watched(place: _Rebuilding, begin: Callable[[], None]) -> dict[str, Any]:
    """Begin, show the progress, and return the state at the end. Raises Failed."""
    begin()
    with progress() as told:
        try:
            while (state := place.status())["state"] == "running":
                rate = f", {state['points_s']:,.0f} points/s" if state["points"] else ""
                told(f"{state['phase']}{rate}", state["records"], state["records_total"])
                time.sleep(TICK_S)
        except KeyboardInterrupt:
            place.stop()
            raise Failed("stopped; run the same command again, and it goes on where it was") from None
    if state["state"] != "done":
        raise Failed(state.get("error") or f"the rebuild ended as {state['state']}")
    return state


def _tell(state: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(state)
        return
    rows = [
        (one["table"], one["live"]["rows"], one["rebuilt"]["rows"], "equal" if one["equal"] else "DIFFERENT")
        for one in state["compared"]
    ]
    if rows:
        print_rows(("view", "rows, live", "rows, rebuilt", "checksums"), rows)
    say(
        f"{state['points']:,} points and {state['records']:,} records folded in {state['seconds']:.1f} s,"
        f" {state['points_s']:,.0f} points/s"
    )
    if state["exchanged"]:
        say(f"readers have the new views; the others are kept in {state['old']}, until `headrace rebuild --drop-old`")


class _Served:
    """A rebuild that a server runs."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def start(self, exchange: bool, restart: bool) -> None:
        self._reader.call("POST", PATH, json={"exchange": exchange, "restart": restart})

    def bring_back(self) -> None:
        self._reader.call("POST", f"{PATH}/back")

    def drop_old(self) -> bool:
        return bool(self._reader.call("DELETE", f"{PATH}/old")["dropped"])

    def stop(self) -> None:
        self._reader.call("DELETE", PATH)

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = self._reader.call("GET", PATH)
        return found


@contextmanager
def _alone(log_url: str, views_url: str) -> Iterator[_Rebuilding]:
    """A rebuild in this process, of views that workers write. What fails in it is one line."""
    require("kafka", (*SERVER_PACKAGES, "confluent_kafka"), "a rebuild")
    from headrace.ingest.opening import open_log
    from headrace.processors import standing, views
    from headrace.processors.rebuild import RebuildFailed
    from headrace.processors.rebuilding import Rebuilding

    try:
        log, live = open_log(log_url), views.open_views(views_url)
        try:
            yield Rebuilding(log, live, standing.ByHold(log, live))
        finally:
            live.close()
            log.close()
    except (LogError, views.ViewsUnavailable, views.WrongSchema, views.BadViewsUrl, RebuildFailed) as error:
        raise Failed(str(error)) from error


def _past(target: Target, log: str | None, until: tuple[str, ...], into: Path, as_json: bool) -> None:
    """Make a data folder of a log as it was at a moment, its views folded."""
    require("server", SERVER_PACKAGES, "a view of the past")
    from headrace.ingest import moments
    from headrace.processors.past import PastFailed, build_past

    try:
        moment = moments.parse(until)
    except moments.BadMoment as error:
        raise click.BadParameter(str(error), param_hint="--until") from error
    uri = log or target.uri()
    if is_http(uri):
        raise Failed(f"{uri} is a server: name its log with --log, or its data folder with --tracking-uri")
    try:
        with progress() as told:
            past = build_past(uri, moment, into, told)
    except (LogError, PastFailed) as error:
        raise Failed(str(error)) from error
    if as_json:
        print_json(past)
        return
    say(f"{into} holds the past, {past['records']:,} records: open it with `headrace server --data-dir {into}`")
