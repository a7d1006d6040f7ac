"""Inserts into the view store: exact, whole, refused by their guard, and found again after a lost answer."""

from __future__ import annotations

import random
import struct
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from headrace.processors import metrics
from headrace.processors.schema import tables
from headrace.processors.views import Fenced, Views, ViewsUnavailable

POINTS = 200_000
OPEN = "1 = 1"
OWNED = "throwIf((SELECT count() FROM owners WHERE owner = {other:String}) > 0, 'fenced: another has it') = 0"


def points(count: int, first: int = 0, partition: int = 0) -> pa.Table:
    """Points of 20 runs, a hundred an offset, from the offset `first` on."""
    index = np.arange(count)
    words = pa.array([f"word{i}" for i in range(20)])

    def word(pick: Any) -> pa.DictionaryArray:
        return pa.DictionaryArray.from_arrays(pa.array(pick, pa.int32()), words)

    columns = {
        "run_id": word(index % 20),
        "key": word(index % 7),
        "step": index - count // 2,
        "timestamp_ms": index + 1_700_000_000_000,
        "value": index * 0.1,
        **{name: word(index % 3) for name in ("model_id", "dataset_name", "dataset_digest", "writer")},
        "sequence": (index // 100).astype(np.uint64),
        "partition": np.full(count, partition, np.uint16),
        "offset": (first + index // 100).astype(np.uint64),
        "item": (index % 100).astype(np.uint32),
    }
    return pa.table({name: columns[name] for name in metrics.SCHEMA.names}, schema=metrics.SCHEMA)


def claim(views: Views, owner: str) -> None:
    views.insert("owners", pa.table({"topic": ["t"], "owner": [owner], "epoch": pa.array([1], pa.uint64())}))


def exact(value: Any) -> Any:
    """A value that is equal only to one of the same bytes."""
    return struct.pack("<d", value) if isinstance(value, float) else dict(value) if isinstance(value, list) else value


def contents(views: Views, table: str) -> list[list[Any]]:
    """Every row, by its first column of the sorting key."""
    rows = views.rows(f"SELECT * FROM {table} ORDER BY {tables()[table].shard_key}")
    return [[exact(value) for value in row] for row in rows]


def odd_rows(table: str) -> pa.Table:
    """Rows with the ends of every type's range, NaN with a payload, strings of any kind; each row with its own key."""
    choose = random.Random(table).choice
    bits = (0x7FF8000000000001, 0xFFF8000000000000, 0x8000000000000000, 1, 0x7FF0000000000000, 0x3FB999999999999A)
    floats = [struct.unpack("<d", struct.pack("<Q", one))[0] for one in bits]
    texts = ["", "it's \\ `\"", "{x:String}\n\t", "\0", "é\U0001f600", "%s" * 50]
    values: dict[str, tuple[pa.DataType, list[Any]]] = {
        "Bool": (pa.bool_(), [True, False]),
        "String": (pa.string(), texts),
        "LowCardinality(String)": (pa.dictionary(pa.int32(), pa.string()), texts),
        "Float64": (pa.float64(), floats),
        "Int64": (pa.int64(), [-(2**63), 2**63 - 1, 0]),
        "UInt64": (pa.uint64(), [2**64 - 1, 0]),
        "UInt32": (pa.uint32(), [2**32 - 1, 0]),
        "UInt16": (pa.uint16(), [2**16 - 1, 0]),
        "Map(String, String)": (pa.map_(pa.string(), pa.string()), [[], [("", "\n"), ("a'", "é")]]),
        "Map(String, UInt64)": (pa.map_(pa.string(), pa.uint64()), [[], [("w", 2**64 - 1), ("", 0)]]),
    }
    arrays = {}
    for name, type in tables()[table].columns.items():
        arrow, given = values[type]
        column = [choose(given) for _ in range(200)]
        if name == tables()[table].shard_key:
            column = [f"{number:03}{text}" for number, text in enumerate(column)]
        arrays[name] = pa.array(column, arrow)
    return pa.table(arrays)


@pytest.mark.parametrize("table", tables())
def test_rows_are_stored_byte_for_byte_guarded_or_not(views: Views, table: str) -> None:
    rows = odd_rows(table)
    given = [[exact(value) for value in row.values()] for row in rows.to_pylist()]
    views.insert(table, rows)
    assert contents(views, table) == given
    views.command(f"TRUNCATE TABLE {table}")
    views.insert(table, rows, OPEN)
    assert contents(views, table) == given


@pytest.mark.parametrize("guard", [None, OPEN], ids=["plain", "guarded"])
def test_an_insert_is_one_part_however_large(views: Views, guard: str | None) -> None:
    views.command("SYSTEM STOP MERGES metrics")
    views.insert("metrics", points(POINTS), guard)
    parts = "SELECT rows FROM system.parts WHERE database = currentDatabase() AND table = 'metrics' AND active"
    assert views.rows(parts) == [(POINTS,)]


def test_a_guard_that_throws_refuses_the_whole_insert_and_says_why(views: Views) -> None:
    views.insert("metrics", points(100), OWNED, {"other": "b"})
    claim(views, "b")
    with pytest.raises(Fenced, match=r"^fenced: another has it$"):
        views.insert("metrics", points(100), OWNED, {"other": "b"})
    assert views.rows("SELECT count() FROM metrics") == [(100,)]
    views.insert("metrics", points(100, first=1), OWNED, {"other": "c"})
    assert views.rows("SELECT count() FROM metrics") == [(200,)]


def test_a_guard_that_is_wrong_is_ViewsUnavailable_and_not_Fenced(views: Views) -> None:
    with pytest.raises(ViewsUnavailable):
        views.insert("metrics", points(100), "nothing = 0")
    assert views.rows("SELECT count() FROM metrics") == [(0,)]


def test_columns_that_are_left_out_have_their_defaults_guarded_or_not(views: Views) -> None:
    rows = pa.table({"run_id": ["r"], "partition": pa.array([3], pa.uint16())})
    views.insert("runs", rows)
    views.insert("runs", rows, OPEN)
    first, second = views.rows("SELECT * FROM runs")
    assert first == second


def test_an_insert_of_nothing_is_nothing(views: Views) -> None:
    views.insert("metrics", points(0))
    views.insert("metrics", points(0), OPEN)
    assert views.rows("SELECT count() FROM metrics") == [(0,)]


def test_what_is_missing_of_an_insert_is_all_nothing_or_a_part_of_it(views: Views) -> None:
    rows = points(1000, first=50)
    assert views.missing("metrics", rows).equals(rows)
    views.insert("metrics", points(100, first=49))
    views.insert("metrics", points(100, first=52, partition=1))
    assert views.missing("metrics", rows).equals(rows)
    views.insert("metrics", rows.slice(0, 300))
    assert views.missing("metrics", rows).equals(rows.slice(300))
    views.insert("metrics", rows.slice(300))
    assert views.missing("metrics", rows).num_rows == 0


def test_an_insert_that_has_returned_has_settled(views: Views) -> None:
    views.insert("metrics", points(100), query_id="headrace-insert-a-1")
    views.settle("headrace-insert-a-1")
    views.settle("no such insert")
    assert views.running("headrace-insert-") == []


def test_the_tables_of_this_version_are_recognised(views: Views) -> None:
    views.check_schema()
