"""The documentation says what the code does: its example runs, its table of settings is complete."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

from headrace.sdk.settings import Settings
from headrace.sdk.system_metrics import Sampler

DOCS = Path(__file__).parents[3] / "docs"


def test_the_example_runs(tmp_path: Path) -> None:
    text = (DOCS / "how-to" / "log-from-a-trainer.md").read_text()
    example = text.split("```python\n")[1].split("```")[0]
    environ = {**os.environ, "HEADRACE_SPOOL_DIR": str(tmp_path / "spool"), "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        [sys.executable, "-c", example], cwd=tmp_path, env=environ, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(path.name for path in (tmp_path / "runs").rglob("*.json")) == ["labels.json"]


def test_the_example_of_models_runs(tmp_path: Path) -> None:
    text = (DOCS / "how-to" / "log-and-load-a-model.md").read_text()
    first, second = (part.split("```")[0] for part in text.split("```python\n")[1:])
    (tmp_path / "by.txt").write_text("2")
    (tmp_path / "my_package").mkdir()
    environ = {**os.environ, "HEADRACE_SPOOL_DIR": str(tmp_path / "spool"), "PYTHONWARNINGS": "error"}
    done = subprocess.run(
        [sys.executable, "-c", first + second], cwd=tmp_path, env=environ, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("[0 0 1 1]")


def test_every_setting_is_in_the_reference_with_its_variable() -> None:
    text = (DOCS / "reference" / "sdk-settings.md").read_text()
    for setting in dataclasses.fields(Settings):
        assert f"| `{setting.name}` | `HEADRACE_{setting.name.upper()}` |" in text


def test_a_sample_of_the_machine_has_mlflows_names() -> None:
    sample = Sampler().sample()
    assert {
        "system/cpu_utilization_percentage",
        "system/system_memory_usage_percentage",
        "system/disk_usage_percentage",
    } <= sample.keys()
    assert all(isinstance(value, float) for value in sample.values())
