"""What a project's commands run in: this environment, or one that uv makes of what it names, kept by content."""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml
from headrace.sdk.projects.errors import BadProject
from headrace.sdk.projects.interpreters import interpreter
from headrace.sdk.projects.mlproject import Project

MANAGERS: Final = ("uv", "virtualenv", "local", "conda")
MAKE_S: Final = 3600.0
ERROR_CHARS_MAX: Final = 2_000
_NAMES = ("python_env.yaml", "conda.yaml", "uv.lock", "pyproject.toml", "requirements.txt")
_BY_PIP = frozenset(("python", "pip", "setuptools", "wheel"))
"""What conda.yaml may name beside its pip part without needing conda."""
_CONDA_NAME = re.compile(r"(?:[\w.-]+::)?([A-Za-z0-9_.-]+)\s*(.*)")


@dataclass(frozen=True, slots=True)
class Prepared:
    """An environment that is ready. binaries: the folder to put on PATH. files: those it was made from.

    lock: what was resolved, a `requirements.txt`. name: its key. variables, unset: what changes in the variables.
    """

    manager: str
    binaries: Path
    files: tuple[Path, ...] = ()
    lock: bytes = b""
    name: str = ""
    variables: Mapping[str, str] = field(default_factory=dict)
    unset: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What a project needs: a Python (a version, or empty for this one) and requirements, as lines of pip's."""

    python: str
    lines: tuple[str, ...]
    project: Path | None = None
    """A folder with pyproject.toml, whose dependencies uv reads itself."""


def folder() -> Path:
    """Where environments are kept: `headrace/envs` below $XDG_CACHE_HOME or ~/.cache; $HEADRACE_PROJECT_ENVS."""
    given = os.environ.get("HEADRACE_PROJECT_ENVS")
    return Path(given) if given else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "headrace/envs"


def named_files(project: Project) -> tuple[Path, ...]:
    """The files of a project that say what it needs; the first of them decides."""
    told = [one for one in (project.python_env, project.conda_env) if one is not None]
    if told:
        return tuple(told)
    return tuple(project.folder / name for name in _NAMES if (project.folder / name).is_file())


def prepare(project: Project, manager: str | None) -> Prepared:
    """Have an environment for a project, made if there is none yet. manager: one of MANAGERS; None: the default.

    Raises BadProject, which says what was not found or did not resolve, and what would work.
    """
    if manager is not None and manager not in MANAGERS:
        raise BadProject(f"there is no environment manager {manager!r}; there are: {', '.join(MANAGERS)}")
    files = named_files(project)
    if manager == "local":
        return _local(files)
    if project.docker is not None:
        raise BadProject(
            f"the project runs in the image {project.docker.image}, which headrace run cannot start yet; --env-manager"
            " local runs it in this environment"
        )
    if manager in ("conda", "virtualenv"):
        raise BadProject(f"{manager} is not used yet; --env-manager uv makes environments, and local uses this one")
    if not files:
        return _local(files)
    return _with_uv(_wanted(project, files[0]), files)


def _local(files: tuple[Path, ...]) -> Prepared:
    return Prepared("local", Path(sys.executable).parent, files)


# --- what is wanted ---------------------------------------------------------------------------------------------------


def _wanted(project: Project, file: Path) -> _Wanted:
    if file == project.conda_env or file.name == "conda.yaml":
        return _of_conda(file)
    if file == project.python_env or file.name == "python_env.yaml":
        return _of_python_env(file)
    if file.name in ("uv.lock", "pyproject.toml"):
        pinned = file.parent / ".python-version"
        return _Wanted(pinned.read_text().strip() if pinned.is_file() else "", (), file.parent)
    return _Wanted("", tuple(_requirements(file)))


def _mapping(file: Path) -> dict[str, Any]:
    try:
        found = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise BadProject(f"{file} cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise BadProject(f"{file} is not a mapping")
    return found


def _list(file: Path, found: Any, what: str) -> list[Any]:
    if found is None:
        return []
    if not isinstance(found, list):
        raise BadProject(f"{file}: {what} is not a list")
    return found


def _of_python_env(file: Path) -> _Wanted:
    found = _mapping(file)
    lines: list[str] = []
    for part in ("build_dependencies", "dependencies"):
        for one in _list(file, found.get(part), part):
            lines += _expanded(file.parent, str(one))
    return _Wanted(str(found.get("python") or ""), tuple(lines))


def _of_conda(file: Path) -> _Wanted:
    found = _mapping(file)
    python, lines, conda = "", list[str](), list[str]()
    for one in _list(file, found.get("dependencies"), "dependencies"):
        if isinstance(one, dict):
            for line in _list(file, one.get("pip"), "pip"):
                lines += _expanded(file.parent, str(line))
            continue
        parts = _CONDA_NAME.fullmatch(str(one).strip())
        name = parts[1].lower() if parts else str(one)
        if name == "python" and parts is not None:
            python = parts[2].strip().lstrip("=").strip()
        elif name not in _BY_PIP:
            conda.append(str(one))
    if conda:
        raise BadProject(
            f"{file} names packages that only conda has: {', '.join(conda)}. uv cannot install them; move those"
            " on PyPI to its pip part, or run the project in an environment that has them with --env-manager local"
        )
    return _Wanted(python, tuple(lines))


def _expanded(base: Path, line: str) -> list[str]:
    """A requirement; a `-r file` is that file's lines, so that the key is of what it holds."""
    included = re.fullmatch(r"(?:-r|--requirement)[ =]\s*(\S.*)", line.strip())
    return _requirements(base / included[1].strip()) if included else [line.strip()]


def _requirements(file: Path) -> list[str]:
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadProject(f"{file} cannot be read: {error}") from error
    found: list[str] = []
    for line in text.replace("\\\n", " ").splitlines():
        stripped = re.sub(r"(^|\s)#.*", "", line).strip()
        if stripped:
            found += _expanded(file.parent, stripped)
    return found


# --- making it --------------------------------------------------------------------------------------------------------


def _with_uv(wanted: _Wanted, files: tuple[Path, ...]) -> Prepared:
    uv = shutil.which("uv")
    if uv is None:
        raise BadProject("environments are made by uv, which is not on the path; --env-manager local uses this one")
    python = interpreter(wanted.python)
    digest = hashlib.sha256()
    for text in (str(python), platform.machine(), *wanted.lines):
        digest.update(text.encode() + b"\0")
    if wanted.project is not None:
        for name in ("pyproject.toml", "uv.lock"):
            file = wanted.project / name
            digest.update(file.read_bytes() if file.is_file() else b"")
            digest.update(b"\0")
        digest.update(str(wanted.project.resolve()).encode())
    name = digest.hexdigest()[:32]
    kept = folder()
    target = kept / name
    if not (target / "requirements.lock").is_file():
        kept.mkdir(parents=True, exist_ok=True)
        with (kept / f".{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # of many processes one makes it, and it is not made when one dies
            if not (target / "requirements.lock").is_file():
                _make(uv, python, wanted, target)
    os.utime(target)
    return Prepared(
        "uv",
        target / "bin",
        files,
        (target / "requirements.lock").read_bytes(),
        name,
        {"VIRTUAL_ENV": str(target)},
        frozenset(("PYTHONHOME", "PYTHONPATH", "UV_PROJECT_ENVIRONMENT")),
    )


def _make(uv: str, python: Path, wanted: _Wanted, target: Path) -> None:
    """Make an environment in its place; what is not whole has no requirements.lock, and is made anew."""
    shutil.rmtree(target, ignore_errors=True)
    environ = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "PYTHONPATH")}
    made = str(target / "bin" / "python")
    try:
        _run([uv, "venv", "-q", "--python", str(python), str(target)], environ)
        if wanted.project is not None:
            environ["UV_PROJECT_ENVIRONMENT"] = str(target)
            sync = [uv, "sync", "-q", "--python", made, "--project", str(wanted.project), "--no-editable"]
            _run([*sync, "--locked"] if (wanted.project / "uv.lock").is_file() else sync, environ)
        elif wanted.lines:
            with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as required:
                required.write("".join(f"{line}\n" for line in wanted.lines))
                required.flush()
                _run([uv, "pip", "install", "-q", "--python", made, "-r", required.name], environ)
        lock = _run([uv, "pip", "freeze", "--python", made], environ)
        (target / "requirements.lock.new").write_bytes(f"# Python {python}\n".encode() + lock)
        os.replace(target / "requirements.lock.new", target / "requirements.lock")
    except BaseException:
        shutil.rmtree(target, ignore_errors=True)
        raise


def _run(command: list[str], environ: Mapping[str, str]) -> bytes:
    try:
        done = subprocess.run(command, env=dict(environ), stdin=subprocess.DEVNULL, capture_output=True, timeout=MAKE_S)
    except subprocess.TimeoutExpired:
        raise BadProject(f"the environment was not made within {MAKE_S:g} s") from None
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip()[-ERROR_CHARS_MAX:]
        raise BadProject(f"the environment cannot be made: {said}")
    return done.stdout


# --- what there is ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Environment:
    """An environment that is kept. python: its interpreter, used_s: when it was used last, seconds since the epoch."""

    name: str
    path: Path
    python: str
    packages: int
    size_bytes: int
    used_s: float


def kept() -> list[Environment]:
    """The environments there are, the one used last first."""
    found = []
    for path in folder().glob("*/requirements.lock"):
        head, *lines = path.read_text(encoding="utf-8").splitlines()
        size = sum(one.lstat().st_size for one in path.parent.rglob("*") if one.is_file())
        used_s = path.parent.stat().st_mtime
        found.append(Environment(path.parent.name, path.parent, head[9:], len(lines), size, used_s))
    return sorted(found, key=lambda one: -one.used_s)


def remove(names: list[str], unused_s: float = 0.0) -> list[str]:
    """Delete environments by their names or what they begin with, of those not used for so long. Which were deleted."""
    gone = []
    for one in kept():
        if any(one.name.startswith(name) for name in names) and time.time() - one.used_s >= unused_s:
            (one.path / "requirements.lock").unlink()
            shutil.rmtree(one.path, ignore_errors=True)
            gone.append(one.name)
    return gone
