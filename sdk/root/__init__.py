"""Headrace: event-sourced tracking for machine learning. `import headrace` offers MLflow's fluent names."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from headrace.sdk import data, endpoints
from headrace.sdk.compare import compare, correlations
from headrace.sdk.data import log_input, log_inputs
from headrace.sdk.feed import Event, events
from headrace.sdk.files import (
    log_artifact,
    log_artifacts,
    log_dict,
    log_figure,
    log_image,
    log_table,
    log_text,
)
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
from headrace.sdk.life_cycle import (
    delete_run,
    describe_run,
    fork_run,
    get_history,
    move_runs,
    rename_run,
    restore_run,
)
from headrace.sdk.reader import (
    ReadFailed,
    download_artifacts,
    get_artifact_uri,
    get_experiment_by_name,
    get_metric_history,
    get_run,
    list_artifacts,
    search_experiments,
    search_runs,
)
from headrace.sdk.run import ActiveRun, Experiment, Run, RunActive, RunData, RunInfo
from headrace.sdk.series import series
from headrace.sdk.settings import BadSetting, Settings
from headrace.sdk.sql import sql
from headrace.sdk.sync import SyncReport, sync
from headrace.sdk.version import VERSION as __version__

if TYPE_CHECKING:
    from headrace.sdk.autolog.everything import autolog

__all__ = [
    "ActiveRun",
    "BadSetting",
    "Event",
    "Experiment",
    "ReadFailed",
    "Run",
    "RunActive",
    "RunData",
    "RunInfo",
    "Settings",
    "SyncReport",
    "__version__",
    "active_run",
    "autolog",
    "compare",
    "correlations",
    "create_experiment",
    "data",
    "delete_run",
    "delete_tag",
    "describe_run",
    "download_artifacts",
    "end_run",
    "endpoints",
    "events",
    "flush",
    "fork_run",
    "get_artifact_uri",
    "get_experiment_by_name",
    "get_history",
    "get_metric_history",
    "get_run",
    "get_tracking_uri",
    "init",
    "last_active_run",
    "list_artifacts",
    "log_artifact",
    "log_artifacts",
    "log_dict",
    "log_figure",
    "log_image",
    "log_input",
    "log_inputs",
    "log_metric",
    "log_metrics",
    "log_param",
    "log_params",
    "log_table",
    "log_text",
    "move_runs",
    "rename_run",
    "restore_run",
    "search_experiments",
    "search_runs",
    "series",
    "set_experiment",
    "set_experiment_tag",
    "set_experiment_tags",
    "set_tag",
    "set_tags",
    "set_tracking_uri",
    "sql",
    "start_run",
    "sync",
]

_MODULES = (
    "catboost",
    "keras",
    "lightgbm",
    "models",
    "onnx",
    "projects",
    "pyfunc",
    "registry",
    "pytorch",
    "sklearn",
    "statsmodels",
    "tensorflow",
    "xgboost",
)
"""Modules of this package that are imported at their first use: `import headrace` stays light."""

_FUNCTIONS = {"autolog": "headrace.sdk.autolog.everything", "register_model": "headrace.registry"}
"""Functions that come with modules of their own, imported at their first use too."""


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"headrace.{name}")
    if name in _FUNCTIONS:
        return getattr(importlib.import_module(_FUNCTIONS[name]), name)
    raise AttributeError(f"module 'headrace' has no attribute {name!r}")
