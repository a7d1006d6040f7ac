"""`headrace.catboost`: CatBoost models."""

from __future__ import annotations

import os
from typing import Any

from headrace.sdk.models import places
from headrace.sdk.models.logged import ModelInfo
from headrace.sdk.models.logged import log_model as _log
from headrace.sdk.models.mlmodel import Metadata
from headrace.sdk.models.saving import save_model as _save

__all__ = ["load_model", "log_model", "save_model"]


def save_model(cb_model: Any, path: str | os.PathLike[str], **options: Any) -> Metadata:
    """Save a CatBoost model.

    options: as `headrace.models.save_model`, and format.
    """
    return _save(cb_model, path, flavor="catboost", **options)


def log_model(cb_model: Any, name: str | None = None, **options: Any) -> ModelInfo:
    """Log a model without waiting. options: as `headrace.models.log_model`, and those of `save_model`."""
    return _log(cb_model, name, flavor="catboost", **options)


def load_model(model_uri: str | os.PathLike[str]) -> Any:
    """The model."""
    return places.load_model(model_uri, "catboost")
