"""The grammar under any input, and the SQL it becomes held to a plain reading of the syntax tree."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator
from importlib.resources import files
from typing import Any, TypedDict

import clickhouse_connect
import pytest
from headrace.api.filter import (
    And,
    Comparison,
    Entity,
    Expression,
    FilterError,
    Kind,
    Not,
    Operator,
    Or,
    Order,
    parse,
    parse_order_by,
)
from headrace.api.memory_search import find
from headrace.api.search import View, decode_page_token, runs_query
from headrace.ingest.events import Dataset, DatasetInput, InputsLogged
from headrace.processors.metrics import Summary
from headrace.processors.runs import RunState
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

FRAGMENTS = st.sampled_from(
    re.findall(
        r"\S+",
        "metrics. params. tags. dataset.name attributes. run_id status start_time x AND OR NOT IN IS NULL LIKE ( ) , ; "
        "= != >= <> ' \" ` \\ '' 'a' \"b\" `c` 0.5 -inf nan 1e999 . %",
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
NUMBERS = [0.0, -0.0, 1.0, -2.5, 1e300, math.inf, -math.inf, math.nan]
TIMES = [0, 1, 2, 1.5, -(2**63), 2.0**70]
STRING_OPERATORS: list[Operator] = ["=", "!=", "LIKE", "ILIKE"]
LIST_OPERATORS: list[Operator] = ["IN", "NOT IN"]
NUMERIC_OPERATORS: list[Operator] = ["=", "!=", ">", ">=", "<", "<="]
NULL_OPERATORS: list[Operator] = ["IS NULL", "IS NOT NULL"]


def comparisons(entities: list[Entity], keys: list[str], operators: list[Operator], values: Any) -> Any:
    return st.builds(Comparison, st.sampled_from(entities), st.sampled_from(keys), st.sampled_from(operators), values)


LISTS = st.lists(st.sampled_from(WORDS), min_size=1, max_size=3).map(tuple)
STRINGS = ["run_id", "run_name", "status", "user_id", "artifact_uri", "experiment_id", "lifecycle_stage"]
COMPARISONS = st.one_of(
    comparisons(["metric"], KEYS, NUMERIC_OPERATORS, st.sampled_from(NUMBERS)),
    comparisons(["param", "tag"], KEYS, STRING_OPERATORS, st.sampled_from(WORDS)),
    comparisons(["param", "tag"], KEYS, NULL_OPERATORS, st.none()),
    comparisons(["attribute"], STRINGS, STRING_OPERATORS, st.sampled_from([*WORDS, "active"])),
    comparisons(["attribute"], ["run_id", "experiment_id"], LIST_OPERATORS, LISTS),
    comparisons(["attribute"], ["start_time", "end_time"], NUMERIC_OPERATORS, st.sampled_from(TIMES)),
    comparisons(["dataset"], ["name", "digest", "context"], STRING_OPERATORS, st.sampled_from(WORDS)),
    comparisons(["dataset"], ["name", "digest", "context"], LIST_OPERATORS, LISTS),
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
        right = f"({', '.join(map(quoted, value))})"
    else:
        right = "" if value is None else repr(value)
    key = expression.key.replace("`", "``")
    return f"{expression.entity}.`{key}` {expression.operator} {right}"


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
    metrics: dict[str, float]
    params: dict[str, str]
    tags: dict[str, str]
    datasets: list[dict[str, str]]


def runs() -> list[Run]:
    """Forty runs that hold every key and value above in some mixture, the same each time."""
    made: list[Run] = []
    for i in range(40):
        texts = [WORDS[(i * 5 + j * 3) % len(WORDS)] for j in range(8)]
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
                metrics={key: NUMBERS[(i + j) % len(NUMBERS)] for j, key in enumerate(KEYS) if (i + j) % 3},
                params={key: texts[j] for j, key in enumerate(KEYS) if (i + j) % 4},
                tags={key: texts[j + 2] for j, key in enumerate(KEYS) if (i + j) % 5},
                datasets=[
                    {"name": texts[j], "digest": texts[j + 1], **({"context": texts[j + 2]} if j else {})}
                    for j in range(i % 3)
                ],
            )
        )
    return made


RUNS = runs()
DELETED = ["ab"]


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
        "LIKE": lambda: like(left, value),
        "ILIKE": lambda: like(left, value, re.IGNORECASE),
        "IN": lambda: left in value,
        "NOT IN": lambda: left not in value,
    }
    return judged[operator]()


def held(run: Run, entity: Entity, key: str) -> list[Any]:
    """What the run has under a key: nothing, one value, or those of all its data sets."""
    if entity == "dataset":
        return [x[key] for x in run["datasets"] if key in x]
    if key == "lifecycle_stage" and entity == "attribute":
        return ["deleted" if is_deleted(run) else "active"]
    source: Any = run if entity == "attribute" else run[f"{entity}s"]  # type: ignore[literal-required]
    return [] if source.get(key) is None else [source[key]]


def matches(run: Run, expression: Expression) -> bool:
    match expression:
        case And(operands):
            return all(matches(run, x) for x in operands)
        case Or(operands):
            return any(matches(run, x) for x in operands)
        case Not(operand):
            return not matches(run, operand)
    values = held(run, expression.entity, expression.key)
    if expression.value is None:
        return bool(values) == (expression.operator == "IS NOT NULL")
    return any(holds(x, expression.operator, expression.value) for x in values)


def expected(expression: Expression | None, order: list[Order]) -> list[str]:
    found = [x for x in RUNS if expression is None or matches(x, expression)]
    found.sort(key=lambda x: (-x["start_time"], x["run_id"]))
    for clause in reversed(order):
        ranked: list[list[tuple[Any, Run]]] = [[], [], []]
        for run in found:
            value = next(iter(held(run, clause.entity, clause.key)), None)
            nan = isinstance(value, float) and math.isnan(value)
            ranked[2 if value is None else 1 if nan else 0].append((value, run))
        ranked[0].sort(key=lambda x: x[0], reverse=not clause.ascending)
        found = [run for rank in ranked for _, run in rank]
    return [x["run_id"] for x in found]


ORDERS = st.lists(
    st.one_of(
        st.builds(Order, st.sampled_from(["metric", "param", "tag"]), st.sampled_from(KEYS), st.booleans()),
        st.builds(Order, st.just("attribute"), st.sampled_from([*STRINGS, "start_time", "end_time"]), st.booleans()),
    ),
    max_size=3,
    unique_by=lambda x: (x.entity, x.key),
)


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
            {"dataset": {"name": x["name"], "digest": x["digest"]}}
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
                "inputs": json.dumps({"datasets": inputs}) if inputs else "",
                "offset": offset,
            }
        )
        summaries += [[run["run_id"], key, value, offset] for key, value in run["metrics"].items()]
    client.insert("runs", [list(x.values()) for x in rows], column_names=list(rows[0]))
    client.insert("metric_summary", summaries, column_names=["run_id", "key", "last_value", "offset"])
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
                    Dataset(x["name"], x["digest"]), {"mlflow.data.context": x["context"]} if "context" in x else {}
                )
                for x in run["datasets"]
            ]
        ),
    )


STATES = [state_of(run) for run in RUNS]
METRICS = {
    run["run_id"]: {
        key: Summary(value, 0, 0, value, 0, 0, value, value, 1, 0, "", "", "", 0, 0)
        for key, value in run["metrics"].items()
    }
    for run in RUNS
}


@given(expression=st.none() | EXPRESSIONS, order=ORDERS, limit=st.sampled_from([1, 3, 100]), offset=st.integers(0, 5))
@settings(max_examples=300, deadline=None)
def test_memory_finds_what_a_plain_reading_finds(
    expression: Expression | None, order: list[Order], limit: int, offset: int
) -> None:
    found = find(
        STATES,
        METRICS,
        deleted_experiment_ids=DELETED,
        view="ALL",
        expression=expression,
        order=order,
        limit=limit,
        offset=offset,
    )
    assert [x.run_id for x in found] == expected(expression, order)[offset : offset + limit]


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
    found = find(
        STATES, METRICS, deleted_experiment_ids=DELETED, view=view, expression=None, order=[], limit=100, offset=0
    )
    assert [x.run_id for x in found] == [row[0] for row in rows]
