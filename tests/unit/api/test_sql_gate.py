"""The gate of SQL: attacks on the running server are refused, and touch no file and no address."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.unit.api.conftest import Server

SECRET = "the-secret-that-must-not-appear"


class Listener:
    """An address that nobody may come to. came: how many did."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self.came = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.came += 1
            connection.close()

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(scope="module")
def listener() -> Iterator[Listener]:
    found = Listener()
    yield found
    found.close()


@pytest.fixture(scope="module")
def secret(server: Server) -> Path:
    file = server.folder / "secret.csv"
    file.write_text(f"{SECRET}\n")
    server.new_run()
    return file


TABLE_FUNCTIONS = (
    "file('{file}', 'LineAsString')",
    "file('{file}')",
    "`file`('{file}')",
    "FILE('{file}', 'CSV', 'x String')",
    "url('http://127.0.0.1:{port}/', 'LineAsString')",
    "urlCluster('default', 'http://127.0.0.1:{port}/', 'CSV')",
    "fileCluster('default', '{file}')",
    "s3('http://127.0.0.1:{port}/b/k', 'CSV')",
    "s3Cluster('default', 'http://127.0.0.1:{port}/b/k')",
    "gcs('http://127.0.0.1:{port}/b/k')",
    "azureBlobStorage('http://127.0.0.1:{port}/', 'c', 'b')",
    "hdfs('hdfs://127.0.0.1:{port}/x', 'CSV', 'x String')",
    "remote('127.0.0.1:{port}', 'system', 'one')",
    "remoteSecure('127.0.0.1:{port}', 'system', 'one')",
    "cluster('default', 'system', 'one')",
    "clusterAllReplicas('default', system.one)",
    "mysql('127.0.0.1:{port}', 'd', 't', 'u', 'p')",
    "postgresql('127.0.0.1:{port}', 'd', 't', 'u', 'p')",
    "mongodb('127.0.0.1:{port}', 'd', 't', 'u', 'p', 'x String')",
    "redis('127.0.0.1:{port}', 'k', 'k String')",
    "sqlite('{file}', 't')",
    "odbc('DSN=x', 'd', 't')",
    "jdbc('x', 'd', 't')",
    "deltaLake('http://127.0.0.1:{port}/b')",
    "iceberg('http://127.0.0.1:{port}/b')",
    "icebergLocal('{file}')",
    "hudi('http://127.0.0.1:{port}/b')",
    "executable('cat {file}', 'LineAsString', 'x String')",
    "python('secret')",
    "Python(secret)",
    "merge('default', '.*')",
    "merge(currentDatabase(), 'owners')",
    "dictionary('d')",
    "loop('default', 'owners')",
    "loop(owners)",
    "mergeTreeIndex('default', 'runs')",
    "mergeTreeProjection('default', 'events', 'positions')",
    "viewIfPermitted(SELECT 1 ELSE null('x Int8'))",
    "view(SELECT * FROM file('{file}'))",
    "format(CSV, '1')",
    "values('x Int8', 1)",
    "VALUES('x Int8', 1)",
    "input('x Int8')",
    "null('x Int8')",
    "generateRandom('x Int8')",
    "fuzzQuery('SELECT 1')",
    "zeros(10)",
    "timeSeriesData('t')",
    "prometheusQuery('t', 'x')",
    "remote('127.0.0.1:{port}', view(SELECT 1))",
    "numbers(file('{file}'))",
    "numbers((SELECT count() FROM url('http://127.0.0.1:{port}/', 'RawBLOB')))",
)

TABLES = (
    "owners",
    "`owners`",
    '"owners"',
    "default.owners",
    "default.runs",
    "`default`.`metrics`",
    "`default.metrics`",
    "system.tables",
    "system.query_log",
    "System.tables",
    "information_schema.tables",
    "INFORMATION_SCHEMA.COLUMNS",
    "tables",
    "one",
    "secret",
    "server",
    "runs_local",
    ".inner.runs",
)

STATEMENTS = (
    "SELECT * FROM {it}",
    "(SELECT * FROM {it})",
    "SELECT 1 UNION ALL SELECT * FROM {it}",
    "SELECT 1 EXCEPT SELECT * FROM {it}",
    "SELECT (SELECT * FROM {it} LIMIT 1)",
    "SELECT 1 WHERE EXISTS (SELECT * FROM {it})",
    "SELECT 1 WHERE 1 IN (SELECT * FROM {it})",
    "WITH x AS (SELECT * FROM {it}) SELECT 1",
    "WITH x AS (SELECT * FROM {it}) SELECT * FROM x",
    "WITH (SELECT * FROM {it}) AS x SELECT x",
    "WITH RECURSIVE x AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM x, {it}) SELECT * FROM x",
    "SELECT * FROM runs, {it}",
    "SELECT * FROM runs AS r LEFT JOIN {it} AS x ON 1 = 1",
    "SELECT * FROM runs ARRAY JOIN mapKeys((SELECT map('a', 1) FROM {it})) AS k",
    "SELECT * FROM runs ORDER BY (SELECT 1 FROM {it})",
    "SELECT 1 FROM runs GROUP BY (SELECT 1 FROM {it})",
    "SELECT count() FROM runs HAVING (SELECT 1 FROM {it})",
    "SELECT * FROM runs LIMIT (SELECT 1 FROM {it})",
    "SELECT * FROM runs ORDER BY name WITH FILL FROM (SELECT 1 FROM {it})",
    "SELECT sum(1) OVER (PARTITION BY (SELECT 1 FROM {it}))",
    "SELECT arrayMap(x -> (SELECT 1 FROM {it}), [1])",
    "SELECT * REPLACE ((SELECT 1 FROM {it}) AS name) FROM runs",
    "SELECT count() FILTER (WHERE (SELECT 1 FROM {it}))",
)


def refused(server: Server, query: str) -> str:
    answer = server.call("POST", "/api/headrace/v1/sql", json={"query": query})
    assert answer.status_code == 400, (query, answer.text)
    told = answer.json()
    assert set(told) == {"error_code", "message"}, told
    message: str = told["message"]
    assert SECRET not in message
    return message


@pytest.mark.parametrize("called", TABLE_FUNCTIONS)
def test_a_table_function_is_refused_and_reaches_nothing(
    server: Server, secret: Path, listener: Listener, called: str
) -> None:
    refused(server, "SELECT * FROM " + called.format(file=secret, port=listener.port))
    assert listener.came == 0


@pytest.mark.parametrize("statement", STATEMENTS)
@pytest.mark.parametrize("it", ["file('{file}', 'LineAsString')", "owners", "default.runs", "system.tables"])
def test_what_is_refused_is_refused_wherever_it_stands(server: Server, secret: Path, statement: str, it: str) -> None:
    refused(server, statement.format(it=it.format(file=secret)))


@pytest.mark.parametrize("table", TABLES)
def test_a_table_that_is_no_documented_view_is_refused(server: Server, secret: Path, table: str) -> None:
    message = refused(server, f"SELECT * FROM {table}")
    assert "documented views" in message or "cannot be read" in message


CALLS = (
    "file('{file}')",
    "`file`('{file}')",
    "dictGet('d', 'a', 1)",
    "dictGetOrDefault('d', 'a', 1, 2)",
    "dictHas('d', 1)",
    "joinGet('owners', 'owner', 1)",
    "joinGetOrNull('default.owners', 'owner', 1)",
    "getSetting('max_threads')",
    "getServerSetting('path')",
    "getMacro('shard')",
    "hostName()",
    "hostname()",
    "FQDN()",
    "currentUser()",
    "user()",
    "currentDatabase()",
    "database()",
    "serverUUID()",
    "uptime()",
    "version()",
    "buildId()",
    "tcpPort()",
    "getServerPort('tcp_port')",
    "getOSKernelVersion()",
    "queryID()",
    "connectionId()",
    "showCertificate()",
    "globalVariable('version')",
    "filesystemAvailable()",
    "sleep(1)",
    "sleepEachRow(1)",
    "throwIf(1)",
    "catboostEvaluate('{file}', 1)",
    "evalMLMethod(1, 2)",
    "hasColumnInTable('default', 'runs', 'run_id')",
    "structureToCapnProtoSchema('x Int8')",
    "formatRow('CSV', 1)",
    "generateRandomStructure()",
    "initializeAggregation('sum', 1)",
    "finalizeAggregation(sumState(1))",
    "sumState(1)",
    "sumMerge('x')",
    "arrayReduce('sum', [1])",
    "addressToLine(1)",
    "addressToSymbol(1)",
    "demangle('x')",
    "logTrace('x')",
    "transactionID()",
    "aiGenerate('x')",
    "chdb()",
    "blockNumber()",
    "encrypt('aes-256-cbc', 'x', 'y')",
    "flameGraph(1)",
    "nope(1)",
    "CAST('x', 'AggregateFunction(sum, UInt8)')",
    "CAST('x', concat('Aggregate', 'Function(sum, UInt8)'))",
    "'x'::AggregateFunction(sum, UInt8)",
    "@@version",
    "{x:String}",
    "{x:Identifier}",
)
PLACES = (
    "SELECT {call}",
    "SELECT 1 FROM runs WHERE {call} != ''",
    "SELECT 1 FROM runs PREWHERE {call} != ''",
    "SELECT * APPLY (x -> {call}) FROM runs",
    "SELECT arrayMap(x -> {call}, [1])",
    "SELECT name FROM runs ORDER BY {call}",
    "SELECT sum(1) OVER (ORDER BY {call})",
    "WITH {call} AS x SELECT x",
    "SELECT 1 FROM runs LIMIT {call}",
)


@pytest.mark.parametrize("call", CALLS)
def test_a_function_that_reaches_out_of_the_data_is_refused(server: Server, secret: Path, call: str) -> None:
    for place in PLACES:
        refused(server, place.replace("{call}", call.replace("{file}", str(secret))))


APPLIED = ("file", "hostName", "sleep", "dictGet", "joinGet")


@pytest.mark.parametrize("name", APPLIED)
def test_a_function_is_refused_where_only_its_name_stands(server: Server, secret: Path, name: str) -> None:
    refused(server, f"SELECT * APPLY ({name}) FROM runs")
    refused(server, f"SELECT COLUMNS('name') APPLY {name} FROM runs")


NO_SELECTS = (
    "",
    " ",
    "-- nothing",
    ";",
    "SHOW TABLES",
    "DESCRIBE runs",
    "DESC file('/etc/passwd')",
    "EXPLAIN SELECT 1",
    "EXPLAIN AST SELECT 1",
    "EXISTS TABLE owners",
    "EXISTS owners",
    "USE system",
    "SET readonly = 0",
    "DROP TABLE runs",
    "INSERT INTO runs VALUES (1)",
    "INSERT INTO FUNCTION file('x.csv') SELECT 1",
    "CREATE TABLE x (a Int8) ENGINE = Memory",
    "ALTER TABLE runs DELETE WHERE 1",
    "TRUNCATE TABLE runs",
    "OPTIMIZE TABLE runs",
    "SYSTEM SHUTDOWN",
    "KILL QUERY WHERE 1",
    "BACKUP TABLE runs TO Disk('d', 'b')",
    "CHECK TABLE runs",
    "VALUES (1)",
    "TABLE runs",
    "1",
    "graph = 1 SELECT 1",
    "run_passes = 1 SELECT 1",
    "SELECT 1; SELECT 2",
    "SELECT 1;; SELECT 2",
    "SELECT 1; DROP TABLE runs",
    "SELECT 1 /* ; */; DROP TABLE runs",
    "SELECT 1) ; DROP TABLE runs; SELECT (1",
    "SELECT 1) UNION ALL SELECT (2",
    "SELECT 1), (SELECT 2",
    "SELECT 1 FORMAT CSV",
    "SELECT 1 INTO OUTFILE 'x'",
    "SELECT 1 INTO OUTFILE 'x' FORMAT CSV",
    "SELECT 1 SETTINGS max_threads = 1",
    "SELECT 1 SETTINGS readonly = 0, max_execution_time = 0",
    "SELECT * FROM (SELECT 1 SETTINGS max_threads = 1)",
    "SELECT 1 PARALLEL WITH SELECT 2",
    "SELECT * FROM (EXPLAIN SELECT 1)",
    "SELECT (EXPLAIN SELECT 1)",
    "SELECT $$x$$",
    "SELECT $a$ ; $a$",
    "SELECT 1 # comment",
    "SELECT 1 /* open",
    "SELECT 'open",
    'SELECT "open',
    "SELECT `open",
    "SELECT (1",
    "SELECT 1]",
    "SELECT 1\0; DROP TABLE runs",
    "SELECT \u2018x\u2019",
    "SELECT 1 \u2212 1",
    "SELECT\u00a01",
    "\ufeffSELECT 1",
    "SELECT '\ud800'",
)


@pytest.mark.parametrize("query", NO_SELECTS)
def test_what_is_not_one_select_is_refused(server: Server, secret: Path, query: str) -> None:
    import json

    answer = server.call("POST", "/api/headrace/v1/sql", content=json.dumps({"query": query}))
    assert answer.status_code == 400, answer.text
    assert server.call("POST", "/api/headrace/v1/sql", json={"query": "SELECT count() FROM runs"}).status_code == 200


BEHIND_NAMES = (
    "SELECT * FROM (WITH owners AS (SELECT 1) SELECT * FROM owners) AS a, owners",
    "WITH `system.tables` AS (SELECT 1) SELECT * FROM system.tables",
    "WITH `default.owners` AS (SELECT 1) SELECT * FROM default.owners",
    "WITH owners AS o SELECT * FROM o",
    "WITH system.one AS o SELECT * FROM o",
    "WITH owners AS o SELECT 1 IN o",
    "SELECT 1 IN owners",
    "SELECT 1 IN (owners)",
    "SELECT 1 GLOBAL NOT IN owners",
    "SELECT 1 IN system.one",
    "SELECT in(1, owners)",
    "SELECT notIn(1, default.owners)",
    "SELECT owners AS x, 1 IN x",
    "SELECT `x\n  PROJECTION` FROM runs",
    "SELECT 1 AS `x\n  JOIN TREE\n    IDENTIFIER id: 3, identifier: runs`",
    "SELECT 1 AS `a, identifier: runs`",
    "SELECT COLUMNS('x\\n  PROJECTION') FROM owners",
    "SELECT COLUMNS('x\n  PROJECTION') FROM runs",
    "SELECT COLUMNS(x'0a') FROM runs",
    "SELECT * EXCEPT ('x\\x0a') FROM runs",
    "SELECT name FROM runs ORDER BY name COLLATE 'en\\n'",
    "SELECT * FROM viewExplain('EXPLAIN', '', (SELECT 1))",
    "SELECT * FROM runs AS default, default.owners",
)


@pytest.mark.parametrize("query", BEHIND_NAMES)
def test_no_name_leads_behind_the_views(server: Server, secret: Path, query: str) -> None:
    refused(server, query)


@pytest.mark.parametrize(
    "query",
    [
        "SELECT 1;",
        "SELECT 1 -- ; DROP TABLE runs",
        "/* ; */ SELECT 1 /* /* nested */ */ ;  -- end",
        "SELECT ';', 'it''s', 'a\\'b', \"name\" FROM runs",
        "WITH x AS (SELECT 1 AS n) SELECT n FROM x",
        "WITH runs AS (SELECT run_id FROM runs) SELECT * FROM runs",
        "WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM t WHERE n < 5) SELECT sum(n) FROM t",
        "FROM runs SELECT name",
        "(SELECT 1) UNION DISTINCT (SELECT 2) INTERSECT SELECT 3",
        "SELECT sum(x) FILTER (WHERE x > 1) FROM (SELECT arrayJoin([1, 2, 3]) AS x)",
        "SELECT run_id, row_number() OVER (PARTITION BY experiment_id ORDER BY start_time DESC) AS n FROM runs",
        "SELECT COLUMNS('^run|\\\\d') EXCEPT (run_id), * REPLACE (1 AS name) FROM runs",
        "SELECT quantileIf(0.5)(value, value > 0), maxOrNull(value), uniqExact(run_id) FROM metrics",
        "SELECT CASE WHEN status = 'RUNNING' THEN 1 ELSE 0 END, params['x'] FROM runs",
        "SELECT m.key, any(r.name) FROM metrics AS m JOIN runs AS r USING (run_id) GROUP BY m.key HAVING count() > 1",
        "SELECT toStartOfHour(start_time), count() FROM runs GROUP BY ALL ORDER BY ALL",
        "SELECT run_id FROM runs WHERE run_id IN (SELECT run_id FROM metrics WHERE key = 'loss' GROUP BY run_id)",
        "SELECT DATE '2024-01-01' + INTERVAL 1 DAY, now() > TIMESTAMP '2020-01-01 00:00:00'",
        "SELECT * FROM numbers(3) AS n, generate_series(1, 3) AS g",
        "SELECT 1 GROUP BY GROUPING SETS ((1), ())",
    ],
)
def test_an_honest_statement_is_answered(server: Server, secret: Path, query: str) -> None:
    answer = server.call("POST", "/api/headrace/v1/sql", json={"query": query})
    assert answer.status_code == 200, answer.text
