"""Where a model's worker runs: what the server has, what it lacks, and an environment that uv makes."""

from __future__ import annotations

import asyncio
import importlib.metadata
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
from headrace.api.serving.environments import ENVIRONMENTS_MAX, Environments, unsatisfied
from headrace.api.serving.process import LoadFailed

NUMPY, INICONFIG = (importlib.metadata.version(name) for name in ("numpy", "iniconfig"))
HERE = sys.version_info[:2]
ENVIRON = {"PATH": "/usr/bin:/bin", "HOME": "/root", "AWS_SECRET_ACCESS_KEY": "secret", "OMP_NUM_THREADS": "1"}


def model(folder: Path, requirements: str, python: str = platform.python_version()) -> Path:
    """A model's folder, as far as environments look at it."""
    folder.mkdir(exist_ok=True)
    (folder / "requirements.txt").write_text(requirements)
    (folder / "python_env.yaml").write_text(f"python: {python}\ndependencies:\n- -r requirements.txt\n")
    return folder


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [f"numpy=={NUMPY}"],
        ["numpy>=1"],
        ["nothing-of-the-kind==1; python_version < '3'"],
        ["--extra-index-url https://example.invalid/simple", "numpy"],
    ],
)
def test_the_servers_own_is_enough_where_it_has_all(lines: list[str]) -> None:
    assert unsatisfied(lines, HERE) is None


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("numpy==1.0", f"it requires numpy==1.0, and the server has numpy {NUMPY}"),
        ("nothing-of-the-kind", "it requires nothing-of-the-kind, and the server has none"),
        ("git+https://example.invalid/x", "is not one that can be looked up"),
        ("-e .", "is not one that can be looked up"),
    ],
)
def test_what_the_server_lacks_is_named(line: str, why: str) -> None:
    assert why in (unsatisfied(["numpy", line], HERE) or "")


def test_another_python_is_not_the_servers() -> None:
    assert "it was made with Python 3.6, and the server runs 3." in (unsatisfied([], (3, 6)) or "")


def test_requirements_of_mlflow_and_of_ourselves_are_left_out(tmp_path: Path) -> None:
    folder = model(tmp_path / "m", f"mlflow==3.17.2\nheadrace[server]==9\n# a remark\nnumpy=={NUMPY} # pinned\n")
    program, name = asyncio.run(Environments(tmp_path / "e", uv=False, environ=ENVIRON).program(folder, "auto"))
    assert (program.python, name) == (sys.executable, "server")


def test_a_worker_gets_no_variable_that_could_be_a_secret(tmp_path: Path) -> None:
    program, _ = asyncio.run(Environments(tmp_path / "e", True, ENVIRON).program(model(tmp_path / "m", ""), "server"))
    assert dict(program.environ) == {
        "PATH": "/usr/bin:/bin",
        "HOME": "/root",
        "OMP_NUM_THREADS": "1",
        "PYTHONSAFEPATH": "1",
    }


@pytest.mark.parametrize(
    ("uv", "python", "why"),
    [
        (False, platform.python_version(), "or set the endpoint's environment to server"),
        (True, platform.python_version(), "install uv"),
        (True, "3.6.8", "it was made with Python 3.6, and workers need 3.11"),
    ],
)
def test_why_there_is_no_environment_is_told(tmp_path: Path, uv: bool, python: str, why: str) -> None:
    environments = Environments(tmp_path / "e", uv, {"PATH": str(tmp_path)})
    with pytest.raises(LoadFailed, match=why):
        asyncio.run(environments.program(model(tmp_path / "m", "nothing-of-the-kind==1", python), "auto"))


def test_environments_that_were_not_used_for_long_make_room_for_another(tmp_path: Path) -> None:
    kept = [f"{number:02d}" * 32 for number in range(ENVIRONMENTS_MAX)]
    for age, name in enumerate(kept):
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (1_000 + age, 1_000 + age))
    (tmp_path / ".half-made").mkdir()
    os.utime(tmp_path / ".half-made", (1, 1))
    environments = Environments(tmp_path, True, {"PATH": os.environ["PATH"]}, in_use=lambda: {f"uv {kept[0][:12]}"})
    with pytest.raises(LoadFailed):
        asyncio.run(environments.program(model(tmp_path.with_name("m"), "iniconfig>999"), "auto"))
    assert sorted(x.name for x in tmp_path.iterdir()) == kept
    (tmp_path / ("ff" * 32)).mkdir()
    with pytest.raises(LoadFailed):
        asyncio.run(environments.program(model(tmp_path.with_name("m"), "iniconfig>999"), "auto"))
    assert sorted(x.name for x in tmp_path.iterdir()) == [kept[0], *kept[2:], "ff" * 32]


def test_uv_makes_an_environment_once_that_has_what_the_model_and_its_worker_need(tmp_path: Path) -> None:
    environments = Environments(tmp_path / "e", uv=True)
    folder = model(tmp_path / "m", "iniconfig>999")
    with pytest.raises(LoadFailed, match=r"(?s)its environment cannot be made: .*iniconfig"):
        asyncio.run(environments.program(folder, "auto"))
    folder = model(tmp_path / "m", f"iniconfig=={INICONFIG}")
    program, name = asyncio.run(environments.program(folder, "uv"))
    again, _ = asyncio.run(environments.program(folder, "uv"))
    assert (again.python, name[:3]) == (program.python, "uv ")
    assert [x.name[0] for x in (tmp_path / "e").iterdir()] != ["."]
    code = "import headrace.pyfunc, headrace.sdk.serving.worker, iniconfig, sys; print(sys.prefix)"
    done = subprocess.run(
        [program.python, "-c", code], env=dict(program.environ), cwd=folder, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip() == str(Path(program.python).parent.parent)
