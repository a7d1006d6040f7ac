"""The filter and order_by grammar: text to a checked syntax tree.

MLflow's grammar, with OR, NOT and parentheses added. What MLflow refuses is refused with MLflow's opening words, since
clients match on them, followed by the character where the fault lies and what was expected there.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Literal, NoReturn, TypeAlias

Kind: TypeAlias = Literal["runs", "experiments", "logged_models"]
Entity: TypeAlias = Literal["metric", "param", "tag", "attribute", "dataset"]
Operator: TypeAlias = Literal[
    "=", "!=", ">", ">=", "<", "<=", "LIKE", "ILIKE", "IN", "NOT IN", "IS NULL", "IS NOT NULL"
]
Value: TypeAlias = str | int | float | tuple[str, ...] | None

FILTER_CHARS_MAX: Final = 200_000
FILTER_DEPTH_MAX: Final = 50
FILTER_COMPARISONS_MAX: Final = 500
ORDER_BY_CLAUSES_MAX: Final = 50


class FilterError(ValueError):
    """The filter or order_by clause cannot be understood: what is wrong, at which character, and what was expected."""

    def __init__(self, message: str, position: int, expected: str) -> None:
        """message: the fault as a sentence; position: of the first wrong character, counted from 1."""
        super().__init__(f"{message} At character {position}: expected {expected}.")
        self.message = message
        self.position = position
        self.expected = expected


@dataclass(frozen=True, slots=True)
class Comparison:
    """One thing compared with one value.

    key: an attribute's key is its canonical name (`start_time`, never `Created`). operator: upper case.
    value: a float for metrics, a number for times, a tuple for IN, None for IS NULL and IS NOT NULL, else a string.
    """

    entity: Entity
    key: str
    operator: Operator
    value: Value


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


@dataclass(frozen=True, slots=True)
class _Grammar:
    """What differs between the kinds of things searched."""

    entities: dict[str, Entity]
    attributes: dict[str, str]  # every accepted spelling -> canonical name
    numeric: frozenset[str]
    listable: tuple[str, ...]  # attributes that take IN and NOT IN
    nullable: tuple[Entity, ...]  # entities that take IS NULL and IS NOT NULL
    orderable: tuple[Entity, ...]


_GRAMMARS: Final[dict[Kind, _Grammar]] = {
    "runs": _Grammar(
        entities={
            **dict.fromkeys(("metric", "metrics"), "metric"),
            **dict.fromkeys(("param", "params", "parameter", "parameters"), "param"),
            **dict.fromkeys(("tag", "tags"), "tag"),
            **dict.fromkeys(("attr", "attribute", "attributes", "run"), "attribute"),
            **dict.fromkeys(("dataset", "datasets"), "dataset"),
        },
        attributes={
            **{
                key: key
                for key in ("run_id", "run_name", "status", "user_id", "artifact_uri", "start_time", "end_time")
            },
            **dict.fromkeys(("created", "Created"), "start_time"),
            **dict.fromkeys(("run name", "Run name", "Run Name"), "run_name"),
            # Ours: MLflow does not search by these.
            "experiment_id": "experiment_id",
            "lifecycle_stage": "lifecycle_stage",
        },
        numeric=frozenset({"start_time", "end_time"}),
        listable=("run_id", "experiment_id"),
        nullable=("param", "tag"),
        orderable=("metric", "param", "tag", "attribute"),
    ),
    "experiments": _Grammar(
        entities={"attribute": "attribute", "tag": "tag", "tags": "tag"},
        attributes={key: key for key in ("name", "experiment_id", "creation_time", "last_update_time")},
        numeric=frozenset({"creation_time", "last_update_time"}),
        listable=("experiment_id",),
        nullable=("tag",),
        orderable=("attribute",),
    ),
    "logged_models": _Grammar(
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
        numeric=frozenset({"creation_time", "last_update_time"}),
        listable=("name", "model_id", "status", "source_run_id"),
        nullable=("param", "tag"),
        orderable=("attribute",),
    ),
}
_DATASET_KEYS: Final = ("name", "digest", "context")
_NUMERIC_OPERATORS: Final[tuple[Operator, ...]] = ("=", "!=", ">", ">=", "<", "<=")
_STRING_OPERATORS: Final[tuple[Operator, ...]] = ("=", "!=", "LIKE", "ILIKE")
_NULL_OPERATORS: Final[dict[str, Operator]] = {"IS NULL": "IS NULL", "IS NOT NULL": "IS NOT NULL"}
_WIRE_NAMES: Final[dict[Entity, str]] = {
    "metric": "metric", "param": "parameter", "tag": "tag", "attribute": "attribute", "dataset": "dataset",
}  # fmt: skip

_WORD = re.compile(r"[^\s\"'`()<>=!,;]+")
_SYMBOL = re.compile(r"[<>=!]+|[(),;]")
_NUMBER = re.compile(r"[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|inf(?:inity)?|nan)", re.IGNORECASE)
_INTEGER = re.compile(r"[+-]?[0-9]{1,19}")


@dataclass(frozen=True, slots=True)
class _Token:
    """kind: word, symbol, a quote character (then text is what it encloses, unescaped) or end. start, end: 0-based."""

    kind: str
    text: str
    source: str
    start: int
    end: int

    def is_word(self, word: str) -> bool:
        return self.kind == "word" and self.text.upper() == word

    def is_symbol(self, symbol: str) -> bool:
        return self.kind == "symbol" and self.text == symbol


def _quoted(text: str, start: int, last: int) -> tuple[str, int] | None:
    """What the quote at start encloses and where it ends, or None. last: where this quote character occurs last.

    A quote inside is doubled or follows a backslash; a backslash before the very last quote is a plain one, so that
    a Windows path may end a filter.
    """
    quote, parts, begin, at = text[start], [], start + 1, start + 1
    while (at := text.find(quote, at)) != -1:
        if quote != "`" and text[at - 1] == "\\" and at != last:
            parts.append(text[begin : at - 1])
            begin, at = at, at + 1
        elif text.startswith(quote, at + 1):
            parts.append(text[begin:at])
            begin, at = at + 1, at + 2
        else:
            return "".join(parts) + text[begin:at], at + 1
    return None


def _tokens(text: str, fault: str) -> list[_Token]:
    """Split into tokens; fault: how a complaint opens."""
    found: list[_Token] = []
    last = {quote: text.rfind(quote) for quote in "\"'`"}
    at = 0
    while at < len(text):
        character = text[at]
        if character.isspace():
            at += 1
            continue
        if character in last:
            quoted = _quoted(text, at, last[character])
            if quoted is None:
                raise FilterError(f"{fault}: {_short(text[at:])}.", at + 1, f"a closing {character} for the one here")
            inner, end = quoted
            found.append(_Token(character, inner, text[at:end], at, end))
            at = end
            continue
        kind, match = "word", _WORD.match(text, at)
        if match is None:
            kind, match = "symbol", _SYMBOL.match(text, at)
        assert match is not None  # the two patterns and the quotes cover every character
        found.append(_Token(kind, match[0], match[0], at, match.end()))
        at = match.end()
    found.append(_Token("end", "", "", len(text), len(text)))
    return found


def _short(text: str) -> str:
    return f"'{text}'" if len(text) <= 100 else f"'{text[:100]}…'"


def _one_of(names: Iterable[str]) -> str:
    return ", ".join(names)


def _checked(text: str, fault: str) -> None:
    if len(text) > FILTER_CHARS_MAX:
        raise FilterError(
            f"{fault}: it has {len(text)} characters.", FILTER_CHARS_MAX + 1, f"at most {FILTER_CHARS_MAX}"
        )
    for at, character in enumerate(text):
        if "\ud800" <= character <= "\udfff":
            raise FilterError(f"{fault}: it is not valid Unicode.", at + 1, "no lone surrogate")


class _Cursor:
    """The tokens of one text and how far they are read."""

    def __init__(self, text: str, kind: Kind, fault: str) -> None:
        _checked(text, fault)
        self.grammar = _GRAMMARS[kind]
        self.fault = fault
        self.tokens = _tokens(text, fault)
        self.index = 0

    @property
    def token(self) -> _Token:
        return self.tokens[self.index]

    def advance(self) -> _Token:
        token = self.token
        if token.kind != "end":
            self.index += 1
        return token

    def refuse(self, expected: str) -> NoReturn:
        """Refuse the token at hand."""
        found = _short(self.token.source) if self.token.kind != "end" else "it ends too early"
        raise FilterError(f"{self.fault}: {found}.", self.token.start + 1, expected)

    def identifier(self) -> tuple[Entity, str]:
        """An entity and a key, such as metrics.loss, params."batch size" or start_time."""
        first = self.token
        if first.kind not in ("word", '"', "`"):
            self.refuse('a name such as metrics.loss, params."batch size" or start_time')
        self.advance()
        prefix, dot, key = (first.text.partition(".")) if first.kind == "word" else (first.text, "", "")
        follower, end = self.token, first.end
        if not dot and follower.kind == "word" and follower.start == end and follower.text.startswith("."):
            self.advance()
            dot, key, end, follower = ".", follower.text[1:], follower.end, self.token
        if dot and not key:
            if follower.kind not in ('"', "'", "`") or follower.start != end:
                raise FilterError(f"Invalid identifier '{prefix}.'.", end + 1, "a key right after the dot")
            self.advance()
            key = follower.text
        return self._resolved(prefix if dot else None, key if dot else prefix, first.start + 1)

    def _resolved(self, prefix: str | None, key: str, position: int) -> tuple[Entity, str]:
        grammar = self.grammar
        entity = grammar.entities.get(prefix) if prefix is not None else "attribute"
        if entity is None:
            names = _one_of(grammar.entities)
            raise FilterError(f"Invalid entity type '{prefix}'. Valid values are {names}.", position, f"one of {names}")
        if entity == "attribute" and key not in grammar.attributes:
            names = _one_of(grammar.attributes)
            raise FilterError(
                f"Invalid attribute key '{key}' specified. Valid keys are {names}.", position, f"one of {names}"
            )
        if entity == "dataset" and key not in _DATASET_KEYS:
            names = _one_of(_DATASET_KEYS)
            raise FilterError(
                f"Invalid dataset key '{key}' specified. Valid keys are {names}.", position, f"one of {names}"
            )
        return entity, grammar.attributes[key] if entity == "attribute" else key


class _Parser(_Cursor):
    """Recursive descent over: or := and (OR and)*; and := not (AND not)*; not := NOT not | ( or ) | comparison."""

    def __init__(self, text: str, kind: Kind) -> None:
        super().__init__(text, kind, "Invalid clause(s) in filter string")
        self.comparisons = 0

    def parse(self) -> Expression:
        expression = self.disjunction(0)
        if self.token.is_symbol(";"):
            raise FilterError(
                "Search filter contained multiple expressions, separated by a semicolon.",
                self.token.start + 1, "AND, OR or the end",
            )  # fmt: skip
        if self.token.kind != "end":
            self.refuse("AND, OR or the end")
        return expression

    def disjunction(self, depth: int) -> Expression:
        operands = self._joined("OR", lambda: self.conjunction(depth))
        return operands[0] if len(operands) == 1 else Or(operands)

    def conjunction(self, depth: int) -> Expression:
        operands = self._joined("AND", lambda: self.negation(depth))
        return operands[0] if len(operands) == 1 else And(operands)

    def _joined(self, word: str, operand: Callable[[], Expression]) -> tuple[Expression, ...]:
        operands = [operand()]
        while self.token.is_word(word):
            self.advance()
            operands.append(operand())
        return tuple(operands)

    def negation(self, depth: int) -> Expression:
        token = self.token
        if not token.is_word("NOT") and not token.is_symbol("("):
            return self.comparison()
        if depth == FILTER_DEPTH_MAX:
            self.refuse(f"NOT and parentheses nested at most {FILTER_DEPTH_MAX} deep")
        self.advance()
        if token.kind == "word":
            return Not(self.negation(depth + 1))
        expression = self.disjunction(depth + 1)
        if not self.token.is_symbol(")"):
            self.refuse("AND, OR or a closing parenthesis")
        self.advance()
        return expression

    def comparison(self) -> Comparison:
        self.comparisons += 1
        if self.comparisons > FILTER_COMPARISONS_MAX:
            self.refuse(f"at most {FILTER_COMPARISONS_MAX} comparisons")
        entity, key = self.identifier()
        position = self.token.start + 1
        operator = self.operator()
        if operator in ("IS NULL", "IS NOT NULL"):
            self._check_nullable(entity, key, position)
            return Comparison(entity, key, _NULL_OPERATORS[operator], None)
        value = self.values(entity, key) if operator in ("IN", "NOT IN") else self.value(entity, key)
        allowed = self._allowed(entity, key)
        for name in allowed:
            if name == operator:
                return Comparison(entity, key, name, value)
        raise FilterError(
            f"Invalid comparator '{operator}' for {_WIRE_NAMES[entity]} '{key}'.",
            position,
            f"one of {_one_of(allowed)}",
        )

    def operator(self) -> str:
        """Read a comparison operator as it is; whether it is one, and suits the entity, is the caller's to judge."""
        token = self.token
        if token.kind == "symbol" and token.text[0] in "<>=!":
            return self.advance().text
        word = token.text.upper() if token.kind == "word" else ""
        if word not in ("LIKE", "ILIKE", "IN", "NOT", "IS"):
            self.refuse("a comparison operator: =, !=, >, >=, <, <=, LIKE, ILIKE, IN, NOT IN, IS NULL or IS NOT NULL")
        self.advance()
        if word == "IS" and self.token.is_word("NOT"):
            word = "IS NOT"
            self.advance()
        if (expected := {"NOT": "IN", "IS": "NULL", "IS NOT": "NULL"}.get(word)) is None:
            return word
        if not self.token.is_word(expected):
            self.refuse("NULL or NOT NULL" if word == "IS" else expected)
        self.advance()
        return f"{word} {expected}"

    def _check_nullable(self, entity: Entity, key: str, position: int) -> None:
        nullable = self.grammar.nullable
        if entity not in nullable:
            names = " and ".join(f"{name}s" for name in reversed(nullable))
            raise FilterError(
                f"IS NULL / IS NOT NULL is only supported for {names}, not for {_WIRE_NAMES[entity]} '{key}'.",
                position, "another comparison operator",
            )  # fmt: skip

    def _allowed(self, entity: Entity, key: str) -> tuple[Operator, ...]:
        if entity == "metric" or (entity == "attribute" and key in self.grammar.numeric):
            return _NUMERIC_OPERATORS
        if entity == "dataset" or (entity == "attribute" and key in self.grammar.listable):
            return (*_STRING_OPERATORS, "IN", "NOT IN")
        return _STRING_OPERATORS

    def value(self, entity: Entity, key: str) -> str | int | float:
        """Read the value a key is compared with: a number or a quoted string, as the key demands."""
        token = self.token
        if token.kind == "end" or token.is_symbol(")"):
            self.refuse("a value")
        numeric = token.kind == "word" and _NUMBER.fullmatch(token.text) is not None
        if entity == "metric":
            if not numeric:
                raise self._not_numeric("metric")
            return float(self.advance().text)
        if entity == "attribute" and key in self.grammar.numeric:
            if not numeric or not math.isfinite(float(token.text)):
                raise self._not_numeric(f"numeric attribute: {key}")
            self.advance()
            return int(token.text) if _INTEGER.fullmatch(token.text) else float(token.text)
        if token.kind in ("'", '"'):
            return self.advance().text
        if token.kind == "`" or (token.kind == "word" and not numeric):
            raise FilterError(
                "Parameter value is either not quoted or unidentified quote types used for string value "
                f"{_short(token.source)}.",
                token.start + 1, "a value in single or double quotes",
            )  # fmt: skip
        raise self._not_quoted(entity)

    def _not_numeric(self, what: str) -> FilterError:
        return FilterError(
            f"Expected numeric value type for {what}. Found {self.token.source[:100]}.",
            self.token.start + 1,
            "a number",
        )

    def _not_quoted(self, entity: Entity) -> FilterError:
        what = {"attribute": "attributes", "dataset": "dataset attributes"}.get(entity, _WIRE_NAMES[entity])
        return FilterError(
            f"Expected a quoted string value for {what} (e.g. 'my-value'). Got value {self.token.source[:100]}.",
            self.token.start + 1, "a value in single or double quotes",
        )  # fmt: skip

    def values(self, entity: Entity, key: str) -> tuple[str, ...]:
        """Read the list of IN and NOT IN: quoted strings in parentheses; a comma may follow the last, as in Python."""
        if not self.token.is_symbol("("):
            self.refuse("a list such as ('a', 'b')")
        if entity == "metric":
            raise self._not_numeric("metric")
        if entity == "attribute" and key in self.grammar.numeric:
            raise self._not_numeric(f"numeric attribute: {key}")
        if entity in ("param", "tag"):
            raise self._not_quoted(entity)
        if entity == "attribute" and key not in self.grammar.listable:
            names = _one_of(self.grammar.listable)
            raise FilterError(
                f"Only {names} attributes support comparison with a list of quoted string values.",
                self.token.start + 1, "a single value, with another operator",
            )  # fmt: skip
        self.advance()
        listed: list[str] = []
        while not self.token.is_symbol(")"):
            if self.token.kind not in ("'", '"'):
                raise self._bad_list("string value", "a value in single or double quotes")
            listed.append(self.advance().text)
            if self.token.is_symbol(","):
                self.advance()
            elif not self.token.is_symbol(")"):
                raise self._bad_list("a comma", "a comma or a closing parenthesis")
        if not listed:
            raise self._bad_list("a non-empty list of string values", "a value in single or double quotes")
        self.advance()
        return tuple(listed)

    def _bad_list(self, missing: str, expected: str) -> FilterError:
        return FilterError(
            f"While parsing a list in the query, expected {missing}. Got {self.token.source[:100] or 'its end'}.",
            self.token.start + 1, expected,
        )  # fmt: skip


def parse(text: str, kind: Kind) -> Expression | None:
    """Parse a filter; None where it is empty or white space, which everything matches.

    The comparators and values each entity takes are MLflow's. Takes time linear in the text, which is bounded, as are
    nesting and the number of comparisons. Raises FilterError.
    """
    if not text.strip():
        return None
    return _Parser(text, kind).parse()


def parse_order_by(clauses: list[str], kind: Kind) -> list[Order]:
    """Parse clauses such as `metrics.loss DESC`; ascending unless it says DESC.

    Raises FilterError, whose position counts within the clause at fault, also where two clauses name the same thing.
    """
    if len(clauses) > ORDER_BY_CLAUSES_MAX:
        raise FilterError("Invalid order_by: too many clauses.", 1, f"at most {ORDER_BY_CLAUSES_MAX} clauses")
    orders: list[Order] = []
    for clause in clauses:
        order = _parse_order(clause, kind)
        if any((order.entity, order.key) == (x.entity, x.key) for x in orders):
            raise FilterError(f"`order_by` contains duplicate fields: {_short(clause)}.", 1, "each field once")
        orders.append(order)
    return orders


def _parse_order(clause: str, kind: Kind) -> Order:
    cursor = _Cursor(clause, kind, f"Invalid order_by clause {_short(clause)}")
    entity, key = cursor.identifier()
    if entity not in cursor.grammar.orderable:
        names = _one_of(_WIRE_NAMES[x] for x in cursor.grammar.orderable)
        raise FilterError(f"Invalid order_by entity: {_WIRE_NAMES[entity]}.", 1, f"one of {names}")
    direction = cursor.advance()
    if cursor.token.kind != "end":
        cursor.refuse("the end of the clause")
    if direction.kind != "end" and not (direction.is_word("ASC") or direction.is_word("DESC")):
        raise FilterError(
            f"Invalid ordering key in order_by clause {_short(clause)}.", direction.start + 1, "ASC or DESC"
        )
    return Order(entity, key, ascending=not direction.is_word("DESC"))
