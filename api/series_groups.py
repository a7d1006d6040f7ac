"""Series of groups of runs: where their values lie, by bucket, on an x that all runs of a group share.

What a run counts with: in each bucket from that of its first point to that of its last, its latest point at or before
the bucket's end. So a run that logs less often than others keeps its value until its next point; one that has not begun
or has ended does not count. A NaN counts as such until the run's next point, and no mean, median or band has it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from headrace.api.errors import invalid
from headrace.api.series_buckets import Buckets, Frames
from headrace.api.series_points import Extents, Flags, Floats, Ints, edges
from headrace.processors.runs import RunState

Aggregate: TypeAlias = Literal["mean", "median"]
Band: TypeAlias = Literal["min-max", "std"] | tuple[float, float] | None

ATTRIBUTES: Final = (
    "experiment_id", "run_id", "run_name", "status", "user_id", "lifecycle_stage",
)  # fmt: skip
"""What runs can be grouped by, beside params and tags."""


@dataclass(frozen=True, slots=True)
class Group:
    """Runs that have the same in all they are grouped by. by: what they have, null where they have it not.

    runs: their places among the runs that were asked for.
    """

    by: Mapping[str, str | None]
    runs: Sequence[int]

    @property
    def name(self) -> str:
        """What the group has, as one line."""
        told = (f"{field}={json.dumps(value, ensure_ascii=False)}" for field, value in self.by.items())
        return ", ".join(told) or "all runs"


@dataclass(frozen=True, slots=True, eq=False)
class GroupSeries:
    """One key of one group; one item a bucket that has points, x rising.

    x, x_last: of the first and last point of any run in the bucket. value: the aggregate over the numbers of the runs
    that count; low, high: its band; all NaN where none has a number. runs: how many have; nan: how many stand at NaN.
    """

    group: Group
    key: str
    x: Ints
    x_last: Ints
    value: Floats
    low: Floats
    high: Floats
    runs: Ints
    nan: Ints

    def __len__(self) -> int:
        return len(self.x)


def grouped(run_ids: Sequence[str], states: Mapping[str, RunState], by: Sequence[str]) -> list[Group]:
    """The runs that there are in groups, by rising values of what they are grouped by, what lacks it last.

    by: `params.KEY`, `tags.KEY` or an attribute; none for one group of all. Raises INVALID_PARAMETER_VALUE.
    """
    fields = [(field, _field(field)) for field in by]
    found: dict[tuple[str | None, ...], list[int]] = {}
    for place, run_id in enumerate(run_ids):
        state = states.get(run_id)
        if state is not None:
            values = tuple(_value(state, kind, name) for _, (kind, name) in fields)
            found.setdefault(values, []).append(place)
    groups = []
    for values in sorted(found, key=lambda values: [(value is None, value or "") for value in values]):
        # Runs in the order of their ids, so that a sum is the same to the last bit however they were asked for.
        runs = sorted(found[values], key=run_ids.__getitem__)
        groups.append(Group(dict(zip(by, values, strict=True)), runs))
    return groups


def _field(text: str) -> tuple[str, str]:
    kind, dot, name = text.partition(".")
    if dot and kind in ("params", "tags", "attributes"):
        if len(name) > 1 and name[0] == name[-1] and name[0] in '`"':
            name = name[1:-1]
        if name and (kind != "attributes" or name in ATTRIBUTES):
            return kind, name
    elif text in ATTRIBUTES:
        return "attributes", text
    raise invalid(f"Runs are grouped by params.KEY, tags.KEY or one of {', '.join(ATTRIBUTES)}, not by '{text[:100]}'")


def _value(state: RunState, kind: str, name: str) -> str | None:
    if kind == "attributes":
        found: str = getattr(state, {"run_name": "name", "lifecycle_stage": "lifecycle"}.get(name, name))
        return found
    return (state.params if kind == "params" else state.tags).get(name)


def group_frames(extents: Extents, groups: Sequence[Group], keys: int, cells: int) -> tuple[Frames, Ints]:
    """Each series between the ends of its group's series of the same key; and which of its rows belong to what.

    keys: how many. Returns the frames of the series of runs that are in a group, and of each the number of its group's
    series: group by group, and in it key by key.
    """
    of_run = {place: number for number, group in enumerate(groups) for place in group.runs}
    numbers = [of_run.get(series // keys, -1) for series in extents.series.tolist()]
    group = np.array(numbers, np.int64)
    kept = group >= 0
    series, lo, hi = extents.series[kept], extents.lo[kept], extents.hi[kept]
    owner = group[kept] * keys + series % keys
    least = np.full(len(groups) * keys, np.iinfo(np.int64).max)
    most = np.full(len(groups) * keys, np.iinfo(np.int64).min)
    np.minimum.at(least, owner, lo)
    np.maximum.at(most, owner, hi)
    return Frames(series, least[owner], most[owner], np.ones(len(series), np.bool_), cells), owner


def aggregated(
    buckets: Buckets,
    frames: Frames,
    owner: Ints,
    groups: Sequence[Group],
    keys: Sequence[str],
    aggregate: Aggregate,
    band: Band,
) -> list[GroupSeries]:
    """The series of each group and key, from the buckets of its runs; those without points have none."""
    of_row = owner[np.searchsorted(frames.series, buckets.series)]
    found = []
    for number in range(len(groups) * len(keys)):
        rows = np.flatnonzero(of_row == number)
        group = groups[number // len(keys)]
        found.append(_one(buckets, rows, group, keys, number % len(keys), aggregate, band))
    return found


def _one(
    buckets: Buckets, rows: Ints, group: Group, keys: Sequence[str], key: int, aggregate: Aggregate, band: Band
) -> GroupSeries:
    line = {place: number for number, place in enumerate(group.runs)}
    lines = np.array([line[series // len(keys)] for series in buckets.series[rows].tolist()], np.int64)
    cells, columns = np.unique(buckets.cell[rows], return_inverse=True)
    order = np.argsort(columns, kind="stable")
    begins = edges(columns[order])
    x, x_last = buckets.x[rows][order], buckets.x_last[rows][order]
    values, counts = _carried(lines, columns, buckets.last[rows], (len(group.runs), len(cells)))
    numbers = counts & ~np.isnan(values)
    low, middle, high = summarized(np.where(numbers, values, np.nan), aggregate, band)
    return GroupSeries(
        group,
        keys[key],
        np.minimum.reduceat(x, begins) if len(begins) else x,
        np.maximum.reduceat(x_last, begins) if len(begins) else x_last,
        middle,
        low,
        high,
        numbers.sum(axis=0),
        (counts & ~numbers).sum(axis=0),
    )


def _carried(lines: Ints, columns: npt.NDArray[np.intp], last: Floats, shape: tuple[int, int]) -> tuple[Floats, Flags]:
    """What each run stands at in each bucket, and whether it counts there: from its first bucket to its last."""
    values = np.full(shape, np.nan)
    there = np.zeros(shape, np.bool_)
    values[lines, columns] = last
    there[lines, columns] = True
    latest = np.maximum.accumulate(np.where(there, np.arange(shape[1]), -1), axis=1)
    to_come = np.logical_or.accumulate(there[:, ::-1], axis=1)[:, ::-1]
    return np.take_along_axis(values, np.maximum(latest, 0), axis=1), (latest >= 0) & to_come


def summarized(values: Floats, aggregate: Aggregate, band: Band) -> tuple[Floats, Floats, Floats]:
    """Lower end, aggregate and upper end of each column's numbers, NaN left out; all NaN where there are none.

    values: (runs, buckets). Percentiles lie between two values by their distance, as numpy's do. std is that of the
    population, about the aggregate.
    """
    ordered = np.sort(values, axis=0)
    counts = (~np.isnan(values)).sum(axis=0)
    with np.errstate(all="ignore"):
        mean = np.nansum(values, axis=0) / counts
        middle = percentile(ordered, counts, 50.0) if aggregate == "median" else mean
        if band == "std":
            spread = np.sqrt(np.nansum((values - mean) ** 2, axis=0) / counts)
            # Infinite values have no spread, though those that are all the same would leave only NaN to sum up.
            spread[np.isinf(values).any(axis=0)] = np.nan
            low, high = middle - spread, middle + spread
        else:
            ends = (0.0, 100.0) if band == "min-max" or band is None else band
            low, high = (percentile(ordered, counts, end) for end in ends)
    nothing = counts == 0
    for column in (low, middle, high):
        column[nothing] = np.nan
    return low, middle, high


def percentile(ordered: Floats, counts: Ints, percent: float) -> Floats:
    """A percentile of each column. ordered: rising, NaN last; counts: of each column's numbers."""
    place = percent / 100.0 * np.maximum(counts - 1, 0)
    below = np.floor(place).astype(np.int64)
    above = np.minimum(below + 1, np.maximum(counts - 1, 0))
    part = place - below
    if not len(ordered):
        return np.full(ordered.shape[1], np.nan)
    a = np.take_along_axis(ordered, below[np.newaxis], axis=0)[0]
    b = np.take_along_axis(ordered, above[np.newaxis], axis=0)[0]
    distance = b - a
    between = np.where(np.isfinite(distance), a + distance * part, a * (1.0 - part) + b * part)
    found: Floats = np.where((part == 0) | (a == b), a, between)
    return found
