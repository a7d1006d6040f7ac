"""What a model needs to be loaded elsewhere: pins of the distributions its modules come from, told in this process.

MLflow loads the model in a process of its own to see what it imports, which takes seconds; we ask the metadata of the
packages that are installed, which takes milliseconds.
"""

from __future__ import annotations

import functools
import importlib.metadata
import platform
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from headrace.sdk.models import mlmodel

REQUIREMENTS = "requirements.txt"
CONDA = "conda.yaml"
PYTHON = "python_env.yaml"

_SAME = {
    "tensorflow": ("tensorflow", "tensorflow-cpu", "tensorflow-intel", "tensorflow-macos", "tensorflow-gpu"),
    "xgboost": ("xgboost", "xgboost-cpu"),
    "onnxruntime": ("onnxruntime", "onnxruntime-gpu"),
}
"""Distributions that bring the same module: the first that is installed is enough."""


@functools.lru_cache(maxsize=1)
def _distributions() -> Mapping[str, Sequence[str]]:
    """Top-level module to the distributions that bring it, of this environment."""
    return importlib.metadata.packages_distributions()


@functools.lru_cache(maxsize=1024)
def _of_module(module: str) -> str | None:
    """The pin of the distribution that brings a top-level module; None for the standard library and the user's own."""
    if module in sys.stdlib_module_names or module in ("__main__", "builtins", "mlflow", "headrace", ""):
        return None
    for name in _SAME.get(module, ()):
        try:
            return f"{name}=={_public(importlib.metadata.version(name))}"
        except importlib.metadata.PackageNotFoundError:
            continue
    # The usual case first: the distribution is called as its module. The list of all takes ten times as long.
    for name in _NAMED.get(module, (module, module.replace("_", "-"))):
        try:
            return f"{name}=={_public(importlib.metadata.version(name))}"
        except importlib.metadata.PackageNotFoundError:
            continue
    names = sorted(set(_distributions().get(module, ())))
    return f"{names[0]}=={_public(importlib.metadata.version(names[0]))}" if names else None


_NAMED = {
    "sklearn": ("scikit-learn",),
    "yaml": ("PyYAML",),
    "PIL": ("pillow",),
    "cv2": ("opencv-python",),
    "google": (),
}
"""Modules whose distribution has another name, and `google`, which many share."""


def _public(version: str) -> str:
    """The version as an index knows it: without what a build adds after `+`."""
    return version.partition("+")[0]


def of_modules(modules: Iterable[str]) -> list[str]:
    """Pins for top-level modules, each once, in order of their names."""
    return sorted({pin for module in modules if (pin := _of_module(module.partition(".")[0])) is not None})


def headrace_pin() -> str:
    """The pin of this package, where a model's code imports it."""
    return f"headrace=={importlib.metadata.version('headrace')}"


def lines(given: Sequence[str] | str | None, what: str) -> list[str]:
    """Requirements as the user gave them: a list, or the path of a file. Raises OSError, TypeError."""
    if given is None:
        return []
    if isinstance(given, str):
        found = Path(given).read_text(encoding="utf-8").splitlines()
        return [line.strip() for line in found if line.strip() and not line.lstrip().startswith("#")]
    if not all(isinstance(one, str) for one in given):
        raise TypeError(f"{what} is a list of requirements, or the path of a file of them")
    return list(given)


def write(folder: Path, requirements: Sequence[str], conda_env: Mapping[str, Any] | str | None = None) -> None:
    """Write requirements.txt, conda.yaml and python_env.yaml, as MLflow names and reads them. Raises OSError.

    conda_env: what conda.yaml shall hold instead, as a mapping or the path of such a file.
    """
    wanted: Any = conda_env
    if isinstance(conda_env, str):
        wanted = mlmodel.load(Path(conda_env).read_text(encoding="utf-8"))
    if wanted is None:
        python = f"python={platform.python_version()}"
        wanted = {
            "channels": ["conda-forge"],
            "dependencies": [python, "pip", {"pip": list(requirements)}],
            "name": "mlflow-env",
        }
    else:
        requirements = _pip_of(wanted)
    (folder / CONDA).write_text(mlmodel.dump(wanted), encoding="utf-8")
    (folder / REQUIREMENTS).write_text("".join(f"{one}\n" for one in requirements), encoding="utf-8")
    build = of_modules(("setuptools", "wheel"))
    python_env = {
        "python": platform.python_version(),
        "build_dependencies": ["pip", *build],
        "dependencies": [f"-r {REQUIREMENTS}"],
    }
    (folder / PYTHON).write_text(mlmodel.dump(python_env), encoding="utf-8")


def _pip_of(conda_env: Mapping[str, Any]) -> list[str]:
    """What conda.yaml lets pip install."""
    for one in conda_env.get("dependencies") or ():
        if isinstance(one, Mapping) and isinstance(one.get("pip"), list):
            return [str(line) for line in one["pip"]]
    return []
