"""What a project's commands run in: this environment, or one that a manager makes from what the project names."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from headrace.sdk.projects.errors import BadProject
from headrace.sdk.projects.mlproject import Project

MANAGERS: Final = ("uv", "virtualenv", "local", "conda")


@dataclass(frozen=True, slots=True)
class Prepared:
    """An environment that is ready. binaries: the folder to put on PATH. files: those it was made from. lock: what was
    resolved. name: its key."""

    manager: str
    binaries: Path
    files: tuple[Path, ...] = ()
    lock: bytes = b""
    name: str = ""
    variables: Mapping[str, str] = field(default_factory=dict)
    unset: frozenset[str] = frozenset()


def named_files(project: Project) -> tuple[Path, ...]:
    """The files of a project that say what it needs; the first of them decides."""
    told = [one for one in (project.python_env, project.conda_env) if one is not None]
    if told:
        return tuple(told)
    names = ("python_env.yaml", "conda.yaml", "uv.lock", "pyproject.toml", "requirements.txt")
    return tuple(project.folder / name for name in names if (project.folder / name).is_file())


def prepare(project: Project, manager: str | None) -> Prepared:
    """Have an environment for a project. manager: one of MANAGERS; None for the default. Raises BadProject."""
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
    if not files and manager is None:
        return _local(files)
    raise BadProject(
        f"environments by {manager or 'uv'} cannot be made yet; --env-manager local runs the project in this one"
    )


def _local(files: tuple[Path, ...]) -> Prepared:
    return Prepared("local", Path(sys.executable).parent, files)
