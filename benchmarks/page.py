"""The page in a browser, beside MLflow's and TensorBoard's: how long until something is seen, and what it costs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks import page_data, processes
from benchmarks.browser import Browser, NoBrowser, Page, chromium
from benchmarks.figures import Cell, Table, spread
from benchmarks.page_data import FILTER, QUICK, Made, Sizes
from benchmarks.peers import NotInstalled
from benchmarks.processes import Server

TABLE = "first table painted, ms"
FILTERED = "filter to painted, ms"
FRAMES = "frames a second, scrolling"
LONGEST = "longest frame, scrolling, ms"
CHART = "chart painted, ms"
ZOOM = "zoom to painted, ms"
SCRIPT = "script for the table, compressed, KB"
IDLE = "work while idle, ms a second"
BARS = {TABLE: "≤ 1,000", FILTERED: "≤ 300", FRAMES: "60", CHART: "≤ 1,000", ZOOM: "≤ 300", SCRIPT: "≤ 700", IDLE: "0"}
LINES = (TABLE, FILTERED, FRAMES, LONGEST, CHART, ZOOM, SCRIPT, IDLE)

Figures = dict[str, float]


@dataclass(frozen=True, slots=True)
class Subject:
    """A page under test. measure gives one round's figures, those that it can give."""

    server: Server
    measure: Callable[[Browser, Sizes], Figures]


def run(folder: Path, rounds: int, quick: bool, say: Callable[[str], None]) -> Iterator[Table]:
    """One table: pages in turn, round by round."""
    sizes = QUICK if quick else Sizes()
    table = Table(f"The page: {sizes.runs:,} runs, {sizes.curves} × {sizes.points:,} points", ["measured", "bar"])
    with ExitStack() as stack:
        try:
            browser = stack.enter_context(chromium())
        except NoBrowser as error:
            table.notes.append(str(error))
            yield table
            return
        found: dict[str, dict[str, list[float]]] = {}
        # One after the other: the others' servers would take the two cores while idle.
        for name, prepare in (("Headrace", _ours), ("MLflow", _mlflow), ("TensorBoard", _tensorboard)):
            say(f"page: filling {name}")
            with ExitStack() as serving:
                try:
                    subject = prepare(folder / name.lower(), sizes, serving)
                except (NotInstalled, RuntimeError) as error:
                    table.notes.append(f"{name}: {error}")
                    continue
                figures = found.setdefault(subject.server.name, {})
                for number in range(rounds):
                    say(f"page: round {number + 1}, {name}")
                    for line, value in subject.measure(browser, sizes).items():
                        figures.setdefault(line, []).append(value)
        table.columns += list(found)
        for line in LINES:
            cells: list[Cell] = [spread(one[line]) if line in one else "" for one in found.values()]
            table.add(line, BARS.get(line, ""), *cells)
        table.notes += [
            f"Chromium {browser.version}, without a GPU, 1440 × 900, an empty cache at each navigation; server and"
            " browser on the same machine. Times run from the navigation, the key or the release of the mouse to the"
            " frame that shows the result.",
            f"MLflow: {sizes.peer_runs:,} runs, of which its table loads 100, and {sizes.curves} ×"
            f" {sizes.peer_points:,} points, of which it draws 320 a curve and 10 curves. TensorBoard: as many points"
            " as ours, of which it draws 1,000 a curve.",
        ]
        yield table


def _ours(folder: Path, sizes: Sizes, serving: ExitStack) -> Subject:
    server = processes.headrace(folder).start()
    serving.callback(server.stop)
    made = page_data.ours(server.url, sizes)
    processes.caught_up(server)
    return Subject(server, lambda browser, sizes: _measure_ours(server.url, made, browser, sizes))


def _measure_ours(url: str, made: Made, browser: Browser, sizes: Sizes) -> Figures:
    found: Figures = {}
    lines = "document.querySelectorAll('.runs-line').length"
    total = "document.querySelector('.runs-total')?.textContent ?? ''"
    with browser.page() as page:
        found[TABLE] = page.open(f"{url}/#/experiments/{made.table_id}?side=off", f"{lines} > 15")
        page.page.wait_for_load_state("networkidle")
        found[SCRIPT] = page.script_bytes / 1000
        found[IDLE] = page.idle(sizes.seconds)
        found[FRAMES], found[LONGEST] = page.scroll(".runs-line", min(4.0, sizes.seconds))
        before = page.page.evaluate(total)
        page.page.get_by_label("Filter runs").fill(FILTER)
        page.page.keyboard.press("Escape")
        page.page.keyboard.press("Enter")
        found[FILTERED] = page.then(f"({total}) !== {before!r} && {lines} > 0")
    with browser.page() as page:
        ready = "[aria-label=curve] .chart-box"
        drawn = f"document.querySelector('{ready}')?.dataset.ready === 'true'"
        legend = f"document.querySelector('{ready}')?.ariaLabel.includes('{sizes.curves} runs')"
        chart = f"{url}/#/experiments/{made.chart_id}?side=charts&n={sizes.curves}&metric=curve"
        found[CHART] = page.open(chart, f"{drawn} && {legend}")
        page.page.wait_for_load_state("networkidle")
        page.drag(f"{ready} .u-over", 0.4, 0.6)
        found[ZOOM] = page.then(_answered("/series"))
    return found


def _answered(path: str) -> str:
    """Whether a request to this path that began after the cause has been answered."""
    return (
        "performance.getEntriesByType('resource').some("
        f"one => one.name.includes('{path}') && one.startTime >= window.cause && one.responseEnd)"
    )


def _mlflow(folder: Path, sizes: Sizes, serving: ExitStack) -> Subject:
    server = processes.mlflow(folder).start()
    serving.callback(server.stop)
    made = page_data.mlflows(server.url, sizes)
    return Subject(server, lambda browser, sizes: _measure_mlflow(server.url, made, browser, sizes))


def _measure_mlflow(url: str, made: Made, browser: Browser, sizes: Sizes) -> Figures:
    found: Figures = {}
    rows = "document.querySelectorAll('.ag-center-cols-container [role=row]').length"
    with browser.page() as page:
        found[TABLE] = page.open(f"{url}/#/experiments/{made.table_id}/runs", f"{rows} > 10")
        _settled(page)
        found[SCRIPT] = page.script_bytes / 1000
        found[IDLE] = page.idle(sizes.seconds)
        found[FRAMES], found[LONGEST] = page.scroll(".ag-center-cols-container [role=row]", min(4.0, sizes.seconds))
        box = page.page.get_by_placeholder("metrics.rmse < 1", exact=False)
        box.fill(FILTER)
        page.page.keyboard.press("Enter")
        found[FILTERED] = page.then(f"{_answered('runs/search')} && {rows} > 0")
    with browser.page() as page:
        curves = "document.querySelectorAll('.js-plotly-plot .scatterlayer path.js-line').length"
        chart = f"{url}/#/experiments/{made.chart_id}/runs?compareRunsMode=CHART"
        found[CHART] = page.open(chart, f"{curves} >= {min(10, sizes.curves)}")
    return found


def _tensorboard(folder: Path, sizes: Sizes, serving: ExitStack) -> Subject:
    server = page_data.tensorboard(folder, page_data.tensorboards(folder, sizes)).start()
    serving.callback(server.stop)
    return Subject(server, lambda browser, sizes: _measure_tensorboard(server.url, browser, sizes))


def _measure_tensorboard(url: str, browser: Browser, sizes: Sizes) -> Figures:
    found: Figures = {}
    curves = "document.querySelectorAll('line-chart svg path, line-chart canvas').length"
    with browser.page() as page:
        found[CHART] = page.open(f"{url}/#timeseries", f"{curves} > 0")
        _settled(page)
        found[SCRIPT] = page.script_bytes / 1000
        found[IDLE] = page.idle(sizes.seconds)
    return found


def _settled(page: Page) -> None:
    """Nothing more is asked of the network, or that takes too long to be waited for: some pages poll."""
    try:
        page.page.wait_for_load_state("networkidle", timeout=10_000)
    except Exception as error:
        if "Timeout" not in str(error):
            raise
