"""`headrace export`: a portable file imports back to equal state; Parquet has every row."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest

from tests.e2e.test_import import ends, history, run_id, run_import
from tests.mlruns import write_experiment, write_run

if TYPE_CHECKING:
    from tests.e2e.conftest import Server

pytestmark = pytest.mark.e2e
NAN, INF = float("nan"), float("inf")
V2 = "/api/2.0/mlflow"

PLACED = ("partition", "offset", "logged_ms", "heartbeat_ms")
"""What depends on where and when a log took an event."""
VIEWS = {
    "runs": "SELECT * FROM runs FINAL WHERE run_id IN ({ids}) ORDER BY run_id",
    "events": "SELECT * FROM events WHERE subject IN ({ids}, '{experiment}') ORDER BY subject, topic, offset",
    "metrics": "SELECT * FROM metrics WHERE run_id IN ({ids}) ORDER BY run_id, offset, item",
    "metric_summary": "SELECT * FROM metric_summary FINAL WHERE run_id IN ({ids}) ORDER BY run_id, key",
}


def export(server: Server, *arguments: str) -> tuple[int, dict[str, Any], str]:
    """Exit code, what was written, and messages of an export."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "HEADRACE_"))}
    command = [sys.executable, "-m", "headrace.sdk.cli.main", "--tracking-uri", server.url, "export", *arguments]
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, check=False, env=kept, timeout=120)
    return done.returncode, json.loads(done.stdout) if done.stdout else {}, done.stderr


def views(folder: Path, ids: list[str], experiment: str) -> dict[str, list[str]]:
    """The rows of the views of a folder whose server has ended, but for what PLACED names."""
    program = f"""
import json, sys
from pathlib import Path
from headrace.processors.views import embedded
views = embedded(Path({str(folder / "views")!r}))
found = {{}}
for name, sql in json.loads(sys.argv[1]).items():
    table = views.arrow(sql)
    table = table.drop_columns([x for x in {PLACED!r} if x in table.column_names])
    found[name] = [repr(row) for row in table.to_pylist()]
views.close()
print(json.dumps(found))
"""
    quoted = ", ".join(f"'{one}'" for one in ids)
    queries = {name: sql.format(ids=quoted, experiment=experiment) for name, sql in VIEWS.items()}
    done = subprocess.run(
        [sys.executable, "-c", program, json.dumps(queries)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, list[str]] = json.loads(done.stdout.splitlines()[-1])
    return found


def filled(server: Server, tmp_path: Path) -> tuple[str, list[str]]:
    """Runs that came by an import, and one of a REST client, with all it may do; the experiment, and the run ids."""
    experiment = write_experiment(tmp_path / "mlruns", "digits")
    metrics = {"loss": [(s, float(s), s) for s in range(25_000)], "odd": [(1, NAN, 1), (1, INF, -2)]}
    files = {"a b.txt": b"hello", "sub/empty": b""}
    write_run(experiment, run_id(1), metrics, {"lr": "0.1"}, {"note": "ü\n😀"}, files)
    write_run(experiment, run_id(2), {"loss": [(1, 1.0, 1)]}, lifecycle_stage="deleted", deleted_time=9)
    assert run_import(tmp_path / "mlruns", server, "--deleted")[0] == 0
    found = server.get(f"{V2}/experiments/get-by-name", experiment_name="digits")["experiment"]["experiment_id"]
    server.post(f"{V2}/experiments/set-experiment-tag", {"experiment_id": found, "key": "team", "value": "a"})
    asked = {"experiment_id": found, "run_name": "rest", "start_time": 5}
    rest = server.post(f"{V2}/runs/create", asked)["run"]["info"]["run_id"]
    point = {"key": "m", "value": 1.5, "timestamp": 7, "step": 1}
    for _ in range(2):
        server.post(
            f"{V2}/runs/log-batch", {"run_id": rest, "metrics": [point], "params": [{"key": "p", "value": "1"}]}
        )
    refused = server.request("POST", f"{V2}/runs/log-parameter", json={"run_id": rest, "key": "p", "value": "2"})
    assert refused.status_code == 400
    server.post(f"{V2}/runs/set-tag", {"run_id": rest, "key": "t", "value": "x"})
    server.post(f"{V2}/runs/update", {"run_id": rest, "status": "FINISHED", "end_time": 9})
    return found, [run_id(1), run_id(2), rest]


def test_a_portable_file_imports_back_to_equal_state_and_comes_once(
    server: Server, new_server: Callable[..., Server], tmp_path: Path
) -> None:
    experiment, ids = filled(server, tmp_path)
    file = tmp_path / "taken.headrace"
    code, written, said = export(server, "--view", "all", "--artifacts", "-o", str(file))
    assert (code, written["written"]["runs"], written["written"]["artifacts"]) == (0, 3, 2), said
    other = new_server(tmp_path / "other").start()
    code, report, said = run_import(file, other)
    assert (code, report["equal"], report["held"]) == (0, True, 0), said
    assert history(other, ids[0], "odd") == [(-2, 1, INF), (1, 1, pytest.approx(NAN, nan_ok=True))]
    assert other.count_whole(ids[0], "loss", 25_000)
    assert other.request("GET", f"/api/headrace/v1/runs/{ids[0]}/artifacts/a b.txt").content == b"hello"
    before = ends(other)
    code, report, said = run_import(file, other)
    assert (code, report["equal"], report["sent"]) == (0, True, 0), said
    assert ends(other) == before, "the second import appended nothing"
    assert server.stop() == other.stop() == 0
    there, here = (views(one.data_dir, ids, experiment) for one in (server, other))
    for name in VIEWS:
        assert there[name] == here[name], name
        assert there[name], name


def test_an_import_of_a_file_that_is_killed_goes_on(
    server: Server, new_server: Callable[..., Server], tmp_path: Path, eventually: Callable[..., Any]
) -> None:
    experiment = write_experiment(tmp_path / "mlruns")
    for number in range(20):
        write_run(experiment, run_id(number), {"a": [(s, float(s), s) for s in range(40_000)]})
    assert run_import(tmp_path / "mlruns", server)[0] == 0
    file = tmp_path / "many.headrace"
    assert export(server, "-o", str(file))[0] == 0
    other = new_server(tmp_path / "other", body_bytes_max=600_000).start()
    command = [sys.executable, "-m", "headrace.sdk.cli.main", "import", str(file), "--to", other.url]
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "HEADRACE_"))}
    for _ in range(3):
        before = ends(other)
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env={**kept, "HEADRACE_REQUEST_BYTES_MAX": "400000"},
        )  # fmt: skip

        def further(at: dict[str, int] = before, running: subprocess.Popen[bytes] = process) -> bool:
            return ends(other) != at or running.poll() is not None

        eventually(further, 60)
        process.kill()
        process.wait()
    code, report, said = run_import(file, other)
    assert (code, report["equal"]) == (0, True), said
    for number in range(20):
        other.count_whole(run_id(number), "a", 40_000)
    assert ends(other)["metrics"] == ends(server)["metrics"]


def test_a_file_that_is_damaged_changes_nothing(
    server: Server, new_server: Callable[..., Server], tmp_path: Path
) -> None:
    filled(server, tmp_path)
    file = tmp_path / "taken.headrace"
    assert export(server, "--artifacts", "-o", str(file))[0] == 0
    other = new_server(tmp_path / "other").start()
    before = ends(other)
    whole = file.read_bytes()
    for damaged, expected in (
        (whole[: len(whole) // 2], "cut off"),
        (whole.replace(b"hello", b"hallo", 1), "Bad CRC-32"),
        (b"PK", "is no portable file"),
    ):
        file.write_bytes(damaged)
        code, _, said = run_import(file, other)
        assert (code, len(said.strip().splitlines())) == (1, 1), said
        assert expected in said
    with zipfile.ZipFile(tmp_path / "evil.headrace", "w") as archive:
        member = {
            "name": "artifacts/0",
            "size": 1,
            "sha256": "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb",
        }
        archive.writestr("artifacts/0", b"a")
        archive.writestr("manifest.json", json.dumps({
            "format": "headrace", "version": 1, "made_by": "", "time_ms": 0, "source": "", "run_ids": [], "selected": 0,
            "experiments": {}, "events": 0, "members": [member],
            "artifacts": [{"member": "artifacts/0", "place": "../../outside"}],
        }))  # fmt: skip
    code, report, said = run_import(tmp_path / "evil.headrace", other)
    assert [one["what"] for one in report["left"]] == ["artifact '../../outside'"]
    assert ends(other) == before


def test_an_experiment_of_the_name_with_another_id_is_refused_with_a_remedy(
    server: Server, new_server: Callable[..., Server], tmp_path: Path
) -> None:
    filled(server, tmp_path)
    file = tmp_path / "taken.headrace"
    assert export(server, "-o", str(file))[0] == 0
    other = new_server(tmp_path / "other").start()
    made = other.post(f"{V2}/experiments/create", {"name": "before"})["experiment_id"]
    other.post(f"{V2}/experiments/update", {"experiment_id": made, "new_name": "digits"})
    code, _, said = run_import(file, other)
    assert code == 1
    assert "rename one of them" in said


def test_parquet_has_every_row(server: Server, tmp_path: Path) -> None:
    experiment, ids = filled(server, tmp_path)
    folder = tmp_path / "out"
    code, written, said = export(server, "--view", "all", "--artifacts", "-o", str(folder))
    assert code == 0, said
    tables = {file.stem: pq.read_table(file) for file in folder.glob("*.parquet")}
    assert {name: table.num_rows for name, table in tables.items()} == {
        name.removesuffix(".parquet"): count for name, count in written["written"].items()
    }
    assert sorted(tables["runs"].column("run_id").to_pylist()) == sorted(ids)
    assert tables["metrics"].num_rows == 25_004, "what a REST client sent twice is one point"
    assert tables["experiments"].column("experiment_id").to_pylist() == [experiment]
    assert {"run_id": ids[0], "key": "note", "value": "ü\n😀"} in tables["tags"].to_pylist()
    stages = dict(zip(*(tables["runs"].column(x).to_pylist() for x in ("run_id", "lifecycle_stage")), strict=True))
    assert stages[run_id(2)] == "deleted"
    assert (folder / "artifacts" / ids[0] / "a b.txt").read_bytes() == b"hello"
    assert set(json.loads((folder / "manifest.json").read_text())["files"]) == {f"{name}.parquet" for name in tables}
    code, _, said = export(server, "-o", str(folder))
    assert code == 1
    assert "nothing is overwritten" in said


def test_a_selection_is_what_is_exported(server: Server, tmp_path: Path) -> None:
    _, ids = filled(server, tmp_path)
    for number, (arguments, expected) in enumerate(
        (
            ((ids[0],), [ids[0]]),
            (("--filter", "params.p = '1'"), [ids[2]]),
            (("--experiment", "digits"), [ids[0], ids[2]]),
            (("--experiment", "Default"), []),
        )
    ):
        out = tmp_path / f"out{number}"
        code, _, said = export(server, *arguments, "-o", str(out))
        assert code == 0, said
        assert sorted(pq.read_table(out / "runs.parquet").column("run_id").to_pylist()) == sorted(expected)
    assert "not both" in export(server, ids[0], "--experiment", "digits", "-o", str(tmp_path / "x"))[2]
    assert "there is no run" in export(server, "missing", "-o", str(tmp_path / "x"))[2]


def test_a_fork_brings_the_run_that_it_goes_on_from(
    server: Server, new_server: Callable[..., Server], tmp_path: Path
) -> None:
    _, ids = filled(server, tmp_path)
    asked = {"run_id": ids[0], "step": 10, "name": "fork"}
    answer = server.request("POST", "/api/headrace/v1/runs/fork", json=asked)
    assert answer.status_code == 200, answer.text
    fork = answer.json()["run"]["info"]["run_id"]
    file = tmp_path / "fork.headrace"
    code, written, said = export(server, fork, "-o", str(file))
    assert (code, written["written"]["runs"]) == (0, 2), said
    other = new_server(tmp_path / "other").start()
    assert run_import(file, other)[0] == 0
    assert len(history(other, fork, "loss")) == 11
    code, _, said = export(server, fork, "-o", str(tmp_path / "parquet"))
    assert pq.read_table(tmp_path / "parquet" / "metrics.parquet").num_rows == 13, "what it inherits, too"
