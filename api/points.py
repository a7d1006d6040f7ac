"""Where the points of runs come from: the one place that knows of resent, inherited and later points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from headrace.ingest.log import Partition
from headrace.ingest.topics import METRICS


@dataclass(frozen=True, slots=True)
class Cut:
    """A moment of the log. ends: of each partition, the offset of the first record that is not in it.

    A partition that is missing had nothing in it yet. time_ms: the moment as a time, where it was given as one.
    """

    ends: Mapping[Partition, int]
    time_ms: int | None = None

    @property
    def parameters(self) -> dict[str, Any]:
        """What BEFORE's parameter holds."""
        return {"points_ends": self.offsets(METRICS)}

    def offsets(self, topic: str) -> list[int]:
        """The ends of a topic's partitions, by their number."""
        ends = {p.partition: end for p, end in self.ends.items() if p.topic == topic}
        return [ends.get(number, 0) for number in range(max(ends, default=-1) + 1)]


# Of a partition that the moment does not know, the array has no item: 0, so nothing.
BEFORE = "offset < {points_ends:Array(UInt64)}[partition + 1]"
"""The condition on rows of `metrics` and `metric_summary` that were there at a Cut, whose parameters it needs."""


@dataclass(frozen=True, slots=True)
class Link:
    """A run has the points of another one, up to and with a step, as its own."""

    run_id: str
    source_run_id: str
    step_max: int


_COLUMNS = "key, step, timestamp_ms, value"
_MORE = "model_id, dataset_name, dataset_digest, partition, offset"


@dataclass(frozen=True)
class Points:
    """A subquery for the points of runs, in no order: run_id, key, step, timestamp_ms, value.

    What a REST client sent twice is one point. keys: none for all. cut: leaves out what was logged later; None for all.
    links: what the runs inherit, whole chains of it, each a link of its own. whole: every row as it was stored, with
    model_id, dataset_name, dataset_digest, partition and offset beside.
    """

    run_ids: Sequence[str]
    keys: Sequence[str] = ()
    cut: Cut | None = None
    links: Sequence[Link] = ()
    whole: bool = False

    @cached_property
    def parameters(self) -> dict[str, Any]:
        """What the subquery's {name:Type} parameters hold; their names begin with `points_`."""
        found: dict[str, Any] = {"points_runs": list(dict.fromkeys(self.run_ids))}
        if self.keys:
            found["points_keys"] = list(dict.fromkeys(self.keys))
        if self.cut is not None:
            found |= self.cut.parameters
        if self.links:
            found["points_heirs"] = [x.run_id for x in self.links]
            found["points_sources"] = [x.source_run_id for x in self.links]
            found["points_steps"] = [x.step_max for x in self.links]
        return found

    @cached_property
    def sql(self) -> str:
        """The subquery, in parentheses."""
        conditions = []
        if self.keys:
            conditions.append("key IN {points_keys:Array(String)}")
        if self.cut is not None:
            conditions.append(BEFORE)
        own = ["run_id IN {points_runs:Array(String)}", *conditions]
        parts = self._selects("run_id", "metrics", own)
        if self.links:
            parts += self._selects("heir AS run_id", _INHERITED, ["step <= step_max", *conditions])
        return f"({' UNION ALL '.join(parts)})"

    def _selects(self, run_id: str, source: str, conditions: list[str]) -> list[str]:
        where = " AND ".join(conditions)
        if self.whole:
            return [f"SELECT {run_id}, {_COLUMNS}, {_MORE} FROM {source} WHERE {where}"]
        # Only what came without a writer can have been sent twice by its client; see schema.sql.
        return [
            f"SELECT {run_id}, {_COLUMNS} FROM {source} WHERE {where} AND writer != ''",
            f"SELECT DISTINCT {run_id}, {_COLUMNS} FROM {source} WHERE {where} AND writer = ''",
        ]


_INHERITED = (
    f"(SELECT run_id AS source, writer, {_COLUMNS}, {_MORE} FROM metrics"
    " WHERE run_id IN {points_sources:Array(String)}) AS inherited"
    " INNER JOIN (SELECT link.1 AS heir, link.2 AS source, link.3 AS step_max FROM (SELECT arrayJoin(arrayZip("
    "{points_heirs:Array(String)}, {points_sources:Array(String)}, {points_steps:Array(Int64)})) AS link)) AS links"
    " USING source"
)
