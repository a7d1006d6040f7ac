"""An open page shows what is logged as it is logged, and asks for nothing of its own accord."""

from __future__ import annotations

import re
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser import PageServer, Tab, shown

if TYPE_CHECKING:
    from tests.e2e.conftest import Server

pytestmark = [pytest.mark.browser, pytest.mark.e2e]

LAST = "() => Number(document.querySelector('.chart-full .chart-legend b')?.textContent.replaceAll(',', ''))"


def test_a_run_that_logs_100_points_a_second_is_seen_to_move_within_a_second(page_server: PageServer, tab: Tab) -> None:
    experiment = page_server.experiment("live")
    run_id = page_server.run(experiment, "live", [0.0])
    page = tab.open(page_server, f"experiments/{experiment}?side=charts&panel=loss")
    shown(page.locator(".chart-full .chart-legend li")).to_have_text(["live0"], timeout=20_000)
    ended = threading.Event()
    logged: dict[int, float] = {}

    def train() -> None:
        step = 1
        while not ended.wait(0.1):
            page_server.log(run_id, [float(n) for n in range(step, step + 10)], step)
            step += 10
            logged[step - 1] = time.monotonic()

    trainer = threading.Thread(target=train)
    trainer.start()
    try:
        delays = []
        value = 0.0
        for _ in range(8):
            page.wait_for_function(f"before => ({LAST})() > before", arg=value, timeout=20_000)
            value, seen = float(page.evaluate(LAST)), time.monotonic()
            delays.append(seen - logged[round(value)])
    finally:
        ended.set()
        trainer.join()
    assert sorted(delays)[len(delays) // 2] < 1, delays


def test_a_metric_that_begins_has_a_panel_at_once(page_server: PageServer, tab: Tab) -> None:
    experiment = page_server.experiment("newcomer")
    run_id = page_server.run(experiment, "newcomer")
    page = tab.open(page_server, f"experiments/{experiment}?side=charts")
    shown(page.get_by_role("heading", name="No metrics yet")).to_be_visible(timeout=20_000)
    page_server.log(run_id, [1.0, 2.0])
    shown(page.get_by_role("region", name="loss", exact=True)).to_be_visible()


def test_an_idle_page_asks_nothing_and_draws_nothing(page_server: PageServer, tab: Tab) -> None:
    experiment = page_server.experiment("idle")
    run_id = page_server.run(experiment, "idle", [1.0, 2.0])
    page_server.post("runs/update", {"run_id": run_id, "status": "FINISHED", "end_time": 1})
    page = tab.open(page_server, f"experiments/{experiment}?side=charts")
    shown(page.locator(".chart-box")).to_have_attribute("data-ready", "true", timeout=20_000)
    asked: list[str] = []

    def count(request: Any) -> None:
        asked.append(request.url)

    page.wait_for_function("new Promise(done => setTimeout(() => done(true), 1000))")
    page.on("request", count)
    session = tab.context.new_cdp_session(page)
    session.send("Performance.enable")

    def busy() -> float:
        told = session.send("Performance.getMetrics")["metrics"]
        return float(next(one["value"] for one in told if one["name"] == "TaskDuration"))

    before = busy()
    page.wait_for_function("new Promise(done => setTimeout(() => done(true), 2000))")
    assert asked == []
    assert busy() - before < 0.1, "seconds of work in two"


def test_charts_that_failed_while_the_server_was_away_come_back(server: Server, browser: Any) -> None:
    created = {"experiment_id": "0", "run_name": "steady", "start_time": 1}
    run_id = server.post("/api/2.0/mlflow/runs/create", created)["run"]["info"]["run_id"]
    point = {"run_id": run_id, "key": "loss", "value": 1.0, "timestamp": 2, "step": 0}
    server.post("/api/2.0/mlflow/runs/log-metric", point)
    tab = Tab(browser)
    try:
        page = tab.page
        page.goto(f"{server.url}/#/experiments/0?side=charts")
        panel = page.get_by_role("region", name="loss", exact=True)
        shown(panel.locator(".chart-box")).to_have_attribute("data-ready", "true", timeout=20_000)
        server.kill()
        page.get_by_text("Relative", exact=True).click()
        shown(panel.get_by_role("alert")).to_contain_text("The server cannot be reached", timeout=20_000)
        server.start_again()
        shown(panel.get_by_role("alert")).to_have_count(0, timeout=30_000)
        shown(panel.locator(".chart-box")).to_have_attribute("aria-label", re.compile("loss: 1 run"))
    finally:
        tab.context.close()
