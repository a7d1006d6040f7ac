"""`headrace.lightgbm.autolog`: `lightgbm.train` and the estimators of LightGBM, with MLflow's names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from headrace.sdk.autolog import imports, patching
from headrace.sdk.autolog.boosting import Library, hook_data, hook_fits, hook_train
from headrace.sdk.autolog.patching import Call, blame
from headrace.sdk.autolog.session import Options

NAME = "lightgbm"
_UNLOGGED = (
    "params", "train_set", "valid_sets", "valid_names", "fobj", "feval", "init_model", "learning_rates", "callbacks",
)  # fmt: skip


def autolog(
    log_input_examples: bool = False,
    log_model_signatures: bool = True,
    log_models: bool = True,
    log_datasets: bool = True,
    disable: bool = False,
    exclusive: bool = False,
    disable_for_unsupported_versions: bool = False,
    silent: bool = False,
    registered_model_name: str | None = None,
    extra_tags: Mapping[str, Any] | None = None,
) -> None:
    """Log every training of LightGBM until `autolog(disable=True)`: params, metrics of each round, importances, model.

    Imports nothing.
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
    )
    imports.when_imported(NAME, NAME, lambda module: _hook(module, options))


def undo() -> None:
    """Leave LightGBM as it was."""
    imports.forget(NAME)
    patching.restore(NAME)


def _hook(lightgbm: ModuleType, options: Options) -> None:
    library = Library(
        name=NAME,
        train_data="train_set",
        unlogged=_UNLOGGED,
        eval_sets=_eval_sets,
        callback=_callback,
        best_round=lambda model: model.best_iteration - 1 if model.best_iteration > 0 else None,
        best_told=1,
        stopped=lambda rounds: rounds,
        importances=_importances,
        predict=lambda model, example: model.predict(example),
    )
    hook_data(library, lightgbm.Dataset, options)
    hook_train(library, lightgbm, options)
    if hasattr(lightgbm, "LGBMModel"):  # with scikit-learn
        hook_train(library, lightgbm.sklearn, options)
        hook_fits(library, lightgbm.sklearn, lightgbm.LGBMModel, options)


def _eval_sets(call: Call) -> list[tuple[Any, str | None]]:
    sets = call.argument("valid_sets") or []
    names = call.argument("valid_names") or []
    sets = sets if isinstance(sets, list | tuple) else [sets]
    names = [names] if isinstance(names, str) else list(names)
    return list(zip(sets, [*names, *[None] * len(sets)], strict=False))


def _callback(add: Callable[[int, dict[str, float]], None]) -> Callable[[Any], None]:
    def callback(env: Any) -> None:
        try:
            add(env.iteration, {f"{one[0]}-{one[1]}": float(one[2]) for one in env.evaluation_result_list or ()})
        except Exception as error:
            blame(NAME, "metrics of a round", error)

    return callback


def _importances(model: Any) -> dict[str, dict[str, float]]:
    names = model.feature_name()
    return {
        kind: dict(zip(names, model.feature_importance(importance_type=kind).tolist(), strict=True))
        for kind in ("split", "gain")
    }
