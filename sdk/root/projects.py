"""`headrace.projects`: run a project from a folder, a Git repository or an archive."""

from __future__ import annotations

from headrace.sdk.projects.errors import BadProject, ProjectFailed
from headrace.sdk.projects.running import SubmittedRun, run

__all__ = ["BadProject", "ProjectFailed", "SubmittedRun", "run"]
