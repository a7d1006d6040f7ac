"""Figures and the tables they are shown in."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of several rounds, with the lowest and the highest."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        if self.low == self.high or math.isnan(self.median):
            return number(self.median)
        return f"{number(self.median)} ({number(self.low)}–{number(self.high)})"


Cell: TypeAlias = str | float | Spread


@dataclass(slots=True)
class Table:
    """One table of a report: its first column names the rows."""

    title: str
    columns: list[str]
    rows: list[list[Cell]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, *cells: Cell) -> None:
        """One more row."""
        self.rows.append(list(cells))

    def markdown(self) -> str:
        """The table as Markdown, its notes below it."""
        lines = [f"### {self.title}", "", _line(self.columns), _line(["---", *["---:"] * (len(self.columns) - 1)])]
        lines += [_line([cell if isinstance(cell, str) else text(cell) for cell in row]) for row in self.rows]
        lines += ["", *(f"- {note}" for note in self.notes)] if self.notes else []
        return "\n".join(lines) + "\n"

    def plain(self) -> dict[str, Any]:
        """The table as JSON values; a spread is an object with median, min and max."""
        return {
            "title": self.title,
            "columns": self.columns,
            "rows": [[_plain(cell) for cell in row] for row in self.rows],
            "notes": self.notes,
        }


def spread(values: Sequence[float]) -> Spread:
    """The median, lowest and highest of at least one value."""
    return Spread(statistics.median(values), min(values), max(values))


def percentile(ordered: Sequence[float], share: float) -> float:
    """The value that this share (0 to 1) of a rising sequence does not exceed."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def ratio(ours: Cell, theirs: Cell) -> Cell:
    """How many times the second is the first; empty where one of them is no figure."""
    one, two = (cell.median if isinstance(cell, Spread) else cell for cell in (ours, theirs))
    if isinstance(one, str) or isinstance(two, str) or not one or not two:
        return ""
    return f"{number(two / one)}×"


def text(cell: Cell) -> str:
    """A cell for people."""
    return cell if isinstance(cell, str) else str(cell) if isinstance(cell, Spread) else number(cell)


def number(value: float) -> str:
    """Three digits that count, thousands apart."""
    if value != value:
        return "–"
    size = abs(value)
    digits = 0 if size >= 100 or value == int(value) else 1 if size >= 10 else 2 if size >= 1 else 3
    return f"{value:,.{digits}f}"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _plain(cell: Cell) -> Any:
    return {"median": cell.median, "min": cell.low, "max": cell.high} if isinstance(cell, Spread) else cell
