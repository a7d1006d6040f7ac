"""Views on a server that is killed, hangs or answers into a broken connection: nothing lost, nothing twice, no hang."""

from __future__ import annotations

import queue
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pyarrow as pa
import pytest
from headrace.processors.schema import tables
from headrace.processors.views import Views, ViewsUnavailable, WrongSchema, create, server
from headrace.processors.views_url import ViewsUrl, parse_views_url

from tests.clickhouse_container import ClickHouseContainer
from tests.clickhouse_server import ClickHouse
from tests.wire import Wire

pytestmark = pytest.mark.e2e

CLEAR_S = 10.0
"""A fault must have been said in a sentence by then."""
READ_S = 5.0
"""A read of a server that is down must have failed by then."""


def rows(count: int, offset: int = 0) -> pa.Table:
    """Points of one event."""
    columns = {
        "run_id": ["r"] * count,
        "partition": pa.array([0] * count, pa.uint16()),
        "offset": pa.array([offset] * count, pa.uint64()),
        "item": pa.array(range(count), pa.uint32()),
    }
    return pa.table(columns)


Open = Callable[[ViewsUrl], Views]
Start = Callable[[], ClickHouse | ClickHouseContainer]


def count(views: Views) -> int:
    number: int = views.rows("SELECT count() FROM metrics")[0][0]
    return number


@pytest.fixture
def url(clickhouse: ClickHouse) -> ViewsUrl:
    """Views that are there, on a server that lives."""
    made = parse_views_url(clickhouse.url())
    create(made)
    return made


@pytest.fixture(params=["facade", "container"])
def start(request: pytest.FixtureRequest) -> Start:
    """Starts servers that the test may kill."""
    name = "new_clickhouse" if request.param == "facade" else "new_clickhouse_container"
    started: Start = request.getfixturevalue(name)
    return started


@pytest.fixture
def opened() -> Iterator[Callable[[ViewsUrl], Views]]:
    """Opens views, and closes them."""
    made: list[Views] = []

    def open_one(url: ViewsUrl) -> Views:
        made.append(server(url))
        return made[-1]

    yield open_one
    for views in made:
        views.close()


@pytest.mark.parametrize("guard", [None, "1 = 1"], ids=["plain", "guarded"])
def test_an_insert_whose_answer_is_lost_is_sent_once_and_found(url: ViewsUrl, opened: Open, guard: str | None) -> None:
    with Wire(url.port) as wire:
        views = opened(replace(url, port=wire.port))
        views.insert("metrics", rows(5, offset=1), guard)
        sent = len(wire.requests)
        wire.lose = 1
        with pytest.raises(ViewsUnavailable, match=r"the connection to ClickHouse at .* broke"):
            views.insert("metrics", rows(7, offset=2), guard, query_id="lost")
        views.settle("lost")
        assert views.missing("metrics", rows(7, offset=2)).num_rows == 0
        assert views.missing("metrics", rows(7, offset=3)).num_rows == 7
        assert [b"INSERT" in line for line in wire.requests[sent:]].count(True) == 1
        assert count(views) == 12


def test_a_read_whose_answer_is_lost_is_asked_again(url: ViewsUrl, opened: Open) -> None:
    with Wire(url.port) as wire:
        views = opened(replace(url, port=wire.port))
        wire.lose = 1  # of the handshake
        assert views.rows("SELECT 1") == [(1,)]
        wire.lose = 2
        assert views.rows("SELECT 2") == [(2,)]
        wire.lose = 1
        assert views.arrow("SELECT 3 AS x").column("x").to_pylist() == [3]
        wire.lose = 1000
        with pytest.raises(ViewsUnavailable, match="broke"):
            views.rows("SELECT 4")
        wire.lose = 0
        assert views.rows("SELECT 5") == [(5,)]


def test_an_insert_that_its_client_gave_up_is_ended_before_it_is_asked_for(url: ViewsUrl, opened: Open) -> None:
    impatient, views = opened(replace(url, insert_timeout_s=0.3)), opened(url)
    with pytest.raises(ViewsUnavailable, match="did not answer in time"):
        impatient.insert("metrics", rows(3000), "sleepEachRow(0.0009) = 0", query_id="slow-1")
    assert views.running("slow-") == ["slow-1"]
    views.settle("slow-1")
    assert views.running("slow-") == []
    assert count(views) == 0
    assert views.missing("metrics", rows(3000)).num_rows == 3000


def test_two_inserts_with_one_id_do_not_run_at_a_time(url: ViewsUrl, opened: Open) -> None:
    impatient, views = opened(replace(url, insert_timeout_s=0.3)), opened(url)
    with pytest.raises(ViewsUnavailable):
        impatient.insert("metrics", rows(3000), "sleepEachRow(0.0009) = 0", query_id="twice")
    with pytest.raises(ViewsUnavailable, match="already running"):
        views.insert("metrics", rows(10), query_id="twice")
    views.settle("twice")
    views.insert("metrics", rows(10), query_id="twice")
    assert count(views) == 10


def test_while_the_server_is_down_reads_fail_soon_and_work_again_after(start: Start, opened: Open) -> None:
    clickhouse = start()
    url = parse_views_url(clickhouse.url())
    create(url)
    views, never_connected = opened(url), opened(url)
    views.insert("metrics", rows(3))

    def read(_: int) -> float:
        started_s = time.monotonic()
        with pytest.raises(ViewsUnavailable, match=r"cannot be reached; start it|connection .* broke"):
            views.rows("SELECT 1")
        return time.monotonic() - started_s

    with ThreadPoolExecutor(32) as pool:
        pool.submit(count, views).result()
        clickhouse.kill()
        assert max(pool.map(read, range(64))) < READ_S
    acts: list[Callable[[], None]] = [lambda: views.insert("metrics", rows(3)), lambda: views.settle("x")]
    for act in (*acts, never_connected.check_schema):
        with pytest.raises(ViewsUnavailable, match="cannot be reached; start it"):
            act()
    clickhouse.start_again()
    assert count(views) == count(never_connected) == 3
    views.insert("metrics", rows(3, offset=1))
    assert count(views) == 6


def test_a_server_killed_amid_inserts_and_reads_loses_and_doubles_nothing(start: Start, opened: Open) -> None:
    clickhouse = start()
    url = parse_views_url(clickhouse.url())
    create(url)
    views = opened(url)
    stored: queue.Queue[int] = queue.Queue()
    ending = threading.Event()
    batch = 500

    def write() -> int:
        """As the store does: after a failed try it asks what is missing before it tries again."""
        offset = 0
        while not ending.is_set():
            tried, left = False, rows(batch, offset)
            while left.num_rows:
                query_id = f"batch-{offset}"
                try:
                    if tried:
                        views.settle(query_id)
                        left = views.missing("metrics", left)
                    if left.num_rows:
                        tried = True
                        views.insert("metrics", left, "1 = 1", query_id=query_id)
                        break
                except ViewsUnavailable:
                    ending.wait(0.01)
            offset += 1
            stored.put(offset)
        return offset

    def read() -> int:
        """Every answer is of whole inserts, and every failure is soon."""
        answers = 0
        while not ending.is_set():
            started_s = time.monotonic()
            try:
                assert count(views) % batch == 0
                answers += 1
            except ViewsUnavailable:
                ending.wait(0.01)
            assert time.monotonic() - started_s < 2 * READ_S
        return answers

    with ThreadPoolExecutor(3) as pool:
        writing, reading = pool.submit(write), [pool.submit(read) for _ in range(2)]
        try:
            for _ in range(4):
                for _ in range(12):
                    stored.get(timeout=60)
                clickhouse.kill()
                clickhouse.start_again()
            stored.get(timeout=60)
        finally:
            ending.set()
        written = writing.result(60)
        assert all(one.result(60) for one in reading)
    assert written > 48
    each = views.rows("SELECT offset, count(), uniqExact(item) FROM metrics GROUP BY offset ORDER BY offset")
    assert each == [(offset, batch, batch) for offset in range(written)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"host": "no-such-host.invalid"}, "there is no host 'no-such-host.invalid'; correct the views URL"),
        ({"port": 1}, "cannot be reached; start it, or correct the views URL"),
        ({"user": "bob", "password": "wrong"}, "refuses the user 'bob' or its password; correct the views URL"),
        ({"secure": True}, "no TLS with ClickHouse at .*; correct secure"),
        (
            {"database": "nothing"},
            "has no database 'nothing'; run `headrace views create --views 'clickhouse://.*/nothing'`",
        ),
    ],
    ids=["host", "port", "password", "tls", "database"],
)
def test_a_wrong_url_is_said_in_a_sentence(url: ViewsUrl, opened: Open, change: dict[str, str], message: str) -> None:
    started_s = time.monotonic()
    views = opened(replace(url, **change))  # type: ignore[arg-type]
    for act in (views.check_schema, lambda: views.rows("SELECT 1"), lambda: views.insert("metrics", rows(1))):
        with pytest.raises((ViewsUnavailable, WrongSchema), match=message):
            act()
    assert time.monotonic() - started_s < CLEAR_S


def test_what_is_not_ClickHouse_is_called_so(url: ViewsUrl, opened: Open, s3: object) -> None:
    port = int(s3.url.rpartition(":")[2])  # type: ignore[attr-defined]
    with pytest.raises(ViewsUnavailable, match="is not ClickHouse's HTTP interface; correct the views URL"):
        opened(replace(url, port=port)).rows("SELECT 1")


def test_a_server_that_never_answers_is_left_in_time(url: ViewsUrl, opened: Open) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        views = opened(replace(url, port=silent.getsockname()[1], read_timeout_s=0.5, insert_timeout_s=0.5))
        for act in (views.check_schema, lambda: views.insert("metrics", rows(1))):
            started_s = time.monotonic()
            with pytest.raises(ViewsUnavailable, match="did not answer in time"):
                act()
            assert time.monotonic() - started_s < READ_S


@pytest.mark.parametrize("table", tables())
def test_a_missing_table_says_what_to_run(url: ViewsUrl, opened: Open, table: str) -> None:
    views = opened(url)
    views.command(f"DROP TABLE {table}")
    with pytest.raises(WrongSchema, match=f"the table {table} is missing .*; run `headrace views create"):
        views.check_schema()
    with pytest.raises(ViewsUnavailable, match=r"a table is missing .*; run `headrace views create"):
        views.rows(f"SELECT * FROM {table}")
    create(url)
    views.check_schema()


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE runs ADD COLUMN later String",
        "ALTER TABLE runs DROP COLUMN name",
        "ALTER TABLE runs MODIFY COLUMN name LowCardinality(String)",
        "ALTER TABLE runs MODIFY COMMENT 'headrace schema 00000000'",
    ],
)
def test_a_schema_of_another_version_says_what_to_run(url: ViewsUrl, opened: Open, change: str) -> None:
    views = opened(url)
    views.command(change)
    with pytest.raises(WrongSchema, match=r"the table runs .* was made by another version .*; run `headrace rebuild`"):
        views.check_schema()
