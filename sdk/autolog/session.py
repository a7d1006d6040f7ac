"""The run that a training is logged to: the active one, or one of its own; one within another is not logged."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from headrace.sdk import fluent
from headrace.sdk.autolog.patching import guard, set_silent

AUTOLOGGING = "mlflow.autologging"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What every integration takes, named as in MLflow.

    exclusive: nothing is logged to runs the program started itself. extra_tags: of the runs that autolog starts.
    save_options: of the flavor, when the model is saved.
    """

    log_models: bool = True
    log_datasets: bool = True
    log_input_examples: bool = False
    log_model_signatures: bool = True
    exclusive: bool = False
    silent: bool = False
    registered_model_name: str | None = None
    extra_tags: Mapping[str, Any] | None = None
    save_options: Mapping[str, Any] | None = None


@dataclass(frozen=True, eq=False)
class Session:
    """A training that is being logged. created: whether its run is autolog's own."""

    integration: str
    run_id: str
    created: bool


_open: dict[int, list[Session]] = {}
"""Trainings under way, by thread; a thread of a pool that a training opened is within it too."""
_hidden = threading.local()


def current() -> Session | None:
    """The training under way in this thread, or in the one whose pool of threads this one belongs to."""
    thread = threading.current_thread()
    # multiprocessing.pool.ThreadPool, which joblib uses, keeps who made a thread.
    parent = getattr(thread, "_parent", None)
    for one in (thread, parent if isinstance(parent, threading.Thread) else None):
        if one is not None and one.ident in _open:
            return _open[one.ident][-1]
    return None


def hidden() -> bool:
    """Whether nothing is to be logged in this thread now."""
    return getattr(_hidden, "depth", 0) > 0


@contextmanager
def hide() -> Iterator[None]:
    """Log nothing of what happens in this block."""
    _hidden.depth = getattr(_hidden, "depth", 0) + 1
    try:
        yield
    finally:
        _hidden.depth -= 1


@contextmanager
def session(integration: str, options: Options) -> Iterator[Session | None]:
    """The training of this block, or None when it is not to be logged: one within another, or `exclusive` forbids it.

    A run of its own ends with the block: FAILED when an exception leaves it, KILLED for Ctrl-C.
    """
    active = fluent.active_run()
    if current() is not None or hidden() or (options.exclusive and active is not None):
        yield None
        return
    set_silent(integration, options.silent)
    created = active is None
    if active is None:
        active = fluent.start_run(tags={**(options.extra_tags or {}), AUTOLOGGING: integration})
    opened = Session(integration, active.info.run_id, created)
    stack = _open.setdefault(threading.get_ident(), [])
    stack.append(opened)
    try:
        if created:
            with active:
                yield opened
        else:
            yield opened
    finally:
        stack.remove(opened)
        if not stack:
            _open.pop(threading.get_ident(), None)


__all__ = ["AUTOLOGGING", "Options", "Session", "current", "guard", "hidden", "hide", "session"]
