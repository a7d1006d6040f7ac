"""The page in a real browser against a real server: what is logged is seen, live, and no name becomes code."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

pytestmark = [pytest.mark.browser, pytest.mark.e2e]

CHROMIUM = next((p for name in ("chromium", "chromium-browser", "google-chrome") if (p := shutil.which(name))), None)
REQUIRED = os.environ.get("HEADRACE_REQUIRE_BROWSER") == "1"
READY_S = 30
EVIL = "<img src=x onerror=\"window.pwned=1;alert('pwned')\"><script>window.pwned=1</script>"


class Server:
    """A server as a process, and a client that logs to it."""

    def __init__(self, folder: Path) -> None:
        command = [sys.executable, "-m", "headrace.api.main", "--data-dir", str(folder), "--port", "0"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line.startswith("Headrace is on http"):
            self.process.communicate(timeout=READY_S)
            pytest.fail(f"the server did not start: {line!r}; its own words are above")
        self.url = line.split()[3].rstrip(",")
        self.http = httpx.Client(base_url=self.url, timeout=READY_S)

    def post(self, path: str, body: dict[str, Any]) -> Any:
        answer = self.http.post(f"/api/2.0/mlflow/{path}", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def experiment(self, name: str) -> str:
        found: str = self.post("experiments/create", {"name": name})["experiment_id"]
        return found

    def run(self, experiment_id: str, name: str, values: list[float | str] | None = None, **params: str) -> str:
        body = {"experiment_id": experiment_id, "run_name": name, "start_time": int(time.time() * 1000), "user_id": "u"}
        run_id: str = self.post("runs/create", body)["run"]["info"]["run_id"]
        if params:
            self.post(
                "runs/log-batch", {"run_id": run_id, "params": [{"key": k, "value": v} for k, v in params.items()]}
            )
        self.log(run_id, values or [])
        return run_id

    def log(self, run_id: str, values: list[float | str], first: int = 0) -> None:
        now = int(time.time() * 1000)
        for start in range(0, len(values), 1000):
            part = values[start : start + 1000]
            points = [
                {"key": "loss", "value": value, "timestamp": now + first + start + i, "step": first + start + i}
                for i, value in enumerate(part)
            ]
            self.post("runs/log-batch", {"run_id": run_id, "metrics": points})

    def stop(self) -> float:
        """SIGTERM, and how many seconds it took to end."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(READY_S)
        return time.monotonic() - began


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    found = Server(tmp_path_factory.mktemp("page"))
    yield found
    found.http.close()
    found.stop()
    if found.process.stdout is not None:
        found.process.stdout.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    packaged = importlib.util.find_spec("playwright") is not None
    if CHROMIUM is None or not packaged:
        lacking = "no Chromium on the PATH" if CHROMIUM is None else "the package playwright is not installed"
        if REQUIRED:
            pytest.fail(f"HEADRACE_REQUIRE_BROWSER=1, but there is {lacking}")
        pytest.skip(f"NOT TESTED: the page in a browser, for there is {lacking}")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield found
        found.close()


class Tab:
    """One tab, and what it complained of."""

    def __init__(self, browser: Any, width: int = 1280, height: int = 800) -> None:
        self.context = browser.new_context(viewport={"width": width, "height": height})
        self.page = self.context.new_page()
        self.faults: list[str] = []
        self.page.on("pageerror", lambda error: self.faults.append(f"error: {error}"))
        self.page.on("console", lambda message: self._heard(message))
        self.page.on("dialog", self._asked)

    def _heard(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.faults.append(f"{message.type}: {message.text}")

    def _asked(self, dialog: Any) -> None:
        self.faults.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def legend(self) -> dict[str, str]:
        """What the legend says: name → value."""
        rows = self.page.eval_on_selector_all(
            "#legend li",
            "rows => rows.map(r => [r.querySelector('.name').textContent, r.querySelector('b').textContent])",
        )
        return dict(rows)

    def rows(self) -> list[str]:
        """The names in the table, in order."""
        found: list[str] = self.page.locator("#table tbody .link").all_text_contents()
        return found


@pytest.fixture
def tab(browser: Any) -> Iterator[Tab]:
    found = Tab(browser)
    yield found
    faults = found.faults
    found.context.close()
    assert faults == []


def shown(locator: Any) -> Any:
    """What the browser is to show, waiting for it."""
    from playwright.sync_api import expect

    return expect(locator)


def opened(tab: Tab, server: Server, experiment_id: str, more: str = "") -> Any:
    tab.page.goto(f"{server.url}/?experiment={experiment_id}{more}")
    tab.page.wait_for_selector("#live[data-state=live]")
    return tab.page


def test_a_run_is_in_the_table_with_what_tells_it_apart(server: Server, tab: Tab) -> None:
    experiment_id = server.experiment("table")
    server.run(experiment_id, "first", [0.5, 0.25], lr="0.1", same="x")
    ended = server.run(experiment_id, "second", [0.75], lr="0.2", same="x")
    server.post("runs/update", {"run_id": ended, "status": "FAILED", "end_time": int(time.time() * 1000)})
    page = opened(tab, server, experiment_id)
    page.wait_for_selector("text=second")
    assert tab.rows() == ["second", "first"]
    headers = page.locator("#table thead th").all_text_contents()
    assert "lr" in headers
    assert "loss" in headers
    assert "same" not in headers
    assert "Failed" in page.locator("#table tbody tr", has_text="second").inner_text()
    page.locator("#table thead button", has_text="loss").click()
    shown(page.locator("#table tbody .link").first).to_have_text("first")
    assert page.locator("#table thead th[aria-sort=ascending]").inner_text() == "loss"


def test_points_and_new_runs_are_seen_within_two_seconds_without_a_reload(server: Server, tab: Tab) -> None:
    experiment_id = server.experiment("live")
    run_id = server.run(experiment_id, "moving", [1.0, 0.9])
    page = opened(tab, server, experiment_id)
    shown(page.locator("#legend b")).to_have_text("0.9")
    page.evaluate("window.kept = true")
    picture = page.evaluate("document.querySelector('#chart canvas').toDataURL()")
    server.log(run_id, [0.5, 0.125], first=2)
    shown(page.locator("#legend b")).to_have_text("0.125", timeout=2000)
    assert page.evaluate("document.querySelector('#chart canvas').toDataURL()") != picture
    server.run(experiment_id, "newcomer", [0.3])
    shown(page.locator("#table tbody tr")).to_have_count(2, timeout=2000)
    shown(page.locator("#legend li")).to_have_count(2, timeout=2000)
    assert page.evaluate("window.kept") is True


def test_names_cannot_become_code(server: Server, tab: Tab) -> None:
    experiment_id = server.experiment(f"experiment {EVIL}")
    run_id = server.run(experiment_id, EVIL, [0.5], param=EVIL)
    server.run(experiment_id, "other", [0.5], param="harmless")
    server.post("runs/set-tag", {"run_id": run_id, "key": "tag", "value": EVIL})
    server.post("runs/set-tag", {"run_id": run_id, "key": "mlflow.note.content", "value": EVIL})
    page = opened(tab, server, experiment_id)
    page.wait_for_selector("#table tbody tr >> nth=1")
    page.locator("#table tbody .link", has_text="<img").click()
    page.wait_for_selector("#panel-tags")
    assert page.locator("#panel h2").inner_text() == EVIL
    assert EVIL in tab.rows()
    assert page.locator("main img, #panel img, main script, #panel script").count() == 0
    assert page.evaluate("window.pwned") is None


def test_a_link_shows_the_same_to_a_colleague(server: Server, tab: Tab, browser: Any) -> None:
    experiment_id = server.experiment("link")
    for name, lr in (("one", "1"), ("two", "2"), ("three", "3")):
        server.run(experiment_id, name, [0.5, 0.2], lr=lr)
    page = opened(tab, server, experiment_id)
    page.wait_for_selector("#table tbody tr >> nth=2")
    page.fill("#filter", "params.lr != '1'")
    shown(page.locator("#table tbody tr")).to_have_count(2)
    page.get_by_label("Hide two on the chart").click()
    page.locator("label.check", has_text="Log").click()
    page.locator("label", has_text="Relative").click()
    page.locator("#table thead button", has_text="Name").click()
    shown(page.locator("#legend li")).to_have_count(1)
    other = Tab(browser)
    other.page.goto(page.url)
    shown(other.page.locator("#legend li")).to_have_count(1)
    assert other.rows() == tab.rows() == ["three", "two"]
    assert list(other.legend()) == list(tab.legend()) == ["three"]
    assert other.page.input_value("#filter") == "params.lr != '1'"
    assert other.page.is_checked("#log")
    assert other.page.is_checked("input[value=relative]")
    other.context.close()
    assert other.faults == []


def test_a_fault_in_the_filter_is_told_beside_it(server: Server, browser: Any) -> None:
    experiment_id = server.experiment("filter")
    server.run(experiment_id, "kept", [0.5])
    tab = Tab(browser)
    page = opened(tab, server, experiment_id)
    page.wait_for_selector("#table tbody tr")
    page.fill("#filter", "metrics.loss <")
    page.wait_for_selector("#filter-error:not([hidden])")
    assert "nvalid" in page.locator("#filter-error").inner_text()
    assert tab.rows() == ["kept"]
    page.fill("#filter", "metrics.loss < 1")
    page.wait_for_selector("#filter-error", state="hidden")
    tab.context.close()
    assert [fault for fault in tab.faults if "400" not in fault] == []


def test_a_drag_shows_the_range_in_full_and_a_double_click_everything(server: Server, tab: Tab) -> None:
    experiment_id = server.experiment("zoom")
    server.run(experiment_id, "long", [1 / (1 + i / 100) for i in range(5000)])
    page = opened(tab, server, experiment_id)
    shown(page.locator("#chart-note")).to_contain_text("bucket")
    box = page.locator("#chart .u-over").bounding_box()
    with page.expect_response(lambda answer: "/series" in answer.url) as answered:
        page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 50)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] * 0.55, box["y"] + 50, steps=4)
        page.mouse.up()
    [series] = answered.value.json()["series"]
    assert series["bucketed"] is False
    assert 200 < series["points"] < 400
    assert "zoom=" in page.url
    page.mouse.dblclick(box["x"] + 200, box["y"] + 50)
    shown(page.locator("#reset-zoom")).to_be_hidden()
    assert "zoom=" not in page.url


def test_nan_and_infinity_are_shown_as_what_they_are(server: Server, tab: Tab) -> None:
    experiment_id = server.experiment("special")
    server.run(experiment_id, "broken", [0.5, "NaN", "Infinity", 0.25, "NaN"])
    page = opened(tab, server, experiment_id)
    shown(page.locator("#chart-note")).to_contain_text("NaN in 1 run")
    assert tab.legend() == {"broken": "NaN"}
    page.click("text=broken >> nth=-1")
    page.wait_for_selector("#panel-metrics")
    assert page.locator("#panel-metrics tbody td").all_text_contents() == ["NaN", "0.25", "∞", "5*"]


def test_an_empty_experiment_says_how_to_log_the_first_run_and_then_shows_it(server: Server, tab: Tab) -> None:
    experiment_id = server.experiment("empty")
    page = opened(tab, server, experiment_id)
    page.wait_for_selector("#state pre")
    assert f'headrace.set_tracking_uri("{server.url}")' in page.locator("#state pre").inner_text()
    server.run(experiment_id, "the first", [0.5])
    shown(page.locator("#table .link")).to_have_text("the first", timeout=2000)
    assert page.is_hidden("#state")


def test_the_page_works_by_keyboard_and_on_a_phone(server: Server, browser: Any) -> None:
    experiment_id = server.experiment("phone")
    server.run(experiment_id, "pocket", [0.5, 0.25])
    tab = Tab(browser, 390, 844)
    page = opened(tab, server, experiment_id)
    page.wait_for_selector("#table tbody tr")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.focus("#table tbody .link")
    page.keyboard.press("Enter")
    page.wait_for_selector("#panel-metrics")
    page.keyboard.press("Escape")
    page.wait_for_selector("#panel", state="hidden")
    assert page.evaluate("document.activeElement.textContent") == "pocket"
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "filter"
    tab.context.close()
    assert tab.faults == []


def test_files_of_the_page_are_kept_by_digest_and_carry_a_strict_policy(server: Server) -> None:
    index = server.http.get("/")
    policy = index.headers["content-security-policy"]
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy
    assert index.headers["cache-control"] == "no-cache"
    assert server.http.get("/", headers={"If-None-Match": index.headers["etag"]}).status_code == 304
    script = index.text.split('type="module" src="')[1].split('"')[0]
    answer = server.http.get(script)
    assert "immutable" in answer.headers["cache-control"]
    assert answer.headers["content-type"].startswith("text/javascript")
    assert server.http.get("/ui/app.js").headers["cache-control"] == "no-cache"
    assert server.http.get("/ui/%2e%2e/page.py").status_code == 404
    assert server.http.get("/ui/__init__.py").status_code == 404
    assert server.http.get("/ui/vendor/uplot/LICENSE").status_code == 404


def test_an_open_page_does_not_hold_up_the_end_of_the_server(tmp_path: Path) -> None:
    server = Server(tmp_path)
    with server.http.stream("GET", "/api/headrace/v1/events?digest=true") as feed:
        lines = feed.iter_lines()
        assert next(lines).startswith("retry")
        took = server.stop()
    server.http.close()
    assert server.process.stdout is not None
    server.process.stdout.close()
    assert took < 5, took
