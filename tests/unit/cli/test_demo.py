"""The demo's trainings: what is chosen, and the pictures they log."""

from __future__ import annotations

import numpy as np
from headrace.sdk.cli.demo_training import TRAININGS, contact_sheet, heat_map, trainings


def test_more_runs_than_trainings_repeat_them_with_other_seeds() -> None:
    chosen = trainings(len(TRAININGS) + 2, 0, "http://x", "spool")
    assert len({(one.data, one.name) for one in chosen}) == len(chosen)
    assert [one.seed for one in chosen[-2:]] == [1, 1]
    assert {one.tracking_uri for one in chosen} == {"http://x"}


def test_a_heat_map_is_white_where_there_is_nothing_and_deep_where_all_is() -> None:
    picture = heat_map(np.array([[4, 0], [0, 0]]), cell_pixels=8)
    assert picture.shape == (16, 16, 3)
    assert picture[4, 4].max() < 0.6
    assert (picture[4, 12] == 1).all()
    assert np.isfinite(picture).all()


def test_a_contact_sheet_has_a_place_for_each_digit() -> None:
    assert contact_sheet(np.ones((9, 64)), columns=8, scale=2).shape == (2 * 9 * 2, 8 * 9 * 2)
