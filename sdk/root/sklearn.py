"""`headrace.sklearn`: scikit-learn estimators as models."""

from __future__ import annotations

import os
from typing import Any

from headrace.sdk.autolog.sklearn import autolog
from headrace.sdk.models import places
from headrace.sdk.models.logged import ModelInfo
from headrace.sdk.models.logged import log_model as _log
from headrace.sdk.models.mlmodel import Metadata
from headrace.sdk.models.saving import save_model as _save

__all__ = ["autolog", "load_model", "log_model", "save_model"]


def save_model(sk_model: Any, path: str | os.PathLike[str], **options: Any) -> Metadata:
    """Save an estimator. options: as `headrace.models.save_model`, and serialization_format, pyfunc_predict_fn."""
    return _save(sk_model, path, flavor="sklearn", **options)


def log_model(sk_model: Any, name: str | None = None, **options: Any) -> ModelInfo:
    """Log an estimator without waiting. options: as `headrace.models.log_model`, and those of `save_model`."""
    return _log(sk_model, name, flavor="sklearn", **options)


def load_model(model_uri: str | os.PathLike[str]) -> Any:
    """The estimator."""
    return places.load_model(model_uri, "sklearn")
