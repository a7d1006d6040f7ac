"""Endpoints on the page, in a real browser: with workers that serve, traffic as it happens, and a form to try them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.browser import PageServer, Tab, axe, shown
from tests.model_registering import registered

pytestmark = pytest.mark.e2e
LOADED_MS = 60_000
"""For what a worker has to load for, on a machine that does much else."""

MODELS = '''
import sys
import cloudpickle, pandas
import headrace.pyfunc
from headrace.models import infer_signature

class Churn(headrace.pyfunc.PythonModel):
    """Adds up; fails for too many tickets."""

    def __init__(self, more):
        self.more = more

    def predict(self, context, model_input, params=None):
        if (model_input["tickets"] > 90).any():
            raise RuntimeError("too many tickets")
        return [int(tickets) + self.more + int((params or {}).get("bonus", 0)) for tickets in model_input["tickets"]]

cloudpickle.register_pickle_by_value(sys.modules["__main__"])
example = pandas.DataFrame({"tickets": [3], "plan": ["basic"]})
signature = infer_signature(example, [4], {"bonus": 0})
for more in (1000, 2000):
    headrace.pyfunc.save_model(
        f"{sys.argv[1]}/{more}",
        python_model=Churn(more),
        signature=signature,
        input_example=example,
        pip_requirements=[],
    )
'''


@pytest.fixture(scope="module")
def server(page_server: PageServer, tmp_path_factory: pytest.TempPathFactory) -> PageServer:
    """A model `churn`: version 1 adds 1000 to its tickets and is the champion, version 2 adds 2000."""
    folder = tmp_path_factory.mktemp("models")
    (folder / "make.py").write_text(MODELS)
    subprocess.run([sys.executable, str(folder / "make.py"), str(folder)], check=True)
    registered(page_server.http, "churn", Path(folder / "1000"), "champion")
    registered(page_server.http, "churn", Path(folder / "2000"))
    return page_server


@pytest.fixture
def endpoint(server: PageServer) -> None:
    """An endpoint `churn` that follows the champion and logs each request, whether a test before has made it or not."""
    if server.http.get("/api/headrace/v1/endpoints/churn").status_code == 404:
        asked = {"name": "churn", "model": "models:/churn@champion", "options": {"log_sample": 1.0}}
        assert server.http.post("/api/headrace/v1/endpoints", json=asked).is_success
    assert server.http.get("/api/headrace/v1/endpoints/churn?wait_s=20").is_success


def ask(server: PageServer, tickets: int) -> int:
    body = {"dataframe_split": {"columns": ["tickets", "plan"], "data": [[tickets, "basic"]]}}
    return server.http.post("/endpoints/churn/invocations", json=body).status_code


def row(page: Any, name: str) -> Any:
    return page.get_by_role("row").filter(has=page.get_by_role("rowheader", name=name))


def test_an_endpoint_is_made_by_a_form_and_is_ready_when_its_version_has_loaded(server: PageServer, tab: Tab) -> None:
    page = tab.open(server, "endpoints")
    shown(page.get_by_text("No endpoint yet")).to_be_visible()
    page.get_by_role("button", name="New endpoint").click()
    page.get_by_label("Name").fill("churn")
    page.get_by_label("Model 1", exact=True).fill("models:/churn@none")
    page.get_by_label("Share of requests that is logged").fill("2")
    page.get_by_role("button", name="Create endpoint").click()
    shown(page.get_by_role("alert")).to_contain_text("Expected `float` <= 1")
    assert all("400" in fault for fault in tab.faults)  # which the browser tells of any request that is refused
    tab.faults.clear()
    page.get_by_label("Share of requests that is logged").fill("1")
    page.get_by_label("Model 1", exact=True).fill("models:/churn@champion")
    page.get_by_role("button", name="Create endpoint").click()
    shown(page.get_by_role("heading", level=1)).to_have_text("churn")
    shown(page.locator(".page-head")).to_contain_text("Ready", timeout=LOADED_MS)
    shown(row(page, "models:/churn@champion")).to_contain_text("churn/1")


def test_the_form_that_the_signature_makes_asks_the_version_that_serves(
    server: PageServer, endpoint: None, tab: Tab
) -> None:
    page = tab.open(server, "endpoints/churn")
    form = page.get_by_label("Try it")
    shown(form.get_by_label("tickets")).to_have_value("3")
    axe(tab)
    shown(form.get_by_label("plan")).to_have_value("basic")
    form.get_by_label("tickets").fill("41")
    form.get_by_label("bonus").fill("7")
    form.get_by_role("button", name="Predict").click()
    answer = form.get_by_label("Answer", exact=True)
    shown(answer).to_contain_text("1048", timeout=LOADED_MS)
    shown(answer).to_contain_text("by churn/1")
    form.get_by_label("tickets").fill("many")
    form.get_by_role("button", name="Predict").click()
    shown(form.get_by_role("alert")).to_contain_text("tickets: “many” is no whole number")
    form.get_by_label("tickets").fill("5")
    form.get_by_text("JSON", exact=True).click()
    text = form.get_by_label("Request, as JSON")
    shown(text).to_have_value(
        '{\n  "dataframe_split": {\n    "columns": [\n      "tickets",\n      "plan"\n    ],\n    "data": '
        '[\n      [\n        5,\n        "basic"\n      ]\n    ]\n  },\n  "params": {\n    "bonus": 7\n  }\n}'
    )
    form.get_by_role("button", name="Predict").click()
    shown(answer).to_contain_text("1012")


def test_requests_and_failures_are_shown_as_they_happen(server: PageServer, endpoint: None, tab: Tab) -> None:
    page = tab.open(server, "endpoints/churn")
    traffic = page.get_by_label("Traffic", exact=True)
    shown(traffic).to_contain_text("Median")
    counts = traffic.get_by_role("list", name="Requests by version")
    told = server.http.get("/api/headrace/v1/endpoints/churn/traffic").json()
    before = sum(slot["requests"] for slot in told["slots"] if slot["version"] == "churn/1")
    for _ in range(20):
        assert ask(server, 1) == 200
    shown(counts).to_contain_text(f"churn/1 {before + 20} requests")
    assert ask(server, 95) >= 400
    shown(counts).to_contain_text(f"churn/1 {before + 21} requests")
    shown(traffic.get_by_role("definition").nth(4)).to_contain_text("ms")
    page.get_by_role("tab", name="Predictions").click()
    shown(page.get_by_role("row").filter(has_text='{"predictions":[1001]}').first).to_be_visible()


def test_the_endpoint_follows_the_alias_while_one_looks_at_it(server: PageServer, endpoint: None, tab: Tab) -> None:
    page = tab.open(server, "endpoints/churn")
    shown(row(page, "models:/churn@champion")).to_contain_text("churn/1")
    server.post("registered-models/alias", {"name": "churn", "alias": "champion", "version": "2"})
    serving = row(page, "models:/churn@champion").get_by_role("link", name="churn/2")
    shown(serving).to_be_visible(timeout=LOADED_MS)
    page.get_by_label("Try it").get_by_role("button", name="Predict").click()
    shown(page.get_by_label("Answer", exact=True)).to_contain_text("2003", timeout=LOADED_MS)
    page.get_by_role("tab", name="Lineage").click()
    shown(page.get_by_role("group", name="Lineage").get_by_role("link", name="Version churn 2")).to_be_visible()


def test_the_slider_shows_what_an_endpoint_was_and_named_then(server: PageServer, endpoint: None, tab: Tab) -> None:
    asked = {"model": "models:/churn/2", "options": {"timeout_s": 7}}
    server.http.patch("/api/headrace/v1/endpoints/churn", json=asked)
    taken = {"name": "churn", "model": "models:/churn/1"}
    assert server.http.post("/api/headrace/v1/endpoints", json=taken).status_code == 400  # which changes nothing
    page = tab.open(server, "endpoints/churn")
    shown(row(page, "models:/churn/2")).to_be_visible()
    page.get_by_role("slider").press("ArrowLeft")
    shown(row(page, "models:/churn@champion")).to_contain_text("churn/1")
    shown(page.get_by_label("Traffic", exact=True)).to_have_count(0)


def test_one_that_cannot_serve_says_why_and_is_deleted_by_its_menu(
    server: PageServer, endpoint: None, tab: Tab
) -> None:
    server.http.post("/api/headrace/v1/endpoints", json={"name": "lost", "model": "models:/none@champion"})
    page = tab.open(server, "endpoints/lost")
    shown(row(page, "models:/none@champion")).to_contain_text("there is no registered model 'none'")
    page.get_by_role("button", name="More for lost").click()
    page.get_by_role("menuitem", name="Delete").click()
    page.get_by_role("button", name="Delete endpoint").click()
    shown(page.get_by_role("heading", level=1)).to_have_text("Endpoints")
    shown(row(page, "lost")).to_have_count(0)
    assert all("404" in fault for fault in tab.faults)
    tab.faults.clear()
