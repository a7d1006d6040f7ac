"""Which kind of source a name means: an address, a file, or a folder of one kind or another."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from headrace.sdk.coming.mlflow_database import MlflowDatabase
from headrace.sdk.coming.mlflow_files import MlflowFiles
from headrace.sdk.coming.mlflow_server import MlflowServer
from headrace.sdk.coming.neptune import Neptune
from headrace.sdk.coming.source import Source, SourceFault
from headrace.sdk.coming.tensorboard import PATTERN, TensorBoard

KINDS = ("mlflow-server", "mlruns", "mlflow-db", "tensorboard", "neptune")


def open_source(name: str, kind: str | None = None, artifacts: Path | None = None, step_multiplier: int = 1) -> Source:
    """The source that a name means. kind: one of KINDS, where it cannot be seen.

    artifacts: where its files lie, if not where it says. step_multiplier: of a source whose steps have fractions.
    Raises SourceFault.
    """
    if name.startswith(("http://", "https://")):
        return MlflowServer(name)
    path = _local(name)
    match kind or _kind_of(path):
        case "mlflow-db":
            return MlflowDatabase(path, artifacts)
        case "tensorboard":
            return TensorBoard(path)
        case "neptune":
            return Neptune(path, artifacts, step_multiplier)
        case _:
            return MlflowFiles(path, artifacts)


def _local(name: str) -> Path:
    parts = urlsplit(name)
    if parts.scheme == "sqlite":
        # As SQLAlchemy has it: three slashes before a relative path, four before an absolute one.
        return Path(unquote(parts.path)[1:] if parts.path.startswith("/") else parts.path)
    if parts.scheme == "file":
        return Path(unquote(parts.path))
    if "://" in name:
        raise SourceFault(f"{name} is neither http(s)://…, sqlite:///…, file:///… nor a path")
    return Path(name).expanduser()


def _kind_of(path: Path) -> str:
    if path.is_file():
        with open(path, "rb") as file:
            head = file.read(16)
        if head == b"SQLite format 3\0":
            return "mlflow-db"
        raise SourceFault(f"{path} is no SQLite database; an import takes {', '.join(KINDS)}")
    if not path.is_dir():
        raise SourceFault(f"there is no file or folder {path}")
    if any(path.glob("*/meta.yaml")) or any(path.glob(".trash/*/meta.yaml")):
        return "mlruns"
    if any(path.glob("*/*_part_0.parquet")) or any(path.glob("*_part_0.parquet")):
        return "neptune"
    if next(path.rglob(PATTERN), None) is not None:
        return "tensorboard"
    raise SourceFault(f"{path} holds nothing that an import knows: {', '.join(KINDS)}")
