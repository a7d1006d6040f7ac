"""Models of every flavor go both ways between stock MLflow 3.17.2 and us, and predict the same on both sides.

One process of stock MLflow saves a model of each kind, and we load them here, where MLflow is not installed; we save
one of each kind, and one process of stock MLflow loads them. What MLflow 1.30.1 saved lies in tests/golden/models.
"""

from __future__ import annotations

import gc
import importlib.util
import json
import os
import pickle
import runpy
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from headrace import models, pyfunc

from tests.environments import stock_mlflow
from tests.missing import report

pytestmark = [
    pytest.mark.mlflow,
    pytest.mark.timeout(1200),
    # TensorFlow, Keras and skl2onnx are imported here, and say what they like of each other.
    pytest.mark.filterwarnings("ignore:::(tensorflow|keras|google|numpy|onnx|skl2onnx|statsmodels).*"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

SOURCES = Path(__file__).parents[1] / "golden_sources" / "mlflow_models"
GOLDEN = Path(__file__).parents[1] / "golden" / "models"
MODEST = {
    "OMP_NUM_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}

OF_STOCK = (
    "catboost_classifier", "catboost_regressor", "keras_exported", "keras_image", "keras_named", "keras_plain",
    "lightgbm_booster", "lightgbm_classifier", "lightgbm_pickle", "onnx", "python_function", "sklearn_pickle",
    "sklearn_proba", "sklearn_skops", "statsmodels", "statsmodels_series", "tensorflow_custom", "tensorflow_image",
    "tensorflow_module", "tensorflow_named", "tensorflow_plain", "tensorflow_registered", "xgboost_booster",
    "xgboost_classifier",
    "xgboost_json",
)  # fmt: skip
OURS = {
    "catboost_classifier": "CatBoostClassifier", "catboost_regressor": "CatBoostRegressor",
    "keras_exported": "_UserObject", "keras_image": "Functional", "keras_plain": "Sequential",
    "lightgbm_booster": "Booster", "lightgbm_classifier": "LGBMClassifier", "lightgbm_skops": "LGBMClassifier",
    "onnx": "ModelProto", "python_function": None, "sklearn": "LogisticRegression",
    "sklearn_proba": "LogisticRegression", "sklearn_skops": "LogisticRegression",
    "statsmodels": "RegressionResultsWrapper", "statsmodels_series": "ARIMAResultsWrapper",
    "tensorflow_custom": "Sequential", "tensorflow_estimator": "_WrapperFunction", "tensorflow_image": "Functional",
    "tensorflow_module": "_UserObject", "tensorflow_named": "Functional", "tensorflow_plain": "Sequential",
    "tensorflow_registered": "Sequential",
    "xgboost_booster": "Booster", "xgboost_classifier": "XGBClassifier", "xgboost_json": "XGBClassifier",
}  # fmt: skip
"""Each kind that we save, and the class that MLflow's own loader makes of it."""


def equal(ours: Any, theirs: Any) -> None:
    """The same predictions, in the same containers; fractions to 1e-6."""
    if isinstance(theirs, np.ndarray) and theirs.dtype == object and theirs.ndim == 0:
        theirs = theirs.item()  # what MLflow's keras flavor makes of a model that gives a dict
    if isinstance(theirs, dict):
        assert set(ours) == set(theirs)
        for name in theirs:
            equal(ours[name], theirs[name])
    elif isinstance(theirs, pd.DataFrame):
        # The outputs of a SavedModel are in no order there.
        pd.testing.assert_frame_equal(ours, theirs, rtol=1e-6, atol=1e-6, check_like="classes" in theirs)
    elif isinstance(theirs, pd.Series):
        pd.testing.assert_series_equal(ours, theirs, rtol=1e-6, atol=1e-6)
    else:
        assert isinstance(ours, type(theirs))
        assert np.asarray(ours).dtype == np.asarray(theirs).dtype
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-6)


def stock(script: str, *arguments: str) -> None:
    """Run a script by stock MLflow; it must end well."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "HEADRACE_", "PYTHON", "VIRTUAL_"))}
    done = subprocess.run(
        [str(stock_mlflow(report)), str(SOURCES / script), *arguments],
        capture_output=True, text=True, check=False, timeout=900, env={**kept, **MODEST}, cwd=arguments[0],
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]


@pytest.fixture(scope="module", autouse=True)
def _modest() -> Iterator[None]:
    """Few threads for the frameworks that are imported here."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in MODEST.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="module")
def of_stock(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of models that stock MLflow saved, with what each was asked and answered."""
    folder = tmp_path_factory.mktemp("of-stock")
    stock("save_by_mlflow.py", str(folder))
    return folder


@pytest.fixture(scope="module")
def trained() -> Any:
    """How the models are made, on both sides."""
    return SimpleNamespace(**runpy.run_path(str(SOURCES / "trained.py")))


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory, trained: Any) -> Path:
    """A folder of models that we saved, with what each was asked, and what stock MLflow answered."""
    folder = tmp_path_factory.mktemp("ours")
    for name in OURS:
        model, options = made(name, trained)
        data = trained.asked(name)
        models.save_model(model, folder / name, input_example=data if "series" not in name else None, **options)
        (folder / f"{name}.asked").write_bytes(pickle.dumps(data))
    sys.modules["keras"].saving.get_custom_objects().clear()
    stock("load_by_mlflow.py", str(folder))
    return folder


def tripled() -> Any:
    """Three times the sum of a row; its class is one that nobody can import, as of a script's."""

    class Tripled(pyfunc.PythonModel):
        def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
            return model_input.sum(axis=1) * 3

    return Tripled()


def made(name: str, trained: Any) -> tuple[Any, dict[str, Any]]:
    """A trained model, and how to save it."""
    flavor, _, kind = name.partition("_")
    match flavor:
        case "sklearn":
            options: dict[str, dict[str, Any]] = {
                "": {}, "proba": {"pyfunc_predict_fn": "predict_proba"}, "skops": {"serialization_format": "skops"}
            }  # fmt: skip
            return trained.sklearn(), options[kind]
        case "python":
            return tripled(), {}
        case "xgboost" | "lightgbm":
            told = {"json": {"model_format": "json"}, "skops": {"serialization_format": "skops"}}.get(kind, {})
            return getattr(trained, flavor)("booster" if kind == "booster" else "classifier"), told
        case "catboost" | "statsmodels":
            return getattr(trained, flavor)(kind or "ols"), {}
        case "onnx":
            return trained.onnx(), {}
    if kind == "module":
        return trained.module(), {}
    if kind in ("custom", "registered"):
        model, objects = trained.keras("custom")
        if kind == "registered":
            import keras

            keras.saving.register_keras_serializable("team")(objects["Doubled"])
            return model, {}
        return model, {"custom_objects": objects}
    layout: dict[str, Any] = {"layout": "estimator"} if kind == "estimator" else {}
    exported = {"save_exported_model": True} if kind == "exported" else {}
    model = trained.keras(kind if kind in ("named", "image") else "plain")
    return model, {"flavor": flavor, **layout, **exported}


def test_mlflow_is_not_installed_here() -> None:
    assert importlib.util.find_spec("mlflow") is None


@pytest.mark.parametrize("name", OF_STOCK)
def test_what_mlflow_saved_predicts_the_same_here(of_stock: Path, name: str) -> None:
    data, theirs = pickle.loads((of_stock / f"{name}.pickle").read_bytes())

    equal(pyfunc.load_model(of_stock / name).predict(data), theirs)
    assert models.load_model(of_stock / name) is not None


@pytest.mark.filterwarnings("ignore:Trying to unpickle estimator")  # of a version of scikit-learn that is long past
@pytest.mark.parametrize("name", [file.stem for file in sorted(GOLDEN.glob("*.json"))])
def test_what_mlflow_1_saved_predicts_the_same_here(name: str) -> None:
    said = json.loads((GOLDEN / f"{name}.json").read_text())
    theirs = said["answered"]

    answer = pyfunc.load_model(GOLDEN / name).predict(pd.DataFrame(said["asked"]))

    if not isinstance(theirs, dict):
        np.testing.assert_allclose(answer, theirs, atol=1e-6)
        return
    assert {str(column) for column in answer.columns} == set(theirs)
    for column in answer.columns:
        if "classes" in str(column):
            assert np.array(answer[column].to_list(), str).tolist() == theirs[str(column)]
        else:
            np.testing.assert_allclose(answer[column].to_list(), theirs[str(column)], atol=1e-6)


def test_an_estimator_of_mlflow_1_is_a_function_of_tensors_by_its_own_loader() -> None:
    import tensorflow as tf

    said = json.loads((GOLDEN / "estimator.json").read_text())
    function = models.load_model(GOLDEN / "estimator")
    gc.collect()  # TensorFlow's functions hold their variables weakly

    answer = function(**{name: tf.constant(values, tf.float64) for name, values in said["asked"].items()})

    np.testing.assert_allclose(answer["probabilities"].numpy(), said["answered"]["probabilities"], atol=1e-6)


@pytest.mark.parametrize("name", OURS)
def test_what_we_save_predicts_the_same_in_mlflow(ours: Path, name: str) -> None:
    data = pickle.loads((ours / f"{name}.asked").read_bytes())
    theirs, natives = pickle.loads((ours / f"{name}.answered").read_bytes())

    assert natives is not None, theirs
    equal(pyfunc.load_model(ours / name).predict(data), theirs)
    assert natives == ([OURS[name]] if OURS[name] else [])


@pytest.mark.parametrize("name", [name for name in OURS if "series" not in name])
def test_an_array_is_answered_as_a_frame_of_it(ours: Path, name: str) -> None:
    loaded = pyfunc.load_model(ours / name)
    data = pickle.loads((ours / f"{name}.asked").read_bytes())
    if loaded.predictor.predict_array is None or not isinstance(data, pd.DataFrame):
        return
    answer: Callable[..., Any] = loaded.predictor.predict_array

    by_array, by_frame = answer(data.to_numpy(), None), loaded.predict(data)

    assert isinstance(by_array, type(by_frame))
    equal(by_array, by_frame)
