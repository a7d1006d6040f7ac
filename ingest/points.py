"""Metric points as Arrow: the schema of `headrace.metrics.logged`, to bytes and back; from MessagePack too.

One envelope holds points of one run. Columns: key (string), step (int64), timestamp_ms (int64, since the epoch, UTC),
value (float64; NaN and infinities as they are). Optional columns, absent when empty: model_id, dataset_name,
dataset_digest (string).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import msgspec
import pyarrow as pa
import pyarrow.ipc
from headrace.ingest import packed_points
from headrace.ingest.codec import Malformed

Points: TypeAlias = pa.Table | pa.RecordBatch
KEY = pa.dictionary(pa.int32(), pa.string())
REQUIRED = {"key": pa.string(), "step": pa.int64(), "timestamp_ms": pa.int64(), "value": pa.float64()}
OPTIONAL = {"model_id": pa.string(), "dataset_name": pa.string(), "dataset_digest": pa.string()}
_KINDS = {**REQUIRED, **OPTIONAL}
# What nearly all batches are: these are taken as they come.
_USUAL = (pa.schema(REQUIRED), pa.schema({**REQUIRED, "key": KEY}))

# Below this many points a dictionary and compression cost more bytes than they save.
_SMALL = 16
# Below this many points reading zstd takes five times as long as LZ4, to save a tenth of the bytes.
_MANY = 1_000
_PLAIN = pa.ipc.IpcWriteOptions()
_LZ4 = pa.ipc.IpcWriteOptions(compression="lz4")
_ZSTD = pa.ipc.IpcWriteOptions(compression="zstd")
# What begins each part of an Arrow IPC stream, and what ends the stream.
_CONTINUES = b"\xff\xff\xff\xff"
_END = _CONTINUES + b"\0\0\0\0"
# For a batch of some hundred points, handing its columns to Arrow's threads takes three times as long as reading it.
_ALONE = pa.ipc.IpcReadOptions(use_threads=False)


def encode(columns: dict[str, pa.Array]) -> bytes:
    """Columns of equal length, named as in REQUIRED and OPTIONAL, as one Arrow IPC stream."""
    key = columns["key"]
    small = len(key) < _SMALL
    if not small and not pa.types.is_dictionary(key.type):
        columns = {**columns, "key": key.dictionary_encode()}
    batch = pa.record_batch(columns)
    sink = pa.BufferOutputStream()
    options = _PLAIN if small else _LZ4 if len(key) < _MANY else _ZSTD
    with pa.ipc.new_stream(sink, batch.schema, options=options) as writer:
        writer.write_batch(batch)
    data: bytes = sink.getvalue().to_pybytes()
    return data


def decode(data: bytes) -> pa.Table:
    """The points of one envelope: all columns of REQUIRED, and those of OPTIONAL that came.

    Strings are plain, or of the type KEY where they came so.
    Raises Malformed when it is no Arrow stream (nor MessagePack of `packed_points`), a column is missing, of another
    type or has nulls.
    """
    if packed_points.is_packed(data):
        return _unpacked(data)
    try:
        table = pa.ipc.open_stream(pa.py_buffer(data), options=_ALONE).read_all()
        table.validate(full=True)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise Malformed(f"metric points are not an Arrow IPC stream: {error}") from error
    schema = table.schema
    if not any(schema.equals(one, check_metadata=True) for one in _USUAL):
        table = _chosen(table)
    for name, column in zip(table.column_names, table.columns, strict=True):
        if column.null_count or (column.type == KEY and any(chunk.dictionary.null_count for chunk in column.chunks)):
            raise Malformed(f"metric points have nulls in the column {name!r}")
    return table


def decode_all(messages: Sequence[bytes]) -> list[Points | Malformed]:
    """The points of many envelopes, as decode has each of them; and why, where they cannot be read.

    Small messages that begin alike are read as one stream, which takes a tenth of the time.
    """
    found: dict[int, Points | Malformed] = {}
    alike: dict[bytes, list[int]] = {}
    for index, data in enumerate(messages):
        alike.setdefault(_head(data), []).append(index)
    for head, indexes in alike.items():
        batches = _read_as_one(head, [messages[index] for index in indexes]) if head and len(indexes) > 1 else None
        found |= zip(indexes, batches or [_tried(messages[index]) for index in indexes], strict=True)
    return [found[index] for index in range(len(messages))]


def _head(data: bytes) -> bytes:
    """The bytes of a stream that say its schema; empty where it cannot go on in another stream."""
    if data[:4] != _CONTINUES or data[-8:] != _END:
        return b""
    return data[: 8 + int.from_bytes(data[4:8], "little")]


def _read_as_one(head: bytes, messages: Sequence[bytes]) -> list[Points] | None:
    """The one batch that each message holds; None where it is not so simple."""
    bodies = [data[len(head) : -len(_END)] for data in messages]
    source = pa.BufferReader(b"".join([head, *bodies, _END]))
    batches = []
    try:
        reader = pa.ipc.open_stream(source, options=_ALONE)
        # Dictionaries would go on from one message to the next.
        if not reader.schema.equals(_USUAL[0], check_metadata=True):
            return None
        end = len(head)
        for body in bodies:
            batches.append(reader.read_next_batch())
            end += len(body)
            if source.tell() != end:
                return None
        table = pa.Table.from_batches(batches)
        table.validate(full=True)
    except (pa.ArrowException, OSError, ValueError, StopIteration):
        return None
    return None if any(column.null_count for column in table.columns) else batches


def _tried(data: bytes) -> Points | Malformed:
    try:
        return decode(data)
    except Malformed as error:
        return error


def _chosen(table: pa.Table) -> pa.Table:
    """The columns that are known, of the types they should have. Raises Malformed."""
    columns = {}
    for name, expected in _KINDS.items():
        if table.schema.get_field_index(name) < 0:
            if name in REQUIRED:
                raise Malformed(f"metric points lack the column {name!r}")
            continue
        column = table.column(name)
        if column.type != expected and (column.type != KEY or expected != pa.string()):
            try:
                column = column.cast(expected)
            except pa.ArrowException as error:
                raise Malformed(f"metric points have {column.type} in the column {name!r}, not {expected}") from error
        columns[name] = column
    return pa.table(columns)


def _unpacked(data: bytes) -> pa.Table:
    try:
        columns = packed_points.decode(data)
    except (msgspec.DecodeError, ValueError, OverflowError, RecursionError) as error:
        raise Malformed(f"metric points are not MessagePack columns: {error}") from error
    there = {name: getattr(columns, name) for name in _KINDS if name in REQUIRED or getattr(columns, name)}
    return pa.table({name: pa.array(values, _KINDS[name]) for name, values in there.items()})
