"""Which server a command talks to, who said so, and the errors of talking to it as one clear line."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import click
from headrace.ingest.kafka_settings import is_kafka
from headrace.sdk.cli.output import Failed
from headrace.sdk.reader import NoServer, Reader, ReadFailed, server_of, url_of
from headrace.sdk.run import Experiment
from headrace.sdk.settings import BadSetting, Settings, config_path, resolve, with_changes
from headrace.sdk.transport import Unavailable, check_target, is_http

FLAG = "--tracking-uri"
ALL_RESULTS = 2**31

Command = TypeVar("Command", bound=Any)


@dataclass(slots=True)
class Target:
    """Where a command reads and writes. given: the flag's value, None when it was not used."""

    given: str | None = None

    def settings(self) -> Settings:
        """The SDK's settings in force for this command. Raises BadSetting."""
        return resolve({"tracking_uri": self.given})

    def uri(self) -> str:
        """The tracking URI in its normal form. Raises BadSetting."""
        given = self.settings().tracking_uri
        try:
            uri = check_target(given)
            if is_http(uri) and urlsplit(uri).port == 0:
                raise ValueError("port 0")
        except ValueError as error:
            raise error if isinstance(error, BadSetting) else BadSetting(f"{given} is no URL: {error}") from error
        return uri

    def reader(self) -> Reader:
        """A reader of the server; for a folder, of the server that runs on it or one started for this command."""
        uri = self.uri()
        if is_http(uri) or is_kafka(uri):
            return Reader(url_of(with_changes(self.settings(), tracking_uri=uri)))
        if not Path(uri).is_dir():
            raise Failed(f"there is no folder {uri}; name a server or a data folder with {FLAG}")
        return Reader(server_of(Path(uri)))

    def origin(self, environ: Mapping[str, str] = os.environ) -> str:
        """Who named the tracking URI: the flag, a variable, the settings file, or nobody (`default`)."""
        if self.given is not None:
            return FLAG
        for variable in ("HEADRACE_TRACKING_URI", "MLFLOW_TRACKING_URI"):
            if environ.get(variable):
                return variable
        return str(config_path(environ)) if "tracking_uri" in file_settings(environ) else "default"


def file_settings(environ: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """What the settings file says; empty when there is none. Raises BadSetting for a file that is not TOML."""
    path = config_path(environ)
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadSetting(f"{path} is not a TOML file: {error}") from error


@contextmanager
def clear_errors(target: Target) -> Iterator[None]:
    """Turn what can go wrong on the way to the server into one line and exit code 1."""
    try:
        yield
    except ReadFailed as error:
        if error.status == 0 and not isinstance(error, NoServer):
            raise Failed(
                f"{error.args[0]}. Start a server with `headrace server`, or name another with {FLAG}"
            ) from error
        raise Failed(str(error)) from error
    except (BadSetting, Unavailable) as error:
        raise Failed(str(error)) from error
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            raise
        raise Failed(f"{error.filename}: {error.strerror}" if error.filename else str(error)) from error


def find_experiment(reader: Reader, name_or_id: str, as_of: str = "") -> Experiment:
    """An experiment by its name, else by its id; deleted ones too. Raises Failed when there is none, or was none."""
    found = reader.experiment_by_name(name_or_id, as_of)
    if found is not None:
        return found
    asked = {"experiment_id": name_or_id, "as_of": as_of}
    try:
        answer = reader.call("GET", "/api/2.0/mlflow/experiments/get", params=asked)
    except ReadFailed as error:
        if error.status not in (400, 404) or "as_of" in str(error):
            raise
        raise Failed(f"there is no experiment with the name or id {name_or_id!r}") from error
    name = str(answer["experiment"]["name"])
    by_id = reader.experiment_by_name(name, as_of)
    if by_id is None:
        raise Failed(f"there is no experiment with the name or id {name_or_id!r}")
    return by_id


def pairs(option: str, given: Iterable[str]) -> dict[str, str]:
    """The values of an option that takes KEY=VALUE and may be repeated, by key. Raises BadParameter."""
    split = [one.partition("=") for one in given]
    if any(not key or not equals for key, equals, _ in split):
        raise click.BadParameter("it takes KEY=VALUE", param_hint=option)
    return {key: value for key, _, value in split}


def json_option(command: Command) -> Command:
    """The flag --json."""
    option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
    return option(command)


def as_of_option(command: Command) -> Command:
    """The option --as-of."""
    text = "As it was then: a time (2026-03-01T12:00Z, ms since the epoch) or positions of the log (runs/0/123)."
    option = click.option("--as-of", default="", metavar="MOMENT", help=text)
    return option(command)


pass_target = click.make_pass_decorator(Target)
