"""scikit-learn: what a fit leaves behind, what is logged once only, and what a program measures afterwards."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import headrace
import numpy as np
import pytest
from headrace.sdk.autolog import sklearn as autologging
from sklearn import metrics as sklearn_metrics
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.ensemble import BaggingClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.neural_network import BernoulliRBM
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tests.unit.sdk.autolog.logged import runs

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(40, 3))
LABELS = (X[:, 0] > 0).astype(int)
TARGETS = X @ np.array([1.0, 2.0, 3.0])
OF_CLASSIFIERS = {
    f"training_{name}"
    for name in ("precision_score", "recall_score", "f1_score", "accuracy_score", "log_loss", "roc_auc", "score")
}
OF_REGRESSORS = {
    f"training_{name}"
    for name in ("mean_squared_error", "mean_absolute_error", "r2_score", "root_mean_squared_error", "score")
}


@pytest.fixture(autouse=True)
def _undone() -> Iterator[None]:
    yield
    autologging.autolog(disable=True)


def test_a_classifier_logs_params_tags_metrics_files_and_data(target: Any) -> None:
    autologging.autolog(log_models=False, extra_tags={"team": "a"})
    LogisticRegression(C=2.0).fit(X, LABELS)
    [run] = runs(target)
    assert run.status == "FINISHED"
    assert run.params == {name: str(value) for name, value in LogisticRegression(C=2.0).get_params().items()}
    assert {key: run.tags[key] for key in ("mlflow.autologging", "estimator_name", "estimator_class", "team")} == {
        "mlflow.autologging": "sklearn",
        "estimator_name": "LogisticRegression",
        "estimator_class": "sklearn.linear_model._logistic.LogisticRegression",
        "team": "a",
    }
    assert run.metrics.keys() == OF_CLASSIFIERS
    assert run.metrics["training_score"][0][1] == LogisticRegression(C=2.0).fit(X, LABELS).score(X, LABELS)
    plots = {f"training_{name}.png" for name in ("confusion_matrix", "roc_curve", "precision_recall_curve")}
    assert run.files.keys() >= {"estimator.html"}
    assert run.files.keys() <= {"estimator.html", *plots}
    assert [context for context, _ in run.inputs] == ["train"]


def test_a_regressor_has_the_metrics_of_regressors_and_data_by_keyword_are_found(target: Any) -> None:
    autologging.autolog(log_models=False)
    LinearRegression().fit(y=TARGETS, X=X, sample_weight=np.ones(40))
    [run] = runs(target)
    assert run.metrics.keys() == OF_REGRESSORS


def test_a_pipeline_is_logged_once_with_the_params_of_its_steps(target: Any) -> None:
    autologging.autolog(log_models=False, log_plots=False)
    make_pipeline(StandardScaler(), LogisticRegression()).fit(X, LABELS)
    [run] = runs(target)
    assert run.params["logisticregression__C"] == "1.0"
    assert run.tags["estimator_name"] == "Pipeline"
    assert run.metrics.keys() == OF_CLASSIFIERS


def test_what_only_prepares_data_is_not_logged(target: Any) -> None:
    autologging.autolog(log_models=False)
    StandardScaler().fit_transform(X)
    assert runs(target) == []


def test_fit_transform_and_fit_predict_are_fits(target: Any) -> None:
    autologging.autolog(log_models=False)
    PCA(2).fit_transform(X)
    KMeans(2, n_init=1).fit_predict(X)
    BernoulliRBM(2, n_iter=1).fit_transform((X > 0).astype(float))  # which it has of a mixin
    found = runs(target)
    assert [run.tags["estimator_name"] for run in found] == ["PCA", "KMeans", "BernoulliRBM"]
    assert [[context for context, _ in run.inputs] for run in found] == [["train"]] * 3


def test_an_estimator_of_the_program_itself_is_not_logged(target: Any) -> None:
    class Own(TransformerMixin, BaseEstimator):  # type: ignore[misc]
        def fit(self, X: Any, y: Any = None) -> Own:
            return self

        def transform(self, X: Any) -> Any:
            return X

    autologging.autolog()
    assert Own().fit_transform(X) is X
    assert runs(target) == []


@pytest.mark.parametrize("search", ["grid", "random"])
def test_a_search_has_child_runs_of_its_best_and_only_so_many(target: Any, search: str) -> None:
    autologging.autolog(log_models=False, log_plots=False, max_tuning_runs=2)
    made = (
        GridSearchCV(LogisticRegression(), {"C": [0.001, 1.0, 2.0]}, cv=2)
        if search == "grid"
        else RandomizedSearchCV(LogisticRegression(), {"C": [0.001, 1.0, 2.0]}, n_iter=3, cv=2, random_state=0)
    )
    made.fit(X, LABELS)
    parent, *children = runs(target)
    assert parent.params["best_C"] == str(made.best_params_["C"])
    assert parent.metrics["best_cv_score"] == [(0, made.best_score_)]
    assert "cv_results.csv" in parent.files
    assert "estimator__C" not in parent.params
    assert len(children) == 2
    assert all(child.parent is not None and child.status == "FINISHED" for child in children)
    assert children[0].metrics["rank_test_score"][0][1] == 1.0
    assert children[0].params["C"] == str(made.best_params_["C"])
    assert {"mean_test_score", "std_test_score", "mean_fit_time"} <= children[0].metrics.keys()
    assert not any(key.startswith(("param", "split")) for key in children[0].metrics)


@pytest.mark.parametrize("backend", ["sequential", "threading"])
def test_fits_within_a_fit_are_not_logged_in_threads_either(target: Any, backend: str) -> None:
    import joblib  # type: ignore[import-untyped]

    autologging.autolog(log_models=False, log_plots=False)
    with joblib.parallel_backend(backend, n_jobs=2):
        BaggingClassifier(LogisticRegression(), n_estimators=4, n_jobs=2).fit(X, LABELS)
        GridSearchCV(LogisticRegression(), {"C": [1.0, 2.0]}, cv=2, n_jobs=2).fit(X, LABELS)
    assert [run.tags["estimator_name"] for run in runs(target) if run.parent is None] == [
        "BaggingClassifier",
        "GridSearchCV",
    ]


def test_functions_that_fit_many_times_log_nothing(target: Any) -> None:
    from sklearn import model_selection

    autologging.autolog(log_models=False)
    model_selection.cross_val_score(LogisticRegression(), X, LABELS, cv=2)
    assert runs(target) == []


def test_what_a_program_measures_of_a_logged_model_is_named_after_its_variables(target: Any) -> None:
    autologging.autolog(log_models=False, log_plots=False)
    model = LogisticRegression().fit(X, LABELS)
    X_test, y_test = X[:20].copy(), LABELS[:20]
    predicted = model.predict(X_test)
    first = sklearn_metrics.accuracy_score(y_test, predicted)
    sklearn_metrics.accuracy_score(y_test, predicted, normalize=False)
    sklearn_metrics.confusion_matrix(y_test, predicted)
    model.score(X_test, y_test)
    sklearn_metrics.accuracy_score(y_test, list(predicted))
    [run] = runs(target)
    assert {key for key in run.metrics if not key.startswith("training_")} == {
        "accuracy_score_X_test",
        "accuracy_score-2_X_test",
        "LogisticRegression_score_X_test",
    }
    assert run.metrics["accuracy_score_X_test"] == [(0, first)]
    assert "metric_info.json" in run.files
    assert [context for context, _ in run.inputs] == ["train", "eval"]


def test_predictions_that_are_gone_are_forgotten(target: Any) -> None:
    from headrace.sdk.autolog import sklearn_metrics as remembered

    autologging.autolog(log_models=False, log_plots=False, log_datasets=False)
    model = LogisticRegression().fit(X, LABELS)
    before = len(remembered._predictions)
    for _ in range(5):
        model.predict(X)
    assert len(remembered._predictions) == before


def test_a_fit_that_raises_ends_its_run_as_failed(target: Any) -> None:
    autologging.autolog(log_models=False)
    with pytest.raises(ValueError, match="NaN"):
        LogisticRegression().fit(np.full((4, 2), np.nan), [0, 1, 0, 1])
    [run] = runs(target)
    assert run.status == "FAILED"


def test_odd_estimators_and_odd_data_are_fitted_all_the_same(target: Any) -> None:
    class Own(BaseEstimator):  # type: ignore[misc]
        def fit(self, X: Any, y: Any = None) -> Own:
            self.fitted_ = True
            return self

    autologging.autolog(log_plots=False)
    assert Own().fit(object()).fitted_
    Ridge().fit([[1.0], [2.0]], [1.0, 2.0])
    [run] = runs(target)
    assert run.status == "FINISHED"
    assert "training_score" in run.metrics


def test_a_hooked_estimator_clones_and_pickles_and_disabled_again_all_is_as_it_was(target: Any) -> None:
    import pickle

    fit, accuracy_score = LogisticRegression.fit, sklearn_metrics.accuracy_score
    autologging.autolog(log_models=False, log_plots=False)
    assert LogisticRegression.fit is not fit
    with headrace.start_run():
        model = clone(LogisticRegression()).fit(X, LABELS)
    assert list(pickle.loads(pickle.dumps(model)).predict(X)) == list(model.predict(X))
    autologging.autolog(disable=True)
    assert LogisticRegression.fit is fit
    assert sklearn_metrics.accuracy_score is accuracy_score


def test_fits_in_threads_of_the_program_have_runs_of_their_own(target: Any) -> None:
    autologging.autolog(log_models=False, log_plots=False)
    both = threading.Barrier(2, timeout=60)

    class Meeting(Ridge):  # type: ignore[misc]
        def predict(self, X: Any) -> Any:
            both.wait()  # each fit is measured while the other is
            return super().predict(X)

    threads = [threading.Thread(target=lambda: Meeting().fit(X, TARGETS)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    first, second = runs(target)
    assert (first.status, second.status) == ("FINISHED", "FINISHED")
    assert set(first.metrics) == set(second.metrics) == OF_REGRESSORS


def test_a_negative_number_of_child_runs_is_refused() -> None:
    with pytest.raises(ValueError, match="0 or more"):
        autologging.autolog(max_tuning_runs=-1)
