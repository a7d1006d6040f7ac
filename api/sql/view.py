"""What a documented view is, and how one is made of what lives in this process's memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import msgspec
from headrace.api.points import Link
from headrace.processors.registered_models import RegisteredModel
from headrace.processors.registry import Experiment, LoggedModel, Registry

PARAMETER_CHARS_MAX = 30_000
"""A server takes parameters of 131,072 bytes at most, and a character may have four."""


@dataclass(frozen=True, slots=True)
class Sources:
    """What the views are made of beside the tables. links: asks which runs have points of others as their own.

    Asking may read the views, and is left until a view needs it.
    """

    registry: Registry
    links: Callable[[], Sequence[Link]] = tuple

    def experiments(self) -> list[Experiment]:
        """All experiments, those in the bin too."""
        return list(self.registry.experiments.values())

    def logged_models(self) -> list[LoggedModel]:
        """All logged models, those in the bin too."""
        return list(self.registry.logged_models.values())

    def registered_models(self) -> list[RegisteredModel]:
        """All registered models, deleted ones too."""
        return list(self.registry.models.by_id.values())


Made: TypeAlias = tuple[str, dict[str, Any]]
"""A view's query, and what its parameters hold."""


@dataclass(frozen=True, slots=True)
class View:
    """A documented view. columns: name to type. made: its query, and what the parameters in it hold."""

    name: str
    columns: dict[str, str]
    made: Callable[[Sources], Made]


TIME = "DateTime64(3, 'UTC')"
PERHAPS_TIME = f"Nullable({TIME})"
TEXTS = "Map(String, String)"


def time(column: str) -> str:
    """SQL of a time, of a column of milliseconds since the epoch."""
    return f"fromUnixTimestamp64Milli({column}, 'UTC')"


def perhaps(column: str) -> str:
    """SQL of a time that is null where the column is 0."""
    return f"if({column} = 0, NULL, {time(column)})"


def from_memory(columns: dict[str, str], name: str, found: Sequence[Sequence[Any]]) -> Made:
    """A query over JSON arrays of arrays. found: rows, each with its values in the order of the columns.

    Times come as milliseconds and become times here. Each parameter holds what a server takes in one.
    """
    kinds = {column: "Int64" if kind == TIME else kind for column, kind in columns.items()}
    row = ", ".join(f"{column} {kind}" for column, kind in kinds.items())
    chosen = ", ".join(
        f"{time(f'row.{column}')} AS {column}" if kind == TIME else f"row.{column} AS {column}"
        for column, kind in columns.items()
    )
    rows = [msgspec.json.encode(one).decode() for one in found]
    bound = {f"sql_{name}_{number}": f"[{chunk}]" for number, chunk in enumerate(_chunks(rows))}
    parsed = ", ".join(f"JSONExtract({{{parameter}:String}}, 'Array(Tuple({row}))')" for parameter in bound)
    return f"SELECT {chosen} FROM (SELECT arrayJoin(arrayConcat({parsed})) AS row)", bound


def _chunks(rows: Sequence[str]) -> list[str]:
    """The rows joined by commas, in texts that are not longer than a parameter may be, but for a row that is."""
    chunks: list[list[str]] = [[]]
    size = 0
    for row in rows:
        if size + len(row) > PARAMETER_CHARS_MAX and chunks[-1]:
            chunks.append([])
            size = 0
        chunks[-1].append(row)
        size += len(row) + 1
    return [",".join(chunk) for chunk in chunks]


def values(columns: dict[str, str], one: object) -> list[Any]:
    """A row of what has the columns as fields; a time's field ends with `_ms`."""
    return [getattr(one, f"{column}_ms" if column.endswith("_time") else column) for column in columns]
