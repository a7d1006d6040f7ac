"""The grammar under any input, and the SQL it becomes held to a plain reading of the syntax tree."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.resources import files
from typing import Any, TypedDict

import clickhouse_connect
import pytest
from headrace.api import point_aggregates
from headrace.api.filter import (
    Aggregate,
    And,
    Comparison,
    Entity,
    Expression,
    FilterError,
    Kind,
    Not,
    Now,
    Operator,
    Or,
    Order,
    parse,
    parse_order_by,
)
from headrace.api.memory_search import find
from headrace.api.search import View, decode_page_token, runs_query
from headrace.api.syntax import AggregateName, Best, PointColumns
from headrace.api.syntax import comparisons as tree_comparisons
from headrace.ingest.events import Dataset, DatasetInput, InputsLogged, ModelInput, ModelOutput, OutputsLogged
from headrace.processors.metrics import Summary
from headrace.processors.registry import LoggedModel
from headrace.processors.runs import RunState
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

FRAGMENTS = st.sampled_from(
    re.findall(
        r"\S+",
        "metrics. params. tags. dataset.name attributes. run_id status start_time x AND OR NOT IN IS NULL LIKE ( ) , ; "
        "= != >= <> =~ !~ ' \" ` \\ '' 'a' \"b\" `c` '(' 0.5 -inf nan 1e999 4GiB 1h30m '2026-01-01' now -7d - + . % "
        "duration models.name code.commit .min .at( .at_best( 10) metrics.k.last_step",
    )
)
TEXTS = st.one_of(st.text(), st.lists(FRAGMENTS).map(" ".join), st.lists(FRAGMENTS).map("".join))


@given(TEXTS, st.sampled_from(["runs", "experiments"]))
@settings(max_examples=500)
@example("\ud800", "runs")
def test_any_text_parses_or_is_refused_at_a_place_in_it(text: str, kind: Kind) -> None:
    for read in (lambda: parse(text, kind), lambda: parse_order_by([text], kind)):
        try:
            read()
        except FilterError as error:
            assert 1 <= error.position <= len(text) + 1 and error.expected  # noqa: PT017, PT018


@given(st.text())
def test_any_page_token_is_an_offset_or_refused(token: str) -> None:
    try:
        assert decode_page_token(token) >= 0
    except ValueError as error:
        assert str(error) == "Invalid page token"  # noqa: PT017


# ------------------------------------------------------------------------------------------------ expressions as text

KEYS = ["k", "a b", "x.y/z", "é`\"'"]
WORDS = ["", "a", "A", "ab", "%b", "_", "É%", "é", "it's", '"', "\\", "a\\b", "\n", "{k0:String}"]
NUMERALS = [
    "1",
    "1.0",
    "-2.5",
    "+1",
    ".5",
    "5.",
    "1e300",
    "1E3",
    "nan",
    "-Infinity",
    " 1",
    "1 ",
    "1_0",
    "0x1",
    "１",
    "1e",
    ".",
]
NUMBERS = [0.0, -0.0, 1.0, -2.5, 1e300, math.inf, -math.inf, math.nan]
TIMES = [0, 1, 2, 1.5, -(2**63), 2.0**70]
STRING_OPERATORS: list[Operator] = ["=", "!=", "LIKE", "ILIKE"]
LIST_OPERATORS: list[Operator] = ["IN", "NOT IN"]
NUMERIC_OPERATORS: list[Operator] = ["=", "!=", ">", ">=", "<", "<="]
NULL_OPERATORS: list[Operator] = ["IS NULL", "IS NOT NULL"]


# `$` and `(?s)` mean the same in Python's `re` as in RE2 once `$` is written \\Z; see `like` and `holds`.
REGEXES = ["", "a", "^a", "b$", ".", "^.$", "(?i)A", "[^a]", "é|b", r"\\", "\n", "[0-9]", "^[+-]?[.]?[0-9]+$"]
TABLE_AGGREGATES: list[AggregateName] = ["min", "max", "first", "last", "points", "nan", "last_step"]
BESTS: list[Best] = ["min", "max"]
AGGREGATES = [
    *(Aggregate(name) for name in TABLE_AGGREGATES),
    *(Aggregate("at", step=step) for step in (0, -3)),
    *(Aggregate("at_best", other="a b", best=best) for best in BESTS),
]
LITERALS = [Aggregate(name, f"k.{name}") for name in TABLE_AGGREGATES]


def comparisons(entities: list[Entity], keys: list[str], operators: list[Operator], values: Any) -> Any:
    return st.builds(Comparison, st.sampled_from(entities), st.sampled_from(keys), st.sampled_from(operators), values)


LISTS = st.lists(st.sampled_from(WORDS), min_size=1, max_size=3).map(tuple)
NUMBER_LISTS = st.lists(st.sampled_from(NUMBERS), min_size=1, max_size=3).map(tuple)
REGEX_OPERATORS: list[Operator] = ["=~", "!~"]
DATASET_KEYS = ["name", "digest", "context", "source", "source_type"]
MODEL_KEYS = ["id", "name", "type", "status"]
ALL_OPERATORS = st.sampled_from([*NUMERIC_OPERATORS, "IS NULL", "IS NOT NULL"])
MOMENTS = st.sampled_from([Now(0), Now(-2), Now(1), Now(-1.5)])


def with_nulls(of_metrics: Any) -> Any:
    """Some of the comparisons as IS NULL or IS NOT NULL instead."""
    return st.builds(
        lambda one, operator: one if operator is None else replace(one, operator=operator, value=None),
        of_metrics,
        st.sampled_from([None, None, "IS NULL", "IS NOT NULL"]),
    )


STRINGS = ["run_id", "run_name", "status", "user_id", "artifact_uri", "experiment_id", "lifecycle_stage"]
COMPARISONS = st.one_of(
    comparisons(["metric"], KEYS, NUMERIC_OPERATORS, st.sampled_from(NUMBERS)),
    comparisons(["param", "tag"], KEYS, STRING_OPERATORS, st.sampled_from(WORDS)),
    comparisons(["param", "tag"], KEYS, NULL_OPERATORS, st.none()),
    comparisons(["attribute"], STRINGS, STRING_OPERATORS, st.sampled_from([*WORDS, "active"])),
    comparisons(["attribute"], ["run_id", "experiment_id"], LIST_OPERATORS, LISTS),
    comparisons(["attribute"], ["start_time", "end_time"], NUMERIC_OPERATORS, st.sampled_from(TIMES)),
    comparisons(["dataset"], DATASET_KEYS, STRING_OPERATORS, st.sampled_from(WORDS)),
    comparisons(["dataset"], DATASET_KEYS, LIST_OPERATORS, LISTS),
    # What MLflow does not have.
    with_nulls(
        st.builds(
            Comparison,
            st.just("metric"),
            st.sampled_from(KEYS),
            st.sampled_from(NUMERIC_OPERATORS),
            st.sampled_from(NUMBERS),
            st.sampled_from([None, *AGGREGATES]),
        )
    ),
    with_nulls(
        st.builds(
            Comparison,
            st.just("metric"),
            st.just("k"),
            st.sampled_from(NUMERIC_OPERATORS),
            st.sampled_from(NUMBERS),
            st.sampled_from(LITERALS),
        )
    ),
    comparisons(["param", "tag"], KEYS, NUMERIC_OPERATORS, st.sampled_from(NUMBERS)),
    comparisons(["param", "tag"], KEYS, LIST_OPERATORS, st.one_of(LISTS, NUMBER_LISTS)),
    comparisons(["param", "tag"], KEYS, REGEX_OPERATORS, st.sampled_from(REGEXES)),
    comparisons(["attribute"], STRINGS, REGEX_OPERATORS, st.sampled_from(REGEXES)),
    comparisons(["attribute"], STRINGS, LIST_OPERATORS, LISTS),
    comparisons(["attribute"], ["start_time", "end_time"], NUMERIC_OPERATORS, MOMENTS),
    comparisons(["attribute"], ["duration"], NUMERIC_OPERATORS, st.sampled_from(TIMES)),
    comparisons(["attribute"], [*STRINGS, "start_time", "end_time", "duration"], NULL_OPERATORS, st.none()),
    comparisons(["dataset"], DATASET_KEYS, REGEX_OPERATORS, st.sampled_from(REGEXES)),
    comparisons(["dataset"], DATASET_KEYS, NULL_OPERATORS, st.none()),
    comparisons(["model"], MODEL_KEYS, STRING_OPERATORS, st.sampled_from([*WORDS, "m0", "m1"])),
    comparisons(["model"], MODEL_KEYS, LIST_OPERATORS, LISTS),
    comparisons(["model"], MODEL_KEYS, REGEX_OPERATORS, st.sampled_from(REGEXES)),
    comparisons(["model"], MODEL_KEYS, NULL_OPERATORS, st.none()),
)


def joined(children: Any) -> Any:
    several = st.lists(children, min_size=2, max_size=3).map(tuple)
    return st.one_of(several.map(And), several.map(Or), children.map(Not))


EXPRESSIONS: st.SearchStrategy[Expression] = st.recursive(COMPARISONS, joined, max_leaves=6)


def quoted(text: str) -> str:
    """Text in a quote it does not hold, or with its quotes doubled."""
    quote = "'" if "'" not in text else '"'
    return quote + text.replace(quote, quote * 2) + quote


def rendered(expression: Expression) -> str:
    """An expression as filter text."""
    match expression:
        case And(operands):
            return " AND ".join(f"({rendered(x)})" for x in operands)
        case Or(operands):
            return " or ".join(f"({rendered(x)})" for x in operands)
        case Not(operand):
            return f"NOT({rendered(operand)})"
    value = expression.value
    if isinstance(value, str):
        right = quoted(value)
    elif isinstance(value, tuple):
        right = f"({', '.join(quoted(x) if isinstance(x, str) else repr(x) for x in value)})"
    elif isinstance(value, Now):
        right = f"now {'-' if value.offset_ms < 0 else '+'} {abs(value.offset_ms)}ms"
    else:
        right = "" if value is None else repr(value)
    return f"{named(expression)} {expression.operator} {right}"


def named(one: Comparison | Order) -> str:
    """What a comparison or an order is about, as text."""
    aggregate = one.aggregate
    if aggregate is not None and aggregate.literal:
        return f"metrics.{aggregate.literal}"
    name = f"{one.entity}.`{one.key.replace('`', '``')}`"
    match aggregate:
        case None:
            return name
        case Aggregate(name="at"):
            return f"{name}.at({aggregate.step})"
        case Aggregate(name="at_best"):
            return f"{name}.at_best(`{aggregate.other}`, {aggregate.best})"
    return f"{name}.{aggregate.name}"


def unambiguous(expression: Expression) -> bool:
    """Whether it holds no value that ends in a backslash, which only the last value of a filter may."""
    match expression:
        case And(operands) | Or(operands):
            return all(map(unambiguous, operands))
        case Not(operand):
            return unambiguous(operand)
    value = expression.value
    return not any(x.endswith("\\") for x in (value if isinstance(value, tuple) else (value,)) if isinstance(x, str))


@given(EXPRESSIONS.filter(unambiguous))
def test_what_is_written_is_read_back(expression: Expression) -> None:
    assert repr(parse(rendered(expression), "runs")) == repr(expression)  # repr, since NaN differs from itself


@given(EXPRESSIONS.filter(unambiguous).map(rendered), st.data())
@settings(max_examples=300)
def test_a_filter_that_is_nearly_right_parses_or_is_refused_at_a_place_in_it(text: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(at, min(len(text), at + 4)))
    changed = text[:at] + data.draw(st.one_of(st.just(""), FRAGMENTS, st.text(max_size=2))) + text[end:]
    try:
        parse(changed, "runs")
    except FilterError as error:
        assert 1 <= error.position <= len(changed) + 1 and error.expected  # noqa: PT017, PT018


# ------------------------------------------------------------------------------------------ SQL against a plain reading


class Run(TypedDict):
    """A run as the plain reading sees it."""

    run_id: str
    experiment_id: str
    run_name: str
    status: str
    user_id: str
    artifact_uri: str
    start_time: int
    end_time: int | None
    lifecycle: str
    metrics: dict[str, Summary]
    params: dict[str, str]
    tags: dict[str, str]
    datasets: list[dict[str, str]]
    models: list[str]


def summary_of(i: int, offset: int) -> Summary:
    """Some summary: last, first, least and greatest value, and the counts, each in turn one of those above."""
    last, first, least, most = (NUMBERS[(i * (j + 1) + j) % len(NUMBERS)] for j in range(4))
    return Summary(last, i % 3 - 1, 0, first, 0, 0, least, most, i % 4, i % 2, "", "", "", 0, offset)


def runs() -> list[Run]:
    """Forty runs that hold every key and value above in some mixture, the same each time."""
    made: list[Run] = []
    mixed = [x for pair in zip(WORDS, NUMERALS, strict=False) for x in pair] + NUMERALS[len(WORDS) :]
    for i in range(40):
        texts = [WORDS[(i * 5 + j * 3) % len(WORDS)] for j in range(8)]
        mixture = [mixed[(i * 5 + j * 3) % len(mixed)] for j in range(8)]
        made.append(
            Run(
                run_id=f"{texts[0]}{i}" if i % 3 else f"r{i}",
                experiment_id=("a", "b", "ab")[i % 3],
                run_name=texts[1],
                status=texts[2],
                user_id=texts[3],
                artifact_uri=texts[4],
                start_time=i % 4,
                end_time=None if i % 3 == 0 else i % 3 + 1,
                lifecycle="deleted" if i % 7 == 0 else "active",
                metrics={
                    key: summary_of(i + j, i) for j, key in enumerate([*KEYS, "k.min", "k.points"]) if (i + j) % 3
                },
                params={key: mixture[j] for j, key in enumerate(KEYS) if (i + j) % 4},
                tags={key: mixture[j + 2] for j, key in enumerate(KEYS) if (i + j) % 5},
                datasets=[
                    {
                        "name": texts[j],
                        "digest": texts[j + 1],
                        "source": texts[j + 3],
                        "source_type": texts[j + 4],
                        **({"context": texts[j + 2]} if j else {}),
                    }
                    for j in range(i % 3)
                ],
                models=[f"m{(i + j) % 5}" for j in range(i % 4)],
            )
        )
    return made


RUNS = runs()
DELETED = ["ab"]
NOW_MS = 3
MODELS = {
    f"m{i}": LoggedModel(f"m{i}", "a", WORDS[i], "", 0, 0, model_type=WORDS[i + 3], status=WORDS[i + 6])
    for i in range(4)  # m4 is known to nobody
}
COLUMNS: PointColumns = {
    (key, aggregate): {run["run_id"]: NUMBERS[(i * j + j) % len(NUMBERS)] for i, run in enumerate(RUNS) if (i + j) % 3}
    for j, (key, aggregate) in enumerate((key, x) for key in KEYS for x in AGGREGATES if x.of_points)
}
FIELDS = {"min": "value_min", "max": "value_max", "first": "first_value", "last": "last_value", "nan": "nan_points"}


def is_deleted(run: Run) -> bool:
    return run["lifecycle"] == "deleted" or run["experiment_id"] in DELETED


def like(left: str, pattern: str, flags: int = 0) -> bool:
    parts = (".*" if x == "%" else "." if x == "_" else re.escape(x) for x in pattern)
    return re.fullmatch("".join(parts), left, re.DOTALL | flags) is not None


def holds(left: Any, operator: Operator, value: Any) -> bool:
    judged: dict[str, Callable[[], bool]] = {
        "=": lambda: left == value,
        "!=": lambda: left != value,
        ">": lambda: left > value,
        ">=": lambda: left >= value,
        "<": lambda: left < value,
        "<=": lambda: left <= value,
        "=~": lambda: re.search(value.replace("$", r"\Z"), left, re.DOTALL) is not None,
        "!~": lambda: re.search(value.replace("$", r"\Z"), left, re.DOTALL) is None,
        "LIKE": lambda: like(left, value),
        "ILIKE": lambda: like(left, value, re.IGNORECASE),
        "IN": lambda: left in value,
        "NOT IN": lambda: left not in value,
    }
    return judged[operator]()


def held(run: Run, one: Comparison | Order) -> list[Any]:
    """What the run has of a thing: nothing, one value, or those of all its data sets or models."""
    entity, key = one.entity, one.key
    if entity == "dataset":
        return [x[key] for x in run["datasets"] if key in x]
    if entity == "model" and key == "id":
        return list(run["models"])
    if entity == "model":
        known = [MODELS[x] for x in run["models"] if x in MODELS]
        return [{"name": x.name, "type": x.model_type, "status": x.status}[key] for x in known]
    if entity == "metric":
        return metric_of(run, key, one.aggregate)
    if entity == "attribute" and key == "lifecycle_stage":
        return ["deleted" if is_deleted(run) else "active"]
    if entity == "attribute" and key == "duration":
        end = run["end_time"]
        return [(NOW_MS if end is None else end) - run["start_time"]]
    source: Any = run if entity == "attribute" else run[f"{entity}s"]  # type: ignore[literal-required]
    return [] if source.get(key) is None else [source[key]]


def metric_of(run: Run, key: str, aggregate: Aggregate | None) -> list[float]:
    if aggregate is not None and aggregate.of_points:
        column = COLUMNS[key, aggregate]
        return [column[run["run_id"]]] if run["run_id"] in column else []
    if aggregate is not None and aggregate.literal in run["metrics"]:
        return [run["metrics"][aggregate.literal].last_value]
    if key not in run["metrics"]:
        return []
    name = "last" if aggregate is None else aggregate.name
    return [getattr(run["metrics"][key], FIELDS.get(name, name))]


def number(text: str) -> list[float]:
    """The number a text is, if it is one."""
    if not text.isascii() or text != text.strip() or "_" in text:
        return []
    try:
        return [float(text)]
    except ValueError:
        return []


def matches(run: Run, expression: Expression) -> bool:
    match expression:
        case And(operands):
            return all(matches(run, x) for x in operands)
        case Or(operands):
            return any(matches(run, x) for x in operands)
        case Not(operand):
            return not matches(run, operand)
    values, value = held(run, expression), expression.value
    if value is None:
        return bool(values) == (expression.operator == "IS NOT NULL")
    if isinstance(value, Now):
        value = NOW_MS + value.offset_ms
    of = value[0] if isinstance(value, tuple) else value
    if expression.entity in ("param", "tag") and isinstance(of, float):
        values = [x for text in values for x in number(text)]
    return any(holds(x, expression.operator, value) for x in values)


def expected(expression: Expression | None, order: list[Order]) -> list[str]:
    found = [x for x in RUNS if expression is None or matches(x, expression)]
    found.sort(key=lambda x: (-x["start_time"], x["run_id"]))
    for clause in reversed(order):
        ranked: list[list[tuple[Any, Run]]] = [[], [], []]
        for run in found:
            values = held(run, clause)
            value = (min if clause.ascending else max)(values) if values else None
            nan = isinstance(value, float) and math.isnan(value)
            ranked[2 if value is None else 1 if nan else 0].append((value, run))
        ranked[0].sort(key=lambda x: x[0], reverse=not clause.ascending)
        found = [run for rank in ranked for _, run in rank]
    return [x["run_id"] for x in found]


ORDER = st.one_of(
    st.builds(Order, st.sampled_from(["metric", "param", "tag"]), st.sampled_from(KEYS), st.booleans()),
    st.builds(
        Order,
        st.just("attribute"),
        st.sampled_from([*STRINGS, "start_time", "end_time", "duration"]),
        st.booleans(),
    ),
    st.builds(Order, st.just("dataset"), st.sampled_from(DATASET_KEYS), st.booleans()),
    st.builds(Order, st.just("model"), st.sampled_from(MODEL_KEYS), st.booleans()),
    st.builds(Order, st.just("metric"), st.sampled_from(KEYS), st.booleans(), st.sampled_from(AGGREGATES)),
    st.builds(Order, st.just("metric"), st.just("k"), st.booleans(), st.sampled_from(LITERALS)),
)
ORDERS = st.lists(ORDER, max_size=3, unique_by=lambda x: (x.entity, x.key, x.aggregate))


def written(order: Order) -> str:
    """An order as text."""
    return f"{named(order)} {'ASC' if order.ascending else 'DESC'}"


@given(ORDERS)
def test_an_ordering_that_is_written_is_read_back(order: list[Order]) -> None:
    assert parse_order_by(list(map(written, order)), "runs") == order


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    """An engine in memory that holds RUNS."""
    client = clickhouse_connect.get_client(interface="chdb", path=":memory:")
    schema = files("headrace.processors").joinpath("schema.sql").read_text()
    for statement in re.split(r"^;\s*$", schema, flags=re.MULTILINE):
        if statement.strip():
            client.command(statement)
    rows, summaries = [], []
    for offset, run in enumerate(RUNS):
        inputs = [
            {"dataset": {key: x[key] for key in ("name", "digest", "source", "source_type") if x[key]}}
            | ({"tags": {"mlflow.data.context": x["context"]}} if "context" in x else {})
            for x in run["datasets"]
        ]
        rows.append(
            {
                **{
                    key: run[key]
                    for key in ("run_id", "experiment_id", "status", "user_id", "artifact_uri", "lifecycle")
                },
                "name": run["run_name"],
                "start_time_ms": run["start_time"],
                "end_time_ms": run["end_time"] or 0,
                "params": run["params"],
                "tags": run["tags"],
                "inputs": json.dumps({"datasets": inputs, "models": [{"model_id": x} for x in run["models"][:1]]}),
                "outputs": json.dumps({"models": [{"model_id": x} for x in run["models"][1:]]}),
                "offset": offset,
            }
        )
        summaries += [[run["run_id"], key, *summary] for key, summary in run["metrics"].items()]
    client.insert("runs", [list(x.values()) for x in rows], column_names=list(rows[0]))
    client.insert("metric_summary", summaries, column_names=["run_id", "key", *Summary._fields])
    yield client
    for table in ("runs", "metric_summary", "metrics", "events"):
        client.command(f"DROP TABLE IF EXISTS {table}")
    client.close()


@given(expression=st.none() | EXPRESSIONS, order=ORDERS)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_sql_finds_what_a_plain_reading_finds(
    client: Any, expression: Expression | None, order: list[Order]
) -> None:
    query = runs_query(
        experiment_ids=["a", "b", "ab"],
        deleted_experiment_ids=DELETED,
        view="ALL",
        expression=expression,
        order=order,
        limit=100,
        offset=0,
        now_ms=NOW_MS,
        models=MODELS,
        columns=COLUMNS,
    )
    found = [row[0] for row in client.query(query.sql, parameters=query.parameters).result_rows]
    assert found == expected(expression, order)


# ---------------------------------------------------------------------------------------------------------- in memory


def state_of(run: Run) -> RunState:
    return RunState(
        run_id=run["run_id"],
        experiment_id=run["experiment_id"],
        name=run["run_name"],
        status=run["status"],
        user_id=run["user_id"],
        artifact_uri=run["artifact_uri"],
        start_time_ms=run["start_time"],
        end_time_ms=run["end_time"] or 0,
        lifecycle=run["lifecycle"],
        params=run["params"],
        tags=run["tags"],
        inputs=InputsLogged(
            [
                DatasetInput(
                    Dataset(x["name"], x["digest"], x["source_type"], x["source"]),
                    {"mlflow.data.context": x["context"]} if "context" in x else {},
                )
                for x in run["datasets"]
            ],
            [ModelInput(x) for x in run["models"][:1]],
        ),
        outputs=OutputsLogged([ModelOutput(x) for x in run["models"][1:]]),
    )


STATES = [state_of(run) for run in RUNS]
METRICS = {run["run_id"]: run["metrics"] for run in RUNS}


def column_of(key: str, field: int) -> dict[str, Any]:
    """One field of the summaries of a metric, by run."""
    return {run_id: of_run[key][field] for run_id, of_run in METRICS.items() if key in of_run}


@given(
    expression=st.none() | EXPRESSIONS,
    order=ORDERS,
    limit=st.sampled_from([1, 3, 100]),
    offset=st.integers(0, 5),
    by_columns=st.booleans(),
)
@settings(max_examples=300, deadline=None)
def test_memory_finds_what_a_plain_reading_finds(
    expression: Expression | None, order: list[Order], limit: int, offset: int, by_columns: bool
) -> None:
    found = find(
        STATES,
        METRICS,
        deleted_experiment_ids=DELETED,
        view="ALL",
        expression=expression,
        order=order,
        now_ms=NOW_MS,
        models=MODELS,
        columns=COLUMNS,
        metric_column=column_of if by_columns else None,
    )
    for _ in range(2):  # whether it was put in order meanwhile or not
        assert [x.run_id for x in found.page(offset, limit)] == expected(expression, order)[offset : offset + limit]
        assert [x.run_id for x in found.page(0, 1000)] == expected(expression, order)


@pytest.mark.parametrize("view", ["ACTIVE_ONLY", "DELETED_ONLY", "ALL"])
def test_memory_shows_the_same_view_as_the_sql(client: Any, view: View) -> None:
    query = runs_query(
        experiment_ids=["a", "b", "ab"],
        deleted_experiment_ids=DELETED,
        view=view,
        expression=None,
        order=[],
        limit=100,
        offset=0,
    )
    rows = client.query(query.sql, parameters=query.parameters).result_rows
    found = find(STATES, METRICS, deleted_experiment_ids=DELETED, view=view, expression=None, order=[])
    assert [x.run_id for x in found.page(0, 100)] == [row[0] for row in rows]


NEARLY_RIGHT = st.tuples(
    EXPRESSIONS.filter(unambiguous).map(rendered), st.integers(0, 10_000), st.integers(0, 3), st.one_of(FRAGMENTS)
)


@given(NEARLY_RIGHT, st.lists(ORDER.map(written), max_size=2))
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_text_parses_is_answered_alike_in_memory_and_in_the_sql(
    client: Any, changed: tuple[str, int, int, str], clauses: list[str]
) -> None:
    text, place, length, fragment = changed
    at = place % (len(text) + 1)
    try:
        expression = parse(text[:at] + fragment + text[at + length :], "runs")
        order = parse_order_by(clauses, "runs")
    except FilterError:
        expression, order = parse(text, "runs"), []
    columns = {what: COLUMNS.get(what, {}) for what in point_aggregates.wanted(tree_comparisons(expression), order)}
    query = runs_query(
        experiment_ids=["a", "b", "ab"],
        deleted_experiment_ids=DELETED,
        view="ALL",
        expression=expression,
        order=order,
        limit=100,
        offset=0,
        now_ms=NOW_MS,
        models=MODELS,
        columns=columns,
    )
    rows = client.query(query.sql, parameters=query.parameters).result_rows
    found = find(
        STATES,
        METRICS,
        deleted_experiment_ids=DELETED,
        view="ALL",
        expression=expression,
        order=order,
        now_ms=NOW_MS,
        models=MODELS,
        columns=columns,
    )
    assert [x.run_id for x in found.page(0, 100)] == [row[0] for row in rows]
