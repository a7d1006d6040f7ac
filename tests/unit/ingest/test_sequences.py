"""Writers' sequences are followed the same whether they fit in memory or not."""

from __future__ import annotations

import contextlib
import tracemalloc

from headrace.ingest.sequences import Sequences
from hypothesis import given
from hypothesis import strategies as st

NOTES = st.lists(st.tuples(st.sampled_from("abcdefgh"), st.sampled_from("vw"), st.integers(1, 4)), max_size=60)


@given(NOTES, st.integers(1, 5))
def test_writers_in_the_file_are_followed_as_those_in_memory(notes: list[tuple[str, str, int]], most: int) -> None:
    with contextlib.closing(Sequences(most)) as few, contextlib.closing(Sequences()) as all_:
        assert [few.note(*note) for note in notes] == [all_.note(*note) for note in notes]
        assert few.writers == all_.writers == len({(subject, writer) for subject, writer, _ in notes})


def test_a_gap_is_counted_and_a_repeat_told() -> None:
    with contextlib.closing(Sequences()) as sequences:
        assert [sequences.note("r", "w", n) for n in (1, 2, 5, 3, 5, 6)] == [0, 0, 2, -1, -1, 0]
        assert sequences.note("other", "w", 3) == 2


def test_however_many_writers_there_are_memory_stays_bounded() -> None:
    with contextlib.closing(Sequences(5_000)) as sequences:
        tracemalloc.start()
        try:
            for number in range(60_000):
                assert sequences.note(f"run-{number}", "w", 1) == 0
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert sequences.writers == 60_000
    assert peak < 5_000 * 400
