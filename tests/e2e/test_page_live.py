"""An open page follows the feed: it hears of experiments, misses nothing while the server is away, and asks nothing of
its own accord."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.test_page import Tab, browser, shown  # noqa: F401

if TYPE_CHECKING:
    from tests.e2e.conftest import Server

pytestmark = [pytest.mark.browser, pytest.mark.e2e]
MLFLOW = "/api/2.0/mlflow"


@pytest.fixture
def tab(browser: Any) -> Iterator[Tab]:  # noqa: F811
    """A tab, whose complaints are the test's to look at."""
    found = Tab(browser)
    yield found
    found.context.close()


def new_run(server: Server, name: str, experiment_id: str = "0") -> str:
    body = {"experiment_id": experiment_id, "run_name": name, "start_time": 1_700_000_000_000}
    return str(server.post(f"{MLFLOW}/runs/create", body)["run"]["info"]["run_id"])


def opened(tab: Tab, server: Server) -> Any:
    tab.page.goto(f"{server.url}/?experiment=0")
    tab.page.wait_for_selector("#live[data-state=live]")
    tab.page.wait_for_selector("body:not(.loading)")
    return tab.page


def names(page: Any) -> Any:
    return page.locator("#table tbody .link")


def test_the_list_of_experiments_follows_by_itself(server: Server, tab: Tab) -> None:
    new_run(server, "first")
    page = opened(tab, server)
    created = server.post(f"{MLFLOW}/experiments/create", {"name": "newcomer"})["experiment_id"]
    shown(page.locator("#experiment option", has_text="newcomer")).to_have_count(1, timeout=3000)
    server.post(f"{MLFLOW}/experiments/update", {"experiment_id": created, "new_name": "renamed"})
    shown(page.locator("#experiment option", has_text="renamed")).to_have_count(1, timeout=3000)
    server.post(f"{MLFLOW}/experiments/delete", {"experiment_id": created})
    shown(page.locator("#experiment option", has_text="renamed")).to_have_count(0, timeout=3000)
    assert tab.faults == []


def test_an_idle_page_asks_nothing_and_one_change_is_one_look(server: Server, tab: Tab) -> None:
    run_id = new_run(server, "first")
    page = opened(tab, server)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.wait_for_timeout(2500)
    assert asked == []
    server.post(f"{MLFLOW}/runs/set-tag", {"run_id": run_id, "key": "mlflow.runName", "value": "second"})
    shown(names(page)).to_have_text(["second"])
    page.wait_for_timeout(500)
    assert [url.rsplit("/api/", 1)[1] for url in asked] == ["2.0/mlflow/runs/search"]


def test_a_page_misses_nothing_while_the_server_is_away(
    server: Server, tab: Tab, eventually: Callable[..., Any]
) -> None:
    run_id = new_run(server, "first")
    page = opened(tab, server)
    new_run(server, "second")
    shown(names(page)).to_have_count(2)
    page.evaluate("window.kept = true")
    asked: list[str] = []
    for name in ("third", "fourth"):
        server.kill()
        page.wait_for_selector("#live[data-state=lost]")
        server.start_again()
        # At once, before the page is back.
        new_run(server, name)
        page.on("request", lambda request: asked.append(request.url))
        page.wait_for_selector("#live[data-state=live]", timeout=20_000)
        shown(names(page).filter(has_text=name)).to_have_count(1, timeout=10_000)
    assert page.evaluate("window.kept") is True
    assert not any("experiments/search" in url for url in asked), "what it heard says what to ask"
    server.post(f"{MLFLOW}/runs/delete", {"run_id": run_id})
    shown(names(page)).to_have_count(3)


def test_a_page_whose_cursor_is_of_another_log_begins_anew(
    new_server: Callable[..., Any], tmp_path: Any, tab: Tab
) -> None:
    before, after = new_server(tmp_path / "before").start(), new_server(tmp_path / "after")
    for number in range(5):
        new_run(before, f"old {number}")
    page = opened(tab, before)
    new_run(before, "seen")
    shown(names(page)).to_have_count(6)
    before.kill()
    after.start(before.port)
    new_run(after, "new")
    shown(names(page)).to_have_text(["new"], timeout=20_000)
