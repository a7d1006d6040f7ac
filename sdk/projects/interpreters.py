"""Finds an installed Python of a version: uv's, pyenv's, those on PATH. None is ever downloaded."""

from __future__ import annotations

import os
import platform
import re
import sys
from pathlib import Path

from headrace.sdk.projects.errors import BadProject

_VERSION = re.compile(r"\d+(\.\d+){0,2}")
_FOLDER = re.compile(r"(?:cpython-)?(\d+\.\d+\.\d+)(?:-.*)?")


def interpreter(version: str) -> Path:
    """The newest interpreter of a version such as 3.6, 3.11.7 or 3.8.*; this one for none or where it fits.

    Raises BadProject, which lists those there are.
    """
    wanted = version.removesuffix(".*")
    if not wanted:
        return Path(sys.executable)
    if _VERSION.fullmatch(wanted) is None:
        raise BadProject(f"{version!r} is no version of Python, such as 3.11")
    if _fits(platform.python_version(), wanted):
        return Path(sys.executable)
    there = _installed()
    fitting = [one for one in there if _fits(one, wanted)]
    if fitting:
        return there[max(fitting, key=_key)]
    for folder in os.environ.get("PATH", os.defpath).split(os.pathsep):
        program = Path(folder) / f"python{'.'.join(wanted.split('.')[:2])}"
        if wanted.count(".") == 1 and program.is_file() and "shims" not in program.parts:
            return program
    known = ", ".join(sorted({*there, platform.python_version()}, key=_key))
    raise BadProject(
        f"the project needs Python {version}, which is not installed; there are: {known}. Install it, or"
        " use this one with --env-manager local"
    )


def _fits(version: str, wanted: str) -> bool:
    return version.split(".")[: wanted.count(".") + 1] == wanted.split(".")


def _key(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))


def _installed() -> dict[str, Path]:
    """Interpreters by full version."""
    home = Path.home()
    data = Path(os.environ.get("XDG_DATA_HOME") or home / ".local" / "share")
    places = (
        Path(os.environ.get("PYENV_ROOT") or home / ".pyenv") / "versions",
        Path(os.environ.get("UV_PYTHON_INSTALL_DIR") or data / "uv" / "python"),
    )
    found: dict[str, Path] = {}
    for place in places:
        for entry in sorted(place.glob("*")):
            parts = _FOLDER.fullmatch(entry.name)
            if parts is not None and (entry / "bin" / "python").exists():
                found.setdefault(parts[1], entry / "bin" / "python")
    return found
