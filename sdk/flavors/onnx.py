"""ONNX: a ModelProto, run by ONNX Runtime."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from headrace.sdk.flavors.flavor import Predictor, Saved, loaded, need
from headrace.sdk.models.mlmodel import NoModel, pyfunc_entry

NAME = "onnx"
LOADER_MODULE = "mlflow.onnx"
PACKAGES = ("onnx", "onnxruntime")
FILE = "model.onnx"
PROVIDERS = ("CUDAExecutionProvider", "CPUExecutionProvider")
CPU = "CPUExecutionProvider"

logger = logging.getLogger("headrace")


def recognizes(model: Any) -> bool:
    """Whether it is a ModelProto."""
    return "onnx" in sys.modules and loaded(model, "onnx") and type(model).__name__ == "ModelProto"


def save(
    model: Any,
    folder: Path,
    *,
    example: Any = None,
    onnx_execution_providers: Sequence[Any] | None = None,
    onnx_session_options: Mapping[str, Any] | None = None,
    save_as_external_data: bool = True,
) -> Saved:
    """Write model.onnx.

    onnx_execution_providers: where it runs, best first; those that are not there are passed over. onnx_session_options:
    inter_op_num_threads, intra_op_num_threads, execution_mode, graph_optimization_level, extra_session_config.
    save_as_external_data: whether what is larger than a kilobyte goes into files beside it.
    """
    onnx = need("onnx", PACKAGES)
    onnx.save_model(model, str(folder / FILE), save_as_external_data=save_as_external_data)
    entry = {
        "code": None,
        "data": FILE,
        "onnx_session_options": None if onnx_session_options is None else dict(onnx_session_options),
        "onnx_version": onnx.__version__,
        "providers": list(PROVIDERS if onnx_execution_providers is None else onnx_execution_providers),
    }
    return Saved(
        {NAME: entry, "python_function": pyfunc_entry(LOADER_MODULE, data=FILE)}, ("onnx", "onnxruntime", "numpy")
    )


def _file(folder: Path, entry: Mapping[str, Any]) -> str:
    file = folder / str(entry.get("data") or FILE)
    if not file.is_file():
        raise NoModel(f"the model's file {file} is not there")
    return str(file)


def load(folder: Path, entry: Mapping[str, Any]) -> Any:
    """The ModelProto. Raises MissingPackage, NoModel."""
    return need("onnx", PACKAGES).load(_file(folder, entry))


def predictor(folder: Path, entry: Mapping[str, Any], pyfunc_entry: Mapping[str, Any]) -> Predictor:
    """The model in a session of ONNX Runtime's. Raises MissingPackage, NoModel."""
    return _of_session(_session(_file(folder, {"data": pyfunc_entry.get("data"), **entry}), entry))


def wrap(model: Any, pyfunc_entry: Mapping[str, Any]) -> Predictor:
    """A ModelProto in memory, ready to predict."""
    return _of_session(_session(model.SerializeToString(), {}))


def _session(model: str | bytes, entry: Mapping[str, Any]) -> Any:
    runtime = need("onnxruntime", PACKAGES)
    told = entry.get("onnx_session_options") or {}
    options = runtime.SessionOptions()
    for name in ("inter_op_num_threads", "intra_op_num_threads"):
        if told.get(name):
            setattr(options, name, told[name])
    if told.get("execution_mode"):
        options.execution_mode = runtime.ExecutionMode.__members__[f"ORT_{told['execution_mode'].upper()}"]
    if told.get("graph_optimization_level"):
        options.graph_optimization_level = runtime.GraphOptimizationLevel(told["graph_optimization_level"])
    for key, value in (told.get("extra_session_config") or {}).items():
        options.add_session_config_entry(key, str(value))
    wanted = entry.get("providers") or PROVIDERS
    wanted = [wanted] if isinstance(wanted, str) else [tuple(one) if isinstance(one, list) else one for one in wanted]
    there = set(runtime.get_available_providers())
    usable = [one for one in wanted if (one if isinstance(one, str) else one[0]) in there] or [CPU]
    try:
        return runtime.InferenceSession(model, sess_options=options, providers=usable)
    except Exception as error:  # of a device that cannot be had
        if usable == [CPU]:
            raise NoModel(f"ONNX Runtime cannot read the model: {error}") from error
        logger.warning("ONNX Runtime cannot run the model on %s, so it runs on the CPU: %s", usable, error)
        return runtime.InferenceSession(model, sess_options=options, providers=[CPU])


def _of_session(session: Any) -> Predictor:
    import pandas as pd

    inputs = {one.name: one.type for one in session.get_inputs()}
    outputs = [one.name for one in session.get_outputs()]
    first = next(iter(inputs))

    def run(feed: Mapping[str, Any]) -> list[Any]:
        lacking = [name for name in inputs if name not in feed]
        if lacking:
            raise ValueError(f"the input lacks {', '.join(lacking)}; the model takes {', '.join(inputs)}")
        given: list[Any] = session.run(outputs, {name: _cast(feed[name], kind) for name, kind in inputs.items()})
        return given

    def framed(given: list[Any]) -> Any:
        return pd.DataFrame.from_dict(
            {name: np.asarray(one).reshape(-1) for name, one in zip(outputs, given, strict=True)}
        )

    def predict(data: Any, params: dict[str, Any] | None = None) -> Any:
        if hasattr(data, "columns"):
            return framed(
                run({name: data[name].to_numpy() for name in inputs} if len(inputs) > 1 else {first: data.to_numpy()})
            )
        if not isinstance(data, Mapping):
            if len(inputs) > 1:
                raise ValueError(f"the model takes several inputs: give a dict or a DataFrame with {', '.join(inputs)}")
            data = {first: np.asarray(data)}
        return dict(zip(outputs, run(data), strict=True))

    def predict_array(data: Any, params: dict[str, Any] | None = None) -> Any:
        return framed(run({first: data}))

    return Predictor(session, predict, predict_array if len(inputs) == 1 else None)


def _cast(value: Any, kind: str) -> Any:
    array = np.asarray(value)
    return array.astype(np.float32) if kind == "tensor(float)" and array.dtype != np.float32 else array
