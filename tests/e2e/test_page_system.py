"""The system's view: positions, lag, storage as they are; what is logged is seen; a rebuild is begun and watched."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser import PageServer, Tab, axe, shown

pytestmark = [pytest.mark.browser, pytest.mark.e2e]
READ_MS = 15_000


def cells(page: Any, table: str, row: str) -> list[str]:
    found = page.get_by_role("table", name=table, exact=True).get_by_role("row").filter(has_text=row)
    return [" ".join(text.split()) for text in found.get_by_role("cell").all_inner_texts()]


def test_what_is_logged_moves_positions_rates_and_rows(page_server: PageServer, tab: Tab) -> None:
    run_id = page_server.run("0", "a", [1.0])
    page = tab.open(page_server, "system")
    shown(page.get_by_text("All is well")).to_be_visible(timeout=READ_MS)
    points = page.get_by_role("table", name="Views", exact=True).get_by_role("row").filter(has_text="Metric points")
    shown(points).to_contain_text("up to date")
    before = int(cells(page, "Positions of the log", "metrics/0")[0])
    page_server.log(run_id, [1.0] * 2000, first=1)
    shown(points).to_contain_text("2,001", timeout=READ_MS)
    end, folded, viewed = cells(page, "Positions of the log", "metrics/0")
    assert int(end) > before
    assert folded == viewed == end
    shown(page.get_by_role("region", name="Storage").get_by_text("log.db")).to_be_visible()
    shown(page.get_by_role("region", name="Workers").get_by_text("this server")).to_be_visible()


def test_a_rebuild_is_begun_and_its_comparison_is_shown(page_server: PageServer, tab: Tab) -> None:
    page_server.run("0", "b", [1.0, 2.0])
    page = tab.open(page_server, "system")
    page.get_by_role("button", name="Rebuild the views").click()
    axe(tab)
    page.get_by_role("dialog").get_by_role("button", name="Only compare").click()
    compared = page.get_by_role("table", name="What was compared")
    shown(compared).to_be_visible(timeout=4 * READ_MS)
    shown(page.get_by_text("Every table is the same, row for row.")).to_be_visible()
    shown(compared.get_by_role("row")).not_to_have_count(1)
    axe(tab)


def test_a_server_that_is_gone_is_told_and_asked_again(page_server: PageServer, tab: Tab) -> None:
    page = tab.open(page_server)
    page.route("**/api/headrace/v1/system", lambda route: route.abort())
    page.keyboard.type("gs")
    shown(page.get_by_role("alert")).to_contain_text("The server cannot be reached")
    page.unroute("**/api/headrace/v1/system")
    page.get_by_role("button", name="Try again").click()
    shown(page.get_by_text("All is well")).to_be_visible(timeout=READ_MS)
    tab.faults.clear()  # The browser itself tells of the request that was cut.
