"""What a model remembers of where it came from: the run's project, code and data; kept in MLmodel below `metadata`."""

from __future__ import annotations

import functools
from typing import Any

from headrace.sdk import data, environment, recorder
from headrace.sdk.process import process
from headrace.sdk.version import VERSION

KEY = "headrace"
"""Below `metadata` of MLmodel."""


@functools.lru_cache(maxsize=1)
def _git() -> dict[str, str]:
    """The git facts of the program, asked for once; the run's recorder may know them already."""
    return recorder.known_tags() or environment.git_tags(environment.source_folder())


def of_process() -> dict[str, Any]:
    """Version, entry point, and commit, branch, remote and whether anything was uncommitted, where there is git and
    the settings say `record_environment`."""
    known = _git() if process.settings().record_environment else {}
    git = {tag.rpartition(".")[2]: value for tag, value in known.items()}
    return {"version": VERSION, "entry_point": environment.entry_point(), "git": git}


def of_run(run_id: str) -> dict[str, Any]:
    """The data sets this process logged as inputs of a run: name, digest and context of each."""
    datasets = data.logged_inputs(run_id)
    return {"datasets": datasets} if datasets else {}
