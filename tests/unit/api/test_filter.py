"""The grammar: what parses to what, and what is refused where and with which words."""

from __future__ import annotations

import math
import time

import pytest
from headrace.api.filter import (
    FILTER_CHARS_MAX,
    FILTER_COMPARISONS_MAX,
    FILTER_DEPTH_MAX,
    And,
    Comparison,
    FilterError,
    Kind,
    Not,
    Or,
    Order,
    parse,
    parse_order_by,
)

A, B, C = (Comparison("param", key, "=", "x") for key in "abc")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("metrics.x > 0.5", Comparison("metric", "x", ">", 0.5)),
        ("metric.x>=-1e-3", Comparison("metric", "x", ">=", -0.001)),
        ("metrics.x != .5", Comparison("metric", "x", "!=", 0.5)),
        ("metrics.x < -inf", Comparison("metric", "x", "<", -math.inf)),
        ("metrics.x <= Infinity", Comparison("metric", "x", "<=", math.inf)),
        ("params.\"my key\" = 'a'", Comparison("param", "my key", "=", "a")),
        ("parameter.`my key` != 'a'", Comparison("param", "my key", "!=", "a")),
        ("parameters.'k' = \"a\"", Comparison("param", "k", "=", "a")),
        ("`metrics`.`x` > 3", Comparison("metric", "x", ">", 3.0)),
        ("`metrics`.x > 3", Comparison("metric", "x", ">", 3.0)),
        ("param.a.b.c = 'x'", Comparison("param", "a.b.c", "=", "x")),
        ("params.a/b-c = 'x'", Comparison("param", "a/b-c", "=", "x")),
        ("metrics.größe > 1", Comparison("metric", "größe", ">", 1.0)),
        ("metrics.1a > 1", Comparison("metric", "1a", ">", 1.0)),
        ("tags.mlflow.user lIkE '%x%'", Comparison("tag", "mlflow.user", "LIKE", "%x%")),
        ("tag.a ILIKE 'x'", Comparison("tag", "a", "ILIKE", "x")),
        ("attributes.status = 'FINISHED'", Comparison("attribute", "status", "=", "FINISHED")),
        ("attr.status = 'x'", Comparison("attribute", "status", "=", "x")),
        ("run.status = 'x'", Comparison("attribute", "status", "=", "x")),
        ("run_id in ('a', \"b\",)", Comparison("attribute", "run_id", "IN", ("a", "b"))),
        ("run_id Not  In ('a')", Comparison("attribute", "run_id", "NOT IN", ("a",))),
        ("dataset.name IN ('d')", Comparison("dataset", "name", "IN", ("d",))),
        ("datasets.context = 'train'", Comparison("dataset", "context", "=", "train")),
        ("params.a is null", Comparison("param", "a", "IS NULL", None)),
        ("tags.a IS NOT NULL", Comparison("tag", "a", "IS NOT NULL", None)),
        ("Created > 3", Comparison("attribute", "start_time", ">", 3)),
        ("attributes.created > 3.5", Comparison("attribute", "start_time", ">", 3.5)),
        ("`Run name` = 'x'", Comparison("attribute", "run_name", "=", "x")),
        ("attributes.\"run name\" = 'x'", Comparison("attribute", "run_name", "=", "x")),
        ("params.a = ''", Comparison("param", "a", "=", "")),
        ("params.a = 'it''s'", Comparison("param", "a", "=", "it's")),
        (r"params.a = 'it\'s'", Comparison("param", "a", "=", "it's")),
        ('params.a = "say ""hi"""', Comparison("param", "a", "=", 'say "hi"')),
        (r"params.a = 'C:\dir\'", Comparison("param", "a", "=", "C:\\dir\\")),
        ("params.a = 'x' AND params.b = 'x'", And((A, B))),
        ("params.a = 'x' or params.b = 'x' and params.c = 'x'", Or((A, And((B, C))))),
        ("(params.a = 'x' or params.b = 'x') and not params.c = 'x'", And((Or((A, B)), Not(C)))),
        ("not (not params.a='x')", Not(Not(A))),
    ],
)
def test_a_filter_parses(text: str, expected: object) -> None:
    assert parse(text, "runs") == expected


@pytest.mark.parametrize("text", ["", "  \n"])
def test_an_empty_filter_is_none(text: str) -> None:
    assert parse(text, "runs") is None


@pytest.mark.parametrize(
    ("kind", "text", "words", "position"),
    [
        ("runs", "x", "Invalid attribute key 'x'", 1),
        ("runs", "foo = 'x'", "Invalid attribute key 'foo'", 1),
        ("runs", "foo.bar = 'x'", "Invalid entity type 'foo'", 1),
        ("runs", "Tags.a = 'x'", "Invalid entity type 'Tags'", 1),
        ("runs", "dataset.foo = 'x'", "Invalid dataset key 'foo'", 1),
        ("runs", "params. = 'x'", "Invalid identifier 'params.'", 8),
        ("runs", "metrics.x", "Invalid clause(s) in filter string", 10),
        ("runs", "metrics.x >", "Invalid clause(s) in filter string", 12),
        ("runs", "metrics.x > 0 and", "Invalid clause(s) in filter string", 18),
        ("runs", "metrics.x > 0 metrics.y > 0", "Invalid clause(s) in filter string: 'metrics.y'", 15),
        ("runs", "params.acc LR 'x'", "Invalid clause(s) in filter string: 'LR'", 12),
        ("runs", "params.a = 'x", "Invalid clause(s) in filter string: ''x'", 12),
        ("runs", "(params.a = 'x'", "Invalid clause(s) in filter string", 16),
        ("runs", "params.a = 'x')", "Invalid clause(s) in filter string: ')'", 15),
        ("runs", "()", "Invalid clause(s) in filter string: ')'", 2),
        ("runs", "run_id in 'a'", "Invalid clause(s) in filter string", 11),
        ("runs", "params.a is 3", "Invalid clause(s) in filter string", 13),
        ("runs", "params.a not like 'x'", "Invalid clause(s) in filter string", 14),
        ("runs", "status='a'; status='b'", "Search filter contained multiple expression", 11),
        ("runs", "metrics.x > 'a'", "Expected numeric value type for metric. Found 'a'", 13),
        ("runs", "metrics.x > 1_000", "Expected numeric value type for metric. Found 1_000", 13),
        ("runs", "metrics.x in (1)", "Expected numeric value type for metric. Found (", 14),
        ("runs", "start_time > '3'", "Expected numeric value type for numeric attribute: start_time", 14),
        ("runs", "start_time > nan", "Expected numeric value type for numeric attribute: start_time", 14),
        ("runs", "params.a = 3", "Expected a quoted string value for parameter", 12),
        ("runs", "status = 3", "Expected a quoted string value for attributes", 10),
        ("runs", "dataset.name = 3", "Expected a quoted string value for dataset attributes", 16),
        ("runs", "params.a in ('x')", "Expected a quoted string value for parameter", 13),
        ("runs", "params.a = x", "Parameter value is either not quoted or unidentified quote types", 12),
        ("runs", "params.a = `x`", "Parameter value is either not quoted or unidentified quote types", 12),
        ("runs", "run_id in ()", "While parsing a list in the query, expected a non-empty list of string values", 12),
        ("runs", "run_id in (1, 2)", "While parsing a list in the query, expected string value", 12),
        ("runs", "run_id in ('a' 'b')", "While parsing a list in the query, expected a comma", 16),
        ("runs", "status in ('x')", "attributes support comparison with a list of quoted string values", 11),
        ("runs", "metrics.x LIKE 3", "Invalid comparator 'LIKE'", 11),
        ("runs", "params.a > 'x'", "Invalid comparator '>'", 10),
        ("runs", "params.a == 'x'", "Invalid comparator '=='", 10),
        ("runs", "params.a <> 'x'", "Invalid comparator '<>'", 10),
        ("runs", "status >= 'x'", "Invalid comparator '>='", 8),
        ("runs", "metrics.a is null", "IS NULL / IS NOT NULL is only supported for tags and params", 11),
        ("runs", "end_time is null", "IS NULL / IS NOT NULL is only supported for tags and params", 10),
        ("runs", "params.a = '\ud800'", "it is not valid Unicode", 13),
        ("experiments", "params.a = 'x'", "Invalid entity type 'params'", 1),
        ("experiments", "attr.name = 'x'", "Invalid entity type 'attr'", 1),
        ("experiments", "run_id = 'x'", "Invalid attribute key 'run_id'", 1),
        ("experiments", "name > 'x'", "Invalid comparator '>'", 6),
        ("experiments", "name is null", "IS NULL / IS NOT NULL is only supported for tags, not for", 6),
        (
            "experiments",
            "creation_time like 'x'",
            "Expected numeric value type for numeric attribute: creation_time",
            20,
        ),
    ],
)
def test_a_fault_says_where_it_is_in_mlflows_words(kind: Kind, text: str, words: str, position: int) -> None:
    with pytest.raises(FilterError) as caught:
        parse(text, kind)
    assert words in str(caught.value)
    assert caught.value.position == position
    assert str(caught.value).endswith(f"At character {position}: expected {caught.value.expected}.")


def test_nesting_up_to_the_bound_parses_and_beyond_is_refused() -> None:
    assert parse("(" * FILTER_DEPTH_MAX + "params.a = 'x'" + ")" * FILTER_DEPTH_MAX, "runs") == A
    for opening in ("(", "not "):
        with pytest.raises(FilterError, match="deep"):
            parse(opening * 10_000 + "params.a = 'x'", "runs")


def test_length_and_number_of_comparisons_are_bounded() -> None:
    assert parse(" or ".join(["params.a = 'x'"] * FILTER_COMPARISONS_MAX), "runs") is not None
    with pytest.raises(FilterError, match="at most 500 comparisons"):
        parse(" or ".join(["params.a = 'x'"] * (FILTER_COMPARISONS_MAX + 1)), "runs")
    with pytest.raises(FilterError, match="at most 200000"):
        parse("x" * (FILTER_CHARS_MAX + 1), "runs")


@pytest.mark.parametrize("unit", ["\\'", "''", "'", "\\''", '"', "`", "(", "<", "a.", "not ", "é"])
def test_a_hostile_text_is_refused_at_once(unit: str) -> None:
    text = "params.a = '" + unit * (100_000 // len(unit)) + "x"
    started = time.perf_counter()
    with pytest.raises(FilterError):
        parse(text, "runs")
    assert time.perf_counter() - started < 5


@pytest.mark.parametrize(
    ("kind", "clause", "expected"),
    [
        ("runs", "metrics.x", Order("metric", "x", True)),
        ("runs", "metrics.x DESC", Order("metric", "x", False)),
        ("runs", 'metrics."a b" asc', Order("metric", "a b", True)),
        ("runs", "params.`a b` Desc", Order("param", "a b", False)),
        ("runs", "  attributes.start_time desc ", Order("attribute", "start_time", False)),
        ("runs", "Created", Order("attribute", "start_time", True)),
        ("runs", "run_name", Order("attribute", "run_name", True)),
        ("experiments", "creation_time DESC", Order("attribute", "creation_time", False)),
        ("experiments", "`name`", Order("attribute", "name", True)),
    ],
)
def test_an_order_by_clause_parses(kind: Kind, clause: str, expected: Order) -> None:
    assert parse_order_by([clause], kind) == [expected]


@pytest.mark.parametrize(
    ("kind", "clauses", "words"),
    [
        ("runs", [""], "Invalid order_by clause ''"),
        ("runs", ["metrics.x,metrics.y"], "Invalid order_by clause"),
        ("runs", ["metrics.x desc asc"], "Invalid order_by clause"),
        ("runs", ["metrics.x foo"], "Invalid ordering key in order_by clause"),
        ("runs", ["foo"], "Invalid attribute key 'foo'"),
        ("runs", ["foo.bar"], "Invalid entity type 'foo'"),
        ("runs", ["dataset.name"], "Invalid order_by entity: dataset"),
        ("runs", ["Created", "start_time DESC"], "`order_by` contains duplicate fields"),
        ("runs", ["name"] * 51, "Invalid order_by"),
        ("experiments", ["tags.a"], "Invalid order_by entity: tag"),
        ("experiments", ["lifecycle_stage"], "Invalid attribute key 'lifecycle_stage'"),
    ],
)
def test_a_wrong_order_by_clause_is_refused_in_mlflows_words(kind: Kind, clauses: list[str], words: str) -> None:
    with pytest.raises(FilterError) as caught:
        parse_order_by(clauses, kind)
    assert words in str(caught.value)
