"""`headrace.models`: save, log and load models of any flavor, and say what they take and give."""

from __future__ import annotations

from headrace.sdk.models.cache import WrongDigest
from headrace.sdk.models.enforcement import SchemaMismatch
from headrace.sdk.models.logged import ModelInfo, log_model
from headrace.sdk.models.mlmodel import Metadata, NoModel
from headrace.sdk.models.places import get_model_info, load_model
from headrace.sdk.models.python_model import ModelConfig, set_model
from headrace.sdk.models.saving import save_model
from headrace.sdk.models.schema import (
    AnyType,
    Array,
    BadSchema,
    ColSpec,
    DataType,
    Map,
    Object,
    ParamSchema,
    ParamSpec,
    Property,
    Schema,
    TensorSpec,
)
from headrace.sdk.models.signature import ModelSignature, infer_signature

__all__ = [
    "AnyType",
    "Array",
    "BadSchema",
    "ColSpec",
    "DataType",
    "Map",
    "Metadata",
    "ModelConfig",
    "ModelInfo",
    "ModelSignature",
    "NoModel",
    "Object",
    "ParamSchema",
    "ParamSpec",
    "Property",
    "Schema",
    "SchemaMismatch",
    "TensorSpec",
    "WrongDigest",
    "get_model_info",
    "infer_signature",
    "load_model",
    "log_model",
    "save_model",
    "set_model",
]
