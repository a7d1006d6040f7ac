"""Comparing from the SDK and the shell: the how-to runs as it stands, and tables hold what was logged."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.e2e
pytest.importorskip("chdb")

DOCS = Path(__file__).parents[2] / "docs"

CHECKS = """
import pandas as pd, pyarrow as pa, json
assert told.index[0] == "optimizer" and told.attrs["runs"] == 18, told
assert told.loc["epochs", "kind"] == "constant" and pd.isna(told.loc["epochs", "importance"])
compared = headrace.compare([best, worst])
assert list(compared.columns) == [best, worst]
assert compared.loc[("params", "optimizer", "")].tolist() == ["adam", "sgd"]
assert ("params", "epochs", "") not in compared.index
assert compared.loc[("metrics", "loss", "last"), best] < compared.loc[("metrics", "loss", "last"), worst]
everything = headrace.compare([best, worst], only_differences=False, sections=["params"])
assert everything.loc[("params", "epochs", "")].tolist() == ["50", "50"]
assert curves.columns.tolist() == ["group", "key", "x", "x_last", "value", "low", "high", "runs", "nan"]
assert curves["group"].nunique() == 6 and set(curves["runs"]) == {3} and len(curves) == 300
assert len(points) == 100 and points.columns.tolist() == ["run_id", "key", "x", "step", "value"]
table = headrace.series(best, "loss", buckets=10, output_format="arrow")
assert table.num_rows == 10 and table.schema.field("run_id").type == pa.string()
assert str(headrace.series(best, "loss", x="time")["x"].dtype) == "datetime64[ms, UTC]"
assert str(headrace.series(best, "loss", x="relative")["x"].dtype) == "timedelta64[ms]"
assert len(headrace.series(best, "loss", range=(0, 4))) == 5
assert headrace.series(filter_string="params.lr = '7'", keys="loss").empty
assert headrace.compare(filter_string="params.seed = '1'").shape[1] == 6
for wrong in (dict(run_ids=[best], filter_string="x"), dict(experiment_names=["none"]), dict(run_ids=[])):
    try:
        headrace.series(keys="loss", **wrong)
        raise AssertionError(wrong)
    except ValueError:
        pass
try:
    headrace.series([best], [])
    raise AssertionError
except headrace.ReadFailed as error:
    assert "keys" in str(error)
print(json.dumps([best, worst]))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("compare")


@pytest.fixture(scope="module")
def environ(folder: Path) -> dict[str, str]:
    return {**os.environ, "HEADRACE_SPOOL_DIR": str(folder / "spool"), "PYTHONWARNINGS": "ignore"}


@pytest.fixture(scope="module")
def pair(folder: Path, environ: dict[str, str]) -> list[str]:
    """Run the how-to and the checks behind it; the ids of its best and worst run."""
    text = (DOCS / "how-to" / "compare-runs.md").read_text("utf-8")
    code = "\n".join(re.findall(r"```python\n(.*?)```", text, re.S)) + CHECKS
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    found: list[str] = json.loads(done.stdout.splitlines()[-1])
    return found


def shell(folder: Path, environ: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "headrace.sdk.cli.main", "--tracking-uri", str(folder / "runs"), *arguments]
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done


def test_the_how_to_runs_and_its_tables_hold_what_was_logged(pair: list[str]) -> None:
    assert len(pair) == 2


def test_the_shell_compares_runs(folder: Path, environ: dict[str, str], pair: list[str]) -> None:
    done = shell(folder, environ, "runs", "compare", *pair, "none", "--section", "params")
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    assert lines[0] == ["section", "what", *pair]
    assert ["params", "optimizer", "adam", "sgd"] in lines
    assert "no such run: none" in done.stderr
    told = json.loads(
        shell(folder, environ, "runs", "compare", "--filter", "params.seed = '2'", "--all", "--json").stdout
    )
    assert len(told["runs"]) == 6
    assert told["equal"] == 0


def test_the_shell_writes_series(folder: Path, environ: dict[str, str], pair: list[str]) -> None:
    done = shell(folder, environ, "runs", "series", *pair, "--key", "loss", "--buckets", "5")
    lines = done.stdout.splitlines()
    assert lines[0].replace('"', "") == "run_id,key,x,x_last,first,last,min,max,count,nan"
    assert len(lines) == 11
    done = shell(
        folder,
        environ,
        "runs",
        "series",
        "--key",
        "loss",
        "--group-by",
        "all",
        "--band",
        "10,90",
        "-o",
        "curves.parquet",
    )
    assert "wrote 50 rows" in done.stderr, done.stderr


def test_the_shell_correlates(folder: Path, environ: dict[str, str], pair: list[str]) -> None:
    done = shell(folder, environ, "runs", "correlate", "loss", "--aggregate", "min")
    assert done.stdout.splitlines()[1].startswith("optimizer\tcategory\t18\t2\t")
    assert "18 runs have a finite loss" in done.stderr
    told = json.loads(shell(folder, environ, "runs", "correlate", "loss", "--param", "lr", "--json").stdout)
    assert [one["param"] for one in told["correlations"]] == ["lr"]
