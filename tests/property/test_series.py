"""Buckets and groups of series are what a plain reading of their definitions gives, whatever was logged."""

from __future__ import annotations

import math
from collections import defaultdict
from itertools import groupby
from typing import Any, Literal

import numpy as np
import pytest
from headrace.api.series_buckets import Buckets, bucketed, own_frames
from headrace.api.series_groups import Group, GroupSeries, aggregated, group_frames, summarized
from headrace.api.series_points import Placed, extents, in_order
from hypothesis import given
from hypothesis import strategies as st

KEYS = 2
INT64 = st.integers(-(2**63), 2**63 - 1)
POINT = st.tuples(
    st.integers(0, 5),  # the series: 3 runs x 2 keys
    st.integers(-20, 20) | INT64,
    st.integers(0, 3) | INT64,
    st.sampled_from([0.0, -0.0, 1.0, -1.0, math.nan, math.inf, -math.inf]) | st.floats(),
)
POINTS = st.lists(POINT, max_size=60)
CELLS = st.integers(2, 12)
Point = tuple[int, int, int, float]


def place(point: Point) -> tuple[int, int, int, bool, float, float]:
    """What points are ordered by: NaN behind all, -0 before 0."""
    series, x, tie, value = point
    nan = math.isnan(value)
    return series, x, tie, nan, 0.0 if nan else value, 0.0 if nan else math.copysign(1, value)


def placed(points: list[Point]) -> Placed:
    columns = list(zip(*points, strict=True)) or [(), (), (), ()]
    series, x, tie = (np.array(column, np.int64) for column in columns[:3])
    return in_order(series, x, tie, np.array(columns[3], np.float64))


def cell(x: int, lo: int, hi: int, cells: int) -> int:
    return min(cells - 1, math.floor((float(x) - float(lo)) * (cells / max(float(hi) - float(lo), 1.0))))


def same(a: Any, b: Any) -> bool:
    return bool(np.array_equal(np.asarray(a, np.float64), np.asarray(b, np.float64), equal_nan=True))


def rows(buckets: Buckets) -> list[tuple[Any, ...]]:
    names = ("series", "x", "x_last", "first", "last", "min", "max", "count", "nan")
    return list(zip(*(getattr(buckets, name).tolist() for name in names), strict=True))


def plain_buckets(points: list[Point], cells: int) -> list[tuple[Any, ...]]:
    found = []
    for series, held in groupby(sorted(points, key=place), key=lambda point: point[0]):
        mine = list(held)
        lo, hi = mine[0][1], mine[-1][1]
        bucket = (lambda point: cell(point[1], lo, hi, cells)) if len(mine) > cells else place  # noqa: B023
        for _, bucketed_points in groupby(mine, key=bucket):
            part = list(bucketed_points)
            numbers = [value for *_, value in part if not math.isnan(value)]
            least, most = (min(numbers), max(numbers)) if numbers else (math.nan, math.nan)
            nan = len(part) - len(numbers)
            found.append((series, part[0][1], part[-1][1], part[0][3], part[-1][3], least, most, len(part), nan))
    return found


@given(POINTS, CELLS)
def test_buckets_keep_what_a_plain_reading_keeps(points: list[Point], cells: int) -> None:
    held = placed(points)
    found, plain = rows(bucketed(held, own_frames(extents(held), cells))), plain_buckets(points, cells)
    assert len(found) == len(plain)
    assert all(same(a, b) for a, b in zip(found, plain, strict=True))


@given(st.permutations([(0, x, t, v) for x in (1, 2) for t in (5, 6) for v in (math.nan, -0.0, 0.0, -1.0)]))
def test_points_come_into_one_order_from_any(points: list[Point]) -> None:
    held = placed(points)
    plain = sorted(points, key=place)
    assert held.x.tolist() == [x for _, x, _, _ in plain]
    assert [math.copysign(1, v) for v in held.value[~np.isnan(held.value)]] == [
        math.copysign(1, v) for *_, v in plain if not math.isnan(v)
    ]


# --- groups -----------------------------------------------------------------------------------------------------------

Kind = tuple[Literal["mean", "median"], Any]


def plain_percentile(numbers: list[float], percent: float) -> float:
    at = percent / 100 * (len(numbers) - 1)
    below = math.floor(at)
    a, b = numbers[below], numbers[min(below + 1, len(numbers) - 1)]
    part = at - below
    if part == 0 or a == b:
        return a
    return a + (b - a) * part if math.isfinite(b - a) else a * (1 - part) + b * part


def plain_summary(numbers: list[float], aggregate: str, band: Any) -> tuple[float, float, float]:
    if not numbers:
        return math.nan, math.nan, math.nan
    mean = sum(numbers) / len(numbers)
    ordered = sorted(numbers)
    middle = mean if aggregate == "mean" else plain_percentile(ordered, 50)
    if band == "std":
        infinite = any(math.isinf(x) for x in numbers)
        spread = math.nan if infinite else math.sqrt(sum((x - mean) ** 2 for x in numbers) / len(numbers))
        return middle - spread, middle, middle + spread
    low, high = (0, 100) if band == "min-max" else band
    return plain_percentile(ordered, low), middle, plain_percentile(ordered, high)


def plain_group(points: list[Point], runs: tuple[int, ...], key: int, cells: int, kind: Kind) -> list[tuple[Any, ...]]:
    """One row a bucket: x, x_last, low, value, high, runs, nan."""
    mine = [p for p in sorted(points, key=place) if p[0] // KEYS in runs and p[0] % KEYS == key]
    if not mine:
        return []
    lo, hi = min(p[1] for p in mine), max(p[1] for p in mine)
    of_cell: dict[int, list[Point]] = defaultdict(list)
    for point in mine:
        of_cell[cell(point[1], lo, hi, cells)].append(point)
    found = []
    for number in sorted(of_cell):
        values = []
        for run in runs:
            own = [p for p in mine if p[0] // KEYS == run]
            before = [p for p in own if cell(p[1], lo, hi, cells) <= number]
            after = [p for p in own if cell(p[1], lo, hi, cells) >= number]
            if before and after:
                values.append(before[-1][3])
        numbers = [v for v in values if not math.isnan(v)]
        part = of_cell[number]
        found.append(
            (min(p[1] for p in part), max(p[1] for p in part), *plain_summary(numbers, *kind), len(numbers),
             len(values) - len(numbers))
        )  # fmt: skip
    return found


def group_rows(one: GroupSeries) -> list[tuple[Any, ...]]:
    names = ("x", "x_last", "low", "value", "high", "runs", "nan")
    return list(zip(*(getattr(one, name).tolist() for name in names), strict=True))


TAME = st.tuples(
    st.integers(0, 5),
    st.integers(-20, 20),
    st.integers(0, 3),
    st.sampled_from([math.nan, math.inf, -math.inf]) | st.floats(-1e6, 1e6),
)


@pytest.mark.parametrize("kind", [("mean", "min-max"), ("median", (10.0, 75.0)), ("mean", "std"), ("median", "std")])
@given(st.lists(TAME, max_size=60), CELLS, st.sampled_from([[(0, 1, 2)], [(0, 2), (1,)], [(1,)]]))
def test_groups_are_what_a_plain_reading_says(
    kind: Kind, points: list[Point], cells: int, members: list[tuple[int, ...]]
) -> None:
    held = placed(points)
    groups = [Group({}, runs) for runs in members]
    frames, owner = group_frames(extents(held), groups, KEYS, cells)
    found = aggregated(bucketed(held, frames), frames, owner, groups, ["a", "b"], *kind)
    assert [(one.group, one.key) for one in found] == [(group, key) for group in groups for key in ("a", "b")]
    for number, one in enumerate(found):
        plain = plain_group(points, members[number // KEYS], number % KEYS, cells, kind)
        got = group_rows(one)
        assert len(got) == len(plain)
        for a, b in zip(got, plain, strict=True):
            assert np.allclose(np.asarray(a, float), np.asarray(b, float), rtol=1e-9, atol=1e-6, equal_nan=True)


@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=30), st.floats(0, 50), st.floats(50, 100))
def test_percentiles_are_those_of_numpy(values: list[float], low: float, high: float) -> None:
    column = np.array(values)[:, np.newaxis]
    found = np.concatenate(summarized(column, "median", (low, high)))
    assert found == pytest.approx(np.percentile(values, (low, 50, high)), rel=1e-9, abs=1e-9)
