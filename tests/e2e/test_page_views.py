"""Saved views: what is shown gets a name, and shows the same in another browser; changed, renamed, deleted."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.browser import EVIL, PageServer, Tab, axe, shown

pytestmark = [pytest.mark.browser, pytest.mark.e2e]


@pytest.fixture
def experiment(page_server: PageServer, request: pytest.FixtureRequest) -> str:
    """An experiment of three runs."""
    made = page_server.experiment(request.node.name)
    for name, loss in (("tree", 3.0), ("forest", 2.0), ("linear", 1.0)):
        page_server.run(made, name, [loss])
    return made


def opener(page: Any) -> Any:
    return page.get_by_role("button", name=re.compile("^Saved views"))


def save(page: Any, name: str) -> None:
    opener(page).click()
    page.get_by_label("Name of the new view").fill(name)
    page.get_by_role("button", name="Save view").click()


def test_a_saved_view_shows_the_same_in_another_browser(
    page_server: PageServer, tab: Tab, browser: Any, experiment: str
) -> None:
    page = tab.open(page_server, f"experiments/{experiment}?filter=metrics.loss+%3C+2.5")
    shown(page.get_by_role("row").filter(has_text="tree")).to_have_count(0)
    save(page, "Good ones")
    shown(opener(page)).to_have_text("Good ones")
    address = page.url
    other = Tab(browser)
    theirs = other.open(page_server)
    theirs.get_by_role("link", name=re.compile("Good ones")).click()
    shown(theirs.get_by_role("row").filter(has_text="forest").first).to_be_visible()
    shown(theirs.get_by_role("row").filter(has_text="tree")).to_have_count(0)
    shown(opener(theirs)).to_have_text("Good ones")
    assert re.sub("[?&]view=.*", "", theirs.url) in address
    other.context.close()
    assert other.faults == []


def test_a_view_that_is_left_says_so_and_takes_the_changes(page_server: PageServer, tab: Tab, experiment: str) -> None:
    page = tab.open(page_server, f"experiments/{experiment}?sort=-metrics.loss")
    save(page, "Mine")
    shown(opener(page)).to_have_text("Mine")
    view = page.evaluate("new URLSearchParams(location.hash.split('?')[1]).get('view')")
    page.goto(f"{page_server.url}/#/experiments/{experiment}?sort=metrics.loss&view={view}")
    shown(opener(page)).to_have_text("Mine · changed")
    opener(page).click()
    axe(tab)
    page.get_by_role("button", name="Save changes to “Mine”").click()
    shown(opener(page)).to_have_text("Mine")
    kept = page_server.http.get(f"/api/headrace/v1/views/{view}").json()
    assert kept["query"] == "sort=metrics.loss"
    page.get_by_role("button", name="Undo").click()
    shown(opener(page)).to_have_text("Mine · changed")


def test_a_view_is_renamed_and_deleted_and_brought_back(page_server: PageServer, tab: Tab, experiment: str) -> None:
    page = tab.open(page_server, f"experiments/{experiment}")
    save(page, EVIL)
    shown(opener(page)).to_have_text(EVIL)
    opener(page).click()
    page.get_by_role("button", name=f"Rename {EVIL}").click()
    dialog = page.get_by_role("dialog", name=re.compile("^The view"))
    dialog.get_by_label("Name").fill("Tame")
    dialog.get_by_role("button", name="Save").click()
    shown(opener(page)).to_have_text("Tame")
    page.get_by_role("button", name="Delete Tame").click()
    shown(page.get_by_text("No views are saved yet")).to_be_visible()
    page.get_by_role("button", name="Undo").click()
    opener(page).click()
    shown(page.get_by_role("button", name="Delete Tame")).to_be_visible()
    assert page.evaluate("window.pwned") is None


def test_a_name_that_is_taken_is_refused_where_it_is_typed(page_server: PageServer, tab: Tab, experiment: str) -> None:
    page = tab.open(page_server, f"experiments/{experiment}")
    save(page, "Twice")
    shown(opener(page)).to_have_text("Twice")
    save(page, "Twice")
    shown(page.get_by_role("alert")).to_contain_text("exists already")
    tab.faults.clear()  # The browser itself tells of the answer 400.
