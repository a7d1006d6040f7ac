"""The points of many series, read from the views: in memory and sorted while they fit, else how far each reaches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from headrace.api.points import Points
from headrace.processors.views import Views

Axis: TypeAlias = Literal["step", "time", "relative"]
Ints: TypeAlias = npt.NDArray[np.int64]
Floats: TypeAlias = npt.NDArray[np.float64]
Flags: TypeAlias = npt.NDArray[np.bool_]

POINTS_MAX: Final = 1_000_000
"""So many points are in memory at most for one request; where there are more, the engine puts them in buckets."""

SERIES: Final = """(
    transform(run_id, {series_runs:Array(String)}, {series_run_places:Array(Int64)}, toInt64(0))
        * toInt64(length({series_keys:Array(String)}))
    + transform(toString(key), {series_keys:Array(String)}, {series_key_places:Array(Int64)}, toInt64(0))
)"""
"""The number of a point's series, for the engine: to group by it takes a part of the time that names or a join take."""

_PLACED: Mapping[Axis, str] = {
    "step": "SELECT run_id, key, step AS x, timestamp_ms AS tie, value FROM {points}",
    "time": "SELECT run_id, key, timestamp_ms AS x, step AS tie, value FROM {points}",
    # Looking up each run's start in an array takes a fraction of the time that a join takes.
    "relative": """
        WITH (
            SELECT (arrayPushBack(groupArray(run_id), ''), arrayPushBack(groupArray(start_ms), toInt64(0))) FROM (
                SELECT run_id, argMax(start_time_ms, offset) AS start_ms
                FROM runs WHERE run_id IN {{points_runs:Array(String)}} GROUP BY run_id
            )
        ) AS starts
        SELECT run_id, key, timestamp_ms - start_ms AS x, step AS tie, value FROM (
            SELECT *, transform(run_id, starts.1, starts.2, toInt64('-9223372036854775808')) AS start_ms FROM {points}
        ) WHERE start_ms != toInt64('-9223372036854775808')
    """,
}


@dataclass(frozen=True)
class Wanted:
    """Which series: those of each run and each of points.keys, numbered run by run, from 0.

    points: of all of them. axis: what x is. range: the lowest and highest x, both included; None for all.
    """

    points: Points
    axis: Axis
    range: tuple[int, int] | None = None

    @cached_property
    def run_ids(self) -> list[str]:
        """The runs, each once, in the order they were asked for."""
        return list(dict.fromkeys(self.points.run_ids))

    @cached_property
    def keys(self) -> list[str]:
        """The keys, each once, in the order they were asked for."""
        return list(dict.fromkeys(self.points.keys))

    def __len__(self) -> int:
        return len(self.run_ids) * len(self.keys)

    def of(self, series: int) -> tuple[str, str]:
        """The run and the key of a series."""
        run, key = divmod(series, len(self.keys))
        return self.run_ids[run], self.keys[key]

    @cached_property
    def sql(self) -> str:
        """A query for its points in no order: run_id, key, x, tie, value."""
        placed = _PLACED[self.axis].format(points=self.points.sql)
        return f"SELECT * FROM ({placed})" + (
            " WHERE x BETWEEN {lo:Int64} AND {hi:Int64}" if self.range is not None else ""
        )

    @cached_property
    def parameters(self) -> dict[str, Any]:
        """What the query's parameters hold, and those of SERIES."""
        bounds = {} if self.range is None else {"lo": self.range[0], "hi": self.range[1]}
        places: dict[str, Any] = {
            "series_runs": self.run_ids,
            "series_run_places": list(range(len(self.run_ids))),
            "series_keys": self.keys,
            "series_key_places": list(range(len(self.keys))),
        }
        return {**self.points.parameters, **bounds, **places}


@dataclass(frozen=True, slots=True, eq=False)
class Placed:
    """Points in memory, sorted by series, x, tie and value: -0 comes before 0, NaN behind all.

    series: the number of each one's. tie: time where x is the step, else the step.
    """

    series: Ints
    x: Ints
    tie: Ints
    value: Floats

    def __len__(self) -> int:
        return len(self.series)

    def only(self, series: Ints) -> Placed:
        """The points of some of the series."""
        kept = np.isin(self.series, series)
        return Placed(self.series[kept], self.x[kept], self.tie[kept], self.value[kept])


@dataclass(frozen=True, slots=True, eq=False)
class Extents:
    """How far series reach: those that have points, by rising number. points: how many; lo, hi: the extremes of x."""

    series: Ints
    points: Ints
    lo: Ints
    hi: Ints


def read(views: Views, wanted: Wanted, points_max: int = POINTS_MAX) -> Placed | None:
    """The points of all series; None where there are more than points_max. Raises ViewsUnavailable."""
    sql = f"{wanted.sql} LIMIT {{points_most:UInt64}}"
    table = views.arrow(sql, {**wanted.parameters, "points_most": points_max + 1})
    if table.num_rows > points_max:
        return None
    x, tie = (table.column(name).to_numpy().astype(np.int64, copy=False) for name in ("x", "tie"))
    return in_order(_numbers(wanted, table), x, tie, table.column("value").to_numpy())


def extents(placed: Placed) -> Extents:
    """How far the series of points in memory reach."""
    starts = edges(placed.series)
    sizes = lengths(starts, len(placed))
    return Extents(placed.series[starts], sizes, placed.x[starts], placed.x[starts + sizes - 1])


def read_extents(views: Views, wanted: Wanted) -> Extents:
    """How far the series reach in the range, without reading their points. Raises ViewsUnavailable."""
    table = views.arrow(
        f"SELECT {SERIES} AS series, toInt64(count()) AS points, min(x) AS lo, max(x) AS hi FROM ({wanted.sql})"
        " GROUP BY series ORDER BY series",
        wanted.parameters,
    )
    return Extents(*_ints(table, "series", "points", "lo", "hi"))


def _ints(table: pa.Table, *names: str) -> Iterator[Ints]:
    return (table.column(name).to_numpy().astype(np.int64, copy=False) for name in names)


def told_extents(views: Views, wanted: Wanted) -> Extents | None:
    """How far the series seem to reach, by their summaries, within milliseconds: what was sent twice counts twice, and
    times may not rise with the steps. None where the summaries cannot tell. Raises ViewsUnavailable."""
    if wanted.points.cut is not None or wanted.points.links:
        return None
    x = "step" if wanted.axis == "step" else "timestamp_ms"
    table = views.arrow(
        f"SELECT {SERIES} AS series, toInt64(argMax(points, offset)) AS points, argMax(first_{x}, offset) AS lo,"
        f" argMax(last_{x}, offset) AS hi FROM metric_summary"
        " WHERE run_id IN {points_runs:Array(String)} AND key IN {points_keys:Array(String)}"
        " GROUP BY series ORDER BY series",
        wanted.parameters,
    )
    return Extents(*_ints(table, "series", "points", "lo", "hi"))


def edges(*columns: npt.NDArray[Any]) -> Ints:
    """Where a run of equal items begins, of columns that are sorted together."""
    size = len(columns[0])
    if not size:
        return np.zeros(0, np.int64)
    new = np.zeros(size, np.bool_)
    new[0] = True
    for column in columns:
        new[1:] |= column[1:] != column[:-1]
    return np.flatnonzero(new)


def lengths(begins: Ints, size: int) -> Ints:
    """How long each part is, of size items that are cut where the parts begin, the first of them at 0."""
    return np.diff(begins, append=size) if len(begins) else begins


def rank(value: Floats) -> npt.NDArray[np.uint64]:
    """Numbers that sort as float64 values do, -0 below 0; all NaN are one, the highest."""
    bits = value.view(np.uint64)
    top = np.uint64(1 << 63)
    ranks = np.where(bits & top, ~bits, bits | top)
    ranks[np.isnan(value)] = np.uint64(2**64 - 1)
    return ranks


def in_order(series: Ints, x: Ints, tie: Ints, value: Floats) -> Placed:
    """Points in their order."""
    # The table is sorted by run, key, step and time, so what the engine gives is nearly in order, and a sort that makes
    # use of that takes a tenth of one by all four columns, which few requests need.
    if not _rises(series, x):
        order = np.lexsort((x, series))
        series, x, tie, value = series[order], x[order], tie[order], value[order]
    same = np.flatnonzero((series[1:] == series[:-1]) & (x[1:] == x[:-1]))
    if len(same) and not _rises(tie, rank(value), at=same):
        order = np.lexsort((rank(value), tie, x, series))
        series, x, tie, value = series[order], x[order], tie[order], value[order]
    return Placed(series, x, tie, value)


def _rises(first: npt.NDArray[Any], second: npt.NDArray[Any], at: Ints | slice = slice(None)) -> bool:
    """Whether pairs are in order, each compared with the next. at: which of them are looked at."""
    before, after = first[:-1][at], first[1:][at]
    return bool(np.all((before < after) | ((before == after) & (second[:-1][at] <= second[1:][at]))))


def _numbers(wanted: Wanted, table: pa.Table) -> Ints:
    """The number of each row's series."""
    runs = _codes(table.column("run_id"), wanted.run_ids)
    return runs if len(wanted.keys) == 1 else runs * len(wanted.keys) + _codes(table.column("key"), wanted.keys)


def _codes(column: pa.ChunkedArray, names: Sequence[str]) -> Ints:
    """Where each item of a column stands among names."""
    place = {name: number for number, name in enumerate(names)}
    coded = column.cast(pa.string()).combine_chunks().dictionary_encode()
    places = np.array([place[name] for name in coded.dictionary.to_pylist()], np.int64)
    return places[coded.indices.to_numpy()] if len(places) else np.zeros(0, np.int64)
