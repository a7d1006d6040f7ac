"""`headrace.autolog`: every library that can be logged, those that are imported and those that will be."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from headrace.sdk.autolog import lightgbm, lightning, sklearn, tensorflow, xgboost

INTEGRATIONS: dict[str, Callable[..., None]] = {
    "lightgbm": lightgbm.autolog,
    "pytorch": lightning.autolog,
    "sklearn": sklearn.autolog,
    "tensorflow": tensorflow.autolog,
    "xgboost": xgboost.autolog,
}
"""By MLflow's name of the flavor."""


def autolog(
    log_input_examples: bool = False,
    log_model_signatures: bool = True,
    log_models: bool = True,
    log_datasets: bool = True,
    log_traces: bool = True,
    disable: bool = False,
    exclusive: bool = False,
    disable_for_unsupported_versions: bool = False,
    silent: bool = False,
    extra_tags: Mapping[str, Any] | None = None,
    exclude_flavors: Sequence[str] | None = None,
) -> None:
    """Log trainings with every library that we know, whenever it is imported, until `autolog(disable=True)`.

    exclude_flavors: names of INTEGRATIONS to leave alone. log_traces is taken for MLflow's sake. Imports nothing.
    Raises ValueError for an unknown name in exclude_flavors.
    """
    left_out = set(exclude_flavors or ())
    unknown = left_out - INTEGRATIONS.keys()
    if unknown:
        raise ValueError(f"exclude_flavors has {sorted(unknown)}; there are {sorted(INTEGRATIONS)}")
    for name, one in INTEGRATIONS.items():
        if name not in left_out:
            one(
                log_input_examples=log_input_examples,
                log_model_signatures=log_model_signatures,
                log_models=log_models,
                log_datasets=log_datasets,
                disable=disable,
                exclusive=exclusive,
                disable_for_unsupported_versions=disable_for_unsupported_versions,
                silent=silent,
                extra_tags=extra_tags,
            )
