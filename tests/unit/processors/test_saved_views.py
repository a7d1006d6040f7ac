"""Saved views in the fold: names by log order, each at its path; what is wrong is refused and says why."""

from __future__ import annotations

import pytest
from headrace.ingest import events as e
from headrace.processors import saved_views
from headrace.processors.model_fold import Told
from headrace.processors.saved_views import SavedViews

A, B = "view:aaaaaaaa", "view:bbbbbbbb"
MINE = e.SavedViewCreated("Mine", "/experiments/1", "sort=loss")


def folded(*given: tuple[str, e.Event]) -> tuple[SavedViews, list[str | None]]:
    """Views after these events, each of a subject and by ada at 10, 11, …; and why each was refused."""
    held = SavedViews()
    return held, [held.fold(subject, Told(10 + i, "ada"), event) for i, (subject, event) in enumerate(given)]


def test_the_first_to_use_a_name_at_a_path_gets_it_and_a_deleted_name_is_free() -> None:
    elsewhere = e.SavedViewCreated("Mine", "/experiments/2")
    held, refusals = folded((A, MINE), (B, MINE), (B, elsewhere), (A, e.SavedViewDeleted()), ("view:cccccccc", MINE))
    assert refusals == [None, "A saved view 'Mine' of /experiments/1 exists already", None, None, None]
    assert {view.view_id: view.path for view in held.by_id.values()} == {
        "bbbbbbbb": "/experiments/2",
        "cccccccc": "/experiments/1",
    }


def test_an_update_changes_what_it_names_and_says_by_whom() -> None:
    held, refusals = folded((A, MINE), (A, e.SavedViewUpdated(name="Ours")), (B, MINE))
    assert refusals == [None, None, None]
    view = held.by_id["aaaaaaaa"]
    assert (view.name, view.query, view.creation_time_ms, view.last_update_time_ms) == ("Ours", "sort=loss", 10, 11)
    assert (view.created_by, view.updated_by) == ("ada", "ada")


def test_a_refused_update_leaves_all_as_it_was() -> None:
    held, refusals = folded((A, MINE), (B, e.SavedViewCreated("B", MINE.path)), (B, e.SavedViewUpdated("Mine")))
    assert refusals[2] == "A saved view 'Mine' of /experiments/1 exists already"
    assert held.by_id["bbbbbbbb"].name == "B"


@pytest.mark.parametrize(
    ("subject", "event", "why"),
    [
        ("aaaaaaaa", MINE, "the subject of a saved view"),
        ("view:../x", MINE, "the subject of a saved view"),
        (A, e.SavedViewCreated("  ", "/"), "it needs a name"),
        (A, e.SavedViewCreated("a", "experiments/1"), "its path begins with `/`"),
        (A, e.SavedViewCreated("a", "/#/x"), "its path begins with `/`"),
        (A, e.SavedViewCreated("a" * 201, "/"), "its name has 201 characters"),
        (A, e.SavedViewCreated("a", "/", "x" * 20_001), "its query has 20,001 characters"),
        (A, e.SavedViewUpdated("a"), "There is no saved view aaaaaaaa"),
        ("run", e.SavedViewDeleted(), "There is no saved view run"),
    ],
)
def test_what_is_wrong_is_refused_and_says_why(subject: str, event: e.Event, why: str) -> None:
    held, [refusal] = folded((subject, event))
    assert refusal is not None
    assert why in refusal
    assert not held.by_id


def test_there_are_no_more_than_are_allowed() -> None:
    held = SavedViews()
    told = Told(1, "")
    made = (e.SavedViewCreated(str(i), "/") for i in range(saved_views.VIEWS_MAX + 1))
    refusals = [held.fold(f"view:{i:08x}", told, event) for i, event in enumerate(made)]
    assert refusals[:-1] == [None] * saved_views.VIEWS_MAX
    assert "at most so many are kept" in str(refusals[-1])
