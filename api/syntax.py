"""What a filter and an ordering are once they are read: the checked syntax tree that the evaluators work on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

Kind: TypeAlias = Literal["runs", "experiments", "logged_models", "registered_models", "model_versions"]
Entity: TypeAlias = Literal["metric", "param", "tag", "attribute", "dataset", "model"]
Operator: TypeAlias = Literal[
    "=", "!=", ">", ">=", "<", "<=", "LIKE", "ILIKE", "=~", "!~", "IN", "NOT IN", "IS NULL", "IS NOT NULL"
]
Best: TypeAlias = Literal["min", "max"]
AggregateName: TypeAlias = Literal["min", "max", "first", "last", "points", "nan", "last_step", "at", "at_best"]


@dataclass(frozen=True, slots=True)
class Now:
    """The moment of the search and so many ms later, or earlier where it is negative."""

    offset_ms: float


Value: TypeAlias = str | int | float | tuple[str, ...] | tuple[float, ...] | Now | None


@dataclass(frozen=True, slots=True)
class Aggregate:
    """A number made of a metric's points.

    literal: a run that has a metric of this very key shows that metric's last value instead; empty where the text
    leaves no doubt. step: of `at`. other: of `at_best`, the metric whose best step is taken; best: what is best of it.
    """

    name: AggregateName
    literal: str = ""
    step: int = 0
    other: str = ""
    best: Best = "max"

    @property
    def of_points(self) -> bool:
        """Whether the points themselves have to be read: the summary of a metric does not tell."""
        return self.name in ("at", "at_best")


@dataclass(frozen=True, slots=True)
class Comparison:
    """One thing compared with one value.

    key: an attribute's key is its canonical name (`start_time`, never `Created`). operator: upper case.
    value: a float for metrics, a number or Now for times, ms for durations, a tuple for IN, None for IS NULL and
    IS NOT NULL, else a string. A param or tag is compared as a number where the value is one.
    aggregate: of metrics only; None for the last value.
    """

    entity: Entity
    key: str
    operator: Operator
    value: Value
    aggregate: Aggregate | None = None

    @property
    def of_numbers(self) -> bool:
        """Whether a param or tag is compared as a number."""
        value = self.value[0] if isinstance(self.value, tuple) else self.value
        return self.entity in ("param", "tag") and isinstance(value, float)


@dataclass(frozen=True, slots=True)
class And:
    """All of two or more operands hold."""

    operands: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """At least one of two or more operands holds."""

    operands: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The operand does not hold: the plain complement, so what lacks the key of a negated comparison matches."""

    operand: Expression


Expression: TypeAlias = Comparison | And | Or | Not


@dataclass(frozen=True, slots=True)
class Order:
    """One clause of an ordering."""

    entity: Entity
    key: str
    ascending: bool
    aggregate: Aggregate | None = None


PointColumns: TypeAlias = Mapping[tuple[str, Aggregate], Mapping[str, float]]
"""What aggregates of points are, by key of the metric and aggregate, and then by run; a run without has no item."""


def comparisons(expression: Expression | None) -> Iterator[Comparison]:
    """Every comparison of an expression, in the order of the text."""
    match expression:
        case And(operands) | Or(operands):
            for operand in operands:
                yield from comparisons(operand)
        case Not(operand):
            yield from comparisons(operand)
        case Comparison():
            yield expression


def at_moment(expression: Expression, now_ms: int) -> Expression:
    """The expression with every Now as the time it stands for, in ms since the epoch."""
    match expression:
        case And(operands):
            return And(tuple(at_moment(x, now_ms) for x in operands))
        case Or(operands):
            return Or(tuple(at_moment(x, now_ms) for x in operands))
        case Not(operand):
            return Not(at_moment(operand, now_ms))
        case Comparison(value=Now(offset_ms)):
            return replace(expression, value=now_ms + offset_ms)
    return expression
