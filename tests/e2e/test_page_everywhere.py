"""What holds on every view of the page: search and shortcuts by keyboard, and no serious accessibility fault."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.browser import EVIL, PageServer, Tab, axe, shown

pytestmark = [pytest.mark.browser, pytest.mark.e2e]


@pytest.fixture(scope="module")
def filled(page_server: PageServer) -> PageServer:
    """A server with an experiment of three runs, a model, an endpoint and a saved view, and names that are HTML."""
    experiment = page_server.experiment("Churn forecasts")
    runs = [
        page_server.run(experiment, name, [3.0, 2.0, float(i)], lr=f"0.{i}", kind=name[:4])
        for i, name in enumerate(("churn-tree", "forest", EVIL))
    ]
    page_server.experiment(EVIL)
    page_server.post("registered-models/create", {"name": "churn model"})
    page_server.post("model-versions/create", {"name": "churn model", "source": "s3://bucket/model", "run_id": runs[0]})
    page_server.http.post("/api/headrace/v1/endpoints", json={"name": "churn", "model": "models:/churn model/1"})
    view = {"name": f"Churn {EVIL}", "path": f"/experiments/{experiment}", "query": "sort=-metrics.loss"}
    assert page_server.http.post("/api/headrace/v1/views", json=view).status_code == 200
    note = {"run_id": runs[2], "key": "mlflow.note.content", "value": f"# A note\n\n{EVIL}"}
    page_server.post("runs/set-tag", note)
    return page_server


def places(server: PageServer) -> dict[str, str]:
    """What stands for something in a place: an experiment, and its runs with commas."""
    found = server.http.get("/api/headrace/v1/find", params={"q": "churn forecasts", "kinds": "experiment"}).json()
    experiment = found["hits"][0]["id"]
    runs = server.post("runs/search", {"experiment_ids": [experiment], "order_by": ["run_name"]})["runs"]
    ids = [run["info"]["run_id"] for run in runs]
    return {"experiment": experiment, "run": ids[0], "evil": ids[-1], "runs": ",".join(ids)}


def search(page: Any, words: str) -> Any:
    """Open the search by keyboard and type; gives its dialog."""
    page.keyboard.press("Control+k")
    dialog = page.get_by_role("dialog", name="Search everything")
    shown(dialog.get_by_role("combobox")).to_be_focused()
    page.keyboard.type(words)
    return dialog


def test_everything_with_a_name_is_found_by_keyboard_alone(filled: PageServer, tab: Tab) -> None:
    page = tab.open(filled)
    dialog = search(page, "churn")
    for group in ("Experiments", "Runs", "Models", "Endpoints", "Saved views"):
        shown(dialog.get_by_role("group", name=group, exact=True)).to_be_visible()
    page.keyboard.press("Control+a")
    page.keyboard.type("churn-tree")
    shown(dialog.get_by_role("option")).to_have_count(1)
    shown(dialog.get_by_role("option", name=re.compile("churn-tree"))).to_have_attribute("aria-selected", "true")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"#/experiments/\d+/runs/[0-9a-f]{32}$"))
    shown(dialog).to_be_hidden()


def test_arrows_choose_and_escape_gives_the_focus_back(filled: PageServer, tab: Tab) -> None:
    page = tab.open(filled)
    opener = page.get_by_role("button", name="Search everything")
    opener.focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Search everything")
    page.keyboard.press("ArrowDown")
    shown(dialog.get_by_role("option", name="Models", exact=True)).to_have_attribute("aria-selected", "true")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    shown(dialog.get_by_role("option", name="Show keyboard shortcuts")).to_have_attribute("aria-selected", "true")
    page.keyboard.press("Escape")
    shown(dialog).to_be_hidden()
    shown(opener).to_be_focused()


def test_a_search_that_finds_nothing_says_so(filled: PageServer, tab: Tab) -> None:
    page = tab.open(filled)
    dialog = search(page, "nothing has this name")
    shown(dialog.get_by_text("Nothing has “nothing has this name” in its name.")).to_be_visible()
    axe(tab)


def test_shortcuts_lead_everywhere_and_are_told_by_a_question_mark(filled: PageServer, tab: Tab) -> None:
    page = tab.open(filled)
    for keys, place in (("gm", "models"), ("ge", "endpoints"), ("gs", "system"), ("gl", "lineage"), ("gh", "")):
        page.keyboard.type(keys)
        page.wait_for_url(re.compile(rf"#/{place}$"))
    page.keyboard.press("?")
    dialog = page.get_by_role("dialog", name="Keyboard shortcuts")
    shown(dialog.get_by_text("Go to endpoints")).to_be_visible()
    axe(tab)
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    shown(page.get_by_label("Filter experiments")).to_be_focused()
    page.keyboard.type("gm?t")
    shown(page.get_by_text("No experiment has this in its name")).to_be_visible()


def test_the_theme_is_changed_by_a_key_and_kept(filled: PageServer, tab: Tab) -> None:
    page = tab.open(filled)
    page.keyboard.press("t")
    shown(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.reload()
    shown(page.locator("html")).to_have_attribute("data-theme", "dark")
    shown(page.get_by_role("heading", name="Experiments", exact=True)).to_be_visible()
    axe(tab)


def test_names_of_users_are_text_everywhere(filled: PageServer, tab: Tab) -> None:
    page = tab.open(filled)
    shown(page.get_by_role("link", name=EVIL, exact=True)).to_be_visible()
    dialog = search(page, "onerror")
    shown(dialog.get_by_role("option")).to_have_count(3)
    assert page.evaluate("window.pwned") is None
    assert page.locator("img[src=x]").count() == 0


PLACES = [
    "",
    "?view=bin",
    "experiments/{experiment}",
    "experiments/{experiment}?side=plots",
    "experiments/{experiment}?group=params.kind",
    "experiments/{experiment}?filter=nonsense",
    "experiments/{experiment}/runs/{evil}",
    "runs/{run}?tab=charts",
    "runs/{run}?tab=history",
    "compare?runs={runs}",
    "models",
    "models/churn%20model",
    "models/churn%20model/versions/1",
    "endpoints",
    "endpoints/churn",
    "lineage",
    "lineage?kind=registered_model&id=churn%20model",
    "system",
    "no-such-place",
]


def settled(page: Any) -> None:
    shown(page.get_by_role("main")).not_to_be_empty()
    shown(page.locator(".loading")).to_have_count(0, timeout=15_000)


@pytest.mark.parametrize("place", PLACES)
def test_axe_finds_no_serious_fault_and_nothing_is_wider_than_a_phone(
    filled: PageServer, browser: Any, place: str
) -> None:
    tab = Tab(browser)
    page = tab.open(filled, place.format(**places(filled)))
    settled(page)
    axe(tab)
    page.emulate_media(color_scheme="dark")
    axe(tab)
    page.set_viewport_size({"width": 390, "height": 800})
    settled(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    axe(tab)
    assert page.evaluate("window.pwned") is None
    tab.context.close()
    # The browser itself tells of the answer 400 to a filter that cannot be read.
    assert [fault for fault in tab.faults if "nonsense" not in place or "400" not in fault] == []


def test_the_content_policy_forbids_script_from_elsewhere(filled: PageServer, tab: Tab) -> None:
    page = tab.open(filled)
    policy = filled.http.get("/").headers["content-security-policy"]
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    page.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.pwned=1\">')")
    page.evaluate("document.body.append(Object.assign(document.createElement('script'), {text: 'window.pwned=1'}))")
    loaded = "new Promise((done) => image.complete ? done() : image.addEventListener('error', done))"
    page.evaluate(f"(() => {{ const image = document.querySelector('img[src=x]'); return {loaded}; }})()")
    assert page.evaluate("window.pwned") is None
    assert any("Content Security Policy" in fault for fault in tab.faults)
    tab.faults.clear()
