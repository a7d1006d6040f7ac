"""A real browser that is measured from inside of its pages: from a cause to the frame that shows what it did."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

CHROMIUM = next((p for name in ("chromium", "chromium-browser", "google-chrome") if (p := shutil.which(name))), None)
TIMEOUT_MS = 120_000

# `painted(condition)` resolves with the time of the frame after the first one in which the condition holds: a look a
# frame costs next to nothing. Times are milliseconds since the navigation began.
_WATCH = """
window.painted = condition => new Promise(resolve => {
  const after = () => resolve(performance.now());
  const look = () => requestAnimationFrame(condition() ? after : look);
  look();
});
window.cause = 0;
for (const type of ['keydown', 'mouseup']) addEventListener(type, () => (window.cause = performance.now()), true);
"""

_SCROLL = """
async ([selector, seconds]) => {
  let box = document.querySelector(selector);
  const styled = one => /auto|scroll/.test(getComputedStyle(one).overflowY);
  const scrolls = one => one.scrollHeight > one.clientHeight + 50 && styled(one);
  while (box.parentElement && !scrolls(box)) box = box.parentElement;
  const times = [];
  let step = 120;
  let moved = 0;
  const until = performance.now() + seconds * 1000;
  return await new Promise(resolve => {
    const frame = now => {
      times.push(now);
      const before = box.scrollTop;
      box.scrollTop += step;
      if (box.scrollTop === before) step = -step;
      else moved += 1;
      if (now < until) return requestAnimationFrame(frame);
      const gaps = times.slice(1).map((time, at) => time - times[at]);
      const whole = gaps.reduce((sum, gap) => sum + gap, 0);
      resolve(moved * 2 < times.length ? null : [(1000 * gaps.length) / whole, Math.max(...gaps)]);
    };
    requestAnimationFrame(frame);
  });
}
"""


class NoBrowser(Exception):
    """There is no Chromium or no Playwright here; the message says which."""


class Page:
    """A window with an empty cache, and how many bytes of script came into it over the network."""

    def __init__(self, context: Any) -> None:
        self.page = context.new_page()
        self.page.set_default_timeout(TIMEOUT_MS)
        self._session = context.new_cdp_session(self.page)
        self._scripts: set[str] = set()
        self.script_bytes = 0
        self._session.on("Network.responseReceived", self._received)
        self._session.on("Network.loadingFinished", self._finished)
        self._session.send("Network.enable")
        self._session.send("Performance.enable")
        self.page.add_init_script(_WATCH)

    def open(self, url: str, condition: str) -> float:
        """Go there; ms from the navigation to the frame that shows what the condition, JavaScript, asks for."""
        self.page.goto(url, wait_until="commit")
        return float(self.page.evaluate(f"painted(() => {condition})"))

    def then(self, condition: str) -> float:
        """Ms from the last key or release of the mouse to the frame in which the condition holds."""
        return float(self.page.evaluate(f"painted(() => {condition}).then(time => time - window.cause)"))

    def drag(self, selector: str, start: float, end: float) -> None:
        """Drag across the middle of an element, from one part of its width to another."""
        at = self.page.locator(selector).first.bounding_box()
        middle = at["y"] + at["height"] / 2
        self.page.mouse.move(at["x"] + start * at["width"], middle)
        self.page.mouse.down()
        self.page.mouse.move(at["x"] + end * at["width"], middle, steps=5)
        self.page.mouse.up()

    def scroll(self, selector: str, seconds: float) -> tuple[float, float]:
        """Scroll what an element lies in, 120 px a frame, down and up again. Raises RuntimeError where nothing moves.

        Gives frames a second, and the longest time between two, ms.
        """
        found = self.page.evaluate(_SCROLL, [selector, seconds])
        if found is None:
            raise RuntimeError(f"{selector} does not scroll")
        return float(found[0]), float(found[1])

    def idle(self, seconds: float) -> float:
        """Of a second, how many ms the page works while nobody does anything."""
        before = self._work_s()
        self.page.wait_for_timeout(seconds * 1000)
        return (self._work_s() - before) * 1000 / seconds

    def _work_s(self) -> float:
        metrics = self._session.send("Performance.getMetrics")["metrics"]
        return float(next(one["value"] for one in metrics if one["name"] == "TaskDuration"))

    def _received(self, event: dict[str, Any]) -> None:
        if event["type"] == "Script" or "javascript" in event["response"]["mimeType"]:
            self._scripts.add(event["requestId"])

    def _finished(self, event: dict[str, Any]) -> None:
        if event["requestId"] in self._scripts:
            self.script_bytes += int(event["encodedDataLength"])


class Browser:
    """Chromium; every page begins with an empty cache."""

    def __init__(self, browser: Any) -> None:
        self._browser = browser
        self.version: str = browser.version

    @contextmanager
    def page(self) -> Iterator[Page]:
        """A new window of 1440 × 900."""
        context = self._browser.new_context(viewport={"width": 1440, "height": 900})
        try:
            yield Page(context)
        finally:
            context.close()


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start it. Raises NoBrowser."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        raise NoBrowser("the package playwright is not installed") from error
    if CHROMIUM is None:
        raise NoBrowser("there is no Chromium on the PATH")
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    variables = {**os.environ, "DO_NOT_TRACK": "1"}
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments, env=variables)
        try:
            yield Browser(found)
        finally:
            found.close()
