"""What a search for hyperparameters found: the best, the table of all, and child runs of the best few."""

from __future__ import annotations

import io
from numbers import Number
from typing import Any

from headrace.sdk import data, files, fluent
from headrace.sdk.autolog.inputs import dataset_of
from headrace.sdk.autolog.patching import guard
from headrace.sdk.autolog.session import AUTOLOGGING, Session

_LEFT_OUT = ("param", "split")
"""Beginnings of columns that say again what the params say, or a single split."""


def is_search(estimator: Any) -> bool:
    """Whether it is a GridSearchCV, RandomizedSearchCV or one like them."""
    return any(one.__name__ == "BaseSearchCV" for one in type(estimator).__mro__)


def log_search(
    integration: str, estimator: Any, opened: Session, max_tuning_runs: int | None, x: Any, y: Any, log_datasets: bool
) -> None:
    """Log the best params and score, cv_results.csv, and a child run for each of the best candidates."""
    if hasattr(estimator, "best_score_"):
        fluent.log_metric("best_cv_score", estimator.best_score_, run_id=opened.run_id)
    if hasattr(estimator, "best_params_"):
        best = {f"best_{name}": value for name, value in estimator.best_params_.items()}
        fluent.log_params(best, run_id=opened.run_id)
    results = getattr(estimator, "cv_results_", None)
    if results is None:
        return
    with guard(integration, "child runs of the search"):
        dataset = dataset_of(x, y) if log_datasets else None
        for place in _best(results, max_tuning_runs):
            _log_child(integration, estimator, opened, results, place, dataset)
    with guard(integration, "cv_results.csv"):
        import pandas as pd

        table = io.StringIO()
        pd.DataFrame.from_dict(results).to_csv(table, index=False)
        files.log_text(table.getvalue(), "cv_results.csv", run_id=opened.run_id)


def _best(results: dict[str, Any], max_tuning_runs: int | None) -> list[int]:
    """The places of the best candidates, by the first ranking there is; of all, in their order, without a bound."""
    places = list(range(len(results["params"])))
    if max_tuning_runs is None:
        return places
    ranking = next((key for key in ("rank_test_score", *results) if key.startswith("rank_test_")), None)
    if ranking is not None and ranking in results:
        places.sort(key=lambda place: results[ranking][place])
    return places[:max_tuning_runs]


def _log_child(
    integration: str, estimator: Any, opened: Session, results: dict[str, Any], place: int, dataset: Any
) -> None:
    seed = estimator.estimator
    tags = {
        AUTOLOGGING: integration,
        "estimator_name": type(seed).__name__,
        "estimator_class": f"{type(seed).__module__}.{type(seed).__name__}",
    }
    with fluent.start_run(
        nested=True, parent_run_id=opened.run_id, tags=tags, log_system_metrics=False, capture_console=False
    ) as child:
        fluent.log_params({**seed.get_params(deep=not is_search(seed)), **results["params"][place]})
        values = {key: column[place] for key, column in results.items() if not key.startswith(_LEFT_OUT)}
        fluent.log_metrics({key: value for key, value in values.items() if isinstance(value, Number)})  # type: ignore[misc]
        if dataset is not None:
            data.log_input(dataset, "train", run_id=child.info.run_id)
