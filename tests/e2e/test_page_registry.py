"""Models on the page, in a real browser: versions, stages, aliases, tags, lineage, and the past by a slider."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.browser import EVIL, PageServer, Tab, axe, shown

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def server(page_server: PageServer) -> PageServer:
    """A model `churn` with three versions of three runs: 1 was in Production, 2 is."""
    page_server.http.headers["X-Headrace-Actor"] = "ada"
    experiment = page_server.experiment("churn")
    post = page_server.post
    post("registered-models/create", {"name": "churn", "description": "Who **leaves**?"})
    post("registered-models/create", {"name": "fraud"})
    for number in ("1", "2", "3"):
        run_id = page_server.run(experiment, f"train-{number}")
        tags = [{"key": "mlflow.data.context", "value": "training"}]
        read = {
            "dataset": {"name": "customers", "digest": "d1", "source_type": "s3", "source": "s3://lake"},
            "tags": tags,
        }
        post("runs/log-inputs", {"run_id": run_id, "datasets": [read]})
        post("runs/set-tag", {"run_id": run_id, "key": "mlflow.source.name", "value": "train.py"})
        post("model-versions/create", {"name": "churn", "source": "s3://bucket/model", "run_id": run_id})
    moved: dict[str, Any] = {"name": "churn", "version": "1", "stage": "Production", "comment": "beats the rule"}
    post("model-versions/transition-stage", moved)
    post("registered-models/alias", {"name": "churn", "alias": "champion", "version": "1"})
    post("model-versions/transition-stage", moved | {"version": "2", "archive_existing_versions": True})
    post("registered-models/alias", {"name": "churn", "alias": "champion", "version": "2"})
    page_server.http.post("/api/headrace/v1/endpoints", json={"name": "churn", "model": "models:/churn@champion"})
    return page_server


def row(page: Any, name: str) -> Any:
    return page.get_by_role("row").filter(has=page.get_by_role("rowheader", name=name))


def test_models_are_found_as_one_types_and_tell_where_stages_and_aliases_point(server: PageServer, tab: Tab) -> None:
    page = tab.open(server, "models")
    shown(row(page, "churn")).to_contain_text("Production")
    shown(row(page, "churn")).to_contain_text("@champion")
    page.get_by_role("searchbox", name="Find models by name").type("FRA")
    shown(row(page, "churn")).to_have_count(0)
    shown(row(page, "fraud")).to_be_visible()
    page.get_by_role("searchbox").fill("none such")
    page.get_by_role("button", name="Show all models").click()
    shown(row(page, "churn")).to_be_visible()


def test_a_version_is_moved_with_a_comment_and_what_was_there_is_archived(server: PageServer, tab: Tab) -> None:
    server.post("registered-models/create", {"name": "moving"})
    for number in ("1", "2"):
        server.post("model-versions/create", {"name": "moving", "source": f"s3://b/{number}"})
    server.post("model-versions/transition-stage", {"name": "moving", "version": "1", "stage": "Production"})
    page = tab.open(server, "models/moving")
    page.get_by_role("button", name="Move version 2 to a stage").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Stage").select_option("Production")
    dialog.get_by_label("Comment").fill("better on all plans")
    dialog.get_by_role("checkbox", name="Archive what is in Production").check()
    dialog.get_by_role("button", name="Move to Production").click()
    shown(row(page, "Version 2")).to_contain_text("Production")
    shown(row(page, "Version 1")).to_contain_text("Archived")
    page.get_by_role("tab", name="History").click()
    moved = page.get_by_role("listitem").filter(has_text="Version 2 moved from None to Production")
    shown(moved).to_contain_text("better on all plans")


def test_the_slider_shows_the_model_as_it_was_and_a_link_shows_the_same(
    server: PageServer, tab: Tab, browser: Any
) -> None:
    page = tab.open(server, "models/churn")
    shown(row(page, "Version 2")).to_contain_text("Production")
    slider = page.get_by_role("slider")
    slider.focus()
    for _ in range(2):
        slider.press("ArrowLeft")
    shown(row(page, "Version 1")).to_contain_text("Production")
    shown(row(page, "Version 1")).to_contain_text("@champion")
    shown(row(page, "Version 2")).to_contain_text("No stage")
    shown(page.get_by_role("button", name="Set alias")).to_have_count(0)
    fresh = Tab(browser)
    fresh.page.goto(page.url)
    shown(row(fresh.page, "Version 1")).to_contain_text("Production")
    shown(fresh.page.get_by_label("As of", exact=True)).to_contain_text("Alias champion set to version 1")
    fresh.context.close()
    page.get_by_role("button", name="Back to now").click()
    shown(row(page, "Version 2")).to_contain_text("@champion")


def test_what_others_change_is_shown_as_it_happens(server: PageServer, tab: Tab) -> None:
    server.post("registered-models/create", {"name": "live"})
    page = tab.open(server, "models/live")
    shown(page.get_by_text("No version yet")).to_be_visible()
    server.post("model-versions/create", {"name": "live", "source": "s3://b/1"})
    shown(row(page, "Version 1")).to_be_visible()
    server.post("registered-models/alias", {"name": "live", "alias": "champion", "version": "1"})
    shown(row(page, "Version 1")).to_contain_text("@champion")


def test_tags_aliases_and_descriptions_are_changed_where_they_stand(server: PageServer, tab: Tab) -> None:
    page = tab.open(server, "models/churn/versions/3")
    page.get_by_role("button", name="Add tag").click()
    page.get_by_label("Key").fill("reviewed")
    page.get_by_label("Value").fill("yes")
    page.keyboard.press("Enter")
    shown(page.get_by_label("Tags").get_by_text("reviewed")).to_be_visible()
    page.get_by_role("button", name="Take tag reviewed away").click()
    shown(page.get_by_label("Tags").get_by_text("reviewed")).to_have_count(0)
    page.get_by_role("button", name="Set alias").click()
    page.get_by_role("textbox", name="Alias").fill("challenger")
    page.keyboard.press("Enter")
    shown(page.get_by_label("Aliases").get_by_text("@challenger")).to_be_visible()
    page.get_by_role("button", name="Describe it").click()
    page.get_by_label("Description, in Markdown").fill("Confuses *short* tenures.")
    page.get_by_role("button", name="Save", exact=True).click()
    shown(page.get_by_label("Description", exact=True).locator("em")).to_have_text("short")


def test_a_request_to_move_is_approved_with_a_comment(server: PageServer, tab: Tab) -> None:
    server.post("registered-models/create", {"name": "asked"})
    server.post("model-versions/create", {"name": "asked", "source": "s3://b/1"})
    asked = {"name": "asked", "version": "1", "stage": "Staging", "comment": "0.91 on the holdout"}
    server.post("transition-requests/create", asked)
    page = tab.open(server, "models/asked/1")
    shown(page.get_by_role("list", name="Requests")).to_contain_text("0.91 on the holdout")
    page.get_by_role("button", name="Approve").click()
    page.get_by_role("dialog").get_by_label("Comment").fill("granted")
    page.get_by_role("dialog").get_by_role("button", name="Approve").click()
    shown(page.get_by_role("list", name="Requests")).to_have_count(0)
    shown(page.locator(".page-head")).to_contain_text("Staging")


def test_lineage_leads_from_data_and_code_to_the_endpoint_and_a_click_goes_there(server: PageServer, tab: Tab) -> None:
    page = tab.open(server, "models/churn/versions/2?tab=lineage")
    graph = page.get_by_role("group", name="Lineage")
    names = ["Data set customers", "Code train.py", "Run train-2", "Version churn 2", "Endpoint churn"]
    boxes = [graph.get_by_role("listitem").filter(has_text=re.compile(f"^{name}")) for name in names]
    for box in boxes:
        shown(box).to_be_visible()
    lefts = [box.bounding_box()["x"] for box in boxes]
    assert lefts[0] == lefts[1] < lefts[2] < lefts[3] < lefts[4]
    graph.get_by_role("link", name=re.compile("^Data set customers")).click()
    shown(page.get_by_role("heading", level=1)).to_contain_text("customers@d1")
    for number in ("1", "2", "3"):
        shown(page.get_by_role("link", name=re.compile(f"^Run train-{number}"))).to_be_visible()


def test_names_and_texts_of_others_cannot_run_script(server: PageServer, tab: Tab) -> None:
    server.post("registered-models/create", {"name": "<img src=x onerror=alert(1)>", "description": EVIL})
    page = tab.open(server, "models")
    page.get_by_role("link", name="<img src=x onerror=alert(1)>").click()
    shown(page.get_by_role("heading", level=1)).to_have_text("<img src=x onerror=alert(1)>")
    assert page.evaluate("window.pwned") is None


def test_a_model_that_was_deleted_can_be_seen_as_it_was(server: PageServer, tab: Tab) -> None:
    server.post("registered-models/create", {"name": "gone", "description": "It was good"})
    server.http.request("DELETE", "/api/2.0/mlflow/registered-models/delete", json={"name": "gone"})
    page = tab.open(server, "models/gone")
    shown(page.get_by_text("The model gone was deleted")).to_be_visible()
    assert all("404" in fault for fault in tab.faults)  # which the browser tells of any page that is not there
    tab.faults.clear()
    page.get_by_role("slider").press("ArrowLeft")
    shown(page.get_by_text("It was good")).to_be_visible()


@pytest.mark.parametrize("place", ["", "/churn", "/churn?tab=history", "/churn/2", "/churn?tab=lineage"])
def test_axe_finds_no_fault_in_models(server: PageServer, tab: Tab, place: str) -> None:
    page = tab.open(server, f"models{place}")
    shown(page.get_by_text("churn").first).to_be_visible()
    axe(tab)


def test_models_fit_a_phone(server: PageServer, browser: Any) -> None:
    phone = Tab(browser, width=390)
    for place in ("models", "models/churn", "models/churn/2", "models/churn?tab=lineage"):
        page = phone.open(server, place)
        shown(page.get_by_role("heading", level=1)).to_be_visible()
        assert page.evaluate("document.querySelector('main').scrollWidth") == 390
    phone.context.close()
    assert phone.faults == []
