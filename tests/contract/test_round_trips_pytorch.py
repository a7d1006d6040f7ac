"""PyTorch modules go both ways between stock MLflow and us; only when asked for: PyTorch is a download of 2.8 GB."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.environments import ROOT, environment
from tests.missing import report

pytestmark = [pytest.mark.mlflow, pytest.mark.timeout(1800)]
SCRIPT = ROOT / "tests" / "golden_sources" / "mlflow_models" / "pytorch_both_ways.py"


def test_pytorch_modules_go_both_ways(tmp_path: Path) -> None:
    if os.environ.get("HEADRACE_TEST_INTEGRATIONS") != "1":
        pytest.skip("NOT TESTED HERE: PyTorch is a download of 2.8 GB; asked for with HEADRACE_TEST_INTEGRATIONS=1")
    python = environment("torch-2.15.0", ("torch==2.15.0", "mlflow==3.17.2", "-e", str(ROOT)), report)

    done = subprocess.run([str(python), str(SCRIPT), str(tmp_path)], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr[-4000:]
