"""What the view store promises, on chDB and on a ClickHouse server."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pytest
from headrace.processors.views import Views, ViewsUnavailable, embedded, statements

TABLES = {"runs", "events", "metrics", "metric_summary", "owners"}


def summaries(*offsets: int) -> pa.Table:
    return pa.table(
        {
            "run_id": ["r"] * len(offsets),
            "key": [f"k{offset}" for offset in offsets],
            "offset": pa.array(offsets, pa.uint64()),
        }
    )


def test_the_schema_has_one_statement_a_table() -> None:
    assert len(statements()) == len(TABLES)


def test_opening_again_keeps_tables_and_rows(reopen: Callable[[], Views]) -> None:
    first = reopen()
    first.insert("metric_summary", summaries(1, 2))
    first.close()
    again = reopen()
    try:
        assert {row[0] for row in again.rows("SHOW TABLES")} == TABLES
        assert again.rows("SELECT offset FROM metric_summary ORDER BY offset") == [(1,), (2,)]
    finally:
        again.close()


def test_an_insert_is_all_or_nothing(views: Views) -> None:
    bad = pa.table({"run_id": ["r", "r"], "key": ["a", "b"], "offset": ["1", "not a number"]})
    with pytest.raises(ViewsUnavailable):
        views.insert("metric_summary", bad)
    assert views.rows("SELECT count() FROM metric_summary") == [(0,)]
    views.insert("metric_summary", summaries(1))
    assert views.rows("SELECT count() FROM metric_summary") == [(1,)]


def test_parameters_are_values_and_never_sql(views: Views) -> None:
    hostile = 'it\'s \\ "{x:String}" \t\n %_ é`; DROP TABLE runs'
    parameters = {"text": hostile, "list": [hostile, ""], "number": 2**64 - 1}
    sql = "SELECT {text:String}, {list:Array(String)}, {number:UInt64}"
    [row] = views.rows(sql, parameters)
    assert (row[0], list(row[1]), row[2]) == (hostile, [hostile, ""], 2**64 - 1)
    [row] = views.arrow("SELECT {text:String} AS text", parameters).to_pylist()
    assert row == {"text": hostile}


def test_a_parameter_may_be_large(views: Views) -> None:
    ids = [f"{i:032x}" for i in range(20_000)]
    text = "é'\\" * 60_000
    sql = (
        "SELECT length({ids:Array(String)}), cityHash64({ids:Array(String)}) = cityHash64(arrayMap(x ->"
        " lower(leftPad(trimLeft(hex(x), '0'), 32, '0')), range(20000))), {ids:Array(String)}[20000], {last:String} IN"
        " {ids:Array(String)}, {text:String}, arraySum({numbers:Array(Float64)})"
    )
    parameters = {"ids": ids, "last": ids[-1], "text": text, "numbers": [0.5] * 20_000}
    assert views.rows(sql, parameters) == [(20_000, True, ids[-1], 1, text, 10_000.0)]


def test_numbers_come_back_as_they_were_stored(views: Views) -> None:
    values = [float("nan"), float("inf"), float("-inf"), -0.0, 5e-324, 1.7976931348623157e308, 0.1]
    views.insert(
        "metrics",
        pa.table({"run_id": ["r"] * 7, "value": values, "step": [-(2**63)] * 6 + [2**63 - 1], "item": range(7)}),
    )
    stored = views.arrow("SELECT value, step FROM metrics ORDER BY item")
    assert [value.hex() for value in stored.column("value").to_pylist()] == [value.hex() for value in values]
    assert stored.column("step").to_pylist() == [-(2**63)] * 6 + [2**63 - 1]


@pytest.mark.parametrize(
    "sql",
    [
        "SELEKT 1",
        "SELECT nothing FROM runs",
        "SELECT 1 FROM no_such_table",
        "SELECT {missing:String}",
        "SELECT throwIf(1)",
        "SELECT toUInt8('x')",
    ],
)
def test_whatever_is_wrong_with_a_query_is_ViewsUnavailable(views: Views, sql: str) -> None:
    with pytest.raises(ViewsUnavailable):
        views.rows(sql)
    with pytest.raises(ViewsUnavailable):
        views.arrow(sql)
    assert views.rows("SELECT 1") == [(1,)]


def test_a_query_is_bounded_in_memory_and_the_next_one_works(views: Views) -> None:
    with pytest.raises(ViewsUnavailable, match=r"(?i)memory"):
        views.rows("SELECT length(groupArray(number)) FROM numbers(300000000) SETTINGS max_memory_usage = 100000000")
    assert views.rows("SELECT 1") == [(1,)]


def test_more_readers_than_connections_each_get_their_own_answer(views: Views) -> None:
    views.insert("metric_summary", summaries(*range(50)))

    def read(number: int) -> bool:
        sql = "SELECT key, {number:UInt64} FROM metric_summary WHERE offset = {number:UInt64}"
        return views.rows(sql, {"number": number}) == [(f"k{number}", number)]

    with ThreadPoolExecutor(12) as pool:
        assert all(pool.map(read, [number % 50 for number in range(100)]))


def test_a_writer_and_readers_go_side_by_side_and_readers_see_whole_inserts(views: Views) -> None:
    counts: list[int] = []
    with ThreadPoolExecutor(3) as pool:
        reads = [
            pool.submit(lambda: counts.append(views.rows("SELECT count() FROM metric_summary")[0][0]))
            for _ in range(30)
        ]
        for batch in range(10):
            views.insert("metric_summary", summaries(*range(batch * 7, batch * 7 + 7)))
        for read in reads:
            read.result()
    assert all(count % 7 == 0 for count in counts)


def test_a_folder_that_cannot_be_used_is_ViewsUnavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ViewsUnavailable):
        embedded(tmp_path / "file" / "views")


def test_a_delete_takes_the_rows_of_a_condition_and_leaves_all_others_and_the_checkpoint_right(views: Views) -> None:
    for first in (0, 10):
        columns = {
            "topic": ["runs"] * 4,
            "subject": ["it's r1", "r2", "it's r1", "r2"],
            "offset": pa.array(range(first, first + 4), pa.uint64()),
        }
        views.insert("events", pa.table(columns))
    hostile = {"ids": ["it's r1", "x') OR (1 = 1"], "ends": [12, 100]}
    ids = "has({ids:Array(String)}, subject) AND offset < {ends:Array(UInt64)}[indexOf({ids:Array(String)}, subject)]"
    views.delete("events", ids, hostile)
    views.delete("events", ids, hostile)
    assert views.rows("SELECT offset FROM events ORDER BY offset") == [(1,), (3,), (11,), (12,), (13,)]
    views.delete("events", "subject IN {ids:Array(String)}", {"ids": ["r2"]})
    assert views.rows("SELECT topic, max(offset) FROM events GROUP BY topic, partition") == [("runs", 12)]
