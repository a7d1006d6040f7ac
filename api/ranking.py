"""The order of what a search found: the first so many of thousands are picked by columns, and only they are sorted."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from headrace.processors.runs import RunState

_SORT_ALL: Final = 8
"""Where a later page ends behind one part in so many of what was found, all of it is sorted, once."""


@dataclass(frozen=True, slots=True)
class Column:
    """What one clause orders by: a number or a text for each run, None where it has none.

    Numbers come before NaN, and what is missing comes last, in both directions.
    """

    values: Sequence[Any]
    ascending: bool
    of_text: bool

    def key(self, index: int) -> tuple[int, Any]:
        """What one run sorts by."""
        value = self.values[index]
        if value is None:
            return 2, 0
        if self.of_text:
            return 0, value if self.ascending else _Reversed(value)
        if value != value:
            return 1, 0
        return 0, value if self.ascending else -value


class Found:
    """The runs that matched, each in its place; ordered only as far as somebody looked."""

    def __init__(self, runs: list[RunState], columns: Sequence[Column]) -> None:
        """columns: the clauses of the order, one behind the other; runs that are equal in all are ordered by id."""
        self._runs = runs
        self._columns = (*columns, Column([], True, True))
        self._sorted = False

    def page(self, offset: int, limit: int) -> list[RunState]:
        """`limit` runs, behind the first `offset`."""
        end = offset + limit
        # Who looks at a second page may look at all.
        if not self._sorted and end < len(self._runs) and (offset == 0 or end * _SORT_ALL < len(self._runs)):
            first = sorted(_first(self._all_columns(), list(range(len(self._runs))), end), key=self._key)
            return [self._runs[i] for i in first[offset:end]]
        if not self._sorted:
            order = sorted(range(len(self._runs)), key=self._key)
            self._runs, self._columns, self._sorted = [self._runs[i] for i in order], (), True
        return self._runs[offset:end]

    def _all_columns(self) -> Sequence[Column]:
        return (*self._columns[:-1], Column([run.run_id for run in self._runs], True, True))

    def _key(self, index: int) -> list[Any]:
        return [*(column.key(index) for column in self._columns[:-1]), self._runs[index].run_id]


def _first(columns: Sequence[Column], indexes: list[int], count: int) -> list[int]:
    """The first `count` of these by the columns, in no order."""
    if len(indexes) <= count or not columns or count <= 0:
        return indexes if count > 0 else []
    column, *others = columns
    values = column.values
    there = [i for i in indexes if values[i] is not None]
    missing = [i for i in indexes if values[i] is None] if len(there) < len(indexes) else []
    if column.of_text:
        groups = _first_texts([values[i] for i in there], there, count, column.ascending)
    else:
        groups = _first_numbers(np.array([values[i] for i in there]), there, count, column.ascending)
    found: list[int] = []
    for group in (*groups, missing):
        found += _first(others, group, count - len(found))
    return found


def _first_texts(texts: list[str], indexes: list[int], count: int, ascending: bool) -> list[list[int]]:
    """Groups of indexes, each before the next; those inside one are equal, or all of them are among the first."""
    if len(texts) <= count:
        return [indexes]
    last = (heapq.nsmallest if ascending else heapq.nlargest)(count, texts)[-1]
    before = [i for i, x in zip(indexes, texts, strict=True) if (x < last if ascending else x > last)]
    return [before, [i for i, x in zip(indexes, texts, strict=True) if x == last]]


def _first_numbers(
    numbers: npt.NDArray[Any], indexes: list[int], count: int, ascending: bool
) -> list[list[int]]:  # fmt: skip
    """The same of numbers, of which NaN comes last."""
    places = np.array(indexes)
    nan = np.isnan(numbers) if numbers.dtype.kind == "f" else np.zeros(len(indexes), bool)
    places, unknown, numbers = places[~nan], places[nan], numbers[~nan]
    if len(places) <= count:
        return [places.tolist(), unknown.tolist()]
    at = count - 1 if ascending else len(numbers) - count
    last = np.partition(numbers, at)[at]
    before = places[numbers < last if ascending else numbers > last]
    return [before.tolist(), places[numbers == last].tolist()]


class _Reversed:
    """A text that sorts the other way round."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def __lt__(self, other: _Reversed) -> bool:
        return other.text < self.text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Reversed) and other.text == self.text

    __hash__ = None  # type: ignore[assignment]
