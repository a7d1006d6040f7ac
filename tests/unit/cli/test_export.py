"""Exports: stable columns, nothing rounded, no file that is half-written."""

from __future__ import annotations

import math
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pytest
from headrace.sdk.cli import export
from headrace.sdk.run import Run, RunData, RunInfo

RUNS = [
    Run(RunInfo("a", "1", "first", start_time=5, end_time=9), RunData({"m": 0.1}, {"p": "x,\n\"y'"}, {})),
    Run(RunInfo("b", "2", "", start_time=6), RunData({"m": math.nan, "n": math.inf}, {}, {"t": "ü"})),
]


def test_a_row_a_run_with_null_for_what_it_lacks() -> None:
    table = export.run_table(RUNS, {"1": "one"})
    assert table.column_names == [*(name for name, _ in export.INFO), "params.p", "metrics.m", "metrics.n", "tags.t"]
    first, second = table.to_pylist()
    assert (first["experiment_name"], first["start_time_ms"], first["end_time_ms"]) == ("one", 5, 9)
    assert (second["experiment_name"], second["end_time_ms"], second["params.p"]) == (None, None, None)
    assert (first["metrics.n"], second["metrics.n"]) == (None, math.inf)
    assert math.isnan(second["metrics.m"])


def test_no_runs_give_a_header(tmp_path: Path) -> None:
    with export.Sink("csv", tmp_path / "runs.csv") as sink:
        sink.write(export.run_table([], {}))
    assert (tmp_path / "runs.csv").read_text().startswith('"run_id","run_name"')


def test_csv_keeps_numbers_and_text_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "runs.csv"
    with export.Sink("csv", path) as sink:
        sink.write(export.run_table(RUNS, {}))
    options = pa.csv.ParseOptions(newlines_in_values=True)
    back = pa.csv.read_csv(path, parse_options=options).to_pylist()
    assert back[0]["params.p"] == "x,\n\"y'"
    assert back[0]["metrics.m"] == 0.1
    assert back[1]["tags.t"] == "ü"


def write_both(sink: export.Sink, *tables: pa.Table) -> None:
    for table in tables:
        sink.write(table)


def test_an_export_that_fails_leaves_the_old_file_and_no_part(tmp_path: Path) -> None:
    path = tmp_path / "runs.csv"
    path.write_text("old")
    other = pa.table({"another": [1]})
    with export.Sink("csv", path) as sink:
        sink.write(export.run_table(RUNS, {}))
        assert path.read_text() == "old", "it takes its name at the end"
    written = path.read_text()
    with pytest.raises(ValueError, match="schema"), export.Sink("csv", path) as sink:
        write_both(sink, export.run_table(RUNS, {}), other)
    assert path.read_text() == written
    assert [one.name for one in tmp_path.iterdir()] == ["runs.csv"]
