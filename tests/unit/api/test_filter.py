"""The grammar: what parses to what, and what is refused where and with which words."""

from __future__ import annotations

import math
import time

import pytest
from headrace.api.filter import (
    FILTER_CHARS_MAX,
    FILTER_COMPARISONS_MAX,
    FILTER_DEPTH_MAX,
    FILTER_POINT_AGGREGATES_MAX,
    FILTER_REGEXES_MAX,
    Aggregate,
    And,
    Comparison,
    FilterError,
    Kind,
    Not,
    Now,
    Or,
    Order,
    parse,
    parse_order_by,
)
from headrace.api.quantities import matching

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
        # From here on: what MLflow refuses.
        ("params.a = 3", Comparison("param", "a", "=", 3.0)),
        ("tags.a >= 1.5k", Comparison("tag", "a", ">=", 1500.0)),
        ("params.a in ('x', 'y')", Comparison("param", "a", "IN", ("x", "y"))),
        ("params.a not in (32, 64)", Comparison("param", "a", "NOT IN", (32.0, 64.0))),
        ("status in ('FAILED')", Comparison("attribute", "status", "IN", ("FAILED",))),
        ("params.a =~ '^x.*'", Comparison("param", "a", "=~", "^x.*")),
        ("params.a!~'x'", Comparison("param", "a", "!~", "x")),
        ("metrics.a is null", Comparison("metric", "a", "IS NULL", None)),
        ("end_time IS NULL", Comparison("attribute", "end_time", "IS NULL", None)),
        ("dataset.name is not null", Comparison("dataset", "name", "IS NOT NULL", None)),
        ("metrics.mem < 4GiB", Comparison("metric", "mem", "<", 4.0 * 1024**3)),
        ("metrics.mem < 10M", Comparison("metric", "mem", "<", 1e7)),
        ("start_time > '1970-01-02'", Comparison("attribute", "start_time", ">", 86_400_000)),
        ("start_time > '1970-01-01T01:00:00.0015+01:00'", Comparison("attribute", "start_time", ">", 1.5)),
        ("start_time > now", Comparison("attribute", "start_time", ">", Now(0))),
        ("start_time > now - 7d", Comparison("attribute", "start_time", ">", Now(-604_800_000))),
        ("end_time<NOW-1h30m", Comparison("attribute", "end_time", "<", Now(-5_400_000))),
        ("end_time < now + 0.5s", Comparison("attribute", "end_time", "<", Now(500))),
        ("duration > 1h30m", Comparison("attribute", "duration", ">", 5_400_000)),
        ("duration <= 5000", Comparison("attribute", "duration", "<=", 5000)),
        ("run.duration < 1.5ms", Comparison("attribute", "duration", "<", 1.5)),
        ("metrics.x.min < 1", Comparison("metric", "x", "<", 1.0, Aggregate("min", "x.min"))),
        ("metrics.a.b.last_step > 9", Comparison("metric", "a.b", ">", 9.0, Aggregate("last_step", "a.b.last_step"))),
        ('metrics."x".max < 1', Comparison("metric", "x", "<", 1.0, Aggregate("max"))),
        ("metrics.`x.min` < 1", Comparison("metric", "x.min", "<", 1.0)),
        ("metrics.min < 1", Comparison("metric", "min", "<", 1.0)),
        ("metrics.x.mean < 1", Comparison("metric", "x.mean", "<", 1.0)),
        ("metrics.x.at(-10) < 1", Comparison("metric", "x", "<", 1.0, Aggregate("at", step=-10))),
        ("metrics.'x y'.at( 1k ) < 1", Comparison("metric", "x y", "<", 1.0, Aggregate("at", step=1000))),
        (
            "metrics.loss.at_best(val_acc) < 1",
            Comparison("metric", "loss", "<", 1.0, Aggregate("at_best", other="val_acc", best="max")),
        ),
        (
            "metrics.acc.at_best(val/loss) > 1",
            Comparison("metric", "acc", ">", 1.0, Aggregate("at_best", other="val/loss", best="min")),
        ),
        (
            "metrics.`acc`.at_best('a b', MIN) is null",
            Comparison("metric", "acc", "IS NULL", None, Aggregate("at_best", other="a b", best="min")),
        ),
        ("models.name = 'm'", Comparison("model", "name", "=", "m")),
        ("dataset.source_type = 's3'", Comparison("dataset", "source_type", "=", "s3")),
        ("code.commit LIKE 'abc%'", Comparison("tag", "mlflow.source.git.commit", "LIKE", "abc%")),
        ("environment.host = 'h'", Comparison("tag", "headrace.host", "=", "h")),
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
        ("runs", "status = 3", "Expected a quoted string value for attributes", 10),
        ("runs", "dataset.name = 3", "Expected a quoted string value for dataset attributes", 16),
        ("runs", "params.a = x", "Parameter value is either not quoted or unidentified quote types", 12),
        ("runs", "params.a = `x`", "Parameter value is either not quoted or unidentified quote types", 12),
        ("runs", "run_id in ()", "While parsing a list in the query, expected a non-empty list of string values", 12),
        ("runs", "run_id in (1, 2)", "While parsing a list in the query, expected string value", 12),
        ("runs", "run_id in ('a' 'b')", "While parsing a list in the query, expected a comma", 16),
        ("runs", "metrics.x LIKE 3", "Invalid comparator 'LIKE'", 11),
        ("runs", "params.a > 'x'", "Invalid comparator '>'", 10),
        ("runs", "params.a == 'x'", "Invalid comparator '=='", 10),
        ("runs", "params.a <> 'x'", "Invalid comparator '<>'", 10),
        ("runs", "status >= 'x'", "Invalid comparator '>='", 8),
        ("runs", "params.a = '\ud800'", "it is not valid Unicode", 13),
        ("runs", "params.a like 3", "Expected a quoted string value for parameter", 15),
        ("runs", "params.a in ('x', 3)", "While parsing a list in the query, expected string value", 19),
        ("runs", "params.a in (3, 'x')", "While parsing a list in the query, expected string value", 17),
        ("runs", "params.a = 3x", "Parameter value is either not quoted or unidentified quote types", 12),
        ("runs", "metrics.x > 4GB2", "Expected numeric value type for metric. Found 4GB2", 13),
        ("runs", "metrics.x > ınf", "Expected numeric value type for metric. Found ınf", 13),
        ("runs", "metrics.x =~ 'a'", "Expected numeric value type for metric", 14),
        ("runs", "start_time > now - 7x", "Invalid clause(s) in filter string: '7x'", 20),
        ("runs", "start_time > now - -7d", "Invalid clause(s) in filter string: '-7d'", 20),
        ("runs", "start_time > now -", "Invalid clause(s) in filter string", 19),
        ("runs", "start_time > '2026-13-01'", "Expected numeric value type for numeric attribute: start_time", 14),
        ("runs", "start_time =~ '2026-01-01'", "Invalid comparator '=~'", 12),
        ("runs", "duration > 3x", "Expected numeric value type for numeric attribute: duration", 12),
        ("runs", "duration > '3h'", "Expected numeric value type for numeric attribute: duration", 12),
        (
            "runs",
            "params.a =~ '('",
            "Invalid clause(s) in filter string: ''('' is no regular expression: missing )",
            13,
        ),
        ("runs", "params.a =~ '(?=a)'", "is no regular expression: invalid perl operator", 13),
        ("runs", f"params.a =~ '{'a' * 1001}'", "it has 1001 characters", 13),
        ("runs", "params.a =~ '(a?){150}a{60}'", "counted repetitions come to more than 200", 13),
        ("runs", "metrics.at(3) > 1", "Invalid identifier 'metrics.at'", 11),
        ("runs", "metrics.x.at() > 1", "Invalid clause(s) in filter string: ')'", 14),
        ("runs", "metrics.x.at(1.5) > 1", "Invalid clause(s) in filter string: '1.5'", 14),
        ("runs", "metrics.x.at(1e30) > 1", "Invalid clause(s) in filter string: '1e30'", 14),
        ("runs", "metrics.x.at(1, 2) > 1", "Invalid clause(s) in filter string: ','", 15),
        ("runs", "metrics.x.mean(1) > 1", "Invalid metric aggregate 'mean'", 11),
        ("runs", 'metrics."x".mean > 1', "Invalid metric aggregate 'mean'", 13),
        ("runs", "metrics.x.at_best() > 1", "Invalid clause(s) in filter string: ')'", 19),
        ("runs", "metrics.x.at_best(y, best) > 1", "Invalid clause(s) in filter string: 'best'", 22),
        ("runs", "code.x = 'a'", "Invalid code key 'x'", 1),
        ("runs", "models.x = 'a'", "Invalid model key 'x'", 1),
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


def test_what_is_slow_is_bounded() -> None:
    for text, bound in (
        ("params.a =~ 'x'", FILTER_REGEXES_MAX),
        ("metrics.a.at(1) > 1", FILTER_POINT_AGGREGATES_MAX),
    ):
        assert parse(" or ".join([text] * bound), "runs") is not None
        with pytest.raises(FilterError, match=f"at most {bound}"):
            parse(" or ".join([text] * (bound + 1)), "runs")


@pytest.mark.parametrize("value", ["1" * 150_000 + "x", "1." + "1" * 150_000 + "x", "1d" * 70_000 + "x", "1h" * 70_000])
@pytest.mark.parametrize("key", ["metrics.x", "params.x", "start_time", "duration"])
def test_a_hostile_number_is_judged_at_once(key: str, value: str) -> None:
    started = time.perf_counter()
    with pytest.raises(FilterError):
        parse(f"{key} > {value}", "runs")
    assert time.perf_counter() - started < 5


def test_a_regular_expression_that_takes_long_is_given_up() -> None:
    texts = [f"{'a' * 5000}{i}" for i in range(100)]
    with pytest.raises(FilterError, match="takes more than 0 s over the texts of these runs"):
        matching("(a?){100}a{100}b", texts, limit_s=0)
    assert matching("a[0-9]$", texts) == frozenset(texts[:10])


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
        ("runs", "dataset.name", Order("dataset", "name", True)),
        ("runs", "models.type DESC", Order("model", "type", False)),
        ("runs", "code.branch", Order("tag", "mlflow.source.git.branch", True)),
        ("runs", "duration DESC", Order("attribute", "duration", False)),
        ("runs", "metrics.x.min DESC", Order("metric", "x", False, Aggregate("min", "x.min"))),
        ("runs", "metrics.x.at(3)", Order("metric", "x", True, Aggregate("at", step=3))),
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
