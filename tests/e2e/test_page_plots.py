"""Plots of the workspace in a real browser: ranges that choose runs, scatter, contours, importance and bars."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.browser import EVIL, PageServer, Tab, axe, shown

pytestmark = [pytest.mark.browser, pytest.mark.e2e]

RUNS = 40


@pytest.fixture(scope="module")
def experiment(page_server: PageServer) -> str:
    """Forty runs: the loss falls with the learning rate, adam is better than sgd, and every tenth has no depth."""
    found = page_server.experiment("sweep")
    for number in range(RUNS):
        params = {"lr": f"{10 ** (-5 + number / 10):.3e}", "optimizer": "adam" if number % 2 else "sgd"}
        if number % 10:
            params["depth"] = str(2 + number % 5)
        loss = 4.0 - number / 10 - (0.5 if number % 2 else 0.0)
        page_server.run(found, f"run-{number}", [loss], **params)
    return found


def plots(tab: Tab, server: PageServer, experiment: str, more: str = "") -> Any:
    """The workspace with plots beside the table."""
    page = tab.open(server, f"experiments/{experiment}?side=plots{more}")
    page.get_by_role("radio", name="Parallel").wait_for(state="attached")
    return page


def kind(page: Any, name: str) -> None:
    page.locator(".plots .segments label", has_text=name).click()


def drag(page: Any, box: Any, start: tuple[float, float], end: tuple[float, float]) -> None:
    """From one place of a box to another; places are parts of its width and height, from its upper left."""
    at = box.bounding_box()
    for place, act in ((start, page.mouse.down), (end, page.mouse.up)):
        page.mouse.move(at["x"] + place[0] * at["width"], at["y"] + place[1] * at["height"], steps=4)
        act()


def painted(page: Any, canvas: str) -> float:
    """Which part of a canvas is not empty."""
    found: float = page.eval_on_selector(
        canvas,
        "c => c.getContext('2d').getImageData(0, 0, c.width, c.height).data.filter((v, i) => i % 4 === 3 && v).length"
        " / (c.width * c.height)",
    )
    return found


def test_a_range_on_an_axis_filters_the_table_and_a_link_chooses_the_same(
    page_server: PageServer, experiment: str, tab: Tab, browser: Any
) -> None:
    page = plots(tab, page_server, experiment)
    axis = page.locator("[data-axis='params.lr']")
    shown(axis).to_be_visible()
    drag(page, axis, (0.5, 0.5), (0.5, -0.1))
    shown(page.get_by_text("20 of 40 runs chosen")).to_be_visible()
    shown(page.locator(".runs-total")).to_contain_text("20 of 40")
    shown(page.get_by_role("row").filter(has_text="run-39")).to_be_visible()
    other = Tab(browser)
    other.page.goto(page.url)
    shown(other.page.get_by_text("20 of 40 runs chosen")).to_be_visible()
    shown(other.page.locator(".runs-total")).to_contain_text("20 of 40")
    other.context.close()
    assert other.faults == []
    page.get_by_role("button", name="Take away the range of lr").click()
    shown(page.get_by_text("runs chosen")).to_be_hidden()
    shown(page.locator(".runs-total")).not_to_contain_text("of 40")


def test_a_range_is_chosen_by_the_keyboard_alone(page_server: PageServer, experiment: str, tab: Tab) -> None:
    page = plots(tab, page_server, experiment)
    start = page.get_by_role("slider", name="lr from")
    start.focus()
    page.keyboard.press("PageUp")
    page.keyboard.press("PageUp")
    shown(page.get_by_text("32 of 40 runs chosen")).to_be_visible()
    page.get_by_role("slider", name="optimizer to").focus()
    page.keyboard.press("ArrowDown")
    shown(page.get_by_text("16 of 40 runs chosen")).to_be_visible()
    shown(page.locator(".plots-ranges")).to_contain_text("optimizer: adam")
    page.keyboard.press("Escape")
    shown(page.get_by_text("32 of 40 runs chosen")).to_be_visible()
    page.get_by_role("button", name="Show all").click()
    shown(page.get_by_text("runs chosen")).to_be_hidden()


def test_axes_are_added_moved_taken_away_and_made_logarithmic(
    page_server: PageServer, experiment: str, tab: Tab
) -> None:
    page = plots(tab, page_server, experiment)
    heads = page.locator(".axis-name")
    shown(heads).to_have_text(["lr", "depth", "optimizer", "loss"])
    log = page.get_by_role("button", name="log axis lr")
    shown(log).to_have_attribute("aria-pressed", "true")
    log.click()
    shown(log).to_have_attribute("aria-pressed", "false")
    heads.filter(has_text="depth").press("ArrowLeft")
    shown(heads).to_have_text(["depth", "lr", "optimizer", "loss"])
    page.get_by_role("button", name="Remove axis optimizer").click()
    shown(heads).to_have_text(["depth", "lr", "loss"])
    page.get_by_label("Add axis").select_option(label="optimizer")
    shown(heads).to_have_text(["depth", "lr", "loss", "optimizer"])
    head = heads.filter(has_text="optimizer")
    there = heads.filter(has_text="depth").bounding_box()
    at = head.bounding_box()
    page.mouse.move(at["x"] + 5, at["y"] + 5)
    page.mouse.down()
    page.mouse.move(there["x"] + 5, at["y"] + 5, steps=5)
    page.mouse.up()
    shown(heads).to_have_text(["optimizer", "depth", "lr", "loss"])
    page.reload()
    shown(heads).to_have_text(["optimizer", "depth", "lr", "loss"])
    shown(page.get_by_role("button", name="log axis lr")).to_have_attribute("aria-pressed", "false")


def test_points_of_a_scatter_are_told_chosen_and_opened(page_server: PageServer, experiment: str, tab: Tab) -> None:
    page = plots(tab, page_server, experiment)
    kind(page, "Scatter")
    page.get_by_label("X", exact=True).select_option(label="lr")
    page.get_by_label("Y", exact=True).select_option(label="loss")
    shown(page.get_by_label("Logarithmic lr")).to_be_checked()
    box = page.locator(".scatter")
    shown(page.get_by_role("img", name="40 runs: loss over lr")).to_be_visible()
    drag(page, box, (0.55, 0.02), (0.99, 0.85))
    chip = page.locator(".plots-ranges .chip", has_text="lr:")
    shown(chip).to_be_visible()
    chosen = page.locator(".plots-ranges [role=status]").inner_text()
    assert 0 < int(chosen.split()[0]) < RUNS
    page.get_by_role("button", name="Show all").click()
    shown(chip).to_be_hidden()
    page.get_by_label("Logarithmic lr").uncheck()
    shown(page.locator(".scatter svg")).not_to_contain_text("(log)")
    page.get_by_label("Logarithmic lr").check()
    shown(page.locator(".scatter svg")).to_contain_text("lr (log)")
    # The first run has the least learning rate and, of sgd, the greatest loss: it is the uppermost on the left.
    place = page.evaluate(
        "() => { const box = document.querySelector('.scatter').getBoundingClientRect();"
        " const part = 0.04 / 1.08;"
        " return [box.left + 72 + part * (box.width - 90), box.top + 14 + part * (box.height - 60)]; }"
    )
    page.mouse.move(*place)
    shown(page.locator(".plot-tip b")).to_have_text("run-0")
    page.mouse.click(*place)
    page.wait_for_url(re.compile(r"#/runs/\w+"))


def test_contours_are_drawn_with_the_third_column_as_height(page_server: PageServer, experiment: str, tab: Tab) -> None:
    page = plots(tab, page_server, experiment, "&plot=scatter&plot.x=params.lr&plot.y=params.depth")
    shown(page.get_by_text("4 runs without a place")).to_be_visible()
    kind(page, "Contour")
    page.get_by_label("Height").select_option(label="loss")
    shown(page.get_by_role("img", name="36 runs: depth over lr, contours of loss")).to_be_visible()
    shown(page.locator(".plot-legend")).to_contain_text("loss")
    assert painted(page, ".scatter canvas") > 0.4


def test_the_most_important_param_comes_first_and_leads_to_its_plot(
    page_server: PageServer, experiment: str, tab: Tab
) -> None:
    page = plots(tab, page_server, experiment)
    kind(page, "Importance")
    rows = page.locator(".importance tbody tr")
    shown(rows).to_have_count(3)
    shown(rows.first).to_contain_text("lr")
    shown(rows.first).to_contain_text("−0.9")
    shown(page.locator(".importance tbody tr", has_text="optimizer")).to_contain_text("η of categories")
    rows.first.get_by_role("button", name="lr").click()
    shown(page.get_by_role("img", name="40 runs: loss over lr")).to_be_visible()
    kind(page, "Importance")
    page.locator(".importance").get_by_role("button", name="optimizer").click()
    shown(page.get_by_role("list", name="loss by optimizer").get_by_role("listitem")).to_have_count(2)


def test_bars_show_means_of_groups_and_runs_in_order(page_server: PageServer, experiment: str, tab: Tab) -> None:
    page = plots(tab, page_server, experiment, "&plot=bars")
    bars = page.locator(".bars li")
    shown(bars).to_have_count(RUNS)
    shown(bars.first).to_contain_text("run-0")
    page.locator("label", has_text="Least first").click()
    shown(bars.first).to_contain_text("run-39")
    page.get_by_label("By", exact=True).select_option(label="optimizer")
    shown(bars).to_have_text([re.compile(r"adam\s*1\.5\s*20 runs"), re.compile(r"sgd\s*2\.1\s*20 runs")])
    bars.first.get_by_role("button", name="adam").click()
    shown(page.get_by_text("20 of 40 runs chosen")).to_be_visible()
    shown(page.locator(".runs-total")).to_contain_text("20 of 40")


def test_names_are_text_and_what_is_no_number_is_said_so(page_server: PageServer, tab: Tab) -> None:
    experiment = page_server.experiment("hostile")
    values: list[float | str] = ["NaN", "Infinity", 1.0, 2.0]
    for number, value in enumerate(values):
        page_server.run(experiment, EVIL, [value], kind=EVIL if number % 2 else "{a|b}", rate=str(number))
    page = plots(tab, page_server, experiment)
    shown(page.locator(".axis text", has_text="<img")).to_have_count(1)
    shown(page.locator(".axis text", has_text="none")).to_have_count(1)
    kind(page, "Bars")
    shown(page.locator(".bars li", has_text="–")).to_have_count(2)
    assert page.locator(".plots img, .plots script").count() == 0
    assert page.evaluate("window.pwned") is None


def test_an_experiment_without_params_and_metrics_says_what_to_log(page_server: PageServer, tab: Tab) -> None:
    experiment = page_server.experiment("bare")
    page_server.run(experiment, "bare")
    page = tab.open(page_server, f"experiments/{experiment}?side=plots")
    shown(page.get_by_role("heading", name="Nothing to plot yet")).to_be_visible()


@pytest.mark.parametrize("plot", ["parallel", "scatter", "contour", "importance", "bars"])
def test_every_plot_is_accessible(page_server: PageServer, experiment: str, tab: Tab, plot: str) -> None:
    page = plots(tab, page_server, experiment, f"&plot={plot}&plot.brush=params.optimizer:adam:adam")
    shown(page.get_by_text("20 of 40 runs chosen")).to_be_visible()
    page.locator(".plots-body > :not(.loading)").first.wait_for()
    axe(tab)
