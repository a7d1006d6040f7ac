"""`models predict`: a file in, its predictions out, batch by batch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest
from click.testing import CliRunner
from headrace.models import infer_signature
from headrace.pyfunc import PythonModel, save_model
from headrace.sdk.cli.main import main
from headrace.sdk.serving.files import CannotPredict, predict_file

ROWS = 10
FRAME = pd.DataFrame({"a": [float(row) for row in range(ROWS)], "s": [f'x "{row}",\n' for row in range(ROWS)]})


class Lengths(PythonModel):
    """Adds the length of s to a, and says how many rows it was given."""

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> pd.DataFrame:
        """A frame of two columns."""
        total = model_input["a"] + model_input["s"].str.len()
        return pd.DataFrame({"total": total, "together": len(model_input)})


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("models") / "lengths"
    signature = infer_signature(FRAME)
    save_model(folder, Lengths(), signature=signature)
    return str(folder)


def written(kind: str, path: Path) -> Path:
    """FRAME as a file of this kind."""
    table = pa.Table.from_pandas(FRAME, preserve_index=False)
    if kind == "csv":
        FRAME.to_csv(path, index=False)
    elif kind == "parquet":
        pyarrow.parquet.write_table(table, path)
    else:
        with path.open("wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
            writer.write_table(table)
    return path


def read(path: Path) -> pd.DataFrame:
    """The predictions of a file."""
    if path.suffix == ".csv":
        return pd.read_csv(path)
    if path.suffix == ".parquet":
        return pd.read_parquet(path)
    if path.suffix == ".arrow":
        with path.open("rb") as file:
            return pd.DataFrame(pa.ipc.open_stream(file).read_all().to_pydict())
    return pd.DataFrame(json.loads(path.read_text())["predictions"])


@pytest.mark.parametrize("source", ["csv", "parquet", "arrow"])
@pytest.mark.parametrize("target", ["csv", "parquet", "arrow", "json"])
def test_a_file_is_predicted_in_batches_into_the_kind_that_its_name_says(
    model: str, tmp_path: Path, source: str, target: str
) -> None:
    out = tmp_path / f"out.{target}"
    rows = predict_file(model, written(source, tmp_path / f"in.{source}"), out, batch_rows=4)
    predicted = read(out)
    assert rows == ROWS
    assert predicted["total"].tolist() == [row + 7.0 for row in range(ROWS)]
    assert predicted["together"].tolist() == [4] * 8 + [2] * 2


def test_a_json_body_is_predicted_as_the_server_does(model: str, tmp_path: Path) -> None:
    (tmp_path / "in.json").write_text(json.dumps({"dataframe_records": [{"a": 1, "s": "xy"}]}))
    result = CliRunner().invoke(main, ["models", "predict", "-m", model, "-i", str(tmp_path / "in.json")])
    assert json.loads(result.stdout) == {"predictions": [{"total": 3.0, "together": 1}]}


def test_a_wrong_file_is_one_clear_line_and_leaves_no_output(model: str, tmp_path: Path) -> None:
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_text("a,s\n1,x\nno number,y\n")
    with pytest.raises(CannotPredict, match="'a' should be double"):
        predict_file(model, source, target)
    assert list(tmp_path.iterdir()) == [source]
