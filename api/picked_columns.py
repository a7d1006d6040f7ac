"""Which columns of a table of runs are wanted: by name, by the beginning of names, or as an aggregate of a metric."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from headrace.api.errors import invalid
from headrace.api.filter import FILTER_POINT_AGGREGATES_MAX, Aggregate, FilterError, parse_order_by
from headrace.api.grammar import SUMMARY_AGGREGATES
from headrace.api.point_aggregates import What

ATTRIBUTES: Final = (
    "run_id",
    "experiment_id",
    "run_name",
    "status",
    "user_id",
    "artifact_uri",
    "start_time",
    "end_time",
    "lifecycle_stage",
)
"""Columns that every run has."""
KINDS: Final = ("metrics", "params", "tags")
"""What stands before the dot in the names of the others."""
_OF_POINTS = re.compile(r"\.at(_best)?\(.*\)\Z", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Picked:
    """These columns, those that begin so, and aggregates of metrics by their names as they were asked for.

    names: None for all but aggregates.
    """

    names: frozenset[str] | None = None
    beginnings: tuple[str, ...] = ()
    aggregates: Mapping[str, What] = field(default_factory=dict)

    @classmethod
    def of(cls, columns: Sequence[str] | None) -> Picked:
        """From the columns of a request. Raises INVALID_PARAMETER_VALUE for what can be no column."""
        if columns is None:
            return cls()
        for name in columns:
            kind, dot, key = name.partition(".")
            if not (name == "*" or name in ATTRIBUTES or (kind in KINDS and dot and key)):
                raise invalid(
                    f"Invalid value {name!r} for parameter 'columns' supplied: expected one of"
                    f" {', '.join(ATTRIBUTES)}, or metrics.<key>, params.<key>, tags.<key>, or the beginning of one"
                    " and a star, or an aggregate such as metrics.<key>.min"
                )
        aggregates = {name: what for name in columns if (what := _aggregate(name)) is not None}
        if sum(aggregate.of_points for _, aggregate in aggregates.values()) > FILTER_POINT_AGGREGATES_MAX:
            raise invalid(
                f"Invalid value for parameter 'columns' supplied: at most {FILTER_POINT_AGGREGATES_MAX} of at(...) and"
                " at_best(...)"
            )
        whole = frozenset(name for name in columns if not name.endswith("*") and name not in aggregates)
        beginnings = tuple({name.removesuffix("*") for name in columns if name.endswith("*")})
        return cls(whole | {"run_id"}, beginnings, aggregates)

    def __contains__(self, name: str) -> bool:
        return self.names is None or name in self.names or name.startswith(self.beginnings)

    def any_of(self, kind: str) -> bool:
        """Whether any column of a kind, such as tags, can be wanted."""
        if self.names is None or "" in self.beginnings:
            return True
        return any(x.startswith(f"{kind}.") for x in (*self.names, *self.beginnings))

    def keys(self, kind: str, of_runs: Sequence[Mapping[str, Any]]) -> list[str]:
        """Those keys of a kind that any run has and that are wanted, in order."""
        if self.names is not None and not self.beginnings:
            # Named ones are looked for, rather than that all keys of all runs are gone through.
            named = sorted(x.partition(".")[2] for x in self.names if x.startswith(f"{kind}."))
            return [key for key in named if any(key in of_run for of_run in of_runs)]
        return sorted(key for key in set().union(*of_runs) if f"{kind}.{key}" in self)

    @property
    def of_points(self) -> list[What]:
        """The aggregates that points have to be read for, each once."""
        return list(dict.fromkeys(what for what in self.aggregates.values() if what[1].of_points))


def _aggregate(name: str) -> What | None:
    """The aggregate that a name tells, as in a filter: a key needs no quotes unless it has parentheses."""
    kind, _, key = name.partition(".")
    if kind != "metrics" or name.endswith("*"):
        return None
    if key[0] in '"`' or _OF_POINTS.search(key):
        try:
            [order] = parse_order_by([name], "runs")
        except FilterError as error:
            raise invalid(f"Invalid value {name!r} for parameter 'columns' supplied: {error}") from None
        return None if order.aggregate is None else (order.key, order.aggregate)
    base, dot, last = key.rpartition(".")
    if base and dot and last in SUMMARY_AGGREGATES:
        return base, Aggregate(SUMMARY_AGGREGATES[last], literal=key)
    return None
