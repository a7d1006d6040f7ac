"""Headrace: event-sourced tracking for machine learning. `import headrace` offers MLflow's fluent names."""

from __future__ import annotations

from headrace.sdk.fluent import (
    active_run,
    create_experiment,
    delete_tag,
    end_run,
    flush,
    get_tracking_uri,
    init,
    last_active_run,
    log_metric,
    log_metrics,
    log_param,
    log_params,
    set_experiment,
    set_experiment_tag,
    set_experiment_tags,
    set_tag,
    set_tags,
    set_tracking_uri,
    start_run,
)
from headrace.sdk.run import ActiveRun, Experiment, Run, RunActive, RunData, RunInfo
from headrace.sdk.settings import BadSetting, Settings
from headrace.sdk.version import VERSION as __version__

__all__ = [
    "ActiveRun",
    "BadSetting",
    "Experiment",
    "Run",
    "RunActive",
    "RunData",
    "RunInfo",
    "Settings",
    "__version__",
    "active_run",
    "create_experiment",
    "delete_tag",
    "end_run",
    "flush",
    "get_tracking_uri",
    "init",
    "last_active_run",
    "log_metric",
    "log_metrics",
    "log_param",
    "log_params",
    "set_experiment",
    "set_experiment_tag",
    "set_experiment_tags",
    "set_tag",
    "set_tags",
    "set_tracking_uri",
    "start_run",
]
