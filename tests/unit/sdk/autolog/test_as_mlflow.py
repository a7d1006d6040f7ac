"""What autolog logs has the names that stock MLflow 3.17.2 was recorded to give it, but for what is listed."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from headrace.sdk.autolog.everything import INTEGRATIONS, autolog

from tests.unit.sdk.autolog.logged import Logged, runs

pytestmark = [
    pytest.mark.filterwarnings("ignore:::(tensorflow|keras|google|numpy|xgboost|lightgbm|sklearn).*"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]
SOURCES = Path(__file__).parents[3] / "golden_sources" / "autolog"
STOCK: dict[str, Any] = json.loads((SOURCES / "stock.json").read_text())

NOT_LOGGED = {
    # Defects of stock's, see docs/reference/autolog.md.
    "metrics": {"validation_loss", "validation_accuracy"},
    "tags": {"mlflow.latest_checkpoint_artifact"},
    # The checkpoint and TensorBoard's files are logged when they are asked for.
    "files": ("checkpoints/", "tensorboard_logs/"),
}
OTHER_VALUES = {"opt_name"}
"""Params whose text may differ: Keras counts the optimizers of a process in their names."""
MORE_INPUTS = {"lightgbm_estimator": ["eval"]}
"""Data sets that we find and stock does not."""


@pytest.fixture(autouse=True)
def _undone() -> Iterator[None]:
    yield
    autolog(disable=True)


@pytest.fixture(scope="module")
def trainings() -> Iterator[ModuleType]:
    sys.path.insert(0, str(SOURCES))
    yield importlib.import_module("trainings")
    sys.path.remove(str(SOURCES))


def named(trainings: ModuleType, name: str) -> tuple[str, Callable[[], None]]:
    """The flavor whose autolog is on, and the training."""
    for flavor, made in trainings.TRAININGS.items():
        for one in made:
            if one.__name__ == name:
                return flavor, one
    raise KeyError(name)


def same(ours: Logged, stock: dict[str, Any], more: list[str]) -> None:
    """The same names of params, metrics, tags and files, the same steps, the same texts."""
    assert ours.status == stock["status"]
    assert ours.params.keys() == stock["params"].keys()
    differing = {key for key, value in ours.params.items() if stock["params"][key] != value}
    assert differing <= OTHER_VALUES, {key: (ours.params[key], stock["params"][key]) for key in differing}
    stocks_metrics = {key: steps for key, steps in stock["metrics"].items() if key not in NOT_LOGGED["metrics"]}
    assert {key: sorted(step for step, _ in points) for key, points in ours.metrics.items()} == stocks_metrics
    tags = {key: value for key, value in stock["tags"].items() if key not in NOT_LOGGED["tags"]}
    assert {key: ours.tags.get(key) for key in tags} == tags
    skipped = tuple(NOT_LOGGED["files"])
    assert {path for path in stock["files"] if not path.startswith(skipped)} == ours.files.keys()
    assert sorted(context for context, _ in ours.inputs) == sorted(stock["inputs"] + more)
    assert ours.models == stock["models"]


@pytest.mark.parametrize("name", sorted(STOCK))
def test_the_names_are_those_of_stock_mlflow(target: Any, trainings: ModuleType, name: str) -> None:
    flavor, training = named(trainings, name)
    pytest.importorskip(flavor if flavor != "tensorflow" else "keras")
    pytest.importorskip("matplotlib")
    INTEGRATIONS[flavor]()
    training()
    found = runs(target)
    parents = [run for run in found if run.parent is None]
    children = [run for run in found if run.parent is not None]
    assert len(parents) == len(STOCK[name]["runs"])
    for ours, stock in zip(parents, STOCK[name]["runs"], strict=True):
        same(ours, stock, MORE_INPUTS.get(name, []))
    assert len(children) == STOCK[name]["children"]
    if children:
        same(children[0], {**STOCK[name]["child"], "params": children[0].params}, [])
