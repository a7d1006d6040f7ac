"""A run as the program sees it: its facts, and the context manager that ends it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any


class RunActive(Exception):
    """A run is active in this thread already; end it first, or pass nested=True."""


@dataclass(frozen=True)
class RunInfo:
    """Who a run is. Times in milliseconds since the epoch, UTC; end_time is None while it is running."""

    run_id: str
    experiment_id: str
    run_name: str = ""
    user_id: str = ""
    status: str = "RUNNING"
    start_time: int = 0
    end_time: int | None = None
    artifact_uri: str = ""
    lifecycle_stage: str = "active"

    @property
    def run_uuid(self) -> str:
        """MLflow's older name of run_id."""
        return self.run_id


@dataclass(frozen=True)
class RunData:
    """What a run logged: the latest value of each metric, params and tags."""

    metrics: dict[str, float] = field(default_factory=dict)
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Run:
    """A run as read from a server."""

    info: RunInfo
    data: RunData = field(default_factory=RunData)
    inputs: dict[str, Any] = field(default_factory=dict)

    def to_dictionary(self) -> dict[str, Any]:
        """The run as plain dicts."""
        return {"info": dict(vars(self.info)), "data": dict(vars(self.data)), "inputs": self.inputs}


@dataclass(frozen=True)
class Experiment:
    """An experiment. Times in milliseconds since the epoch, UTC."""

    experiment_id: str
    name: str
    artifact_location: str = ""
    lifecycle_stage: str = "active"
    tags: dict[str, str] = field(default_factory=dict)
    creation_time: int | None = None
    last_update_time: int | None = None


class ActiveRun:
    """A run this process logs to; as a context manager it ends the run: FAILED on an exception, KILLED on Ctrl-C.

    data holds what was given at its start; what is logged later is read from the target with `get_run`.
    """

    def __init__(self, info: RunInfo, tags: dict[str, str], end: Callable[[ActiveRun, str], None], pid: int) -> None:
        self.info = info
        self.data = RunData(tags=dict(tags))
        self.pid = pid
        self._end = end

    def __enter__(self) -> ActiveRun:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end(self, status_for(kind))

    def __repr__(self) -> str:
        return f"<ActiveRun {self.info.run_id} {self.info.run_name!r} of experiment {self.info.experiment_id}>"


def status_for(kind: type[BaseException] | None) -> str:
    """How a run ended that was left by this exception, or by none."""
    if kind is None:
        return "FINISHED"
    return "KILLED" if issubclass(kind, KeyboardInterrupt) else "FAILED"
