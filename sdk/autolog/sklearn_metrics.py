"""Metrics taken after a training: those of sklearn.metrics on predictions of a logged model, and score().

A metric is named as in MLflow: `accuracy_score_X_test` for the variable whose prediction it judges,
`accuracy_score-2_X_test` for the second call. metric_info.json of the run says how each was called.
"""

from __future__ import annotations

import inspect
import weakref
from collections.abc import Generator
from dataclasses import dataclass, field
from types import FrameType, ModuleType
from typing import Any

from headrace.sdk import data, files, fluent
from headrace.sdk.autolog import patching
from headrace.sdk.autolog.inputs import dataset_of
from headrace.sdk.autolog.patching import Call, guard
from headrace.sdk.autolog.session import Options, current, hidden, hide
from headrace.sdk.cleaning import warn_once

PREDICTS = ("predict", "predict_proba", "predict_log_proba", "transform")
CALLS_MAX = 500
"""Metrics of one model that are logged this way; after that a program is in a loop of its own."""
_NO_METRICS = ("check_scoring", "get_scorer", "make_scorer", "get_scorer_names")


@dataclass(eq=False)
class _Trained:
    """A model whose training was logged, and what was asked of it since."""

    run_id: str
    model_id: str | None
    datasets: dict[str, list[int]] = field(default_factory=dict)
    calls: dict[str, list[tuple[str, str]]] = field(default_factory=dict)

    def dataset_name(self, dataset: Any) -> str:
        """The name of the variable that holds it; a second one of the same name has `-2` after it."""
        name = _variable(dataset) or "unknown_dataset"
        known = self.datasets.setdefault(name, [])
        if id(dataset) not in known:
            known.append(id(dataset))
        return _numbered(name, known.index(id(dataset)))


_trained: weakref.WeakKeyDictionary[Any, _Trained] = weakref.WeakKeyDictionary()
_predictions: dict[int, tuple[_Trained, str]] = {}
"""id of a prediction -> whose, of which data set; gone when the prediction is."""


def remember(model: Any, run_id: str, model_id: str | None) -> None:
    """A model's training was logged to this run: what it is measured by from now on goes there."""
    try:
        _trained[model] = _Trained(run_id, model_id)
    except TypeError:  # a model of the program's own that cannot be held weakly
        return


def _known(model: Any) -> _Trained | None:
    """The model, if its training was logged and this is no part of a training."""
    if hidden() or current() is not None:
        return None
    try:
        return _trained.get(model)
    except TypeError:  # as in remember
        return None


def hook_predictions(integration: str, owner: type[Any], options: Options) -> None:
    """Hook the methods of a class that predict or score."""
    for name in PREDICTS:
        if name in vars(owner):
            patching.patch(integration, owner, name, lambda call: _predict(integration, call, options.log_datasets))
    if "score" in vars(owner):
        patching.patch(integration, owner, "score", lambda call: _score(integration, call))


def hook_functions(integration: str, module: ModuleType) -> None:
    """Hook the functions of sklearn.metrics."""
    for name in module.__all__:
        function = getattr(module, name)
        if callable(function) and not inspect.isclass(function) and name not in _NO_METRICS:
            patching.patch(integration, module, name, lambda call: _measure(integration, call))


def _predict(integration: str, call: Call, log_datasets: bool) -> Generator[None, Any, None]:
    trained = _known(call.args[0])
    if trained is None:
        return
    with hide():
        answer = yield
        with guard(integration, "a prediction's data"):
            given = _first(call)
            name = trained.dataset_name(given)
            weakref.finalize(answer, _predictions.pop, id(answer), None)
            _predictions[id(answer)] = (trained, name)
            if log_datasets:
                data.log_input(dataset_of(given), "eval", run_id=trained.run_id)


def _score(integration: str, call: Call) -> Generator[None, Any, None]:
    trained = _known(call.args[0])
    if trained is None:
        return
    with hide():
        value = yield
    with guard(integration, "a score"):
        metric = f"{type(call.args[0]).__name__}_score"
        _log(trained, metric, trained.dataset_name(_first(call)), value, _command(call, of=call.args[0]))


def _measure(integration: str, call: Call) -> Generator[None, Any, None]:
    if not _predictions or hidden() or current() is not None:
        return
    judged = next((id(one) for one in (*call.args, *call.kwargs.values()) if id(one) in _predictions), None)
    if judged is None:
        return
    with hide():
        value = yield
    with guard(integration, "a metric"):
        trained, dataset = _predictions[judged]
        _log(trained, call.function.__name__, dataset, value, _command(call))


def _log(trained: _Trained, metric: str, dataset: str, value: Any, command: str) -> None:
    import numpy as np

    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        return
    calls = trained.calls.setdefault(metric, [])
    if sum(map(len, trained.calls.values())) >= CALLS_MAX:
        warn_once(f"autolog:calls:{trained.run_id}", "no more than %d metrics of a model are logged", CALLS_MAX)
        return
    key = f"{_numbered(metric, len(calls))}_{dataset}"
    calls.append((key, command))
    fluent.log_metric(key, float(value), run_id=trained.run_id, model_id=trained.model_id)
    told = dict(sorted(one for calls in trained.calls.values() for one in calls))
    files.log_dict(told, "metric_info.json", run_id=trained.run_id)


def _numbered(name: str, place: int) -> str:
    return name if place == 0 else f"{name}-{place + 1}"


def _first(call: Call) -> Any:
    """The first argument of a method, after the object."""
    if len(call.args) > 1:
        return call.args[1]
    names = list(call.signature.parameters)
    return call.argument(names[1]) if len(names) > 1 else None


def _command(call: Call, of: Any = None) -> str:
    """How it was called, for people: `accuracy_score(y_true=y_test, y_pred=y_pred)`."""
    names = list(call.signature.parameters)
    given = [*zip(names, call.args, strict=False), *call.kwargs.items()]
    if of is not None:
        given = given[1:]
    told = ", ".join(f"{name}={_argument(value)}" for name, value in given)
    return f"{'' if of is None else type(of).__name__ + '.'}{call.function.__name__}({told})"


def _argument(value: Any) -> str:
    import numpy as np

    if value is None or np.isscalar(value):
        return repr(value[:32] + "..." if isinstance(value, str) and len(value) > 32 else value)
    return _variable(value) or f"<{type(value).__name__}>"


def _variable(value: Any) -> str | None:
    """The name of the caller's variable that holds this very object, looked for where it was not just an argument."""
    frame: FrameType | None = inspect.currentframe()
    while frame is not None and str(frame.f_globals.get("__name__", "")).startswith(
        ("headrace.sdk.autolog", "sklearn")
    ):
        frame = frame.f_back
    while frame is not None:
        told = inspect.getargvalues(frame)
        given = [told.locals[name] for name in told.args]
        given += told.locals[told.varargs] if told.varargs else ()
        given += told.locals[told.keywords].values() if told.keywords else ()
        if not any(one is value for one in given):
            held = [*frame.f_locals.items(), *frame.f_globals.items()]
            return next((name for name, one in held if one is value), None)
        frame = frame.f_back
    return None
