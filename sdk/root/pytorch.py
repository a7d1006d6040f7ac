"""`headrace.pytorch`: PyTorch modules as models."""

from __future__ import annotations

import os
from typing import Any

from headrace.sdk.autolog.lightning import autolog
from headrace.sdk.models import places
from headrace.sdk.models.logged import ModelInfo
from headrace.sdk.models.logged import log_model as _log
from headrace.sdk.models.mlmodel import Metadata
from headrace.sdk.models.saving import save_model as _save

__all__ = ["autolog", "load_model", "log_model", "save_model"]


def save_model(pytorch_model: Any, path: str | os.PathLike[str], **options: Any) -> Metadata:
    """Save a `torch.nn.Module`.

    options: as `headrace.models.save_model`, and serialization_format.
    """
    return _save(pytorch_model, path, flavor="pytorch", **options)


def log_model(pytorch_model: Any, name: str | None = None, **options: Any) -> ModelInfo:
    """Log a model without waiting. options: as `headrace.models.log_model`, and those of `save_model`."""
    return _log(pytorch_model, name, flavor="pytorch", **options)


def load_model(model_uri: str | os.PathLike[str], **options: Any) -> Any:
    """The module, ready to evaluate. options: for `torch.load`."""
    return places.load_model(model_uri, "pytorch", **options)
