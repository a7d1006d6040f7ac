"""Series as they are answered: in JSON, and as tables for Arrow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from headrace.api.series_buckets import Buckets
from headrace.api.series_groups import GroupSeries
from headrace.api.series_points import Extents, Ints, Placed, Wanted
from headrace.api.structs import Value, json_values


class Series(msgspec.Struct, frozen=True):
    """One metric of one run; all lists have one item a bucket, x rising.

    points: how many lie in the range. x and x_last: of a bucket's first and last point. first and last: their values.
    min and max: over the numbers, infinities among them; null where there are none. nan: how many of count are NaN.
    NaN and infinities are the strings "NaN", "Infinity" and "-Infinity". Without bucketed, each bucket is one point;
    a point logged several times by the SDK is one bucket, and count says how often.
    """

    run_id: str
    key: str
    points: int
    bucketed: bool
    x: list[int]
    x_last: list[int]
    first: list[Value]
    last: list[Value]
    min: list[Value]
    max: list[Value]
    count: list[int]
    nan: list[int]


class GroupedSeries(msgspec.Struct, frozen=True):
    """One metric of a group of runs; all lists have one item a bucket, x rising.

    by: what its runs have in common, null for what they lack. x and x_last: of the first and last point of any of its
    runs in the bucket. value, low, high: the aggregate and its band; null where no run has a number; low and high are
    null as a whole without a band. runs: how many runs they are of. nan: how many stand at NaN there.
    """

    group: str
    by: dict[str, str | None]
    key: str
    run_ids: list[str]
    x: list[int]
    x_last: list[int]
    value: list[Value]
    low: list[Value] | None
    high: list[Value] | None
    runs: list[int]
    nan: list[int]


class SeriesResponse(msgspec.Struct, frozen=True, omit_defaults=True):
    """One series for each run and key, in the order they were asked for; for groups, only where traces were asked for.

    bucketed: whether any is. groups: one for each group and key, where groups were asked for.
    """

    series: list[Series]
    bucketed: bool
    groups: list[GroupedSeries] | None = None


class RawSeries(msgspec.Struct, frozen=True):
    """Every point of one metric of one run, by x and then by time, or by step where x is a time."""

    run_id: str
    key: str
    points: int
    x: list[int]
    step: list[int]
    value: list[Value]


class RawResponse(msgspec.Struct, frozen=True):
    """One series for each run and key, in the order they were asked for."""

    series: list[RawSeries]


def as_json(
    wanted: Wanted,
    buckets: Buckets | None,
    reach: Extents,
    cells: int,
    groups: tuple[Sequence[GroupSeries], bool] | None = None,
) -> bytes:
    """The answer in JSON. buckets: of each series, cells at most. reach: of the series. groups: and whether they have
    bands."""
    series = [] if buckets is None else each(wanted, buckets, reach, cells)
    told = None if groups is None else [_grouped(wanted, one, groups[1]) for one in groups[0]]
    return msgspec.json.encode(SeriesResponse(series, any(one.bucketed for one in series), told))


def each(wanted: Wanted, buckets: Buckets, reach: Extents, cells: int) -> list[Series]:
    """Each series by itself, those without points too. cells: the most buckets one has."""
    first, last = json_values(buckets.first), json_values(buckets.last)
    least, most = json_values(buckets.min, None), json_values(buckets.max, None)
    x, x_last, count, nan = (a.tolist() for a in (buckets.x, buckets.x_last, buckets.count, buckets.nan))
    points = dict(zip(reach.series.tolist(), reach.points.tolist(), strict=True))
    found = []
    for number, part in _parts(wanted, buckets.series):
        run_id, key = wanted.of(number)
        held = points.get(number, 0)
        found.append(
            Series(
                run_id, key, held, held > cells, x[part], x_last[part], first[part], last[part], least[part],
                most[part], count[part], nan[part],
            )
        )  # fmt: skip
    return found


def _grouped(wanted: Wanted, one: GroupSeries, band: bool) -> GroupedSeries:
    return GroupedSeries(
        one.group.name,
        dict(one.group.by),
        one.key,
        [wanted.run_ids[run] for run in one.group.runs],
        one.x.tolist(),
        one.x_last.tolist(),
        _numbers(one.value, one),
        _numbers(one.low, one) if band else None,
        _numbers(one.high, one) if band else None,
        one.runs.tolist(),
        one.nan.tolist(),
    )


def _numbers(column: npt.NDArray[np.float64], one: GroupSeries) -> list[Value]:
    """Null where no run has a number; a NaN that numbers make, such as the mean of both infinities, is one."""
    values = json_values(column)
    for place in np.flatnonzero(one.runs == 0).tolist():
        values[place] = None
    return values


def raw_json(wanted: Wanted, placed: Placed) -> bytes:
    """Every point in JSON."""
    value = json_values(placed.value)
    x, step = placed.x.tolist(), _steps(wanted, placed).tolist()
    found = []
    for number, part in _parts(wanted, placed.series):
        run_id, key = wanted.of(number)
        found.append(RawSeries(run_id, key, part.stop - part.start, x[part], step[part], value[part]))
    return msgspec.json.encode(RawResponse(found))


def _steps(wanted: Wanted, placed: Placed) -> Ints:
    return placed.x if wanted.axis == "step" else placed.tie


def _parts(wanted: Wanted, series: Ints) -> list[tuple[int, slice]]:
    """Each series, and where its rows lie."""
    ends = np.searchsorted(series, np.arange(len(wanted) + 1)).tolist()
    return [(number, slice(ends[number], ends[number + 1])) for number in range(len(wanted))]


# --- tables -----------------------------------------------------------------------------------------------------------


def table(wanted: Wanted, buckets: Buckets) -> pa.Table:
    """One row a bucket: run_id, key, x, x_last, first, last, min, max, count, nan; min and max null for none."""
    columns = {name: getattr(buckets, name) for name in ("x", "x_last", "first", "last", "min", "max", "count", "nan")}
    none = buckets.nan == buckets.count
    columns |= {name: pa.array(columns[name], mask=none) for name in ("min", "max")}
    return pa.table({**_names(wanted, buckets.series), **columns})


def raw_table(wanted: Wanted, placed: Placed) -> pa.Table:
    """One row a point: run_id, key, x, step, value."""
    return pa.table(
        {**_names(wanted, placed.series), "x": placed.x, "step": _steps(wanted, placed), "value": placed.value}
    )


def group_table(groups: Sequence[GroupSeries], band: bool) -> pa.Table:
    """One row a bucket: group, key, x, x_last, value, low, high, runs, nan; no low and high without a band."""
    sizes = [len(one) for one in groups]
    which = np.repeat(np.arange(len(groups), dtype=np.int32), sizes)
    columns: dict[str, Any] = {
        "group": _named(which, [one.group.name for one in groups]),
        "key": _named(which, [one.key for one in groups]),
    }
    numbers = ("value", "low", "high") if band else ("value",)
    none = np.concatenate([one.runs == 0 for one in groups]) if groups else np.zeros(0, np.bool_)
    for name in ("x", "x_last", *numbers, "runs", "nan"):
        parts = [getattr(one, name) for one in groups]
        dtype = np.float64 if name in numbers else np.int64
        column = np.concatenate(parts).astype(dtype, copy=False) if parts else np.zeros(0, dtype)
        columns[name] = pa.array(column, mask=none) if name in numbers else column
    return pa.table(columns)


def _names(wanted: Wanted, series: Ints) -> dict[str, pa.Array]:
    keys = max(1, len(wanted.keys))
    return {
        "run_id": _named((series // keys).astype(np.int32), wanted.run_ids),
        "key": _named((series % keys).astype(np.int32), wanted.keys),
    }


def _named(codes: npt.NDArray[np.int32], names: Sequence[str]) -> pa.DictionaryArray:
    """Names by their places; each is in the stream once, however many rows have it."""
    distinct = list(dict.fromkeys(names))
    place = {name: number for number, name in enumerate(distinct)}
    places = np.array([place[name] for name in names], np.int32)
    return pa.DictionaryArray.from_arrays(places[codes] if len(places) else codes, pa.array(distinct, pa.string()))
