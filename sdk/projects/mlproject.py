"""Reads MLproject files, as MLflow defines them, and names the line of what is wrong."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from headrace.sdk.projects.errors import BadProject

FILE_BYTES_MAX = 1024**2
TYPES = ("string", "float", "int", "path", "uri")
_FIELDS = ("name", "python_env", "conda_env", "docker_env", "entry_points", "databricks_spark_job")


@dataclass(frozen=True, slots=True)
class Parameter:
    """A declared parameter. type: one of TYPES, or another word, whose values are not checked."""

    name: str
    type: str = "string"
    default: str | None = None


@dataclass(frozen=True, slots=True)
class EntryPoint:
    """What can be run. command: a line for the shell with `{parameter}` in it."""

    name: str
    command: str
    parameters: Mapping[str, Parameter] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Docker:
    """The image an entry point runs in, with volumes (`from:to`) and variables (a name, or a name and a value)."""

    image: str
    volumes: tuple[str, ...] = ()
    environment: tuple[str | tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Project:
    """A folder that can be run. file: its MLproject, or None. python_env, conda_env: files it names, or None."""

    folder: Path
    file: Path | None = None
    name: str = ""
    entry_points: Mapping[str, EntryPoint] = field(default_factory=dict)
    python_env: Path | None = None
    conda_env: Path | None = None
    docker: Docker | None = None

    def entry_point(self, name: str) -> EntryPoint:
        """An entry point by its name, else a script of the folder. Raises BadProject, which lists what there is."""
        declared = self.entry_points.get(name)
        if declared is not None:
            return declared
        script = self.folder / name
        suffix = script.suffix
        if suffix in (".py", ".sh") and script.is_file() and script.resolve().is_relative_to(self.folder.resolve()):
            runner = "python" if suffix == ".py" else "bash"
            return EntryPoint(name, f"{runner} {_quoted(name)}")
        scripts = sorted(one.name for one in self.folder.iterdir() if one.suffix in (".py", ".sh"))
        if not self.entry_points and not scripts:
            raise BadProject(
                f"{self.folder} is not a project: it has neither an MLproject file nor a .py or .sh script"
            )
        known = [*self.entry_points, *scripts]
        why = "" if self.file is not None else " (it has no MLproject file; name a script with -e)"
        raise BadProject(f"the project has no entry point {name!r}{why}; there are: {', '.join(known)}")


def _quoted(name: str) -> str:
    return shlex.quote(name).replace("{", "{{").replace("}", "}}")


def read(folder: Path) -> Project:
    """The project in a folder. Raises BadProject, naming the line of its MLproject that is wrong."""
    if not folder.is_dir():
        raise BadProject(f"there is no folder {folder}")
    try:
        found = sorted(one for one in folder.iterdir() if one.name.lower() == "mlproject" and one.is_file())
    except OSError as error:
        raise BadProject(f"{folder} cannot be read: {error.strerror}") from error
    if not found:
        return Project(folder)
    file = found[0]
    try:
        data = file.read_bytes()[: FILE_BYTES_MAX + 1]
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise BadProject(f"{file}:{line}: it is not UTF-8 text") from error
    except OSError as error:
        raise BadProject(f"{file} cannot be read: {error.strerror}") from error
    if len(data) > FILE_BYTES_MAX:
        raise BadProject(f"{file} is longer than {FILE_BYTES_MAX} bytes")
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise BadProject(f"{file}:{mark.line + 1 if mark else 1}: it is not YAML: {error.problem}") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise BadProject(f"{file}:1: it is not YAML: {error}") from error
    return _Reader(file).project(root)


class _Reader:
    """Walks the nodes of one file, which know their lines."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def wrong(self, node: Any, why: str) -> BadProject:
        """The fault at a node."""
        line = node.start_mark.line + 1 if node is not None else 1
        return BadProject(f"{self._file}:{line}: {why}")

    def project(self, root: Any) -> Project:
        """The whole file."""
        if root is None:
            return Project(self._file.parent, self._file)
        found: dict[str, Any] = {}
        for key, at, value in self.pairs(root, "an MLproject file"):
            if key not in _FIELDS:
                raise self.wrong(at, f"there is no field {key!r}; there are: {', '.join(_FIELDS)}")
            found[key] = value
        given = [name for name in ("python_env", "conda_env", "docker_env") if name in found]
        if len(given) > 1:
            raise self.wrong(found[given[1]], f"it names {' and '.join(given)}; a project has one environment")
        if "databricks_spark_job" in found:
            raise self.wrong(
                found["databricks_spark_job"], "databricks_spark_job needs Databricks; runs here are local"
            )
        entry_points = {}
        if "entry_points" in found:
            for name, _, value in self.pairs(found["entry_points"], "entry_points"):
                entry_points[name] = self.entry_point(name, value)
        return Project(
            self._file.parent,
            self._file,
            self.text(found["name"], "name") if "name" in found else "",
            entry_points,
            self.environment_file(found.get("python_env"), "python_env"),
            self.environment_file(found.get("conda_env"), "conda_env"),
            self.docker(found["docker_env"]) if "docker_env" in found else None,
        )

    def entry_point(self, name: str, node: Any) -> EntryPoint:
        command, parameters = None, {}
        for key, at, value in self.pairs(node, f"the entry point {name!r}"):
            if key == "command":
                command = self.text(value, "command")
            elif key == "parameters":
                if not self.is_null(value):
                    for parameter, _, told in self.pairs(value, "parameters"):
                        parameters[parameter] = self.parameter(parameter, told)
            else:
                raise self.wrong(at, f"an entry point has command and parameters, not {key!r}")
        if not command:
            raise self.wrong(node, f"the entry point {name!r} has no command")
        return EntryPoint(name, command, parameters)

    def parameter(self, name: str, node: Any) -> Parameter:
        if isinstance(node, yaml.ScalarNode):
            return Parameter(name, "string" if self.is_null(node) else node.value)
        kind, default = "string", None
        for key, at, value in self.pairs(node, f"the parameter {name!r}"):
            if key == "type":
                kind = self.text(value, "type")
            elif key == "default":
                default = self.default(value)
            elif key not in ("description", "help"):
                raise self.wrong(at, f"a parameter has type and default, not {key!r}")
        return Parameter(name, kind, default)

    def default(self, node: Any) -> str | None:
        """As written, but for booleans, which MLflow spells as Python does."""
        if self.is_null(node):
            return None
        text = self.text(node, "default")
        if node.tag == "tag:yaml.org,2002:bool":
            return str(text.lower() in ("true", "yes", "on"))
        return text

    def environment_file(self, node: Any, what: str) -> Path | None:
        if node is None:
            return None
        name = self.text(node, what)
        path = self._file.parent / name
        if not path.is_file():
            raise self.wrong(node, f"{what} names {name!r}, and there is no such file")
        return path

    def docker(self, node: Any) -> Docker:
        image, volumes = "", list[str]()
        environment: list[str | tuple[str, str]] = []
        for key, at, value in self.pairs(node, "docker_env"):
            if key == "image":
                image = self.text(value, "image")
            elif key == "volumes":
                volumes = [self.text(one, "a volume") for one in self.items(value, "volumes")]
            elif key == "environment":
                for one in self.items(value, "environment"):
                    if isinstance(one, yaml.SequenceNode):
                        if len(one.value) != 2:
                            raise self.wrong(one, "a variable is a name, or [name, value]")
                        environment.append((self.text(one.value[0], "a name"), self.text(one.value[1], "a value")))
                    else:
                        environment.append(self.text(one, "a name"))
            else:
                raise self.wrong(at, f"docker_env has image, volumes and environment, not {key!r}")
        if not image:
            raise self.wrong(node, "docker_env names no image")
        return Docker(image, tuple(volumes), tuple(environment))

    def pairs(self, node: Any, what: str) -> Iterator[tuple[str, Any, Any]]:
        """Key, its node and the value's node of a mapping."""
        if not isinstance(node, yaml.MappingNode):
            raise self.wrong(node, f"{what} is not a mapping")
        seen = set()
        for key, value in node.value:
            name = self.text(key, "a key")
            if name in seen:
                raise self.wrong(key, f"{name!r} stands there twice")
            seen.add(name)
            yield name, key, value

    def items(self, node: Any, what: str) -> list[Any]:
        if not isinstance(node, yaml.SequenceNode):
            raise self.wrong(node, f"{what} is not a list")
        return list(node.value)

    def text(self, node: Any, what: str) -> str:
        if not isinstance(node, yaml.ScalarNode):
            raise self.wrong(node, f"{what} is not text")
        return str(node.value)

    def is_null(self, node: Any) -> bool:
        return isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null"
