"""SQL over the documented views: what they hold, how answers look, and that the documentation says the same."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pyarrow as pa
import pyarrow.parquet
import pytest
from headrace.api.sql.documented import VIEWS
from headrace.ingest import codec
from headrace.ingest import model_events as m
from headrace.ingest.envelope import Envelope
from headrace.ingest.events import PredictionLogged
from headrace.processors.views import Views

if TYPE_CHECKING:
    from tests.unit.api.conftest import Server

DOCS = Path(__file__).parents[3] / "docs"
PAGE = DOCS / "reference" / "sql.md"
NAME = "x'\"\\ ü\n{a:String};%s"


@pytest.fixture(scope="module")
def filled(server: Server) -> Server:
    for number in range(3):
        run_id = server.new_run()
        points = [{"key": "loss", "value": 1 / (k + 1), "timestamp": 1000 + k, "step": k} for k in range(5)]
        params = [{"key": "lr", "value": str(number)}, {"key": "odd", "value": NAME}]
        server.post("runs/log-batch", run_id=run_id, metrics=points * 2, params=params)
    data_set = {"name": "d", "digest": "1", "source_type": "local", "source": "{}"}
    tags = [{"key": "mlflow.data.context", "value": "training"}]
    server.post("runs/log-inputs", run_id=run_id, datasets=[{"dataset": data_set, "tags": tags}])
    experiment_id = server.post("experiments/create", name=NAME)["experiment_id"]
    server.post("runs/create", experiment_id=experiment_id, run_name="binned")
    server.post("experiments/delete", experiment_id=experiment_id)
    model = {"experiment_id": "0", "name": "m", "params": [{"key": "a", "value": NAME}]}
    assert server.call("POST", "/api/2.0/mlflow/logged-models", json=model).status_code == 200
    fill_registry(server)
    return server


def fill_registry(server: Server) -> None:
    """A model with two versions, a deleted one, and what an endpoint answered."""
    run_id = server.new_run()
    made = m.ModelVersionCreated("v1", "s3://b/m", run_id=run_id, status=m.READY, digest="d", tags={"k": NAME})
    happened = (
        ("iris-id", m.RegisteredModelCreated("iris", "text", {"team": "a"})),
        ("iris-id", made),
        ("iris-id", m.ModelVersionCreated("v2", "s3://b/m2")),
        ("iris-id", m.StageTransitioned("v1", "Production", comment="why")),
        ("iris-id", m.AliasSet("champion", "v1")),
        ("old-id", m.RegisteredModelCreated("old")),
        ("old-id", m.RegisteredModelDeleted()),
    )
    for subject, event in happened:
        assert server.wait(server.services.tracking.command(subject, event)) is None
    answer = PredictionLogged("iris", "iris", "1", "", run_id, "r", 200, 1.5, request="{}", response="[]")
    kind, data = codec.type_of(answer), codec.encode_event(answer)
    server.log.append([Envelope("p", kind, "api", "endpoint:iris", 5, data)])


def ask(server: Server, query: str, **fields: Any) -> httpx.Response:
    return server.call("POST", "/api/headrace/v1/sql", json={"query": query, **fields})


def rows(server: Server, query: str, **fields: Any) -> list[list[Any]]:
    answer = ask(server, query, **fields)
    assert answer.status_code == 200, answer.text
    found: list[list[Any]] = answer.json()["rows"]
    return found


def message(server: Server, query: str, **fields: Any) -> str:
    answer = ask(server, query, **fields)
    assert answer.status_code == 400, answer.text
    found: str = answer.json()["message"]
    return found


@pytest.mark.parametrize("name", VIEWS)
def test_a_view_has_the_columns_and_types_it_says(filled: Server, name: str) -> None:
    columns = VIEWS[name].columns
    assert [c["name"] for c in ask(filled, f"SELECT * FROM {name}").json()["columns"]] == list(columns)
    [kinds] = rows(filled, f"SELECT {', '.join(f'toTypeName({column})' for column in columns)} FROM {name} LIMIT 1")
    assert [re.sub(r"LowCardinality\((\w+)\)", r"\1", kind) for kind in kinds] == list(columns.values())


def test_every_view_and_column_is_documented_and_no_other() -> None:
    text = PAGE.read_text("utf-8")
    parts = re.split(r"^### (\w+)$", text.split("\n## What is taken")[0], flags=re.MULTILINE)[1:]
    documented = {
        name: dict(re.findall(r"^\| `(\w+)` \| `([^`]+)` \|", part, re.MULTILINE))
        for name, part in zip(parts[::2], parts[1::2], strict=True)
    }
    assert documented == {name: view.columns for name, view in VIEWS.items()}


def test_every_example_of_the_documentation_runs(filled: Server) -> None:
    for page in (PAGE, DOCS / "how-to" / "ask-by-sql.md"):
        text = page.read_text("utf-8")
        examples = re.findall(r"```sql\n(.*?)```", text, re.DOTALL)
        assert len(examples) == (5 if page == PAGE else 4)
        for example in [*examples, *re.findall(r'(?:sql\(|sql |"query": )"(SELECT .*?)"', text)]:
            assert rows(filled, example), example


def test_the_views_are_listed_with_their_columns(server: Server) -> None:
    listed = server.call("GET", "/api/headrace/v1/sql/views").json()["views"]
    assert {v["name"]: {c["name"]: c["type"] for c in v["columns"]} for v in listed} == {
        name: view.columns for name, view in VIEWS.items()
    }


def test_versions_join_with_the_run_that_made_them_and_with_what_endpoints_answered(filled: Server) -> None:
    sql = """
        SELECT m.name, m.versions, m.latest_version, m.aliases, v.version, v.stage, v.aliases, v.tags['k'], r.status,
            p.latency_ms, p.request, p.response
        FROM model_versions AS v JOIN registered_models AS m ON m.registered_model_id = v.registered_model_id
        JOIN runs AS r ON r.run_id = v.run_id
        JOIN predictions AS p ON p.model = v.name AND p.version = v.version AND p.run_id = r.run_id
    """
    found = ["iris", 2, 2, {"champion": 1}, 1, "Production", ["champion"], NAME, "RUNNING", 1.5, "{}", "[]"]
    assert rows(filled, sql) == [found]
    assert rows(filled, "SELECT name FROM registered_models WHERE lifecycle = 'deleted'") == [["old"]]


def test_what_was_written_is_seen_at_once(filled: Server) -> None:
    run_id = filled.new_run()
    filled.post("runs/log-metric", run_id=run_id, key="new", value=2.5, timestamp=5, step=7)
    assert rows(filled, f"SELECT key, step, timestamp_ms, value FROM metrics WHERE run_id = '{run_id}'") == [
        ["new", 7, 5, 2.5]
    ]


def test_a_point_that_a_rest_client_sent_twice_is_one(filled: Server) -> None:
    assert rows(filled, "SELECT count(), sum(value) FROM metrics WHERE key = 'loss' GROUP BY run_id LIMIT 1") == [
        [5, pytest.approx(1 + 1 / 2 + 1 / 3 + 1 / 4 + 1 / 5)]
    ]


def test_a_forked_run_has_what_it_inherits(filled: Server) -> None:
    source = filled.new_run()
    points = [{"key": "fork", "value": float(k), "timestamp": k, "step": k} for k in range(10)]
    filled.post("runs/log-batch", run_id=source, metrics=points)
    answer = filled.call("POST", "/api/headrace/v1/runs/fork", json={"run_id": source, "step": 4})
    run_id = answer.json()["run"]["info"]["run_id"]
    filled.post("runs/log-metric", run_id=run_id, key="fork", value=-1.0, timestamp=50, step=5)
    where = f"WHERE run_id = '{run_id}' AND key = 'fork'"
    assert rows(filled, f"SELECT step, value FROM metrics {where} ORDER BY step") == [
        *([step, float(step)] for step in range(5)),
        [5, -1.0],
    ]
    assert rows(filled, f"SELECT last_value, first_value, min, max, points FROM metric_summary {where}") == [
        [-1.0, 0.0, -1.0, 4.0, 6]
    ]
    assert rows(filled, f"SELECT points, max FROM metric_summary WHERE run_id = '{source}'") == [[10, 9.0]]
    assert rows(filled, f"SELECT forked_from, fork_step FROM runs WHERE run_id = '{run_id}'") == [[source, 4]]
    both = "SELECT count(), max(s.points) FROM metrics AS m JOIN metric_summary AS s USING (run_id, key)"
    assert rows(filled, f"{both} {where.replace('run_id', 'm.run_id').replace('key', 'm.key')}") == [[6, 6]]


def test_a_run_is_deleted_when_its_experiment_is(filled: Server) -> None:
    assert rows(filled, "SELECT lifecycle, deleted_time FROM runs WHERE name = 'binned'") == [["deleted", None]]
    assert rows(filled, "SELECT name, lifecycle FROM experiments WHERE lifecycle = 'deleted'") == [[NAME, "deleted"]]


def test_a_run_that_was_erased_for_good_is_in_no_view_but_the_history(filled: Server) -> None:
    run_id = filled.new_run()
    filled.post("runs/log-batch", run_id=run_id, params=[{"key": "p", "value": "1"}])
    filled.post("runs/delete", run_id=run_id)
    where = f"WHERE run_id = '{run_id}'"
    assert rows(filled, f"SELECT lifecycle FROM runs {where}") == [["deleted"]]
    answer = filled.call("POST", "/api/headrace/v1/gc", json={"run_ids": [run_id]})
    assert answer.status_code == 200, answer.text
    for view in ("runs", "params", "tags", "metrics", "metric_summary", "datasets"):
        assert rows(filled, f"SELECT * FROM {view} {where}") == [], view
    assert rows(filled, f"SELECT countIf(type LIKE '%erased') > 0 FROM events WHERE subject = '{run_id}'") == [[True]]


def test_any_text_comes_as_it_was_logged(filled: Server) -> None:
    assert rows(filled, "SELECT DISTINCT value FROM params WHERE key = 'odd'") == [[NAME]]
    assert rows(filled, "SELECT params FROM logged_models") == [[{"a": NAME}]]
    assert rows(filled, "SELECT ';', 'a\\;b', '{x:String}', '%s %(x)s', 'it''s'") == [
        [";", "a\\;b", "{x:String}", "%s %(x)s", "it's"]
    ]


def test_order_is_kept(filled: Server) -> None:
    found = rows(filled, "SELECT number FROM numbers(100000) ORDER BY cityHash64(number)")
    again = rows(filled, "SELECT number FROM numbers(100000) ORDER BY cityHash64(number) LIMIT 10")
    assert found[:10] == again


def test_json_says_what_json_can(filled: Server) -> None:
    query = "SELECT nan, inf, -inf AS neg, NULL AS n, toUUID('61f0c404-5cb3-11e7-907b-a6006ad3dba0'), [1, 2],"
    query += " map('a', nan), (1, 'a'), toDecimal64(1.5, 2), toDate('2024-02-01'), 18446744073709551615,"
    query += " toDateTime64('2024-02-01 00:00:00.5', 3, 'UTC')"
    assert rows(filled, query) == [
        [
            *("NaN", "Infinity", "-Infinity", None, "61f0c404-5cb3-11e7-907b-a6006ad3dba0", [1, 2], {"a": "NaN"}),
            *({"1": 1, "2": "a"}, "1.50", "2024-02-01", 18446744073709551615, "2024-02-01T00:00:00.500Z"),
        ]
    ]


def test_times_words_and_addresses_are_told_as_what_they_are(filled: Server) -> None:
    query = """SELECT toDateTime('2024-02-01 10:00:00', 'UTC') AS t, [toDateTime('2024-02-01 10:00:00', 'UTC')] AS ts,
        CAST('b' AS Enum('a' = 1, 'b, DateTime' = 2, 'b' = 3)) AS word, toIPv4('1.2.3.4') AS v4, toIPv6('::1') AS v6,
        toInt128(-5) AS big, toFixedString('ab', 2) AS fixed, map('a', toIPv4('1.2.3.4')) AS m, 1::Dynamic AS any,
        CAST('{"a": 1}' AS JSON) AS j, CAST((1, now()) AS Tuple(`DateTime` UInt8, b DateTime)).1 AS one,
        toTime64('12:00:00.5', 3) AS day, toBFloat16(1.5) AS small, CAST(NULL AS Nullable(DateTime)) AS never,
        CAST('x' AS Variant(String, UInt8)) AS either, toDateTime('2024-02-01 12:00:00', 'Europe/Berlin') AS berlin"""
    [row] = rows(filled, query)
    assert row == [
        *("2024-02-01T10:00:00.000Z", ["2024-02-01T10:00:00.000Z"], "b", "1.2.3.4", "::1", "-5", "ab"),
        *({"a": "1.2.3.4"}, "1", '{"a":1}', 1, "12:00:00.500", 1.5, None, "x", "2024-02-01T12:00:00.000+01:00"),
    ]
    table = pa.ipc.open_stream(ask(filled, "SELECT toStartOfHour(time) AS h FROM metrics", format="arrow").content)
    assert table.schema.field("h").type == pa.timestamp("s", "UTC")
    assert rows(filled, "SELECT now() AS `a.b`, now() AS `c d`, now() FROM runs LIMIT 0") == []


@pytest.mark.parametrize(
    "value",
    [
        *("toInt128(5)", "toIPv4('1.2.3.4')", "toIPv6('::1')", "toIntervalDay(1)", "[]", "map()", "tuple()", "NULL"),
        *("fromUnixTimestamp64Milli(9223372036854775807, 'UTC')", "CAST('{\"a\": 1}' AS JSON)", "1::Dynamic"),
        *(
            "CAST('a' AS Enum('a' = 1))",
            "toFixedString('ab', 3)",
            "toBFloat16(1)",
            "[[NULL, 1]]",
            "toDate32('1900-01-01')",
        ),
        *("toDateTime64('2299-12-31 23:59:59.999999', 6)", "toDecimal256(1, 50)", "toTime64('12:00:00.5', 3)", "true"),
        *("CAST('[1, \"a\"]' AS Variant(UInt8, Array(String)))", "[map('a', (1, NULL))]"),
    ],
)
@pytest.mark.parametrize("format", ["json", "csv", "table", "parquet", "arrow"])
def test_a_value_of_any_type_is_answered_or_refused_with_a_sentence(filled: Server, value: str, format: str) -> None:
    answer = ask(filled, f"SELECT {value} AS v", format=format)
    assert answer.status_code in (200, 400), answer.text


def test_every_format_tells_the_same(filled: Server) -> None:
    query = "SELECT key, step, value, time FROM metrics WHERE key = 'loss' ORDER BY run_id, step"
    arrow = pa.ipc.open_stream(ask(filled, query, format="arrow").content).read_all()
    parquet = pa.parquet.read_table(io.BytesIO(ask(filled, query, format="parquet").content))
    assert arrow.num_rows == 15
    assert arrow.schema.field("time").type == pa.timestamp("ms", "UTC")
    assert parquet.equals(arrow)
    as_json = ask(filled, query).json()
    assert [c["name"] for c in as_json["columns"]] == arrow.column_names
    assert [row[:3] for row in as_json["rows"]] == [list(row.values())[:3] for row in arrow.to_pylist()]
    lines = list(csv.reader(io.StringIO(ask(filled, query, format="csv").text)))
    assert lines[0] == arrow.column_names
    assert [float(line[2]) for line in lines[1:]] == arrow.column("value").to_pylist()
    text = ask(filled, query, format="table").text.splitlines()
    assert text[0].split() == arrow.column_names
    assert text[-1] == "(15 rows)"


@pytest.mark.parametrize("format", ["json", "csv", "table", "parquet", "arrow"])
def test_no_rows_are_an_answer_too(filled: Server, format: str) -> None:
    answer = ask(filled, "SELECT run_id, params FROM runs WHERE 0", format=format)
    assert answer.status_code == 200
    assert answer.content


def test_an_error_tells_of_the_statement_and_not_of_what_is_behind_it(filled: Server) -> None:
    assert message(filled, "SELECT nam FROM runs") == (
        "SQL: Unknown expression identifier `nam`. Maybe you meant: ['name']"
    )
    assert message(filled, "SELECT run_id\nFROM runs\nWHERE name ==== 'x'").startswith(
        "SQL: the statement cannot be read at line 3, column 14"
    )
    assert "at its end" in message(filled, "SELECT run_id FROM runs WHERE")
    assert "Cannot parse string 'abc' as Int8" in message(filled, "SELECT toInt8('abc')")
    for wrong in ("SELECT params + 1 FROM runs", "SELECT sum(name) FROM runs", "SELECT name, count() FROM runs"):
        told = message(filled, wrong)
        assert not re.search(r"default|FINAL|__table|version|DB::|sql_binned|/", told), told


def test_text_that_is_not_utf_8_is_refused(filled: Server) -> None:
    assert "write hex(...)" in message(filled, "SELECT unhex('ff') AS x")
    assert "write hex(...)" in message(filled, "SELECT [map('a', unhex('ff'))] AS x")


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"[]", b"{}", b'{"query": 1}', b'{"query": "SELECT 1", "format": "xml"}', b'{"query": "\xff"}'),
        *(b'{"query": "SELECT 1", "timeout_s": 0}', b'{"query": "SELECT 1", "timeout_s": 26}'),
        *(b'{"query": "SELECT 1", "rows_max": 0}', b'{"query": "SELECT 1", "rows_max": 1000001}'),
        b'{"query": "SELECT 1", "memory_bytes_max": 1e30}',
    ],
)
def test_a_wrong_request_is_refused(server: Server, body: bytes) -> None:
    answer = server.call("POST", "/api/headrace/v1/sql", content=body)
    assert answer.status_code == 400, answer.text


def test_points_of_a_run_are_found_by_its_key_and_not_by_reading_all(filled: Server) -> None:
    """The condition on run_id reaches the primary key through the view."""
    from headrace.api.sql.documented import with_clause
    from headrace.api.sql.view import Sources

    views: Views = filled.services.views
    ctes, parameters = with_clause(["metrics"], Sources(filled.services.engine.registry), views.database)
    plan = views.arrow(f"EXPLAIN indexes = 1 {ctes} SELECT value FROM metrics WHERE run_id = 'x'", parameters)
    text = "\n".join(plan.column(0).to_pylist())
    assert len(re.findall(r"Condition: .*run_id in \['x', 'x'\]", text)) == 2, text
