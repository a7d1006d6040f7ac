"""`headrace server`: everything in this process, on one data folder."""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click
from headrace.sdk.cli.output import Failed
from headrace.sdk.cli.target import file_settings
from headrace.sdk.settings import BadSetting, config_path

SERVER_PACKAGES = ("chdb", "clickhouse_connect", "fastapi", "uvicorn", "prometheus_client")


def require(extra: str, packages: tuple[str, ...], what: str) -> None:
    """Raises Failed, naming the extra to install, when one of the packages is missing."""
    missing = [package for package in packages if find_spec(package) is None]
    if missing:
        raise Failed(
            f'{what} needs packages that are not installed ({", ".join(missing)}): pip install "headrace[{extra}]"'
        )


def settings_with_file(given: Mapping[str, Any], known: Mapping[str, type], environ: Mapping[str, str]) -> Any:
    """The flags, and for what neither a flag nor a variable says, the table [server] of the settings file.

    known: each setting's type. Raises BadSetting for an unknown name or a value of another type.
    """
    path = config_path(environ)
    table = file_settings(environ).get("server", {})
    if not isinstance(table, dict):
        raise BadSetting(f"{path}: server is not a table; write [server]")
    unknown = table.keys() - known.keys()
    if unknown:
        raise BadSetting(f"{path} [server]: unknown setting {', '.join(sorted(unknown))}; known are {', '.join(known)}")
    values = dict(given)
    for name, value in table.items():
        if values.get(name) is not None or f"HEADRACE_{name.upper()}" in environ:
            continue
        try:
            values[name] = known[name](value)
        except (TypeError, ValueError):
            raise BadSetting(f"{path} [server]: {name} cannot be {value!r}; it is a {known[name].__name__}") from None
    return values


@click.command()
@click.option("--host", help="The address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65535), help="The port; 0 takes a free one.  [default: 5000]")
@click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder that everything is kept in.  [default: headrace-data]",
)
@click.option("--log", help="Where the log is: kafka://host:9092[/prefix].  [default: a file in --data-dir]")
@click.option("--views", help="Where the views are: clickhouse://host[:port]/[database].  [default: in --data-dir]")
@click.option("--artifacts", help="Where artifacts are kept, a URL.  [default: the folder artifacts of --data-dir]")
@click.option("--body-bytes-max", type=click.IntRange(1), help="The longest request body, bytes.  [default: 16777216]")
@click.option(
    "--read-wait-s",
    type=click.FloatRange(0),
    help="How long a read waits for the views to catch up with writes, seconds.  [default: 10]",
)
@click.option(
    "--heartbeat-misses",
    type=click.IntRange(1),
    help="Heartbeats a run may miss before it is marked failed.  [default: 3]",
)
@click.option(
    "--endpoint-workers-max",
    type=click.IntRange(0),
    help="Model workers of all endpoints together; 0 runs none here.  [default: 16]",
)
@click.option("--endpoint-cache", help="The folder of served models and environments.  [default: in --data-dir]")
@click.option(
    "--endpoint-cache-bytes-max", type=click.IntRange(0), help="What models may take there.  [default: 21474836480]"
)
@click.option(
    "--endpoint-uv",
    type=click.IntRange(0, 1),
    help="1: models may get environments of their own, made with uv; 0: they may not.  [default: 1]",
)
@click.option(
    "--endpoint-models",
    type=click.Choice(["registered", "any"]),
    help="Which models endpoints load: registered ones whose digest is known, or any.  [default: registered]",
)
@click.option(
    "--endpoint-load-s", type=click.FloatRange(0, min_open=True), help="How long a model may load.  [default: 300]"
)
@click.option(
    "--endpoint-previous-s",
    type=click.FloatRange(0),
    help="How long the version before stays loaded, seconds.  [default: 300]",
)
def server(**given: Any) -> None:
    """Run the server: log, processors, views, API and page in one process, until Ctrl-C or SIGTERM.

    With --log and --views on Kafka and ClickHouse it is one of any number of API replicas, and `headrace worker` folds.

    Settings come from the flag, else HEADRACE_HOST, HEADRACE_PORT, HEADRACE_DATA_DIR and so on, else the table
    [server] of the settings file. One line on stdout says when it is ready, and where.
    """
    # By name: the server is an extra, and only this command knows of it.
    settings = importlib.import_module("headrace.api.settings")
    known = {name: type(getattr(settings.Settings(), name)) for name in settings.Settings.__dataclass_fields__}
    known["data_dir"] = Path
    try:
        chosen = settings.load(**settings_with_file(given, known, os.environ))
    except ValueError as error:
        raise Failed(str(error)) from error
    # ClickHouse in the process, half a gigabyte, is for views in the data folder alone.
    packages = tuple(name for name in SERVER_PACKAGES if name != "chdb" or not chosen.views)
    require("server", packages, "the server")
    api = importlib.import_module("headrace.api.main")
    try:
        api.serve(chosen)
    except (api.CannotStart, ValueError) as error:
        raise Failed(str(error)) from error
