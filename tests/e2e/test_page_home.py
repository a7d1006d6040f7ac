"""The first page: every experiment and what goes on in it, by someone who types and clicks."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.browser import PageServer, Tab, shown

pytestmark = [pytest.mark.browser, pytest.mark.e2e]


@pytest.fixture(scope="module")
def filled(page_server: PageServer) -> PageServer:
    """A server with two experiments, of two runs and of none."""
    experiment = page_server.experiment("with runs")
    for name in ("a", "b"):
        page_server.run(experiment, name, [1.0])
    page_server.experiment("without")
    return page_server


def row(page: Any, name: str) -> Any:
    return page.get_by_role("row").filter(has=page.get_by_role("link", name=name, exact=True))


def test_an_experiment_shows_how_many_runs_it_has_and_leads_to_them(filled: PageServer, tab: Tab) -> None:
    page = tab.open(filled)
    shown(row(page, "with runs")).to_contain_text("2 running")
    shown(row(page, "without")).to_contain_text("No runs")
    page.get_by_role("link", name="with runs").click()
    page.wait_for_url(re.compile(r"#/experiments/\d+$"))


def test_a_run_that_begins_is_counted_without_a_reload(filled: PageServer, tab: Tab) -> None:
    experiment = filled.experiment("grows")
    page = tab.open(filled)
    shown(row(page, "grows")).to_contain_text("No runs")
    filled.run(experiment, "new", [1.0])
    shown(row(page, "grows")).to_contain_text("1 running")


def test_the_filter_and_the_order_are_in_the_address(filled: PageServer, tab: Tab) -> None:
    page = tab.open(filled)
    page.get_by_label("Filter experiments").fill("with")
    page.get_by_role("button", name="Name").click()
    shown(page.get_by_role("columnheader", name="Name")).to_have_attribute("aria-sort", "ascending")
    page.wait_for_url(re.compile(r"q=with&sort=name"))
    shown(page.get_by_role("row")).to_have_count(3)
    page.reload()
    shown(page.get_by_label("Filter experiments")).to_have_value("with")
    shown(page.get_by_role("row")).to_have_count(3)


def test_an_experiment_is_made_renamed_binned_and_brought_back(filled: PageServer, tab: Tab) -> None:
    page = tab.open(filled)
    page.get_by_role("button", name="New experiment").click()
    page.get_by_role("dialog").get_by_label("Name").fill("without")
    page.get_by_role("button", name="Create", exact=True).click()
    shown(page.get_by_role("alert")).to_contain_text("already exists")
    tab.faults.clear()  # The browser itself tells of the answer 400.
    page.get_by_role("dialog").get_by_label("Name").fill("made here")
    page.get_by_role("button", name="Create", exact=True).click()
    page.wait_for_url(re.compile(r"#/experiments/\d+$"))
    page.go_back()
    page.get_by_role("button", name="Actions on made here").click()
    page.get_by_role("menuitem", name="Rename").click()
    page.get_by_role("dialog").get_by_label("Name").fill("renamed here")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Actions on renamed here").click()
    page.get_by_role("menuitem", name="Move to the bin").click()
    shown(row(page, "renamed here")).to_have_count(0)
    page.get_by_text("Bin", exact=True).click()
    shown(row(page, "renamed here")).to_be_visible()
    page.get_by_role("button", name="Undo").click()
    shown(page.get_by_text("The bin is empty")).to_be_visible()


def test_several_experiments_are_opened_together(filled: PageServer, tab: Tab) -> None:
    page = tab.open(filled)
    for name in ("with runs", "without"):
        page.get_by_label(f"Choose {name}", exact=True).check()
    page.get_by_role("button", name="Open 2 together").click()
    page.wait_for_url(re.compile(r"#/experiments/\d+,\d+$"))
