"""PyTorch: a module as an exported graph (pt2), which needs no code and no pickle to be read, or pickled whole."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from headrace.sdk.flavors import torch_pickle
from headrace.sdk.flavors.flavor import Predictor, Saved, need
from headrace.sdk.models.mlmodel import NoModel, pyfunc_entry
from headrace.sdk.models.unpickling import check_allowed

NAME = "pytorch"
LOADER_MODULE = "mlflow.pytorch"
PACKAGES = ("torch",)
PICKLE_MODULE = "mlflow.pytorch.pickle_module"
"""MLflow's name for cloudpickle as PyTorch takes it; `torch_pickle` is ours of it."""

logger = logging.getLogger("headrace")


def recognizes(model: Any) -> bool:
    """Whether it is a `torch.nn.Module`."""
    named = {(one.__module__, one.__name__) for one in type(model).__mro__}
    return "torch" in sys.modules and ("torch.nn.modules.module", "Module") in named


def save(model: Any, folder: Path, *, example: Any = None, serialization_format: str | None = None) -> Saved:
    """Write data/model.pt2, or data/model.pth for the format "pickle".

    serialization_format: "pt2", "pickle", or None: pt2 where the example is one array and the module can be exported
    with it, else pickle, with a warning. Raises ValueError for "pt2" without an example that is one array.
    """
    if serialization_format not in (None, "pt2", "pickle"):
        raise ValueError(f"there is no format {serialization_format!r} of PyTorch models; there are 'pt2' and 'pickle'")
    torch = need("torch", PACKAGES)
    data = folder / "data"
    data.mkdir()
    modules = ["torch", "numpy"]
    if serialization_format == "pickle" or not _exported(torch, model, data, example, serialization_format == "pt2"):
        (data / "pickle_module_info.txt").write_text(PICKLE_MODULE)
        if isinstance(model, torch.jit.ScriptModule):
            torch.jit.save(model, str(data / "model.pth"))
        else:
            torch.save(model, str(data / "model.pth"), pickle_module=torch_pickle)
        modules += ["cloudpickle", type(model).__module__.partition(".")[0]]
    flavors = {
        NAME: {"code": None, "model_data": "data", "pytorch_version": str(torch.__version__)},
        "python_function": pyfunc_entry(
            LOADER_MODULE, data="data", pickle_module_name=PICKLE_MODULE, config={"device": None}
        ),
    }
    return Saved(flavors, tuple(modules))


def _exported(torch: Any, model: Any, data: Path, example: Any, asked: bool) -> bool:
    """Export the graph with a free first length; whether that could be done. Raises ValueError when it was asked."""
    array = example.to_numpy(np.float32) if hasattr(example, "columns") else example
    if not isinstance(array, np.ndarray | torch.Tensor):
        why = "there is no input example that is one array"
    else:
        tensor = torch.as_tensor(array)
        try:
            free = ({0: torch.export.Dim.AUTO},)
            graph = torch.export.export(model.eval(), (tensor,), dynamic_shapes=free)
            torch.export.save(graph, str(data / "model.pt2"))
            return True
        except Exception as error:  # what the module does cannot be told from tracing it
            why = f"the module cannot be exported: {error}"
            (data / "model.pt2").unlink(missing_ok=True)
    if asked:
        raise ValueError(f"the model cannot be saved as pt2: {why}")
    logger.warning("the PyTorch model is pickled, so that reading it runs code: %s", why)
    return False


def load(folder: Path, entry: Mapping[str, Any], **options: Any) -> Any:
    """The module, ready to evaluate. options: for `torch.load`. Raises MissingPackage, NoModel."""
    torch = need("torch", PACKAGES)
    data = folder / str(entry.get("model_data") or "data")
    if (data / "model.pt2").is_file():
        return torch.export.load(str(data / "model.pt2")).module()
    file = data / "model.pth" if data.is_dir() else data
    if not file.is_file():
        raise NoModel(f"{data} holds no PyTorch model: neither model.pt2 nor model.pth")
    check_allowed(file)
    try:
        model = torch.jit.load(str(file)) if _is_script(file) else None
        if model is None:
            options = {"map_location": "cpu", "weights_only": False, "pickle_module": torch_pickle, **options}
            model = torch.load(str(file), **options)
    except RuntimeError as error:
        raise NoModel(f"{file} cannot be read by PyTorch {torch.__version__}: {error}") from error
    model.eval()
    return model


def _is_script(file: Path) -> bool:
    import zipfile

    if not zipfile.is_zipfile(file):
        return False
    with zipfile.ZipFile(file) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


def predictor(folder: Path, entry: Mapping[str, Any], pyfunc_entry: Mapping[str, Any]) -> Predictor:
    """The module on the device its configuration names, else on a GPU where there is one. Raises as `load`."""
    torch = need("torch", PACKAGES)
    wanted = (pyfunc_entry.get("config") or {}).get("device")
    device = str(wanted or ("cuda" if torch.cuda.is_available() else "cpu"))
    return _on(load(folder, entry or {"model_data": pyfunc_entry.get("data")}).to(device), device)


def wrap(model: Any, pyfunc_entry: Mapping[str, Any]) -> Predictor:
    """A module in memory, where it is, ready to predict."""
    first = next(iter(model.parameters()), None)
    return _on(model, "cpu" if first is None else str(first.device))


def _on(model: Any, device: str) -> Predictor:
    torch = need("torch", PACKAGES)

    def call(array: Any, params: dict[str, Any] | None) -> Any:
        with torch.no_grad():
            given = model(torch.as_tensor(array).to(device), **(params or {}))
        if not isinstance(given, torch.Tensor):
            raise ValueError(f"the model gives a {type(given).__name__}; one tensor can be returned")
        return given.cpu().numpy()

    def predict(data: Any, params: dict[str, Any] | None = None) -> Any:
        if hasattr(data, "columns"):
            return _framed(call(data.to_numpy(np.float32), params), data.index)
        if not isinstance(data, np.ndarray):
            raise ValueError(f"the model takes an array or a DataFrame, not a {type(data).__name__}")
        return call(data, params)

    def predict_array(data: Any, params: dict[str, Any] | None = None) -> Any:
        return _framed(call(data.astype(np.float32, copy=False), params), None)

    return Predictor(model, predict, predict_array)


def _framed(given: Any, index: Any) -> Any:
    import pandas as pd

    return pd.DataFrame(given, index=index)
