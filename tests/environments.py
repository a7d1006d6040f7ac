"""Python environments that tests need beside their own, made by uv at the first need and kept below tests/.envs."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
ENVIRONMENTS = Path(__file__).parent / ".envs"

MLFLOW_3 = ("mlflow==3.17.2", "scikit-learn", "matplotlib")
"""The stock client."""
FRAMEWORKS = (
    "mlflow==3.17.2",
    "catboost==1.2.10",
    "lightgbm==4.7.0",
    "onnx==1.23.2",
    "onnxruntime==1.32.0",
    "scikit-learn==1.9.1",
    "skl2onnx==1.20.0",
    "skops==0.16.0",
    "statsmodels==0.15.0",
    "tensorflow-cpu==2.21.0",
    "xgboost-cpu==3.2.0",
)
"""The stock client with the frameworks of the dev group, of the same versions: models go both ways."""


def environment(name: str, packages: Sequence[str], missing: Callable[[str], None]) -> Path:
    """The Python of an environment with these packages.

    packages: as uv takes them; another list makes the environment anew. missing: told why it cannot be made; does not
    return. Of several test processes one makes it.
    """
    folder = ENVIRONMENTS / name
    python = folder / "bin" / "python"
    made = folder / "made-of.txt"
    ENVIRONMENTS.mkdir(exist_ok=True)
    with (ENVIRONMENTS / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if python.exists() and made.exists() and made.read_text(encoding="utf-8").splitlines() == list(packages):
            return python
        uv = shutil.which("uv")
        if uv is None:
            missing(f"{name}: environments are made by uv, which is not on the path")
            raise AssertionError
        for arguments in (
            ["venv", "--clear", "--python", "3.11", str(folder)],
            ["pip", "install", "--python", str(python), *packages],
        ):
            done = subprocess.run([uv, *arguments], capture_output=True, text=True, check=False, cwd=ROOT)
            if done.returncode:
                missing(f"{name}: uv {' '.join(arguments)}: {done.stderr.strip()[-500:]}")
        made.write_text("".join(f"{package}\n" for package in packages), encoding="utf-8")
    return python


def stock_mlflow(missing: Callable[[str], None]) -> Path:
    """The Python with stock MLflow 3.17.2 and every framework whose models go both ways."""
    return environment("mlflow-3.17.2-frameworks", FRAMEWORKS, missing)


def tensorflow_2_15(missing: Callable[[str], None]) -> Path:
    """The Python with the last TensorFlow that has `tf.estimator`, 2.15.1, and this working tree in it.

    That TensorFlow needs NumPy 1, which pyarrow 25 no longer works with, though it does not say so.
    """
    return environment("tf-2.15.1", ("tensorflow-cpu==2.15.1", "pyarrow<25", "-e", str(ROOT)), missing)
