"""Any text as SQL: it is answered or refused, in time, and nothing behind the views is read or changed."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from headrace.api.sql import answers, statement, tree
from headrace.api.sql.documented import VIEWS
from headrace.api.sql.limits import Limits
from headrace.api.sql.query import answer, compiled
from headrace.api.sql.refusal import Refusal
from headrace.api.sql.view import Sources
from headrace.processors.registry import Experiment, Registry
from headrace.processors.views import Views, ViewsUnavailable, embedded
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

SECRET = "the-secret-that-must-not-appear"
LIMITS = Limits(timeout_s=1.0, memory_bytes=200_000_000, rows=10_000)
ANSWER_S = 20.0
BEHIND = frozenset({"runs", "metrics", "metric_summary", "events"})


@dataclass
class Place:
    """A view store with a secret beside it, and an address that nobody may come to."""

    views: Views
    sources: Sources
    folder: Path
    secret: Path
    port: int
    came: list[int] = field(default_factory=list)

    def contents(self) -> list[tuple[object, ...]]:
        """What a statement could have changed."""
        tables = "SELECT database, name, toString(total_rows) FROM system.tables WHERE database NOT LIKE '%nformation%'"
        found = self.views.rows(f"{tables} AND database != 'system' ORDER BY ALL")
        return [*found, *((str(path),) for path in sorted(self.folder.iterdir()))]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("sql")
    secret = folder / "secret.csv"
    secret.write_text(SECRET + "\n")
    views = embedded(folder / "views")
    runs = (
        "INSERT INTO runs (run_id, name, status, params, tags, inputs) VALUES ('r1', 'one', 'RUNNING', map('lr', '1'),"
    )
    views.command(f'{runs} map(\'t\', \'v\'), \'{{"datasets": [{{"dataset": {{"name": "d"}}}}]}}\')')
    views.command("INSERT INTO metrics (run_id, key, step, value, writer) VALUES ('r1', 'loss', 1, 0.5, 'w')")
    views.command("INSERT INTO metric_summary (run_id, key, last_value) VALUES ('r1', 'loss', 0.5)")
    views.command("INSERT INTO events (topic, subject, type, data) VALUES ('runs', 'r1', 'x', '{}')")
    views.command(f"INSERT INTO owners (topic, owner) VALUES ('{SECRET}', '{SECRET}')")
    registry = Registry()
    registry.experiments["0"] = Experiment("0", "Default", "", 0, 0)
    listener = socket.create_server(("127.0.0.1", 0))
    found = Place(views, Sources(registry), folder, secret, listener.getsockname()[1])

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            found.came.append(1)
            connection.close()

    threading.Thread(target=accept, daemon=True).start()
    yield found
    listener.close()
    views.close()


def tried(place: Place, text: str) -> bytes | None:
    """The answer, None for a refusal. Whatever the text: in time, with no secret in it, and nothing is changed."""
    text = text.replace("<file>", str(place.secret)).replace("<port>", str(place.port))
    before = place.contents()
    started_s = time.monotonic()
    told: bytes | None
    try:
        query = compiled(place.views, place.sources, text, LIMITS, "fuzz")
        check_resolved(place, query.sql, query.parameters)
        told = b"".join(answers.pieces(answer(place.views, query, LIMITS), "csv"))
    except Refusal as refusal:
        assert SECRET not in str(refusal).replace(text, "")  # noqa: PT017
        assert len(str(refusal)) < 2000  # noqa: PT017
        told = None
    assert time.monotonic() - started_s < ANSWER_S
    assert told is None or SECRET.encode() not in told
    assert place.contents() == before
    assert place.came == []
    return told


def check_resolved(place: Place, sql: str, parameters: dict[str, object]) -> None:
    """The second look, after all names are resolved: only what is behind the documented views, and only there."""
    try:
        table = place.views.arrow(f"EXPLAIN QUERY TREE passes = 1 {sql}", parameters)
    except ViewsUnavailable:
        return  # a statement that the engine refuses
    within: list[tuple[int, bool]] = []
    for line in table.column(0).cast("binary").to_pylist():
        words = line.decode("utf-8", "replace")
        depth = len(words) - len(words.lstrip(" "))
        while within and within[-1][0] >= depth:
            within.pop()
        words = words.strip()
        documented = any(f"cte_name: {name}" in words and words.startswith("QUERY ") for name in VIEWS)
        within.append((depth, documented or bool(within and within[-1][1])))
        if words.startswith("TABLE id:"):
            name = words.split("table_name: ")[1].split(",")[0]
            if name != "system.one":
                assert name.removeprefix("default.") in BEHIND, words
                assert within[-1][1], words
        if words.startswith("TABLE_FUNCTION id:"):
            called = words.split("table_function_name: ")[1].split(",")[0]
            assert called.lower() in ("numbers", "generate_series", "generateseries"), words


# ---------------------------------------------------------------------------------------------------------- any text

PIECES = (
    *("SELECT", "FROM", "WHERE", "WITH", "AS", "UNION ALL", "JOIN", "ON", "IN", "GROUP BY", "ORDER BY", "LIMIT", "1"),
    *("SETTINGS", "FORMAT", "INTO OUTFILE", "EXPLAIN", "COLUMNS", "EXCEPT", "APPLY", "REPLACE", "ARRAY JOIN", "OVER"),
    *("RECURSIVE", "PREWHERE", "FINAL", "SAMPLE", "HAVING", "QUALIFY", "WINDOW", "EXISTS", "NOT", "CASE", "END", "*"),
    *("runs", "metrics", "params", "owners", "system.tables", "default.runs", "r1", "x", "t", "name", "run_id", "key"),
    *("file", "url", "remote", "python", "numbers", "merge", "view", "values", "input", "dictGet", "joinGet", "sleep"),
    *("'<file>'", "'http://127.0.0.1:<port>/'", "'CSV'", "'x String'", "'default'", "'owners'", "count()", "max(step)"),
    *("(", ")", "[", "]", "{", "}", ",", ";", ".", "::", "->", "=", "-", "--", "/*", "*/", "#", "$$", "@@", "\\", "'"),
    *('"', "`", "\n", "\0", "\u2018", "\u2019", "\ufeff", "''", '""', "``", "\\'", "'\\", "x'00'", "{x:String}", "?"),
)
TEXTS = st.one_of(
    st.text(max_size=60),
    st.lists(st.sampled_from(PIECES), max_size=25).map(" ".join),
    st.lists(st.sampled_from(PIECES), max_size=25).map("".join),
    st.lists(st.sampled_from(PIECES), max_size=12).map(lambda x: "SELECT * FROM " + " ".join(x)),
)
MANY = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@MANY
@given(TEXTS)
@example("\ud800")
@example("SELECT 'a\\';DROP TABLE runs;--'")
@example('SELECT "a\\";DROP TABLE runs;--"')
@example("SELECT 1 /*/*/;DROP TABLE runs")
@example("SELECT '\\\\' ; DROP TABLE runs -- '")
@example("SELECT 1--\r; DROP TABLE runs")
def test_any_text_is_answered_or_refused_and_harms_nothing(place: Place, text: str) -> None:
    tried(place, text)


# ------------------------------------------------------------------------------------------- statements, and mutants

VALUES = st.sampled_from(
    [
        "1",
        "'x'",
        "NULL",
        "[1, 2]",
        "map('a', 1)",
        "now()",
        "(1, 'a')",
        "nan",
        "run_id",
        "name",
        "params",
        "params['lr']",
    ]
)
TABLES = st.sampled_from([*VIEWS, "numbers(5)", "c", "(SELECT 1 AS name)"])
BADS = (
    *("file('<file>', 'LineAsString')", "url('http://127.0.0.1:<port>/', 'CSV')", "owners", "default.owners"),
    *("system.tables", "python('place')", "merge('default', '.*')", "view(SELECT * FROM owners)", "place"),
    *("remote('127.0.0.1:<port>', system.one)", "loop(owners)", "`default`.`owners`", "input('x String')"),
)
BAD = st.sampled_from(BADS)
BAD_NAMES = ("file('<file>')", "joinGet('owners', 'owner', '')", "hostName()", "sleep(1)", "getSetting('max_threads')")
BAD_CALLS = st.sampled_from(BAD_NAMES)


def expressions(leaves: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.tuples(inner, st.sampled_from(["+", "=", "AND", "||", "IN", "<", "LIKE"]), inner).map(" ".join),
            st.tuples(st.sampled_from(["toString", "length", "count", "max", "isNull", "tuple", "hex"]), inner).map(
                lambda x: f"{x[0]}({x[1]})"
            ),
            inner.map(lambda x: f"arrayMap(v -> {x}, [1])"),
            inner.map(lambda x: f"(SELECT {x} FROM runs LIMIT 1)"),
            inner.map(lambda x: f"CAST({x} AS String)"),
            inner.map(lambda x: f"sum(1) OVER (PARTITION BY {x})"),
        ),
        max_leaves=4,
    )


def selects(tables: st.SearchStrategy[str], values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    clauses = [
        "",
        " WHERE {0}",
        " PREWHERE {0}",
        " ORDER BY {0}",
        " GROUP BY {0}",
        " ARRAY JOIN [{0}] AS q",
        " LIMIT 3",
    ]
    joins = ["", ", {0}", " AS a JOIN {0} AS b ON 1 = 1", " AS a LEFT JOIN {0} AS b USING (run_id)"]
    shapes = [
        "{0}",
        "SELECT * FROM ({0})",
        "({0}) UNION ALL ({0})",
        "WITH c AS ({0}) SELECT * FROM c",
        "{0} EXCEPT {0}",
    ]
    simple = st.builds(
        lambda value, table, join, other, clause, more: (
            f"SELECT {value} FROM {table}{join.format(other)}{clause.format(more)}"
        ),
        st.one_of(values, st.just("*"), st.just("* EXCEPT (run_id)"), values.map(lambda x: f"* APPLY (v -> {x})")),
        tables,
        st.sampled_from(joins),
        tables,
        st.sampled_from(clauses),
        values,
    )
    return st.builds(lambda shape, one: shape.format(one), st.sampled_from(shapes), simple)


@MANY
@given(selects(TABLES, expressions(VALUES)))
def test_statements_over_the_views_are_answered_or_refused(place: Place, text: str) -> None:
    tried(place, text)


@MANY
@given(st.one_of(selects(BAD, expressions(VALUES)), selects(TABLES, BAD_CALLS)))
def test_a_statement_that_names_what_it_may_not_is_refused(place: Place, text: str) -> None:
    assume(any(bad in text for bad in (*BADS, *BAD_NAMES)))
    assert tried(place, text) is None


@MANY
@given(selects(st.one_of(TABLES, BAD), expressions(st.one_of(VALUES, BAD_CALLS))), st.data())
def test_a_statement_with_pieces_put_in_or_taken_out_harms_nothing(
    place: Place, text: str, data: st.DataObject
) -> None:
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text)))
        cut = data.draw(st.integers(0, 6))
        text = text[:at] + data.draw(st.sampled_from(("", *PIECES))) + text[at + cut :]
    tried(place, text)


@settings(max_examples=1000, deadline=None)
@given(TEXTS)
def test_the_plain_form_of_any_text_is_one_statement(text: str) -> None:
    try:
        read = statement.read(text)
    except Refusal:
        return
    assert ";" not in read.sql
    assert "{" not in read.sql
    assert "\0" not in read.sql
    assert statement.read(read.sql).sql == read.sql


@settings(max_examples=500, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 5),
            st.sampled_from(
                ["QUERY id: 0", "LIST id: 1, nodes: 1", "PROJECTION", "IDENTIFIER id: 2, identifier: x", "?"]
            )
            | st.text(max_size=30),
        )
    )
)
def test_any_lines_are_a_tree_or_refused(lines: list[tuple[int, str]]) -> None:
    try:
        tree.parse([" " * depth + words for depth, words in lines])
    except Refusal:
        return
