"""Artifacts in the page: each kind is shown, nothing is loaded whole that is large, and nothing that is logged runs."""

from __future__ import annotations

import io
import json
import os
import wave
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pyarrow
import pyarrow.parquet
import pytest

from tests.browser import EVIL, PageServer, Tab, axe, shown
from tests.images import png

pytestmark = [pytest.mark.browser, pytest.mark.e2e]

LEAK = (
    "fetch('/api/2.0/mlflow/experiments/search?max_results=9').then(r=>r.text()).then(t=>{top.pwned=t;parent.pwned=t})"
)
HTML = f"""<!doctype html><meta http-equiv="refresh" content="0;url=/#/pwned">
<style>h1 {{ color: rgb(1, 2, 3) }}</style>
<h1>Report</h1><script>document.title='pwned';{LEAK}</script><img src=x onerror="{LEAK}">
<img src="/api/2.0/mlflow/experiments/search?max_results=9"><iframe src="/" srcdoc="<script>{LEAK}</script>"></iframe>
<link rel=stylesheet href="/api/headrace/v1/evil.css"><form action="/api/2.0/mlflow/experiments/create" method=post>
<button id=go>Go</button></form><a id=out target=_top href="/#/pwned">out</a><object data="/"></object>"""
SVG = f"""<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="40" height="30"
 onload="{LEAK}"><script>{LEAK}</script><rect width="40" height="30" fill="red"/><foreignObject width="9" height="9">
<iframe xmlns="http://www.w3.org/1999/xhtml" src="javascript:{LEAK}"/></foreignObject></svg>"""
MARKDOWN = f"""<!-- not shown -->
# Results

**Best** of [all](https://example.com) in a table:

| model | score |
|---|---|
| tree | 0.9 |

![the plot](../red.png) ![gone]({"https://example.com/x.png"})
{EVIL} <a href="javascript:window.pwned=1">click</a>
<svg onload="window.pwned=1"><style>* {{ display: none }}</style></svg>
"""


def sound() -> bytes:
    """A second of silence."""
    sink = io.BytesIO()
    with wave.open(sink, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(16_000))
    return sink.getvalue()


def parquet(rows: int, compression: str = "zstd", **options: Any) -> bytes:
    """Rows with a number, a text, a list and a time."""
    table = pyarrow.table(
        {
            "id": pyarrow.array(range(rows), pyarrow.int64()),
            "name": [f"row {i}" for i in range(rows)],
            "pair": [[i, i + 1] for i in range(rows)],
            "at": pyarrow.array([i * 1000 for i in range(rows)], pyarrow.timestamp("ms")),
        }
    )
    sink = io.BytesIO()
    pyarrow.parquet.write_table(table, sink, compression=compression, row_group_size=20_000, **options)
    return sink.getvalue()


class Logged:
    """A run with an artifact of each kind, and what asks for them."""

    def __init__(self, server: PageServer) -> None:
        self.server = server
        self.run_id = server.run(server.experiment("artifacts"), "files")
        for path, content in {
            "log.txt": b"".join(b"line %d\n" % i for i in range(200_000)),
            "notes/README.md": MARKDOWN.encode(),
            "red.png": png(40, 30, (255, 0, 0)),
            "config.json": b'{"id":12345678901234567890,"layers":[1,2],"name":"'
            + EVIL.replace('"', "'").encode()
            + b'"}',
            "predictions.json": json.dumps({"columns": ["truth", "predicted"], "data": [[1, 0.5], [0, 0.25]]}).encode(),
            "rows.csv": b"name,value\n" + b"".join(b'"a, ""%d""",%d\n' % (i, i) for i in range(250)),
            "tables/zstd.parquet": parquet(60_000),
            "tables/snappy.parquet": parquet(300, "snappy"),
            "tables/indexed.parquet": parquet(60_000, "gzip", write_page_index=True),
            "sound.wav": sound(),
            "report.html": HTML.encode(),
            "picture.svg": SVG.encode(),
            "evil.js": b"window.pwned = 1",
            f"names/{EVIL.replace('/', '')}.txt": b"harmless",
            "model.bin": os.urandom(1000),
            "unknown": b"plain words",
            "cut.parquet": parquet(300)[:-100],
        }.items():
            self.put(path, content)
        for step, color in ((0, (255, 0, 0)), (10, (0, 255, 0)), (200, (0, 0, 255))):
            self.put(f"images/val#cat%step%{step}%timestamp%{step}%{step}.png", png(20 + step, 20, color))

    def put(self, path: str, content: bytes) -> None:
        """Log a file."""
        address = f"/api/headrace/v1/runs/{self.run_id}/artifacts/{quote(path)}"
        answer = self.server.http.put(address, content=content)
        assert answer.status_code == 200, answer.text

    def open(self, tab: Tab, file: str = "") -> Any:
        """The run's artifacts in the page, with a file or none."""
        query = {"tab": "artifacts"} | ({"file": file} if file else {})
        return tab.open(self.server, f"runs/{self.run_id}?{urlencode(query, quote_via=quote)}")


@pytest.fixture(scope="module")
def logged(page_server: PageServer) -> Logged:
    return Logged(page_server)


@pytest.fixture
def asked(tab: Tab) -> list[Any]:
    """The answers to what the tab asks for."""
    answers: list[Any] = []
    tab.page.on("response", lambda answer: answers.append(answer))
    return answers


def pwned(page: Any) -> Any:
    return page.evaluate("window.pwned")


def test_the_tree_is_walked_by_keyboard_and_a_link_shows_the_same_file(logged: Logged, tab: Tab, browser: Any) -> None:
    page = logged.open(tab)
    tree = page.get_by_role("tree", name="Artifacts")
    shown(tree.get_by_role("treeitem", name="rows.csv")).to_be_visible()
    tree.get_by_role("treeitem").first.focus()
    page.keyboard.type(" ")  # images, a folder: opens
    shown(tree.get_by_role("treeitem", name="val/cat")).to_contain_text("3 steps")
    page.keyboard.press("ArrowLeft")
    shown(tree.get_by_role("treeitem", name="val/cat")).to_have_count(0)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")  # notes
    shown(tree.get_by_role("treeitem", name="README.md")).to_be_visible()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    shown(page.get_by_role("heading", name="Results")).to_be_visible()
    other = Tab(browser)
    again = other.context.new_page()
    again.goto(page.url)
    shown(again.get_by_role("heading", name="Results")).to_be_visible()
    shown(again.get_by_role("treeitem", name="README.md")).to_have_attribute("aria-selected", "true")
    other.context.close()


def test_a_long_log_is_read_in_part_and_its_end_as_well(logged: Logged, tab: Tab, asked: list[Any]) -> None:
    page = logged.open(tab, "log.txt")
    text = page.get_by_label("Text", exact=True)
    shown(text).to_contain_text("line 0\n")
    shown(page.get_by_text("The first 262 kB of 2.3 MB")).to_be_visible()
    page.get_by_text("End", exact=True).click()
    shown(text).to_contain_text("line 199999")
    page.get_by_role("button", name="Read more").click()
    shown(page.get_by_text("The last 1.0 MB of 2.3 MB")).to_be_visible()
    lengths = [int(x.headers["content-length"]) for x in asked if "/artifacts/log.txt" in x.url]
    assert lengths == [262_144, 262_144, 1_048_576]


def test_of_a_file_of_5_gb_a_megabyte_is_read(logged: Logged, tab: Tab, asked: list[Any]) -> None:
    logged.put("huge/rows.csv", b"name,value\n" + b"x,1\n" * 300_000)
    arguments = logged.server.process.args
    assert isinstance(arguments, list)
    folder = Path(arguments[arguments.index("--data-dir") + 1])
    (file,) = folder.glob(f"artifacts/*/{logged.run_id}/artifacts/huge/rows.csv")
    os.truncate(file, 5_000_000_000)
    page = logged.open(tab, "huge/rows.csv")
    shown(page.get_by_text("The first 1.0 MB of 5.0 GB")).to_be_visible()
    shown(page.get_by_text("Rows 1–100 of 50,000+")).to_be_visible()
    assert [x.headers["content-length"] for x in asked if "/artifacts/huge/rows.csv" in x.url] == ["1048576"]
    logged.server.http.delete(f"/api/2.0/mlflow-artifacts/artifacts/{file.relative_to(folder / 'artifacts')}")


def test_markdown_is_shown_with_images_beside_it_and_nothing_of_it_runs(logged: Logged, tab: Tab) -> None:
    page = logged.open(tab, "notes/README.md")
    document = page.get_by_role("region", name="Markdown")
    shown(document.get_by_role("cell", name="tree")).to_be_visible()
    image = document.get_by_role("img", name="the plot")
    assert image.evaluate("async image => { await image.decode(); return image.naturalWidth }") == 40
    assert (
        document.evaluate("box => box.querySelectorAll('script, style, svg, [onerror], [href^=javascript]').length")
        == 0
    )
    shown(document).to_contain_text("<script>window.pwned=1</script>")  # as it was written
    page.get_by_text("Source", exact=True).click()
    shown(page.get_by_label("Text", exact=True)).to_contain_text("# Results")
    assert pwned(page) is None


def test_json_keeps_its_digits_and_a_logged_table_is_one(logged: Logged, tab: Tab) -> None:
    page = logged.open(tab, "config.json")
    shown(page.get_by_label("Text", exact=True)).to_contain_text('"id": 12345678901234567890,')
    page.get_by_role("treeitem", name="predictions.json").click()
    shown(page.get_by_role("columnheader", name="predicted")).to_be_visible()
    shown(page.get_by_role("cell", name="0.25")).to_be_visible()
    assert pwned(page) is None


def test_a_csv_is_a_table_by_pages(logged: Logged, tab: Tab) -> None:
    page = logged.open(tab, "rows.csv")
    shown(page.get_by_role("cell", name='a, "99"')).to_be_visible()
    page.get_by_role("button", name="Later rows").click()
    shown(page.get_by_text("Rows 101–200 of 250")).to_be_visible()
    shown(page.get_by_role("cell", name='a, "100"')).to_be_visible()
    axe(tab)


@pytest.mark.parametrize("name", ["zstd", "indexed"])
def test_any_rows_of_a_parquet_file_are_shown_without_reading_it_whole(
    logged: Logged, tab: Tab, asked: list[Any], name: str
) -> None:
    page = logged.open(tab, f"tables/{name}.parquet")
    shown(page.get_by_text("Rows 1–100 of 60,000")).to_be_visible()
    shown(page.get_by_role("cell", name="row 99", exact=True)).to_be_visible()
    page.get_by_label("Go to row").fill("40001")
    page.keyboard.press("Enter")
    shown(page.get_by_role("cell", name="row 40000", exact=True)).to_be_visible()
    shown(page.get_by_role("cell", name="[40000,40001]")).to_be_visible()
    shown(page.get_by_role("cell", name="1970-01-01 11:06:40")).to_be_visible()
    answers = [x for x in asked if f"/artifacts/tables/{name}.parquet" in x.url]
    assert {x.status for x in answers} == {206}
    whole = int(answers[0].headers["content-range"].rpartition("/")[2])
    assert sum(int(x.headers["content-length"]) for x in answers) < whole


def test_snappy_needs_no_web_assembly_and_a_cut_file_says_what_it_is(logged: Logged, tab: Tab) -> None:
    page = logged.open(tab, "tables/snappy.parquet")
    shown(page.get_by_role("cell", name="row 99", exact=True)).to_be_visible()
    page.get_by_role("treeitem", name="cut.parquet").click()
    shown(page.get_by_role("alert")).to_contain_text("This is no Parquet file, or it was not written to its end.")


def test_images_of_a_series_are_gone_through_by_step(logged: Logged, tab: Tab) -> None:
    page = logged.open(tab)
    page.get_by_role("treeitem", name="images").click()
    page.get_by_role("treeitem", name="val/cat").click()
    shown(page.get_by_role("img", name="val/cat at step 200")).to_be_visible()
    shown(page.get_by_text("220 × 20")).to_be_visible()
    page.get_by_label("Step of val/cat").focus()
    page.keyboard.press("ArrowLeft")
    shown(page.get_by_role("img", name="val/cat at step 10")).to_be_visible()
    shown(page.get_by_text("30 × 20")).to_be_visible()


def test_sound_is_heard_and_what_is_no_text_is_downloaded(logged: Logged, tab: Tab) -> None:
    page = logged.open(tab, "sound.wav")
    audio = page.get_by_label("sound.wav", exact=True)
    shown(audio).to_be_visible()
    heard = "async x => { if (x.readyState < 1) await new Promise(y => x.onloadedmetadata = y); return x.duration }"
    assert audio.evaluate(heard) == 1
    page.get_by_role("treeitem", name="unknown").click()
    shown(page.get_by_label("Text", exact=True)).to_have_text("plain words")
    page.get_by_role("treeitem", name="model.bin").click()
    shown(page.get_by_role("heading", name="No preview")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    assert download.value.suggested_filename == "model.bin"
    assert len(Path(download.value.path()).read_bytes()) == 1000


def quiet(tab: Tab) -> None:
    """What the browser says of what it refused an artifact is not the page's fault."""
    refused = ("Refused to", "Blocked script execution", "sandboxed", "violates the following Content Security Policy")
    tab.faults[:] = [fault for fault in tab.faults if not any(word in fault for word in refused)]


def test_a_hostile_html_file_is_shown_and_runs_nothing(logged: Logged, tab: Tab, asked: list[Any]) -> None:
    page = logged.open(tab, "report.html")
    frame = page.frame_locator("iframe[title='Preview of report.html']")
    shown(frame.get_by_role("heading", name="Report")).to_have_css("color", "rgb(1, 2, 3)")
    before = len([x for x in asked if "experiments/" in x.url])
    frame.locator("#go").click()
    frame.locator("#out").click()
    shown(frame.get_by_role("heading", name="Report")).to_be_visible()
    assert pwned(page) is None
    assert "pwned" not in page.url
    assert len([x for x in asked if "experiments/" in x.url]) == before
    assert "evil.css" not in " ".join(x.url for x in asked)
    quiet(tab)


def test_a_hostile_svg_file_is_an_image(logged: Logged, tab: Tab) -> None:
    page = logged.open(tab, "picture.svg")
    shown(page.get_by_text("40 × 30")).to_be_visible()
    assert pwned(page) is None


@pytest.mark.parametrize("file", ["report.html", "picture.svg"])
def test_a_hostile_file_that_is_opened_by_itself_runs_nothing_and_is_an_origin_of_its_own(
    logged: Logged, tab: Tab, asked: list[Any], file: str
) -> None:
    page = logged.open(tab, file)
    with tab.context.expect_page() as opened:
        page.get_by_role("link", name="Open", exact=True).click()
    other = opened.value
    other.wait_for_load_state()
    assert other.title() != "pwned"
    assert "pwned" not in other.url
    assert pwned(page) is None
    # Playwright's own script runs there, in the file's origin: it has none, and it can ask for nothing.
    assert other.evaluate("self.origin") == "null"
    refused = "fetch('/api/2.0/mlflow/experiments/search?max_results=9').then(() => 'read', () => 'refused')"
    assert other.evaluate(refused) == "refused"
    quiet(tab)


def test_a_script_that_is_logged_is_no_script_of_the_page(logged: Logged, tab: Tab) -> None:
    page = logged.open(tab, "evil.js")
    shown(page.get_by_label("Text", exact=True)).to_have_text("window.pwned = 1")
    address = f"/api/headrace/v1/runs/{logged.run_id}/artifacts/evil.js?inline=true"
    loaded = """source => new Promise(done => {
        const script = document.createElement("script");
        script.onload = () => done("ran"); script.onerror = () => done("refused");
        script.src = source; document.head.append(script);
    })"""
    assert page.evaluate(loaded, address) == "refused"
    assert pwned(page) is None
    quiet(tab)


def test_a_name_is_text_and_a_file_that_is_not_there_is_told_of(logged: Logged, tab: Tab) -> None:
    page = logged.open(tab)
    page.get_by_role("treeitem", name="names").click()
    page.get_by_role("treeitem", name="onerror").click()
    shown(page.get_by_label("Text", exact=True)).to_have_text("harmless")
    assert pwned(page) is None
    logged.open(tab, "no/such.txt")
    page.reload()
    shown(page.get_by_role("heading", name="There is no such file")).to_be_visible()


def test_the_files_of_a_model_are_shown_as_those_of_its_run(logged: Logged, tab: Tab) -> None:
    body = {"experiment_id": "0", "name": "tree", "source_run_id": logged.run_id}
    model_id = logged.server.post("logged-models", body)["model"]["info"]["model_id"]
    address = f"/api/headrace/v1/logged-models/{model_id}/artifacts/"
    for path, content in (("MLmodel", b"flavors: {}"), ("data/model.pkl", b"\0\1")):
        assert logged.server.http.put(address + path, content=content).status_code == 200
    page = tab.open(logged.server, f"runs/{logged.run_id}?tab=artifacts&model={model_id}")
    page.get_by_role("treeitem", name="MLmodel").click()
    shown(page.get_by_label("Text", exact=True)).to_have_text("flavors: {}")
    page.get_by_role("treeitem", name="data").click()
    shown(page.get_by_role("treeitem", name="model.pkl")).to_be_visible()
    axe(tab)
    page.get_by_role("button", name="Files of the run").click()
    shown(page.get_by_role("treeitem", name="rows.csv")).to_be_visible()


def test_a_file_logged_while_one_looks_appears(logged: Logged, tab: Tab) -> None:
    page = logged.open(tab)
    shown(page.get_by_role("treeitem", name="rows.csv")).to_be_visible()
    logged.put("late.txt", b"x")
    shown(page.get_by_role("treeitem", name="late.txt")).to_be_visible(timeout=15_000)
