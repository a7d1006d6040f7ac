"""SQL that means to hurt: each statement ends in time, and the server goes on with the memory it had before."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import msgspec
import pytest

if TYPE_CHECKING:
    from tests.e2e.conftest import Server

pytestmark = pytest.mark.e2e
pytest.importorskip("chdb")

TIMEOUT_S = 2.0
ANSWER_S = 15.0
KEPT_BYTES = 250_000_000
"""What the allocator may hold on to, a while after."""

NUMBERS = "(SELECT number AS a FROM numbers(1000000000))"
DIGITS = "arrayStringConcat(arrayMap(x -> '1', range(number % 2 + 90000)))"
LONG_DIGITS = "arrayStringConcat(arrayMap(x -> '1', range(9000000)))"
LONG = "SELECT sum(sipHash64(number)) FROM numbers(1000000000000)"
DOUBLED = ", ".join(f"c{i} AS (SELECT l.x FROM c{i - 1} AS l, c{i - 1} AS r)" for i in range(1, 30))
ADDED = ", ".join(f"(a{i - 1} + a{i - 1}) AS a{i}" for i in range(1, 60))

HOSTILE = {
    "a huge array": "SELECT range(1000000000)",
    "huge arrays": "SELECT arrayMap(x -> range(1000000), range(100000))",
    "arrays of arrays": "SELECT arrayMap(x -> arrayMap(y -> arrayMap(z -> z, range(3000)), range(3000)), range(3000))",
    "a long text": "SELECT repeat('x', 1000000000)",
    "long texts": "SELECT arrayMap(x -> repeat('x', 1000000), range(100000))",
    "doubled texts": "WITH RECURSIVE t AS (SELECT 'x' AS s UNION ALL SELECT concat(s, s) FROM t) SELECT max(s) FROM t",
    "long texts of numbers": "SELECT arrayStringConcat(range(10000000), ','), number FROM numbers(1000)",
    "a text in a text": f"SELECT position({DIGITS}, concat({DIGITS}, 'x')) FROM numbers(100)",
    "a pattern in a text": f"SELECT match({DIGITS}, '(1?){{300}}x') FROM numbers(100)",
    "arrays in arrays too": "SELECT hasAll(range(1000000), range(500000, 1500000))",
    "a product": f"SELECT sum(x.a * y.a) FROM {NUMBERS} AS x, {NUMBERS} AS y",
    "a product of a product": f"SELECT count() FROM {NUMBERS} AS x, {NUMBERS} AS y, {NUMBERS} AS z WHERE x.a > y.a",
    "a join of everything": f"SELECT count() FROM {NUMBERS} AS x JOIN {NUMBERS} AS y ON x.a = y.a",
    "no end": "WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM t) SELECT max(n) FROM t",
    "no end, wider": "WITH RECURSIVE t AS (SELECT [1] AS n UNION ALL SELECT arrayConcat(n, n) FROM t) SELECT 1 FROM t",
    "all in one array": f"SELECT groupArray(a) FROM {NUMBERS}",
    "all groups": f"SELECT a, count() FROM {NUMBERS} GROUP BY a ORDER BY a",
    "all sorted": f"SELECT a FROM {NUMBERS} ORDER BY cityHash64(a)",
    "all distinct": f"SELECT uniqExact(a), groupUniqArray(a) FROM {NUMBERS}",
    "all rows": f"SELECT a FROM {NUMBERS}",
    "wide rows": "SELECT repeat('x', 1000000) FROM numbers(100000)",
    "an explosion": "SELECT sum(x) FROM (SELECT arrayJoin(range(100000)) AS x FROM numbers(100000))",
    "windows": f"SELECT sum(a) OVER (ORDER BY a ROWS BETWEEN 9 PRECEDING AND 9 FOLLOWING) FROM {NUMBERS}",
    "a regular expression": "SELECT countMatches(repeat('a', 1000000), '(a|aa)*(a|aa)*(a|aa)*b') FROM numbers(10)",
    "regular expressions": "SELECT sum(match(toString(number), '(1*)*(2*)*(3*)*x{500}')) FROM numbers(1000000000)",
    "a replacement": "SELECT length(replaceRegexpAll(repeat('a', 1000000), 'a', repeat('b', 1000000)))",
    "a distance": "SELECT editDistance(repeat('a', 60000), repeat('b', 60000)) FROM numbers(100000)",
    "a fold": "SELECT arrayFold((x, y) -> x + y, range(100000000), 0)",
    "sleep": "SELECT sleepEachRow(3) FROM numbers(1000)",
    "brackets": "SELECT " + "(" * 5000 + "1" + ")" * 5000,
    "arrays in arrays": "SELECT " + "[" * 99 + "1" + "]" * 99,
    "subqueries": "SELECT " + "(SELECT " * 99 + "1" + ")" * 99,
    "terms": "SELECT " + "+".join(["1"] * 40000),
    "conditions": "SELECT " + " AND ".join(["1"] * 15000),
    "negations": "SELECT " + "NOT " * 20000 + "1",
    "signs": "SELECT " + "- " * 40000 + "1",
    "operators": "SELECT 1" + "::Int8" * 10000,
    "indexes": "SELECT x" + "[1]" * 20000,
    "selects": "SELECT 1" + " UNION ALL SELECT 1" * 5000,
    "joins": "SELECT 1 FROM numbers(1) AS a0" + "".join(f", numbers(1) AS a{i}" for i in range(1, 3000)),
    "names": f"WITH c0 AS (SELECT 1 AS x), {DOUBLED} SELECT * FROM c29",
    "aliases": f"WITH rand() AS a0, {ADDED} SELECT a59",
    "columns": "SELECT " + ", ".join(["*"] * 20000) + " FROM runs",
    "a type": "SELECT CAST([], '" + "Array(" * 5000 + "Int8" + ")" * 5000 + "')",
    "a lambda": "SELECT " + "arrayMap(x -> " * 99 + "x" + ", [1])" * 99,
    "a long name": "SELECT " + "x" * 99_000,
    "too long": "SELECT '" + "x" * 200_000 + "'",
    "padding": "SELECT leftPad('x', 4000000000), space(4000000000), toFixedString('x', 16000000)",
    "resized": "SELECT arrayResize([1], 1000000000), arrayWithConstant(1000000000, 'x')",
    "brackets in JSON": "SELECT JSONExtractRaw(concat(repeat('[', 1000000), repeat(']', 1000000)), 1)",
    "a huge limit": "SELECT 1 LIMIT 18446744073709551615 OFFSET 18446744073709551615",
    "fill": "SELECT 1 AS x ORDER BY x WITH FILL FROM 0 TO 100000000000",
    "a series": "SELECT * FROM generate_series(1, 100000000000)",
    "bits": "SELECT bitShiftLeft(toUInt256(1), number), pow(2, number) FROM numbers(100000000000)",
    "materialized": f"WITH x AS MATERIALIZED (SELECT a FROM {NUMBERS}) SELECT count() FROM x AS l, x AS r",
}


def ask(server: Server, query: str, **fields: Any) -> httpx.Response:
    return httpx.post(f"{server.url}/api/headrace/v1/sql", json={"query": query, **fields}, timeout=90)


def resident_bytes(server: Server) -> int:
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{server.pid}/status").read_text())
    assert found is not None
    return int(found.group(1)) * 1000


def test_a_hostile_statement_ends_in_time_and_gives_back_what_it_held(
    server: Server, eventually: Callable[..., Any]
) -> None:
    server.post("/api/2.0/mlflow/runs/create", {"experiment_id": "0"})
    assert ask(server, "SELECT count() FROM runs").json()["rows"] == [[1]]
    before = resident_bytes(server)
    slow: dict[str, float] = {}
    for name, query in HOSTILE.items():
        started_s = time.monotonic()
        answer = ask(server, query, timeout_s=TIMEOUT_S, memory_bytes_max=500_000_000)
        took_s = time.monotonic() - started_s
        assert answer.status_code in (200, 400), (name, answer.text)
        if answer.status_code == 400:
            assert "SQL: " in answer.json()["message"], (name, answer.text)
        if took_s > ANSWER_S:
            slow[name] = took_s
        assert server.running, name
    assert slow == {}
    assert ask(server, "SELECT count() FROM runs").json()["rows"] == [[1]]
    assert server.status()["fault"] is None
    assert "Traceback" not in server.output()
    eventually(lambda: resident_bytes(server) < before + KEPT_BYTES, 60.0)


def test_statements_do_not_starve_other_reads_and_those_that_wait_are_told(server: Server) -> None:
    run_id = server.post("/api/2.0/mlflow/runs/create", {"experiment_id": "0"})["run"]["info"]["run_id"]
    with ThreadPoolExecutor(30) as pool:
        asked = [pool.submit(ask, server, LONG, timeout_s=20) for _ in range(30)]
        for _ in range(20):
            assert server.run(run_id)["info"]["run_id"] == run_id
            summary = server.get("/api/headrace/v1/metrics/summary", run_id=run_id)
            assert summary == {"metrics": []}
        codes = sorted(one.result().status_code for one in asked)
    assert codes == [*(2 * [400]), *(8 * [429]), *(20 * [503])]


def test_a_statement_ends_when_its_client_leaves(server: Server, eventually: Callable[..., Any]) -> None:
    body = msgspec.json.encode({"query": LONG})
    for _ in range(4):
        with closing(socket.create_connection(("127.0.0.1", server.port))) as connection:
            head = f"POST /api/headrace/v1/sql HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
            connection.sendall(head.encode() + body)
            eventually(lambda: processor_s(server) > 0)
            spent_s = processor_s(server)
            eventually(lambda spent_s=spent_s: processor_s(server) > spent_s + 0.3)
    started_s = time.monotonic()
    assert ask(server, "SELECT 1").json()["rows"] == [[1]]
    assert time.monotonic() - started_s < 5.0


def test_a_statement_that_the_engine_cannot_stop_is_answered_for_and_does_not_keep_the_server_from_stopping(
    server: Server,
) -> None:
    endless = f"WITH {LONG_DIGITS} AS d SELECT position(d, concat(substring(d, 1, 4500000), 'x'))"
    started_s = time.monotonic()
    answer = ask(server, endless, timeout_s=TIMEOUT_S)
    assert time.monotonic() - started_s < ANSWER_S
    assert "ran longer than 2 s" in answer.json()["message"]
    for _ in range(3):
        assert ask(server, "SELECT count() FROM runs").json()["rows"] == [[0]]
    assert server.stop() == 0
    assert "Traceback" not in server.output()


def processor_s(server: Server) -> float:
    """Processor time of the server so far, seconds."""
    fields = Path(f"/proc/{server.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100
