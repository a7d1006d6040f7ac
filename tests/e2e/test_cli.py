"""The headrace command as a person and a script use it: real processes, a real server, results read back."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest

pytestmark = pytest.mark.e2e
pytest.importorskip("chdb")

ROOT = Path(__file__).parents[2]
HEADRACE = [sys.executable, "-m", "headrace.sdk.cli.main"]
POINTS = 2_000

SEED = f"""
import headrace
headrace.set_experiment("seeded")
for number in range(3):
    with headrace.start_run(run_name=f"run {{number}}", tags={{"odd": str(number % 2)}}) as run:
        headrace.log_param("number", number)
        for step in range({POINTS}):
            headrace.log_metric("m", float(step * (number + 1)), step)
        headrace.log_metric("bad", float("nan"))
        headrace.log_text("hello", "notes/hello.txt")
        headrace.log_input(headrace.data.from_numpy([[1.0], [2.0]], name="two"), context="training")
        print(run.info.run_id)
"""


class Cli:
    """The command in an environment of its own. home: where its settings file and spool are."""

    def __init__(self, home: Path, url: str = "") -> None:
        self.home = home
        self.url = url
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("HEADRACE_", "MLFLOW_"))}
        self.environ = {
            **kept,
            "XDG_CONFIG_HOME": str(home / "config"),
            "XDG_STATE_HOME": str(home / "state"),
            "HEADRACE_RECORD_ENVIRONMENT": "0",
            **({"HEADRACE_TRACKING_URI": url} if url else {}),
        }

    def __call__(self, *arguments: str, code: int = 0, stdin: str = "", **environ: str) -> Any:
        """What it did. code: the exit code it must have."""
        done = subprocess.run(
            [*HEADRACE, *arguments],
            capture_output=True,
            text=True,
            input=stdin,
            env={**self.environ, **environ},
            timeout=90,
            check=False,
            cwd=self.home,
        )
        assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def json(self, *arguments: str, code: int = 0) -> Any:
        """The JSON document it printed, which has nothing else on stdout and nothing that is not JSON."""
        return json.loads(self(*arguments, "--json", code=code).stdout, parse_constant=pytest.fail)

    def python(self, program: str, **environ: str) -> list[str]:
        """The lines that a trainer printed, which must end well."""
        command = [sys.executable, "-c", program]
        done = subprocess.run(
            command, capture_output=True, text=True, env={**self.environ, **environ}, timeout=90, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()


def started(cli: Cli, *arguments: str, **environ: str) -> tuple[subprocess.Popen[str], str]:
    """`headrace server` once it is ready, and its URL."""
    process = subprocess.Popen(
        [*HEADRACE, "server", *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env={**cli.environ, **environ},
        cwd=cli.home,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("Headrace is on "), line
    return process, line.split()[3].rstrip(",")


def stop(process: subprocess.Popen[str], number: int = signal.SIGTERM) -> int:
    process.send_signal(number)
    code = process.wait(30)
    assert process.stdout is not None
    process.stdout.close()
    return code


@pytest.fixture(scope="module")
def cli(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cli]:
    """The command, and a server it has started."""
    made = Cli(tmp_path_factory.mktemp("cli"))
    process, url = started(made, "--port", "0", "--data-dir", "data")
    yield Cli(made.home, url)
    assert stop(process) == 0, "SIGTERM drains and ends well"


@pytest.fixture(scope="module")
def run_ids(cli: Cli) -> list[str]:
    """Three finished runs of the experiment `seeded`."""
    return cli.python(SEED)


def free_port() -> int:
    with socket.socket() as tried:
        tried.bind(("127.0.0.1", 0))
        return int(tried.getsockname()[1])


# --- server -----------------------------------------------------------------------------------------------------------


def test_server_settings_come_from_the_flag_then_the_variable_then_the_file(tmp_path: Path) -> None:
    cli = Cli(tmp_path)
    (tmp_path / "config" / "headrace").mkdir(parents=True)
    of_file, of_variable = free_port(), free_port()
    config = f'[server]\nport = {of_file}\ndata_dir = "of-the-file"\n'
    (tmp_path / "config" / "headrace" / "config.toml").write_text(config)
    assert tomllib.loads(config)
    process, url = started(cli)
    assert url.endswith(f":{of_file}")
    assert json.loads((tmp_path / "of-the-file" / "server.json").read_text())["pid"] == process.pid
    assert stop(process, signal.SIGINT) == 0
    process, url = started(cli, HEADRACE_PORT=str(of_variable))
    assert url.endswith(f":{of_variable}")
    assert stop(process) == 0
    process, url = started(cli, "--port", "0", "--data-dir", "of-the-flag", HEADRACE_PORT=str(of_variable))
    assert not url.endswith(f":{of_variable}")
    assert (tmp_path / "of-the-flag" / "server.json").exists()
    assert stop(process) == 0


def test_a_second_server_on_a_folder_and_a_bad_setting_end_with_one_line(cli: Cli) -> None:
    refused = cli("server", "--port", "0", "--data-dir", "data", code=1)
    assert cli.url in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
    refused = cli("server", "--data-dir", "other", code=1, HEADRACE_PORT="many")
    assert refused.stderr.startswith("headrace: HEADRACE_PORT")


# --- experiments ------------------------------------------------------------------------------------------------------


def test_an_experiment_is_created_renamed_deleted_and_restored(cli: Cli) -> None:
    made = cli.json("experiments", "create", "ünïcode / 'one'", "--tag", "team=a=b")
    assert cli("experiments", "create", "ünïcode / 'one'", code=1).stderr.count("\n") == 1
    shown = cli.json("experiments", "show", "ünïcode / 'one'")
    assert shown["experiment_id"] == made["experiment_id"]
    assert shown["tags"] == {"team": "a=b"}
    assert shown["runs"] == {}
    cli("experiments", "rename", made["experiment_id"], "two")
    assert cli("experiments", "delete", "two", stdin="n\n", code=1).stdout == ""
    assert "two" in cli("experiments", "list").stdout
    cli("experiments", "delete", "two", stdin="y\n")
    assert "two" not in cli("experiments", "list").stdout
    assert [one["name"] for one in cli.json("experiments", "list", "--view", "deleted")] == ["two"]
    cli("experiments", "restore", "two")
    found = cli.json("experiments", "list", "--filter", "name = 'two'", "--max", "1", "--order-by", "name")
    assert [one["lifecycle_stage"] for one in found] == ["active"]


def test_an_unknown_experiment_or_run_is_one_clear_line(cli: Cli, run_ids: list[str]) -> None:
    assert "'nobody'" in cli("experiments", "show", "nobody", code=1).stderr
    assert "'nobody'" in cli("runs", "list", "--experiment", "nobody", code=1).stderr
    missing = cli("runs", "show", "0" * 32, code=1)
    assert "0" * 32 in missing.stderr
    assert missing.stdout == ""
    assert len(cli("runs", "search", "--filter", "metrics.m >", code=1).stderr.splitlines()) == 1


# --- runs -------------------------------------------------------------------------------------------------------------


def test_runs_are_listed_searched_and_shown(cli: Cli, run_ids: list[str]) -> None:
    found = cli.json("runs", "list", "--experiment", "seeded")
    assert {run["run_id"] for run in found} == set(run_ids)
    assert {run["status"] for run in found} == {"FINISHED"}
    assert found[0]["metrics"]["bad"] == "NaN"
    best = cli.json(
        "runs",
        "search",
        "--filter",
        "metrics.m > 2000 AND tags.odd = '1'",
        "--order-by",
        "metrics.m DESC",
        "--max",
        "1",
    )
    assert [(run["run_name"], run["metrics"]["m"], run["params"]) for run in best] == [
        ("run 1", 2.0 * (POINTS - 1), {"number": "1"})
    ]
    header, *rows = [line.split("\t") for line in cli("runs", "search", "--experiment", "seeded").stdout.splitlines()]
    assert header[-3:] == ["metrics.bad", "metrics.m", "params.number"]
    assert {row[0] for row in rows} == set(run_ids), "ids are whole in a pipe"
    shown = cli.json("runs", "show", run_ids[2])
    metric = next(one for one in shown["metrics"] if one["key"] == "m")
    assert (metric["last"], metric["min"], metric["max"], metric["points"]) == (
        3.0 * (POINTS - 1), 0.0, 3.0 * (POINTS - 1), POINTS
    )  # fmt: skip
    assert shown["artifacts"] == [{"path": "notes/hello.txt", "file_size": 5}]
    assert shown["inputs"]["dataset_inputs"][0]["dataset"]["name"] == "two"
    text = cli("runs", "show", run_ids[2]).stdout
    assert "notes/hello.txt (5 B)" in text
    assert "two " in text


def test_runs_are_exported_to_csv_and_parquet_whole(cli: Cli, run_ids: list[str], tmp_path: Path) -> None:
    rows = list(csv.DictReader(cli("runs", "export", "--experiment", "seeded").stdout.splitlines()))
    assert {row["run_id"]: row["params.number"] for row in rows} == {one: str(n) for n, one in enumerate(run_ids)}
    cli("runs", "export", "--experiment", "seeded", "-o", str(tmp_path / "runs.parquet"))
    table = pyarrow.parquet.read_table(tmp_path / "runs.parquet")
    assert sorted(table["metrics.m"].to_pylist()) == [float((POINTS - 1) * (n + 1)) for n in range(3)]
    assert table["experiment_name"].to_pylist() == ["seeded"] * 3
    told = cli("runs", "export", "--experiment", "seeded", "--metrics", "-o", str(tmp_path / "points.parquet"))
    assert f"{3 * (POINTS + 1):,} points" in told.stderr
    points = pyarrow.parquet.read_table(tmp_path / "points.parquet").to_pylist()
    for number, run_id in enumerate(run_ids):
        one = [point for point in points if point["run_id"] == run_id and point["key"] == "m"]
        assert [point["value"] for point in one] == [float(step * (number + 1)) for step in range(POINTS)]
    lines = cli("runs", "export", "--experiment", "seeded", "--metrics", "--format", "csv").stdout.splitlines()
    assert lines[0] == '"run_id","key","step","timestamp_ms","value"'
    assert len(lines) == 1 + 3 * (POINTS + 1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["points.parquet", "runs.parquet"]
    cli("runs", "export", "--format", "parquet", code=1)
    assert "no/such/folder" in cli("runs", "export", "-o", "no/such/folder/runs.csv", code=1).stderr


def test_a_run_is_deleted_and_restored(cli: Cli) -> None:
    [run_id] = cli.python(
        "import headrace; headrace.set_experiment('bin')\nwith headrace.start_run() as run: print(run.info.run_id)"
    )
    cli("runs", "delete", run_id, code=1)
    cli("runs", "delete", run_id, "--yes")
    assert cli.json("runs", "list", "--experiment", "bin") == []
    assert [run["run_id"] for run in cli.json("runs", "list", "--experiment", "bin", "--view", "deleted")] == [run_id]
    cli("runs", "restore", run_id)
    assert [run["run_id"] for run in cli.json("runs", "list", "--experiment", "bin")] == [run_id]


def test_names_that_would_move_the_cursor_are_shown_as_text(cli: Cli) -> None:
    cli.python("import headrace; headrace.set_experiment('evil'); headrace.start_run(run_name='a\\x1b[2J\\tb\\nc')")
    lines = cli("runs", "list", "--experiment", "evil").stdout.splitlines()
    assert len(lines) == 2
    assert "\x1b" not in lines[1]
    assert "\\x1b[2J\\tb\\nc" in lines[1]


# --- the target -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [("runs", "list"), ("experiments", "show", "x"), ("runs", "export")])
def test_no_server_is_one_clear_line_and_exit_code_1(tmp_path: Path, command: tuple[str, ...]) -> None:
    refused = Cli(tmp_path)("--tracking-uri", f"http://127.0.0.1:{free_port()}", *command, code=1)
    assert len(refused.stderr.splitlines()) == 1
    assert "headrace server" in refused.stderr
    assert refused.stdout == ""


@pytest.mark.parametrize("uri", ["http://127.0.0.1:99999", "http://[::1", "http://:5", "ftp://x", "kafka://x"])
def test_a_uri_that_is_none_is_one_clear_line(tmp_path: Path, uri: str) -> None:
    refused = Cli(tmp_path)("--tracking-uri", uri, "runs", "list", code=1)
    assert len(refused.stderr.splitlines()) == 1
    assert uri in refused.stderr


def test_a_folder_is_read_without_a_server_of_ones_own(tmp_path: Path) -> None:
    cli = Cli(tmp_path, str(tmp_path / "runs"))
    run_ids = cli.python(SEED)
    assert {run["run_id"] for run in cli.json("runs", "list", "--experiment", "seeded")} == set(run_ids)
    assert not (tmp_path / "runs" / "server.json").exists(), "the server it started is gone"
    assert "no folder" in cli("--tracking-uri", str(tmp_path / "none"), "runs", "list", code=1).stderr


# --- sync and doctor --------------------------------------------------------------------------------------------------

OFFLINE = f"""
import os, signal, headrace
headrace.init(offline=True)
headrace.set_experiment("offline")
print(headrace.start_run().info.run_id, flush=True)
for step in range({POINTS}):
    headrace.log_metric("m", float(step), step)
headrace.log_text("kept", "kept.txt")
headrace.flush()
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_sync_ships_what_a_killed_trainer_left_and_doctor_says_so_before(cli: Cli, tmp_path: Path) -> None:
    own = Cli(tmp_path, cli.url)
    dead = subprocess.run(
        [sys.executable, "-c", OFFLINE], capture_output=True, text=True, env=own.environ, timeout=60, check=False
    )
    assert dead.returncode == -signal.SIGKILL
    run_id = dead.stdout.strip()
    sick = own.json("doctor", code=1)
    assert [problem["remedy"] for problem in sick["problems"]] == [
        f"run `headrace sync {sick['spool']['directory']}`"
    ], sick
    nowhere = own.json("sync", "--to", f"http://127.0.0.1:{free_port()}", code=1)
    assert [writer["state"] for writer in nowhere["writers"]] == ["unavailable"]
    assert nowhere["complete"] is False
    shipped = own.json("sync")
    assert shipped["complete"] is True
    assert [(writer["state"], writer["artifacts"], writer["target"]) for writer in shipped["writers"]] == [
        ("shipped", 1, cli.url)
    ]
    shown = own.json("runs", "show", run_id)
    assert [metric["points"] for metric in shown["metrics"]] == [POINTS]
    assert [artifact["path"] for artifact in shown["artifacts"]] == ["kept.txt"]
    assert "nothing to ship" in own("sync").stderr
    assert own.json("doctor")["ok"] is True
    assert "no folder" in own("sync", "nowhere", code=1).stderr


def test_doctor_says_who_named_the_server_and_how_far_its_views_are(cli: Cli, run_ids: list[str]) -> None:
    found = cli.json("doctor")
    assert found["ok"] is True
    assert found["tracking_uri"] == cli.url
    assert found["tracking_uri_from"] == "HEADRACE_TRACKING_URI"
    assert found["server"]["version"] == found["headrace"]
    assert found["extras"]["server"] is True
    assert {view["topic"] for view in found["server"]["views"]} >= {"runs", "metrics", "registry"}
    assert all(view["behind"] == 0 for view in found["server"]["views"] if view["topic"] in ("runs", "metrics"))
    assert all(view["end"] > 0 for view in found["server"]["views"] if view["topic"] in ("runs", "metrics"))
    assert "all is well" in cli("doctor").stderr


def test_doctor_names_what_is_wrong_and_what_to_do(tmp_path: Path) -> None:
    cli = Cli(tmp_path)
    url = f"http://127.0.0.1:{free_port()}"
    found = json.loads(cli("--tracking-uri", url, "doctor", "--json", code=1).stdout)
    assert found["tracking_uri_from"] == "--tracking-uri"
    assert found["server"] is None
    assert "headrace server" in found["problems"][0]["remedy"]
    (tmp_path / "config" / "headrace").mkdir(parents=True)
    config = tmp_path / "config" / "headrace" / "config.toml"
    config.write_text(f'tracking_uri = "{url}"\n')
    assert cli.json("doctor", code=1)["tracking_uri_from"] == str(config)
    config.write_text("tracking_uri = ")
    assert str(config) in cli.json("doctor", code=1)["problems"][0]["what"]
    config.unlink()
    by_mlflow = cli("doctor", "--json", code=1, MLFLOW_TRACKING_URI=url)
    assert json.loads(by_mlflow.stdout)["tracking_uri_from"] == "MLFLOW_TRACKING_URI"


def test_the_installed_command_says_its_version(cli: Cli) -> None:
    assert cli("version").stdout == cli("--version").stdout
    installed = shutil.which("headrace", path=str(Path(sys.executable).parent))
    if installed is not None:
        done = subprocess.run([installed, "version"], capture_output=True, text=True, check=True)
        assert done.stdout == cli("version").stdout
