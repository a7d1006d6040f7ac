"""Logs the model at the end of a training, with its signature."""

from __future__ import annotations

from typing import Any

from headrace.sdk.autolog.session import Options, Session


def log_trained(
    model: Any, flavor: str, opened: Session, options: Options, example: Any = None, output: Any = None, **more: Any
) -> str | None:
    """Log a fitted model to the run of its training; its model id."""
    return None


def log_trained_folder(folder: str, run_id: str, options: Options) -> str | None:
    """Log what an estimator exported to the run of its training; its model id."""
    return None
