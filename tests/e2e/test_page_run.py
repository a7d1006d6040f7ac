"""A run's page: what a trainer told of itself is shown as it comes, and people write to it where they read."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from headrace.ingest import codec, events
from headrace.ingest.envelope import Envelope

from tests.browser import EVIL, PageServer, Tab, axe, shown

pytestmark = [pytest.mark.browser, pytest.mark.e2e]

MARKUP = "<svg onload=window.pwned=1></svg><script>window.pwned=1</script><iframe srcdoc=x></iframe>"
COMMIT = ["git", "-c", "user.name=ada", "-c", "user.email=ada@example.org", "commit", "-q", "--allow-empty", "-m", "x"]
TRAINER = """
import sys
import headrace

headrace.set_experiment("gan")
with headrace.start_run(run_name="sweep") as sweep, headrace.start_run(
    run_name="wide", nested=True, tags={"team": "vision"}, capture_console=True, log_system_metrics=True
) as run:
    headrace.log_params({f"layer {i} units": 2**i for i in range(20)})
    headrace.log_param("optimizer", "adam")
    for step, loss in enumerate([3.0, float("nan"), 1.5, float("inf"), 0.25]):
        headrace.log_metrics({"loss": loss, "accuracy": step / 4}, step=step)
        print(f"\\x1b[32mepoch {step}\\x1b[0m loss {loss}")
    print("the discriminator wins", file=sys.stderr)
    headrace.log_text("notes", "notes.txt")
    sys.stdin.readline()
    print(run.info.run_id, sweep.info.run_id, file=open("ids", "w"))
"""


class Trained(NamedTuple):
    """Runs that a real trainer logged, in the folder of a repository."""

    server: PageServer
    run_id: str
    parent_id: str
    commit: str


@pytest.fixture(scope="module")
def trained(page_server: PageServer, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("code")
    for command in (["git", "init", "-q"], ["git", "remote", "add", "origin", "git@github.com:ada/gan.git"], COMMIT):
        subprocess.run(command, cwd=folder, check=True)
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=folder, check=True, capture_output=True, text=True).stdout
    (folder / "train.py").write_text(TRAINER, encoding="utf-8")
    surroundings = {
        **os.environ,
        "HEADRACE_TRACKING_URI": page_server.url,
        "HEADRACE_SYSTEM_METRICS_INTERVAL_S": "0.2",
    }
    trainer = subprocess.Popen(
        [sys.executable, "train.py", "--lr", "0.1", "--token", "s3cret"],
        cwd=folder,
        env=surroundings,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    system = 0
    while not system:  # it samples the machine on a thread of its own
        assert trainer.poll() is None
        told = page_server.http.post(
            "/api/2.0/mlflow/runs/search",
            json={
                "experiment_ids": _experiments(page_server, "gan"),
                "filter": 'metrics."system/cpu_utilization_percentage" >= 0',
            },
        )
        system = len(told.json().get("runs", []))
    trainer.communicate("\n", timeout=60)
    assert trainer.returncode == 0
    run_id, parent_id = (folder / "ids").read_text().split()
    return Trained(page_server, run_id, parent_id, commit.strip())


def _experiments(server: PageServer, name: str) -> list[str]:
    found = server.http.get("/api/2.0/mlflow/experiments/get-by-name", params={"experiment_name": name})
    return [found.json()["experiment"]["experiment_id"]] if found.status_code == 200 else ["none"]


@pytest.fixture
def mine(page_server: PageServer) -> str:
    """A run that a test may change."""
    return page_server.run("0", "mine", [3.0, 2.0, 1.0], lr="0.1")


@pytest.fixture
def fresh(browser: Any) -> Iterator[Tab]:
    """A second window, of somebody else."""
    found = Tab(browser)
    yield found
    faults = found.faults
    found.context.close()
    assert faults == []


def printed(server: PageServer, run_id: str, *texts: str) -> None:
    written = [events.ConsoleWritten("stdout", text) for text in texts]
    frames = b"".join(
        codec.encode_frame(Envelope(f"c{i}", codec.type_of(x), "test", run_id, 5, codec.encode_event(x)))
        for i, x in enumerate(written)
    )
    assert server.http.post("/api/headrace/v1/events", content=frames).status_code == 200


def fact(page: Any, name: str) -> Any:
    about = page.get_by_role("region", name="About")
    return about.locator("div", has=page.get_by_text(name, exact=True)).last


def test_an_overview_tells_what_the_trainer_told(trained: Trained, tab: Tab) -> None:
    page = tab.open(trained.server, f"runs/{trained.run_id}")
    shown(page.get_by_role("heading", name="wide", level=1)).to_be_visible()
    shown(page.get_by_role("main")).to_contain_text("Finished")
    link = page.get_by_role("link", name=f"Commit {trained.commit[:10]} at its host")
    shown(link).to_have_attribute("href", f"https://github.com/ada/gan/commit/{trained.commit}")
    shown(fact(page, "Python")).to_contain_text(".".join(map(str, sys.version_info[:3])))
    shown(fact(page, "Source")).to_contain_text("train.py")
    commands = page.get_by_label("Commands that run it again")
    shown(commands).to_contain_text("git clone git@github.com:ada/gan.git && cd gan")
    shown(commands).to_contain_text(f"git checkout {trained.commit}")
    shown(commands).to_contain_text("pip install -r requirements.txt")
    shown(commands).to_contain_text("train.py --lr 0.1 --token '[hidden]'")
    shown(page.get_by_role("main")).not_to_contain_text("s3cret")
    page.get_by_text("Show them").click()
    page.get_by_label("Find packages").fill("msgspec")
    shown(page.get_by_role("list", name="Packages").get_by_role("listitem")).to_have_count(1)


def test_metrics_are_shown_as_they_are_and_params_are_found_by_typing(trained: Trained, tab: Tab) -> None:
    page = tab.open(trained.server, f"runs/{trained.run_id}")
    loss = page.get_by_role("table", name="Metrics").get_by_role("row", name="loss")
    shown(loss.get_by_role("cell")).to_have_text(["0.25", "0.25", "∞", "4", "5 (1 NaN)"])
    params = page.get_by_role("table", name="Params")
    shown(params.get_by_role("row")).to_have_count(15)
    page.get_by_role("button", name="Show 6 more").click()
    shown(params.get_by_role("row")).to_have_count(21)
    page.get_by_label("Find params").fill("524")
    shown(params.get_by_role("row")).to_have_text(["layer 19 units524288"])


def test_what_a_run_logs_is_seen_as_it_comes(page_server: PageServer, mine: str, tab: Tab) -> None:
    page = tab.open(page_server, f"runs/{mine}")
    loss = page.get_by_role("table", name="Metrics").get_by_role("row", name="loss")
    shown(loss).to_contain_text("1")
    page_server.log(mine, [0.125], first=3)
    shown(loss.get_by_role("cell").first).to_have_text("0.125")
    page_server.post("runs/update", {"run_id": mine, "status": "FAILED", "end_time": 9_999_999_999_999})
    shown(page.get_by_role("main")).to_contain_text("Failed")


def test_a_note_is_written_and_read_by_somebody_else(page_server: PageServer, mine: str, tab: Tab, fresh: Tab) -> None:
    page = tab.open(page_server, f"runs/{mine}")
    other = fresh.open(page_server, f"runs/{mine}")
    page.get_by_role("button", name="Write a note").click()
    page.keyboard.type(
        f"# Tried it\n\n**Better** than before.\n\n{MARKUP} <a href='javascript:window.pwned=1'>here</a>"
    )
    page.get_by_text("Preview", exact=True).click()
    shown(page.get_by_role("heading", name="Tried it")).to_be_visible()
    page.get_by_role("button", name="Save").click()
    for reader in (page, other):
        note = reader.get_by_role("region", name="Note")
        shown(note.locator("strong")).to_have_text("Better")
        shown(note.get_by_text("here")).not_to_have_attribute("href", "javascript:window.pwned=1")
        assert reader.evaluate("window.pwned") is None
    page.get_by_role("button", name="Edit the note").click()
    page.get_by_label("Note in Markdown").fill("")
    page.keyboard.press("Control+Enter")
    shown(other.get_by_role("button", name="Write a note")).to_be_visible()


def test_tags_are_added_changed_and_taken_away_by_keyboard(page_server: PageServer, mine: str, tab: Tab) -> None:
    page = tab.open(page_server, f"runs/{mine}")
    tags = page.get_by_role("list", name="Tags")
    page.get_by_role("button", name="Add a tag", exact=True).last.focus()
    page.keyboard.press("Enter")
    page.keyboard.type("team")
    page.keyboard.press("Tab")
    page.keyboard.type("vision")
    page.keyboard.press("Enter")
    shown(tags.get_by_role("listitem")).to_have_text(["teamvision"])
    page.get_by_role("button", name="team: vision. Change it").click()
    page.keyboard.press("ControlOrMeta+A")
    page.keyboard.type(EVIL)
    page.keyboard.press("Enter")
    shown(tags.get_by_role("listitem")).to_have_text([f"team{EVIL}"])
    page.get_by_role("button", name="Remove the tag team").click()
    shown(tags).to_have_count(0)
    page.get_by_role("button", name="Undo").click()
    shown(tags.get_by_role("listitem")).to_have_text([f"team{EVIL}"])
    assert page.evaluate("window.pwned") is None


def test_the_console_of_a_trainer_is_searched_and_a_link_shows_the_same(trained: Trained, tab: Tab, fresh: Tab) -> None:
    page = tab.open(trained.server, f"runs/{trained.run_id}")
    page.get_by_role("tab", name="Console").click()
    log = page.get_by_role("log")
    shown(log).to_contain_text("epoch 0 loss 3.0")
    shown(log.locator(".green").first).to_have_text("epoch 0")
    page.get_by_text("stderr", exact=True).click()
    shown(log.locator(".line")).to_have_text(["the discriminator wins"])
    page.get_by_text("All", exact=True).click()
    page.get_by_label("Find in the console").fill("NAN")
    shown(log.locator(".line")).to_have_text(["epoch 1 loss nan"])
    place = page.url.split("#/")[1]
    again = fresh.open(trained.server, place)
    shown(again.get_by_role("log").locator(".line")).to_have_text(["epoch 1 loss nan"])
    shown(again.get_by_label("Find in the console")).to_have_value("NAN")


def test_a_long_console_shows_its_end_goes_back_and_goes_on(page_server: PageServer, mine: str, tab: Tab) -> None:
    printed(page_server, mine, *(f"line {i} {'x' * 1000}\n" for i in range(1100)))
    page = tab.open(page_server, f"runs/{mine}?tab=console")
    log = page.get_by_role("log")
    shown(log.get_by_text("line 1099 ").last).to_be_in_viewport()
    printed(page_server, mine, "the very last\n")
    shown(log.get_by_text("the very last")).to_be_in_viewport()
    shown(log.get_by_text("line 0 ")).to_have_count(0)
    while page.get_by_role("button", name="Show earlier text").count():
        held = log.locator(".line").count()
        page.get_by_role("button", name="Show earlier text").click()
        page.wait_for_function("held => document.querySelectorAll('[role=log] .line').length > held", arg=held)
    shown(log.get_by_text("line 0 ")).to_have_count(1)
    with page.expect_download() as loading:
        page.get_by_role("button", name="Download").click()
    text = Path(loading.value.path()).read_text(encoding="utf-8")
    assert (text.startswith("line 0 "), text.endswith("the very last\n"), text.count("\n")) == (True, True, 1_101)


def test_curves_and_samples_of_the_machine_have_charts_of_their_own(trained: Trained, tab: Tab) -> None:
    page = tab.open(trained.server, f"runs/{trained.run_id}")
    page.get_by_role("tab", name="Charts").click()
    charts = page.get_by_role("tabpanel", name="Charts")
    for name in ("loss", "accuracy"):
        shown(charts.get_by_text(name, exact=True).first).to_be_visible()
    shown(charts.locator("canvas").first).to_be_visible()
    shown(charts).not_to_contain_text("cpu_utilization_percentage")
    page.get_by_role("tab", name="System").click()
    system = page.get_by_role("tabpanel", name="System")
    shown(system).to_contain_text("cpu_utilization_percentage")
    shown(system).not_to_contain_text("accuracy")


def test_parents_children_and_forks_lead_to_each_other(trained: Trained, tab: Tab) -> None:
    page = tab.open(trained.server, f"runs/{trained.parent_id}")
    page.get_by_role("table", name="Children").get_by_role("link", name="wide").click()
    shown(page.get_by_role("heading", name="wide", level=1)).to_be_visible()
    page.get_by_role("button", name="Actions on this run").click()
    page.get_by_role("menuitem", name="Fork at a step…").click()
    page.get_by_label("Last step that is kept").fill("2")
    page.get_by_role("textbox", name="Name").fill("branch")
    page.keyboard.press("Enter")
    shown(page.get_by_role("heading", name="branch", level=1)).to_be_visible()
    loss = page.get_by_role("table", name="Metrics").get_by_role("row", name="loss")
    shown(loss.get_by_role("cell").first).to_have_text("1.5")
    related = page.get_by_role("region", name="Related runs")
    shown(related).to_contain_text("Forked fromwide at step 2")
    related.get_by_role("link", name="wide").click()
    shown(page.get_by_role("table", name="Forks").get_by_role("row", name="branch")).to_contain_text("at step 2")
    page.get_by_role("navigation", name="Where this run is").get_by_role("link", name="sweep").click()
    shown(page.get_by_role("heading", name="sweep", level=1)).to_be_visible()


def test_history_tells_who_changed_what_and_shows_the_run_as_it_was(
    page_server: PageServer, mine: str, tab: Tab
) -> None:
    for who, value in (("ada", "1"), ("bob", "2")):
        body = {"run_id": mine, "key": "stage", "value": value}
        page_server.http.post("/api/2.0/mlflow/runs/set-tag", json=body, headers={"X-Headrace-Actor": who})
    refused = page_server.http.post(
        "/api/2.0/mlflow/runs/log-parameter", json={"run_id": mine, "key": "lr", "value": "5"}
    )
    assert refused.status_code == 400
    page = tab.open(page_server, f"runs/{mine}?tab=history")
    entries = page.get_by_role("list", name="Changes, the newest first").locator(":scope > li")
    shown(entries.nth(0)).to_contain_text("refused")
    shown(entries.nth(1)).to_contain_text("tags.stage1")
    shown(entries.nth(1)).to_contain_text("by bob")
    shown(entries.nth(2)).to_contain_text("by ada")
    page_server.post("runs/set-tag", {"run_id": mine, "key": "stage", "value": "3"})
    shown(entries.nth(0)).to_contain_text("tags.stage2")
    entries.nth(3).get_by_role("link", name="See the run as of then").click()
    shown(page.get_by_role("status").filter(has_text="The run as it was")).to_be_visible()
    shown(page.get_by_role("list", name="Tags").get_by_role("listitem")).to_have_text(["stage1"])
    page.get_by_role("link", name="Back to now").click()
    shown(page.get_by_role("list", name="Tags").get_by_role("listitem")).to_have_text(["stage3"])


def test_a_run_is_renamed_and_put_into_the_bin_and_back(page_server: PageServer, mine: str, tab: Tab) -> None:
    page = tab.open(page_server, f"runs/{mine}")
    page.get_by_role("button", name="Actions on this run").click()
    page.get_by_role("menuitem", name="Rename…").click()
    page.get_by_role("textbox", name="Name").fill("yours")
    page.keyboard.press("Enter")
    shown(page.get_by_role("heading", name="yours", level=1)).to_be_visible()
    page.get_by_role("button", name="Actions on this run").click()
    page.get_by_role("menuitem", name="Delete").click()
    shown(page.get_by_text("This run is in the bin")).to_be_visible()
    shown(page.get_by_role("button", name="Add a tag")).to_have_count(0)
    page.get_by_role("button", name="Restore").click()
    shown(page.get_by_text("This run is in the bin")).to_have_count(0)


def test_data_sets_and_models_are_shown_and_no_name_runs_script(page_server: PageServer, tab: Tab) -> None:
    run_id = page_server.run("0", EVIL, [1.0], lr=EVIL)
    dataset = {
        "name": EVIL,
        "digest": "9f2a",
        "source_type": "s3",
        "source": json.dumps({"uri": "s3://faces/64.parquet"}),
        "schema": json.dumps({"mlflow_colspec": [{"type": "long", "name": "identity"}]}),
        "profile": json.dumps({"num_rows": 202_599}),
    }
    context = [{"key": "mlflow.data.context", "value": "training"}]
    page_server.post("runs/log-inputs", {"run_id": run_id, "datasets": [{"tags": context, "dataset": dataset}]})
    asked = {"experiment_id": "0", "name": "generator", "source_run_id": run_id, "model_type": EVIL}
    model_id = page_server.post("logged-models", asked)["model"]["info"]["model_id"]
    page_server.post("runs/outputs", {"run_id": run_id, "models": [{"model_id": model_id, "step": 1}]})
    printed(page_server, run_id, f"{EVIL}\n")
    page = tab.open(page_server, f"runs/{run_id}")
    [sets, models] = [page.get_by_role("list", name=name, exact=True) for name in ("Data sets", "Models")]
    shown(sets).to_contain_text("s3 · 202,599 rows · s3://faces/64.parquet")
    sets.get_by_text("1 columns").click()
    shown(sets.get_by_role("row")).to_have_text(["identitylong"])
    shown(models).to_contain_text(f"models:/{model_id}")
    for name in ("Charts", "Console", "History", "Overview"):
        page.get_by_role("tab", name=name).click()
        shown(page.get_by_role("tabpanel", name=name)).not_to_be_empty()
    assert page.evaluate("window.pwned") is None


def test_a_model_of_a_run_is_registered_there(page_server: PageServer, mine: str, tab: Tab) -> None:
    asked = {"experiment_id": "0", "name": "generator", "source_run_id": mine}
    model_id = page_server.post("logged-models", asked)["model"]["info"]["model_id"]
    stored = page_server.http.put(
        f"/api/headrace/v1/logged-models/{model_id}/artifacts/MLmodel",
        content=b"flavors: {}\n",
        headers={"X-Headrace-Model-Files": "1"},
    )
    assert stored.status_code == 200, stored.text
    page = tab.open(page_server, f"runs/{mine}")
    for number in ("1", "2"):
        page.get_by_role("button", name="Register generator").click()
        page.get_by_label("Name of the registered model").fill("faces")
        said = "A new registered model" if number == "1" else "the next version"
        shown(page.get_by_role("dialog")).to_contain_text(said)
        page.keyboard.press("Enter")
        page.wait_for_url(f"**/#/models/faces/versions/{number}")
        page.go_back()
        shown(page.get_by_role("link", name=f"faces v{number}")).to_be_visible()


def test_a_run_that_is_not_there_says_so_and_where_to_go(page_server: PageServer, browser: Any) -> None:
    lost = Tab(browser)  # a browser tells of each 404 by itself
    page = lost.open(page_server, "runs/nobody")
    shown(page.get_by_role("alert")).to_contain_text("Run with id=nobody not found")
    page.get_by_role("link", name="All experiments").last.click()
    shown(page.get_by_role("alert")).to_have_count(0)
    lost.context.close()


@pytest.mark.parametrize("width", [1280, 390])
def test_everyone_can_use_every_part_at_every_width(trained: Trained, browser: Any, width: int) -> None:
    window = Tab(browser, width, 844)
    page = window.open(trained.server, f"runs/{trained.run_id}")
    for part in ("Overview", "Console", "History"):
        page.get_by_role("tab", name=part).click()
        shown(page.get_by_role("tabpanel", name=part)).not_to_be_empty()
        page.get_by_role("region").first.wait_for()
        assert page.evaluate("document.querySelector('main').scrollWidth <= document.querySelector('main').clientWidth")
        axe(window)
    faults = window.faults
    window.context.close()
    assert faults == []
