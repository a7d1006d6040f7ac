"""cloudpickle as `torch.save` and `torch.load` take it: what MLflow calls `mlflow.pytorch.pickle_module`."""

from __future__ import annotations

from cloudpickle import CloudPickler as Pickler
from cloudpickle import dump, dumps, load, loads
from headrace.sdk.models.unpickling import Unpickler

__all__ = ["Pickler", "Unpickler", "dump", "dumps", "load", "loads"]
