"""What the autologs of XGBoost and LightGBM share: trainings in rounds, the best of them, importances of features."""

from __future__ import annotations

import dataclasses
import importlib.util
import weakref
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from headrace.sdk import data, files, fluent
from headrace.sdk.autolog import patching
from headrace.sdk.autolog.inputs import dataset_of, params_of, rows_of
from headrace.sdk.autolog.patching import Call, guard
from headrace.sdk.autolog.session import Options, Session, current, hidden, hide, session
from headrace.sdk.autolog.sklearn_metrics import hook_predictions, remember
from headrace.sdk.autolog.trained import log_trained

_FIGURE_INCHES = (6.4, 4.8)


@dataclass(frozen=True, kw_only=True)
class Library:
    """What differs. train_data: the argument of `train` that holds the data.

    unlogged: arguments of train that are no params. eval_sets: (data, name) for each set that is evaluated.
    callback: makes one that hands the metrics of each round to a function. best_round: 0-based, or None without early
    stopping. stopped: what the metric stopped_iteration is, of the number of rounds. importances: type -> {feature:
    value}. predict: what a booster answers to an example.
    """

    name: str
    train_data: str
    unlogged: tuple[str, ...]
    eval_sets: Callable[[Call], list[tuple[Any, str | None]]]
    callback: Callable[[Callable[[int, dict[str, float]], None]], Any]
    best_round: Callable[[Any], int | None]
    best_told: int
    stopped: Callable[[int], int]
    importances: Callable[[Any], dict[str, dict[str, float]]]
    predict: Callable[[Any, Any], Any]


@dataclass(eq=False)
class _Source:
    """What a library's own data object was made of: a few rows, and the description of all."""

    example: Any
    dataset: data.Dataset | None


_sources: weakref.WeakKeyDictionary[Any, _Source] = weakref.WeakKeyDictionary()
_fits: weakref.WeakKeyDictionary[Session, None] = weakref.WeakKeyDictionary()
"""Sessions of fits of estimators: the training within is logged to them, the model by the fit."""


def hook_data(library: Library, owner: type[Any], options: Options) -> None:
    """Remember what data objects are made of; they give nothing back once they are made."""

    def hook(call: Call) -> Generator[None, Any, None]:
        yield
        with guard(library.name, "an example of the input"):
            features, targets = call.argument("data"), call.argument("label")
            if features is not None and hasattr(features, "shape"):
                described = dataset_of(features, targets) if options.log_datasets and not hidden() else None
                _sources[call.args[0]] = _Source(rows_of(features), described)

    patching.patch(library.name, owner, "__init__", hook)


def hook_train(library: Library, owner: ModuleType, options: Options) -> None:
    """Hook the function `train` of a module."""
    patching.patch(library.name, owner, "train", lambda call: _train(library, call, options))


def hook_fits(library: Library, module: ModuleType, base: type[Any], options: Options) -> None:
    """Hook the estimators of a module, which subclass `base`."""
    for owner in list(vars(module).values()):
        if isinstance(owner, type) and issubclass(owner, base) and owner.__module__.startswith(library.name):
            if "fit" in vars(owner):
                patching.patch(library.name, owner, "fit", lambda call: _fit(library, call, options))
            hook_predictions(library.name, owner, options)


def _fit(library: Library, call: Call, options: Options) -> Generator[None, Any, None]:
    with session(library.name, options) as opened:
        if opened is None:
            return
        _fits[opened] = None
        estimator, example = call.args[0], None
        if options.log_models:
            with guard(library.name, "an example of the input"):
                example = rows_of(call.argument("X"))
        yield
        with hide():
            model_id = None
            if options.log_models:
                with guard(library.name, "the model"):
                    output = None if example is None else estimator.predict(example)
                    model_id = log_trained(
                        estimator, library.name, opened.run_id, options, example=example, output=output
                    )
            remember(estimator, opened.run_id, model_id)


def _train(library: Library, call: Call, options: Options) -> Generator[None, Any, None]:
    outer = current()
    if outer is not None and outer in _fits and not hidden():
        yield from _logged(library, call, outer, dataclasses.replace(options, log_models=False))
        return
    with session(library.name, options) as opened:
        if opened is not None:
            yield from _logged(library, call, opened, options)


def _logged(library: Library, call: Call, opened: Session, options: Options) -> Generator[None, Any, None]:
    rounds = _Rounds(opened.run_id)
    with guard(library.name, "params"):
        fluent.log_params(dict(call.argument("params") or {}), run_id=opened.run_id)
        fluent.log_params(params_of(call, library.unlogged), run_id=opened.run_id)
    source = _sources.get(call.argument(library.train_data))
    if options.log_datasets:
        _log_data(library, call, source, opened)
    with guard(library.name, "metrics"):
        call.replace("callbacks", [*(call.argument("callbacks") or []), library.callback(rounds.add)])
    model = yield
    with hide():
        _log_model(library, model, source, opened, options)
        with guard(library.name, "the best iteration"):
            best = library.best_round(model)
            if best is not None and rounds.found:
                told = {
                    "stopped_iteration": library.stopped(len(rounds.found)),
                    "best_iteration": best + library.best_told,
                }
                fluent.log_metrics(told, run_id=opened.run_id)
                fluent.log_metrics(rounds.found[best], len(rounds.found), run_id=opened.run_id)
        with guard(library.name, "the importance of features"):
            for kind, found in library.importances(model).items():
                files.log_dict(found, f"feature_importance_{kind}.json", run_id=opened.run_id)
                _plot(found, kind, opened.run_id)


@dataclass(eq=False)
class _Rounds:
    """The metrics of the rounds so far."""

    run_id: str
    found: list[dict[str, float]] = field(default_factory=list)

    def add(self, iteration: int, metrics: dict[str, float]) -> None:
        """Log what a round evaluated; `@`, which no key may have, is written as MLflow writes it."""
        named = {key.replace("@", "_at_"): value for key, value in metrics.items()}
        self.found.append(named)
        fluent.log_metrics(named, iteration, run_id=self.run_id)


def _log_data(library: Library, call: Call, source: _Source | None, opened: Session) -> None:
    with guard(library.name, "the training data"):
        if source is not None and source.dataset is not None:
            data.log_input(source.dataset, "train", run_id=opened.run_id)
    with guard(library.name, "the evaluation data"):
        for evaluated, name in library.eval_sets(call):
            known = _sources.get(evaluated)
            if known is not None and known.dataset is not None:
                described = dataclasses.replace(known.dataset, name=name or known.dataset.name)
                data.log_input(described, "eval", run_id=opened.run_id)


def _log_model(library: Library, model: Any, source: _Source | None, opened: Session, options: Options) -> None:
    if options.log_models:
        with guard(library.name, "the model"):
            example = output = None
            if source is not None:
                with guard(library.name, "the model's signature"):
                    output = library.predict(model, source.example)
                    example = source.example
            log_trained(model, library.name, opened.run_id, options, example=example, output=output)


def _plot(found: dict[str, float], kind: str, run_id: str) -> None:
    """The importances as bars, the greatest on top, where matplotlib is installed."""
    if not found or importlib.util.find_spec("matplotlib") is None:
        return
    from matplotlib.figure import Figure

    ranked = sorted(found.items(), key=lambda one: one[1])
    width, height = _FIGURE_INCHES
    figure = Figure(figsize=(width, min(height + 0.1 * max(0, len(ranked) - 10), 200.0)), layout="tight")
    axes = figure.add_subplot()
    axes.barh([str(feature) for feature, _ in ranked], [value for _, value in ranked], height=0.5)
    axes.set_xlabel("Importance")
    axes.set_title(f"Feature Importance ({kind})")
    files.log_figure(figure, f"feature_importance_{kind}.png", run_id=run_id)
