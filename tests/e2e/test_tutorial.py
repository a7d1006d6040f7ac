"""The tutorial's code blocks and the examples run as they stand, against a server on a free port."""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.e2e
pytest.importorskip("chdb")
pytest.importorskip("sklearn")

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```(\w+) ?([\w.]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Place:
    """A folder with a server, and the environment in which the blocks run."""

    def __init__(self, folder: Path) -> None:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("HEADRACE_", "MLFLOW_"))}
        self.folder = folder
        self.environ = {
            **kept,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{kept.get('PATH', '')}",
            "XDG_CONFIG_HOME": str(folder / "config"),
            "XDG_STATE_HOME": str(folder / "state"),
        }

    def serve(self, command: str) -> subprocess.Popen[str]:
        """Start a server by the command of a block, but on a free port, and have everything find it there."""
        process = subprocess.Popen(
            command.split(),
            stdout=subprocess.PIPE,
            text=True,
            cwd=self.folder,
            env={**self.environ, "HEADRACE_PORT": "0"},
        )
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("Headrace is on "), line
        self.environ["HEADRACE_TRACKING_URI"] = line.split()[3].rstrip(",")
        return process

    def run(self, *command: str) -> str:
        """What a command printed; it must end well."""
        done = subprocess.run(
            command, capture_output=True, text=True, cwd=self.folder, env=self.environ, timeout=240, check=False
        )
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        return done.stdout


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    server = made.serve("headrace server")
    yield made
    server.terminate()
    assert server.wait(30) == 0
    assert server.stdout is not None
    server.stdout.close()


def test_the_tutorial_works_as_it_is_written(place: Place) -> None:
    text = (ROOT / "docs" / "tutorial" / "first-run.md").read_text("utf-8")
    printed = ""
    kinds = []
    for language, info, code in BLOCK.findall(text):
        kinds.append((language, info))
        if language == "python":
            (place.folder / info).write_text(code)
        elif info not in ("install", "server"):  # the fixture has done both
            printed += place.run("bash", "-euo", "pipefail", "-c", code)
    assert ("bash", "server") in kinds
    assert len(kinds) == text.count("```") // 2, "every block is taken up"
    assert "alpha 0.0001" in printed
    assert "50 points" in printed
    assert "it was killed" in printed
    runs = list(csv.DictReader((place.folder / "runs.csv").read_text().splitlines()))
    assert sorted(run["run_name"] for run in runs) == ["alpha 0.0001", "alpha 0.01"]
    points = list(csv.DictReader((place.folder / "killed.csv").read_text().splitlines()))
    assert [int(point["step"]) for point in points] == list(range(10_000))


def test_the_programs_about_the_registry_work_as_they_are_written(place: Place) -> None:
    """What they need of its commands; the others run in tests/unit/api/test_registry_sdk.py, without processes."""
    text = (ROOT / "docs" / "how-to" / "registry.md").read_text("utf-8")
    programs = {info: code for language, info, code in BLOCK.findall(text) if language == "python"}
    for name, code in programs.items():
        (place.folder / name).write_text(code)
    assert "version 1 is READY and was made by True\n" in place.run(sys.executable, "register.py")
    place.run("headrace", "models", "transition", "iris", "2", "Production", "--archive-existing")
    place.run("headrace", "models", "alias", "iris", "champion", "Production")
    assert place.run(sys.executable, "then.py") == "then 2 2\nnow 1 1\n"
    assert set(programs) == {"register.py", "then.py"}


@pytest.mark.timeout(600)
def test_the_tutorial_of_models_works_as_it_is_written(place: Place) -> None:
    """Train with autolog, register, promote, an endpoint follows, curl, roll back, read the history."""
    pytest.importorskip("tensorflow")
    text = (ROOT / "docs" / "tutorial" / "from-training-to-endpoint.md").read_text("utf-8")
    printed = []
    for language, info, code in BLOCK.findall(text):
        if language == "python":
            (place.folder / info).write_text(code)
        elif info not in ("install", "server"):  # the fixture has done both
            printed.append(place.run("bash", "-euo", "pipefail", "-c", code))
    _, created, asked, better, _, history, after = printed
    assert "ready, names iris/1" in created
    assert len(json.loads(asked.splitlines()[0])["predictions"][0]) == 3
    assert "iris/1" in asked
    assert "ready, names iris/2" in better
    assert "the new one is too sure of itself" in history
    assert "the first" in history
    assert re.findall(r"version (\d) was in production", after) == ["1", "1", "2"]
    assert "ready, names iris/1" in place.run("headrace", "endpoints", "show", "iris")


def test_the_how_to_about_looking_back_works_as_it_is_written(place: Place) -> None:
    text = (ROOT / "docs" / "how-to" / "look-back.md").read_text("utf-8")
    printed = ""
    for language, info, code in BLOCK.findall(text):
        if language == "python":
            (place.folder / info).write_text(code)
            printed += place.run(sys.executable, info)
        else:
            printed += place.run("bash", "-euo", "pipefail", "-c", code)
    assert "now baseline, annotated\nthen baseline\nfound 1\n" in printed
    assert "renamed from 'baseline' to 'baseline, annotated' with api/headrace/" in printed
    assert "mlflow.note.content" in printed
    assert "points 60" in printed


def test_the_examples_work(place: Place) -> None:
    assert "val_accuracy 0.9" in place.run(sys.executable, str(ROOT / "examples" / "train_sklearn.py"))
    assert "80,000 of 80,000 points" in place.run(sys.executable, str(ROOT / "examples" / "many_trainers.py"))
    assert {path.name for path in (ROOT / "examples").glob("*.py")} == {"train_sklearn.py", "many_trainers.py"}
