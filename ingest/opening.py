"""Opens the log that a URI or folder names."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from headrace.ingest.log import Log, LogError
from headrace.ingest.sqlite import SqliteLog

LOG_FILE = "log.db"
"""The log's name in a data folder."""


def open_log(uri: str, must_exist: bool = False) -> Log:
    """The log of a data folder (a path, `file:///folder`, or the path of its `log.db`).

    must_exist: refuse a folder without a log, rather than make one in it. Raises LogError for a URI that names no log,
    LogUnavailable when it cannot be opened now.
    """
    path = log_file(uri)
    if must_exist and not path.exists():
        raise LogError(f"there is no log in {path.parent}; name a data folder that has a {LOG_FILE}")
    return SqliteLog(path)


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
