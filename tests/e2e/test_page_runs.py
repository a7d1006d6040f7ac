"""The workspace in a real browser: the table of runs is filtered, ordered, grouped and changed as a person does it."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.browser import EVIL, PageServer, Tab, axe, shown

pytestmark = [pytest.mark.browser, pytest.mark.e2e]

RUNS = [
    ("mlp-1", "mlp", "0.1", 0.9),
    ("mlp-2", "mlp", "0.01", 0.5),
    ("cnn-1", "cnn", "0.1", 0.7),
    ("cnn-2", "cnn", "1e-3", 0.2),
]


@pytest.fixture(scope="module")
def experiment(page_server: PageServer) -> str:
    """Four runs, whose loss falls to the value above and then is twice that; the last is the newest."""
    found = page_server.experiment("vision")
    for name, model, lr, loss in RUNS:
        run_id = page_server.run(found, name, [loss * 3, loss, loss * 2], model=model, lr=lr)
        metrics = [{"key": "acc", "value": 1 - loss / (1 + step), "timestamp": 1, "step": step} for step in range(3)]
        page_server.post("runs/log-batch", {"run_id": run_id, "metrics": metrics})
    return found


def wait_for(page: Any, *expected: str) -> None:
    """Wait until these are the lines of the table."""
    page.wait_for_function(
        "expected => JSON.stringify([...document.querySelectorAll('.runs-line')]"
        ".sort((a, b) => a.ariaRowIndex - b.ariaRowIndex)"
        ".map(line => line.querySelector('.runs-name, .runs-group .clip')?.textContent)) === expected",
        arg=json.dumps(expected, separators=(",", ":"), ensure_ascii=False),
    )


def row(page: Any, name: str) -> Any:
    return page.get_by_role("row").filter(has_text=name)


def column(page: Any, name: str) -> Any:
    return page.get_by_role("columnheader").filter(has=page.get_by_role("button", name=name, exact=True))


def test_runs_are_ordered_by_clicks_on_headers_and_a_link_shows_the_same(
    page_server: PageServer, experiment: str, tab: Tab, browser: Any
) -> None:
    page = tab.open(page_server, f"experiments/{experiment}?side=off")
    wait_for(page, "cnn-2", "cnn-1", "mlp-2", "mlp-1")
    page.get_by_role("button", name="loss", exact=True).click()
    wait_for(page, "cnn-2", "mlp-2", "cnn-1", "mlp-1")
    shown(page.get_by_role("columnheader", name="loss").first).to_have_attribute("aria-sort", "ascending")
    page.get_by_role("button", name="model", exact=True).click()
    page.get_by_role("button", name="loss", exact=True).click(modifiers=["Shift"])
    wait_for(page, "cnn-2", "cnn-1", "mlp-2", "mlp-1")
    page.get_by_role("button", name=re.compile("^loss")).first.click(modifiers=["Shift"])
    wait_for(page, "cnn-1", "cnn-2", "mlp-1", "mlp-2")
    again = Tab(browser)
    again.page.goto(page.url)
    wait_for(again.page, "cnn-1", "cnn-2", "mlp-1", "mlp-2")
    again.context.close()


def test_a_filter_is_completed_and_its_faults_are_shown_where_they_are(
    page_server: PageServer, experiment: str, tab: Tab
) -> None:
    page = tab.open(page_server, f"experiments/{experiment}?side=off")
    box = page.get_by_role("combobox", name="Filter runs")
    box.click()
    box.press_sequentially("model")
    shown(page.get_by_role("option", name=re.compile(r"^params\.model"))).to_be_visible()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    while page.locator("[role=option][aria-selected=true] .clip").text_content() != "params.model":
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    box.press_sequentially(" =")
    box.press_sequentially(" c")
    page.get_by_role("option", name="'cnn'").click()
    shown(box).to_have_value("params.model = 'cnn' ")
    page.keyboard.press("Enter")
    wait_for(page, "cnn-2", "cnn-1")
    shown(page.get_by_text("2 runs", exact=True)).to_be_visible()
    box.fill("metrics.loss << 1")
    box.press("Enter")
    shown(page.get_by_role("alert")).to_contain_text("expected one of =, !=")
    shown(page.locator(".runs-mirror mark")).to_have_text("<<")
    wait_for(page, "cnn-2", "cnn-1")
    # The browser itself says that the request was refused.
    [refused] = tab.faults
    assert "400" in refused
    tab.faults.clear()
    box.fill("mlp")
    page.get_by_role("option", name=re.compile("runs whose name has this")).click()
    box.press("Enter")
    wait_for(page, "mlp-2", "mlp-1")
    page.get_by_role("button", name="Clear the filter").click()
    wait_for(page, "cnn-2", "cnn-1", "mlp-2", "mlp-1")


def test_columns_are_chosen_by_search_with_an_aggregate_each_and_are_pinned_and_resized(
    page_server: PageServer, experiment: str, tab: Tab
) -> None:
    page = tab.open(page_server, f"experiments/{experiment}?side=off&cols=status")
    page.get_by_role("button", name="Columns", exact=True).click()
    page.get_by_role("searchbox", name="Search columns").fill("los")
    page.get_by_role("checkbox", name="loss").check()
    page.get_by_role("combobox", name="Which value of loss").select_option("min")
    page.keyboard.press("Escape")
    shown(page.get_by_role("columnheader", name="loss min")).to_be_visible()
    shown(row(page, "cnn-2")).to_contain_text("0.2")
    page.get_by_role("columnheader", name="loss min").hover()
    page.get_by_role("button", name="Column loss min").click()
    page.get_by_role("menuitemcheckbox", name="at best acc").click()
    shown(row(page, "mlp-1")).to_contain_text("1.8")
    assert "metrics.loss.at_best(acc)" in page.evaluate("decodeURIComponent(location.hash)")
    head = page.get_by_role("columnheader", name="loss at best acc")
    head.hover()
    page.get_by_role("button", name="Column loss at best acc").click()
    page.get_by_role("menuitem", name="Pin", exact=True).click()
    assert page.locator(".runs-head .runs-pins").get_by_role("columnheader", name="loss at best acc").count() == 1
    before = head.bounding_box()["width"]
    edge = head.locator(".runs-edge").bounding_box()
    page.mouse.move(edge["x"] + 4, edge["y"] + 10)
    page.mouse.down()
    page.mouse.move(edge["x"] + 64, edge["y"] + 10, steps=3)
    page.mouse.up()
    page.wait_for_url(re.compile("w=metrics"))
    assert head.bounding_box()["width"] == pytest.approx(before + 60, abs=2)
    page.reload()
    assert head.bounding_box()["width"] == pytest.approx(before + 60, abs=2)


def test_runs_are_grouped_in_levels_that_open(page_server: PageServer, experiment: str, tab: Tab) -> None:
    page = tab.open(page_server, f"experiments/{experiment}?side=off&sort=metrics.loss&cols=metrics.loss.min,params.lr")
    wait_for(page, "cnn-2", "mlp-2", "cnn-1", "mlp-1")
    page.get_by_role("button", name="Group", exact=True).click()
    page.get_by_role("combobox", name="Group by").select_option("params.model")
    page.get_by_role("combobox", name="Group by").select_option("params.lr")
    page.keyboard.press("Escape")
    wait_for(page, "cnn", "mlp")
    shown(row(page, "cnn")).to_contain_text("2 values")
    page.locator(".runs-group", has_text="cnn").click()
    wait_for(page, "cnn", "1e-3", "0.1", "mlp")
    page.locator(".runs-group", has_text="1e-3").click()
    wait_for(page, "cnn", "1e-3", "cnn-2", "0.1", "mlp")
    page.reload()
    wait_for(page, "cnn", "1e-3", "cnn-2", "0.1", "mlp")


def test_selected_runs_stay_so_while_runs_come_and_are_tagged_deleted_and_restored(
    page_server: PageServer, tab: Tab, tmp_path: Path
) -> None:
    experiment = page_server.experiment("bulk")
    for name in ("a", "b", "c"):
        page_server.run(experiment, name, [1.0])
    page = tab.open(page_server, f"experiments/{experiment}?side=off&cols=tags.team,metrics.loss")
    wait_for(page, "c", "b", "a")
    page.get_by_role("checkbox", name="Select a", exact=True).check()
    page.get_by_role("checkbox", name="Select c", exact=True).check()
    shown(page.get_by_text("2 selected")).to_be_visible()
    page_server.run(experiment, "d", [0.25])
    wait_for(page, "d", "c", "b", "a")
    shown(page.get_by_text("2 selected")).to_be_visible()
    page.get_by_role("button", name="Tag", exact=True).click()
    page.get_by_label("Tag", exact=True).fill("team")
    page.get_by_label("Value; empty takes the tag away").fill("blue")
    page.get_by_role("button", name="Set tag").click()
    shown(page.get_by_role("gridcell", name="blue")).to_have_count(2)
    with page.expect_download() as downloading:
        page.get_by_role("button", name="Export CSV").click()
    lines = Path(downloading.value.path()).read_text().splitlines()
    assert lines[0] == "run_id,run_name,tags.team,metrics.loss"
    assert [line.split(",", 1)[1] for line in lines[1:]] == ["c,blue,1", "a,blue,1"]
    page.get_by_role("button", name="Delete", exact=True).click()
    wait_for(page, "d", "b")
    page.get_by_role("button", name="Undo").click()
    wait_for(page, "d", "c", "b", "a")
    page.get_by_role("button", name="Compare", exact=True).click()
    page.wait_for_url("**/#/compare?runs=*")


def test_runs_move_to_another_experiment_and_both_are_shown_together(page_server: PageServer, tab: Tab) -> None:
    source, target = page_server.experiment("move from"), page_server.experiment("move to")
    for name in ("a", "b"):
        page_server.run(source, name, [1.0])
    page = tab.open(page_server, f"experiments/{source}?side=off")
    page.get_by_role("checkbox", name="Select b", exact=True).check()
    page.get_by_role("button", name="Move", exact=True).click()
    page.get_by_role("searchbox", name="Search experiments").fill("move to")
    page.get_by_role("dialog").get_by_role("button", name="move to").click()
    wait_for(page, "a")
    page.get_by_role("button", name="Experiments shown").click()
    page.get_by_role("searchbox", name="Search experiments").fill("move to")
    page.get_by_role("checkbox", name="move to").click()
    wait_for(page, "b", "a")
    assert page.evaluate("location.hash").startswith(f"#/experiments/{source},{target}")
    shown(row(page, "b").first).to_be_visible()
    shown(page.get_by_role("gridcell", name="move to")).to_be_visible()


def test_names_tags_and_notes_are_changed_where_they_stand(page_server: PageServer, tab: Tab) -> None:
    experiment = page_server.experiment("edits")
    run_id = page_server.run(experiment, "old name", [1.0])
    page = tab.open(page_server, f"experiments/{experiment}?side=off&cols=tags.team,tags.mlflow.note.content")
    wait_for(page, "old name")
    cells = row(page, "old name").get_by_role("gridcell")
    cells.nth(3).dblclick()
    page.get_by_role("textbox", name="team of the run").fill(EVIL)
    page.keyboard.press("Enter")
    shown(row(page, "old name")).to_contain_text("<img src=x")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.get_by_role("textbox", name="Note of the run").fill("**good**")
    page.keyboard.press("Enter")
    shown(row(page, "old name")).to_contain_text("**good**")
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("F2")
    page.get_by_role("textbox", name="Name of the run").fill("new name")
    page.keyboard.press("Enter")
    wait_for(page, "new name")
    run = page_server.http.get("/api/2.0/mlflow/runs/get", params={"run_id": run_id}).json()["run"]
    tags = {tag["key"]: tag["value"] for tag in run["data"]["tags"]}
    assert (tags["team"], tags["mlflow.note.content"], run["info"]["run_name"]) == (EVIL, "**good**", "new name")


def test_the_table_is_used_by_keyboard_alone(page_server: PageServer, experiment: str, tab: Tab) -> None:
    page = tab.open(page_server, f"experiments/{experiment}?side=off")
    wait_for(page, "cnn-2", "cnn-1", "mlp-2", "mlp-1")
    page.get_by_role("gridcell").first.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press(" ")
    page.keyboard.press("Shift+ArrowDown")
    shown(page.get_by_text("2 selected")).to_be_visible()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    shown(page.get_by_role("button", name="Draw mlp-2")).to_have_attribute("aria-pressed", "false")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(f"#/experiments/{experiment}/runs/"))


def test_what_runs_log_is_seen_in_the_table_as_it_comes(page_server: PageServer, tab: Tab) -> None:
    experiment = page_server.experiment("live")
    run_id = page_server.run(experiment, "going", [0.5])
    page = tab.open(page_server, f"experiments/{experiment}?side=off&cols=status,metrics.loss")
    shown(row(page, "going")).to_contain_text("0.5")
    page_server.log(run_id, [0.125], first=1)
    shown(row(page, "going")).to_contain_text("0.125")
    page_server.post("runs/update", {"run_id": run_id, "status": "FAILED"})
    shown(row(page, "going")).to_contain_text("Failed")


def test_of_many_runs_only_those_in_sight_are_in_the_page(page_server: PageServer, tab: Tab) -> None:
    experiment = page_server.experiment("many")
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda i: page_server.run(experiment, f"run {i}", seed=str(i)), range(300)))
    page = tab.open(page_server, f"experiments/{experiment}?side=off&cols=params.seed&sort=-params.seed")
    shown(page.get_by_text("300 runs", exact=True)).to_be_visible()
    shown(row(page, "run 299")).to_be_visible()
    assert page.locator(".runs-line").count() < 60
    page.get_by_role("gridcell").nth(2).focus()
    page.keyboard.press("Control+End")
    shown(page.get_by_role("link", name="run 0", exact=True)).to_be_in_viewport()
    assert page.locator(".runs-line").count() < 60
    page.keyboard.press("Control+a")
    shown(page.get_by_text("300 selected")).to_be_visible()


def test_runs_are_taken_off_the_charts_and_given_colors(page_server: PageServer, experiment: str, tab: Tab) -> None:
    page = tab.open(page_server, f"experiments/{experiment}")
    eye = page.get_by_role("button", name="Draw mlp-1")
    shown(eye).to_have_attribute("aria-pressed", "true")
    eye.click()
    shown(eye).to_have_attribute("aria-pressed", "false")
    page.get_by_role("checkbox", name="Select cnn-1", exact=True).check()
    page.get_by_role("button", name="Color", exact=True).click()
    page.get_by_role("button", name="Red", exact=True).click()
    shown(page.get_by_role("button", name="Draw cnn-1")).to_have_class(re.compile(r"\bc7\b"))
    page.reload()
    shown(page.get_by_role("button", name="Draw cnn-1")).to_have_class(re.compile(r"\bc7\b"))
    shown(page.get_by_role("button", name="Draw mlp-1")).to_have_attribute("aria-pressed", "false")


def test_columns_are_dragged_to_another_place(page_server: PageServer, experiment: str, tab: Tab) -> None:
    page = tab.open(page_server, f"experiments/{experiment}?side=off&cols=status,params.lr,metrics.loss")
    wait_for(page, "cnn-2", "cnn-1", "mlp-2", "mlp-1")
    page.get_by_role("button", name="loss", exact=True).drag_to(page.get_by_role("button", name="Status", exact=True))
    page.wait_for_url(re.compile("cols=metrics.loss%2Cstatus%2Cparams.lr"))
    titles = page.locator(".runs-sort .clip").all_text_contents()
    assert titles == ["Name", "loss", "Status", "lr"]


def test_the_workspace_can_be_used_by_everyone(page_server: PageServer, experiment: str, tab: Tab) -> None:
    page = tab.open(page_server, f"experiments/{experiment}?side=off&group=params.model&open=cnn")
    wait_for(page, "cnn", "cnn-2", "cnn-1", "mlp")
    page.get_by_role("checkbox", name="Select cnn-1", exact=True).check()
    axe(tab)
    page.get_by_role("button", name="Columns", exact=True).click()
    axe(tab)
    page.keyboard.press("Escape")
    page.emulate_media(color_scheme="dark")
    page.get_by_role("combobox", name="Filter runs").press_sequentially("me")
    axe(tab)


def test_an_experiment_without_runs_says_how_to_log_one(page_server: PageServer, tab: Tab) -> None:
    experiment = page_server.experiment("empty")
    page = tab.open(page_server, f"experiments/{experiment}")
    shown(page.get_by_role("heading", name="No runs yet")).to_be_visible()
    page_server.run(experiment, "first", [1.0])
    wait_for(page, "first")
