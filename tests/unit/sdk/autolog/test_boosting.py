"""XGBoost and LightGBM: rounds, the best of them, importances, once per training."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType
from typing import Any

import headrace
import numpy as np
import pytest
from headrace.sdk.autolog import lightgbm as of_lightgbm
from headrace.sdk.autolog import sklearn as of_sklearn
from headrace.sdk.autolog import xgboost as of_xgboost

from tests.unit.sdk.autolog.logged import Logged, runs

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:(xgboost|lightgbm|sklearn).*")
RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(120, 3))
Y = (X[:, 0] + RANDOM.normal(size=120) > 0).astype(int)
LIBRARIES = ("xgboost", "lightgbm")


@pytest.fixture(autouse=True)
def _undone() -> Iterator[None]:
    yield
    for one in (of_xgboost, of_lightgbm, of_sklearn):
        one.autolog(disable=True)


@pytest.fixture
def library(request: pytest.FixtureRequest) -> ModuleType:
    found: ModuleType = pytest.importorskip(request.param)
    return found


def on(library: ModuleType, **options: Any) -> None:
    (of_xgboost if library.__name__ == "xgboost" else of_lightgbm).autolog(**options)


def trained(library: ModuleType, stop_after: int | None = None, **more: Any) -> Any:
    """A booster, trained by the library's own function; what is evaluated gets worse at once when it shall stop."""
    wrong = 1 - Y if stop_after else Y
    if library.__name__ == "xgboost":
        data = library.DMatrix(X, Y)
        held = library.DMatrix(X, wrong)
        return library.train(
            {"objective": "binary:logistic", "max_depth": 2, "nthread": 1}, data, 8, evals=[(held, "held")],
            early_stopping_rounds=stop_after, verbose_eval=False, **more,
        )  # fmt: skip
    data = library.Dataset(X, Y)
    held = library.Dataset(X, wrong, reference=data)
    stops = [library.early_stopping(stop_after, verbose=False)] if stop_after else []
    return library.train(
        {"objective": "binary", "max_depth": 2, "verbose": -1, "num_threads": 1}, data, 8, valid_sets=[held],
        valid_names=["held"], callbacks=stops + more.pop("callbacks", []), **more,
    )  # fmt: skip


@pytest.mark.parametrize("library", LIBRARIES, indirect=True)
def test_a_training_logs_params_the_metrics_of_each_round_importances_and_data(target: Any, library: Any) -> None:
    on(library, log_models=False)
    booster = trained(library)
    assert booster is not None
    [run] = runs(target)
    assert run.status == "FINISHED"
    assert run.tags["mlflow.autologging"] == library.__name__
    assert (run.params["max_depth"], run.params["num_boost_round"]) == ("2", "8")
    [(key, points)] = run.metrics.items()
    assert key == {"xgboost": "held-logloss", "lightgbm": "held-binary_logloss"}[library.__name__]
    assert [step for step, _ in points] == list(range(8))
    kinds = {"xgboost": ["weight"], "lightgbm": ["split", "gain"]}[library.__name__]
    assert {f"feature_importance_{kind}.json" for kind in kinds} <= run.files.keys()
    assert [(context, dataset.name) for context, dataset in run.inputs] == [("train", "dataset"), ("eval", "held")]


@pytest.mark.parametrize("library", LIBRARIES, indirect=True)
def test_early_stopping_is_told_with_the_metrics_of_the_best_round(target: Any, library: Any) -> None:
    on(library, log_models=False)
    trained(library, stop_after=2)
    [run] = runs(target)
    stopped = {"xgboost": (2.0, 0.0), "lightgbm": (3.0, 1.0)}[library.__name__]
    assert (run.metrics["stopped_iteration"][0][1], run.metrics["best_iteration"][0][1]) == stopped
    [points] = [points for key, points in run.metrics.items() if key.startswith("held-")]
    assert points[-1] == (3, points[0][1])


@pytest.mark.parametrize("library", LIBRARIES, indirect=True)
def test_an_estimator_logs_one_run_and_what_it_scores_later_too(target: Any, library: Any) -> None:
    on(library, log_models=False)
    of_sklearn.autolog(log_models=False)
    if library.__name__ == "xgboost":
        made = library.XGBClassifier(n_estimators=3, n_jobs=1)
        made.fit(X, Y, eval_set=[(X, Y)], verbose=False)
    else:
        made = library.LGBMClassifier(n_estimators=3, n_jobs=1, verbose=-1)
        made.fit(X, Y, eval_X=(X,), eval_y=(Y,))
    made.score(X, Y)
    [run] = runs(target)
    assert run.tags["mlflow.autologging"] == library.__name__
    assert len(next(points for key, points in run.metrics.items() if "logloss" in key)) == 3
    assert f"{type(made).__name__}_score_X" in run.metrics


@pytest.mark.parametrize("library", LIBRARIES, indirect=True)
def test_an_estimator_within_a_search_of_scikit_learn_is_part_of_that(target: Any, library: Any) -> None:
    from sklearn.model_selection import GridSearchCV

    on(library, log_models=False)
    of_sklearn.autolog(log_models=False, log_plots=False)
    made = library.XGBClassifier(n_jobs=1) if library.__name__ == "xgboost" else library.LGBMClassifier(verbose=-1)
    GridSearchCV(made, {"n_estimators": [2, 3]}, cv=2).fit(X, Y)
    parents = [run for run in runs(target) if run.parent is None]
    assert [run.tags["mlflow.autologging"] for run in parents] == ["sklearn"]


@pytest.mark.parametrize("library", LIBRARIES, indirect=True)
def test_the_callbacks_of_the_program_are_not_changed_and_what_they_raise_is_raised(target: Any, library: Any) -> None:
    class Stop(Exception):
        pass

    def stop(*_: Any) -> bool:
        raise Stop

    on(library, log_models=False)
    callback: Any = stop
    if library.__name__ == "xgboost":
        callback = type("Mine", (library.callback.TrainingCallback,), {"after_iteration": stop})()
    mine = [callback]
    with pytest.raises(Stop):
        trained(library, callbacks=mine)
    assert mine == [callback]
    with headrace.start_run():
        trained(library)
    failed, finished = runs(target)
    assert (failed.status, finished.status) == ("FAILED", "FINISHED")


@pytest.mark.parametrize("library", LIBRARIES, indirect=True)
def test_disabled_again_the_library_is_as_it_was(target: Any, library: Any) -> None:
    before = library.train
    on(library)
    assert library.train is not before
    on(library, disable=True)
    assert library.train is before
    trained(library)
    assert runs(target) == []


def test_metrics_with_a_sign_no_key_may_have_are_renamed_as_in_mlflow(target: Any) -> None:
    xgboost = pytest.importorskip("xgboost")
    of_xgboost.autolog(log_models=False)
    data = xgboost.DMatrix(X, Y)
    data.set_group([60, 60])
    xgboost.train({"objective": "rank:ndcg", "eval_metric": "ndcg@3"}, data, 2, evals=[(data, "train")], verbose_eval=0)
    found: list[Logged] = runs(target)
    assert "train-ndcg_at_3" in found[0].metrics
