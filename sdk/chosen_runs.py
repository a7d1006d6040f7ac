"""Which runs a read is about, as the server's requests say it: by their ids, or by a search."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from headrace.sdk.fluent import active_experiment_id
from headrace.sdk.reader import Reader


def chosen(
    source: Reader,
    run_ids: str | Sequence[str] | None,
    experiment_ids: Sequence[str] | None,
    experiment_names: Sequence[str] | None,
    filter_string: str,
    order_by: Sequence[str] | None,
    max_runs: int,
    as_of: str,
) -> dict[str, Any]:
    """The part of a request that names runs: run_ids; or a search of experiments, of the active one if none is named.

    Raises ValueError where both are given, or an experiment is named that is not there.
    """
    if run_ids is not None:
        if experiment_ids or experiment_names or filter_string or order_by:
            raise ValueError("name the runs by run_ids, or search them, not both")
        ids = [run_ids] if isinstance(run_ids, str) else [str(run_id) for run_id in run_ids]
        if not ids:
            raise ValueError("run_ids is empty")
        return {"run_ids": ids, "as_of": as_of}
    if experiment_ids and experiment_names:
        raise ValueError("name the experiments by experiment_ids or experiment_names, not both")
    experiments = [str(experiment_id) for experiment_id in experiment_ids or ()]
    for name in experiment_names or ():
        found = source.experiment_by_name(name)
        if found is None:
            raise ValueError(f"there is no experiment {name!r}")
        experiments.append(found.experiment_id)
    return {
        "experiment_ids": experiments or [active_experiment_id()],
        "filter": filter_string,
        "order_by": list(order_by or ()),
        "max_runs": max_runs,
        "as_of": as_of,
    }
