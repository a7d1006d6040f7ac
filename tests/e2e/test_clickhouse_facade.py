"""The façade is a ClickHouse server as far as the stock client can tell."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import clickhouse_connect
import httpx
import pyarrow as pa
import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError

from tests.clickhouse_server import ClickHouse

pytestmark = pytest.mark.e2e

TABLE = "CREATE TABLE t (a UInt64, s LowCardinality(String), m Map(String, UInt64)) ENGINE = MergeTree ORDER BY a"
ROWS = [(1, "x", {"k": 1}), (2**64 - 1, "it's \\ \n", {"": 2**64 - 1})]


@pytest.fixture
def connect(clickhouse: ClickHouse) -> Iterator[Callable[..., Client]]:
    """Opens stock clients on a database of the test's own."""
    database = clickhouse.url().rpartition("/")[2]
    opened: list[Client] = []

    def open_client(**options: Any) -> Client:
        options = {"database": database, "dedicated_pool": True, **options}
        opened.append(clickhouse_connect.get_client(host="127.0.0.1", port=clickhouse.port, **options))
        return opened[-1]

    open_client(database="default").command(f"CREATE DATABASE {database}")
    yield open_client
    for client in opened:
        client.close()


@pytest.mark.parametrize("compress", [False, "lz4", "zstd", "gzip"])
def test_rows_go_in_and_come_out_in_every_encoding(connect: Callable[..., Client], compress: Any) -> None:
    client = connect(compress=compress)
    client.command(TABLE)
    client.insert("t", ROWS, column_names=["a", "s", "m"])
    client.insert_arrow("t", pa.table({"a": pa.array([5], pa.uint64()), "s": pa.array(["y"]).dictionary_encode()}))
    client.raw_insert("t", ["a", "s"], b'6,"z"\n7,"z"\n', fmt="CSV")
    assert client.query("SELECT * FROM t WHERE m != map() ORDER BY a").result_rows == ROWS
    assert client.query_arrow("SELECT a FROM t ORDER BY a").column("a").to_pylist() == [1, 5, 6, 7, 2**64 - 1]


def test_an_insert_selects_from_its_data(connect: Callable[..., Client]) -> None:
    client = connect()
    client.command(TABLE)
    sink = pa.BufferOutputStream()
    rows = pa.table({"a": pa.array(range(10), pa.uint64())})
    with pa.ipc.new_file(sink, rows.schema) as writer:
        writer.write_table(rows)
    sql = "INSERT INTO t (a) SELECT a FROM input('a UInt64') WHERE a >= {least:UInt64} FORMAT Arrow"
    client.command(sql, parameters={"least": 7}, data=sink.getvalue().to_pybytes())
    assert client.query("SELECT a FROM t ORDER BY a").result_rows == [(7,), (8,), (9,)]


def test_an_empty_result_has_its_columns(connect: Callable[..., Client]) -> None:
    client = connect()
    client.command(TABLE)
    assert client.query("SELECT * FROM t WHERE a = {a:UInt64}", {"a": 1}).column_names == ("a", "s", "m")
    assert client.query_arrow("SELECT * FROM t").num_rows == 0
    assert client.command("SELECT s FROM t") == ""


def test_parameters_too_long_for_a_url_travel_as_a_form(connect: Callable[..., Client]) -> None:
    words = [f"it's \\ {number}" for number in range(5000)]
    [row] = connect().query("SELECT {words:Array(String)}", {"words": words}).result_rows
    assert row[0] == words


@pytest.mark.parametrize(
    ("sql", "code", "status"),
    [
        ("SELEKT 1", 62, 400),
        ("SELECT 1; SELECT 2", 62, 400),
        ("SELECT nothing", 47, 404),
        ("SELECT * FROM nothing", 60, 404),
        ("SELECT * FROM nothing.t", 81, 404),
        ("SELECT throwIf(1, 'no')", 395, 500),
        ("SELECT sleep(1) SETTINGS max_execution_time = 0.1", 159, 408),
    ],
)
def test_errors_have_their_code_and_status(clickhouse: ClickHouse, sql: str, code: int, status: int) -> None:
    answer = httpx.post(f"http://127.0.0.1:{clickhouse.port}/", content=sql)
    assert (answer.headers["X-ClickHouse-Exception-Code"], answer.status_code) == (str(code), status)
    assert answer.text.startswith(f"Code: {code}. DB::Exception: ")


def test_a_url_alone_is_a_query_that_only_reads(clickhouse: ClickHouse) -> None:
    url = f"http://127.0.0.1:{clickhouse.port}/"
    asked = {"query": "SELECT {x:UInt8} + 1 AS y", "param_x": "1", "default_format": "JSONEachRow"}
    answer = httpx.get(url, params=asked)
    assert answer.json() == {"y": 2}
    assert answer.headers["X-ClickHouse-Format"] == "JSONEachRow"
    assert httpx.get(url, params={"query": "CREATE DATABASE nothing"}).headers["X-ClickHouse-Exception-Code"] == "164"
    assert httpx.get(url, params={"query": "SELECT 1", "no_such_setting": "1"}).status_code == 404


def test_only_who_knows_the_password_is_let_in(new_clickhouse: Callable[..., ClickHouse]) -> None:
    server = new_clickhouse(user="bob", password="s3cret")
    url = f"http://127.0.0.1:{server.port}/"
    for headers in ({}, {"X-ClickHouse-User": "bob", "X-ClickHouse-Key": "other"}):
        answer = httpx.post(url, content="SELECT 1", headers=headers)
        assert (answer.status_code, answer.headers["X-ClickHouse-Exception-Code"]) == (403, "516")
    assert httpx.post(url, content="SELECT 1", auth=("bob", "s3cret")).text == "1\n"
    keys = {"X-ClickHouse-User": "bob", "X-ClickHouse-Key": "s3cret"}
    assert httpx.post(url, content="SELECT 1", headers=keys).text == "1\n"


def test_a_query_that_runs_is_listed_and_can_be_killed(connect: Callable[..., Client]) -> None:
    client = connect(autogenerate_session_id=False)
    failed: list[DatabaseError] = []

    def run() -> None:
        try:
            client.command("SELECT sum(sipHash64(number)) FROM numbers(100000000000)", settings={"query_id": "long"})
        except DatabaseError as error:
            failed.append(error)

    running = threading.Thread(target=run)
    running.start()
    listed = "SELECT count() FROM system.processes WHERE query_id = 'long'"
    while client.command(listed) != 1:
        assert running.is_alive()
    with pytest.raises(DatabaseError, match="already running"):
        client.command("SELECT 1", settings={"query_id": "long"})
    client.command("KILL QUERY WHERE query_id = 'long' SYNC")
    running.join(30)
    assert [error.code for error in failed] == [394]
    assert client.command(listed) == 0


def test_many_clients_read_and_write_side_by_side(connect: Callable[..., Client]) -> None:
    client = connect(autogenerate_session_id=False)
    client.command("CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a")

    def work(number: int) -> bool:
        client.insert("t", [[number]] * 10, column_names=["a"])
        found = client.query("SELECT count() FROM t WHERE a = {n:UInt64}", {"n": number})
        return list(found.result_rows) == [(10,)]

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(60)))
    assert client.query("SELECT count(), uniqExact(a) FROM t").result_rows == [(600, 60)]


def test_data_and_database_stay_through_a_kill(new_clickhouse: Callable[..., ClickHouse]) -> None:
    server = new_clickhouse()
    url = f"http://127.0.0.1:{server.port}/"
    table = "CREATE TABLE kept.t (a Int8) ENGINE = MergeTree ORDER BY a"
    for sql in ("CREATE DATABASE kept", table, "INSERT INTO kept.t VALUES (1)"):
        assert httpx.post(url, content=sql).status_code == 200
    server.kill()
    server.start_again()
    assert httpx.post(url, content="SELECT * FROM t", params={"database": "kept"}).text == "1\n"
    server.stop()
    assert not server.answers()
