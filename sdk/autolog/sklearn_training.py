"""How well an estimator fits what it was fitted to: the metrics and plots that MLflow logs, by the same names."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

from headrace.sdk import files, fluent
from headrace.sdk.autolog.patching import guard

PREFIX = "training_"


def log_training(
    integration: str,
    estimator: Any,
    run_id: str,
    x: Any,
    y: Any,
    sample_weight: Any = None,
    pos_label: Any = None,
    plots: bool = True,
    model_id: str | None = None,
) -> None:
    """Log metrics on the training data, plots where matplotlib is installed, and the estimator's picture (HTML)."""
    from sklearn.base import is_classifier, is_regressor

    found: dict[str, float] = {}
    if y is not None:
        if is_classifier(estimator):
            found = _of_classifier(integration, estimator, x, y, sample_weight, pos_label)
        elif is_regressor(estimator):
            found = _of_regressor(integration, estimator, x, y, sample_weight)
        if hasattr(estimator, "score"):
            with guard(integration, f"{PREFIX}score"):
                found["score"] = float(_scored(estimator, x, y, sample_weight))
    fluent.log_metrics({PREFIX + key: value for key, value in found.items()}, run_id=run_id, model_id=model_id)
    with guard(integration, "estimator.html"):
        from sklearn.utils import estimator_html_repr

        page = '<!DOCTYPE html>\n<html lang="en">\n<head><meta charset="UTF-8"/></head>\n<body>{}</body>\n</html>\n'
        files.log_text(page.format(estimator_html_repr(estimator)), "estimator.html", run_id=run_id)
    if plots and y is not None and is_classifier(estimator) and importlib.util.find_spec("matplotlib") is not None:
        _plot(integration, estimator, run_id, x, y, sample_weight)


def _scored(estimator: Any, x: Any, y: Any, sample_weight: Any) -> Any:
    if sample_weight is None:
        return estimator.score(x, y)
    try:
        return estimator.score(x, y, sample_weight=sample_weight)
    except TypeError:  # this one's score knows no weights
        return estimator.score(x, y)


def _of_classifier(
    integration: str, estimator: Any, x: Any, y: Any, sample_weight: Any, pos_label: Any
) -> dict[str, float]:
    from sklearn import metrics

    average = "weighted" if pos_label is None else "binary"
    answer = estimator.predict(x)
    weighed: dict[str, Any] = {"sample_weight": sample_weight}
    averaged = {**weighed, "pos_label": pos_label, "average": average, "zero_division": 0.0}
    wanted: dict[str, Callable[[], Any]] = {
        "precision_score": lambda: metrics.precision_score(y, answer, **averaged),
        "recall_score": lambda: metrics.recall_score(y, answer, **averaged),
        "f1_score": lambda: metrics.f1_score(y, answer, **averaged),
        "accuracy_score": lambda: metrics.accuracy_score(y, answer, **weighed),
    }
    if hasattr(estimator, "predict_proba"):
        chances = estimator.predict_proba(x)

        def roc_auc() -> Any:
            scores = chances[:, 1] if len(chances[0]) == 2 else chances
            return metrics.roc_auc_score(y, scores, average="weighted", multi_class="ovo", **weighed)

        wanted["log_loss"] = lambda: metrics.log_loss(y, chances, **weighed)
        wanted["roc_auc"] = roc_auc
    return _measured(integration, wanted)


def _of_regressor(integration: str, estimator: Any, x: Any, y: Any, sample_weight: Any) -> dict[str, float]:
    from sklearn import metrics

    answer = estimator.predict(x)
    found = _measured(
        integration,
        {
            "mean_squared_error": lambda: metrics.mean_squared_error(y, answer, sample_weight=sample_weight),
            "mean_absolute_error": lambda: metrics.mean_absolute_error(y, answer, sample_weight=sample_weight),
            "r2_score": lambda: metrics.r2_score(y, answer, sample_weight=sample_weight),
        },
    )
    if "mean_squared_error" in found:
        found["root_mean_squared_error"] = found["mean_squared_error"] ** 0.5
    return found


def _measured(integration: str, wanted: dict[str, Callable[[], Any]]) -> dict[str, float]:
    """What can be measured; the rest is said once."""
    found: dict[str, float] = {}
    for name, measure in wanted.items():
        with guard(integration, PREFIX + name):
            found[name] = float(measure())
    return found


def _plot(integration: str, estimator: Any, run_id: str, x: Any, y: Any, sample_weight: Any) -> None:
    """The confusion matrix, and the curves of a binary classifier, without touching the program's own figures."""
    from sklearn import metrics

    given = {"estimator": estimator, "X": x, "y": y, "sample_weight": sample_weight}
    drawn: dict[str, tuple[str, Any, dict[str, Any]]] = {
        "confusion_matrix": (
            "Normalized confusion matrix", metrics.ConfusionMatrixDisplay, {"normalize": "true", "cmap": "Blues"}
        ),
    }  # fmt: skip
    if len(getattr(estimator, "classes_", ())) == 2:
        drawn["roc_curve"] = ("ROC curve", metrics.RocCurveDisplay, {})
        drawn["precision_recall_curve"] = ("Precision recall curve", metrics.PrecisionRecallDisplay, {})
    for name, (title, display, more) in drawn.items():
        with guard(integration, f"{PREFIX}{name}.png"):
            from matplotlib.figure import Figure

            figure = Figure(figsize=(6.0, 4.0), dpi=150)
            axes = figure.add_subplot()
            display.from_estimator(**given, **more, ax=axes)
            axes.set_title(title)
            files.log_figure(figure, f"{PREFIX}{name}.png", run_id=run_id)
