"""`headrace.statsmodels`: results of statsmodels as models."""

from __future__ import annotations

import os
from typing import Any

from headrace.sdk.models import places
from headrace.sdk.models.logged import ModelInfo
from headrace.sdk.models.logged import log_model as _log
from headrace.sdk.models.mlmodel import Metadata
from headrace.sdk.models.saving import save_model as _save

__all__ = ["load_model", "log_model", "save_model"]


def save_model(statsmodels_model: Any, path: str | os.PathLike[str], **options: Any) -> Metadata:
    """Save the results of a fit.

    options: as `headrace.models.save_model`, and remove_data.
    """
    return _save(statsmodels_model, path, flavor="statsmodels", **options)


def log_model(statsmodels_model: Any, name: str | None = None, **options: Any) -> ModelInfo:
    """Log a model without waiting. options: as `headrace.models.log_model`, and those of `save_model`."""
    return _log(statsmodels_model, name, flavor="statsmodels", **options)


def load_model(model_uri: str | os.PathLike[str]) -> Any:
    """The results."""
    return places.load_model(model_uri, "statsmodels")
