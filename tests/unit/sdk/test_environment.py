"""What a run is told to be reproduced by: the command, without secrets, and where in the repository it was given."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from headrace.sdk import environment
from headrace.sdk.environment import COMMAND_CHARS_MAX, command_line


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["/usr/bin/python3", "train.py", "--lr", "0.1"], "python3 train.py --lr 0.1"),
        (["python", "-m", "jobs.train", "--name", "two words"], "python -m jobs.train --name 'two words'"),
        (["python", "t.py", "--api-key", "s3cret", "--n", "1"], "python t.py --api-key '[hidden]' --n 1"),
        (["python", "t.py", "--db.password=s3cret"], "python t.py '--db.password=[hidden]'"),
        (["python", "t.py", "HF_TOKEN=s3cret"], "python t.py 'HF_TOKEN=[hidden]'"),
        (["python", "t.py", "--tokenizer", "bpe", "--max-tokens", "5"], "python t.py --tokenizer bpe --max-tokens 5"),
        (["python", "t.py", "--data=https://ada:s3cret@host/x"], "python t.py --data=https://host/x"),
        (["python", "t.py", "--token", "--verbose"], "python t.py --token --verbose"),
        (["python", "-m", "ipykernel_launcher", "-f", "/tmp/k.json"], ""),
        (["python", "-c", "x" * COMMAND_CHARS_MAX], ""),
        ([], ""),
    ],
)  # fmt: skip
def test_a_command_is_told_as_it_would_be_typed_without_its_secrets(arguments: list[str], line: str) -> None:
    assert command_line(arguments) == line


def test_the_folder_in_the_repository_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = tmp_path / "code" / "gan"
    inside.mkdir(parents=True)
    git = ["git", "-C", str(tmp_path / "code"), "-c", "user.name=ada", "-c", "user.email=ada@example.org"]
    for command in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "first"]):
        subprocess.run([*git, *command], check=True)
    monkeypatch.chdir(inside)
    assert environment.git_tags(inside)["headrace.folder"] == "gan"
    monkeypatch.chdir(tmp_path / "code")
    assert environment.git_tags(inside)["headrace.folder"] == "."
    monkeypatch.chdir(tmp_path)
    assert "headrace.folder" not in environment.git_tags(inside)
