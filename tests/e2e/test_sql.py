"""SQL as people use it: the command, the SDK and HTTP, over chDB and over a ClickHouse server."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest
from headrace.processors import views
from headrace.processors.views_url import parse_views_url

from tests.clickhouse_server import ClickHouse
from tests.e2e.conftest import _clean_environ

if TYPE_CHECKING:
    from tests.e2e.conftest import Server

pytestmark = pytest.mark.e2e
pytest.importorskip("chdb")

NAME = "x'\"\\ ü\n{a:String};%s"
LOSS = "SELECT step, value FROM metrics WHERE key = 'loss' ORDER BY step"


@pytest.fixture(params=["chdb", "clickhouse"])
def filled(request: pytest.FixtureRequest, new_server: Callable[..., Server]) -> Server:
    """A server with a run of a hundred points, over each engine."""
    settings: dict[str, str] = {}
    if request.param == "clickhouse":
        clickhouse: ClickHouse = request.getfixturevalue("clickhouse")
        settings["views"] = clickhouse.url()
        views.create(parse_views_url(settings["views"]))
    server = new_server(**settings).start()
    experiment = server.post("/api/2.0/mlflow/experiments/create", {"name": NAME})["experiment_id"]
    run = server.post("/api/2.0/mlflow/runs/create", {"experiment_id": experiment, "run_name": "one"})["run"]
    points = [{"key": "loss", "value": 1 / (k + 1), "timestamp": 1000 + k, "step": k} for k in range(100)]
    batch = {"run_id": run["info"]["run_id"], "metrics": points, "params": [{"key": "odd", "value": NAME}]}
    server.post("/api/2.0/mlflow/runs/log-batch", batch)
    return server


def command(
    server: Server, *arguments: str, code: int = 0, stdin: str | None = None
) -> subprocess.CompletedProcess[bytes]:
    done = subprocess.run(
        [sys.executable, "-m", "headrace.sdk.cli.main", "--tracking-uri", server.url, "sql", *arguments],
        input=None if stdin is None else stdin.encode(),
        capture_output=True,
        env=_clean_environ(),
        timeout=90,
        check=False,
    )
    assert done.returncode == code, (done.stdout, done.stderr)
    assert b"Traceback" not in done.stderr
    return done


def test_every_view_and_text_comes_from_either_engine(filled: Server) -> None:
    def rows(query: str) -> Any:
        answer = filled.request("POST", "/api/headrace/v1/sql", json={"query": query})
        assert answer.status_code == 200, answer.text
        return answer.json()["rows"]

    for view in filled.get("/api/headrace/v1/sql/views")["views"]:
        rows(f"SELECT * FROM {view['name']}")
    assert rows("SELECT name FROM experiments WHERE experiment_id != '0'") == [[NAME]]
    assert rows("SELECT value FROM params WHERE key = 'odd'") == [[NAME]]
    assert rows(f"SELECT count() FROM ({LOSS})") == [[100]]
    joined = "SELECT r.name, e.name, m.points FROM runs AS r JOIN experiments AS e USING (experiment_id)"
    assert rows(f"{joined} JOIN metric_summary AS m USING (run_id)") == [["one", NAME, 100]]


REFUSED = (
    "SELECT * FROM owners",
    "SELECT * FROM system.tables",
    "SELECT * FROM url('http://127.0.0.1:1/')",
    "SELECT file('/etc/passwd')",
    "SELECT 1; DROP TABLE runs",
    "SELECT 1 SETTINGS readonly = 0",
    "SELECT nope",
    "SELECT 1 FORMAT CSV",
    "SELECT",
    "SELECT number FROM numbers(1000001)",
    "SELECT range(1000000000)",
    "SELECT sum(sipHash64(number)) FROM numbers(1000000000000)",
    "SELECT groupArray(number) FROM numbers(1000000000)",
)


def test_what_may_not_run_is_refused_by_either_engine(filled: Server) -> None:
    for query in REFUSED:
        answer = filled.request("POST", "/api/headrace/v1/sql", json={"query": query, "timeout_s": 1.5})
        assert answer.status_code == 400, (query, answer.text)
        told = answer.json()["message"]
        assert told.startswith("SQL: ")
        assert not any(word in told for word in ("DB::", "Code:", "127.0.0.1:", "(version", "sql_binned")), told
        assert filled.request("POST", "/api/headrace/v1/sql", json={"query": LOSS}).status_code == 200


def test_thousands_of_experiments_and_models_are_a_view_too(filled: Server) -> None:
    for number in range(40):
        model = {
            "experiment_id": "0",
            "name": f"m{number}",
            "params": [{"key": f"k{i}", "value": "é" * 250} for i in range(50)],
        }
        filled.post("/api/2.0/mlflow/logged-models", model)
    query = "SELECT count(), sum(length(params)), min(length(params['k7'])) FROM logged_models"
    answer = filled.request("POST", "/api/headrace/v1/sql", json={"query": query})
    assert answer.json()["rows"] == [[40, 2000, 500]]


def test_the_command_prints_and_writes_every_format(filled: Server, tmp_path: Path) -> None:
    lines = command(filled, f"{LOSS} LIMIT 2").stdout.decode().splitlines()
    assert lines == ["step\tvalue", "0\t1", "1\t0.5"]
    assert command(filled, "-", stdin=f"{LOSS} LIMIT 2").stdout.decode().splitlines() == lines
    text = command(filled, "--format", "csv", LOSS).stdout.decode()
    assert len(list(csv.reader(io.StringIO(text)))) == 101
    assert len(json.loads(command(filled, "--format", "json", LOSS).stdout)["rows"]) == 100
    expected = pa.ipc.open_stream(command(filled, "--format", "arrow", LOSS).stdout).read_all()
    assert expected.column("step").to_pylist() == list(range(100))
    for name in ("a.parquet", "a.arrow", "a.csv", "a.json"):
        done = command(filled, LOSS, "-o", str(tmp_path / name))
        assert done.stdout == b""
        assert name.encode() in done.stderr
    assert pa.parquet.read_table(tmp_path / "a.parquet").equals(expected)
    assert pa.ipc.open_stream((tmp_path / "a.arrow").read_bytes()).read_all().equals(expected)
    assert (tmp_path / "a.csv").read_text() == text
    shown = command(filled, "--views").stdout.decode().splitlines()
    assert "metrics\tvalue\tFloat64" in shown


def test_the_command_says_in_one_line_why_it_cannot(filled: Server, tmp_path: Path) -> None:
    wrong = command(filled, "SELECT * FROM owners", code=1).stderr.decode()
    assert wrong.count("\n") == 1
    assert "there is no view 'owners'" in wrong
    assert b"no statement" in command(filled, code=1).stderr
    assert b"more than 5 rows" in command(filled, "--rows", "5", LOSS, "-o", str(tmp_path / "x.csv"), code=1).stderr
    assert list(tmp_path.iterdir()) == [] or not (tmp_path / "x.csv").exists()
    assert (
        b"ran longer than 0.01 s"
        in command(
            filled, "--timeout", "0.01", "SELECT sum(sipHash64(number)) FROM numbers(1000000000000)", code=1
        ).stderr
    )


@pytest.fixture
def headrace(filled: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    import headrace

    monkeypatch.setenv("HEADRACE_SPOOL_DIR", str(tmp_path / "spool"))
    before = headrace.get_tracking_uri()
    headrace.set_tracking_uri(filled.url)
    yield headrace
    headrace.set_tracking_uri(before)


def test_the_sdk_answers_with_pandas_and_arrow(headrace: Any) -> None:
    frame = headrace.sql(LOSS)
    assert isinstance(frame, pd.DataFrame)
    assert frame.dtypes.astype(str).to_dict() == {"step": "int64", "value": "float64"}
    assert frame["value"].tolist() == [1 / (k + 1) for k in range(100)]
    table = headrace.sql(LOSS, output_format="arrow")
    assert table.column("step").to_pylist() == list(range(100))
    runs = headrace.sql("SELECT params, start_time FROM runs")
    assert runs["params"].tolist() == [{"odd": NAME}]
    assert str(runs["start_time"].dt.tz) == "UTC"
    with pytest.raises(ValueError, match="output_format is 'pandas' or 'arrow'"):
        headrace.sql(LOSS, output_format="list")
    with pytest.raises(headrace.ReadFailed, match="more than 5 rows"):
        headrace.sql(LOSS, rows_max=5)


def test_an_engine_that_is_gone_is_no_fault_of_the_statement(
    new_server: Callable[..., Server], new_clickhouse: Callable[..., ClickHouse]
) -> None:
    clickhouse = new_clickhouse()
    url = clickhouse.url()
    views.create(parse_views_url(url))
    server = new_server(views=url).start()
    assert server.request("POST", "/api/headrace/v1/sql", json={"query": "SELECT 1"}).status_code == 200
    clickhouse.kill()
    answer = server.request("POST", "/api/headrace/v1/sql", json={"query": "SELECT 1"})
    assert (answer.status_code, answer.json()["error_code"]) == (503, "TEMPORARILY_UNAVAILABLE")
