"""Which flavor a model is of, and what is said of those we do not have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pytest
import xgboost
from headrace import models, pyfunc
from headrace.sdk.flavors import known
from headrace.sdk.flavors.flavor import MissingPackage
from sklearn.linear_model import LinearRegression

X, Y = np.arange(40.0).reshape(20, 2), np.arange(20) % 2


def described(folder: Path, loader: str, flavor: str) -> Path:
    folder.mkdir()
    text = f"flavors:\n  python_function: {{loader_module: {loader}}}\n  {flavor}: {{data: model}}\n"
    (folder / "MLmodel").write_text(text)
    return folder


@pytest.mark.parametrize(
    ("model", "flavor"),
    [
        (xgboost.XGBRegressor(n_estimators=1), "xgboost"),
        (lightgbm.LGBMClassifier(n_estimators=1, verbose=-1), "lightgbm"),
        (LinearRegression(), "sklearn"),
    ],
)
def test_a_library_with_the_interface_of_scikit_learn_keeps_its_own_flavor(model: Any, flavor: str) -> None:
    assert flavor == known.of_model(model.fit(X, Y)).NAME


def test_a_model_of_no_flavor_is_refused_with_what_to_do() -> None:
    with pytest.raises(known.UnknownFlavor, match=r"no flavor knows.*builtins\.dict.*PythonModel around it"):
        known.of_model({})


def test_a_flavor_of_mlflows_that_is_not_ours_names_what_to_install(tmp_path: Path) -> None:
    folder = described(tmp_path / "m", "mlflow.prophet", "prophet")

    with pytest.raises(MissingPackage, match="MLflow's flavor prophet: pip install mlflow prophet"):
        pyfunc.load_model(folder)
    with pytest.raises(known.UnknownFlavor, match="prophet is MLflow's own: pip install mlflow prophet"):
        models.load_model(folder, "prophet")


def test_a_model_whose_framework_is_not_installed_names_it(tmp_path: Path) -> None:
    folder = described(tmp_path / "m", "mlflow.pytorch", "pytorch")

    with pytest.raises(MissingPackage, match="this model needs torch: pip install torch"):
        pyfunc.load_model(folder)


@pytest.mark.parametrize("flavor", ["catboost", "lightgbm", "onnx", "tensorflow", "xgboost", "statsmodels", "keras"])
def test_a_model_whose_file_is_gone_says_which(tmp_path: Path, flavor: str) -> None:
    if flavor in ("tensorflow", "keras"):
        pytest.importorskip("keras")
    folder = described(tmp_path / "m", f"mlflow.{flavor}", flavor)

    with pytest.raises(models.NoModel, match=r"/m/\S*model"):
        pyfunc.load_model(folder)
