"""`headrace.lightgbm`: LightGBM models: a Booster, or a model of its scikit-learn interface."""

from __future__ import annotations

import os
from typing import Any

from headrace.sdk.autolog.lightgbm import autolog
from headrace.sdk.models import places
from headrace.sdk.models.logged import ModelInfo
from headrace.sdk.models.logged import log_model as _log
from headrace.sdk.models.mlmodel import Metadata
from headrace.sdk.models.saving import save_model as _save

__all__ = ["autolog", "load_model", "log_model", "save_model"]


def save_model(lgb_model: Any, path: str | os.PathLike[str], **options: Any) -> Metadata:
    """Save a Booster or an LGBMModel.

    options: as `headrace.models.save_model`, and serialization_format, skops_trusted_types.
    """
    return _save(lgb_model, path, flavor="lightgbm", **options)


def log_model(lgb_model: Any, name: str | None = None, **options: Any) -> ModelInfo:
    """Log a model without waiting. options: as `headrace.models.log_model`, and those of `save_model`."""
    return _log(lgb_model, name, flavor="lightgbm", **options)


def load_model(model_uri: str | os.PathLike[str]) -> Any:
    """The Booster or the LGBMModel."""
    return places.load_model(model_uri, "lightgbm")
