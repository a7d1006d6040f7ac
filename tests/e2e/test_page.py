"""The frame of the page in a real browser: its files, its policy, and that an open one holds nothing up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.browser import PageServer, Tab, shown

pytestmark = [pytest.mark.browser, pytest.mark.e2e]


def test_the_page_goes_to_each_of_its_places(page_server: PageServer, tab: Tab) -> None:
    page = tab.open(page_server)
    for name, place in [("Models", "models"), ("Endpoints", "endpoints"), ("System", "system"), ("Experiments", "")]:
        page.get_by_role("navigation", name="Main").get_by_role("link", name=name, exact=True).click()
        page.wait_for_url(f"**/#/{place}")
        shown(page.get_by_role("link", name=name, exact=True)).to_have_attribute("aria-current", "page")


def test_files_of_the_page_are_kept_by_digest_and_carry_a_strict_policy(page_server: PageServer) -> None:
    index = page_server.http.get("/")
    policy = index.headers["content-security-policy"]
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert index.headers["cache-control"] == "no-cache"
    script = index.text.split('<script type="module" src="')[1].split('"')[0]
    asset = page_server.http.get(script)
    assert asset.headers["content-type"] == "text/javascript; charset=utf-8"
    assert asset.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert asset.headers["content-encoding"] == "gzip"
    assert page_server.http.get(script, headers={"If-None-Match": asset.headers["etag"]}).status_code == 304
    assert page_server.http.get("/ui/app.js").headers["cache-control"] == "no-cache"
    for path in ("none.js", "%2e%2e/page.py", "__init__.py", "package.json", "src/main.tsx"):
        assert page_server.http.get(f"/ui/{path}").status_code == 404


def test_an_open_page_does_not_hold_up_the_end_of_the_server(browser: Any, tmp_path: Path) -> None:
    server = PageServer(tmp_path)
    tab = Tab(browser)
    tab.open(server)
    assert server.stop() < 10
    tab.page.wait_for_selector("#live[data-state=lost]")
    tab.context.close()
    server.close()
