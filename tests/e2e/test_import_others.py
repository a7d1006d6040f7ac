"""TensorBoard and Neptune through the command, to a server and back."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests import neptune_export
from tests.e2e.test_import import ends, run_import
from tests.environments import ENVIRONMENTS

if TYPE_CHECKING:
    from tests.e2e.conftest import Server

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]
SOURCES = Path(__file__).parents[1] / "golden_sources"


def test_what_tensorboards_own_writers_write_now_is_equal_here(
    server: Server, tmp_path: Path, missing: Callable[[str], None]
) -> None:
    python = ENVIRONMENTS / "tensorboard" / "bin" / "python"
    uv = shutil.which("uv")
    if not python.exists():
        if uv is None:
            missing("TensorBoard's writers are installed by uv, which is not here")
        packages = ["tensorboardX", "tensorboard", "pillow", "setuptools<81"]
        subprocess.run([str(uv), "venv", "-q", str(python.parents[1])], check=True)
        subprocess.run([str(uv), "pip", "install", "-q", "--python", str(python), *packages], check=True)
    subprocess.run([str(python), str(SOURCES / "write_tensorboard.py"), "logs"], cwd=tmp_path, check=True)
    code, report, said = run_import(tmp_path / "logs", server)
    assert (code, report["totals"]["points"], report["totals"]["files"]) == (0, 11, 2), said
    before = ends(server)
    code, report, said = run_import(tmp_path / "logs", server)
    assert (code, report["totals"]["there_already"]) == (0, 4), said
    assert ends(server) == before


def test_a_neptune_export_is_equal_here_and_comes_once(server: Server, tmp_path: Path) -> None:
    for number in range(3):
        neptune_export.write_run(tmp_path / "data", tmp_path / "files", f"DIG-{number}")
    code, report, said = run_import(tmp_path / "data", server, "--step-multiplier", "10")
    assert (code, report["totals"]["points"], report["totals"]["files"]) == (0, 3 * 61, 3 * 5), said
    assert "not carried over: file 'evil'" in said
    before = ends(server)
    code, report, said = run_import(tmp_path / "data", server, "--step-multiplier", "10")
    assert (code, report["totals"]["there_already"]) == (0, 3), said
    assert ends(server) == before
