"""Changes are told to each reader from where it stood."""

from __future__ import annotations

from headrace.processors.changes import CHANGES_MAX, Changes


def test_each_reader_is_told_what_came_since_it_looked() -> None:
    changes = Changes()
    assert changes.since(0) == (0, set())
    changes.add(["a", "b"])
    changes.add(["a"])
    assert changes.since(0) == (3, {"a", "b"})
    assert changes.since(2) == (3, {"a"})
    assert changes.since(3) == (3, set())


def test_a_reader_who_stood_too_far_back_is_told_so() -> None:
    changes = Changes()
    changes.add(map(str, range(CHANGES_MAX + 1)))
    assert changes.since(0) == (CHANGES_MAX + 1, None)
    assert changes.since(CHANGES_MAX) == (CHANGES_MAX + 1, {str(CHANGES_MAX)})
