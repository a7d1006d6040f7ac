"""The flavors there are, and how one is found: by name, by MLflow's name of its loader, or by a model."""

from __future__ import annotations

import importlib
from typing import Any, cast

from headrace.sdk.flavors.flavor import Flavor

NAMES = (
    "xgboost",
    "lightgbm",
    "catboost",
    "tensorflow",
    "keras",
    "pytorch",
    "onnx",
    "statsmodels",
    "sklearn",
    "python_function",
)
"""Each a module of this package, in the order in which a model is shown to them."""

LOADERS = {
    **{f"mlflow.{name}": name for name in NAMES if name != "python_function"},
    "mlflow.pyfunc.model": "python_function",
    "mlflow.pyfunc.loaders.code_model": "python_function",
}
"""MLflow's name of a loader to the flavor that does its work here."""

OTHERS = {
    "anthropic": "anthropic",
    "diffusers": "diffusers",
    "dspy": "dspy",
    "fastai": "fastai",
    "gluon": "mxnet",
    "h2o": "h2o",
    "johnsnowlabs": "johnsnowlabs",
    "langchain": "langchain",
    "llama_index": "llama-index",
    "mleap": "mleap",
    "openai": "openai",
    "paddle": "paddlepaddle",
    "pmdarima": "pmdarima",
    "promptflow": "promptflow",
    "prophet": "prophet",
    "sentence_transformers": "sentence-transformers",
    "shap": "shap",
    "spacy": "spacy",
    "spark": "pyspark",
    "transformers": "transformers",
}
"""Flavors of MLflow's that are not ours, and the package each needs besides MLflow: pyfunc loads them by MLflow."""


class UnknownFlavor(ValueError):
    """A flavor, or a kind of model, that we do not know; the message names those we do."""


def named(name: str) -> Flavor:
    """The flavor of this name. Raises UnknownFlavor."""
    if name not in NAMES:
        raise UnknownFlavor(
            f"there is no flavor {name!r}; there are {', '.join(NAMES)}"
            + (f". {name} is MLflow's own: {how_to_load(name)}" if name in OTHERS else "")
        )
    return cast(Flavor, importlib.import_module(f"headrace.sdk.flavors.{name}"))


def of_loader(loader_module: str) -> Flavor | None:
    """The flavor that loads what MLflow loads by this module, or None."""
    name = LOADERS.get(loader_module)
    return None if name is None else named(name)


def how_to_load(name: str) -> str:
    """What to do with a model of one of MLflow's flavors that are not ours."""
    package = OTHERS.get(name)
    return f"pip install mlflow{'' if package is None else f' {package}'}, and load it with headrace.pyfunc.load_model"


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
