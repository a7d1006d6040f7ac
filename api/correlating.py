"""How params go together with a number: measures that need no model, each defined in a line."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Final, Literal

import msgspec
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

LOG_RATIO_MIN: Final = 10.0
"""Positive numbers that span so much are looked at on a logarithmic scale too."""
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?", re.ASCII)


class Correlation(msgspec.Struct, frozen=True):
    """One param and a metric, over the runs that have both.

    kind: number where every value is one, else category; constant where there is one value or none. runs: that have
    it; missing: that have the metric alone. values: how many different ones.
    pearson, spearman: from -1 to 1, of numbers; pearson_log: with the logarithm of the param, where all are positive
    and the greatest is 10 times the least or more. eta: the correlation ratio, from 0 to 1, of categories.
    importance: from 0 to 1: how much of the metric's variance the param by itself tells of, less what chance would.
    All null where they are not defined.
    """

    param: str
    kind: Literal["number", "category", "constant"]
    runs: int
    missing: int
    values: int
    pearson: float | None
    pearson_log: float | None
    spearman: float | None
    eta: float | None
    importance: float | None


def correlation(param: str, values: Sequence[str | None], metric: Floats) -> Correlation:
    """One param. values: as text, None where a run lacks it; metric: finite, of the same runs."""
    there = [place for place, value in enumerate(values) if value is not None]
    held = [value for value in values if value is not None]
    y = metric[there]
    x = np.array([value for value in map(number, held) if value is not None])
    numeric = len(x) == len(held)
    distinct = len(np.unique(x)) if numeric else len(set(held))
    kind: Literal["number", "category", "constant"]
    kind = "constant" if distinct < 2 else "number" if numeric else "category"
    linear = logarithmic = ranked = ratio = important = None
    if kind == "number":
        linear, ranked = pearson(x, y), pearson(ranks(x), ranks(y))
        least, greatest = float(x.min()), float(x.max())
        if least > 0 and greatest / least >= LOG_RATIO_MIN:
            logarithmic = pearson(np.log(x), y)
        best = max((abs(r) for r in (linear, logarithmic, ranked) if r is not None), default=None)
        important = None if best is None else explained(best, len(y), 2)
    elif kind == "category":
        ratio = eta(held, y)
        important = None if ratio is None else explained(ratio, len(y), distinct)
    missing = len(values) - len(held)
    return Correlation(param, kind, len(held), missing, distinct, linear, logarithmic, ranked, ratio, important)


def number(text: str) -> float | None:
    """The finite number that a param's text is, or None: no NaN, no infinity, no True."""
    text = text.strip()
    if len(text) > 400 or not _NUMBER.fullmatch(text):
        return None
    value = float(text)
    return value if math.isfinite(value) else None


def pearson(x: Floats, y: Floats) -> float | None:
    """Pearson's r; None where one of them does not vary."""
    x, y = _centered(x), _centered(y)
    length = math.sqrt(float(x @ x)) * math.sqrt(float(y @ y))
    return None if length == 0 else max(-1.0, min(1.0, float(x @ y) / length))


def _centered(values: Floats) -> Floats:
    """Less their mean, scaled to at most 1, so that neither great nor small numbers are lost in squares."""
    if not len(values) or (values == values[0]).all():
        return np.zeros_like(values)
    scaled = values / (np.max(np.abs(values)) or 1.0)
    less: Floats = scaled - np.mean(scaled)
    greatest = float(np.max(np.abs(less)))
    return less / greatest if greatest > 0 else less


def ranks(values: Floats) -> Floats:
    """Ranks from 1; equal values share the mean of theirs."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    shared: Floats = (last - (counts - 1) / 2.0)[place]
    return shared


def eta(categories: Sequence[str], y: Floats) -> float | None:
    """The correlation ratio: the root of the part of y's variance that lies between categories. None for constant y."""
    centered = _centered(y)
    total = float(centered @ centered)
    if total == 0:
        return None
    codes = np.unique(np.array(categories, dtype=object).astype(str), return_inverse=True)[1]
    sums, counts = np.bincount(codes, weights=centered), np.bincount(codes)
    return math.sqrt(max(0.0, min(1.0, float(np.sum(sums**2 / counts)) / total)))


def explained(r: float, runs: int, parameters: int) -> float | None:
    """The share of variance that r tells of, adjusted for what chance gives: 1 - (1 - r²)(n - 1)/(n - parameters), not
    below 0. parameters: 2 for a line, the number of categories for means. None where there are no more runs than that.
    """
    if runs <= parameters:
        return None
    return max(0.0, 1.0 - (1.0 - r * r) * (runs - 1) / (runs - parameters))
