"""Environments made by uv from what a project names, once for many processes at once."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from headrace.sdk.projects import environments, mlproject
from headrace.sdk.projects.errors import BadProject
from headrace.sdk.projects.interpreters import interpreter

MAKE = """
import sys, pathlib
from headrace.sdk.projects import environments, mlproject
print(environments.prepare(mlproject.read(pathlib.Path(sys.argv[1])), None).binaries)
"""


@pytest.fixture(autouse=True)
def _kept_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_PROJECT_ENVS", str(tmp_path / "envs"))


def project_with(folder: Path, name: str, text: str) -> mlproject.Project:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text)
    return mlproject.read(folder)


def test_many_processes_at_once_make_one_environment(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("iniconfig==2.0.0\n")
    project_with(tmp_path, "python_env.yaml", "dependencies: ['-r requirements.txt']")
    command = [sys.executable, "-c", MAKE, str(tmp_path)]
    with ThreadPoolExecutor(3) as pool:
        made = list(pool.map(lambda _: subprocess.check_output(command, text=True).strip(), range(3)))
    assert len(set(made)) == 1
    shown = subprocess.check_output(
        [f"{made[0]}/python", "-c", "import iniconfig; print(iniconfig.__name__)"], text=True
    )
    assert shown == "iniconfig\n"
    (one,) = environments.kept()
    assert "iniconfig==2.0.0" in (one.path / "requirements.lock").read_text()
    assert environments.remove([one.name[:8]]) == [one.name]
    assert environments.kept() == []


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("conda.yaml", "dependencies: [python=3.11, r-base, {pip: [iniconfig]}]", "only conda has: r-base"),
        ("python_env.yaml", "python: '2.1'", "needs Python 2.1, which is not installed; there are: "),
        ("python_env.yaml", "python: ['3']", "is no version"),
        ("requirements.txt", "iniconfig==999.0\n", "cannot be made"),
        ("requirements.txt", "-r nowhere.txt\n", "cannot be read"),
    ],
)
def test_what_cannot_be_made_says_why_and_leaves_nothing(tmp_path: Path, name: str, text: str, why: str) -> None:
    with pytest.raises(BadProject, match=why):
        environments.prepare(project_with(tmp_path / "p", name, text), None)
    assert environments.kept() == []
    assert list((tmp_path / "envs").glob("*/")) == []


def test_a_version_of_python_is_found_among_the_installed_ones() -> None:
    assert interpreter("") == Path(sys.executable)
    assert interpreter("{}.{}".format(*sys.version_info[:2])) == Path(sys.executable)
    assert interpreter("{}.{}.*".format(*sys.version_info[:2])) == Path(sys.executable)
