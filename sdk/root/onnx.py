"""`headrace.onnx`: ONNX models, run by ONNX Runtime."""

from __future__ import annotations

import os
from typing import Any

from headrace.sdk.models import places
from headrace.sdk.models.logged import ModelInfo
from headrace.sdk.models.logged import log_model as _log
from headrace.sdk.models.mlmodel import Metadata
from headrace.sdk.models.saving import save_model as _save

__all__ = ["load_model", "log_model", "save_model"]


def save_model(onnx_model: Any, path: str | os.PathLike[str], **options: Any) -> Metadata:
    """Save a ModelProto.

    options: as `headrace.models.save_model`, and onnx_execution_providers, onnx_session_options, save_as_external_data.
    """
    return _save(onnx_model, path, flavor="onnx", **options)


def log_model(onnx_model: Any, name: str | None = None, **options: Any) -> ModelInfo:
    """Log a model without waiting. options: as `headrace.models.log_model`, and those of `save_model`."""
    return _log(onnx_model, name, flavor="onnx", **options)


def load_model(model_uri: str | os.PathLike[str]) -> Any:
    """The ModelProto."""
    return places.load_model(model_uri, "onnx")
