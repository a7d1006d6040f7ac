"""Projects from folders, real Git repositories and archives."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from headrace.sdk.projects import source
from headrace.sdk.projects.errors import BadProject


def git(folder: Path, *arguments: str) -> str:
    """Run git in a folder, as somebody."""
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "init.defaultBranch=main", *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Two commits on main, the first tagged v1; a branch `other`; a project in `sub`."""
    folder = tmp_path / "repository"
    (folder / "sub").mkdir(parents=True)
    git(folder, "init", "-q")
    for number in (1, 2):
        (folder / "sub" / "train.py").write_text(f"print({number})")
        git(folder, "add", ".")
        git(folder, "commit", "-qm", str(number))
        if number == 1:
            git(folder, "tag", "v1")
            git(folder, "branch", "other")
    return folder


@pytest.mark.parametrize(
    ("version", "text", "branch"), [("v1", "1", None), ("other", "1", "other"), ("main", "2", "main")]
)
def test_a_version_of_a_repository_is_brought(
    repository: Path, tmp_path: Path, version: str, text: str, branch: str | None
) -> None:
    found = source.bring(f"{repository.as_uri()}#sub", version, tmp_path / "place")
    assert (found.folder / "train.py").read_text() == f"print({text})"
    assert found.tags["mlflow.source.git.commit"] == git(repository, "rev-parse", version)
    assert found.tags.get("mlflow.source.git.branch") == branch
    assert not found.folder.is_relative_to(repository)


def test_short_and_full_commits_are_found_and_the_users_tree_stays(repository: Path, tmp_path: Path) -> None:
    commit = git(repository, "rev-parse", "v1")
    for number, version in enumerate((commit, commit[:7])):
        found = source.bring(str(repository / "sub"), version, tmp_path / f"place{number}")
        assert found.tags["mlflow.source.git.commit"] == commit
        assert (found.folder / "train.py").read_text() == "print(1)"
    assert git(repository, "symbolic-ref", "--short", "HEAD") == "main"


def test_a_folder_is_used_in_place_and_what_is_not_committed_is_kept(repository: Path, tmp_path: Path) -> None:
    (repository / "sub" / "train.py").write_text("print(3)")
    (repository / "new.txt").write_text("x")
    found = source.bring(str(repository / "sub"), None, tmp_path / "place")
    assert found.folder == (repository / "sub").resolve()
    assert found.name == f"file://{repository.resolve()}#sub"
    assert found.tags["mlflow.source.git.dirty"] == "true"
    assert b"+print(3)" in found.diff
    assert b"new.txt" in found.diff


@pytest.mark.parametrize("kind", ["zip", "gztar"])
def test_an_archive_is_unpacked(repository: Path, tmp_path: Path, kind: str) -> None:
    archive = shutil.make_archive(str(tmp_path / "packed"), kind, repository / "sub")
    found = source.bring(archive, None, tmp_path / "place")
    assert (found.folder / "train.py").read_text() == "print(2)"


@pytest.mark.parametrize(
    ("uri", "version", "why"),
    [
        ("REPOSITORY", "nope", "no branch, tag or commit 'nope'; there are: main, other, v1"),
        ("REPOSITORY", "deadbee", "no commit 'deadbee'"),
        ("REPOSITORY", "--upload-pack=x", "is no branch"),
        ("REPOSITORY#../..", None, "no folder within"),
        ("REPOSITORY#nope", None, "no folder 'nope'"),
        ("/nowhere/at/all", None, "there is no folder"),
        ("http://127.0.0.1:1/a.git", None, "cannot be read"),
        ("s3://bucket/a", None, "no address of a project"),
        ("-x", None, "no project's address"),
    ],
)
def test_what_cannot_be_brought_says_why(
    repository: Path, tmp_path: Path, uri: str, version: str | None, why: str
) -> None:
    with pytest.raises(BadProject, match=why):
        source.bring(uri.replace("REPOSITORY", repository.as_uri()), version, tmp_path / "place")
