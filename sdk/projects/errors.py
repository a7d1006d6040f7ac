"""What can go wrong with a project, before and after it was started."""

from __future__ import annotations


class BadProject(Exception):
    """The project cannot be run as asked; nothing was started and no run was made. The message says why."""


class ProjectFailed(Exception):
    """The project's command ended with another exit code than 0; its run has the status and the reason."""

    def __init__(self, message: str, run_id: str, exit_code: int) -> None:
        super().__init__(message)
        self.run_id = run_id
        self.exit_code = exit_code
