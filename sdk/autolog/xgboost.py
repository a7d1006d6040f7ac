"""`headrace.xgboost.autolog`: `xgboost.train` and the estimators of XGBoost, with MLflow's names."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any

from headrace.sdk.autolog import imports, patching
from headrace.sdk.autolog.boosting import Library, hook_data, hook_fits, hook_train
from headrace.sdk.autolog.patching import Call, blame
from headrace.sdk.autolog.session import Options

NAME = "xgboost"
_UNLOGGED = (
    "params", "dtrain", "evals", "obj", "feval", "evals_result", "xgb_model", "callbacks", "learning_rates",
)  # fmt: skip


def autolog(
    importance_types: Sequence[str] | None = None,
    log_input_examples: bool = False,
    log_model_signatures: bool = True,
    log_models: bool = True,
    log_datasets: bool = True,
    disable: bool = False,
    exclusive: bool = False,
    disable_for_unsupported_versions: bool = False,
    silent: bool = False,
    registered_model_name: str | None = None,
    model_format: str = "ubj",
    extra_tags: Mapping[str, Any] | None = None,
) -> None:
    """Log every training of XGBoost until `autolog(disable=True)`: params, metrics of each round, importances, model.

    importance_types: of features, `weight` if not given. Imports nothing.
    """
    undo()
    if disable:
        return
    options = Options(
        log_models=log_models,
        log_datasets=log_datasets,
        exclusive=exclusive,
        silent=silent,
        registered_model_name=registered_model_name,
        log_input_examples=log_input_examples,
        log_model_signatures=log_model_signatures,
        extra_tags=extra_tags,
        save_options={"model_format": model_format},
    )
    imports.when_imported(NAME, NAME, lambda module: _hook(module, options, tuple(importance_types or ("weight",))))


def undo() -> None:
    """Leave XGBoost as it was."""
    imports.forget(NAME)
    patching.restore(NAME)


def _hook(xgboost: ModuleType, options: Options, importance_types: tuple[str, ...]) -> None:
    def callback(add: Callable[[int, dict[str, float]], None]) -> Any:
        return _callback(xgboost.callback.TrainingCallback, add)

    def best_round(model: Any) -> int | None:
        return None if model.attr("best_iteration") is None else int(model.best_iteration)

    library = Library(
        name=NAME,
        train_data="dtrain",
        unlogged=_UNLOGGED,
        eval_sets=_eval_sets,
        callback=callback,
        best_round=best_round,
        best_told=0,
        stopped=lambda rounds: rounds - 1,
        importances=lambda model: {kind: model.get_score(importance_type=kind) for kind in importance_types},
        predict=lambda model, example: model.predict(xgboost.DMatrix(example, enable_categorical=True)),
    )
    for name in ("DMatrix", "QuantileDMatrix"):
        hook_data(library, getattr(xgboost, name), options)
    hook_train(library, xgboost, options)
    hook_train(library, xgboost.sklearn, options)
    hook_fits(library, xgboost.sklearn, xgboost.sklearn.XGBModel, options)


def _eval_sets(call: Call) -> list[tuple[Any, str | None]]:
    return [(evaluated, name) for evaluated, name in call.argument("evals") or ()]


def _callback(base: type[Any], add: Callable[[int, dict[str, float]], None]) -> Any:
    def after_iteration(self: Any, model: Any, epoch: int, evals_log: Any) -> bool:
        try:
            add(
                epoch,
                {
                    f"{name}-{metric}": _value(values[-1])
                    for name, metrics in evals_log.items()
                    for metric, values in metrics.items()
                },
            )
        except Exception as error:
            blame(NAME, "metrics of a round", error)
        return False  # do not stop

    return type("HeadraceCallback", (base,), {"after_iteration": after_iteration})()


def _value(last: Any) -> float:
    """A metric's value; in cross-validation it comes with its deviation."""
    return float(last[0] if isinstance(last, tuple) else last)
