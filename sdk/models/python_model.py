"""A model that is a Python class or function: `PythonModel`, and what stands for MLflow's classes in its pickles."""

from __future__ import annotations

import contextlib
import inspect
import sys
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple


class PythonModelContext:
    """What a PythonModel finds at load time: artifacts, name to path on this machine, and its configuration."""

    def __init__(self, artifacts: Mapping[str, str], model_config: Mapping[str, Any] | None = None) -> None:
        self.artifacts = dict(artifacts)
        self.model_config = None if model_config is None else dict(model_config)


class TypeHints:
    """What a predict function says of its input and output."""

    def __init__(self, input_: Any = None, output: Any = None) -> None:
        self.input = input_
        self.output = output


class PythonModel:
    """Derive from it, and write `predict(self, context, model_input, params=None)`, or without `context`.

    An object of the class can be saved, logged, loaded and served like any model. MLflow loads it too, without us.
    """

    def load_context(self, context: PythonModelContext) -> None:
        """Called once when the model is loaded, before it predicts: open the artifacts here."""

    def predict(self, context: Any, model_input: Any, params: dict[str, Any] | None = None) -> Any:
        """Predictions for data as the signature says, or as the caller gave them where there is none."""
        raise NotImplementedError(f"{type(self).__name__} has no method predict")

    @property
    def predict_type_hints(self) -> TypeHints:
        """What predict says of its input and output."""
        hints = self.__dict__.get("_predict_type_hints")
        return hints if isinstance(hints, TypeHints) else hints_of(self.predict)


class FunctionModel(PythonModel):
    """A plain function of the input as a model."""

    def __init__(self, func: Callable[..., Any], signature: Any = None) -> None:
        self.func = func
        self.signature = signature

    def predict(self, model_input: Any, params: dict[str, Any] | None = None) -> Any:  # type: ignore[override]
        """What the function says."""
        return self.func(model_input)

    @property
    def predict_type_hints(self) -> TypeHints:
        """What the function says of its input and output."""
        return hints_of(self.func)


class FuncInfo(NamedTuple):
    """What MLflow's wrapper around predict remembers."""

    input_type_hint: Any
    input_param_name: str


class Forgotten:
    """In place of something in MLflow's pickle that nothing here asks for."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass


def as_given(
    arguments: tuple[Any, ...], named: dict[str, Any], index: int, hint: Any, name: str
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """In place of MLflow's check of data against a type hint: the data as they are."""
    return arguments, named


def hints_of(function: Callable[..., Any]) -> TypeHints:
    """The type hints of the input and output of a predict function; None for what it does not say."""
    try:
        hints = typing.get_type_hints(function)
        names = [name for name in inspect.signature(function).parameters if name not in ("self", "context")]
    except (TypeError, ValueError, NameError, AttributeError):
        return TypeHints()
    return TypeHints(hints.get(names[0]) if names else None, hints.get("return"))


_set: list[Any] = []
_configs: list[Mapping[str, Any] | None] = []


def set_model(model: Any) -> None:
    """In a file that is a model (models from code): say which object or function is the model."""
    _set[:] = [model]
    mlflow = sys.modules.get("mlflow.models.model")
    if mlflow is not None:  # it may be MLflow that runs the file
        vars(mlflow)["__mlflow_model__"] = model


def model_that_was_set() -> Any:
    """What `set_model` was called with since the last call of this, or None."""
    return _set.pop() if _set else None


@contextlib.contextmanager
def configured(config: Mapping[str, Any] | None) -> Iterator[None]:
    """While a file of code runs: what `ModelConfig` finds."""
    _configs.append(config)
    try:
        yield
    finally:
        _configs.pop()


class ModelConfig:
    """In a file that is a model: its configuration, or that of development_config (a dict) while there is none."""

    def __init__(self, *, development_config: Mapping[str, Any] | None = None) -> None:
        given = _configs[-1] if _configs else None
        self._config = dict((development_config if given is None else given) or {})

    def get(self, key: str) -> Any:
        """A value. Raises KeyError."""
        return self._config[key]

    def to_dict(self) -> dict[str, Any]:
        """All values."""
        return dict(self._config)
