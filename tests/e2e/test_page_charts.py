"""Charts in a real browser: what is logged is drawn, read off, zoomed, arranged and saved as a person does it."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest

from tests.browser import EVIL, PageServer, Tab, axe, shown

pytestmark = [pytest.mark.browser, pytest.mark.e2e]

STEPS = 600
RUNS = {"alpha": 1.0, "beta": 2.0, "gamma": 3.0}


@pytest.fixture(scope="module")
def experiment(page_server: PageServer) -> str:
    """Three runs; at each step a metric is so much: the step times a number of the run's own."""
    found = page_server.experiment("curves")
    for name, factor in RUNS.items():
        run_id = page_server.run(found, name, model="a" if name == "alpha" else "b")
        values: list[tuple[str, int, float | str]] = []
        for step in range(STEPS):
            values += [("loss", step, factor * step), ("train/acc", step, factor / (1 + step))]
            values += [("train/lr", step, 0.1), ("system/cpu", step, 50.0 + step % 7)]
            values += [("spiky", step, 1000.0 if step == 300 else 1 + math.sin(step))]
        odd: list[float | str] = ["NaN", "Infinity", "-Infinity", 1.0]
        values += [("odd", step, odd[step]) for step in range(4)]
        log(page_server, run_id, values)
    return found


def log(server: PageServer, run_id: str, values: list[tuple[str, int, float | str]]) -> None:
    for start in range(0, len(values), 1000):
        points = [
            {"key": key, "value": value, "timestamp": 1_700_000_000_000 + 1000 * step, "step": step}
            for key, step, value in values[start : start + 1000]
        ]
        server.post("runs/log-batch", {"run_id": run_id, "metrics": points})


def opened(tab: Tab, server: PageServer, experiment: str, query: str = "") -> Any:
    page = tab.open(server, f"experiments/{experiment}?side=charts&split=0.2{query}")
    shown(chart(page, "loss")).to_have_attribute("data-ready", "true", timeout=20_000)
    return page


def panel(page: Any, name: str) -> Any:
    return page.get_by_role("region", name=name, exact=True)


def chart(page: Any, name: str) -> Any:
    return panel(page, name).locator(".chart-box").first


def names(page: Any) -> list[str]:
    found: list[str] = page.locator(".chart-panels .chart-panel").evaluate_all("all => all.map(one => one.ariaLabel)")
    return found


def drag(page: Any, name: str, start: float, end: float) -> None:
    """Drag over a part of a chart's width."""
    chart(page, name).scroll_into_view_if_needed()
    box = chart(page, name).locator(".u-over").bounding_box()
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + start * box["width"], middle)
    page.mouse.down()
    page.mouse.move(box["x"] + (start + end) / 2 * box["width"], middle)
    page.mouse.move(box["x"] + end * box["width"], middle)
    page.mouse.up()


def saved(page: Any, name: str, kind: str, folder: Path) -> bytes:
    """What the panel's menu saves."""
    panel(page, name).get_by_role("button", name=f"More for {name}").click()
    with page.expect_download() as begun:
        page.get_by_role("menuitem", name=f"Download {kind}").click()
    path = folder / str(begun.value.suggested_filename)
    begun.value.save_as(path)
    return path.read_bytes()


def test_each_metric_has_a_panel_in_the_section_of_its_prefix(
    page_server: PageServer, tab: Tab, experiment: str
) -> None:
    page = opened(tab, page_server, experiment)
    shown(page.locator(".charts-section h2")).to_have_text(["Metrics3", "train2", "system1"])
    assert names(page) == ["loss", "odd", "spiky", "train/acc", "train/lr"], "the system's section is closed at first"
    page.get_by_role("button", name="system 1").click()
    shown(panel(page, "system/cpu")).to_be_visible()
    page.get_by_role("button", name="Metrics 3").click()
    shown(panel(page, "loss")).to_have_count(0)
    address = page.url
    page.goto("about:blank")
    page.goto(address)
    shown(panel(page, "system/cpu")).to_be_visible(timeout=20_000)
    assert names(page) == ["train/acc", "train/lr", "system/cpu"]
    page.get_by_label("Find a metric").fill("cpu")
    shown(page.locator(".chart-panels .chart-panel")).to_have_count(1)


def test_one_crosshair_stands_in_all_panels_and_tells_the_values(
    page_server: PageServer, tab: Tab, experiment: str
) -> None:
    page = opened(tab, page_server, experiment)
    over = chart(page, "loss").locator(".u-over")
    box = over.bounding_box()
    over.hover(position={"x": box["width"] / 2, "y": box["height"] * 0.52})
    tip = panel(page, "loss").locator(".chart-tip")
    step = int(tip.locator(".chart-tip-head").inner_text().removeprefix("Step "))
    assert abs(step - STEPS / 2) < 4
    assert tip.locator("li .clip").all_text_contents() == ["gamma", "beta", "alpha"], "the highest first"
    told = [float(text.replace(",", "")) for text in tip.locator("li b").all_text_contents()]
    assert told == pytest.approx([3 * step, 2 * step, step], rel=0.01)
    shown(chart(page, "spiky").locator(".u-cursor-x")).to_be_visible()
    over.hover(position={"x": box["width"] / 2, "y": box["height"] * (1 - 0.06 - 0.88 / 3)})
    shown(tip.locator("li.focused")).to_contain_text("beta")
    shown(panel(page, "spiky").locator(".chart-notes b")).not_to_be_empty()
    page.mouse.move(5, 5)
    shown(tip).to_have_count(0)


def test_arrow_keys_move_the_crosshair_and_it_is_read_out(page_server: PageServer, tab: Tab, experiment: str) -> None:
    page = opened(tab, page_server, experiment)
    chart(page, "loss").focus()
    page.keyboard.press("ArrowRight")
    said = panel(page, "loss").locator("[aria-live]")
    shown(said).to_have_text("Step 0: alpha 0, beta 0, gamma 0")
    page.keyboard.press("Shift+ArrowRight")
    shown(said).to_have_text(re.compile(r"Step 60: gamma 1(77|80|83), beta 1"))
    page.keyboard.press("Escape")
    shown(said).to_have_count(0)


def test_a_drag_zooms_and_asks_for_every_point_of_the_part(page_server: PageServer, tab: Tab) -> None:
    experiment = page_server.experiment("long")
    page_server.run(experiment, "long", [float(n % 100) for n in range(8000)])
    page = opened(tab, page_server, experiment)
    with page.expect_response(lambda answer: "range" in (answer.request.post_data or "")) as answered:
        drag(page, "loss", 0.5, 0.52)
    asked = json.loads(answered.value.request.post_data)
    assert asked["range"] == pytest.approx([4000, 4160], abs=30)
    shown(panel(page, "loss").get_by_role("button", name="Reset zoom")).to_be_visible()
    page.reload()
    shown(chart(page, "loss")).to_have_attribute("aria-label", re.compile("1 run, zoomed"), timeout=20_000)
    chart(page, "loss").locator(".u-over").dblclick()
    shown(panel(page, "loss").get_by_role("button", name="Reset zoom")).to_have_count(0)
    assert "zoom" not in page.url


def test_axes_smoothing_and_outliers_are_in_the_address(page_server: PageServer, tab: Tab, experiment: str) -> None:
    page = opened(tab, page_server, experiment)
    page.get_by_label("Smoothing").fill("0.6")
    page.get_by_label("Log y").check()
    page.get_by_label("Log x").check()
    page.get_by_label("Ignore outliers").check()
    shown(panel(page, "loss").locator(".chart-notes")).to_contain_text("values ≤ 0 are not on a log axis")
    shown(panel(page, "spiky").locator(".chart-notes")).to_contain_text("outliers are outside")
    page.get_by_text("Relative", exact=True).click()
    address = page.url
    page.goto("about:blank")
    page.goto(address)
    shown(chart(page, "loss")).to_have_attribute("data-ready", "true", timeout=20_000)
    shown(page.get_by_label("Smoothing")).to_have_value("0.6")
    for label in ("Log y", "Log x", "Ignore outliers", "Relative"):
        shown(page.get_by_label(label, exact=True)).to_be_checked()


def test_nan_and_infinities_are_marked(page_server: PageServer, tab: Tab, experiment: str, tmp_path: Path) -> None:
    page = opened(tab, page_server, experiment)
    chart(page, "odd").scroll_into_view_if_needed()
    shown(panel(page, "odd").locator(".chart-notes")).to_contain_text("× NaN in 3 runs · ▲ infinite in 3 runs")
    picture = saved(page, "odd", "SVG", tmp_path).decode()
    assert [picture.count(f">{mark}<") for mark in "×▲▼"] == [3, 3, 3]


def test_a_panel_is_saved_as_png_svg_and_csv(
    page_server: PageServer, tab: Tab, experiment: str, tmp_path: Path
) -> None:
    page = opened(tab, page_server, experiment)
    assert saved(page, "loss", "PNG", tmp_path).startswith(b"\x89PNG")
    picture = saved(page, "loss", "SVG", tmp_path).decode()
    assert all(f">{name}<" in picture for name in ("loss", *RUNS))
    assert picture.count("<path") == len(RUNS)
    lines = saved(page, "loss", "CSV", tmp_path).decode().splitlines()
    assert lines[0] == "run_id,run_name,step,value"
    assert len(lines) == 1 + len(RUNS) * STEPS
    assert sum(",gamma," in line and line.endswith(",1797") for line in lines) == 1


def test_panels_are_dragged_and_moved_and_stay_so(page_server: PageServer, tab: Tab, experiment: str) -> None:
    page = opened(tab, page_server, experiment)
    head = panel(page, "spiky").locator("header")
    head.drag_to(panel(page, "loss"), target_position={"x": 10, "y": 60})
    page.wait_for_function("document.querySelector('.chart-panels .chart-panel').ariaLabel === 'spiky'")
    panel(page, "odd").get_by_role("button", name="More for odd").click()
    page.get_by_role("menuitem", name="Move back").click()
    page.wait_for_function("document.querySelectorAll('.chart-panels .chart-panel')[1].ariaLabel === 'odd'")
    page.reload()
    shown(panel(page, "odd")).to_be_visible(timeout=20_000)
    assert names(page)[:3] == ["spiky", "odd", "loss"]


def test_a_panel_fills_the_window_with_a_legend(page_server: PageServer, tab: Tab, experiment: str) -> None:
    page = opened(tab, page_server, experiment)
    page.get_by_role("button", name="Show loss in full screen").click()
    full = page.get_by_role("dialog", name="loss")
    values = full.get_by_role("region", name="Values")
    shown(values.locator("li")).to_have_text(["gamma1,797", "beta1,198", "alpha599"])
    page.reload()
    shown(values.locator("li")).to_have_count(3, timeout=20_000)
    page.keyboard.press("Escape")
    shown(full).to_have_count(0)
    shown(chart(page, "loss")).to_be_visible()


def test_groups_are_bands_with_their_runs_behind(
    page_server: PageServer, tab: Tab, experiment: str, tmp_path: Path
) -> None:
    page = opened(tab, page_server, experiment, "&group=params.model")
    groups = page.get_by_role("list", name="Groups")
    shown(groups.locator("li")).to_have_count(2)
    over = chart(page, "loss").locator(".u-over")
    box = over.bounding_box()
    over.hover(position={"x": box["width"] / 2, "y": 30})
    tip = panel(page, "loss").locator(".chart-tip")
    shown(tip.locator("li")).to_have_count(2 + len(RUNS))
    step = int(tip.locator(".chart-tip-head").inner_text().removeprefix("Step "))
    mean = float(tip.locator("li b").first.inner_text())
    assert mean == pytest.approx(2.5 * step, rel=0.02), "of beta and gamma"
    page.mouse.move(5, 5)
    assert saved(page, "loss", "SVG", tmp_path).decode().count('Z" fill=') == 2, "each group has a band"


def test_only_panels_that_are_seen_ask_for_points(page_server: PageServer, tab: Tab) -> None:
    experiment = page_server.experiment("many")
    run_id = page_server.run(experiment, "many", [1.0])
    log(page_server, run_id, [(f"m{number:02}", 0, number) for number in range(40)])
    asked: list[str] = []
    tab.page.on("request", lambda request: asked.extend(keys(request)))
    page = opened(tab, page_server, experiment)
    assert "m00" in asked
    assert "m39" not in asked
    panel(page, "m39").scroll_into_view_if_needed()
    shown(chart(page, "m39")).to_have_attribute("data-ready", "true")
    assert "m39" in asked


def keys(request: Any) -> list[str]:
    found: list[str] = json.loads(request.post_data)["keys"] if request.url.endswith("/v1/series") else []
    return found


def test_charts_are_accessible(page_server: PageServer, tab: Tab, experiment: str) -> None:
    page = opened(tab, page_server, experiment)
    axe(tab)
    page.get_by_role("button", name="Show loss in full screen").click()
    shown(page.get_by_role("region", name="Values").locator("li")).to_have_count(3)
    axe(tab)


def test_names_never_become_markup(page_server: PageServer, tab: Tab, tmp_path: Path) -> None:
    experiment = page_server.experiment("evil charts")
    for number in range(2):
        page_server.run(experiment, f"{EVIL}{number}", [1.0, 2.0])
    page = opened(tab, page_server, experiment)
    chart(page, "loss").locator(".u-over").hover()
    shown(panel(page, "loss").locator(".chart-tip li").first).to_contain_text("<img src=x")
    assert page.locator(".charts img").count() == 0
    picture = saved(page, "loss", "SVG", tmp_path).decode()
    assert "<img" not in picture
    assert "<script" not in picture
    assert page.evaluate("window.pwned") is None
