"""What a flavor is: a module with the names of `Flavor`, and the two things it hands out.

A flavor's module imports its framework inside its functions only; `recognizes` looks in `sys.modules`. To add one:
write `sdk/flavors/NAME.py`, name it in `sdk/flavors/known.py`, and give it a public face `sdk/root/NAME.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

Predict = Callable[[Any, "dict[str, Any] | None"], Any]
"""(data, params) -> predictions; params are checked already, None where the signature has none."""


class MissingPackage(ImportError):
    """A model needs a package that is not installed; the message says which, and how to install it."""


@dataclass(frozen=True)
class Saved:
    """What a flavor wrote.

    flavors: entries of MLmodel below `flavors`, with `python_function` where the model can predict (see
    `sdk/models/mlmodel.pyfunc_entry`). modules: what is imported to load it: top-level names of modules, of whose
    distributions the requirements are made. extra: requirements besides, as pip reads them.
    """

    flavors: dict[str, dict[str, Any]]
    modules: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()


@dataclass(frozen=True)
class Predictor:
    """A model that is ready to predict.

    model: the native one. predict: what pyfunc calls with data that fit the signature. predict_array: the same for a
    2-d array whose columns are those of the signature in its order, where the model gives the same answer for that
    as for a DataFrame, and None where it may not. attributes: other methods of the model that pyfunc passes on.
    """

    model: Any
    predict: Predict
    predict_array: Predict | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)


class Flavor(Protocol):
    """The names a flavor's module has. One may have `wrap(model, pyfunc_entry) -> Predictor` too: a predictor of a
    model in memory, so that a signature can be told from an example without loading what was just saved; None where
    the model has to be loaded after all."""

    NAME: str
    """Its key below `flavors`."""
    LOADER_MODULE: str
    """What MLflow calls its loader."""
    PACKAGES: tuple[str, ...]
    """What has to be installed to load it."""

    def recognizes(self, model: Any) -> bool:
        """Whether a model is of this flavor, told without importing the framework."""
        ...

    def save(self, model: Any, folder: Path, *, example: Any = None, **options: Any) -> Saved:
        """Write the model into the folder, which is there. example: input as the user gave it, or None.

        options: this flavor's own. Raises TypeError for an unknown option, OSError.
        """
        ...

    def load(self, folder: Path, entry: Mapping[str, Any], **options: Any) -> Any:
        """The native model. entry: this flavor's keys of MLmodel, empty where it has none. options: this flavor's own.

        Raises MissingPackage, TypeError for an unknown option.
        """
        ...

    def predictor(self, folder: Path, entry: Mapping[str, Any], pyfunc_entry: Mapping[str, Any]) -> Predictor:
        """The model ready to predict. pyfunc_entry: the keys of python_function. Raises MissingPackage."""
        ...


def need(module: str, packages: tuple[str, ...]) -> Any:
    """Import a framework's module. Raises MissingPackage, which says what to install."""
    import importlib

    try:
        return importlib.import_module(module)
    except ImportError as error:
        if (error.name or "").partition(".")[0] != module.partition(".")[0]:
            raise
        raise MissingPackage(
            f"this model needs {module.partition('.')[0]}: pip install {' '.join(packages)}", name=error.name
        ) from error


def loaded(model: Any, *tops: str) -> bool:
    """Whether a class of the model's comes from one of these top-level modules."""
    return any(one.__module__.partition(".")[0] in tops for one in type(model).__mro__)
