"""MLproject files, what is wrong with them, and the commands that parameters make."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from headrace.sdk.projects import mlproject, parameters
from headrace.sdk.projects.errors import BadProject
from headrace.sdk.projects.mlproject import EntryPoint, Parameter
from hypothesis import given, settings
from hypothesis import strategies as st

SEED = """name: tensorflow-example
conda_env: conda.yaml
entry_points:
  main:
    parameters:
      batch_size: {type: int, default: 100}
      train_steps: {type: int, default: 1000}
    command: "python train_predict_2.py --batch_size={batch_size} --train_steps={train_steps}"
"""


def nothing(uri: str, number: int) -> Path:
    raise AssertionError(uri)


def values(entry: EntryPoint, project: Path, **given: object) -> parameters.Values:
    return parameters.values_of(entry, given, project, Path.cwd(), nothing)


def test_the_seeds_project_is_read_and_makes_its_command(tmp_path: Path) -> None:
    (tmp_path / "MLproject").write_text(SEED)
    (tmp_path / "conda.yaml").write_text("dependencies: []")
    project = mlproject.read(tmp_path)
    entry = project.entry_point("main")
    assert (project.name, project.conda_env) == ("tensorflow-example", tmp_path / "conda.yaml")
    command = parameters.command_of(entry, values(entry, tmp_path, batch_size="7"))
    assert command == "python train_predict_2.py --batch_size=7 --train_steps=1000"


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        ("name: [", 1, "not YAML"),
        ("name: a\nentry_point: {}\n", 2, "no field 'entry_point'"),
        ("name: a\nentry_points:\n  main:\n    parameters: {}\n", 4, "has no command"),
        ("entry_points:\n  main:\n    command: [a]\n", 3, "command is not text"),
        ("python_env: a.yaml\n", 1, "there is no such file"),
        ("name: a\nname: b\n", 2, "stands there twice"),
        ("- a\n", 1, "is not a mapping"),
        ("docker_env:\n  volumes: []\n", 2, "names no image"),
    ],
)
def test_the_line_of_what_is_wrong_is_named(tmp_path: Path, text: str, line: int, why: str) -> None:
    (tmp_path / "mlproject").write_text(text)
    with pytest.raises(BadProject, match=rf":{line}: .*{why}"):
        mlproject.read(tmp_path)


def test_a_folder_without_a_project_and_an_unknown_entry_point_say_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(BadProject, match="is not a project"):
        mlproject.read(tmp_path).entry_point("main")
    (tmp_path / "train.py").write_text("")
    with pytest.raises(BadProject, match=r"no entry point 'main'.*train\.py"):
        mlproject.read(tmp_path).entry_point("main")
    assert mlproject.read(tmp_path).entry_point("train.py").command == "python train.py"


@pytest.mark.parametrize(
    ("kind", "value"), [("float", "abc"), ("int", "1.5"), ("int", ""), ("path", "not/there"), ("uri", "no-scheme")]
)
def test_a_value_of_the_wrong_type_is_refused(tmp_path: Path, kind: str, value: str) -> None:
    entry = EntryPoint("main", "echo {x}", {"x": Parameter("x", kind)})
    with pytest.raises(BadProject, match="the parameter x is a"):
        values(entry, tmp_path, x=value)


def test_a_missing_parameter_is_named_with_its_type(tmp_path: Path) -> None:
    with pytest.raises(BadProject, match=r"needs a value for x \(int\)"):
        values(EntryPoint("main", "echo {x}", {"x": Parameter("x", "int")}), tmp_path)


def test_a_default_path_starts_from_the_project(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("")
    entry = EntryPoint("main", "cat {x}", {"x": Parameter("x", "path", "data.csv")})
    found = values(entry, tmp_path)
    assert found.given == {"x": "data.csv"}
    assert found.used == {"x": str((tmp_path / "data.csv").resolve())}


SHOW = f"{shlex.quote(sys.executable)} -c 'import json,sys; print(json.dumps(sys.argv[1:]))'"


@settings(max_examples=25, deadline=None)
@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20))
def test_any_value_arrives_as_it_was_given_however_it_is_quoted(value: str) -> None:
    command = f"{SHOW} {{x}} --y={{x}} \"a{{x}}b\" 'c{{x}}d' {{{{}}}}"
    entry = EntryPoint("main", command, {"x": Parameter("x")})
    made = parameters.command_of(entry, values(entry, Path.cwd(), x=value, more=value))
    done = subprocess.run(["bash", "-c", made], capture_output=True, check=True)
    assert json.loads(done.stdout) == [value, f"--y={value}", f"a{value}b", f"c{value}d", "{}", "--more", value]


@pytest.mark.parametrize("command", ['bash -c "echo {x}"', "eval echo {x}", 'echo "$(echo {x})"', "echo `echo {x}`"])
def test_a_value_that_another_shell_would_run_is_refused(command: str) -> None:
    entry = EntryPoint("main", command, {"x": Parameter("x")})
    with pytest.raises(BadProject, match="another shell"):
        parameters.command_of(entry, values(entry, Path.cwd(), x="$(touch it)"))
    parameters.command_of(entry, values(entry, Path.cwd(), x="plain-1.0"))
