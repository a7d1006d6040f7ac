"""Records what surrounds a run from a thread, since git and a list of packages take longer than a log call may."""

from __future__ import annotations

import logging
import queue
import threading

from headrace.ingest import events
from headrace.sdk import environment
from headrace.sdk.buffer import ARTIFACT
from headrace.sdk.pipeline import Pipeline

logger = logging.getLogger("headrace")

REQUIREMENTS_PATH = "environment/requirements.txt"

_tags: dict[str, str] | None = None
_requirements: bytes | None = None
_queue: queue.SimpleQueue[tuple[Pipeline, str, str, bool] | None] = queue.SimpleQueue()
_thread: threading.Thread | None = None


def known_tags() -> dict[str, str]:
    """The git tags, once they are known; before that, empty."""
    return _tags or {}


def record(pipeline: Pipeline, run_id: str, experiment_id: str) -> None:
    """Let the thread add git facts (unless the run began with them) and the list of packages to a run."""
    global _thread
    if _thread is None or not _thread.is_alive():
        _thread = threading.Thread(target=_run, name="headrace-environment", daemon=True)
        _thread.start()
    _queue.put((pipeline, run_id, experiment_id, _tags is None))


def finish(timeout_s: float) -> None:
    """Wait, bounded, until what was asked for is recorded."""
    if _thread is not None and _thread.is_alive():
        _queue.put(None)
        _thread.join(timeout_s)


def forget() -> None:
    """In a forked child: the thread is the parent's."""
    global _thread, _queue
    _thread, _queue = None, queue.SimpleQueue()


def _run() -> None:
    global _tags, _requirements
    while (asked := _queue.get()) is not None:
        pipeline, run_id, experiment_id, wants_tags = asked
        try:
            if _tags is None:
                _tags = environment.git_tags(environment.source_folder())
            if wants_tags and _tags:
                pipeline.event(run_id, events.AttributesLogged(tags=_tags))
            if _requirements is None:
                _requirements = environment.requirements().encode()
            artifact = pipeline.stage.write(_requirements, run_id, experiment_id, REQUIREMENTS_PATH)
            pipeline.buffer.put(run_id, ARTIFACT, 0, artifact)
        except Exception as error:  # nothing here is worth a training
            logger.warning("the environment of run %s was not recorded: %s", run_id, error)
