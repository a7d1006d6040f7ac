"""Opens the log that a URI or folder names."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote, urlsplit

from headrace.ingest.kafka_settings import is_kafka
from headrace.ingest.log import HistoryLog, LogError
from headrace.ingest.sqlite import SqliteLog

LOG_FILE = "log.db"
"""The log's name in a data folder."""


def open_log(uri: str, must_exist: bool = False) -> HistoryLog:
    """The log of a data folder (a path, `file:///folder`, or the path of its `log.db`), or `kafka://host:9092[/prefix]`.

    must_exist: refuse a folder without a log, rather than make one in it. Raises LogError for a URI that names no log,
    LogUnavailable when it cannot be opened now.
    """
    if is_kafka(uri):
        require_kafka()
        from headrace.ingest.kafka import KafkaLog  # an optional extra

        return KafkaLog(uri)
    path = log_file(uri)
    if must_exist and not path.exists():
        raise LogError(f"there is no log in {path.parent}; name a data folder that has a {LOG_FILE}")
    return SqliteLog(path)


def require_kafka() -> None:
    """Raises LogError when what talks to Kafka is not installed."""
    if find_spec("confluent_kafka") is None:
        raise LogError("a kafka:// log needs packages that are not installed: pip install 'headrace[kafka]'")


def log_file(uri: str) -> Path:
    """The file of an embedded log. Raises LogError when the URI names something else."""
    parts = urlsplit(uri)
    if parts.scheme == "file":
        if parts.netloc not in ("", "localhost"):
            raise LogError(f"{uri} names another host; a folder's log is on this machine")
        folder = Path(unquote(parts.path))
    elif parts.scheme and "://" in uri:
        raise LogError(f"{uri} names no log; a log is a data folder, file:///folder or kafka://host:9092")
    else:
        folder = Path(uri).expanduser()
    return folder if folder.name == LOG_FILE and not folder.is_dir() else folder / LOG_FILE
