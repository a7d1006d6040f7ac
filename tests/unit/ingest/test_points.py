"""Metric points that are not what they should be."""

from __future__ import annotations

import pyarrow as pa
import pytest
from headrace.ingest import packed_points
from headrace.ingest.codec import Malformed
from headrace.ingest.points import Points, decode, decode_all, encode

GOOD = {
    "key": pa.array(["loss", "acc"]),
    "step": pa.array([1, 2]),
    "timestamp_ms": pa.array([3, 4]),
    "value": pa.array([0.5, 0.25]),
}


def stream(columns: dict[str, pa.Array]) -> bytes:
    batch = pa.record_batch(columns)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    data: bytes = sink.getvalue().to_pybytes()
    return data


@pytest.mark.parametrize("data", [b"", b"{}", b"\0" * 64, b"ARROW1\0\0", stream(GOOD)[:-40]])
def test_what_is_no_stream_is_malformed(data: bytes) -> None:
    with pytest.raises(Malformed, match=r"Arrow IPC stream|lack"):
        decode(data)


@pytest.mark.parametrize("name", GOOD)
def test_a_missing_column_is_malformed(name: str) -> None:
    with pytest.raises(Malformed, match=f"lack the column '{name}'"):
        decode(stream({key: column for key, column in GOOD.items() if key != name}))


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("step", pa.array([1.5, 2.0])),
        ("step", pa.array(["one", "two"])),
        ("step", pa.array([2**64 - 1, 0], pa.uint64())),
        ("value", pa.array([[1.0], [2.0]])),
        ("key", pa.array([b"\xff", b"x"])),
    ],
)
def test_a_column_of_another_kind_is_malformed(name: str, column: pa.Array) -> None:
    with pytest.raises(Malformed, match=f"column '{name}'"):
        decode(stream({**GOOD, name: column}))


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("key", pa.array(["a", None])),
        ("value", pa.array([None, 1.0])),
        ("key", pa.DictionaryArray.from_arrays(pa.array([0, 1], pa.int32()), pa.array(["a", None]))),
        ("model_id", pa.array(["m", None])),
    ],
)
def test_a_null_is_malformed_also_inside_a_dictionary(name: str, column: pa.Array) -> None:
    with pytest.raises(Malformed, match=f"nulls in the column '{name}'"):
        decode(stream({**GOOD, name: column}))


def test_whole_numbers_as_values_and_columns_of_the_future_are_taken() -> None:
    table = decode(stream({**GOOD, "value": pa.array([1, 2]), "mood": pa.array(["good", "bad"])}))
    assert table.column("value").to_pylist() == [1.0, 2.0]
    assert "mood" not in table.column_names


def test_no_points_are_no_points() -> None:
    assert decode(encode({name: column[:0] for name, column in GOOD.items()})).num_rows == 0


def batches(*counts: int) -> bytes:
    """A stream of so many batches, of so many points each."""
    good = pa.record_batch(GOOD)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, good.schema) as writer:
        for count in counts:
            writer.write_batch(good[:count])
    data: bytes = sink.getvalue().to_pybytes()
    return data


def rows(found: Points | Malformed) -> object:
    return str(found) if isinstance(found, Malformed) else found.to_pylist()


def alone(data: bytes) -> Points | Malformed:
    try:
        return decode(data)
    except Malformed as error:
        return error


MESSAGES = {
    "usual": encode(GOOD),
    "other": encode({**GOOD, "value": pa.array([7.0, 8.0])}),
    "large": encode({name: pa.concat_arrays([column] * 20) for name, column in GOOD.items()}),
    "packed": packed_points.encode({"key": ["a"], "step": [1], "timestamp_ms": [2], "value": [3.0]}),
    "with a model": encode({**GOOD, "model_id": pa.array(["m", ""])}),
    "empty": batches(0),
    "nothing": batches(),
    "two batches": batches(2, 1),
    "with a null": stream({**GOOD, "value": pa.array([None, 1.0])}),
    "not UTF-8": encode(GOOD).replace(b"loss", b"\xff\xff\xff\xff"),
    "without its end": encode(GOOD)[:-8],
    "something behind its end": encode(GOOD) + encode(GOOD)[-8:],
    "cut": encode(GOOD)[:-80],
    "JSON": b"{}",
}


@pytest.mark.parametrize("name", MESSAGES)
def test_messages_that_are_decoded_together_are_as_each_of_them_alone(name: str) -> None:
    data = [MESSAGES["usual"], MESSAGES[name], MESSAGES["other"], MESSAGES["large"], MESSAGES[name], MESSAGES["usual"]]
    assert [rows(x) for x in decode_all(data)] == [rows(alone(x)) for x in data]


def test_batches_that_one_message_has_too_many_are_not_taken_for_those_another_has_too_few() -> None:
    data = [MESSAGES["two batches"], MESSAGES["nothing"], MESSAGES["usual"]]
    assert [rows(x) for x in decode_all(data)] == [rows(alone(x)) for x in data]
