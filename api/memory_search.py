"""Searches runs that are all in memory: the same filters, order and answers as `search.runs_query`, in Python.

An expression becomes the source of one Python loop, compiled once a search, so that looking at a run costs a few
dictionary look-ups: 10,000 runs take a few milliseconds, where planning the SQL alone takes seven. Nothing of the
client's stands in the source: keys and values are bound by name.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from sys import intern
from typing import Any, TypeAlias

from headrace.api.quantities import matching, number_of
from headrace.api.ranking import Column, Found
from headrace.api.search import MODEL_FIELDS, SUMMARY_COLUMNS, View, like
from headrace.api.syntax import Aggregate, And, Comparison, Expression, Not, Or, Order, PointColumns, at_moment
from headrace.ingest.events import InputsLogged
from headrace.processors.metrics import Summary
from headrace.processors.registry import LoggedModel
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
    "duration": "((r.end_time_ms or now) - r.start_time_ms)",
    "lifecycle_stage": f"('deleted' if {_BINNED} else 'active')",
}
_NUMERIC = ("start_time", "end_time", "duration")
_OPERATORS = {"=": "==", "!=": "!=", ">": ">", ">=": ">=", "<": "<", "<=": "<=", "IN": "in", "NOT IN": "not in"}
MetricColumn: TypeAlias = Callable[[str, int], Mapping[str, float]]
"""Gives one field of the summaries of a metric, by run: of its key, and the field's place."""
_FIELDS = {name: Summary._fields.index(column) for name, column in SUMMARY_COLUMNS.items()}


def find(
    runs: Iterable[RunState],
    metrics: Mapping[str, Mapping[str, Summary]],
    *,
    deleted_experiment_ids: Collection[str],
    view: View,
    expression: Expression | None,
    order: Sequence[Order],
    now_ms: int = 0,
    models: Mapping[str, LoggedModel] | None = None,
    columns: PointColumns | None = None,
    metric_column: MetricColumn | None = None,
) -> Found:
    """The runs that match. metrics: by run and key; metric_column: the same, a column at a time, and then it is what is
    looked at. models: logged models by id. Others: as `search.runs_query` has them."""
    runs = list(runs)
    source = _Source(runs, models or {}, columns or {}, metric_column, now_ms)
    conditions = []
    if view != "ALL":
        binned = _BINNED if deleted_experiment_ids else "r.lifecycle == 'deleted'"
        conditions.append(binned if view == "DELETED_ONLY" else f"not {binned}")
    if expression is not None:
        conditions.append(source.condition(at_moment(expression, now_ms)))
    terms = list(order)
    if not any((term.entity, term.key) == ("attribute", "start_time") for term in order):
        terms.append(Order("attribute", "start_time", ascending=False))
    select = source.compiled(" and ".join(conditions) or "True", [source.key(term) for term in terms])
    found, columns_found = select(runs, metrics, frozenset(deleted_experiment_ids))
    return Found(
        found,
        [Column(values, x.ascending, _of_text(x)) for values, x in zip(columns_found, terms, strict=True)],
    )


class _Source:
    """Writes Python about a run r, and keeps the values that it names."""

    def __init__(
        self,
        runs: list[RunState],
        models: Mapping[str, LoggedModel],
        columns: PointColumns,
        metric_column: MetricColumn | None,
        now_ms: int,
    ) -> None:
        self._runs = runs
        self._models = models
        self._columns = columns
        self._metric_column = metric_column
        self._names: dict[str, Any] = {"now": now_ms}

    def compiled(self, condition: str, keys: list[str]) -> Any:
        """A function (runs, metrics, deleted) that gives the runs that meet the condition, and a list of each key."""
        names = {
            "like": like,
            "number": number_of,
            "datasets": datasets,
            "models": self.models,
            "none": {},
            **self._names,
        }
        source = (
            f"def select(runs, metrics, deleted, {', '.join(names)}):\n"
            f"    found = [r for r in runs if {condition}]\n"
            f"    return found, [{', '.join(f'[{key} for r in found]' for key in keys)}]\n"
        )
        scope: dict[str, Any] = {"__builtins__": {"any": any, "float": float, "max": max, "min": min}}
        exec(compile(source, "<search>", "exec"), scope)
        return lambda *arguments: scope["select"](*arguments, *names.values())

    def bind(self, value: Any) -> str:
        """A name for a value."""
        name = f"v{len(self._names)}"
        self._names[name] = value
        return name

    def models(self, run: RunState, key: str) -> list[str]:
        """What the logged models that a run read or made have under a key: id, name, type or status."""
        ids = [x.model_id for x in run.inputs.models] + [x.model_id for x in run.outputs.models]
        if key == "id":
            return ids
        known = self._models
        return [getattr(known[x], MODEL_FIELDS[key]) for x in ids if x in known]

    # --- what is compared and ordered -------------------------------------------------------------------------------

    def metric(self, key: str, aggregate: Aggregate | None) -> tuple[str, str]:
        """An expression that holds where a run has the metric, and what then is its value."""
        name = self.bind(None)
        if aggregate is not None and aggregate.of_points:
            column = self.bind(self._columns.get((key, aggregate), {}))
            return f"({name} := {column}.get(r.run_id)) is not None", name
        if self._metric_column is not None:
            return self.column_of_metric(self._metric_column, key, aggregate)
        held = f"metrics.get(r.run_id, none).get({self.bind(intern(key))})"
        if aggregate is None:
            return f"({name} := {held}) is not None", f"{name}[0]"
        field = _FIELDS[aggregate.name]
        if not aggregate.literal:
            return f"({name} := {held}) is not None", f"{name}[{field}]"
        literal, base = self.bind(None), self.bind(None)
        literally = f"metrics.get(r.run_id, none).get({self.bind(intern(aggregate.literal))})"
        value = f"float({base}[{field}]) if ({base} := {held}) is not None else None"
        value = f"{literal}[0] if ({literal} := {literally}) is not None else {value}"
        return f"({name} := ({value})) is not None", name

    def column_of_metric(self, column: MetricColumn, key: str, aggregate: Aggregate | None) -> tuple[str, str]:
        """As metric, from columns."""
        name = self.bind(None)
        values = self.bind(column(key, 0 if aggregate is None else _FIELDS[aggregate.name]))
        if aggregate is None or not aggregate.literal:
            return f"({name} := {values}.get(r.run_id)) is not None", name
        literal = self.bind(column(aggregate.literal, 0))
        value = f"{name} if ({name} := {literal}.get(r.run_id)) is not None else {values}.get(r.run_id)"
        return f"({name} := ({value})) is not None", name

    def text(self, entity: str, key: str) -> tuple[str, str]:
        """The same of a param or tag."""
        name = self.bind(None)
        return f"({name} := r.{entity}s.get({self.bind(intern(key))})) is not None", name

    def several(self, entity: str, key: str) -> str:
        """An expression for the list of what a run's data sets or models have under a key."""
        return f"datasets(r.inputs, {self.bind(key)})" if entity == "dataset" else f"models(r, {self.bind(key)})"

    def condition(self, expression: Expression) -> str:
        """An expression as Python; a comparison with what is missing is false."""
        match expression:
            case And(operands):
                return f"({' and '.join(self.condition(x) for x in sorted(operands, key=_cost))})"
            case Or(operands):
                return f"({' or '.join(self.condition(x) for x in sorted(operands, key=_cost))})"
            case Not(operand):
                return f"(not {self.condition(operand)})"
        entity, key, operator = expression.entity, expression.key, expression.operator
        if entity in ("dataset", "model"):
            several = self.several(entity, key)
            if expression.value is None:
                return f"({'not ' if operator == 'IS NULL' else ''}{several})"
            return f"any([{self.compared('x', expression)} for x in {several}])"
        if entity == "attribute":
            # A run that has not ended has no end time, which its state writes as 0.
            found, left = "r.end_time_ms != 0" if key == "end_time" else "True", _ATTRIBUTES[key]
        elif entity == "metric":
            found, left = self.metric(key, expression.aggregate)
        else:
            found, left = self.text(entity, key)
        if expression.value is None:
            return f"({'not ' if operator == 'IS NULL' else ''}({found}))"
        if expression.of_numbers:
            left = self.bind(None)
            found = f"({left} := number(r.{entity}s.get({self.bind(intern(key))}))) is not None"
        compared = self.compared(left, expression)
        return f"({found} and {compared})" if found != "True" else f"({compared})"

    def compared(self, left: str, comparison: Comparison) -> str:
        operator = comparison.operator
        if operator in ("=~", "!~"):
            matched = self.bind(self.matched(comparison))
            return f"{left} {'in' if operator == '=~' else 'not in'} {matched}"
        value = self.bind(comparison.value)
        if operator in ("LIKE", "ILIKE"):
            return f"like({left}, {value}, {operator == 'ILIKE'})"
        return f"{left} {_OPERATORS[operator]} {value}"

    def matched(self, comparison: Comparison) -> frozenset[str]:
        """Those of the texts at hand that a regular expression matches: found at once, so that none is slow."""
        entity, key, runs = comparison.entity, comparison.key, self._runs
        if entity == "attribute" and key == "lifecycle_stage":
            texts = {"active", "deleted"}
        elif entity == "attribute":
            name = _ATTRIBUTES[key].removeprefix("r.")
            texts = {getattr(run, name) for run in runs}
        elif entity == "dataset":
            texts = {x for run in runs for x in datasets(run.inputs, key)}
        elif entity == "model":
            texts = {x for run in runs for x in self.models(run, key)}
        else:
            texts = {x for run in runs if (x := getattr(run, f"{entity}s").get(key)) is not None}
        assert isinstance(comparison.value, str)
        return matching(comparison.value, frozenset(texts))

    def key(self, order: Order) -> str:
        """What one clause sorts by; None where a run lacks it."""
        match order.entity:
            case "metric":
                found, value = self.metric(order.key, order.aggregate)
                return f"({value} if {found} else None)"
            case "param" | "tag":
                return f"r.{order.entity}s.get({self.bind(intern(order.key))})"
            case "dataset" | "model":
                name = self.bind(None)
                least = "min" if order.ascending else "max"
                return f"({least}({name}) if ({name} := {self.several(order.entity, order.key)}) else None)"
        return "(r.end_time_ms or None)" if order.key == "end_time" else _ATTRIBUTES[order.key]


def _of_text(order: Order) -> bool:
    return order.entity != "metric" and (order.entity != "attribute" or order.key not in _NUMERIC)


def _cost(expression: Expression) -> int:
    """What is cheap is looked at first: attributes, then what a run holds itself, then its metrics, then the rest."""
    if not isinstance(expression, Comparison):
        return 4
    if expression.operator in ("LIKE", "ILIKE"):
        return 3
    return {"attribute": 0, "param": 1, "tag": 1, "metric": 2}.get(expression.entity, 3)


def datasets(inputs: InputsLogged, key: str) -> list[str]:
    """What a run's data sets have under a key: a field of theirs, or the context of their use."""
    if key == "context":
        tags = [item.tags for item in inputs.datasets]
        return [x["mlflow.data.context"] for x in tags if "mlflow.data.context" in x]
    return [getattr(item.dataset, key) for item in inputs.datasets]
