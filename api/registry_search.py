"""Searching the registry: registered models and their versions by filter, in order. They are few, and in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Final, NamedTuple, TypeVar

from headrace.api.search import matches
from headrace.api.syntax import And, Comparison, Expression, Not, Or, Order, comparisons
from headrace.processors.registered_models import ModelVersion, RegisteredModel

IS_PROMPT_TAG: Final = "mlflow.prompt.is_prompt"
"""MLflow keeps prompts as registered models with this tag, and shows them only to who asks for it."""

_FIELDS: Final = {
    "creation_timestamp": "creation_time_ms",
    "last_updated_timestamp": "last_update_time_ms",
    "version_number": "version",
    "source_path": "source",
}
"""The field behind each name that a filter has for it, where they differ."""


class Version(NamedTuple):
    """A version and the model it is of."""

    model: RegisteredModel
    version: ModelVersion


T = TypeVar("T", RegisteredModel, Version)


def named(models: Mapping[str, RegisteredModel], expression: Expression | None) -> list[RegisteredModel]:
    """Those of all models, by name, that can match at all: most filters ask for one name."""
    for one in expression.operands if isinstance(expression, And) else (expression,):
        if isinstance(one, Comparison) and (one.entity, one.key, one.operator) == ("attribute", "name", "="):
            found = models.get(str(one.value))
            return [] if found is None else [found]
    return list(models.values())


def models(
    found: Iterable[RegisteredModel], expression: Expression | None, orders: Sequence[Order]
) -> list[RegisteredModel]:
    """The models that match, in order; by name where the order leaves it open."""
    return _sorted(_matching(found, expression), orders, lambda model: model.name)


def versions(found: Iterable[Version], expression: Expression | None, orders: Sequence[Order]) -> list[Version]:
    """The versions that match, in order; by name and then from the highest where the order leaves it open."""
    found = sorted(_matching(found, expression), key=lambda one: -one.version.version)
    return _sorted(found, orders, lambda one: one.model.name)


def is_prompt(one: RegisteredModel | ModelVersion) -> bool:
    """Whether it is a prompt of MLflow's, or a version of one."""
    return one.tags.get(IS_PROMPT_TAG, "").lower() == "true"


def _matching(found: Iterable[T], expression: Expression | None) -> list[T]:
    prompts = _asks_for_prompts(expression)
    return [
        one
        for one in found
        if (prompts or not is_prompt(one.version if isinstance(one, Version) else one)) and _holds(expression, one)
    ]


def _asks_for_prompts(expression: Expression | None) -> bool:
    for one in comparisons(expression):
        if one.entity == "tag" and one.key == IS_PROMPT_TAG:
            value = str(one.value).lower()
            return (one.operator == "=" and value == "true") or (one.operator == "!=" and value == "false")
    return False


def _holds(expression: Expression | None, one: RegisteredModel | Version) -> bool:
    match expression:
        case And(operands):
            return all(_holds(operand, one) for operand in operands)
        case Or(operands):
            return any(_holds(operand, one) for operand in operands)
        case Not(operand):
            return not _holds(operand, one)
        case Comparison(entity="attribute", key="alias"):
            # One of several: the comparison holds when it holds for any of them, as for the data sets of a run.
            return any(matches(expression, lambda _, alias=alias: alias) for alias in _aliases(one))  # type: ignore[misc]
        case Comparison(entity="tag", key=key) if key == IS_PROMPT_TAG and not _asks_for_prompts(expression):
            return True
    return matches(expression, partial(_read, one))


def _aliases(one: RegisteredModel | Version) -> list[str]:
    return one.model.aliases_of(one.version.version) if isinstance(one, Version) else sorted(one.aliases)


def _read(one: RegisteredModel | Version, comparison: Comparison) -> str | int | None:
    if comparison.entity == "tag":
        return (one.version if isinstance(one, Version) else one).tags.get(comparison.key)
    return _attribute(one, comparison.key)


def _attribute(one: RegisteredModel | Version, key: str) -> str | int:
    if key == "alias":
        return ", ".join(_aliases(one))
    if isinstance(one, Version):
        return one.model.name if key == "name" else _field(one.version, key)
    return _field(one, key)


def _field(one: Any, key: str) -> str | int:
    value: str | int = getattr(one, _FIELDS.get(key, key))
    return value


def _sorted(found: Sequence[T], orders: Sequence[Order], last: Callable[[T], str]) -> list[T]:
    """By each clause, the last first, since sorting keeps what is equal in its order."""
    ordered = sorted(found, key=last)
    for order in reversed(orders):
        ordered.sort(key=lambda one: _attribute(one, order.key), reverse=not order.ascending)
    return ordered
