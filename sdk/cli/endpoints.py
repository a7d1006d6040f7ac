"""`headrace endpoints`: create, update, list, show, delete, logs and invoke."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click
import msgspec
from headrace.sdk import endpoints as api
from headrace.sdk.cli.output import Failed, agree, moment, one_line, print_json, print_rows, say, size
from headrace.sdk.cli.target import Target, as_of_option, json_option, pairs, pass_target

WAIT_S = 600.0
_SUFFIXES = {
    ".csv": "text/csv",
    ".parquet": "application/vnd.apache.parquet",
    ".arrow": "application/vnd.apache.arrow.stream",
}


@click.group()
def endpoints() -> None:
    """Model endpoints: what they serve, and what they are asked."""


def _changing(command: Any) -> Any:
    """The options of create and update."""
    for option in (
        click.option("--model", default="", help="The model to serve: models:/NAME@ALIAS, /STAGE or /VERSION."),
        click.option("--route", "routes", multiple=True, metavar="URI=WEIGHT", help="One of several; may be repeated."),
        click.option("--shadow", help="A model that gets a copy of the traffic; empty for none."),
        click.option(
            "--option", "options", multiple=True, metavar="NAME=VALUE", help="Such as workers=2; may be repeated."
        ),
        click.option("--wait", is_flag=True, help="Wait until what is new has loaded, or has not."),
        json_option,
    ):
        command = option(command)
    return command


@endpoints.command()
@click.argument("name")
@_changing
@pass_target
def create(target: Target, /, name: str, wait: bool, as_json: bool, **given: Any) -> None:
    """Create an endpoint for the model of --model, or for several by --route."""
    changes = _changes(**given)
    changes["shadow"] = changes["shadow"] or ""
    _tell(api.create(name, source=target.reader(), wait_s=WAIT_S if wait else 0, **changes), as_json, wait)


@endpoints.command()
@click.argument("name")
@_changing
@pass_target
def update(target: Target, /, name: str, wait: bool, as_json: bool, **given: Any) -> None:
    """Change what is given of an endpoint, and nothing else."""
    _tell(api.update(name, source=target.reader(), wait_s=WAIT_S if wait else 0, **_changes(**given)), as_json, wait)


@endpoints.command("list")
@as_of_option
@json_option
@pass_target
def list_endpoints(target: Target, as_of: str, as_json: bool) -> None:
    """List endpoints, what each of their models names and which version serves behind it."""
    found = api.list_all(as_of=as_of, source=target.reader())
    if as_json:
        print_json(found)
        return
    rows = []
    for one in found:
        for route in _routes(one):
            serving = route["serving"]
            version = serving["label"] if serving else None
            weight = route["weight"] or "shadow"
            names = route["names"]
            rows.append((one["name"], one["state"], route["model"], weight, names, version, one_line(route["reason"])))
    print_rows(("name", "state", "model", "weight", "names", "serves", "reason"), rows)


@endpoints.command()
@click.argument("name")
@as_of_option
@json_option
@pass_target
def show(target: Target, name: str, as_of: str, as_json: bool) -> None:
    """Show an endpoint: what serves, what loads and why something does not; its options, requests and workers."""
    found = api.get(name, as_of=as_of, source=target.reader())
    print_json(found) if as_json else _show(found)


@endpoints.command()
@click.argument("name", nargs=-1, required=True)
@click.option("--yes", is_flag=True, help="Do not ask.")
@pass_target
def delete(target: Target, name: tuple[str, ...], yes: bool) -> None:
    """Delete endpoints. Requests that were begun are answered; what was logged stays."""
    if not yes:
        agree(f"Delete {', '.join(name)}?")
    reader = target.reader()
    for one in name:
        api.delete(one, source=reader)
        say(f"deleted {one}")


@endpoints.command()
@click.argument("name")
@click.option("--max", "most", type=click.IntRange(1, 1000), default=20, show_default=True, help="At most so many.")
@json_option
@pass_target
def logs(target: Target, name: str, most: int, as_json: bool) -> None:
    """Show the newest logged requests and answers, newest first; log_sample says how many are logged."""
    found = api.logs(name, most, source=target.reader())
    if as_json:
        print_json(found)
        return
    rows = [
        (
            moment(one["time_ms"]),
            f"{one.get('model') or one.get('model_id')}/{one.get('version', '')}",
            one.get("status"),
            f"{one.get('latency_ms', 0):.1f} ms",
            one_line(one.get("request", "")),
            one_line(one.get("response", "")),
        )
        for one in found
    ]
    print_rows(("time (UTC)", "version", "status", "took", "request", "response"), rows)


@endpoints.command()
@click.argument("name")
@click.option("-i", "--input", "file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="The body.")
@click.option("-d", "--data", help="The body as JSON, such as '{\"inputs\": [[1, 2]]}'; stdin if neither is given.")
@click.option("--content-type", help="Of the body; the file's suffix says it, or else it is application/json.")
@pass_target
def invoke(target: Target, name: str, file: Path | None, data: str | None, content_type: str | None) -> None:
    """Ask an endpoint for predictions with a body of MLflow's scoring protocol."""
    if file is not None and data is not None:
        raise click.UsageError("give the body by -i or by -d, not by both")
    if file is not None:
        body = file.read_bytes()
        content_type = content_type or _SUFFIXES.get(file.suffix)
    else:
        body = data.encode() if data is not None else sys.stdin.buffer.read()
    print_json(api.ask(name, body, content_type or "application/json", source=target.reader()))


def _changes(model: str, routes: Iterable[str], shadow: str | None, options: Iterable[str]) -> dict[str, Any]:
    weights: dict[str, float] = {}
    for one in routes:
        uri, _, weight = one.rpartition("=")
        try:
            weights[uri] = float(weight)
        except ValueError:
            raise click.BadParameter("it takes URI=WEIGHT", param_hint="--route") from None
    given = {name: _value(value) for name, value in pairs("--option", options).items()}
    return {"model": model, "routes": weights or None, "shadow": shadow, "options": given or None}


def _value(text: str) -> Any:
    """An option's value: a number where it is one."""
    try:
        found = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text
    return found if isinstance(found, int | float) else text


def _routes(told: dict[str, Any]) -> list[dict[str, Any]]:
    return [*told["routes"], *([told["shadow"]] if told["shadow"] else [])]


def _tell(told: dict[str, Any], as_json: bool, waited: bool) -> None:
    print_json(told) if as_json else _show(told)
    if waited and told["state"] != "ready":
        reasons = [route["reason"] for route in _routes(told) if route["reason"]]
        raise Failed(f"the endpoint {told['name']} is {told['state']}: {'; '.join(reasons) or 'it loads still'}")


def _show(told: dict[str, Any]) -> None:
    rows: list[tuple[str, Any]] = [
        ("name", told["name"]),
        ("state", told["state"]),
        ("created (UTC)", moment(told["creation_time_ms"])),
        ("updated (UTC)", moment(told["last_update_time_ms"])),
    ]
    if told["serving_before"]:
        rows.append(("served before, and still", ", ".join(told["serving_before"])))
    for route in _routes(told):
        what = f"shadow {route['model']}" if route is told["shadow"] else f"{route['model']} × {route['weight']:g}"
        rows.append((what, f"{route['state']}, names {route['names'] or 'nothing'}"))
        if route["reason"]:
            rows.append(("  why", f"{route['reason']} (since {moment(route['reason_since_ms'])})"))
        for part in ("serving", "loading", "previous"):
            version = route[part]
            if version is not None:
                rows.append((f"  {part}", _of_version(version)))
    rows += [(f"options.{name}", value) for name, value in told["options"].items()]
    print_rows(("what", "value"), rows)


def _of_version(version: dict[str, Any]) -> str:
    parts = [f"{version['label']}, {version['state']} since {moment(version['since_ms'])}"]
    if version["requests"]:
        latency = f"p50 {version['p50_ms']:g} ms, p99 {version['p99_ms']:g} ms"
        parts.append(f"{version['requests']} requests, {version['errors']} errors, {latency}")
    if version["workers"]:
        memory = size(sum(worker["rss_bytes"] for worker in version["workers"]))
        parts.append(f"{len(version['workers'])} workers, {memory}, environment {version['environment']}")
    if version["restarts"]:
        parts.append(f"{version['restarts']} restarts")
    if version["reason"]:
        parts.append(version["reason"])
    return "; ".join(parts)
