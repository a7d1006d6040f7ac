"""Where a model's worker runs: in the server's own environment where that has what the model requires, else in one made
with uv, once for all models that require the same."""

from __future__ import annotations

import asyncio
import hashlib
import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Final

import headrace
import headrace.ingest
import headrace.sdk
from headrace.api.serving.process import LoadFailed, Program
from headrace.sdk.version import VERSION
from starlette.concurrency import run_in_threadpool

PYTHON_MIN: Final = (3, 11)
MAKE_S: Final = 1800.0
ERROR_CHARS_MAX: Final = 1_500
ENVIRONMENTS_MAX: Final = 30
"""So many are kept; those in use stay."""
_LINKS = "headrace-links"
_NOT_NEEDED = re.compile(
    r"(mlflow|mlflow-skinny|mlflow-tracing|headrace)\s*(\[.*\])?\s*($|[=<>!~;@#\s])", re.IGNORECASE
)
"""Our loader reads what MLflow saved without MLflow, and is itself linked into the environment."""
_PLAIN_PIN = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)\s*==\s*([^\s;,*]+)$")
_PYTHON = re.compile(r"^\s*-?\s*python\s*[:=]+\s*['\"]?(\d+)\.(\d+)", re.MULTILINE)
_SAME: Final[Mapping[str, Sequence[str]]] = {
    "tensorflow": ("tensorflow-cpu", "tensorflow-intel", "tensorflow-macos"),
    "xgboost": ("xgboost-cpu",),
    "onnxruntime": ("onnxruntime-gpu",),
}
"""Distributions that do in place of another."""
_PASSED = re.compile(
    r"PATH|HOME|USER|LANG|LC_.*|TZ|TMPDIR|LD_LIBRARY_PATH|PYTHON.*|VIRTUAL_ENV|SSL_CERT_.*|CUDA.*|NVIDIA.*|OMP_.*|MKL_.*"
    r"|OPENBLAS_.*|TF_.*|KERAS_.*|XLA_.*|TORCH.*|ONEDNN_.*"
)
"""The variables a worker gets; the server's others may be secrets, and a model is code."""
_PASSED_TO_UV = re.compile(r"UV_.*|PIP_.*|(HTTPS?|NO|ALL)_PROXY|XDG_.*|NETRC", re.IGNORECASE)


class Environments:
    """The environments of all models.

    folder: where those of uv are made. uv: whether it may be used. in_use: what those in use are called by `program`.
    """

    def __init__(
        self,
        folder: Path,
        uv: bool,
        environ: Mapping[str, str] = os.environ,
        in_use: Callable[[], Collection[str]] = tuple,
    ) -> None:
        self._folder = folder
        self._uv = uv
        self._environ = environ
        self._in_use = in_use
        self._locks: dict[str, asyncio.Lock] = {}

    async def program(self, model: Path, wanted: str) -> tuple[Program, str]:
        """What runs the worker of a model, and what to call its environment.

        wanted: `auto`, `server` or `uv`. Raises LoadFailed, which says why there is none.
        """
        lines, python = await run_in_threadpool(_required, model)
        if wanted == "server":
            return self._own(model), "server"
        fault = await run_in_threadpool(unsatisfied, lines, python)
        if wanted == "auto" and fault is None:
            return self._own(model), "server"
        made = await self._made(model, lines, python, fault or "the endpoint asks for an environment of its own")
        environ = {**self._passed(), "PYTHONPATH": str(made / _LINKS), "VIRTUAL_ENV": str(made)}
        return Program(str(made / "bin" / "python"), environ, model), _called(made.name)

    def _own(self, model: Path) -> Program:
        return Program(sys.executable, self._passed(), model)

    def _passed(self) -> dict[str, str]:
        passed = {name: value for name, value in self._environ.items() if _PASSED.fullmatch(name)}
        # What lies in a model's folder is no module for it.
        return passed | {"PYTHONSAFEPATH": "1"}

    async def _made(self, model: Path, lines: Sequence[str], python: tuple[int, int] | None, why: str) -> Path:
        version = "{}.{}".format(*(python or sys.version_info[:2]))
        if python is not None and python < PYTHON_MIN:
            raise LoadFailed(
                f"it was made with Python {version}, and workers need {'.'.join(map(str, PYTHON_MIN))}; make the model"
                " anew, or set the endpoint's environment to server to try the server's own"
            )
        uv = shutil.which("uv", path=self._environ.get("PATH"))
        if not self._uv or uv is None:
            how = "allow it by HEADRACE_ENDPOINT_UV=1" if uv is not None else "install uv, which makes environments"
            raise LoadFailed(f"{why}: {how}, or set the endpoint's environment to server")
        name = hashlib.sha256("\n".join([VERSION, version, *sorted(lines)]).encode()).hexdigest()
        target = self._folder / name
        async with self._locks.setdefault(name, asyncio.Lock()):
            if not target.is_dir():
                await run_in_threadpool(self._make_room)
                await run_in_threadpool(self._make, uv, version, model, lines, target)
            os.utime(target)
        return target

    def _make_room(self) -> None:
        """Delete the environments that were not used for the longest time, and what a crash left half made. Blocks."""
        made = sorted(self._folder.glob("*/"), key=lambda entry: entry.stat().st_mtime)
        for entry in [entry for entry in made if entry.name.startswith(".")]:
            made.remove(entry)
            if entry.stat().st_mtime < time.time() - 2 * MAKE_S:
                shutil.rmtree(entry, ignore_errors=True)
        in_use = self._in_use()
        for entry in made[: max(0, len(made) + 1 - ENVIRONMENTS_MAX)]:
            if _called(entry.name) not in in_use:
                shutil.rmtree(entry, ignore_errors=True)

    def _make(self, uv: str, version: str, model: Path, lines: Sequence[str], target: Path) -> None:
        """Make an environment beside its place and move it there whole. Blocks. Raises LoadFailed."""
        making = self._folder / f".{uuid.uuid4().hex}"
        environ = self._passed() | {k: v for k, v in self._environ.items() if _PASSED_TO_UV.fullmatch(k)}
        environ.pop("VIRTUAL_ENV", None)
        try:
            making.parent.mkdir(parents=True, exist_ok=True)
            _run([uv, "venv", "-q", "--relocatable", "--python", version, str(making)], environ, model)
            required = making / "requirements.txt"
            required.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
            install = [uv, "pip", "install", "-q", "--python", str(making / "bin" / "python"), "-r", str(required)]
            try:
                _run([*install, *_own_needs(pinned=True)], environ, model)
            except LoadFailed:
                # The model may pin what we would have as the server has it.
                _run([*install, *_own_needs(pinned=False)], environ, model)
            _link(making / _LINKS / "headrace")
            os.replace(making, target)
        except OSError as error:
            raise LoadFailed(f"its environment cannot be kept in {self._folder}: {error.strerror}") from error
        finally:
            shutil.rmtree(making, ignore_errors=True)


def _called(name: str) -> str:
    return f"uv {name[:12]}"


def unsatisfied(lines: Sequence[str], python: tuple[int, int] | None) -> str | None:
    """What a model requires and this environment does not have, as a sentence; None where it has all."""
    if python is not None and python != sys.version_info[:2]:
        return f"it was made with Python {python[0]}.{python[1]}, and the server runs {platform.python_version()}"
    for line in lines:
        if line.startswith("-"):
            if line.startswith(("--index-url", "--extra-index-url", "--find-links", "-i ", "-f ")):
                continue
            return f"its requirement {line!r} is not one that can be looked up"
        fault = _line_fault(line)
        if fault is not None:
            return fault
    return None


def _line_fault(line: str) -> str | None:
    try:
        from packaging.requirements import InvalidRequirement, Requirement
    except ImportError:
        pin = _PLAIN_PIN.fullmatch(line)
        if pin is None:
            return f"its requirement {line!r} cannot be compared without the package `packaging`"
        return None if pin[2] in _installed(pin[1]) else _lacks(line, pin[1])
    try:
        required = Requirement(line)
    except InvalidRequirement:
        return f"its requirement {line!r} is not one that can be looked up"
    if required.url is not None:
        return f"its requirement {line!r} is not one that can be looked up"
    if required.marker is not None and not required.marker.evaluate():
        return None
    if any(required.specifier.contains(version, prereleases=True) for version in _installed(required.name)):
        return None
    return _lacks(line, required.name)


def _installed(name: str) -> list[str]:
    found = []
    for one in (name, *_SAME.get(name.lower(), ())):
        try:
            found.append(importlib.metadata.version(one))
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _lacks(line: str, name: str) -> str:
    there = _installed(name)
    return f"it requires {line}, and the server has {f'{name} {there[0]}' if there else 'none'}"


def _required(model: Path) -> tuple[list[str], tuple[int, int] | None]:
    """The requirements of a model, and the Python it was made with. Raises LoadFailed."""
    try:
        text = (model / "requirements.txt").read_text(encoding="utf-8")
    except FileNotFoundError:
        text = ""
    except (OSError, UnicodeDecodeError) as error:
        raise LoadFailed(f"its requirements.txt cannot be read: {error}") from error
    stripped = (line.split(" #")[0].strip() for line in text.replace("\\\n", " ").splitlines())
    lines = [line for line in stripped if line and not line.startswith("#") and _NOT_NEEDED.match(line) is None]
    for name in ("python_env.yaml", "conda.yaml"):
        try:
            found = _PYTHON.search((model / name).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError):
            continue
        if found is not None:
            return lines, (int(found[1]), int(found[2]))
    return lines, None


def _own_needs(pinned: bool) -> list[str]:
    """What our own part in a worker needs, in the server's versions or in any that do."""
    wanted = [one for one in importlib.metadata.requires("headrace") or () if "extra ==" not in one]
    if not pinned:
        return wanted
    names = [re.split(r"[^A-Za-z0-9._-]", one, maxsplit=1)[0] for one in wanted]
    return [f"{name}=={importlib.metadata.version(name)}" for name in names]


def _link(target: Path) -> None:
    """Make `import headrace` work from the folder above target: links to the parts that a worker needs."""
    target.mkdir(parents=True)
    root = Path(headrace.__file__).parent
    for entry in root.iterdir():
        if entry.name not in ("ingest", "sdk", "api", "processors", "__pycache__"):
            (target / entry.name).symlink_to(entry.resolve())
    for package in (headrace.ingest, headrace.sdk):
        folder = Path(package.__path__[0]).resolve()
        (target / package.__name__.rpartition(".")[2]).symlink_to(folder)


def _run(command: Sequence[str], environ: Mapping[str, str], folder: Path) -> None:
    try:
        done = subprocess.run(
            command, env=dict(environ), cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, timeout=MAKE_S
        )
    except subprocess.TimeoutExpired:
        raise LoadFailed(f"its environment was not made within {MAKE_S:g} s") from None
    if done.returncode != 0:
        said = done.stderr.decode("utf-8", "replace").strip()[-ERROR_CHARS_MAX:]
        raise LoadFailed(f"its environment cannot be made: {said}")
