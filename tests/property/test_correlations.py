"""Measures of correlation are what plain readings of their definitions give."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict

import numpy as np
import pytest
from headrace.api.correlating import correlation, eta, explained, number, pearson, ranks
from hypothesis import assume, given
from hypothesis import strategies as st

NUMBERS = st.integers(-50, 50).map(float) | st.floats(-1e3, 1e3)
PAIRS = st.lists(st.tuples(NUMBERS, NUMBERS), min_size=2, max_size=30)


@given(PAIRS)
def test_pearson_is_pythons(pairs: list[tuple[float, float]]) -> None:
    x, y = map(list, zip(*pairs, strict=True))
    found = pearson(np.array(x), np.array(y))
    try:
        plain = statistics.correlation(x, y)
    except statistics.StatisticsError:
        return
    assume(statistics.pstdev(x) > 1e-6 and statistics.pstdev(y) > 1e-6)
    assert found == pytest.approx(plain, abs=1e-6)


@given(st.lists(NUMBERS, min_size=1, max_size=30))
def test_ranks_share_what_is_equal(values: list[float]) -> None:
    plain = [sum(other < v for other in values) + (sum(other == v for other in values) + 1) / 2 for v in values]
    assert ranks(np.array(values)).tolist() == plain


@given(st.lists(st.tuples(st.sampled_from("abc"), NUMBERS), min_size=2, max_size=30))
def test_eta_is_the_root_of_the_variance_between_categories(pairs: list[tuple[str, float]]) -> None:
    categories, y = map(list, zip(*pairs, strict=True))
    by_category: dict[str, list[float]] = defaultdict(list)
    for category, value in pairs:
        by_category[category].append(value)
    mean = statistics.fmean(y)
    total = sum((value - mean) ** 2 for value in y)
    assume(total > 1e-6)
    between = sum(len(held) * (statistics.fmean(held) - mean) ** 2 for held in by_category.values())
    assert eta(categories, np.array(y)) == pytest.approx(math.sqrt(between / total), abs=1e-6)


@given(
    st.lists(st.none() | st.text(max_size=5) | st.floats().map(str) | st.integers().map(str), min_size=1, max_size=20)
)
def test_whatever_the_values_each_measure_is_in_its_bounds(values: list[str | None]) -> None:
    found = correlation("p", values, np.linspace(-1.0, 1.0, len(values)) ** 3)
    assert found.runs + found.missing == len(values)
    assert all(-1 <= r <= 1 for r in (found.pearson, found.pearson_log, found.spearman) if r is not None)
    assert all(0 <= r <= 1 for r in (found.eta, found.importance) if r is not None)


def test_numbers_of_any_size_have_a_correlation() -> None:
    x = np.array([1e308, -1e308, 5e-324, 0.0])
    assert pearson(x, x) == pytest.approx(1.0)
    assert pearson(np.array([5e-324, 0.0]), np.array([0.0, 1.0])) == pytest.approx(-1.0)


def test_what_is_a_number_and_what_is_not() -> None:
    assert [number(text) for text in ("1", " -2.5e3 ", ".5", "1.", "1e-400")] == [1.0, -2500.0, 0.5, 1.0, 0.0]
    assert [number(text) for text in ("", "nan", "inf", "1e999", "True", "1_0", "0x1", "1,5", "٣")] == [None] * 9


def test_explained_variance_is_adjusted_for_chance() -> None:
    assert explained(1.0, 3, 2) == 1.0
    assert explained(0.0, 10, 2) == 0.0
    assert explained(0.5, 11, 2) == pytest.approx(1 - 0.75 * 10 / 9)
    assert explained(1.0, 3, 3) is None
