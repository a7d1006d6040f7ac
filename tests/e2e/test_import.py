"""`headrace import` as a process against a real server: equal at the end, whatever is killed, repeated or changed."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.mlruns import write, write_experiment, write_run

if TYPE_CHECKING:
    from tests.e2e.conftest import Server

pytestmark = pytest.mark.e2e
NAN, INF = float("nan"), float("inf")


def command(source: Path | str, server: Server, *options: str) -> list[str]:
    return [sys.executable, "-m", "headrace.sdk.cli.main", "import", str(source), "--to", server.url, *options]


def run_import(source: Path | str, server: Server, *options: str) -> tuple[int, dict[str, Any], str]:
    """Exit code, report and messages of an import."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "HEADRACE_"))}
    done = subprocess.run(
        command(source, server, "--json", *options), capture_output=True, text=True, check=False, env=kept, timeout=240
    )
    return done.returncode, json.loads(done.stdout) if done.stdout else {}, done.stderr


def ends(server: Server) -> dict[str, int]:
    """How far each topic of the log goes."""
    return {one["topic"]: one["end"] for one in server.status()["partitions"]}


def run_id(number: int) -> str:
    return f"{number:032x}"


def history(server: Server, run: str, key: str) -> list[tuple[int, int, float]]:
    table = server.history(run, key)
    return list(zip(*(table.column(x).to_pylist() for x in ("step", "timestamp_ms", "value")), strict=True))


def test_an_mlruns_folder_is_equal_here_and_comes_once(server: Server, tmp_path: Path) -> None:
    root = tmp_path / "mlruns"
    experiment = write_experiment(root)
    odd = [(10, NAN, 0), (11, INF, 1), (12, -INF, -5), (12, 0.1 + 0.2, 7), (12, 0.1 + 0.2, 7), (13, -0.0, 8)]
    write_run(
        experiment, run_id(1), {"loss": odd, "val/acc": [(5, 5e-324, 2**62)]}, {"lr": "0.1", "model/name": "mlp"},
        {"mlflow.user": "ann", "note": "zwei\nZeilen ü 😀"}, {"a b/ü.txt": b"hello", "empty": b""},
    )  # fmt: skip
    write_run(experiment, run_id(2), {"m": [(1, 2.0, 0)]}, tags={"mlflow.parentRunId": run_id(1)}, status=4)
    write_run(experiment, run_id(3), lifecycle_stage="deleted", deleted_time=9500)
    write_run(experiment, run_id(4), status=1, end_time=None)
    code, report, said = run_import(root, server, "--deleted")
    assert (code, report["equal"], report["totals"]["points"]) == (0, True, 8), said
    assert report["totals"]["imported"] == 4
    points = history(server, run_id(1), "loss")
    assert len(points) == 6, "a point that was logged twice is there twice"
    assert [step for step, _, value in points if math.isnan(value)] == [0]
    assert {(s, t, v) for s, t, v in points if v == v} == {(s, t, v) for t, v, s in odd if v == v}
    first = server.run(run_id(1))
    assert first["params"] == {"lr": "0.1", "model/name": "mlp"}
    assert first["tags"]["note"] == "zwei\nZeilen ü 😀"
    assert (first["info"]["start_time"], first["info"]["end_time"], first["info"]["user_id"]) == (1000, 9000, "ann")
    assert server.run(run_id(2))["info"]["status"] == "FAILED"
    assert server.run(run_id(3))["info"]["lifecycle_stage"] == "deleted"
    assert server.run(run_id(4))["info"]["status"] == "RUNNING"
    assert server.request("GET", f"/api/headrace/v1/runs/{run_id(1)}/artifacts/a b/ü.txt").content == b"hello"
    before = ends(server)
    code, report, said = run_import(root, server, "--deleted")
    assert (code, report["totals"]["there_already"]) == (0, 4), said
    assert ends(server) == before, "the second import appended nothing"


def test_an_import_that_is_killed_again_and_again_ends_whole(
    server: Server, tmp_path: Path, eventually: Callable[..., Any]
) -> None:
    root = tmp_path / "mlruns"
    experiment = write_experiment(root)
    runs, steps = 12, 30_000
    for number in range(runs):
        line = [(step, float(step), step) for step in range(steps)]
        write_run(experiment, run_id(number), {"a": line, "b": line}, {"n": str(number)}, files={"f": b"x" * 100_000})
    done = 0
    for kill in range(6):
        process = subprocess.Popen(command(root, server), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        before = done

        def further(least: int = before + 1 + kill) -> int:
            return ends(server)["metrics"] >= least

        eventually(further, 60)
        process.kill()
        process.wait()
        done = ends(server)["metrics"]
    code, report, said = run_import(root, server)
    assert (code, report["equal"]) == (0, True), said
    assert report["totals"]["completed"] >= 1
    for number in range(runs):
        for key in ("a", "b"):
            server.count_whole(run_id(number), key, steps)


def test_a_source_that_has_grown_brings_what_is_new(server: Server, tmp_path: Path) -> None:
    root = tmp_path / "mlruns"
    experiment = write_experiment(root)
    folder = write_run(experiment, run_id(1), {"loss": [(s, float(s), s) for s in range(500)]}, status=1, end_time=None)
    assert run_import(root, server)[0] == 0
    with (folder / "metrics" / "loss").open("a") as file:
        file.writelines(f"{s} {float(s)!r} {s}\n" for s in range(500, 800))
    write(folder / "metrics" / "again", b"5 1.0 0\n5 1.0 0\n")
    write(folder / "params" / "late", b"1")
    write(folder / "artifacts" / "new.txt", b"new")
    text = (folder / "meta.yaml").read_text().replace("status: 1", "status: 3").replace("time: null", "time: 77")
    (folder / "meta.yaml").write_text(text)
    write_run(experiment, run_id(2), {"loss": [(1, 1.0, 1)]})
    code, report, said = run_import(root, server)
    assert (code, report["equal"]) == (0, True), said
    assert (report["totals"]["completed"], report["totals"]["imported"]) == (1, 1)
    server.count_whole(run_id(1), "loss", 800)
    assert len(history(server, run_id(1), "again")) == 2
    run = server.run(run_id(1))
    assert (run["info"]["status"], run["info"]["end_time"], run["params"]["late"]) == ("FINISHED", 77, "1")


def test_what_differs_is_named_and_the_exit_code_tells(server: Server, tmp_path: Path) -> None:
    root = tmp_path / "mlruns"
    folder = write_run(write_experiment(root), run_id(1), {"loss": [(1, 1.0, 1), (2, 2.0, 2)]}, {"lr": "0.1"})
    assert run_import(root, server)[0] == 0
    write(folder / "params" / "lr", b"0.2")
    write(folder / "metrics" / "loss", b"1 1.0 1\n2 2.5 2\n")
    code, report, said = run_import(root, server)
    assert (code, report["equal"]) == (1, False)
    assert "params.lr: '0.2' there, '0.1' here" in said
    assert "metrics.loss: 2 points there, 3 here" in said


def test_a_fault_in_one_run_is_reported_and_the_others_come(server: Server, tmp_path: Path) -> None:
    root = tmp_path / "mlruns"
    experiment = write_experiment(root)
    write_run(experiment, run_id(1), {"m": [(1, 1.0, 1)]})
    (experiment / run_id(1) / "meta.yaml").write_text("a: [1, 2")
    write(write_run(experiment, run_id(2)) / "metrics" / "m", b"1 one 1\n2 2.0 2\n")
    bomb = write_run(experiment, run_id(3))
    (bomb / "meta.yaml").write_text("a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n")
    write(write_run(experiment, run_id(4)) / "metrics" / "m", b"1 1.0 1\n2 2.0")
    whole = write_run(experiment, run_id(5), {"m": [(1, 1.0, 1)]}, files={"kept": b"1"})
    secret = tmp_path / "secret"
    secret.write_text("not yours")
    (whole / "artifacts" / "link").symlink_to(secret)
    (whole / "artifacts" / "folder").symlink_to(tmp_path)
    code, report, said = run_import(root, server)
    outcomes = {one["run_id"]: one["outcome"] for one in report["runs"]}
    assert code == 1
    assert outcomes == {run_id(1): "failed", run_id(2): "failed", run_id(3): "failed", run_id(4): "imported",
                        run_id(5): "imported"}  # fmt: skip
    assert "is no YAML" in said
    assert "anchors" in said
    assert "line 1: '1 one 1" in said
    assert len(history(server, run_id(4), "m")) == 1, "a last line that is cut off is left out"
    left = {one["what"] for one in report["left"]}
    assert left == {"artifact link", "artifact folder", f"the last line of 1/{run_id(4)}/metrics/m"}
    assert "Traceback" not in said


def test_a_run_that_was_erased_here_stays_erased_and_the_others_come(server: Server, tmp_path: Path) -> None:
    root = tmp_path / "mlruns"
    experiment = write_experiment(root)
    write_run(experiment, run_id(1), {"m": [(1, 1.0, 1)]})
    assert run_import(root, server)[0] == 0
    server.post("/api/2.0/mlflow/runs/delete", {"run_id": run_id(1)})
    assert server.post("/api/headrace/v1/gc", {"run_ids": [run_id(1)]})["runs"]
    write_run(experiment, run_id(2), {"m": [(1, 1.0, 1)]})
    code, report, said = run_import(root, server)
    assert (code, {one["run_id"]: one["outcome"] for one in report["runs"]}) == (
        1, {run_id(1): "failed", run_id(2): "imported"},
    )  # fmt: skip
    assert "was erased, and takes nothing more" in said


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda path: path.mkdir(), "holds nothing that an import knows"),
        (lambda path: path.write_bytes(b"SQLite format 3\0" + b"x" * 5000), "cannot be read as an MLflow database"),
        (lambda path: path.write_bytes(b"text"), "is no SQLite database"),
        (lambda _: None, "there is no file or folder"),
    ],
)
def test_what_is_no_source_is_one_clear_line(
    make: Callable[[Path], Any], expected: str, server: Server, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    make(source)
    code, _, said = run_import(source, server)
    assert code == 1
    assert expected in said
    assert len(said.strip().splitlines()) == 1, said
