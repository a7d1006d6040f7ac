"""Buckets of series: each keeps the first, last, lowest and highest of its points exactly, and counts them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from headrace.api.series_points import SERIES, Extents, Flags, Floats, Ints, Placed, Wanted, edges, lengths, rank
from headrace.processors.views import Views


@dataclass(frozen=True, slots=True, eq=False)
class Frames:
    """How each series that has points is cut: into equal cells between lo and hi, or not at all.

    series: their numbers, rising. lo, hi: the ends of its first and last cell. cut: False where each point is a bucket
    of its own. cells: how many.
    """

    series: Ints
    lo: Ints
    hi: Ints
    cut: Flags
    cells: int


@dataclass(frozen=True, slots=True, eq=False)
class Buckets:
    """One row a bucket that has points, by series and place.

    cell: its number in its frame; 0 where that is not cut. x, x_last, first, last: of its first and last point.
    min, max: over the numbers, infinities among them, NaN where there are none. nan: how many of count are NaN.
    """

    series: Ints
    cell: Ints
    x: Ints
    x_last: Ints
    first: Floats
    last: Floats
    min: Floats
    max: Floats
    count: Ints
    nan: Ints

    def __len__(self) -> int:
        return len(self.series)


def own_frames(extents: Extents, cells: int) -> Frames:
    """Each series between its own ends, so that it is the same whatever else is asked for; not cut if it has few."""
    return Frames(extents.series, extents.lo, extents.hi, extents.points > cells, cells)


def bucketed(placed: Placed, frames: Frames) -> Buckets:
    """The buckets of points in memory, of those series that have a frame."""
    starts = edges(placed.series)
    if len(starts) != len(frames.series):
        placed = placed.only(frames.series)
        starts = edges(placed.series)
    sizes = lengths(starts, len(placed))
    cut = np.repeat(frames.cut, sizes)
    cells = np.where(cut, _cells(placed.x, np.repeat(frames.lo, sizes), np.repeat(frames.hi, sizes), frames.cells), 0)
    begins = edges(placed.series, cells) if frames.cut.all() else _begins(placed, cells, cut)
    count = lengths(begins, len(placed))
    ends = begins + count
    value, missing = placed.value, np.isnan(placed.value)
    nan: Ints = _reduced(np.add, missing.astype(np.int64), begins)
    least: Floats = _reduced(np.minimum, np.where(missing, np.inf, value), begins)
    most: Floats = _reduced(np.maximum, np.where(missing, -np.inf, value), begins)
    least[nan == count] = most[nan == count] = np.nan
    return Buckets(
        placed.series[begins], cells[begins], placed.x[begins], placed.x[ends - 1], value[begins], value[ends - 1],
        least, most, count, nan,
    )  # fmt: skip


def _cells(x: Ints, lo: Ints, hi: Ints, cells: int) -> Ints:
    """The cell each x is in. As _CELL does it, step by step, so that both give the same."""
    low = lo.astype(np.float64)
    width = np.maximum(hi.astype(np.float64) - low, 1.0)
    return np.minimum(float(cells - 1), np.floor((x.astype(np.float64) - low) * (cells / width))).astype(np.int64)


def _begins(placed: Placed, cells: Ints, cut: Flags) -> Ints:
    """Where buckets begin. Of series that are not cut, points that are equal in all they have are one."""
    new = np.zeros(len(placed), np.bool_)
    new[edges(placed.series, cells)] = True
    alone = np.zeros(len(placed), np.bool_)
    alone[edges(placed.series, placed.x, placed.tie, rank(placed.value))] = True
    return np.flatnonzero(new | (alone & ~cut))


def _reduced(function: np.ufunc, values: npt.NDArray[Any], begins: Ints) -> npt.NDArray[Any]:
    return function.reduceat(values, begins) if len(begins) else values[:0].copy()


# --- by the engine, for what is too much to hold ----------------------------------------------------------------------

# (x, tie, value) as one number that sorts as they do, NaN highest: several times faster than comparing tuples.
_PLACE = """
    toInt256(x) * toInt256('340282366920938463463374607431768211456')
    + toInt256(tie) * toInt256('18446744073709551616')
    + toInt256(multiIf(isNaN(value), 18446744073709551615,
                       reinterpretAsInt64(value) < 0, bitNot(reinterpretAsUInt64(value)),
                       bitOr(reinterpretAsUInt64(value), 9223372036854775808)))
"""
_CELL = "floor((toFloat64(x) - toFloat64(lo)) * ({cells:Float64} / greatest(toFloat64(hi) - toFloat64(lo), 1)))"


def read_bucketed(views: Views, wanted: Wanted, frames: Frames) -> Buckets:
    """The same buckets as `bucketed` makes, by the engine. Raises ViewsUnavailable."""
    # Looking up each row's frame in arrays takes a fifth of the time that a join with a table of them does.
    parameters = {
        **wanted.parameters,
        "cells": float(frames.cells),
        "frame_there": _spread(wanted, frames, np.ones_like(frames.lo)),
        "frame_lo": _spread(wanted, frames, frames.lo),
        "frame_hi": _spread(wanted, frames, frames.hi),
        "frame_cut": _spread(wanted, frames, frames.cut),
    }
    # A series that is not cut has a bucket for each of its points that differ.
    whole = bool(frames.cut.all())
    alone = "toUInt8(0)" if whole else "if(cut = 1, toInt256(0), place)"
    order = "cell" if whole else "min(place)"
    table = views.arrow(
        f"""
        SELECT
            series, cell, min(x) AS x_first, max(x) AS x_last,
            argMin(value, place) AS value_first, argMax(value, place) AS value_last,
            minIf(value, NOT isNaN(value)) AS value_min, maxIf(value, NOT isNaN(value)) AS value_max,
            toInt64(count()) AS points, toInt64(countIf(isNaN(value))) AS nan_points
        FROM (
            SELECT x, value, {_PLACE} AS place, {SERIES} AS series,
                {{frame_lo:Array(Int64)}}[series + 1] AS lo, {{frame_hi:Array(Int64)}}[series + 1] AS hi,
                {{frame_cut:Array(Int64)}}[series + 1] AS cut,
                if(cut = 1, toInt64(least({{cells:Float64}} - 1, {_CELL})), toInt64(0)) AS cell, {alone} AS alone
            FROM ({wanted.sql}) AS placed
            WHERE {{frame_there:Array(Int64)}}[series + 1] = 1
        )
        GROUP BY series, cell, alone
        ORDER BY series, {order}
        """,
        parameters,
    )
    names = (
        "series", "cell", "x_first", "x_last", "value_first", "value_last", "value_min", "value_max", "points",
        "nan_points",
    )  # fmt: skip
    found = Buckets(*(table.column(name).to_numpy().copy() for name in names))
    found.min[found.nan == found.count] = np.nan
    found.max[found.nan == found.count] = np.nan
    return found


def _spread(wanted: Wanted, frames: Frames, values: npt.NDArray[Any]) -> list[int]:
    """One of each series, 0 for those without a frame."""
    found = np.zeros(len(wanted), np.int64)
    found[frames.series] = values
    return found.tolist()


def holds(buckets: Buckets, frames: Frames, told: Extents) -> bool:
    """Whether the series in the frames reach as far as they were told to, by buckets that were made in these frames."""
    begins = edges(buckets.series)
    if not np.array_equal(buckets.series[begins], frames.series):
        return False
    of = np.searchsorted(told.series, frames.series)
    return (
        np.array_equal(_reduced(np.add, buckets.count, begins), told.points[of])
        and np.array_equal(_reduced(np.minimum, buckets.x, begins), told.lo[of])
        and np.array_equal(_reduced(np.maximum, buckets.x_last, begins), told.hi[of])
    )
