"""Python models that MLflow pickled load where it is not installed, and answer as they did there."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import headrace
import pandas as pd
import pytest

FOLDER = Path(__file__).parents[3] / "golden_sources" / "python_models"
KINDS = [(one.name, kind.name) for one in sorted(FOLDER.iterdir()) for kind in sorted(one.iterdir()) if kind.is_dir()]
FRAME = pd.DataFrame({"x": [1.0, 2.0]})


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="pickled code is read by the Python that wrote it")
@pytest.mark.parametrize(("version", "kind"), KINDS)
def test_it_answers_as_it_did_there(version: str, kind: str) -> None:
    assert importlib.util.find_spec("mlflow") is None
    data: Any = ["a", "b"] if "texts" in kind else FRAME

    answered = headrace.pyfunc.load_model(FOLDER / version / kind).predict(data)

    expected = json.loads((FOLDER / version / "answers.json").read_text(encoding="utf-8"))[kind]
    assert list(answered) == expected
    assert "mlflow" not in sys.modules
