"""Where a project comes from: a folder, used in place, or a Git repository or archive, which is brought here."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import tarfile
import zipfile
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit
from urllib.request import url2pathname

import httpx
from headrace.sdk.environment import without_password
from headrace.sdk.projects.errors import BadProject

GIT_TIMEOUT_S = 600.0
ARCHIVE_BYTES_MAX = 2 * 1024**3
DIFF_BYTES_MAX = 8 * 1024**2
_REPOSITORY = re.compile(r"(?:git@|[\w.-]+@[\w.-]+:|(?:git\+)?(?:https?|ssh|git)://)")
_ARCHIVE = re.compile(r"\.(zip|tar|tar\.gz|tgz|tar\.bz2|tar\.xz)$", re.IGNORECASE)
_COMMIT = re.compile(r"[0-9a-f]{4,64}")


@dataclass(frozen=True, slots=True)
class Source:
    """A project's folder on this machine, and where it came from.

    name: as MLflow's `mlflow.source.name`. version: what -v said. tags: of its commit. diff: what is not committed.
    """

    folder: Path
    name: str
    uri: str
    subfolder: str = ""
    version: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    diff: bytes = b""


def bring(uri: str, version: str | None, place: Path) -> Source:
    """Have a project's folder here. place: an empty folder for what is brought. Raises BadProject."""
    whole = uri.strip("'\"")
    address, _, subfolder = whole.partition("#")
    if subfolder and (".." in PurePosixPath(subfolder).parts or PurePosixPath(subfolder).is_absolute()):
        raise BadProject(f"{subfolder!r} is no folder within a project")
    if not address or address.startswith("-") or "\0" in whole:
        raise BadProject(f"{uri!r} is no project's address")
    if version is not None and (not version or version.startswith("-") or re.search(r"[\s\0~^:?*\[\\]|\.\.", version)):
        raise BadProject(f"{version!r} is no branch, tag or commit")
    local = _local(address)
    if _ARCHIVE.search(urlsplit(address).path if local is None else str(local)) and (local is None or local.is_file()):
        if version is not None:
            raise BadProject("an archive has no versions; -v is for Git repositories")
        archive = local if local is not None else _download(address, place / "archive")
        folder = _within(_unpack(archive, place / "project"), subfolder, whole)
        return Source(folder, whole, whole, subfolder)
    if local is None:
        return _from_git(address, subfolder, version, place)
    if not local.exists():
        raise BadProject(f"there is no folder {local}")
    if not local.is_dir():
        raise BadProject(f"{local} is neither a folder nor an archive (.zip, .tar.gz)")
    bare = (local / "HEAD").is_file() and (local / "objects").is_dir()
    if bare or version is not None:
        if not bare and _git(local, "rev-parse", "--git-dir") is None:
            raise BadProject(f"{local} is no Git repository, so it has no version {version!r}")
        root = local if bare else Path(_git(local, "rev-parse", "--show-toplevel") or local)
        inner = "" if bare else local.resolve().relative_to(root.resolve()).as_posix()
        below = "/".join(part for part in (inner, subfolder) if part not in ("", "."))
        return _from_git(root.resolve().as_uri(), below, version, place)
    return _in_place(_within(local.resolve(), subfolder, whole), whole)


def _local(address: str) -> Path | None:
    """The path of an address on this machine; None for one elsewhere."""
    if address.startswith("file://"):
        return Path(url2pathname(urlsplit(address).path))
    path = Path(address).expanduser()
    if path.exists() or _REPOSITORY.match(address) is None:
        if re.match(r"[a-z][a-z0-9+.-]*://", address):
            raise BadProject(f"{address} is no address of a project; those are folders, Git repositories and archives")
        return path
    return None


def _within(folder: Path, subfolder: str, uri: str) -> Path:
    found = (folder / subfolder).resolve()
    if not found.is_relative_to(folder.resolve()) or not found.is_dir():
        raise BadProject(f"there is no folder {subfolder!r} in {uri.partition('#')[0]}")
    return found


def _in_place(folder: Path, uri: str) -> Source:
    root = _git(folder, "rev-parse", "--show-toplevel")
    if root is None:
        return Source(folder, str(folder), uri)
    below = folder.relative_to(Path(root).resolve()).as_posix()
    inner = "" if below == "." else below
    tags = {"mlflow.source.git.dirty": "false"}
    commit = _git(folder, "rev-parse", "HEAD")
    if commit:
        tags["mlflow.source.git.commit"] = commit
    branch = _git(folder, "symbolic-ref", "--short", "-q", "HEAD")
    if branch:
        tags["mlflow.source.git.branch"] = branch
    remote = _git(folder, "config", "--get", "remote.origin.url")
    if remote:
        tags["mlflow.source.git.repoURL"] = without_password(remote)
    diff = b""
    changed = _git(folder, "status", "--porcelain")
    if changed:
        tags["mlflow.source.git.dirty"] = "true"
        against = "HEAD" if commit else "--cached"
        diff = (_git_bytes(folder, "diff", "--binary", against) or b"")[:DIFF_BYTES_MAX]
        new = [line[3:] for line in changed.splitlines() if line.startswith("??")]
        diff += "".join(f"# not in the repository: {name}\n" for name in new).encode()
    return Source(folder, f"file://{root}#{inner}" if inner else f"file://{root}", uri, inner, "", tags, diff)


# --- Git --------------------------------------------------------------------------------------------------------------


def _from_git(address: str, subfolder: str, version: str | None, place: Path) -> Source:
    """Fetch one version of a repository: the least that Git can fetch of it."""
    address = address.removeprefix("git+")
    shown = without_password(address)
    known = _refs(address, shown)
    branch = ""
    if version is None:
        wanted = "HEAD"
        if "HEAD" not in known:
            raise BadProject(f"the repository {shown} is empty")
    elif f"refs/heads/{version}" in known:
        wanted, branch = f"refs/heads/{version}", version
    elif f"refs/tags/{version}" in known:
        wanted = f"refs/tags/{version}"
    elif _COMMIT.fullmatch(version):
        wanted = ""
    else:
        some = sorted(name.split("/", 2)[2] for name in known if name.startswith(("refs/heads/", "refs/tags/")))[:20]
        raise BadProject(f"{shown} has no branch, tag or commit {version!r}; there are: {', '.join(some)}")
    folder = place / "project"
    folder.mkdir(parents=True)
    _must(folder, "init", "-q")
    if wanted:
        _must(folder, "fetch", "-q", "--depth=1", "--no-tags", "--", address, wanted)
        commit = "FETCH_HEAD"
    else:
        assert version is not None
        commit = version
        if len(version) < 40 or _git(folder, "fetch", "-q", "--depth=1", "--", address, version) is None:
            _must(folder, "fetch", "-q", "--", address, "+refs/*:refs/fetched/*")
        if _git(folder, "rev-parse", "-q", "--verify", f"{version}^{{commit}}") is None:
            raise BadProject(f"{shown} has no commit {version!r}")
    _must(folder, "-c", "advice.detachedHead=false", "checkout", "-q", f"{commit}^{{commit}}")
    if (folder / ".gitmodules").exists():
        _must(folder, "remote", "add", "origin", address)
        _must(folder, "submodule", "-q", "update", "--init", "--recursive", "--depth=1")
    tags = {
        "mlflow.source.git.commit": _must(folder, "rev-parse", "HEAD"),
        "mlflow.source.git.repoURL": shown,
        "mlflow.source.git.dirty": "false",
    }
    if branch:
        tags["mlflow.source.git.branch"] = branch
    name = f"{shown}#{subfolder}" if subfolder else shown
    return Source(_within(folder, subfolder, shown), name, name, subfolder, version or "", tags)


def _refs(address: str, shown: str) -> set[str]:
    """What a repository has to offer, which also tells whether it can be reached."""
    done = _run_git(None, "ls-remote", "--", address)
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").replace(address, shown).strip()
        raise BadProject(f"the repository {shown} cannot be read: {said.removeprefix('fatal: ')}")
    lines = done.stdout.decode("utf-8", "replace").splitlines()
    return {line.split("\t", 1)[1] for line in lines if "\t" in line}


def _run_git(folder: Path | None, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    environ = {
        **{name: value for name, value in os.environ.items() if not name.startswith("GIT_DIR")},
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_ALLOW_PROTOCOL": "file:git:http:https:ssh",
        "LC_ALL": "C",
    }
    environ.setdefault("GIT_SSH_COMMAND", "ssh -o BatchMode=yes")
    try:
        return subprocess.run(
            ["git", *arguments],
            cwd=folder,
            env=environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=GIT_TIMEOUT_S,
        )
    except FileNotFoundError as error:
        raise BadProject("git is not on the path, and projects from repositories need it") from error
    except subprocess.TimeoutExpired as error:
        raise BadProject(f"git {arguments[0]} took longer than {GIT_TIMEOUT_S:g} s") from error


def _git_bytes(folder: Path, *arguments: str) -> bytes | None:
    """What git says; None when it fails or is not there."""
    try:
        done = _run_git(folder, *arguments)
    except BadProject:
        return None
    return done.stdout if done.returncode == 0 else None


def _git(folder: Path, *arguments: str) -> str | None:
    said = _git_bytes(folder, *arguments)
    return None if said is None else said.decode("utf-8", "replace").strip("\n")


def _must(folder: Path, *arguments: str) -> str:
    done = _run_git(folder, *arguments)
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip()
        raise BadProject(f"git {' '.join(one for one in arguments if '@' not in one)}: {without_password(said)}")
    return done.stdout.decode("utf-8", "replace").strip()


# --- archives ---------------------------------------------------------------------------------------------------------


def _download(address: str, target: Path) -> Path:
    target.mkdir(parents=True)
    found = _ARCHIVE.search(urlsplit(address).path)
    assert found is not None
    file = target / f"archive.{found[1].lower()}"
    shown = without_password(address)
    try:
        with httpx.stream("GET", address, follow_redirects=True, timeout=60.0) as response, file.open("wb") as sink:
            if response.status_code != 200:
                raise BadProject(f"{shown} cannot be had: the server answered {response.status_code}")
            for chunk in response.iter_bytes():
                sink.write(chunk)
                if sink.tell() > ARCHIVE_BYTES_MAX:
                    raise BadProject(f"{shown} is longer than {ARCHIVE_BYTES_MAX} bytes")
    except httpx.HTTPError as error:
        raise BadProject(f"{shown} cannot be had: {error}") from error
    return file


def _unpack(archive: Path, target: Path) -> Path:
    """Unpack below target, nothing beside it; the folder with the project, also where all lies in one folder."""
    target.mkdir(parents=True)
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as packed:
                if sum(one.file_size for one in packed.infolist()) > ARCHIVE_BYTES_MAX:
                    raise BadProject(f"{archive} holds more than {ARCHIVE_BYTES_MAX} bytes")
                for one in packed.infolist():
                    made = Path(packed.extract(one, target))
                    if not one.is_dir() and (one.external_attr >> 16) & stat.S_IXUSR:
                        made.chmod(made.stat().st_mode | stat.S_IXUSR)
        else:
            with tarfile.open(archive) as packed_tar:
                if sum(one.size for one in packed_tar.getmembers()) > ARCHIVE_BYTES_MAX:
                    raise BadProject(f"{archive} holds more than {ARCHIVE_BYTES_MAX} bytes")
                packed_tar.extractall(target, filter="data")
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, OSError, RuntimeError) as error:
        raise BadProject(f"{archive} cannot be unpacked: {error}") from error
    entries = list(target.iterdir())
    return entries[0] if len(entries) == 1 and entries[0].is_dir() else target
