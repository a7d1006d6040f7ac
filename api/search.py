"""Searching: a filter's syntax tree as parameterized ClickHouse SQL over runs, and as a predicate over experiments.

No part of a request becomes SQL text: keys, values and lists are bound by the server as {name:Type} parameters.
"""

from __future__ import annotations

import base64
import binascii
import functools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol, TypeAlias, TypeVar

from headrace.api.quantities import NUMBER_PATTERN, matches_regex, number_of
from headrace.api.syntax import Aggregate, And, Comparison, Expression, Not, Or, Order, PointColumns, at_moment
from headrace.processors.registry import LoggedModel

View: TypeAlias = Literal["ACTIVE_ONLY", "DELETED_ONLY", "ALL"]
Parameter: TypeAlias = str | int | float | list[str] | list[float]

PAGE_OFFSET_MAX: Final = 2**53
_INT64_MAX: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Query:
    """SQL and what its {name:Type} parameters hold."""

    sql: str
    parameters: dict[str, Parameter]


# ---------------------------------------------------------------------------------------------------------------- runs

_TYPES: Final[dict[type, str]] = {str: "String", float: "Float64", int: "Int64"}
SUMMARY_COLUMNS: Final[dict[str, str]] = {
    "min": "value_min",
    "max": "value_max",
    "first": "first_value",
    "last": "last_value",
    "points": "points",
    "nan": "nan_points",
    "last_step": "last_step",
}
"""The column of a metric's summary that each aggregate is."""
MODEL_FIELDS: Final = {"name": "name", "type": "model_type", "status": "status"}
"""The field of a logged model behind each name."""
_RUN_COLUMNS: Final = {
    "run_id": "r.run_id",
    "run_name": "r.name",
    "status": "r.status",
    "user_id": "r.user_id",
    "artifact_uri": "r.artifact_uri",
    "experiment_id": "r.experiment_id",
    "start_time": "r.start_time_ms",
    "end_time": "r.end_time_ms",
}


def runs_query(
    *,
    experiment_ids: Sequence[str],
    deleted_experiment_ids: Sequence[str],
    view: View,
    expression: Expression | None,
    order: Sequence[Order],
    limit: int,
    offset: int,
    now_ms: int = 0,
    models: Mapping[str, LoggedModel] | None = None,
    columns: PointColumns | None = None,
) -> Query:
    """The query whose one column is run_id: the runs that match, in order.

    now_ms: the moment of the search. models: logged models by id. columns: the aggregates of points that it names.

    A run counts as deleted when it or its experiment is. A comparison with what a run lacks (a key, an end time) is
    false, whatever its operator; NaN equals nothing and differs from everything. Order: the given clauses, where
    numbers come before NaN and what is missing comes last in both directions; then newest start; then run_id.
    """
    compiler = _RunCompiler(list(deleted_experiment_ids), now_ms, models or {}, columns or {})
    deleted = set(deleted_experiment_ids) if view == "ACTIVE_ONLY" else set()
    experiments = [x for x in experiment_ids if x not in deleted]
    conditions = [f"r.experiment_id IN {compiler.bind('experiments', experiments)}"]
    if view != "ALL":
        conditions.append("r.lifecycle != 'deleted'" if view == "ACTIVE_ONLY" else compiler.deleted())
    if expression is not None:
        conditions.append(compiler.condition(at_moment(expression, now_ms)))
    ordering = [term for clause in order for term in compiler.ordering(clause)]
    if not any((x.entity, x.key) == ("attribute", "start_time") for x in order):
        ordering.append("r.start_time_ms DESC")
    ordering.append("r.run_id ASC")
    sql = (
        f"SELECT r.run_id AS run_id\nFROM runs AS r FINAL{compiler.joins()}\n"
        f"WHERE {' AND '.join(conditions)}\nORDER BY {', '.join(ordering)}\n"
        f"LIMIT {compiler.bind('limit', limit)} OFFSET {compiler.bind('offset', offset)}"
    )
    return Query(sql, compiler.parameters)


@dataclass(slots=True)
class _RunCompiler:
    """Turns expressions into conditions on the row r of a run and what is joined to it, and collects the parameters.

    Joined are m, the columns of a run's metrics, and p0, p1, ... for aggregates of points.
    """

    deleted_experiment_ids: list[str]
    now_ms: int
    models: Mapping[str, LoggedModel]
    columns: PointColumns
    parameters: dict[str, Parameter] = field(default_factory=dict)
    metrics: dict[tuple[str, str], int] = field(default_factory=dict)  # (key, column) -> its number in m
    points: dict[tuple[str, Aggregate], int] = field(default_factory=dict)  # -> the number of its join
    keys: dict[str, str] = field(default_factory=dict)  # key -> its bound parameter

    def bind(self, name: str, value: Parameter) -> str:
        """Bind a value and answer its placeholder."""
        self.parameters[name] = value
        if isinstance(value, list):
            kind = f"Array({_TYPES[type(value[0])] if value else 'String'})"
        else:
            kind = _TYPES[type(value)]
        return f"{{{name}:{kind}}}"

    def value(self, value: Parameter) -> str:
        return self.bind(f"v{len(self.parameters)}", value)

    def key(self, key: str) -> str:
        if key not in self.keys:
            self.keys[key] = self.bind(f"k{len(self.keys)}", key)
        return self.keys[key]

    def deleted(self) -> str:
        if not self.deleted_experiment_ids:
            return "(r.lifecycle = 'deleted')"
        return f"(r.lifecycle = 'deleted' OR r.experiment_id IN {self.bind('deleted', self.deleted_experiment_ids)})"

    # --- conditions -------------------------------------------------------------------------------------------------

    def condition(self, expression: Expression) -> str:
        """An expression as SQL that is 0 or 1, never NULL, so that NOT is the plain complement."""
        match expression:
            case And(operands):
                return f"({' AND '.join(self.condition(x) for x in operands)})"
            case Or(operands):
                return f"({' OR '.join(self.condition(x) for x in operands)})"
            case Not(operand):
                return f"(NOT {self.condition(operand)})"
        if expression.entity in ("dataset", "model"):
            return self.several(expression)
        if expression.entity == "attribute":
            # A run that has not ended has no end time, which the view writes as 0.
            found, left = "r.end_time_ms != 0" if expression.key == "end_time" else "1", self.attribute(expression.key)
        elif expression.entity == "metric":
            found, left = self.metric(expression.key, expression.aggregate)
        else:
            column, key = f"r.{expression.entity}s", self.key(expression.key)
            found, left = f"mapContains({column}, {key})", f"{column}[{key}]"
        if expression.value is None:
            return f"({'NOT ' if expression.operator == 'IS NULL' else ''}({found}))"
        if expression.of_numbers:
            number = self.bind("number", NUMBER_PATTERN)
            left = f"toFloat64OrNull(if(match({left}, {number}), {left}, ''))"
            return f"ifNull({self.compared(left, expression)}, 0)"
        return f"({found} AND {self.compared(left, expression)})"

    def attribute(self, key: str) -> str:
        if key == "lifecycle_stage":
            return f"if({self.deleted()}, 'deleted', 'active')"
        if key == "duration":
            return f"(if(r.end_time_ms != 0, r.end_time_ms, {self.bind('now', self.now_ms)}) - r.start_time_ms)"
        return _RUN_COLUMNS[key]

    def several(self, comparison: Comparison) -> str:
        """Whether any one of the run's data sets or models matches, or whether it has any."""
        if comparison.value is None:
            operator = "empty" if comparison.operator == "IS NULL" else "notEmpty"
            return f"{operator}({self.texts(comparison.entity, comparison.key)})"
        texts = self.texts(comparison.entity, comparison.key)
        return f"arrayExists(x -> {self.compared('x', comparison)}, {texts})"

    def texts(self, entity: str, key: str) -> str:
        """The array of what a run's data sets or models have under a key."""
        if entity == "dataset":
            datasets = "JSONExtractArrayRaw(r.inputs, 'datasets')"
            if key != "context":
                return f"arrayMap(d -> JSONExtractString(d, 'dataset', '{key}'), {datasets})"
            path = "d, 'tags', 'mlflow.data.context'"
            return f"arrayMap(d -> JSONExtractString({path}), arrayFilter(d -> JSONHas({path}), {datasets}))"
        ids = (
            "arrayMap(d -> JSONExtractString(d, 'model_id'), arrayConcat("
            "JSONExtractArrayRaw(r.inputs, 'models'), JSONExtractArrayRaw(r.outputs, 'models')))"
        )
        if key == "id":
            return ids
        known = self.bind("models", list(self.models))
        values = [getattr(x, MODEL_FIELDS[key]) for x in self.models.values()]
        named = self.bind(f"models_{key}", values)
        return f"arrayMap(i -> {named}[i], arrayFilter(i -> i > 0, arrayMap(d -> indexOf({known}, d), {ids})))"

    def compared(self, left: str, comparison: Comparison) -> str:
        value, operator = comparison.value, comparison.operator
        if isinstance(value, tuple):
            if comparison.of_numbers:
                # IN takes NaN for equal to itself.
                found = f"arrayExists(n -> n = assumeNotNull({left}), {self.value([float(x) for x in value])})"
                return f"if(isNull({left}), 0, {found if operator == 'IN' else f'NOT {found}'})"
            return f"{left} {operator} {self.value([str(x) for x in value])}"
        if isinstance(value, int) and abs(value) > _INT64_MAX:
            value = float(value)
        if isinstance(value, str) and operator in ("LIKE", "ILIKE"):
            # MLflow's patterns have no escape character; ClickHouse's is the backslash.
            value = value.replace("\\", "\\\\")
        assert isinstance(value, str | int | float)  # only IS NULL and IS NOT NULL have none, and no Now is left
        if operator in ("=~", "!~"):
            return f"{'NOT ' if operator == '!~' else ''}match({left}, {self.value(value)})"
        return f"{left} {operator} {self.value(value)}"

    # --- metrics ----------------------------------------------------------------------------------------------------

    def metric(self, key: str, aggregate: Aggregate | None) -> tuple[str, str]:
        """Whether a run has the metric, and what then is its value."""
        if aggregate is not None and aggregate.of_points:
            number = self.points.setdefault((key, aggregate), len(self.points))
            return f"p{number}.there", f"p{number}.value"
        number = self._column(key, "last_value" if aggregate is None else SUMMARY_COLUMNS[aggregate.name])
        if aggregate is None or not aggregate.literal:
            return f"m.h{number}", f"m.m{number}"
        literal = self._column(aggregate.literal, "last_value")
        return f"(m.h{literal} OR m.h{number})", f"if(m.h{literal}, m.m{literal}, toFloat64(m.m{number}))"

    def _column(self, key: str, column: str) -> int:
        self.key(key)
        return self.metrics.setdefault((key, column), len(self.metrics))

    def ordering(self, order: Order) -> list[str]:
        """The ORDER BY terms of one clause: rank (present, NaN, missing) and value."""
        direction = "ASC" if order.ascending else "DESC"
        match order.entity:
            case "metric":
                found, value = self.metric(order.key, order.aggregate)
                return [f"multiIf(NOT {found}, 2, isNaN({value}), 1, 0)", f"{value} {direction}"]
            case "param" | "tag":
                column, key = f"r.{order.entity}s", self.key(order.key)
                return [f"NOT mapContains({column}, {key})", f"{column}[{key}] {direction}"]
            case "dataset" | "model":
                texts = self.texts(order.entity, order.key)
                return [f"empty({texts})", f"{'arrayMin' if order.ascending else 'arrayMax'}({texts}) {direction}"]
        if order.key == "lifecycle_stage":
            return [f"{self.deleted()} {direction}"]
        rank = ["r.end_time_ms = 0"] if order.key == "end_time" else []
        return [*rank, f"{self.attribute(order.key)} {direction}"]

    def joins(self) -> str:
        """The joins that give each run one row m: per column of metrics, its latest value mN and whether it has one,
        hN; and one row pN for each aggregate of points: value and there.

        One pass over the summaries however many keys there are; argMax by offset is several times faster than FINAL.
        """
        return self._metrics_join() + "".join(self._points_join(*x) for x in self.points.items())

    def _metrics_join(self) -> str:
        if not self.metrics:
            return ""
        columns = "".join(
            f", argMaxIf({column}, offset, key = {self.keys[key]}) AS m{number}"
            f", countIf(key = {self.keys[key]}) > 0 AS h{number}"
            for (key, column), number in self.metrics.items()
        )
        if len(self.metrics) == 1:
            [(_, column)] = self.metrics
            columns = f", argMax({column}, offset) AS m0, 1 AS h0"
        keys = self.bind("keys", list(dict.fromkeys(key for key, _ in self.metrics)))
        return (
            f"\nLEFT JOIN (SELECT run_id{columns} FROM metric_summary WHERE key IN {keys} GROUP BY run_id) AS m"
            " ON m.run_id = r.run_id"
        )

    def _points_join(self, what: tuple[str, Aggregate], number: int) -> str:
        column = self.columns.get(what, {})
        runs = self.bind(f"p{number}_runs", list(column))
        values = self.bind(f"p{number}_values", [float(x) for x in column.values()] or [0.0])
        return (
            f"\nLEFT JOIN (SELECT pair.1 AS run_id, pair.2 AS value, 1 AS there FROM"
            f" (SELECT arrayJoin(arrayZip({runs}, arraySlice({values}, 1, length({runs})))) AS pair)) AS p{number}"
            f" ON p{number}.run_id = r.run_id"
        )


# --------------------------------------------------------------------------------------------------------- experiments


class ExperimentLike(Protocol):
    """What a search reads of an experiment."""

    @property
    def experiment_id(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def creation_time_ms(self) -> int: ...
    @property
    def last_update_time_ms(self) -> int: ...
    @property
    def tags(self) -> Mapping[str, str]: ...


ExperimentT = TypeVar("ExperimentT", bound=ExperimentLike)

_ATTRIBUTES: Final[dict[str, Callable[[ExperimentLike], str | int]]] = {
    "name": lambda x: x.name,
    "experiment_id": lambda x: x.experiment_id,
    "creation_time": lambda x: x.creation_time_ms,
    "last_update_time": lambda x: x.last_update_time_ms,
}


def matches(expression: Expression | None, read: Callable[[Comparison], str | float | None]) -> bool:
    """Whether an expression holds. read: the value a comparison is about, None where it is missing; a comparison with
    what is missing is false, whatever its operator."""
    match expression:
        case None:
            return True
        case And(operands):
            return all(matches(x, read) for x in operands)
        case Or(operands):
            return any(matches(x, read) for x in operands)
        case Not(operand):
            return not matches(operand, read)
        case Comparison():
            return _holds(read(expression), expression)


def experiments_match(expression: Expression | None, experiment: ExperimentLike) -> bool:
    """Whether the experiment matches."""

    def read(comparison: Comparison) -> str | int | None:
        if comparison.entity == "tag":
            return experiment.tags.get(comparison.key)
        return _ATTRIBUTES[comparison.key](experiment)

    return matches(expression, read)


def _holds(left: str | float | None, comparison: Comparison) -> bool:
    operator, value = comparison.operator, comparison.value
    if operator in ("IS NULL", "IS NOT NULL"):
        return (left is None) == (operator == "IS NULL")
    if comparison.of_numbers:
        assert not isinstance(left, int | float)
        left = number_of(left)
    if left is None:
        return False
    if isinstance(value, tuple):
        return (left in value) == (operator == "IN")
    if isinstance(left, str) and isinstance(value, str):
        if operator in ("LIKE", "ILIKE"):
            return like(left, value, operator == "ILIKE")
        if operator in ("=~", "!~"):
            return matches_regex(value, left) == (operator == "=~")
        return (left == value) == (operator == "=")
    if isinstance(left, int | float) and isinstance(value, int | float):
        return {"=": left == value, "!=": left != value, ">": left > value, ">=": left >= value}.get(
            operator, left <= value if operator == "<=" else left < value
        )
    raise AssertionError(f"the parser let {comparison} pass")


@functools.lru_cache(maxsize=256)
def _pieces(like: str, ignore_case: bool) -> tuple[re.Pattern[str], ...]:
    """What stands between the % of a LIKE pattern, each of a fixed length."""
    flags = re.DOTALL | (re.IGNORECASE if ignore_case else 0)
    return tuple(
        re.compile("".join("." if x == "_" else re.escape(x) for x in piece), flags) for piece in like.split("%")
    )


def like(text: str, pattern: str, ignore_case: bool) -> bool:
    """Whether text matches a LIKE pattern, without backtracking: each piece is taken where it first occurs."""
    first, *others = _pieces(pattern, ignore_case)
    if not others:
        return first.fullmatch(text) is not None
    found = first.match(text)
    for piece in others[:-1]:
        found = piece.search(text, found.end()) if found else None
    # Every character of a pattern matches one of the text, so the last piece's length says where it must begin.
    length = len(pattern) - pattern.rindex("%") - 1
    return found is not None and others[-1].fullmatch(text, max(found.end(), len(text) - length)) is not None


def sort_experiments(order: Sequence[Order], experiments: Sequence[ExperimentT]) -> list[ExperimentT]:
    """The experiments in order: newest first and then by id; with clauses given, by those and then by id, descending.

    Ids are ordered as numbers where they are numbers. (Both tie-breakers are MLflow's.)
    """
    clauses = [(x.key, x.ascending) for x in order] or [("creation_time", False), ("experiment_id", True)]
    clauses.append(("experiment_id", False))
    ordered = list(experiments)
    for key, ascending in reversed(clauses):
        ordered.sort(key=experiment_sort_key(key), reverse=not ascending)
    return ordered


def experiment_sort_key(key: str) -> Callable[[ExperimentLike], tuple[int, str]]:
    """What experiments are sorted by, ascending, for one attribute."""

    def sort_key(experiment: ExperimentLike) -> tuple[int, str]:
        value = _ATTRIBUTES[key](experiment)
        if isinstance(value, int):
            return value, ""
        if key == "experiment_id" and value.isascii() and value.isdigit():
            return int(value), ""
        return _INT64_MAX, value

    return sort_key


# --------------------------------------------------------------------------------------------------------------- pages

_TOKEN_PREFIX: Final = b"offset:"


def encode_page_token(offset: int) -> str:
    """An opaque token for the page that begins after `offset` results."""
    return base64.urlsafe_b64encode(_TOKEN_PREFIX + str(offset).encode()).decode()


def decode_page_token(token: str) -> int:
    """The offset a token stands for, 0 for an empty one. Raises ValueError for what encode_page_token never gave."""
    if not token:
        return 0
    try:
        raw = base64.b64decode(token.encode("ascii"), altchars=b"-_", validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise ValueError("Invalid page token") from None
    digits = raw.removeprefix(_TOKEN_PREFIX)
    if not raw.startswith(_TOKEN_PREFIX) or not re.fullmatch(rb"[0-9]{1,16}", digits) or int(digits) > PAGE_OFFSET_MAX:
        raise ValueError("Invalid page token")
    return int(digits)
