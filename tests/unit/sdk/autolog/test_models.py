"""The model at the end of a training: whole, with its signature, registered when asked, and never in the way."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import headrace
import headrace.pyfunc
import numpy as np
import pytest
from headrace.ingest.model_events import ModelVersionCreated, RegisteredModelCreated
from headrace.sdk.models.mlmodel import Metadata

from tests.unit.sdk.autolog.logged import runs

pytestmark = [
    pytest.mark.filterwarnings("ignore:::(tensorflow|keras|google|numpy|xgboost|lightgbm|sklearn).*"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]
X = np.random.default_rng(0).normal(size=(60, 4)).astype("float32")
Y = (X[:, 0] > 0).astype("int64")


@pytest.fixture(autouse=True)
def _undone() -> Iterator[None]:
    yield
    headrace.autolog(disable=True)


def model_folder(target: Any, model_id: str) -> Path:
    """Where the target keeps the model's files."""
    [found] = list(target.folder.glob(f"artifacts/*/models/{model_id}/artifacts"))
    assert isinstance(found, Path)
    return found


def small(keras: Any) -> Any:
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, "softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


@pytest.mark.parametrize("kind", ["position", "keyword", "dataset", "generator", "frame"])
def test_a_keras_model_has_a_signature_however_its_data_came_and_predicts(target: Any, kind: str) -> None:
    keras = pytest.importorskip("keras")
    import pandas as pd
    import tensorflow as tf

    headrace.autolog()
    model = small(keras)
    if kind == "position":
        model.fit(X, Y, verbose=0)
    elif kind == "keyword":
        model.fit(y=Y, x=X, verbose=0)
    elif kind == "dataset":
        model.fit(tf.data.Dataset.from_tensor_slices((X, Y)).batch(20), verbose=0)
    elif kind == "generator":
        model.fit(((X, Y) for _ in range(2)), steps_per_epoch=2, verbose=0)
    else:
        model.fit(pd.DataFrame(X, columns=list("abcd")), Y, verbose=0)
    [run] = runs(target)
    [model_id] = run.model_ids
    signature = Metadata.read(model_folder(target, model_id)).signature
    assert signature is not None
    assert signature.inputs is not None
    assert signature.outputs is not None
    given: Any = pd.DataFrame(X, columns=list("abcd")) if kind == "frame" else X
    predicted = np.asarray(headrace.pyfunc.load_model(f"models:/{model_id}").predict(given))
    np.testing.assert_allclose(predicted, model.predict(X, verbose=0), atol=1e-6)


@pytest.mark.parametrize("library", ["sklearn", "xgboost", "lightgbm", "xgboost_train", "lightgbm_train"])
def test_a_fitted_model_is_logged_with_example_and_signature_and_predicts(target: Any, library: str) -> None:
    headrace.autolog(log_input_examples=True)
    model: Any
    if library == "sklearn":
        from sklearn.linear_model import LogisticRegression

        model = LogisticRegression().fit(X, Y)
        expected = model.predict(X)
    elif library.startswith("xgboost"):
        xgboost = pytest.importorskip("xgboost")
        if library == "xgboost":
            model = xgboost.XGBClassifier(n_estimators=2, n_jobs=1).fit(X, Y)
            expected = model.predict(X)
        else:
            model = xgboost.train({"objective": "binary:logistic", "nthread": 1}, xgboost.DMatrix(X, Y), 2)
            expected = model.predict(xgboost.DMatrix(X))
    else:
        lightgbm = pytest.importorskip("lightgbm")
        if library == "lightgbm":
            model = lightgbm.LGBMClassifier(n_estimators=2, n_jobs=1, verbose=-1).fit(X, Y)
        else:
            params = {"objective": "binary", "verbose": -1, "num_threads": 1}
            model = lightgbm.train(params, lightgbm.Dataset(X, Y), 2)
        expected = model.predict(X)
    [run] = runs(target)
    [model_id] = run.model_ids
    described = Metadata.read(model_folder(target, model_id))
    assert described.signature is not None
    assert described.saved_input_example_info is not None
    loaded = headrace.pyfunc.load_model(f"models:/{model_id}")
    np.testing.assert_allclose(np.asarray(loaded.predict(X)).ravel(), expected, atol=1e-6)


def test_without_signatures_and_without_models_there_are_none(target: Any) -> None:
    from headrace.sdk.autolog.sklearn import autolog
    from sklearn.linear_model import LinearRegression

    autolog(log_model_signatures=False)
    LinearRegression().fit(X, Y)
    autolog(log_models=False)
    LinearRegression().fit(X, Y)
    first, second = runs(target)
    assert Metadata.read(model_folder(target, first.model_ids[0])).signature is None
    assert second.model_ids == []


def test_a_model_is_registered_by_name_and_a_searchs_best_estimator_is_not(target: Any) -> None:
    from headrace.sdk.autolog.sklearn import autolog
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV

    autolog(registered_model_name="iris", log_plots=False)
    GridSearchCV(LogisticRegression(), {"C": [1.0, 2.0]}, cv=2).fit(X, Y)
    parent = runs(target)[0]
    assert len(parent.model_ids) == 2
    registered = [event for _, event in target.events("registry")]
    assert [one.name for one in registered if isinstance(one, RegisteredModelCreated)] == ["iris"]
    [version] = [one for one in registered if isinstance(one, ModelVersionCreated)]
    assert version.source == f"models:/{parent.model_ids[0]}"


def test_a_model_that_cannot_be_saved_leaves_its_run_finished(target: Any, caplog: pytest.LogCaptureFixture) -> None:
    from headrace.sdk.autolog.sklearn import autolog
    from sklearn.linear_model import LinearRegression

    autolog(log_plots=False)
    model = LinearRegression()
    model.held = (one for one in "ab")  # nothing pickles a generator
    model.fit(X, Y)
    [run] = runs(target)
    assert (run.status, run.model_ids) == ("FINISHED", [])
    assert "training_score" in run.metrics
    assert "the model was not logged" in caplog.text


def test_logging_a_keras_model_takes_little_of_the_process(target: Any) -> None:
    """A bound that a busy machine keeps; docs/reference/autolog.md has the figure."""
    keras = pytest.importorskip("keras")
    from headrace.sdk.autolog.session import Options
    from headrace.sdk.autolog.trained import log_trained

    model = small(keras)
    model.fit(X, Y, verbose=0)
    with headrace.start_run() as run:
        log_trained(model, "tensorflow", run.info.run_id, Options(), example=X[:5], output=np.zeros((5, 2)))
        began_s = time.thread_time()
        log_trained(model, "tensorflow", run.info.run_id, Options(), example=X[:5], output=np.zeros((5, 2)))
        spent_s = time.thread_time() - began_s
    assert spent_s < 1.5, spent_s
