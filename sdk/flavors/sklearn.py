"""scikit-learn: any estimator, in a pickle or in skops' format."""

from __future__ import annotations

import copy
import pickle
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from headrace.sdk.flavors.flavor import Predict, Predictor, Saved, loaded, need
from headrace.sdk.models.mlmodel import NoModel, pyfunc_entry
from headrace.sdk.models.unpickling import load_pickle

NAME = "sklearn"
LOADER_MODULE = "mlflow.sklearn"
PACKAGES = ("scikit-learn",)

FORMATS = ("cloudpickle", "pickle", "skops")
PREDICT_FUNCTIONS = ("predict", "predict_proba", "predict_log_proba", "predict_joint_log_proba", "score")


def recognizes(model: Any) -> bool:
    """Whether it is an estimator."""
    return "sklearn" in sys.modules and loaded(model, "sklearn") and hasattr(model, "fit")


def save(
    model: Any,
    folder: Path,
    *,
    example: Any = None,
    serialization_format: str = "cloudpickle",
    pyfunc_predict_fn: str = "predict",
    skops_trusted_types: list[str] | None = None,
) -> Saved:
    """Write model.pkl, or model.skops for serialization_format "skops" (needs the package skops).

    pyfunc_predict_fn: the method pyfunc calls. A model without it has no python_function flavor. Raises ValueError.
    """
    file, modules = write(model, folder, serialization_format, skops_trusted_types)
    flavors: dict[str, dict[str, Any]] = {}
    if hasattr(model, pyfunc_predict_fn):
        flavors["python_function"] = pyfunc_entry(LOADER_MODULE, model_path=file, predict_fn=pyfunc_predict_fn)
    flavors[NAME] = {
        "code": None,
        "pickled_model": file,
        "serialization_format": serialization_format,
        "skops_trusted_types": skops_trusted_types,
        "sklearn_version": sys.modules["sklearn"].__version__,
    }
    return Saved(flavors, ("sklearn", "numpy", "scipy", *modules))


def write(
    model: Any, folder: Path, serialization_format: str, trusted: list[str] | None
) -> tuple[str, tuple[str, ...]]:
    """Write an estimator; the file's name, and the modules that reading it needs besides its own. Raises ValueError."""
    if serialization_format not in FORMATS:
        raise ValueError(
            f"there is no format {serialization_format!r} of pickled models; there are {', '.join(FORMATS)}"
        )
    if serialization_format == "skops":
        skops = need("skops.io", ("skops",))
        skops.dump(model, folder / "model.skops")
        skops.load(folder / "model.skops", trusted=trusted)  # says now, not in production, what is not trusted
        return "model.skops", ("skops",)
    import cloudpickle

    library = cloudpickle if serialization_format == "cloudpickle" else pickle
    with open(folder / "model.pkl", "wb") as target:
        library.dump(model, target, protocol=pickle.DEFAULT_PROTOCOL)
    return "model.pkl", ("cloudpickle",) if serialization_format == "cloudpickle" else ()


def load(folder: Path, entry: Mapping[str, Any]) -> Any:
    """The estimator. Raises MissingPackage, NoModel."""
    return read(folder / str(entry.get("pickled_model") or "model.pkl"), entry)


def predictor(folder: Path, entry: Mapping[str, Any], pyfunc_entry: Mapping[str, Any]) -> Predictor:
    """The estimator with the method it was saved with. Raises MissingPackage, NoModel."""
    # `data` is what MLflow 1.x called it.
    file = pyfunc_entry.get("model_path") or pyfunc_entry.get("data") or entry.get("pickled_model") or "model.pkl"
    return wrap(read(folder / str(file), entry), pyfunc_entry)


def wrap(model: Any, pyfunc_entry: Mapping[str, Any]) -> Predictor:
    """An estimator in memory, ready to predict."""
    name = str(pyfunc_entry.get("predict_fn") or "predict")
    if name not in PREDICT_FUNCTIONS or not hasattr(model, name):
        raise NoModel(f"a {type(model).__name__} cannot {name}")
    others = {other: getattr(model, other) for other in PREDICT_FUNCTIONS[1:] if hasattr(model, other)}
    plain = _without_names(model)
    return Predictor(model, _call(getattr(model, name)), None if plain is None else _call(getattr(plain, name)), others)


def _call(method: Callable[..., Any]) -> Predict:
    def predict(data: Any, params: dict[str, Any] | None = None) -> Any:
        return method(data)

    return predict


def read(file: Path, entry: Mapping[str, Any]) -> Any:
    """The estimator in a file that `write`, or MLflow, wrote. Raises MissingPackage, NoModel."""
    need("sklearn", PACKAGES)
    if not file.is_file():
        raise NoModel(f"the model's file {file} is not there")
    if entry.get("serialization_format") == "skops" or file.suffix == ".skops":
        return need("skops.io", ("skops",)).load(file, trusted=entry.get("skops_trusted_types"))
    return load_pickle(file)


_NUMBERS_ONLY = tuple(
    f"sklearn.{name}."
    for name in (
        "cluster", "decomposition", "discriminant_analysis", "ensemble._forest", "ensemble._gb", "ensemble._iforest",
        "feature_selection", "gaussian_process", "impute", "linear_model", "naive_bayes", "neighbors",
        "neural_network", "preprocessing", "svm", "tree",
    )
)  # fmt: skip
"""Where the estimators are that look at nothing but the numbers; others may choose columns by name, or call a function
of the user's, or hold an estimator that does."""


def _without_names(model: Any) -> Any:
    """A view of the estimator that takes arrays without a warning about names, or None where names may matter.

    It shares all that was learned; only the names of the columns are not there.
    """
    kind = type(model)
    if f"{kind.__module__}.{kind.__name__}" == "sklearn.pipeline.Pipeline":
        steps = [(name, step if step in (None, "passthrough") else _without_names(step)) for name, step in model.steps]
        if any(step is None for _, step in steps):
            return None
        view = copy.copy(model)
        view.steps = steps
        return view
    chooses = kind.__name__ in ("FunctionTransformer", "SelectFromModel", "RFE", "RFECV", "SequentialFeatureSelector")
    if chooses or not f"{kind.__module__}.".startswith(_NUMBERS_ONLY):
        return None
    view = copy.copy(model)
    if "feature_names_in_" in vars(view):
        del view.feature_names_in_
    return view
