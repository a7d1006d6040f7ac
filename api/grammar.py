"""What there is to search by: the names that each kind of thing has, and which metrics are best when low."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from headrace.api.syntax import AggregateName, Best, Entity, Kind, Operator


@dataclass(frozen=True, slots=True)
class Grammar:
    """What differs between the kinds of things searched."""

    entities: dict[str, Entity]
    attributes: dict[str, str]  # every accepted spelling -> canonical name
    times: frozenset[str]
    nullable: tuple[Entity, ...]  # entities that take IS NULL and IS NOT NULL
    orderable: tuple[Entity, ...]
    durations: frozenset[str] = frozenset()
    numbers: frozenset[str] = frozenset()  # whole numbers, which may stand in quotes
    tags: dict[str, dict[str, str]] = field(default_factory=dict)  # prefix -> key -> the tag that it names
    keys: dict[Entity, tuple[str, ...]] = field(default_factory=dict)  # of entities whose keys are not the user's
    aggregates: bool = False


_OF_REGISTRY: Final[dict[str, Entity]] = {
    **dict.fromkeys(("attr", "attribute", "attributes"), "attribute"),
    **dict.fromkeys(("tag", "tags"), "tag"),
}

GRAMMARS: Final[dict[Kind, Grammar]] = {
    "runs": Grammar(
        entities={
            **dict.fromkeys(("metric", "metrics"), "metric"),
            **dict.fromkeys(("param", "params", "parameter", "parameters"), "param"),
            **dict.fromkeys(("tag", "tags"), "tag"),
            **dict.fromkeys(("attr", "attribute", "attributes", "run"), "attribute"),
            **dict.fromkeys(("dataset", "datasets"), "dataset"),
            # Ours, as all that follows: MLflow does not search by these.
            **dict.fromkeys(("model", "models"), "model"),
            **dict.fromkeys(("code", "environment"), "tag"),
        },
        attributes={
            **{
                key: key
                for key in ("run_id", "run_name", "status", "user_id", "artifact_uri", "start_time", "end_time")
            },
            **dict.fromkeys(("created", "Created"), "start_time"),
            **dict.fromkeys(("run name", "Run name", "Run Name"), "run_name"),
            **{key: key for key in ("experiment_id", "lifecycle_stage", "duration")},
        },
        times=frozenset({"start_time", "end_time"}),
        durations=frozenset({"duration"}),
        nullable=("metric", "param", "tag", "attribute", "dataset", "model"),
        orderable=("metric", "param", "tag", "attribute", "dataset", "model"),
        tags={
            "code": {
                "commit": "mlflow.source.git.commit",
                "branch": "mlflow.source.git.branch",
                "repo": "mlflow.source.git.repoURL",
                "dirty": "mlflow.source.git.dirty",
                "source": "mlflow.source.name",
                "source_type": "mlflow.source.type",
            },
            "environment": {
                "user": "mlflow.user",
                "host": "headrace.host",
                "python": "headrace.python",
                "platform": "headrace.platform",
                "entry_point": "headrace.entry_point",
                "command": "headrace.command",
                "folder": "headrace.folder",
                "pid": "headrace.pid",
            },
        },
        keys={
            "dataset": ("name", "digest", "context", "source", "source_type"),
            "model": ("id", "name", "type", "status"),
        },
        aggregates=True,
    ),
    "experiments": Grammar(
        entities={"attribute": "attribute", "tag": "tag", "tags": "tag"},
        attributes={key: key for key in ("name", "experiment_id", "creation_time", "last_update_time")},
        times=frozenset({"creation_time", "last_update_time"}),
        nullable=("tag",),
        orderable=("attribute",),
    ),
    "logged_models": Grammar(
        entities={
            **dict.fromkeys(("attr", "attribute", "attributes"), "attribute"),
            **dict.fromkeys(("metric", "metrics"), "metric"),
            **dict.fromkeys(("param", "params"), "param"),
            **dict.fromkeys(("tag", "tags"), "tag"),
        },
        attributes={
            **{key: key for key in ("name", "model_id", "model_type", "status", "source_run_id", "experiment_id")},
            **dict.fromkeys(("creation_time", "creation_timestamp"), "creation_time"),
            **dict.fromkeys(("last_update_time", "last_updated_timestamp"), "last_update_time"),
        },
        times=frozenset({"creation_time", "last_update_time"}),
        nullable=("metric", "param", "tag"),
        orderable=("attribute",),
    ),
    "registered_models": Grammar(
        entities=_OF_REGISTRY,
        attributes={
            **{key: key for key in ("name", "description", "user_id", "alias")},
            "creation_timestamp": "creation_timestamp",
            **dict.fromkeys(("timestamp", "last_updated_timestamp"), "last_updated_timestamp"),
        },
        times=frozenset({"creation_timestamp", "last_updated_timestamp"}),
        nullable=("tag",),
        orderable=("attribute",),
    ),
    "model_versions": Grammar(
        entities=_OF_REGISTRY,
        attributes={
            **{key: key for key in ("name", "version_number", "run_id", "source_path", "description", "user_id")},
            **{key: key for key in ("alias", "status", "model_id", "digest")},
            **dict.fromkeys(("stage", "current_stage"), "stage"),
            **{key: key for key in ("creation_timestamp", "last_updated_timestamp")},
        },
        times=frozenset({"creation_timestamp", "last_updated_timestamp"}),
        numbers=frozenset({"version_number"}),
        nullable=("tag",),
        orderable=("attribute",),
    ),
}

NUMERIC_OPERATORS: Final[tuple[Operator, ...]] = ("=", "!=", ">", ">=", "<", "<=")
STRING_OPERATORS: Final[tuple[Operator, ...]] = ("=", "!=", "LIKE", "ILIKE", "=~", "!~")
WIRE_NAMES: Final[dict[Entity, str]] = {
    "metric": "metric", "param": "parameter", "tag": "tag", "attribute": "attribute", "dataset": "dataset",
    "model": "model",
}  # fmt: skip

SUMMARY_AGGREGATES: Final[dict[str, AggregateName]] = {
    "min": "min",
    "max": "max",
    "first": "first",
    "last": "last",
    "points": "points",
    "nan": "nan",
    "last_step": "last_step",
}
"""Aggregates without arguments: what is kept of each metric tells them."""
POINT_AGGREGATES: Final[dict[str, AggregateName]] = {"at": "at", "at_best": "at_best"}
"""Aggregates with arguments, made of the points."""

LOW_IS_BEST: Final = ("loss", "error", "perplexity", "regret")
"""A metric whose key holds one of these is best when low."""
LOW_IS_BEST_WORDS: Final = ("err", "ppl", "mae", "mse", "rmse", "mape", "nll", "wer", "cer", "fid", "bpb", "bpc")
"""A metric whose key has one of these as a word of its own is best when low."""


def best_of(key: str) -> Best:
    """Whether the lowest or the highest value of a metric is its best, as far as its key tells."""
    lower = key.lower()
    words = re.split(r"[^a-z]+", lower)
    low = any(word in lower for word in LOW_IS_BEST) or any(word in words for word in LOW_IS_BEST_WORDS)
    return "min" if low else "max"
