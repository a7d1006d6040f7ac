"""Takes the pictures of README and docs from a real server with real runs: `uv run python -m tests.screenshots`.

The runs are always the same, so a picture changes where the page does. Build the page before (`npm run build` in
api/ui).
"""

from __future__ import annotations

import math
import random
import tempfile
import time
from pathlib import Path
from typing import Any, Literal

from playwright.sync_api import ViewportSize, sync_playwright

from tests.browser import CHROMIUM, PageServer, shown

IMAGES = Path(__file__).parent.parent / "docs" / "images"
STEPS = 240
SETTLE_MS = 30_000
SIZE: ViewportSize = {"width": 1280, "height": 800}


def points(kind: str, lr: float, depth: int, chance: random.Random) -> list[dict[str, Any]]:
    """Curves of a training that learns faster with a better rate, and of the machine below it."""
    now, speed = int(time.time() * 1000) - STEPS * 1000, 1 / (1 + abs(math.log10(lr / 0.01)))
    floor = 0.18 + 0.05 * abs(depth - 6) + (0.1 if kind == "linear" else 0.0)
    found = []
    for step in range(STEPS):
        loss = floor + math.exp(-speed * step / 40) + chance.gauss(0, 0.02)
        values = {
            "train/loss": loss,
            "val/loss": loss + 0.06 + chance.gauss(0, 0.02) + 0.0004 * step * (depth > 7),
            "val/accuracy": max(0.0, 0.97 - loss / 2.5 + chance.gauss(0, 0.01)),
            "system/cpu_percent": 55 + 30 * math.sin(step / 17) + chance.gauss(0, 4),
        }
        found += [{"key": k, "value": v, "step": step, "timestamp": now + step * 1000} for k, v in values.items()]
    return found


def fill(server: PageServer) -> dict[str, str]:
    """Log the runs and register a model; gives the ids that places need."""
    chance = random.Random(7)
    server.experiment("Demand next week")
    experiment = server.experiment("Churn")
    runs: list[str] = []
    for kind in ("boosted", "forest", "linear"):
        for lr in (0.001, 0.01, 0.1):
            for depth in (4, 6, 8):
                began = int(time.time() * 1000) - STEPS * 1000
                body = {"experiment_id": experiment, "run_name": f"{kind}-{depth}-{lr:g}", "start_time": began}
                run_id = server.post("runs/create", body | {"user_id": "ada"})["run"]["info"]["run_id"]
                params = [{"key": "lr", "value": str(lr)}, {"key": "depth", "value": str(depth)}]
                params.append({"key": "model", "value": kind})
                server.post("runs/log-batch", {"run_id": run_id, "params": params})
                logged = points(kind, lr, depth, chance)
                for start in range(0, 4 * STEPS, 960):
                    part = logged[start : start + 960]
                    server.post("runs/log-batch", {"run_id": run_id, "metrics": part})
                if len(runs) < 25:
                    end = {"run_id": run_id, "status": "FAILED" if len(runs) == 11 else "FINISHED"}
                    server.post("runs/update", {**end, "end_time": int(time.time() * 1000)})
                runs.append(run_id)
    note = "Boosted trees at a **rate of 0.01**. Better than the forest on every fold.\n\n- depth 6 is enough"
    server.post("runs/set-tag", {"run_id": runs[4], "key": "mlflow.note.content", "value": note})
    server.post("registered-models/create", {"name": "churn", "description": "Who leaves within 30 days."})
    for run_id in runs[3:6]:
        server.post("model-versions/create", {"name": "churn", "source": "s3://models/churn", "run_id": run_id})
    server.post("registered-models/alias", {"name": "churn", "alias": "champion", "version": "2"})
    for name, query in (("Best by validation", "sort=val/loss"), ("Only boosted", "filter=params.model = 'boosted'")):
        body = {"name": name, "path": f"/experiments/{experiment}", "query": query}
        server.http.post("/api/headrace/v1/views", json=body, headers={"X-Headrace-Actor": "ada"}).raise_for_status()
    return {"experiment": experiment, "run": runs[4], "runs": ",".join(runs[3:7])}


PICTURES: dict[str, tuple[str, Literal["light", "dark"]]] = {
    "page": ("experiments/{experiment}", "light"),
    "page-dark": ("experiments/{experiment}", "dark"),
    "page-plots": ("experiments/{experiment}?side=plots", "light"),
    "page-home": ("", "light"),
    "page-run": ("experiments/{experiment}/runs/{run}", "light"),
    "page-compare": ("compare?runs={runs}", "light"),
    "page-model": ("models/churn", "light"),
    "page-lineage": ("lineage?kind=registered_model&id=churn", "light"),
    "page-system": ("system", "dark"),
}
"""Each picture: which place it shows, and in which theme."""


def take(server: PageServer, ids: dict[str, str], folder: Path = IMAGES) -> None:
    """Take every picture."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        for name, (place, theme) in PICTURES.items():
            page = browser.new_page(viewport=SIZE, color_scheme=theme)
            page.goto(f"{server.url}/#/{place.format(**ids)}")
            page.wait_for_selector("#live[data-state=live]")
            shown(page.locator(".loading")).to_have_count(0, timeout=SETTLE_MS)
            page.wait_for_load_state("load")
            page.wait_for_timeout(1500)  # Curves are drawn when they have come; what is drawn tells nobody.
            page.screenshot(path=folder / f"{name}.png")
            if name == "page-home":
                page.keyboard.press("Control+k")
                page.keyboard.type("churn")
                shown(page.get_by_role("group", name="Models", exact=True)).to_be_visible()
                page.screenshot(path=folder / "page-search.png")
            page.close()
        browser.close()


def main() -> None:
    """Start a server of its own, fill it, and take the pictures."""
    with tempfile.TemporaryDirectory() as folder:
        server = PageServer(Path(folder))
        try:
            take(server, fill(server))
        finally:
            server.close()


if __name__ == "__main__":
    main()
