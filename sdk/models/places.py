"""Models by URI: finds, fetches and loads what a URI names."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from headrace.sdk.models import loading, pyfunc
from headrace.sdk.models.mlmodel import Metadata
from headrace.sdk.models.pyfunc import PyFuncModel


def local_folder(model_uri: str | os.PathLike[str]) -> Path:
    """A folder on this machine that holds the model. Raises NoModel."""
    return Path(os.fspath(model_uri))


def load_model(model_uri: str | os.PathLike[str], flavor: str | None = None, **options: Any) -> Any:
    """The native model. flavor: which of the model's, its own when not given; options: that flavor's own.

    Raises NoModel, MissingPackage.
    """
    return loading.load_native(local_folder(model_uri), flavor, **options)


def load_pyfunc(model_uri: str | os.PathLike[str], model_config: Mapping[str, Any] | None = None) -> PyFuncModel:
    """The model behind pyfunc's face. Raises NoModel, MissingPackage."""
    return pyfunc.load_folder(local_folder(model_uri), model_config)


def get_model_info(model_uri: str | os.PathLike[str]) -> Metadata:
    """What MLmodel says of a model, which is not loaded. Raises NoModel."""
    return Metadata.read(local_folder(model_uri))
