"""What holds on every view of the page: no serious accessibility fault, in light and dark, at every width."""

from __future__ import annotations

import pytest

from tests.browser import PageServer, Tab, axe, shown

pytestmark = [pytest.mark.browser, pytest.mark.e2e]


@pytest.fixture(scope="module")
def filled(page_server: PageServer) -> PageServer:
    """A server with an experiment of three runs."""
    experiment = page_server.experiment("churn")
    for name in ("tree", "forest", "linear"):
        page_server.run(experiment, name, [3.0, 2.0, 1.0], lr="0.1")
    return page_server


@pytest.mark.parametrize("place", ["", "system"])
def test_axe_finds_no_serious_fault(filled: PageServer, tab: Tab, place: str) -> None:
    page = tab.open(filled, place)
    shown(page.get_by_role("main")).not_to_be_empty()
    axe(tab)
