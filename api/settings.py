"""The server's settings: by flag, HEADRACE_* variable or default, in that order."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Settings:
    """What the server is told.

    host, port: where it listens; port 0 takes a free one. data_dir: the one folder it keeps everything in.
    log: where the log is, kafka://host:9092[/prefix]; empty is a file of data_dir.
    views: where the views are, clickhouse://host[:port]/[database]; empty is a folder of data_dir.
    body_bytes_max: the longest request body that is read, bytes; artifacts are streamed and have no limit.
    read_wait_s: how long a read waits for a view to catch up with writes before it answers 503.
    artifacts: where artifacts are kept, a URL (s3://, gs://, az://, file:///); empty is a folder of data_dir.
    heartbeat_misses: how many promised heartbeats may be missed before a run is marked failed.
    endpoint_workers_max: model workers of all endpoints together; 0 runs none here.
    endpoint_cache: the folder of models and their environments; empty is the folder serving of data_dir.
    endpoint_cache_bytes_max: of models; those in use stay, whatever they take.
    endpoint_uv: 1 where environments may be made with uv, 0 where the server's own is the only one.
    endpoint_models: which models endpoints load: registered (with a digest of their files), or any.
    endpoint_load_s: how long a model may take to load. endpoint_previous_s: how long the version before stays loaded.
    """

    host: str = "127.0.0.1"
    port: int = 5000
    data_dir: Path = Path("headrace-data")
    log: str = ""
    views: str = ""
    artifacts: str = ""
    body_bytes_max: int = 16 * 1024 * 1024
    read_wait_s: float = 10.0
    heartbeat_misses: int = 3
    endpoint_workers_max: int = 16
    endpoint_cache: str = ""
    endpoint_cache_bytes_max: int = 20 * 1024**3
    endpoint_uv: int = 1
    endpoint_models: str = "registered"
    endpoint_load_s: float = 300.0
    endpoint_previous_s: float = 300.0


def load(**given: Any) -> Settings:
    """Settings from what is given and not None, then the environment, then the defaults. Raises ValueError."""
    values: dict[str, Any] = {}
    for field in fields(Settings):
        value = given.get(field.name)
        variable = f"HEADRACE_{field.name.upper()}"
        if value is None and variable in os.environ:
            value = os.environ[variable]
        if value is None:
            continue
        kind: Any = type(field.default)
        try:
            values[field.name] = kind(value)
        except ValueError:
            raise ValueError(
                f"{variable}: {value!r} is not {'a number' if kind in (int, float) else kind.__name__}"
            ) from None
    return Settings(**values)
