"""python_function: a PythonModel, a plain function, or a file of code that says which model it is."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import inspect
import os
import shutil
import sys
import types
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from headrace.sdk.flavors.flavor import Predictor, Saved
from headrace.sdk.models import python_model
from headrace.sdk.models.mlmodel import NoModel, pyfunc_entry
from headrace.sdk.models.python_model import FunctionModel, PythonModel, PythonModelContext
from headrace.sdk.models.requirements import headrace_pin
from headrace.sdk.models.unpickling import dump_python_model, load_pickle

NAME = "python_function"
LOADER_MODULE = "mlflow.pyfunc.model"
CODE_LOADER_MODULE = "mlflow.pyfunc.loaders.code_model"
PACKAGES = ("cloudpickle",)


def recognizes(model: Any) -> bool:
    """Whether it is a PythonModel (ours, or MLflow's), a function, or a path of a Python file."""
    if isinstance(model, str | os.PathLike):
        return os.fspath(model).endswith(".py")
    named = {(one.__module__, one.__name__) for one in type(model).__mro__}
    return (
        isinstance(model, PythonModel | types.FunctionType | functools.partial)
        or ("mlflow.pyfunc.model", "PythonModel") in named
    )


def save(
    model: Any,
    folder: Path,
    *,
    example: Any = None,
    artifacts: Mapping[str, str] | None = None,
    model_config: Mapping[str, Any] | str | None = None,
    streamable: bool = False,
) -> Saved:
    """Write python_model.pkl, or a copy of the file of code; and copies of the artifacts below artifacts/.

    artifacts: name to a local path, of a file or a folder. model_config: plain values, or a YAML file of them.
    Raises FileNotFoundError, NoModel.
    """
    keys: dict[str, Any] = {"streamable": streamable}
    modules: tuple[str, ...] = ("cloudpickle", "numpy", "pandas")
    extra: tuple[str, ...] = ()
    if model_config is not None:
        keys["config"] = _config(model_config)
    if isinstance(model, str | os.PathLike):
        source = Path(model).absolute()
        shutil.copyfile(source, folder / source.name)
        loader, keys["model_code_path"] = CODE_LOADER_MODULE, source.name
        imported = _imports(source)
        modules += tuple(sorted(imported))
        extra = (headrace_pin(),) if "headrace" in imported else ()
    else:
        import cloudpickle

        model = _as_model(model)
        loader, keys["python_model"] = LOADER_MODULE, "python_model.pkl"
        keys["cloudpickle_version"] = cloudpickle.__version__
        dump_python_model(model, folder / "python_model.pkl")
        modules += tuple(sorted(_modules_of(model)))
        extra = (headrace_pin(),) if _needs_headrace(model) else ()
    kept = {}
    for name, path in (artifacts or {}).items():
        target = folder / "artifacts" / Path(path).name
        if target.exists():
            target = folder / "artifacts" / name / Path(path).name
        target.parent.mkdir(parents=True, exist_ok=True)
        copy: Callable[..., Any] = shutil.copytree if Path(path).is_dir() else shutil.copyfile
        copy(path, target)
        kept[name] = {"path": target.relative_to(folder).as_posix(), "uri": str(path)}
    if kept:
        keys["artifacts"] = kept
    return Saved({NAME: pyfunc_entry(loader, **keys)}, modules, extra)


def load(folder: Path, entry: Mapping[str, Any]) -> Any:
    """The PythonModel, its context loaded."""
    return predictor(folder, entry, entry).model


def predictor(folder: Path, entry: Mapping[str, Any], pyfunc_entry: Mapping[str, Any]) -> Predictor:
    """The PythonModel, its context loaded, ready to predict. Raises MissingPackage, NoModel."""
    config = pyfunc_entry.get("config")
    if pyfunc_entry.get("model_code_path"):
        # MLflow keeps the path it had when it was saved; the file lies in the folder itself.
        model = run_code(folder / Path(str(pyfunc_entry["model_code_path"])).name, config)
    else:
        model = load_pickle(_inside(folder, str(pyfunc_entry.get("python_model") or "python_model.pkl")))
    model = _as_model(model)
    artifacts = {
        name: str(_inside(folder, str(one["path"]))) for name, one in (pyfunc_entry.get("artifacts") or {}).items()
    }
    context = PythonModelContext(artifacts, config)
    model.load_context(context)
    return wrap(model, pyfunc_entry, context)


def wrap(model: Any, pyfunc_entry: Mapping[str, Any], context: PythonModelContext | None = None) -> Predictor:
    """A PythonModel or function in memory, ready to predict; with a context its load_context was called already."""
    model = _as_model(model)
    if context is None:
        context = PythonModelContext({}, pyfunc_entry.get("config"))
    names = inspect.signature(model.predict).parameters
    takes_params = "params" in names or any(one.kind is inspect.Parameter.VAR_KEYWORD for one in names.values())
    takes_context = "context" in names or (
        bool(names) and next(iter(names)) != "model_input" and len(set(names) - {"params"}) > 1
    )
    leading = (context,) if takes_context else ()
    shape = _reshaper(model)
    method = model.predict

    def predict(data: Any, params: dict[str, Any] | None = None) -> Any:
        if takes_params:
            return method(*leading, shape(data), params=params)
        return method(*leading, shape(data))

    attributes = {"predict_stream": model.predict_stream} if hasattr(model, "predict_stream") else {}
    return Predictor(model, predict, None, attributes)


def _as_model(model: Any) -> Any:
    """A model with the methods of one; anything else that can be called is a function of the input."""
    return FunctionModel(model) if callable(model) and not hasattr(model, "predict") else model


def _reshaper(model: Any) -> Callable[[Any], Any]:
    """As MLflow does it: a predict that says it takes a list of texts or dicts gets one, of a DataFrame."""
    hints = getattr(model, "predict_type_hints", None)
    wanted = getattr(hints, "input", None)
    if wanted == list[str]:
        return _texts
    if wanted == list[dict[str, str]]:
        return lambda data: data.to_dict(orient="records") if hasattr(data, "to_dict") else data
    return lambda data: data


def _texts(data: Any) -> Any:
    if not hasattr(data, "columns"):
        return data
    for name in data.columns:
        if len(data) and isinstance(data[name].iloc[0], str):
            return data[name].tolist()
    raise ValueError("the model takes texts, and no column of the data holds any")


def _inside(folder: Path, path: str) -> Path:
    """A path below the model's folder. Raises NoModel for one that leads out of it."""
    found = (folder / path).resolve()
    if not found.is_relative_to(folder.resolve()):
        raise NoModel(f"the model's MLmodel names {path}, which is not in its folder")
    return found


def _config(given: Mapping[str, Any] | str) -> dict[str, Any]:
    from headrace.sdk.models import mlmodel

    if isinstance(given, str):
        found = mlmodel.load(Path(given).read_text(encoding="utf-8"))
        if not isinstance(found, dict):
            raise NoModel(f"{given} is no mapping of configuration")
        return found
    return dict(given)


def run_code(file: Path, config: Mapping[str, Any] | None = None) -> Any:
    """Run a file of code and take what it gave to `set_model`. Raises NoModel when it gave nothing."""
    if not file.is_file():
        raise NoModel(f"the model's code {file} is not there")
    name = f"headrace_model_{uuid.uuid4().hex}"
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    python_model.model_that_was_set()
    with _mlflow_or_standin(), python_model.configured(config):
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except BaseException:
            sys.modules.pop(name, None)
            raise
        mlflows = getattr(sys.modules.get("mlflow.models.model"), "__mlflow_model__", None)
    model = python_model.model_that_was_set() or mlflows
    if model is None:
        raise NoModel(f"{file.name} does not say which model it is: call headrace.models.set_model(model) in it")
    return model


@contextlib.contextmanager
def _mlflow_or_standin() -> Iterator[None]:
    """While code written for MLflow runs where MLflow is not installed: the few names of it that a model needs."""
    if "mlflow" in sys.modules or importlib.util.find_spec("mlflow") is not None:
        yield
        return
    names = {
        "PythonModel": PythonModel, "PythonModelContext": PythonModelContext,
        "set_model": python_model.set_model, "ModelConfig": python_model.ModelConfig,
    }  # fmt: skip
    modules = {
        name: types.ModuleType(name) for name in ("mlflow", "mlflow.models", "mlflow.pyfunc", "mlflow.pyfunc.model")
    }
    for module in modules.values():
        vars(module).update(names)
    vars(modules["mlflow"]).update(models=modules["mlflow.models"], pyfunc=modules["mlflow.pyfunc"])
    vars(modules["mlflow.pyfunc"]).update(model=modules["mlflow.pyfunc.model"])
    sys.modules.update(modules)
    try:
        yield
    finally:
        for name in modules:
            sys.modules.pop(name, None)


def _needs_headrace(model: Any) -> bool:
    """Whether a model's class is pickled by its name, and its module imports our base class."""
    kind = type(model)
    by_name = kind.__module__ not in ("__main__", PythonModel.__module__) and "<locals>" not in kind.__qualname__
    return by_name and isinstance(model, PythonModel)


def _modules_of(model: Any) -> set[str]:
    """The top-level modules that a Python model's code is seen to use: of the globals of its class and functions."""
    found = set()
    for kind in type(model).__mro__:
        if kind is object or kind is PythonModel or kind.__module__.startswith(("headrace.", "mlflow.")):
            continue
        found.add(kind.__module__)
        for member in vars(kind).values():
            if isinstance(member, types.FunctionType):
                found |= _of_function(member)
    if isinstance(model, FunctionModel):
        found |= _of_function(model.func) | {model.func.__module__}
    for value in vars(model).values():
        found.add(type(value).__module__)
    return {one.partition(".")[0] for one in found if one}


def _of_function(function: Any) -> set[str]:
    """The modules that a function's code names: by its globals, and by the imports inside it."""
    found: set[str] = set()
    code = getattr(function, "__code__", None)
    for name in code.co_names if code is not None else ():
        value = function.__globals__.get(name)
        if isinstance(value, types.ModuleType):
            found.add(value.__name__)
        elif value is not None:
            found.add(getattr(value, "__module__", None) or "")
        elif name in sys.modules:
            found.add(name)
    return found


def _imports(file: Path) -> set[str]:
    """The top-level modules that a file imports."""
    import ast

    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"), str(file))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found
