"""What surrounds a run: user, host, program, git commit, installed packages. Slow facts come from a thread."""

from __future__ import annotations

import functools
import getpass
import os
import platform
import re
import shlex
import socket
import subprocess
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

GIT_TIMEOUT_S = 2.0
COMMAND_CHARS_MAX = 4_000
HIDDEN = "[hidden]"
_SECRET = re.compile(r"(^|[-_.])(passwords?|passwd|pwd|secrets?|token|credentials?|(api|access)[-_]?keys?)$", re.I)
_IN_ADDRESS = re.compile(r"(?<=://)[^/@\s]+@")


@functools.cache
def user() -> str:
    """The name of the user who runs this process; empty when the machine does not say."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return ""


def entry_point() -> str:
    """The program this process runs: a script's path, `-m module`, or the interpreter."""
    main = sys.modules.get("__main__")
    spec = getattr(main, "__spec__", None)
    if spec is not None and getattr(spec, "name", None):
        return f"-m {spec.name}"
    script = sys.argv[0] if sys.argv else ""
    return script if script not in ("", "-c") else Path(sys.executable).name


def command_line(arguments: Sequence[str]) -> str:
    """The arguments of a process as a person would type them into a shell; empty for what nobody would type.

    The values of options that are named like secrets, and credentials in addresses, are left out.
    """
    if not arguments or any("ipykernel" in argument for argument in arguments):
        return ""
    program, *rest = arguments
    told, hidden = [Path(program).name], False
    for argument in rest:
        name, equals, _ = argument.partition("=")
        secret = bool(_SECRET.search(name))
        if hidden and not argument.startswith("-"):
            argument = HIDDEN
        elif secret and equals:
            argument = f"{name}={HIDDEN}"
        hidden = secret and not equals and argument.startswith("-")
        told.append(_IN_ADDRESS.sub("", argument))
    line = shlex.join(told)
    return line if len(line) <= COMMAND_CHARS_MAX else ""


def quick_tags() -> dict[str, str]:
    """Tags every run starts with: known without asking another process."""
    script = sys.argv[0] if sys.argv and sys.argv[0] not in ("", "-c") else entry_point()
    return {
        "mlflow.user": user(),
        "mlflow.source.name": script,
        "mlflow.source.type": "LOCAL",
        "headrace.host": socket.gethostname(),
        "headrace.python": platform.python_version(),
        "headrace.entry_point": entry_point(),
        **({"headrace.command": command} if (command := command_line(sys.orig_argv)) else {}),
        # sys.platform and os.uname read nothing from disk; platform.platform() starts by looking into the interpreter.
        "headrace.platform": " ".join((os.uname().sysname, os.uname().release, os.uname().machine)),
        "headrace.pid": str(os.getpid()),
    }


def git_tags(folder: Path) -> dict[str, str]:
    """Commit, branch, remote and whether anything is uncommitted, of the repository around a folder; none: empty.

    And where in it the process works, such as `.` or `experiments/gan`.
    """
    commit = _git(folder, "rev-parse", "HEAD")
    if not commit:
        return {}
    tags = {"mlflow.source.git.commit": commit}
    branch = _git(folder, "rev-parse", "--abbrev-ref", "HEAD")
    if branch and branch != "HEAD":
        tags["mlflow.source.git.branch"] = branch
    remote = _git(folder, "config", "--get", "remote.origin.url")
    if remote:
        tags["mlflow.source.git.repoURL"] = without_password(remote)
    status = _git(folder, "status", "--porcelain", "--untracked-files=no")
    if status is not None:
        tags["mlflow.source.git.dirty"] = "true" if status else "false"
    root = _git(folder, "rev-parse", "--show-toplevel")
    try:
        here = Path.cwd()
    except OSError:  # it was deleted
        return tags
    if root and here.is_relative_to(root):
        tags["headrace.folder"] = here.relative_to(root).as_posix()
    return tags


def source_folder() -> Path:
    """Where the program lies, or the working directory for one that has no file."""
    main = getattr(sys.modules.get("__main__"), "__file__", None)
    return Path(main).resolve().parent if main else Path.cwd()


def requirements() -> str:
    """The installed packages, one `name==version` a line, below comments that name interpreter and machine."""
    versions: dict[str, str] = {}
    for distribution in metadata.distributions():
        name = distribution.metadata["Name"] if distribution.metadata else None
        if name:
            versions.setdefault(name.lower(), f"{name}=={distribution.version}")
    head = f"# Python {platform.python_version()} on {platform.platform()}\n"
    return head + "".join(f"{line}\n" for _, line in sorted(versions.items()))


def _git(folder: Path, *arguments: str) -> str | None:
    """What git says, or None when it fails, is not there or takes too long."""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            timeout=GIT_TIMEOUT_S,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0"},
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.decode("utf-8", "replace").strip() if done.returncode == 0 else None


def without_password(url: str) -> str:
    """A remote's address without the credentials some put in it."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        return url
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"
