"""Every setting of the SDK, and where its value comes from: argument, environment variable, file, default."""

from __future__ import annotations

import dataclasses
import logging
import os
import tomllib
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

logger = logging.getLogger("headrace")

DEFAULT_TRACKING_URI = "http://127.0.0.1:5000"


class BadSetting(ValueError):
    """A setting has a value that cannot be used; the message names the setting, the value and where it came from."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the SDK can be told. Times in seconds, sizes in bytes.

    tracking_uri: where events go: `http(s)://host:port`, a local folder (a path or `file:` URI), or a log on Kafka
        (`kafka://host:port[/prefix]`).
    artifacts_uri: the server that files go to, and that reads ask, when events go straight to Kafka.
    spool_dir: where events wait on local disk until the target has them.
    flush_interval_s: how often the buffer is written to the spool; what a call accepted survives a crash after this.
    buffer_points_max: points and events kept in memory at most; beyond it new ones are dropped, counted and reported.
    spool_bytes_max: bytes the spool of one process may take on disk.
    spool_fsync: whether each write to the spool waits for the disk (survives power loss, not only a killed process).
    request_bytes_max: the longest request to a server.
    connect_timeout_s, request_timeout_s: how long a server may take to accept a connection, and to answer.
    retry_interval_min_s, retry_interval_max_s: the pause after the first failed request, and the longest pause.
    heartbeat_interval_s: how often an open run says that it is alive; 0 promises nothing.
    exit_timeout_s: how long the end of the process may wait for the target.
    offline: only write to the spool; `headrace sync` ships it later.
    adopt_orphans: ship, in the background, what processes that died left for the same target.
    record_environment: record git commit, installed packages and machine with each run.
    system_metrics, system_metrics_interval_s: sample CPU, memory, disk, network and GPU, and how often.
    capture_console: keep what the process prints with the run.
    model_cache_dir, model_cache_bytes_max: where downloaded models are kept, and how much of the disk they may take.
    allow_pickle: load models whose files are pickles, which may run any code.
    experiment_name, experiment_id: the experiment runs go to when the program names none.
    """

    tracking_uri: str = DEFAULT_TRACKING_URI
    artifacts_uri: str = ""
    spool_dir: str = ""
    flush_interval_s: float = 0.2
    buffer_points_max: int = 1_000_000
    spool_bytes_max: int = 10 * 1024**3
    spool_fsync: bool = True
    request_bytes_max: int = 8 * 1024**2
    connect_timeout_s: float = 5.0
    request_timeout_s: float = 30.0
    retry_interval_min_s: float = 0.1
    retry_interval_max_s: float = 10.0
    heartbeat_interval_s: float = 10.0
    exit_timeout_s: float = 10.0
    offline: bool = False
    adopt_orphans: bool = True
    record_environment: bool = True
    system_metrics: bool = False
    system_metrics_interval_s: float = 10.0
    capture_console: bool = False
    model_cache_dir: str = ""
    model_cache_bytes_max: int = 10 * 1024**3
    allow_pickle: bool = True
    experiment_name: str | None = None
    experiment_id: str | None = None


_TYPES = typing.get_type_hints(Settings)
_BOOLEANS = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
_POSITIVE = {
    "flush_interval_s", "buffer_points_max", "spool_bytes_max", "request_bytes_max", "connect_timeout_s",
    "request_timeout_s", "retry_interval_min_s", "retry_interval_max_s", "system_metrics_interval_s",
}  # fmt: skip


def config_path(environ: Mapping[str, str] = os.environ) -> Path:
    """The settings file: `headrace/config.toml` below $XDG_CONFIG_HOME or ~/.config."""
    return Path(environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "headrace" / "config.toml"


def default_spool_dir(environ: Mapping[str, str] = os.environ) -> str:
    """`headrace/spool` below $XDG_STATE_HOME or ~/.local/state."""
    return str(Path(environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "headrace" / "spool")


def default_model_cache_dir(environ: Mapping[str, str] = os.environ) -> str:
    """`headrace/models` below $XDG_CACHE_HOME or ~/.cache."""
    return str(Path(environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "headrace" / "models")


def resolve(arguments: Mapping[str, Any] | None = None, environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings in force: by argument, else HEADRACE_<NAME>, else the file, else MLflow's variable, else default.

    MLflow's variables (MLFLOW_TRACKING_URI, MLFLOW_EXPERIMENT_NAME, MLFLOW_EXPERIMENT_ID) rank above the file.
    An argument that is None counts as not given. Raises BadSetting for an unknown argument or a value that does not
    fit; a bad variable or file entry is an error too, since a typo there would send a training's data elsewhere.
    """
    arguments = arguments or {}
    unknown = arguments.keys() - _TYPES.keys()
    if unknown:
        raise BadSetting(f"unknown setting {', '.join(sorted(unknown))}; known are {', '.join(_TYPES)}")
    from_file = _read_file(config_path(environ))
    values: dict[str, Any] = {}
    for name, kind in _TYPES.items():
        variable = f"HEADRACE_{name.upper()}"
        mlflow_variable = f"MLFLOW_{name.upper()}"
        if arguments.get(name) is not None:
            values[name] = _fit(name, kind, arguments[name], "argument")
        elif environ.get(variable):
            values[name] = _fit(name, kind, environ[variable], variable)
        elif name in ("tracking_uri", "experiment_name", "experiment_id") and environ.get(mlflow_variable):
            values[name] = _fit(name, kind, environ[mlflow_variable], mlflow_variable)
        elif name in from_file:
            values[name] = _fit(name, kind, from_file[name], str(config_path(environ)))
    artifacts_uri = values.get("artifacts_uri", "").rstrip("/")
    if artifacts_uri and not artifacts_uri.startswith(("http://", "https://")):
        raise BadSetting(f"artifacts_uri cannot be {artifacts_uri!r}; it is a server, http(s)://host:port")
    values["artifacts_uri"] = artifacts_uri
    values.setdefault("spool_dir", default_spool_dir(environ))
    values["spool_dir"] = os.path.abspath(os.path.expanduser(values["spool_dir"]))
    values["model_cache_dir"] = os.path.abspath(
        os.path.expanduser(values.get("model_cache_dir") or default_model_cache_dir(environ))
    )
    return Settings(**values)


def with_changes(settings: Settings, **changes: Any) -> Settings:
    """The same settings but for these."""
    return dataclasses.replace(settings, **changes)


def _read_file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadSetting(f"{path} is not a TOML file: {error}") from error


def _fit(name: str, kind: Any, value: Any, origin: str) -> Any:
    """The value as the setting's type."""
    if isinstance(kind, types.UnionType):
        kind = next(option for option in typing.get_args(kind) if option is not type(None))
    try:
        if kind is bool:
            fitted: Any = value if isinstance(value, bool) else _BOOLEANS[str(value).strip().lower()]
        elif kind is str:
            fitted = str(value)
        else:
            fitted = kind(value)
            if fitted != fitted or fitted < 0 or (fitted == 0 and name in _POSITIVE):
                raise ValueError
    except (KeyError, TypeError, ValueError, OverflowError):
        raise BadSetting(f"{name} cannot be {value!r} (from {origin}); it is a {kind.__name__}") from None
    return fitted
