"""Searches runs that are all in memory: the same filters, order and answers as `search.runs_query`, in Python.

An expression becomes the source of one Python loop, compiled once a search, so that looking at a run costs a few
dictionary look-ups: 10,000 runs take a few milliseconds, where planning the SQL alone takes seven. Nothing of the
client's stands in the source: keys and values are bound by name.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Mapping, Sequence
from sys import intern
from typing import Any

from headrace.api.filter import And, Comparison, Expression, Not, Or, Order
from headrace.api.search import View, like
from headrace.ingest.events import InputsLogged
from headrace.processors.metrics import Summary
from headrace.processors.runs import RunState

_BINNED = "(r.lifecycle == 'deleted' or r.experiment_id in deleted)"
_ATTRIBUTES = {
    "run_id": "r.run_id",
    "run_name": "r.name",
    "status": "r.status",
    "user_id": "r.user_id",
    "artifact_uri": "r.artifact_uri",
    "experiment_id": "r.experiment_id",
    "start_time": "r.start_time_ms",
    "end_time": "r.end_time_ms",
    "lifecycle_stage": f"('deleted' if {_BINNED} else 'active')",
}
_TIMES = ("start_time", "end_time")
_OPERATORS = {"=": "==", "!=": "!=", ">": ">", ">=": ">=", "<": "<", "<=": "<=", "IN": "in", "NOT IN": "not in"}


def find(
    runs: Iterable[RunState],
    metrics: Mapping[str, Mapping[str, Summary]],
    *,
    deleted_experiment_ids: Collection[str],
    view: View,
    expression: Expression | None,
    order: Sequence[Order],
    limit: int,
    offset: int,
) -> list[RunState]:
    """The runs that match, in order. metrics: by run and key. Others: as `search.runs_query` has them."""
    source = _Source()
    conditions = []
    if view != "ALL":
        conditions.append(_BINNED if view == "DELETED_ONLY" else f"not {_BINNED}")
    if expression is not None:
        conditions.append(source.condition(expression))
    keys = [source.key(term) for term in order]
    if not any((term.entity, term.key) == ("attribute", "start_time") for term in order):
        keys.append("-r.start_time_ms")
    select = source.compiled(" and ".join(conditions) or "True", ", ".join(keys))
    found = select(runs, metrics, frozenset(deleted_experiment_ids))
    end = offset + limit
    # A run_id is unique, so no comparison of two keys ever reaches the run behind it.
    nearest = heapq.nsmallest(end, found) if end * 8 < len(found) else sorted(found)[:end]
    return [run for *_, run in nearest[offset:]]


class _Source:
    """Writes Python about a run r, and keeps the values that it names."""

    def __init__(self) -> None:
        self._names: dict[str, Any] = {}

    def compiled(self, condition: str, keys: str) -> Any:
        """A function (runs, metrics, deleted) that gives (*keys, run_id, run) of each run that meets the condition."""
        names = {"like": like, "inputs": _inputs, "none": {}, "Reversed": _Reversed, **self._names}
        source = (
            f"def select(runs, metrics, deleted, {', '.join(names)}):\n"
            "    found = []\n"
            "    for r in runs:\n"
            f"        if {condition}:\n"
            f"            found.append(({keys}, r.run_id, r))\n"
            "    return found\n"
        )
        scope: dict[str, Any] = {"__builtins__": {"any": any}}
        exec(compile(source, "<search>", "exec"), scope)
        return lambda *arguments: scope["select"](*arguments, *names.values())

    def bind(self, value: Any) -> str:
        """A name for a value."""
        name = f"v{len(self._names)}"
        self._names[name] = value
        return name

    def held(self, entity: str, key: str) -> tuple[str, str]:
        """An expression that looks a metric, param or tag up, and the name that then holds it, None if it is not."""
        name = self.bind(None)
        where = "metrics.get(r.run_id, none)" if entity == "metric" else f"r.{entity}s"
        return f"({name} := {where}.get({self.bind(intern(key))}))", name

    def condition(self, expression: Expression) -> str:
        """An expression as Python; a comparison with what is missing is false."""
        match expression:
            case And(operands):
                return f"({' and '.join(self.condition(x) for x in operands)})"
            case Or(operands):
                return f"({' or '.join(self.condition(x) for x in operands)})"
            case Not(operand):
                return f"(not {self.condition(operand)})"
            case Comparison(entity="metric" | "param" | "tag", key=key, operator=operator):
                found, name = self.held(expression.entity, key)
                if operator in ("IS NULL", "IS NOT NULL"):
                    return f"({found} {'is' if operator == 'IS NULL' else 'is not'} None)"
                left = f"{name}[0]" if expression.entity == "metric" else name
                return f"({found} is not None and {self.compared(left, expression)})"
            case Comparison(entity="dataset", key=key):
                return f"any([{self.compared('x', expression)} for x in inputs(r.inputs, {self.bind(key)})])"
        condition = self.compared(_ATTRIBUTES[expression.key], expression)
        # A run that has not ended has no end time, which its state writes as 0.
        return f"(r.end_time_ms != 0 and {condition})" if expression.key == "end_time" else condition

    def compared(self, left: str, comparison: Comparison) -> str:
        value = self.bind(comparison.value)
        if comparison.operator in ("LIKE", "ILIKE"):
            return f"like({left}, {value}, {comparison.operator == 'ILIKE'})"
        return f"{left} {_OPERATORS[comparison.operator]} {value}"

    def key(self, order: Order) -> str:
        """What one clause sorts by: a rank (there, NaN, missing) and the value; one element or two."""
        if order.entity == "metric":
            found, name = self.held("metric", order.key)
            value = f"{name}[0]" if order.ascending else f"-{name}[0]"
            return f"(((0, {value}) if {name}[0] == {name}[0] else (1, 0.0)) if {found} is not None else (2, 0.0))"
        if order.entity in ("param", "tag"):
            found, name = self.held(order.entity, order.key)
            return f"((0, {_text(name, order)}) if {found} is not None else (2, {_text(repr(''), order)}))"
        value = _ATTRIBUTES[order.key]
        if order.key not in _TIMES:
            return _text(value, order)
        value = value if order.ascending else f"-{value}"
        return f"((0, {value}) if r.end_time_ms else (2, 0))" if order.key == "end_time" else value


def _text(value: str, order: Order) -> str:
    return value if order.ascending else f"Reversed({value})"


class _Reversed:
    """A text that sorts the other way round."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def __lt__(self, other: _Reversed) -> bool:
        return other.text < self.text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Reversed) and other.text == self.text

    __hash__ = None  # type: ignore[assignment]


def _inputs(inputs: InputsLogged, key: str) -> list[str]:
    """What a run's data sets have under a key: name, digest, or the context of their use."""
    if key == "context":
        tags = [item.tags for item in inputs.datasets]
        return [x["mlflow.data.context"] for x in tags if "mlflow.data.context" in x]
    return [getattr(item.dataset, key) for item in inputs.datasets]
