"""The flavors there are, and how one is found: by name, by MLflow's name of its loader, or by a model."""

from __future__ import annotations

import importlib
from typing import Any, cast

from headrace.sdk.flavors.flavor import Flavor

NAMES = ("sklearn", "python_function")
"""Each a module of this package, in the order in which a model is shown to them."""

LOADERS = {
    "mlflow.sklearn": "sklearn",
    "mlflow.pyfunc.model": "python_function",
    "mlflow.pyfunc.loaders.code_model": "python_function",
}
"""MLflow's name of a loader to the flavor that does its work here."""


class UnknownFlavor(ValueError):
    """A flavor, or a kind of model, that we do not know; the message names those we do."""


def named(name: str) -> Flavor:
    """The flavor of this name. Raises UnknownFlavor."""
    if name not in NAMES:
        raise UnknownFlavor(f"there is no flavor {name!r}; there are {', '.join(NAMES)}")
    return cast(Flavor, importlib.import_module(f"headrace.sdk.flavors.{name}"))


def of_loader(loader_module: str) -> Flavor | None:
    """The flavor that loads what MLflow loads by this module, or None."""
    name = LOADERS.get(loader_module)
    return None if name is None else named(name)


def of_model(model: Any) -> Flavor:
    """The flavor of a model. Raises UnknownFlavor."""
    for name in NAMES:
        flavor = named(name)
        if flavor.recognizes(model):
            return flavor
    kind = f"{type(model).__module__}.{type(model).__qualname__}"
    raise UnknownFlavor(
        f"no flavor knows what to do with a {kind}; there are {', '.join(NAMES)}. Anything can be saved as"
        " a headrace.pyfunc.PythonModel around it"
    )
