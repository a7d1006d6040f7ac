"""The filter and order_by grammar: text to a checked syntax tree.

MLflow's grammar and more (docs/reference/search.md). What is refused is refused with MLflow's opening words, since
clients match on them, followed by the character where the fault lies and what was expected there.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, NamedTuple, NoReturn

from headrace.api import quantities
from headrace.api.filter_tokens import FILTER_CHARS_MAX, FilterError, Token, checked, one_of, short, tokens_of
from headrace.api.grammar import (
    GRAMMARS,
    NUMERIC_OPERATORS,
    POINT_AGGREGATES,
    STRING_OPERATORS,
    SUMMARY_AGGREGATES,
    WIRE_NAMES,
    best_of,
)
from headrace.api.syntax import (
    Aggregate,
    AggregateName,
    And,
    Best,
    Comparison,
    Entity,
    Expression,
    Kind,
    Not,
    Now,
    Operator,
    Or,
    Order,
    Value,
)

__all__ = [
    "FILTER_CHARS_MAX",
    "Aggregate",
    "And",
    "Comparison",
    "Entity",
    "Expression",
    "FilterError",
    "Kind",
    "Not",
    "Now",
    "Operator",
    "Or",
    "Order",
    "Value",
    "parse",
    "parse_order_by",
]

FILTER_DEPTH_MAX: Final = 50
FILTER_COMPARISONS_MAX: Final = 500
FILTER_REGEXES_MAX: Final = 20
FILTER_POINT_AGGREGATES_MAX: Final = 20
ORDER_BY_CLAUSES_MAX: Final = 50

_INT64_MAX: Final = 2**63 - 1
_NULL_OPERATORS: Final[dict[str, Operator]] = {"IS NULL": "IS NULL", "IS NOT NULL": "IS NOT NULL"}
_OPERATORS: Final = "=, !=, >, >=, <, <=, LIKE, ILIKE, =~, !~, IN, NOT IN, IS NULL or IS NOT NULL"
_NOW = re.compile(r"now(?:([+-])(.*))?", re.IGNORECASE)
_BEST: Final[dict[str, Best]] = {"MIN": "min", "MAX": "max"}


class _Name(NamedTuple):
    """What a comparison or an ordering is about."""

    entity: Entity
    key: str
    aggregate: Aggregate | None


class _Cursor:
    """The tokens of one text and how far they are read."""

    def __init__(self, text: str, kind: Kind, fault: str) -> None:
        checked(text, fault)
        self.grammar = GRAMMARS[kind]
        self.fault = fault
        self.tokens = tokens_of(text, fault)
        self.index = 0
        self.of_points = 0

    @property
    def token(self) -> Token:
        return self.tokens[self.index]

    def advance(self) -> Token:
        token = self.token
        if token.kind != "end":
            self.index += 1
        return token

    def refuse(self, expected: str) -> NoReturn:
        """Refuse the token at hand."""
        found = short(self.token.source) if self.token.kind != "end" else "it ends too early"
        raise FilterError(f"{self.fault}: {found}.", self.token.start + 1, expected)

    def symbol(self, symbol: str, expected: str) -> None:
        """Read a symbol."""
        if not self.token.is_symbol(symbol):
            self.refuse(expected)
        self.advance()

    # --- names ------------------------------------------------------------------------------------------------------

    def identifier(self) -> _Name:
        """What is meant by a name such as metrics.loss, metrics.loss.min, params."batch size" or start_time."""
        first = self.token
        if first.kind not in ("word", '"', "`"):
            self.refuse('a name such as metrics.loss, params."batch size" or start_time')
        self.advance()
        prefix, dot, key = (first.text.partition(".")) if first.kind == "word" else (first.text, "", "")
        follower, end, plain = self.token, first.end, True
        if not dot and follower.kind == "word" and follower.start == end and follower.text.startswith("."):
            self.advance()
            dot, key, end, follower = ".", follower.text[1:], follower.end, self.token
        if dot and not key:
            if follower.kind not in ('"', "'", "`") or follower.start != end:
                raise FilterError(f"Invalid identifier '{prefix}.'.", end + 1, "a key right after the dot")
            self.advance()
            key, end, plain = follower.text, follower.end, False
        entity, key = self._resolved(prefix if dot else None, key if dot else prefix, first.start + 1)
        if entity == "metric" and self.grammar.aggregates:
            return self._metric(key, end, plain)
        return _Name(entity, key, None)

    def _resolved(self, prefix: str | None, key: str, position: int) -> tuple[Entity, str]:
        grammar = self.grammar
        entity = grammar.entities.get(prefix) if prefix is not None else "attribute"
        if entity is None:
            names = one_of(grammar.entities)
            raise FilterError(f"Invalid entity type '{prefix}'. Valid values are {names}.", position, f"one of {names}")
        if entity == "attribute":
            self._check_key("attribute", key, tuple(grammar.attributes), position)
            return entity, grammar.attributes[key]
        if prefix is not None and prefix in grammar.tags:
            named = grammar.tags[prefix]
            self._check_key(prefix, key, tuple(named), position)
            return entity, named[key]
        if entity in grammar.keys:
            self._check_key(WIRE_NAMES[entity], key, grammar.keys[entity], position)
        return entity, key

    def _check_key(self, what: str, key: str, keys: tuple[str, ...], position: int) -> None:
        if key not in keys:
            names = one_of(keys)
            raise FilterError(
                f"Invalid {what} key '{key}' specified. Valid keys are {names}.", position, f"one of {names}"
            )

    def _metric(self, key: str, end: int, plain: bool) -> _Name:
        """A metric, or an aggregate of one. end: of what was read. plain: whether the key stood without quotes."""
        if plain:
            base, dot, last = key.rpartition(".")
            if self.token.is_symbol("("):
                name = self._aggregate_name(last, self.tokens[self.index - 1].end - len(last), POINT_AGGREGATES)
                if not base:
                    raise FilterError(f"Invalid identifier 'metrics.{key}'.", end + 1, f"metrics.<key>.{last}(...)")
                return _Name("metric", base, self._of_points(name))
            if base and dot and last in SUMMARY_AGGREGATES:
                return _Name("metric", base, Aggregate(SUMMARY_AGGREGATES[last], literal=key))
            return _Name("metric", key, None)
        follower = self.token
        if follower.kind != "word" or follower.start != end or not follower.text.startswith("."):
            return _Name("metric", key, None)
        self.advance()
        last, called = follower.text[1:], self.token.is_symbol("(")
        name = self._aggregate_name(last, follower.start + 1, POINT_AGGREGATES if called else SUMMARY_AGGREGATES)
        return _Name("metric", key, self._of_points(name) if called else Aggregate(name))

    def _aggregate_name(self, text: str, start: int, names: dict[str, AggregateName]) -> AggregateName:
        if text not in names:
            listed = [*SUMMARY_AGGREGATES, "at(step)", "at_best(key)"]
            raise FilterError(
                f"Invalid metric aggregate '{text[:100]}'. Valid aggregates are {one_of(listed)}.",
                start + 1,
                f"one of {one_of(listed)}",
            )
        return names[text]

    def _of_points(self, name: AggregateName) -> Aggregate:
        """Read the arguments of an aggregate that is made of points."""
        self.of_points += 1
        if self.of_points > FILTER_POINT_AGGREGATES_MAX:
            self.refuse(f"at most {FILTER_POINT_AGGREGATES_MAX} of at(...) and at_best(...)")
        self.advance()
        if name == "at":
            step = _step(self.token)
            if step is None:
                self.refuse("a step: a whole number")
            self.advance()
            self.symbol(")", "a closing parenthesis")
            return Aggregate("at", step=step)
        key = self.token
        if key.kind not in ("word", "'", '"', "`") or not key.text:
            self.refuse("the key of a metric, and min or max behind it where its name does not tell")
        self.advance()
        best = best_of(key.text)
        if self.token.is_symbol(","):
            self.advance()
            said = _BEST.get(self.token.text.upper()) if self.token.kind == "word" else None
            if said is None:
                self.refuse("min or max")
            best = said
            self.advance()
        self.symbol(")", "a comma or a closing parenthesis")
        return Aggregate("at_best", other=key.text, best=best)


def _step(token: Token) -> int | None:
    """A step: a whole number that 64 bits hold; 10k and 1M will do."""
    if token.kind != "word":
        return None
    value = quantities.integer_or_float(token.text)
    if value is None:
        value = quantities.number(token.text)
    if value is None or not -_INT64_MAX <= value <= _INT64_MAX or value != int(value):
        return None
    return int(value)


class _Parser(_Cursor):
    """Recursive descent over: or := and (OR and)*; and := not (AND not)*; not := NOT not | ( or ) | comparison."""

    def __init__(self, text: str, kind: Kind) -> None:
        super().__init__(text, kind, "Invalid clause(s) in filter string")
        self.comparisons = 0
        self.regexes = 0

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
        self.symbol(")", "AND, OR or a closing parenthesis")
        return expression

    def comparison(self) -> Comparison:
        self.comparisons += 1
        if self.comparisons > FILTER_COMPARISONS_MAX:
            self.refuse(f"at most {FILTER_COMPARISONS_MAX} comparisons")
        name = self.identifier()
        position = self.token.start + 1
        operator = self.operator()
        if operator in ("IS NULL", "IS NOT NULL"):
            self._check_nullable(name, position)
            return Comparison(name.entity, name.key, _NULL_OPERATORS[operator], None, name.aggregate)
        token = self.token
        value = self.values(name) if operator in ("IN", "NOT IN") else self.value(name, operator)
        allowed = self._allowed(name, value)
        for one in allowed:
            if one == operator:
                if one in ("=~", "!~"):
                    self._check_regex(token)
                return Comparison(name.entity, name.key, one, value, name.aggregate)
        raise FilterError(
            f"Invalid comparator '{operator}' for {WIRE_NAMES[name.entity]} '{name.key}'.",
            position,
            f"one of {one_of(allowed)}",
        )

    def operator(self) -> str:
        """Read a comparison operator as it is; whether it is one, and suits the entity, is the caller's to judge."""
        token = self.token
        if token.kind == "symbol" and token.text[0] in "<>=!":
            return self.advance().text
        word = token.text.upper() if token.kind == "word" else ""
        if word not in ("LIKE", "ILIKE", "IN", "NOT", "IS"):
            self.refuse(f"a comparison operator: {_OPERATORS}")
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

    def _check_nullable(self, name: _Name, position: int) -> None:
        nullable = self.grammar.nullable
        if name.entity not in nullable:
            names = " and ".join(f"{one}s" for one in reversed(nullable))
            raise FilterError(
                f"IS NULL / IS NOT NULL is only supported for {names}, not for {WIRE_NAMES[name.entity]}"
                f" '{name.key}'.",
                position, "another comparison operator",
            )  # fmt: skip

    def _check_regex(self, pattern: Token) -> None:
        self.regexes += 1
        if self.regexes > FILTER_REGEXES_MAX:
            raise FilterError(
                f"{self.fault}: {short(pattern.source)}.",
                pattern.start + 1,
                f"at most {FILTER_REGEXES_MAX} regular expressions",
            )
        fault = quantities.regex_fault(pattern.text)
        if fault is not None:
            raise FilterError(
                f"{self.fault}: {short(pattern.source)} is no regular expression: {fault}.",
                pattern.start + 1,
                f"a regular expression in RE2's syntax of at most {quantities.REGEX_CHARS_MAX} characters, with at most"
                f" {quantities.REGEX_REPEATS_MAX} counted repetitions",
            )

    # --- values -----------------------------------------------------------------------------------------------------

    def _is(self, name: _Name, kinds: frozenset[str]) -> bool:
        return name.entity == "attribute" and name.key in kinds

    def _numeric(self, name: _Name) -> str | None:
        """What MLflow calls a thing that is compared with numbers only, or None."""
        if name.entity == "metric":
            return "metric"
        grammar = self.grammar
        numeric = any(self._is(name, kinds) for kinds in (grammar.times, grammar.durations, grammar.numbers))
        return f"numeric attribute: {name.key}" if numeric else None

    def _allowed(self, name: _Name, value: Value) -> tuple[Operator, ...]:
        if self._numeric(name) is not None:
            return NUMERIC_OPERATORS
        if isinstance(value, float) or (isinstance(value, tuple) and isinstance(value[0], float)):
            return (*NUMERIC_OPERATORS, "IN", "NOT IN")
        return (*STRING_OPERATORS, "IN", "NOT IN")

    def value(self, name: _Name, operator: str) -> str | int | float | Now:
        """Read the value a thing is compared with: a number, a time, a duration or a text, as the thing demands."""
        token = self.token
        if token.kind == "end" or token.is_symbol(")"):
            self.refuse("a value")
        if self._is(name, self.grammar.times):
            return self._time(name.key)
        if self._is(name, self.grammar.durations):
            duration = quantities.duration_ms(token.text) if token.kind == "word" else None
            if duration is None:
                raise self._not_numeric(f"numeric attribute: {name.key}", "a duration such as 90m, 1h30m or 5000 (ms)")
            self.advance()
            return duration
        if self._is(name, self.grammar.numbers):
            return self._whole_number(name.key)
        number = quantities.number(token.text) if token.kind == "word" else None
        if name.entity == "metric":
            if number is None:
                raise self._not_numeric("metric", "a number such as 0.5, 10k or 4GiB")
            self.advance()
            return number
        if token.is_text:
            return self.advance().text
        if number is None:
            raise FilterError(
                "Parameter value is either not quoted or unidentified quote types used for string value "
                f"{short(token.source)}.",
                token.start + 1, "a value in single or double quotes",
            )  # fmt: skip
        if name.entity not in ("param", "tag") or operator in ("LIKE", "ILIKE", "=~", "!~"):
            raise self._not_quoted(name.entity)
        self.advance()
        return number

    def _whole_number(self, key: str) -> int:
        """Read a whole number, in quotes or not."""
        token = self.token
        value = quantities.integer_or_float(token.text) if token.kind == "word" or token.is_text else None
        if not isinstance(value, int):
            raise self._not_numeric(f"numeric attribute: {key}", "a whole number")
        self.advance()
        return value

    def _time(self, key: str) -> int | float | Now:
        """Read a time: ms since the epoch, ISO 8601 in quotes, or now and a duration from it."""
        token = self.token
        expected = "ms since the epoch, an ISO 8601 time in quotes, now, or now - 7d"
        fault = self._not_numeric(f"numeric attribute: {key}", expected)
        relative = _NOW.fullmatch(token.text) if token.kind == "word" else None
        if relative is not None:
            return self._now(relative)
        value = (
            quantities.integer_or_float(token.text)
            if token.kind == "word"
            else quantities.time_ms(token.text)
            if token.is_text
            else None
        )
        if value is None:
            raise fault
        self.advance()
        return value

    def _now(self, relative: re.Match[str]) -> Now:
        """Read now, now-7d or now - 7d."""
        begin = self.advance()
        sign, rest = relative[1] or "", relative[2] or ""
        if not sign and self.token.kind == "word" and self.token.text[0] in "+-":
            begin = self.advance()
            sign, rest = begin.text[0], begin.text[1:]
        if not sign:
            return Now(0)
        if not rest:
            if self.token.kind != "word":
                self.refuse("a duration such as 7d or 1h30m")
            begin = self.advance()
            rest = begin.text
        duration = None if rest[0] in "+-" else quantities.duration_ms(rest)
        if duration is None:
            raise FilterError(
                f"{self.fault}: {short(begin.source)}.", begin.start + 1, "a duration such as 7d or 1h30m"
            )
        return Now(-duration if sign == "-" else duration)

    def _not_numeric(self, what: str, expected: str = "a number") -> FilterError:
        return FilterError(
            f"Expected numeric value type for {what}. Found {self.token.source[:100]}.",
            self.token.start + 1,
            expected,
        )

    def _not_quoted(self, entity: Entity) -> FilterError:
        what = {"attribute": "attributes", "dataset": "dataset attributes", "model": "model attributes"}
        return FilterError(
            f"Expected a quoted string value for {what.get(entity, WIRE_NAMES[entity])} (e.g. 'my-value')."
            f" Got value {self.token.source[:100]}.",
            self.token.start + 1, "a value in single or double quotes",
        )  # fmt: skip

    def values(self, name: _Name) -> tuple[str, ...] | tuple[float, ...]:
        """Read the list of IN and NOT IN: quoted strings, or of params and tags numbers, in parentheses; a comma may
        follow the last, as in Python."""
        if not self.token.is_symbol("("):
            self.refuse("a list such as ('a', 'b')")
        numeric = self._numeric(name)
        if numeric is not None:
            raise self._not_numeric(numeric)
        self.advance()
        texts: list[str] = []
        numbers: list[float] = []
        while not self.token.is_symbol(")"):
            token = self.token
            number = quantities.number(token.text) if token.kind == "word" else None
            if token.is_text and not numbers:
                texts.append(token.text)
            elif number is not None and not texts and name.entity in ("param", "tag"):
                numbers.append(number)
            else:
                raise self._bad_list("string value", "a number" if numbers else "a value in single or double quotes")
            self.advance()
            if self.token.is_symbol(","):
                self.advance()
            elif not self.token.is_symbol(")"):
                raise self._bad_list("a comma", "a comma or a closing parenthesis")
        if not texts and not numbers:
            raise self._bad_list("a non-empty list of string values", "a value in single or double quotes")
        self.advance()
        return tuple(texts) if texts else tuple(numbers)

    def _bad_list(self, missing: str, expected: str) -> FilterError:
        return FilterError(
            f"While parsing a list in the query, expected {missing}. Got {self.token.source[:100] or 'its end'}.",
            self.token.start + 1, expected,
        )  # fmt: skip


def parse(text: str, kind: Kind) -> Expression | None:
    """Parse a filter; None where it is empty or white space, which everything matches.

    Takes time linear in the text, which is bounded, as are nesting and the numbers of comparisons, of regular
    expressions and of aggregates made of points. Raises FilterError.
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
        if any((order.entity, order.key, order.aggregate) == (x.entity, x.key, x.aggregate) for x in orders):
            raise FilterError(f"`order_by` contains duplicate fields: {short(clause)}.", 1, "each field once")
        orders.append(order)
    return orders


def _parse_order(clause: str, kind: Kind) -> Order:
    cursor = _Cursor(clause, kind, f"Invalid order_by clause {short(clause)}")
    name = cursor.identifier()
    if name.entity not in cursor.grammar.orderable:
        names = one_of(WIRE_NAMES[x] for x in cursor.grammar.orderable)
        raise FilterError(f"Invalid order_by entity: {WIRE_NAMES[name.entity]}.", 1, f"one of {names}")
    direction = cursor.advance()
    if cursor.token.kind != "end":
        cursor.refuse("the end of the clause")
    if direction.kind != "end" and not (direction.is_word("ASC") or direction.is_word("DESC")):
        raise FilterError(
            f"Invalid ordering key in order_by clause {short(clause)}.", direction.start + 1, "ASC or DESC"
        )
    return Order(name.entity, name.key, not direction.is_word("DESC"), name.aggregate)
