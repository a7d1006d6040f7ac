"""A real browser on the page: Debian's Chromium, driven by Playwright, against a real server."""

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

CHROMIUM = next((p for name in ("chromium", "chromium-browser", "google-chrome") if (p := shutil.which(name))), None)
REQUIRED = os.environ.get("HEADRACE_REQUIRE_BROWSER") == "1"
READY_S = 30
AXE = Path(__file__).parent.parent / "api" / "ui" / "node_modules" / "axe-core" / "axe.min.js"
EVIL = "<img src=x onerror=\"window.pwned=1;alert('pwned')\"><script>window.pwned=1</script>"


class PageServer:
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

    def close(self) -> None:
        """End it, and let go of what was connected to it."""
        self.http.close()
        self.stop()
        if self.process.stdout is not None:
            self.process.stdout.close()


@pytest.fixture(scope="module")
def page_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageServer]:
    """A server for the tests of a file."""
    found = PageServer(tmp_path_factory.mktemp("page"))
    yield found
    found.close()


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Chromium; each test opens windows of its own in it."""
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

    def open(self, server: PageServer, place: str = "") -> Any:
        """Go to a place, such as `experiments/1?filter=…`, and wait for the live feed; gives the page of Playwright."""
        self.page.goto(f"{server.url}/#/{place}")
        self.page.wait_for_selector("#live[data-state=live]")
        return self.page


@pytest.fixture
def tab(browser: Any) -> Iterator[Tab]:
    """A window of 1280 × 800; the test fails where the page complained."""
    found = Tab(browser)
    yield found
    faults = found.faults
    found.context.close()
    assert not faults, "\n".join(faults)


def shown(locator: Any) -> Any:
    """What the browser is to show, waiting for it."""
    from playwright.sync_api import expect

    return expect(locator)


def axe(tab: Tab) -> None:
    """Fail where axe finds a serious or critical accessibility fault in what the tab shows now."""
    if not AXE.exists():
        lacking = f"there is no {AXE.name}: run `npm ci` in api/ui"
        if REQUIRED:
            pytest.fail(f"HEADRACE_REQUIRE_BROWSER=1, but {lacking}")
        pytest.skip(f"NOT TESTED: the page's accessibility, for {lacking}")
    # As a string of its own it passes the page's content policy, which forbids script from elsewhere.
    tab.page.evaluate(AXE.read_text(encoding="utf-8") + "; undefined")
    found = tab.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    told = [
        f"{fault['impact']}: {fault['help']} ({fault['id']}): {node['html'][:200]} — {node['failureSummary']}"
        for fault in found["violations"]
        if fault["impact"] in ("serious", "critical")
        for node in fault["nodes"][:5]
    ]
    assert not told, "\n".join(told)
