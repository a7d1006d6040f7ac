"""The fold of the metrics topic: Arrow batches into rows of points, and points into one summary a metric. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import groupby
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from headrace.ingest import points as wire
from headrace.ingest.log import Record

SCHEMA = pa.schema(
    [
        ("run_id", pa.dictionary(pa.int32(), pa.string())),
        ("key", pa.dictionary(pa.int32(), pa.string())),
        ("step", pa.int64()),
        ("timestamp_ms", pa.int64()),
        ("value", pa.float64()),
        ("model_id", pa.dictionary(pa.int32(), pa.string())),
        ("dataset_name", pa.dictionary(pa.int32(), pa.string())),
        ("dataset_digest", pa.dictionary(pa.int32(), pa.string())),
        ("writer", pa.dictionary(pa.int32(), pa.string())),
        ("sequence", pa.uint64()),
        ("partition", pa.uint16()),
        ("offset", pa.uint64()),
        ("item", pa.uint32()),
    ]
)
"""Rows of the view `metrics`."""


class Summary(NamedTuple):
    """What is kept of one metric of one run; columns of the view `metric_summary`.

    last and first are the points that are highest and lowest by (step, timestamp, value), NaN above every number.
    value_min and value_max are over the points that are numbers, infinities among them; NaN where there are none.
    offset: of the last record that took part.
    """

    last_value: float
    last_step: int
    last_timestamp_ms: int
    first_value: float
    first_step: int
    first_timestamp_ms: int
    value_min: float
    value_max: float
    points: int
    nan_points: int
    model_id: str
    dataset_name: str
    dataset_digest: str
    partition: int
    offset: int


SUMMARY_SCHEMA = pa.schema(
    [
        ("run_id", pa.string()),
        ("key", pa.string()),
        ("last_value", pa.float64()),
        ("last_step", pa.int64()),
        ("last_timestamp_ms", pa.int64()),
        ("first_value", pa.float64()),
        ("first_step", pa.int64()),
        ("first_timestamp_ms", pa.int64()),
        ("value_min", pa.float64()),
        ("value_max", pa.float64()),
        ("points", pa.uint64()),
        ("nan_points", pa.uint64()),
        ("model_id", pa.string()),
        ("dataset_name", pa.string()),
        ("dataset_digest", pa.string()),
        ("partition", pa.uint16()),
        ("offset", pa.uint64()),
    ]
)
"""Rows of the view `metric_summary`."""


@cache
def no_text() -> pa.Array:
    """The dictionary of a column that is empty throughout. Made late: pyarrow's first conversion imports pandas."""
    return pa.array([""], pa.string())


def merged(a: Summary, b: Summary) -> Summary:
    """The summary of the points of both; b holds the later offsets."""
    last = (
        b
        if _order(b.last_step, b.last_timestamp_ms, b.last_value)
        >= _order(a.last_step, a.last_timestamp_ms, a.last_value)
        else a
    )
    first = (
        a
        if _order(a.first_step, a.first_timestamp_ms, a.first_value)
        <= _order(b.first_step, b.first_timestamp_ms, b.first_value)
        else b
    )
    return Summary(
        last.last_value,
        last.last_step,
        last.last_timestamp_ms,
        first.first_value,
        first.first_step,
        first.first_timestamp_ms,
        _least(a.value_min, b.value_min),
        _greatest(a.value_max, b.value_max),
        a.points + b.points,
        a.nan_points + b.nan_points,
        last.model_id,
        last.dataset_name,
        last.dataset_digest,
        b.partition,
        b.offset,
    )


def _order(step: int, timestamp_ms: int, value: float) -> tuple[int, int, bool, float]:
    return (step, timestamp_ms, True, 0.0) if value != value else (step, timestamp_ms, False, value)


def _least(a: float, b: float) -> float:
    return b if a != a or b < a else a


def _greatest(a: float, b: float) -> float:
    return b if a != a or b > a else a


def rows(batches: Sequence[tuple[Record, wire.Points]]) -> pa.Table:
    """Rows of the view `metrics` from records and their decoded points, in the view's order.

    batches: at least one, none empty, in the order of the log. Sorted by (run_id, key, step, timestamp, value, offset,
    item), so that equal logs give equal tables.
    """
    lengths = np.array([table.num_rows for _, table in batches])
    total = int(lengths.sum())
    source = np.repeat(np.arange(len(batches), dtype=np.int32), lengths)
    ends = np.cumsum(lengths)
    item = (np.arange(total) - np.repeat(ends - lengths, lengths)).astype(np.uint32)
    points = _joined([table for _, table in batches])
    envelopes = [record.envelope for record, _ in batches]
    columns: dict[str, Any] = {
        "run_id": _repeated([x.subject for x in envelopes], source),
        "key": _sorted_dictionary(points.column("key")),
        "step": points.column("step"),
        "timestamp_ms": points.column("timestamp_ms"),
        "value": points.column("value"),
        **{name: points.column(name) for name in wire.OPTIONAL},
        "writer": _repeated([x.writer for x in envelopes], source),
        "sequence": pa.array(np.array([x.sequence for x in envelopes], np.uint64)[source]),
        "partition": pa.array(np.array([r.position.partition for r, _ in batches], np.uint16)[source]),
        "offset": pa.array(np.array([r.position.offset for r, _ in batches], np.uint64)[source]),
        "item": pa.array(item),
    }
    table = pa.table(
        [column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column for column in columns.values()],
        schema=SCHEMA,
    )
    return table.take(pa.array(_view_order(table)))


def in_order(tables: Sequence[pa.Table]) -> pa.Table:
    """What `rows` made of several batches, in the order of the log, as one, in the view's order.

    A database would sort them too, but not by numbers.
    """
    if len(tables) == 1:
        return tables[0]
    joined = pa.concat_tables(tables)
    for index, name in enumerate(SCHEMA.names[:2]):
        joined = joined.set_column(index, name, _sorted_dictionary(joined.column(name)))
    joined = joined.combine_chunks()
    return joined.take(pa.array(_view_order(joined)))


def _view_order(table: pa.Table) -> np.ndarray[Any, Any]:
    """The places of rows in the order of the view; the rows are in the order of the log."""
    run, key = _codes(table.column("run_id")), _codes(table.column("key"))
    by_key = _stable_order(key)
    order: np.ndarray[Any, Any] = by_key[_stable_order(run[by_key])]
    steps, times, values = (table.column(name).to_numpy() for name in ("step", "timestamp_ms", "value"))
    same = (run[order][1:] == run[order][:-1]) & (key[order][1:] == key[order][:-1])
    if _rise(same, steps[order], times[order], values[order]):
        return order
    resorted: np.ndarray[Any, Any] = np.lexsort((values, times, steps, key, run))
    return resorted


def _stable_order(codes: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    # 16 bits are sorted by radix, in a tenth of the time.
    order: np.ndarray[Any, Any] = np.argsort(codes.astype(np.uint16) if codes.max() < 2**16 else codes, kind="stable")
    return order


def _rise(same: np.ndarray[Any, Any], *columns: np.ndarray[Any, Any]) -> bool:
    """Whether each metric's points come by these columns, the first counting most: who logs as they train does so.

    same: whether a row is of the same metric as the one before, from the second row on.
    """
    for column in columns:
        before, after = column[:-1], column[1:]
        # NaN lies above every number, as np.lexsort has it.
        if np.any(same & ((after < before) | ((before != before) & (after == after)))):
            return False
        same = same & ((after == before) | ((before != before) & (after != after)))
        if not same.any():
            break
    return True


def summaries(table: pa.Table) -> Iterator[tuple[str, str, Summary]]:
    """One (run_id, key, Summary) for each metric in rows of the view `metrics` that are in the order `rows` gives."""
    if table.num_rows == 0:
        return
    run, key = _codes(table.column("run_id")), _codes(table.column("key"))
    starts = np.flatnonzero(np.r_[True, (run[1:] != run[:-1]) | (key[1:] != key[:-1])])
    ends = np.r_[starts[1:], table.num_rows] - 1
    value, offset = table.column("value").to_numpy(), table.column("offset").to_numpy()
    lows, highs = np.fmin.reduceat(value, starts), np.fmax.reduceat(value, starts)
    nans = np.add.reduceat(np.isnan(value).astype(np.int64), starts)
    last, first = table.take(pa.array(ends)), table.take(pa.array(starts))
    columns = (
        last.column("run_id").to_pylist(),
        last.column("key").to_pylist(),
        last.column("value").to_pylist(),
        last.column("step").to_pylist(),
        last.column("timestamp_ms").to_pylist(),
        first.column("value").to_pylist(),
        first.column("step").to_pylist(),
        first.column("timestamp_ms").to_pylist(),
        lows.tolist(),
        highs.tolist(),
        (ends - starts + 1).tolist(),
        nans.tolist(),
        last.column("model_id").to_pylist(),
        last.column("dataset_name").to_pylist(),
        last.column("dataset_digest").to_pylist(),
        last.column("partition").to_pylist(),
        np.maximum.reduceat(offset, starts).tolist(),
    )
    for run_id, name, *fields in zip(*columns, strict=True):
        yield run_id, name, Summary(*fields)


def encoded(table: pa.Table) -> pa.Table:
    """Rows of the view as SCHEMA has them, from a query that returned plain strings in the order `rows` gives."""
    columns = [
        _sorted_dictionary(table.column(field.name)) if pa.types.is_dictionary(field.type) else table.column(field.name)
        for field in SCHEMA
    ]
    return pa.table(columns, names=SCHEMA.names).cast(SCHEMA)


def _joined(tables: Sequence[wire.Points]) -> pa.Table:
    """Points of many records, one after the other, with the optional columns; every string is a dictionary's."""
    batches = [batch for table in tables for batch in (table.to_batches() if isinstance(table, pa.Table) else (table,))]
    alike = [list(group) for _, group in groupby(batches, key=attrgetter("schema"))]
    return pa.concat_tables([_with_dictionaries(pa.Table.from_batches(group)) for group in alike])


def _with_dictionaries(table: pa.Table) -> pa.Table:
    columns = {name: table.column(name) for name in wire.REQUIRED}
    if columns["key"].type == pa.string():
        columns["key"] = columns["key"].dictionary_encode()
    for name in wire.OPTIONAL:
        if table.schema.get_field_index(name) < 0:
            codes = pa.array(np.zeros(table.num_rows, np.int32))
            columns[name] = pa.DictionaryArray.from_arrays(codes, no_text())
        else:
            columns[name] = table.column(name).cast(pa.string()).dictionary_encode()
    return pa.table(columns)


def _repeated(values: list[str], source: np.ndarray[Any, Any]) -> pa.DictionaryArray:
    """A dictionary array that holds values[source], its dictionary sorted, so that codes sort as the strings do."""
    distinct = sorted(set(values))
    code = {value: i for i, value in enumerate(distinct)}
    codes = np.array([code[value] for value in values], np.int32)[source]
    return pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(distinct, pa.string()))


def _sorted_dictionary(column: pa.ChunkedArray) -> pa.DictionaryArray:
    encoded = column.combine_chunks().dictionary_encode()
    names = encoded.dictionary.to_pylist()
    distinct = sorted(set(names))
    rank = {name: i for i, name in enumerate(distinct)}
    lookup = np.array([rank[name] for name in names], np.int32)
    codes = lookup[encoded.indices.to_numpy()]
    return pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(distinct, pa.string()))


def _codes(column: pa.ChunkedArray) -> np.ndarray[Any, Any]:
    """Integers that are equal where the strings are, and sort as they do where the dictionary is sorted."""
    codes: np.ndarray[Any, Any] = column.combine_chunks().indices.to_numpy()
    return codes
