"""Runs side by side in the page: what differs, how they ran, and what they logged."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.browser import EVIL, PageServer, Tab, axe, shown
from tests.images import png

pytestmark = [pytest.mark.browser, pytest.mark.e2e]
RUNS = 100
COLORS = ((255, 0, 0), (0, 255, 0), (0, 0, 255))


class Compared:
    """An experiment of many runs; the first three have artifacts."""

    def __init__(self, server: PageServer) -> None:
        self.server = server
        experiment = server.experiment("compared")
        self.runs = [
            server.run(
                experiment,
                EVIL if i == 3 else f"trial {i}",
                [1.0 / (1 + i + j) for j in range(10)],
                lr=str(0.1 * (i + 1)),
                optimizer="adam",
                **{f"layer_{k}": str(i * k) for k in range(60)},
            )
            for i in range(RUNS)
        ]
        for i, color in enumerate(COLORS):
            for step in (0, 10 * (i + 1)):
                name = f"images/sample%step%{step}%timestamp%1%{i}.png"
                self.put(self.runs[i], name, png(10 + step, 20, color))
            self.put(self.runs[i], "confusion.png", png(30 + i, 30, color))
            self.put(self.runs[i], "config.yaml", b"model: tree\ndepth: %d\nseed: 1\n" % i)
        self.put(self.runs[1], "notes.txt", b"the second run")

    def put(self, run_id: str, path: str, content: bytes) -> None:
        """Log a file."""
        answer = self.server.http.put(f"/api/headrace/v1/runs/{run_id}/artifacts/{quote(path)}", content=content)
        assert answer.status_code == 200, answer.text

    def open(self, tab: Tab, count: int, more: str = "") -> Any:
        """The first runs beside each other."""
        return tab.open(self.server, f"compare?runs={','.join(self.runs[:count])}{more}")


@pytest.fixture(scope="module")
def compared(page_server: PageServer) -> Compared:
    return Compared(page_server)


def cells(page: Any, fact: str) -> list[str]:
    """What the table says of a fact, a text a run."""
    row = page.get_by_role("row").filter(has=page.get_by_role("rowheader", name=fact, exact=True))
    shown(row).to_have_count(1)
    found: list[str] = row.get_by_role("cell").all_inner_texts()
    return [text.strip() for text in found[:-1]]


def test_only_what_differs_is_there_until_all_is_asked_for(compared: Compared, tab: Tab) -> None:
    page = compared.open(tab, 3)
    shown(page.get_by_role("heading", name="Compare 3 runs")).to_be_visible()
    assert cells(page, "layer_1") == ["0", "1", "2"]
    assert cells(page, "loss") == ["0.1", "0.09091", "0.08333"]
    shown(page.get_by_role("rowheader", name="optimizer")).to_have_count(0)
    page.get_by_label("Only differences").uncheck()
    page.get_by_label("Find a fact").fill("optim")
    assert cells(page, "optimizer") == ["adam"] * 3
    page.get_by_label("Find a fact").fill("")
    page.get_by_text("Max", exact=True).click()
    assert cells(page, "loss") == ["1", "0.5", "0.3333"]
    axe(tab)


def test_a_run_is_what_the_others_are_measured_against_and_a_link_shows_the_same(
    compared: Compared, tab: Tab, browser: Any
) -> None:
    page = compared.open(tab, 3)
    page.get_by_role("button", name="Of trial 1").click()
    page.get_by_role("menuitem", name="Measure against this run").click()
    shown(page.get_by_role("cell", name="+0.009091")).to_be_visible()
    page.get_by_role("button", name="Params").click()  # folds
    shown(page.get_by_role("rowheader", name="layer_1")).to_have_count(0)
    other = Tab(browser)
    again = other.context.new_page()
    again.goto(page.url)
    shown(again.get_by_role("cell", name="+0.009091")).to_be_visible()
    shown(again.get_by_role("rowheader", name="layer_1")).to_have_count(0)
    other.context.close()
    page.get_by_role("button", name="Of trial 0").click()
    page.get_by_role("menuitem", name="Leave it out").click()
    shown(page.get_by_role("heading", name="Compare 2 runs")).to_be_visible()


def test_a_hundred_runs_are_beside_each_other_and_few_rows_are_in_the_document(compared: Compared, tab: Tab) -> None:
    page = compared.open(tab, RUNS, "&charts=no")
    shown(page.get_by_role("columnheader", name="trial 99")).to_be_attached()
    assert len(cells(page, "layer_1")) == RUNS
    table = page.get_by_role("region", name="Differences")
    shown(page.get_by_role("rowheader", name="layer_59")).to_have_count(0)
    assert table.get_by_role("row").count() < 60
    table.evaluate("box => box.scrollTo(box.scrollWidth, box.scrollHeight)")
    shown(page.get_by_role("columnheader", name="trial 99")).to_be_in_viewport()
    page.get_by_label("Find a fact").fill("layer_59")
    assert cells(page, "layer_59")[99] == str(99 * 59)
    # A name is text, whatever is in it.
    shown(page.get_by_role("link", name=EVIL, exact=True)).to_be_attached()
    assert page.evaluate("window.pwned") is None


def test_charts_are_on_top(compared: Compared, tab: Tab) -> None:
    page = compared.open(tab, 3)
    charts = page.get_by_role("region", name="Charts").first
    shown(charts.locator("canvas").first).to_be_visible()
    above, table = charts.bounding_box(), page.get_by_role("region", name="Differences").bounding_box()
    assert above["y"] + above["height"] <= table["y"]
    page.get_by_role("button", name="Hide charts").click()
    shown(page.locator("canvas")).to_have_count(0)


def test_images_of_all_runs_move_through_the_steps_together(compared: Compared, tab: Tab) -> None:
    page = compared.open(tab, 3, "&tab=artifacts&charts=no")
    tree = page.get_by_role("tree", name="Artifacts")
    shown(tree.get_by_role("treeitem", name="notes.txt")).to_contain_text("1 of 3")
    tree.get_by_role("treeitem", name="confusion.png").click()
    for i in range(3):
        shown(page.get_by_text(f"{30 + i} × 30")).to_be_visible()
    tree.get_by_role("treeitem", name="images").click()
    tree.get_by_role("treeitem", name="sample").click()
    slider = page.get_by_label("Step of sample")
    slider.focus()
    page.keyboard.press("Home")
    shown(page.get_by_role("img", name="sample of trial 2 at step 0")).to_be_visible()
    page.keyboard.press("End")
    for i in range(3):
        shown(page.get_by_role("img", name=f"sample of trial {i} at step {10 * (i + 1)}")).to_be_visible()
        shown(page.get_by_text(f"{20 + 10 * i} × 20")).to_be_visible()
    axe(tab)


def test_lines_that_not_all_runs_have_are_marked(compared: Compared, tab: Tab) -> None:
    page = compared.open(tab, 3, "&tab=artifacts&charts=no&file=config.yaml")
    text = page.get_by_role("region", name="config.yaml of trial 2")
    shown(text).to_contain_text("model: tree")
    shown(text.locator("mark")).to_have_text(["depth: 2"])
    axe(tab)


def test_a_file_that_only_one_run_has_is_told_of_the_others(compared: Compared, tab: Tab) -> None:
    page = compared.open(tab, 3, "&tab=artifacts&charts=no&file=notes.txt")
    shown(page.get_by_text("the second run")).to_be_visible()
    shown(page.get_by_text("This run has no such file")).to_have_count(2)


def test_what_a_run_logs_meanwhile_is_seen(compared: Compared, tab: Tab) -> None:
    page = compared.open(tab, 2, "&charts=no")
    assert cells(page, "loss") == ["0.1", "0.09091"]
    compared.server.log(compared.runs[0], [42.0], first=10)
    shown(page.get_by_role("cell", name="42", exact=True)).to_be_visible(timeout=15_000)


def test_links_without_runs_say_what_to_do(compared: Compared, tab: Tab) -> None:
    page = tab.open(compared.server, "compare")
    shown(page.get_by_role("heading", name="Choose runs to compare")).to_be_visible()
    page = tab.open(compared.server, f"compare?runs={compared.runs[0]},{'0' * 32}")
    shown(page.get_by_role("heading", name="Only one of these runs is there")).to_be_visible()


def test_the_comparison_is_saved_as_csv(compared: Compared, tab: Tab) -> None:
    page = compared.open(tab, 3, "&charts=no")
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV").click()
    lines = Path(download.value.path()).read_text().splitlines()
    assert lines[0].startswith("section,key,aggregate,trial 0 (")
    assert "params,lr,,0.1,0.2,0.30000000000000004" in lines


@pytest.fixture
def phone(browser: Any) -> Iterator[Tab]:
    found = Tab(browser, 390, 844)
    yield found
    found.context.close()


def test_it_fits_a_phone(compared: Compared, phone: Tab) -> None:
    page = compared.open(phone, 3)
    shown(page.get_by_role("heading", name="Compare 3 runs")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert phone.faults == []
