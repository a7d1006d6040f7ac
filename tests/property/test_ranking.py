"""The first so many of what was found are those that sorting all of it would give."""

from __future__ import annotations

import math
from typing import Any

from headrace.api.ranking import Column, Found
from headrace.processors.runs import RunState
from hypothesis import given
from hypothesis import strategies as st

RUNS = 120
NUMBERS = st.sampled_from([None, math.nan, math.inf, -math.inf, 0.0, -0.0, 1.0, 1.5, -2.0])
WHOLE = st.sampled_from([None, 0, 1, -1, 2**53, 2**53 + 1, 2**63, -(2**70)])
TEXTS = st.sampled_from([None, "", "a", "A", "ab", "é", "\n"])


def columns(values: Any, of_text: bool) -> Any:
    listed = st.lists(values, min_size=RUNS, max_size=RUNS)
    return st.builds(Column, listed, st.booleans(), st.just(of_text))


@given(
    st.lists(st.one_of(columns(NUMBERS, False), columns(WHOLE, False), columns(TEXTS, True)), max_size=3),
    st.lists(st.tuples(st.integers(0, 10), st.integers(1, 5)), min_size=1, max_size=3),
    st.permutations(range(RUNS)),
)
def test_a_page_is_what_sorting_all_would_give(
    found: list[Column], pages: list[tuple[int, int]], ids: list[int]
) -> None:
    runs = [RunState(f"{i:03d}") for i in ids]
    expected = sorted(range(RUNS), key=lambda i: ids[i])
    for column in reversed(found):
        there = [i for i in expected if column.values[i] is not None and column.values[i] == column.values[i]]
        there.sort(key=column.values.__getitem__, reverse=not column.ascending)
        nan = [i for i in expected if column.values[i] is not None and column.values[i] != column.values[i]]
        expected = [*there, *nan, *(i for i in expected if column.values[i] is None)]
    results = Found(list(runs), found)
    for offset, limit in [*pages, (0, RUNS), *pages]:
        assert [x.run_id for x in results.page(offset, limit)] == [
            runs[i].run_id for i in expected[offset : offset + limit]
        ]
