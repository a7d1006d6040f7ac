"""Data sets a run read: their name, digest, schema and profile, in MLflow's shapes."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from headrace.ingest import events
from headrace.ingest.limits import TAG_VALUE_CHARS_MAX
from headrace.sdk.cleaning import text_of
from headrace.sdk.fluent import current_run_id
from headrace.sdk.process import process

logger = logging.getLogger("headrace")

NAME_CHARS_MAX = 500
DIGEST_CHARS_MAX = 36
SOURCE_CHARS_MAX = 65_535
SCHEMA_CHARS_MAX = 1_048_575
PROFILE_CHARS_MAX = 1_048_575
_ROWS_HASHED_MAX = 10_000
_INPUTS_REMEMBERED_MAX = 100
_RUNS_REMEMBERED_MAX = 1_000

_inputs: dict[str, dict[tuple[str, str], dict[str, str]]] = {}
"""Of each run of this process, what it read: a model that is logged remembers it."""


@dataclass(frozen=True)
class Dataset:
    """A data set as it is logged. schema and profile: JSON-like values, or None."""

    name: str
    digest: str
    source_type: str = "code"
    source: str = "{}"
    schema: Any = None
    profile: Any = None
    tags: dict[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, str]:
        """As MLflow's data sets say it: every value as text."""
        told = {"name": self.name, "digest": self.digest, "source": self.source, "source_type": self.source_type}
        if self.schema is not None:
            told["schema"] = json.dumps(self.schema)
        if self.profile is not None:
            told["profile"] = json.dumps(self.profile)
        return told


def from_pandas(
    df: Any, source: str | None = None, targets: str | None = None, name: str | None = None, digest: str | None = None
) -> Dataset:
    """A pandas DataFrame as a data set. source: a path or URL it came from. targets: the column to predict.

    The digest covers up to 10,000 rows, the column names and the shape.
    """
    import pandas as pd  # 0.3 s: not at import time

    if digest is None:
        hashed = hashlib.md5(usedforsecurity=False)
        hashed.update(repr((list(map(str, df.columns)), df.shape)).encode())
        try:
            hashed.update(pd.util.hash_pandas_object(df.head(_ROWS_HASHED_MAX)).to_numpy().tobytes())
        except TypeError:  # cells that cannot be hashed, such as lists
            hashed.update(df.head(_ROWS_HASHED_MAX).astype(str).to_csv().encode("utf-8", "replace"))
        digest = hashed.hexdigest()[:8]
    columns = [
        {"type": _column_type(kind), "name": str(column), "required": True} for column, kind in df.dtypes.items()
    ]
    if targets is not None and targets not in df.columns:
        raise ValueError(f"the data set has no column {targets!r}")
    profile = {"num_rows": len(df), "num_elements": int(df.size)}
    return Dataset(name or "dataset", digest, *_source(source), schema={"mlflow_colspec": columns}, profile=profile)


def from_numpy(
    features: Any,
    source: str | None = None,
    targets: Any = None,
    name: str | None = None,
    digest: str | None = None,
) -> Dataset:
    """An array, or a dict of arrays, as a data set; targets: what is to be predicted, in the same form."""
    import numpy as np  # comes with pandas; not needed to start a trainer

    def flat(arrays: Any) -> list[tuple[str | None, Any]]:
        named = arrays.items() if isinstance(arrays, Mapping) else [(None, arrays)]
        return [(key, np.asarray(array)) for key, array in named]

    def spec(arrays: Any) -> Any:
        found = [
            {
                "type": "tensor",
                **({"name": key} if key is not None else {}),
                "tensor-spec": {"dtype": str(array.dtype), "shape": [-1, *array.shape[1:]]},
            }
            for key, array in flat(arrays)
        ]
        return {"mlflow_tensorspec": found}

    def measured(arrays: Any, of: Any) -> Any:
        values = {key: of(array) for key, array in flat(arrays)}
        return values.get(None, values)

    if digest is None:
        hashed = hashlib.md5(usedforsecurity=False)
        for key, array in flat(features) + (flat(targets) if targets is not None else []):
            # Of whole rows first: flattening an array that is not contiguous would copy all of it.
            rows = _ROWS_HASHED_MAX // max(1, array[:1].size) + 1 if array.ndim else None
            head = np.ascontiguousarray(array[:rows] if array.ndim else array).reshape(-1)[:_ROWS_HASHED_MAX]
            hashed.update(repr((key, array.shape, str(array.dtype))).encode())
            hashed.update(repr(head.tolist()).encode() if head.dtype.hasobject else head.tobytes())
        digest = hashed.hexdigest()[:8]
    profile = {
        "features_shape": measured(features, lambda array: list(array.shape)),
        "features_size": measured(features, lambda array: int(array.size)),
        "features_nbytes": measured(features, lambda array: int(array.nbytes)),
    }
    schema: dict[str, Any] = {"features": spec(features)}
    if targets is not None:
        schema["targets"] = spec(targets)
        profile["targets_shape"] = measured(targets, lambda array: list(array.shape))
        profile["targets_size"] = measured(targets, lambda array: int(array.size))
        profile["targets_nbytes"] = measured(targets, lambda array: int(array.nbytes))
    return Dataset(name or "dataset", digest, *_source(source), schema=schema, profile=profile)


def log_input(
    dataset: Any, context: str | None = None, tags: Mapping[str, Any] | None = None, run_id: str | None = None
) -> None:
    """Log a data set the run reads. dataset: of this module, of MLflow, or a pandas DataFrame or an array.

    context: how it is used, for instance `training`.
    """
    log_inputs([dataset], [context], [tags], run_id)


def log_inputs(
    datasets: list[Any],
    contexts: list[str | None] | None = None,
    tags_list: list[Mapping[str, Any] | None] | None = None,
    run_id: str | None = None,
) -> None:
    """Log several data sets the run reads."""
    try:
        contexts = contexts or [None] * len(datasets)
        tags_list = tags_list or [None] * len(datasets)
        inputs = []
        for dataset, context, tags in zip(datasets, contexts, tags_list, strict=True):
            cleaned = {
                str(key): text_of("tag", str(key), value, TAG_VALUE_CHARS_MAX) for key, value in (tags or {}).items()
            }
            if context is not None:
                cleaned["mlflow.data.context"] = str(context)
            inputs.append(events.DatasetInput(_event_of(dataset), cleaned))
        run_id = current_run_id(run_id)
        remembered = _inputs.setdefault(run_id, {})
        while len(_inputs) > _RUNS_REMEMBERED_MAX:
            _inputs.pop(next(iter(_inputs)))
        for one in inputs:  # an event each: schemas may be large
            if len(remembered) < _INPUTS_REMEMBERED_MAX:
                told = {"name": one.dataset.name, "digest": one.dataset.digest}
                remembered[(one.dataset.name, one.dataset.digest)] = told | _context(one.tags)
            process.pipeline().event(run_id, events.InputsLogged(datasets=[one]))
    except Exception as error:
        logger.error("the inputs were not logged: %s", error)


def logged_inputs(run_id: str) -> list[dict[str, str]]:
    """The data sets this process logged as inputs of a run (the first 100 of them): name, digest, context."""
    return list(_inputs.get(run_id, {}).values())


def _context(tags: Mapping[str, str]) -> dict[str, str]:
    return {"context": tags["mlflow.data.context"]} if "mlflow.data.context" in tags else {}


def _event_of(dataset: Any) -> events.Dataset:
    if not hasattr(dataset, "digest"):
        dataset = (
            from_pandas(dataset) if hasattr(dataset, "dtypes") and hasattr(dataset, "columns") else from_numpy(dataset)
        )
    told = dataset.to_dict()
    name = text_of("data set's name", "name", told.get("name") or "dataset", NAME_CHARS_MAX)
    return events.Dataset(
        name,
        str(told.get("digest", ""))[:DIGEST_CHARS_MAX],
        str(told.get("source_type", "")),
        _fitting(name, "source", told.get("source"), SOURCE_CHARS_MAX),
        _fitting(name, "schema", told.get("schema"), SCHEMA_CHARS_MAX),
        _fitting(name, "profile", told.get("profile"), PROFILE_CHARS_MAX),
    )


def _fitting(name: str, what: str, value: Any, chars_max: int) -> str:
    """The text, or nothing, with a warning, when it is too long: JSON that is cut cannot be read."""
    text = "" if value is None else str(value)
    if len(text) > chars_max:
        logger.warning("the %s of data set %s was left out: it has %d characters", what, name, len(text))
        return ""
    return text


def _source(source: str | None) -> tuple[str, str]:
    if source is None:
        return "code", json.dumps({"tags": {}})
    kind = "http" if source.startswith(("http://", "https://")) else "local"
    return kind, json.dumps({"url" if kind == "http" else "uri": source})


def _column_type(dtype: Any) -> str:
    """MLflow's name of a pandas column type."""
    kind, size = getattr(dtype, "kind", "O"), getattr(dtype, "itemsize", 8)
    if kind == "b":
        return "boolean"
    if kind in "iu":
        return "integer" if size <= 4 and not (kind == "u" and size == 4) else "long"
    if kind == "f":
        return "float" if size <= 4 else "double"
    if kind == "M":
        return "datetime"
    return "string"
