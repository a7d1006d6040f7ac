"""`headrace.sklearn.autolog`: what estimators of scikit-learn are fitted with, how well they did, and the model.

Params, metrics, tags and files have MLflow's names; docs/reference/autolog.md says where we differ and why.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from headrace.sdk import data, fluent
from headrace.sdk.autolog import imports, patching
from headrace.sdk.autolog.inputs import dataset_of, rows_of
from headrace.sdk.autolog.patching import Call, guard
from headrace.sdk.autolog.session import Options, Session, hide, session
from headrace.sdk.autolog.sklearn_metrics import hook_functions, hook_predictions, remember
from headrace.sdk.autolog.sklearn_search import is_search, log_search
from headrace.sdk.autolog.sklearn_training import log_training
from headrace.sdk.autolog.trained import log_trained

NAME = "sklearn"
FITS = ("fit", "fit_transform", "fit_predict")
NOT_LOGGED = (
    "sklearn.preprocessing.",
    "sklearn.impute.",
    "sklearn.feature_extraction.",
    "sklearn.feature_selection.",
    "sklearn.compose._column_transformer.ColumnTransformer.",
)
"""What only prepares data: logged as a part of a pipeline, not by itself."""
_REPEATS = (
    "cross_validate", "cross_val_predict", "cross_val_score", "learning_curve", "permutation_test_score",
    "validation_curve",
)  # fmt: skip
"""Functions of sklearn.model_selection that fit many times: nothing of that is logged, as in MLflow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SklearnOptions(Options):
    """What is asked for beside what all integrations take."""

    max_tuning_runs: int | None = 5
    log_post_training_metrics: bool = True
    serialization_format: str = "cloudpickle"
    pos_label: Any = None
    log_plots: bool = True


def autolog(
    log_input_examples: bool = False,
    log_model_signatures: bool = True,
    log_models: bool = True,
    log_datasets: bool = True,
    disable: bool = False,
    exclusive: bool = False,
    disable_for_unsupported_versions: bool = False,
    silent: bool = False,
    max_tuning_runs: int | None = 5,
    log_post_training_metrics: bool = True,
    serialization_format: str = "cloudpickle",
    registered_model_name: str | None = None,
    pos_label: Any = None,
    extra_tags: Mapping[str, Any] | None = None,
    log_plots: bool = True,
) -> None:
    """Log every fit of an estimator of scikit-learn, until `autolog(disable=True)`.

    max_tuning_runs: child runs of a search, the best ones; None for all. pos_label: of binary classifiers' metrics.
    log_plots: the confusion matrix and curves of classifiers, where matplotlib is installed.
    Raises ValueError for a negative max_tuning_runs. Imports nothing.
    """
    if max_tuning_runs is not None and max_tuning_runs < 0:
        raise ValueError(f"max_tuning_runs is the number of child runs to keep, 0 or more, not {max_tuning_runs}")
    undo()
    if disable:
        return
    options = SklearnOptions(
        log_models=log_models,
        log_datasets=log_datasets,
        exclusive=exclusive,
        silent=silent,
        registered_model_name=registered_model_name,
        log_input_examples=log_input_examples,
        log_model_signatures=log_model_signatures,
        extra_tags=extra_tags,
        max_tuning_runs=max_tuning_runs,
        log_post_training_metrics=log_post_training_metrics,
        serialization_format=serialization_format,
        pos_label=pos_label,
        log_plots=log_plots,
    )
    imports.when_imported("sklearn.", NAME, lambda module: _hook(module, options))


def undo() -> None:
    """Leave scikit-learn as it was."""
    imports.forget(NAME)
    patching.restore(NAME)


def _hook(module: ModuleType, options: SklearnOptions) -> None:
    """Hook what a module of scikit-learn defines."""
    if module.__name__ == "sklearn.metrics" and options.log_post_training_metrics:
        hook_functions(NAME, module)
    if module.__name__ == "sklearn.model_selection":
        for name in _REPEATS:
            patching.patch(NAME, module, name, _unlogged)
    for owner in list(vars(module).values()):
        if not inspect.isclass(owner) or owner.__module__ != module.__name__ or not _is_estimator(owner):
            continue
        hook = functools.partial(_fit_of_mixin if owner.__name__.endswith("Mixin") else _fit, options=options)
        for name in FITS:
            if name in vars(owner):
                patching.patch(NAME, owner, name, hook)
        if options.log_post_training_metrics:
            hook_predictions(NAME, owner, options)


def _is_estimator(owner: type[Any]) -> bool:
    """Whether it is an estimator, or what lends methods to estimators, told by names: sklearn.base may be loading."""
    return owner.__name__.endswith("Mixin") or any(one.__name__ == "BaseEstimator" for one in owner.__mro__)


def _fit_of_mixin(call: Call, options: SklearnOptions) -> Generator[None, Any, None]:
    """A fit that scikit-learn lends to others: only its own estimators are logged."""
    if type(call.args[0]).__module__.startswith("sklearn."):
        yield from _fit(call, options)


def _unlogged(call: Call) -> Generator[None, Any, None]:
    with hide():
        yield


def _fit(call: Call, options: SklearnOptions) -> Generator[None, Any, None]:
    estimator = call.args[0]
    kind = type(estimator)
    if f"{kind.__module__}.{kind.__name__}.".startswith(NOT_LOGGED):
        return
    with session(NAME, options) as opened:
        if opened is None:
            return
        example: Any = None
        x, y = _x_and_y(call)
        with guard(NAME, "params"):
            params = estimator.get_params(deep=not is_search(estimator))
            fluent.log_params(params, run_id=opened.run_id)
            fluent.set_tags(
                {"estimator_name": kind.__name__, "estimator_class": f"{kind.__module__}.{kind.__name__}"},
                run_id=opened.run_id,
            )
        if options.log_datasets:
            with guard(NAME, "the training data"):
                data.log_input(dataset_of(x, y), "train", run_id=opened.run_id)
        if options.log_models:
            with guard(NAME, "an example of the input"):
                example = rows_of(x)  # before the fit, which may write into its data
        yield
        with hide():
            _after(call, estimator, opened, options, example)


def _x_and_y(call: Call) -> tuple[Any, Any]:
    """The first two arguments of fit, whatever they are called."""
    names = [name for name in call.signature.parameters if name != "self"][:2]
    x = call.argument(names[0]) if names else None
    return x, call.argument(names[1]) if len(names) > 1 else None


def _after(call: Call, estimator: Any, opened: Session, options: SklearnOptions, example: Any) -> None:
    x, y = _x_and_y(call)
    model_id = None
    if options.log_models:
        with guard(NAME, "the model"):
            model_id = log_trained(
                estimator,
                NAME,
                opened.run_id,
                options,
                example=example,
                output=_output_of(estimator, example),
                serialization_format=options.serialization_format,
            )
    with guard(NAME, "training metrics"):
        weights = call.argument("sample_weight")
        log_training(NAME, estimator, opened.run_id, x, y, weights, options.pos_label, options.log_plots, model_id)
    if is_search(estimator):
        with guard(NAME, "the search"):
            if options.log_models and hasattr(estimator, "best_estimator_"):
                best = estimator.best_estimator_
                log_trained(
                    best,
                    NAME,
                    opened.run_id,
                    options,
                    name="best_estimator",
                    example=example,
                    output=_output_of(best, example),
                    serialization_format=options.serialization_format,
                )
            log_search(NAME, estimator, opened, options.max_tuning_runs, x, y, options.log_datasets)
    remember(estimator, opened.run_id, model_id)


def _output_of(estimator: Any, example: Any) -> Any:
    """What the estimator answers to the example; None when it answers nothing."""
    if example is None:
        return None
    with guard(NAME, "the model's signature"):
        for name in ("predict", "transform"):
            if hasattr(estimator, name):
                return getattr(estimator, name)(example.copy() if hasattr(example, "copy") else example)
    return None
